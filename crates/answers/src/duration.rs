//! Durations as people write them: `5s`, `1m30s`, `250ms`, `00:05:00`.
//!
//! As a field of what serde reads and writes: `#[serde(with = "radiosonde_answers::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Units with their length in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads a duration: numbers with units, largest first, or `HH:MM:SS`. `None` where it is none.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.contains(':') {
        return clock(text);
    }
    let mut rest = text;
    let mut ns = 0_u64;
    let mut unit_before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !is_number(c))?;
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (_, unit) = UNITS.into_iter().find(|(unit, _)| *unit == &tail[..end])?;
        if unit >= unit_before {
            return None;
        }
        unit_before = unit;
        ns = ns.checked_add(amount(number, unit)?)?;
        rest = tail[end..].trim_start();
    }
    (unit_before != u64::MAX).then(|| Duration::from_nanos(ns))
}

const fn is_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// `number` units of `unit_ns` nanoseconds. Whole numbers are exact.
fn amount(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let fraction_ns = (fraction * unit_ns as f64).round() as u64;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit_ns)?
        .checked_add(fraction_ns)
}

/// `HH:MM:SS`, with a fraction of a second if need be.
fn clock(text: &str) -> Option<Duration> {
    let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let part = |text: &str, unit: u64, below: u64| {
        let plain = text.chars().all(is_number) && (unit == SECOND_NS || !text.contains('.'));
        let ns = plain.then(|| amount(text, unit))??;
        (ns / unit < below).then_some(ns)
    };
    let ns = part(hours, 3600 * SECOND_NS, u64::MAX)?
        .checked_add(part(minutes, 60 * SECOND_NS, 60)?)?
        .checked_add(part(seconds, SECOND_NS, 60)?)?;
    Some(Duration::from_nanos(ns))
}

const SECOND_NS: u64 = 1_000_000_000;

/// Writes a duration so that [`parse`] reads it back: one number with the largest unit that makes it whole.
pub fn show(duration: Duration) -> String {
    let ns = duration.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    UNITS
        .into_iter()
        .rev()
        .find(|(_, scale)| ns.is_multiple_of(u128::from(*scale)))
        .map_or_else(String::new, |(unit, scale)| {
            format!("{}{unit}", ns / u128::from(scale))
        })
}

/// Writes one as [`show`] does.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*duration))
}

/// Reads one as [`parse`] does; the error has the text and an example.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text)
        .ok_or_else(|| de::Error::custom(format!("`{text}` is no duration; say one as in `5m`")))
}

/// The same for one that may be left out: `#[serde(default, with = "radiosonde_answers::duration::optional")]`.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    /// Writes one, or nothing.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_duration() {
        for (text, ms) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("0.1s", 100),
            ("1m30s", 90_000),
            ("1h 5m", 3_900_000),
            ("2d", 172_800_000),
            ("00:05:00", 300_000),
            ("1:00:00.5", 3_600_500),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 parsecs",
            "5S",
            "30s1m",
            "1s1s",
            "1:2",
            "00:60:00",
            "00:00:60",
            "1..5s",
            "99999999999999999999d",
            "inf",
            ":::",
            "1:2:",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_shown_reads_back(ms in 0..10_000_000_000_u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&show(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
