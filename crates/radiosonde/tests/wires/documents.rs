//! The configurations of docs/exporters, and what is said of ones that are wrong.

use std::path::Path;

use radiosonde::config::{Config, Format, RawConfig};

fn check(text: &str) -> Result<Config, String> {
    let raw = RawConfig::parse(Format::Toml, text, Path::new("radiosonde.toml"));
    Config::check(raw.map_err(|error| error.to_string())?).map_err(|errors| errors.to_string())
}

#[test]
fn the_configuration_of_each_guide_is_read_as_it_stands() {
    let guides = [
        (
            "dogstatsd",
            include_str!("../../../../docs/exporters/statsd.md"),
        ),
        (
            "syslog",
            include_str!("../../../../docs/exporters/syslog.md"),
        ),
        ("file", include_str!("../../../../docs/exporters/file.md")),
        ("nats", include_str!("../../../../docs/exporters/nats.md")),
        ("kafka", include_str!("../../../../docs/exporters/kafka.md")),
    ];
    for (kind, guide) in guides {
        let (_, rest) = guide.split_once("```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let config = check(text).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let kinds: Vec<_> = config.exporters().iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [kind]);
        // Every key that is configured there is explained there.
        for line in text.lines().skip(2) {
            let key = line.split(" = ").next().unwrap();
            assert!(guide.contains(&format!("`{key}`")), "{kind}: {key}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_mend() {
    let error = check(
        r#"
[[exporters]]
type = "syslog"
facility = "local9"
message_bytes_max = 100
[[exporters]]
type = "file"
[[exporters]]
type = "file"
name = "other"
directory = "logs"
rotation = "hourly"
[[exporters]]
type = "nats"
signals = ["metrics"]
[[exporters]]
type = "statsd"
tags = ["a:b"]
"#,
    )
    .unwrap_err();
    let expected = [
        "line 4: exporters[0].facility = \"local9\": is no facility; write one of kern, user,",
        "line 5: exporters[0].message_bytes_max = 100: is no size that a message can have; write a number from 1024 to 65000",
        "line 6: exporters[1]: has no directory; write directory = \"logs\"",
        "line 12: exporters[2].rotation = \"hourly\": is not known",
        "line 15: exporters[3].signals = [...]: names metrics, which our JSON does not have; write message = \"otlp\", or leave metrics out",
        "line 18: exporters[4].tags",
    ];
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    for (line, expected) in error.lines().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}
