//! Times as text.

const NS_PER_S: u64 = 1_000_000_000;
/// Digits of a second's fraction that a time of nanoseconds has.
const FRACTION_DIGITS: usize = 9;

/// Nanoseconds since the Unix epoch of a time as RFC 3339 has it (`2003-10-11T22:14:15.003Z`, with a zone), of 1970 and later.
pub(super) fn rfc3339_unix_ns(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (of_day, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(of_day, ':', [2, 2, 2])?;
    let is_time = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second is the last one again.
        && second <= 60;
    if !is_time {
        return None;
    }
    let (fraction_ns, zone) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let seconds = days(year, month, day)?.checked_mul(86_400)?;
    let seconds = seconds + hour * 3600 + minute * 60 + second.min(59);
    let seconds = seconds.checked_add_signed(-offset_s(zone)?)?;
    seconds.checked_mul(NS_PER_S)?.checked_add(fraction_ns)
}

fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

/// Nanoseconds, and what comes after the digits.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let kept = &digits[..end.min(FRACTION_DIGITS)];
    let number: u64 = kept.parse().ok()?;
    Some((
        number * 10_u64.pow((FRACTION_DIGITS - kept.len()) as u32),
        rest,
    ))
}

/// How far a zone is ahead of UTC, in seconds.
fn offset_s(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{rest}:00"), ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60).cast_signed())
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": `days_from_civil`). Years begin in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year - u64::from(month <= 2).min(year);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339_are_read_and_others_are_not() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2027-01-15T08:00:00Z", 1_800_000_000 * NS_PER_S),
            // RFC 5424, section 6.2.3.1, examples.
            ("1985-04-12T23:20:50.52Z", 482_196_050_520_000_000),
            ("1985-04-12T19:20:50.52-04:00", 482_196_050_520_000_000),
            (
                "2003-08-24T05:14:15.000003-07:00",
                1_061_727_255_000_003_000,
            ),
            ("2024-02-29 23:59:60+00:00", 1_709_251_199 * NS_PER_S),
            ("2027-01-15T08:00:00.1234567899Z", 1_800_000_000_123_456_789),
        ] {
            assert_eq!(rfc3339_unix_ns(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2027-01-15T08:00:00",
            "2027-13-15T08:00:00Z",
            "2027-01-15T08:00:00.Z",
            "2027-01-15T08:00:00+1:00",
            "2027-01-15T08:00:00Zx",
            "+027-01-15T08:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "2027-01-15T0é:00:00Z",
        ] {
            assert_eq!(rfc3339_unix_ns(text), None, "{text}");
        }
    }
}
