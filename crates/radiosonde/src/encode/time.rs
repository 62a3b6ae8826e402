//! RFC 3339 timestamps in UTC with nanoseconds: written at the rate of records, and read back.
//!
//! Invariant: a written timestamp has exactly [`TEXT_BYTES`] bytes, so that timestamps sort as text.

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;
/// Length of `2026-01-31T12:34:56.123456789Z`.
pub(crate) const TEXT_BYTES: usize = 30;
/// Length of the part that changes once a second, with its dot.
const SECOND_BYTES: usize = 20;

/// A calendar date in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
}

/// The date `days` after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
pub(crate) const fn civil_from_days(days: u32) -> Date {
    // Days since 0000-03-01: years that start in March end with the leap day.
    let days = days as u64 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let january_or_february = month <= 2;
    Date {
        year: (era * 400 + year_of_era) as u32 + january_or_february as u32,
        month: month as u32,
        day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
    }
}

/// Days from 1970-01-01 to `date` (the same source, `days_from_civil`); `None` before 1970.
pub(crate) fn days_from_civil(date: Date) -> Option<u64> {
    let year = u64::from(date.year) - u64::from(date.month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = (u64::from(date.month) + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + u64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// Writes timestamps; remembers the last second, because records come in order.
#[derive(Clone, Debug)]
pub(crate) struct Rfc3339 {
    second: u64,
    text: [u8; SECOND_BYTES],
}

impl Rfc3339 {
    pub(crate) fn new() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.",
        }
    }

    /// Appends the time `unix_ns` nanoseconds after the epoch.
    #[inline]
    pub(crate) fn write(&mut self, unix_ns: u64, out: &mut Vec<u8>) {
        let second = unix_ns / SECOND_NS;
        if second != self.second {
            self.second = second;
            self.text = second_text(second);
        }
        let mut text = [b'Z'; TEXT_BYTES];
        text[..SECOND_BYTES].copy_from_slice(&self.text);
        let nanoseconds = (unix_ns % SECOND_NS) as u32;
        two_digits(&mut text[20..22], nanoseconds / 10_000_000);
        two_digits(&mut text[22..24], nanoseconds / 100_000 % 100);
        two_digits(&mut text[24..26], nanoseconds / 1000 % 100);
        two_digits(&mut text[26..28], nanoseconds / 10 % 100);
        text[28] = b'0' + (nanoseconds % 10) as u8;
        out.extend_from_slice(&text);
    }
}

#[inline]
fn two_digits(out: &mut [u8], value: u32) {
    out[0] = b'0' + (value / 10) as u8;
    out[1] = b'0' + (value % 10) as u8;
}

fn second_text(second: u64) -> [u8; SECOND_BYTES] {
    let mut text = *b"1970-01-01T00:00:00.";
    // 2^64 nanoseconds end in the year 2554, so days fit and years have four digits.
    let date = civil_from_days((second / 86_400) as u32);
    let of_day = (second % 86_400) as u32;
    two_digits(&mut text[0..2], date.year / 100);
    two_digits(&mut text[2..4], date.year % 100);
    two_digits(&mut text[5..7], date.month);
    two_digits(&mut text[8..10], date.day);
    two_digits(&mut text[11..13], of_day / 3600);
    two_digits(&mut text[14..16], of_day / 60 % 60);
    two_digits(&mut text[17..19], of_day % 60);
    text
}

/// The time as it is written in lines, as a string.
pub(crate) fn text(unix_ns: u64) -> String {
    let mut out = Vec::with_capacity(TEXT_BYTES);
    Rfc3339::new().write(unix_ns, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads an RFC 3339 timestamp as nanoseconds since the epoch: any number of fraction digits (further than
/// nanoseconds are cut), `Z` or an offset. `None` for what is not one, or lies outside 1970 to 2554.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        bytes.get(range)?.iter().try_fold(0, |sum: u32, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + u32::from(digit - b'0'))
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators
        .iter()
        .any(|&(at, byte)| bytes.get(at) != Some(&byte))
        || !matches!(bytes.get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let date = Date {
        year: number(0..4)?,
        month: number(5..7)?,
        day: number(8..10)?,
    };
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if date.year < 1970
        || !(1..=12).contains(&date.month)
        || !(1..=31).contains(&date.day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut at = 19;
    let mut fraction_ns = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let digits = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let kept = digits.min(9);
        fraction_ns = u64::from(number(at..at + kept)?) * 10_u64.pow(9 - kept as u32);
        at += digits;
    }
    let offset_seconds = offset(&text[at..])?;
    let of_day = u64::from(hour * 3600 + minute * 60 + second);
    let seconds = (days_from_civil(date)? * 86_400 + of_day).checked_add_signed(-offset_seconds)?;
    seconds.checked_mul(SECOND_NS)?.checked_add(fraction_ns)
}

/// Seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let &[h1, h2, b':', m1, m2] = digits else {
        return None;
    };
    if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |high: u8, low: u8| i64::from(high - b'0') * 10 + i64::from(low - b'0');
    Some(sign * (pair(h1, h2) * 3600 + pair(m1, m2) * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000000Z"),
        ] {
            assert_eq!(text(unix_s * SECOND_NS), expected);
        }
        assert_eq!(text(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn other_writers_timestamps_are_read() {
        let moment = parse("2026-01-31T12:00:00Z");
        assert!(moment.is_some());
        assert_eq!(parse("2026-01-31T14:00:00+02:00"), moment);
        assert_eq!(parse("2026-01-31 11:30:00.000-00:30"), moment);
        assert_eq!(
            parse("2026-01-31T12:00:00.1234567891Z"),
            moment.map(|ns| ns + 123_456_789)
        );
        for wrong in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+é:00",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_time_reads_back(unix_ns in any::<u64>()) {
            prop_assert_eq!(parse(&text(unix_ns)), Some(unix_ns));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
