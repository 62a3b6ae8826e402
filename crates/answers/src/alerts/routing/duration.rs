//! Durations as they stand in a configuration: `30s`, `5m`, `1h30m`, `500ms`.

/// Units with their length in nanoseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Longest duration: a year, in nanoseconds. Times far beyond it would not fit when they are added up.
const NS_MAX: u64 = 366 * UNITS[0].1;

/// Whole numbers with units, the largest first, in nanoseconds. The error says how to write one.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    sum(text.trim()).filter(|&ns| ns <= NS_MAX).ok_or_else(|| {
        format!("`{text}` is no duration of at most a year; write it like 30s, 5m, 1h30m or 500ms")
    })
}

fn sum(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut ns = 0_u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        // Going on where the last one was found keeps them in order and apart.
        let (_, length_ns) = units.find(|(unit, _)| *unit == &tail[..end])?;
        ns = ns.checked_add(number.parse::<u64>().ok()?.checked_mul(*length_ns)?)?;
        rest = &tail[end..];
        if rest.is_empty() {
            return Some(ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        assert_eq!(parse("30s"), Ok(30_000_000_000));
        assert_eq!(parse(" 1h30m "), Ok(5_400_000_000_000));
        assert_eq!(parse("1d1ms"), Ok(86_400_001_000_000));
        assert_eq!(parse("0s"), Ok(0));
        for wrong in [
            "",
            "5",
            "m",
            "5 m",
            "30m1h",
            "5m5m",
            "1.5h",
            "-1s",
            "400d",
            "99999999999999999999s",
        ] {
            assert!(parse(wrong).unwrap_err().contains("30s, 5m"), "{wrong}");
        }
    }
}
