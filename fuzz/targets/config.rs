//! Configuration files: any text in any of the three formats is a configuration or a list of errors.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radiosonde::config::{Config, Format, RawConfig};

fuzz_target!(|text: &str| {
    for format in [Format::Toml, Format::Json, Format::Yaml] {
        match RawConfig::parse(format, text, Path::new("fuzz")) {
            // Rules that try to write to paths are no matter for random paths.
            Ok(raw) => drop(format!("{raw:?}")),
            Err(errors) => assert!(!errors.to_string().is_empty()),
        }
    }
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let raw = RawConfig::from_environment(
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if let Err(errors) = Config::check(raw) {
        assert!(errors.iter().next().is_some());
    }
});
