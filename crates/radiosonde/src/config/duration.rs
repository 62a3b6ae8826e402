//! Durations as people write them, and the units that keys and variables name.

use std::time::Duration;

pub(super) use radiosonde_answers::duration::{parse, show};

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

/// A finite, non-negative number of seconds, to the nanosecond.
pub(super) fn from_seconds(seconds: f64) -> Option<Duration> {
    // Rounded first: 0.1 s is 100 ms, not 99.999 999.
    Duration::try_from_secs_f64((seconds * 1e9).round() / 1e9).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_name_the_unit() {
        assert_eq!(
            Unit::of_key("interval_ms"),
            Some(("interval", Unit::Millis))
        );
        assert_eq!(Unit::of_key("a_secs"), Some(("a", Unit::Seconds)));
        assert_eq!(Unit::of_key("interval"), None);
    }
}
