//! Moments in UTC, by the proleptic Gregorian calendar.

/// A moment.
#[derive(Debug)]
pub(crate) struct Moment {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
    /// Days since the Unix epoch.
    days: i64,
    /// Of the day.
    second: i64,
}

impl Moment {
    /// The moment so many seconds after the Unix epoch; parts of a second are left out, and what no calendar has is
    /// brought within some ten million years.
    pub(crate) fn of(seconds: f64) -> Self {
        const FAR: f64 = 3e14;
        let seconds = seconds.clamp(-FAR, FAR) as i64;
        let days = seconds.div_euclid(86_400);
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": civil_from_days. Years begin in March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            days,
            second: seconds.rem_euclid(86_400),
        }
    }

    const fn is_leap(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn month_days(&self, month: i64) -> i64 {
        match month {
            2 => 28 + i64::from(self.is_leap()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

pub(super) const fn year(at: &Moment) -> f64 {
    at.year as f64
}

pub(super) const fn month(at: &Moment) -> f64 {
    at.month as f64
}

pub(super) const fn day_of_month(at: &Moment) -> f64 {
    at.day as f64
}

/// 0 is Sunday.
pub(super) const fn day_of_week(at: &Moment) -> f64 {
    // The epoch was a Thursday.
    (at.days + 4).rem_euclid(7) as f64
}

/// 1 is the first of January.
pub(super) fn day_of_year(at: &Moment) -> f64 {
    let before: i64 = (1..at.month).map(|month| at.month_days(month)).sum();
    (before + at.day) as f64
}

pub(super) fn days_in_month(at: &Moment) -> f64 {
    at.month_days(at.month) as f64
}

pub(super) const fn hour(at: &Moment) -> f64 {
    (at.second / 3600) as f64
}

pub(super) const fn minute(at: &Moment) -> f64 {
    (at.second / 60 % 60) as f64
}
