//! Durations as people write them: `5s`, `1m30s`, `250ms`, `00:05:00`.

use std::time::Duration;

/// Unit of a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A bare number has no meaning.
    None,
    /// The key or variable says milliseconds.
    Millis,
    /// The key or variable says seconds.
    Seconds,
}

impl Unit {
    /// The unit that a key's last word names, and the key without it.
    pub(super) fn of_key(key: &str) -> Option<(&str, Self)> {
        [
            ("_ms", Self::Millis),
            ("_secs", Self::Seconds),
            ("_seconds", Self::Seconds),
        ]
        .into_iter()
        .find_map(|(suffix, unit)| Some((key.strip_suffix(suffix)?, unit)))
    }

    /// How much one of it is; `None` where it is no unit.
    pub(super) const fn seconds(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Millis => Some(0.001),
            Self::Seconds => Some(1.0),
        }
    }
}

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

/// Reads a duration: numbers with units, largest first, or `HH:MM:SS`.
pub(super) fn parse(text: &str) -> Option<Duration> {
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

/// A finite, non-negative number of seconds, to the nanosecond.
pub(super) fn from_seconds(seconds: f64) -> Option<Duration> {
    // Rounded first: 0.1 s is 100 ms, not 99.999 999.
    Duration::try_from_secs_f64((seconds * 1e9).round() / 1e9).ok()
}

/// Writes a duration so that [`parse`] reads it back: one number with the largest unit that makes it whole.
pub(super) fn show(duration: Duration) -> String {
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

    #[test]
    fn a_key_may_name_the_unit() {
        assert_eq!(
            Unit::of_key("interval_ms"),
            Some(("interval", Unit::Millis))
        );
        assert_eq!(Unit::of_key("a_secs"), Some(("a", Unit::Seconds)));
        assert_eq!(Unit::of_key("interval"), None);
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
