//! A filter in `RUST_LOG` syntax. Nothing panics, errors point into the text, and what is kept reads back as itself.

use radiosonde_core::filter::Filter;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (filter, errors) = Filter::parse_lossy(text);
    assert_eq!(errors.is_empty(), Filter::parse(text).is_ok());
    for error in errors {
        assert!((1..=text.chars().count() + 1).contains(&error.column()));
        assert!(text.contains(error.directive()));
    }
    assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
}
