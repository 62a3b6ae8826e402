//! Durations, bytes and shares as people read them. One place, so that the same number always looks the same.

use std::fmt;

/// A duration in nanoseconds, shown with three or four significant digits: `812.0 ms`, `1.204 s`.
#[derive(Clone, Copy, Debug)]
pub struct Nanoseconds(pub u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        let text = match ns {
            0..1_000 => format!("{ns} ns"),
            // Just below a unit, one decimal would round up to 1000.0 of the smaller one.
            1_000..999_950 => format!("{:.1} µs", ns as f64 / 1e3),
            999_950..999_950_000 => format!("{:.1} ms", ns as f64 / 1e6),
            999_950_000..60_000_000_000 => format!("{:.3} s", ns as f64 / 1e9),
            _ => {
                let seconds = ns / 1_000_000_000;
                format!("{} min {:02} s", seconds / 60, seconds % 60)
            }
        };
        f.pad(&text)
    }
}

/// A difference of durations in nanoseconds, shown with its sign: `+812.0 ms`, `-3 ns`, `0 ns`.
#[derive(Clone, Copy, Debug)]
pub struct NanosecondsMore(pub i64);

impl fmt::Display for NanosecondsMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0 {
            0 => "",
            1.. => "+",
            _ => "-",
        };
        f.pad(&format!("{sign}{}", Nanoseconds(self.0.unsigned_abs())))
    }
}

/// A number of bytes, shown in binary units: `98.3 MiB`. Negative for what shrank.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub i64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = match magnitude {
            0..1024 => format!("{sign}{magnitude} B"),
            1024..1_048_525 => format!("{sign}{:.1} KiB", magnitude as f64 / 1024.0),
            1_048_525..1_073_689_396 => format!("{sign}{:.1} MiB", magnitude as f64 / 1_048_576.0),
            _ => format!("{sign}{:.2} GiB", magnitude as f64 / 1_073_741_824.0),
        };
        f.pad(&text)
    }
}

/// `part` of `whole` in percent with one decimal: `67.4 %`. Nothing of nothing is `0.0 %`.
#[derive(Clone, Copy, Debug)]
pub struct Percent(pub u64, pub u64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1} %", 100.0 * share(self.0, self.1)))
    }
}

/// A number of things by their singular: `1 span`, `2 spans`.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}{}",
            self.0,
            self.1,
            if self.0 == 1 { "" } else { "s" }
        )
    }
}

/// `part / whole`; 0 when there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_change_unit_without_rounding_up_to_a_thousand() {
        let shown = |ns| Nanoseconds(ns).to_string();
        assert_eq!(shown(0), "0 ns");
        assert_eq!(shown(999), "999 ns");
        assert_eq!(shown(999_949), "999.9 µs");
        assert_eq!(shown(999_950), "1.0 ms");
        assert_eq!(shown(999_949_999), "999.9 ms");
        assert_eq!(shown(999_950_000), "1.000 s");
        assert_eq!(shown(125_000_000_000), "2 min 05 s");
        assert_eq!(format!("{:>9}|", Nanoseconds(5)), "     5 ns|");
        let more = [1_500, 0, -2_000_000].map(|ns| NanosecondsMore(ns).to_string());
        assert_eq!(more, ["+1.5 µs", "0 ns", "-2.0 ms"]);
    }

    #[test]
    fn bytes_and_percent_read_well() {
        assert_eq!(Bytes(-2048).to_string(), "-2.0 KiB");
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(3 << 30).to_string(), "3.00 GiB");
        assert_eq!(Percent(1, 3).to_string(), "33.3 %");
        assert_eq!(Percent(0, 0).to_string(), "0.0 %");
    }
}
