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

/// A value in a unit of OpenTelemetry (UCUM): `12.0 ms`, `98.3 MiB`, `45.0 %`, `120/s`. Durations and bytes are shown in the
/// unit that reads best; what a unit has in braces is left out.
#[derive(Clone, Copy, Debug)]
pub struct Amount<'a>(pub f64, pub &'a str);

impl fmt::Display for Amount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        let nanoseconds = |scale: f64| NanosecondsMore((value * scale).round() as i64).to_string();
        let bytes = |scale: f64| Bytes((value * scale).round() as i64).to_string();
        let text = match unit {
            "s" => nanoseconds(1e9),
            "ms" => nanoseconds(1e6),
            "us" => nanoseconds(1e3),
            "ns" => nanoseconds(1.0),
            "By" => bytes(1.0),
            "KiBy" => bytes(1024.0),
            "MiBy" => bytes(1_048_576.0),
            "GiBy" => bytes(1_073_741_824.0),
            "" | "1" => significant(value),
            _ => {
                let plain = without_braces(unit);
                let space = if plain.is_empty() || plain.starts_with('/') {
                    ""
                } else {
                    " "
                };
                format!("{}{space}{plain}", significant(value))
            }
        };
        f.pad(text.strip_prefix('+').unwrap_or(&text))
    }
}

/// A number with three significant digits, or all that are before its point.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if !(1e-6..1e15).contains(&size) => return format!("{value:.2e}"),
        size => (2 - size.log10().floor() as i32).max(0),
    };
    format!("{value:.*}", digits as usize)
}

/// `{request}/s` is `/s`.
fn without_braces(unit: &str) -> String {
    let mut is_inside = false;
    unit.chars()
        .filter(|&c| {
            is_inside = (is_inside || c == '{') && c != '}';
            !is_inside && c != '}'
        })
        .collect()
}

/// A duration in nanoseconds of which only the size matters, in whole seconds, minutes, hours or days: `40 s`, `15 min`.
#[derive(Clone, Copy, Debug)]
pub struct Roughly(pub u64);

impl fmt::Display for Roughly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000 + u64::from(self.0 % 1_000_000_000 >= 500_000_000);
        let text = match seconds {
            0..120 => format!("{seconds} s"),
            120..7_200 => format!("{} min", seconds / 60),
            7_200..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} d", seconds / 86_400),
        };
        f.pad(&text)
    }
}

/// A time in nanoseconds since the Unix epoch, shown as `2026-11-30 11:13:11 UTC`.
#[derive(Clone, Copy, Debug)]
pub struct UtcTime(pub u64);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000;
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        // Days since 0000-03-01, in eras of 400 years, so that a leap day is the last of its year (E. M. Reingold and
        // N. Dershowitz, "Calendrical Calculations", 4th ed. 2018, chapter 2).
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12 + 1;
        let year = era * 400 + year + u64::from(month <= 2);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        f.pad(&format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        ))
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

    #[test]
    fn amounts_are_shown_in_the_unit_that_reads_best() {
        let shown = |value, unit| Amount(value, unit).to_string();
        assert_eq!(shown(0.012, "s"), "12.0 ms");
        assert_eq!(shown(-3.0, "ms"), "-3.0 ms");
        assert_eq!(shown(3.0, "GiBy"), "3.00 GiB");
        assert_eq!(shown(120.4, "{request}/s"), "120/s");
        assert_eq!(shown(4.0, "{request}"), "4.00");
        assert_eq!(shown(45.0, "%"), "45.0 %");
        assert_eq!(shown(0.012_345, "1"), "0.0123");
        assert_eq!(shown(0.0, "1"), "0");
        assert_eq!(shown(1e30, "1"), "1.00e30");
        assert_eq!(shown(f64::NAN, "s"), "0 ns");
    }

    #[test]
    fn rough_durations_have_one_unit() {
        let shown = |seconds: u64| Roughly(seconds * 1_000_000_000).to_string();
        let all = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(shown);
        assert_eq!(
            all,
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]
        );
        assert_eq!(Roughly(1_500_000_000).to_string(), "2 s");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let shown = |seconds: u64| UtcTime(seconds * 1_000_000_000).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_795_824_000), "2026-11-28 00:00:00 UTC");
        assert_eq!(shown(1_798_761_599), "2026-12-31 23:59:59 UTC");
        assert_eq!(shown(1_798_761_600), "2027-01-01 00:00:00 UTC");
    }
}
