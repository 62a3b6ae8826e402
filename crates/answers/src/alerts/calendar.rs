//! Days, weeks and months of a time, and times as people and programs write them. UTC, or a fixed offset from it: there is
//! no database of time zones here.

const MINUTE_NS: u64 = 60 * SECOND_NS;
const SECOND_NS: u64 = 1_000_000_000;
const DAY_MINUTES: i64 = 24 * 60;

/// What a clock and a calendar on the wall show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wall {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
    /// How many days the month has.
    pub(super) days_in_month: u8,
    /// 0 is Monday.
    pub(super) weekday: u8,
    /// 0 to 1439.
    pub(super) minute: u16,
}

impl Wall {
    /// What it shows at that time where clocks are that many minutes ahead of UTC.
    pub(super) fn at(unix_ns: u64, offset_minutes: i32) -> Self {
        let minutes = (unix_ns / MINUTE_NS) as i64 + i64::from(offset_minutes);
        let days = minutes.div_euclid(DAY_MINUTES);
        let (year, month, day) = civil(days);
        let (next_year, next_month) = if month == 12 {
            (year + 1, 1)
        } else {
            (year, month + 1)
        };
        Self {
            year,
            month,
            day,
            days_in_month: (days_to(next_year, next_month) - days_to(year, month)) as u8,
            // 1970-01-01 was a Thursday.
            weekday: (days + 3).rem_euclid(7) as u8,
            minute: minutes.rem_euclid(DAY_MINUTES) as u16,
        }
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Days from 1970-01-01 to the first of a month (the same source, `days_from_civil`).
fn days_to(year: i64, month: u8) -> i64 {
    let month = i64::from(month);
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// RFC 3339 in UTC, with milliseconds where there are any: `2026-11-30T11:17:00Z`, `2026-11-30T11:17:00.250Z`.
pub(super) fn rfc3339(unix_ns: u64) -> String {
    let wall = Wall::at(unix_ns, 0);
    let second = unix_ns / SECOND_NS % 60;
    let milliseconds = unix_ns / 1_000_000 % 1_000;
    let fraction = if milliseconds == 0 {
        String::new()
    } else {
        format!(".{milliseconds:03}")
    };
    let Wall {
        year,
        month,
        day,
        minute,
        ..
    } = wall;
    let (hour, minute) = (minute / 60, minute % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// `2026-11-30 11:17 UTC`.
pub(super) fn readable(unix_ns: u64) -> String {
    let Wall {
        year,
        month,
        day,
        minute,
        ..
    } = Wall::at(unix_ns, 0);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

/// The first whole minute after a time.
pub(super) fn next_minute(unix_ns: u64) -> u64 {
    (unix_ns / MINUTE_NS + 1).saturating_mul(MINUTE_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_250_000_000), "2000-02-29T00:00:00.250Z");
        assert_eq!(rfc3339(1_796_037_420_000_000_000), "2026-11-30T11:17:00Z");
        assert_eq!(readable(1_796_037_420_000_000_000), "2026-11-30 11:17 UTC");
        assert_eq!(next_minute(60_000_000_000), 120_000_000_000);
    }

    #[test]
    fn a_wall_has_weekdays_and_months_of_their_length() {
        let monday = Wall::at(1_796_037_420_000_000_000, 0);
        assert_eq!(
            (monday.weekday, monday.days_in_month, monday.minute),
            (0, 30, 11 * 60 + 17)
        );
        let ahead = Wall::at(1_796_037_420_000_000_000, 13 * 60);
        assert_eq!((ahead.month, ahead.day, ahead.weekday), (12, 1, 1));
        let before = Wall::at(0, -1);
        assert_eq!(
            (before.year, before.month, before.day, before.minute),
            (1969, 12, 31, 1439)
        );
        assert_eq!(Wall::at(951_782_400_000_000_000, 0).days_in_month, 29);
        assert_eq!(Wall::at(0, 0).weekday, 3);
    }
}
