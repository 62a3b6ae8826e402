//! Numbers with units, as people write them.

use std::time::Duration;

/// Reads `500ms`, `30s`, `5m`, `1h` or `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const MEND: &str = "write a whole number with its unit: 500ms, 30s, 5m, 1h or 7d";
    let (number, unit) = split(text).ok_or(MEND)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(MEND.to_owned()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text} is longer than anything is kept"))
}

/// Reads `1-in-20`, `5%` or `0.05`.
pub fn share(text: &str) -> Result<f64, String> {
    const MEND: &str = "write a share: 1-in-20, 5% or 0.05";
    let read = || {
        if let Some(number) = text.strip_prefix("1-in-") {
            return Some(1.0 / number.parse::<u64>().ok()? as f64);
        }
        match text.strip_suffix('%') {
            Some(percent) => Some(percent.parse::<f64>().ok()? / 100.0),
            None => text.parse().ok(),
        }
    };
    let share = read().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| MEND.to_owned())
}

/// Reads `512MiB`, `2GiB`, `10GB` or a number of bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    const MEND: &str = "write a whole number with its unit: 512MiB, 2GiB, 10GB";
    let (number, unit) = split(text).ok_or(MEND)?;
    let unit_bytes = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(MEND.to_owned()),
    };
    number
        .checked_mul(unit_bytes)
        .ok_or_else(|| format!("{text} is more than any disk has"))
}

/// A length of time as [`duration`] reads it, in the largest unit of which it is a whole number.
pub fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let whole = units
        .iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{ms}ms"),
        |(unit, name)| format!("{}{name}", ms / unit),
    )
}

/// A share as [`share`] reads it: one in a whole number where it is that, or per cent where that says it.
pub fn share_text(share: f64) -> String {
    let number = share.recip().round();
    if (number * share - 1.0).abs() < 1e-9 {
        return format!("1-in-{number}");
    }
    let percent = (share * 1e8).round() / 1e6;
    if (percent / 100.0 - share).abs() < 1e-12 {
        return format!("{percent}%");
    }
    share.to_string()
}

/// A number of bytes as [`bytes`] reads it, in the largest binary unit of which it is a whole number.
pub fn bytes_text(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(shift, _)| bytes >> shift > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(
        || bytes.to_string(),
        |(shift, name)| format!("{}{name}", bytes >> shift),
    )
}

/// The number that `text` begins with, and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for text in ["", "5", "s", "-5s", "1.5s", "5 s", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_of_one() {
        assert_eq!(share("1-in-4"), Ok(0.25));
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.5"), Ok(0.5));
        for text in ["", "1-in-0", "1-in--2", "20", "-1%", "NaN", "101%", "1in4"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("10GB"), Ok(10_000_000_000));
        assert_eq!(bytes("4096"), Ok(4096));
        for text in ["", "GiB", "2gib", "1.5GiB", "99999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for (text, parsed) in [
            ("7d", 604_800),
            ("90m", 5400),
            ("25h", 90_000),
            ("61s", 61),
            ("0ms", 0),
        ] {
            assert_eq!(duration_text(Duration::from_secs(parsed)), text);
            assert_eq!(duration(text), Ok(Duration::from_secs(parsed)));
        }
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
        for text in ["1-in-20", "1-in-1", "30%", "2.7%", "0%", "0.1234567891"] {
            assert_eq!(share_text(share(text).unwrap()), text);
        }
        for text in [
            "0",
            "1",
            "1000",
            "1KiB",
            "2GiB",
            "1025MiB",
            "3TiB",
            "1500000000",
        ] {
            assert_eq!(bytes_text(bytes(text).unwrap()), text);
        }
    }
}
