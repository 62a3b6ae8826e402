//! What was normal at each hour of the last three weeks.
//!
//! An hour is remembered when it ends, by what was normal in it. What is usual at an hour is what was normal at the same hour of
//! the week in at least two earlier weeks; before that, at the same hour of at least three of the last seven days.

use super::Season;

const HOUR_NS: u64 = 3_600_000_000_000;
const HOURS_OF_WEEK: usize = 168;
const WEEKS: usize = 3;
const HOURS: usize = WEEKS * HOURS_OF_WEEK;
/// Near the turn of an hour the neighbouring hour counts as well: people are not punctual.
const TURN_NS: u64 = 600_000_000_000;

/// What was normal in an hour. Single precision is enough for what has a tolerance of percents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hour {
    pub(super) low: f32,
    pub(super) median: f32,
    pub(super) high: f32,
}

impl Hour {
    /// Values beyond what single precision holds are its largest.
    pub(super) fn of(low: f64, median: f64, high: f64) -> Self {
        let single = |value: f64| value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        Self {
            low: single(low),
            median: single(median),
            high: single(high),
        }
    }
}

/// What is usual at an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usual {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
    pub(super) season: Season,
}

/// Hours by their number modulo three weeks. Grows with the history up to 8 KiB.
#[derive(Clone, Debug, Default)]
pub(super) struct Hours {
    kept: Vec<Option<Hour>>,
    /// The number of the last hour that was remembered or let pass.
    last: Option<u64>,
}

impl Hours {
    pub(super) const fn number(time_unix_ns: u64) -> u64 {
        time_unix_ns / HOUR_NS
    }

    /// Remembers an hour, or that nothing is known of it. Hours have to come in order.
    pub(super) fn remember(&mut self, number: u64, hour: Option<Hour>) {
        // Hours between were not seen; what three weeks ago stood in their places is no longer of the last three weeks.
        let from = self.last.map_or(number, |last| last + 1);
        let from = from.max(number.saturating_sub(HOURS as u64 - 1));
        for missed in from..number {
            self.set(missed, None);
        }
        self.set(number, hour);
        self.last = Some(number);
    }

    fn set(&mut self, number: u64, hour: Option<Hour>) {
        let at = number as usize % HOURS;
        if at >= self.kept.len() {
            if hour.is_none() {
                return;
            }
            self.kept.resize(at + 1, None);
        }
        self.kept[at] = hour;
    }

    fn get(&self, number: u64) -> Option<Hour> {
        // What is at the place of an hour to come is of three weeks before.
        if self
            .last
            .is_none_or(|last| number > last || number + (HOURS as u64) <= last)
        {
            return None;
        }
        self.kept.get(number as usize % HOURS).copied().flatten()
    }

    /// What is usual at a time, where enough of it is remembered.
    pub(super) fn usual(&self, time_unix_ns: u64) -> Option<Usual> {
        let number = Self::number(time_unix_ns);
        let into = time_unix_ns % HOUR_NS;
        let neighbour = if into < TURN_NS {
            number.checked_sub(1)
        } else if into >= HOUR_NS - TURN_NS {
            Some(number + 1)
        } else {
            None
        };
        let weeks = self.same(number, neighbour, HOURS_OF_WEEK as u64, WEEKS as u64);
        if weeks.len() >= 2 {
            return Some(usual_of(&weeks, Season::HourOfWeek));
        }
        let days = self.same(number, neighbour, 24, 7);
        (days.len() >= 3).then(|| usual_of(&days, Season::HourOfDay))
    }

    /// The same hour in up to so many earlier periods, widened by its neighbour where that is known.
    fn same(&self, number: u64, neighbour: Option<u64>, period: u64, periods: u64) -> Vec<Hour> {
        let before = |number: u64, back: u64| {
            number
                .checked_sub(period * back)
                .and_then(|number| self.get(number))
        };
        (1..=periods)
            .filter_map(|back| {
                let hour = before(number, back)?;
                let beside = neighbour.and_then(|neighbour| before(neighbour, back));
                Some(beside.map_or(hour, |beside| Hour {
                    low: hour.low.min(beside.low),
                    median: hour.median,
                    high: hour.high.max(beside.high),
                }))
            })
            .collect()
    }
}

/// What was reached in at least two of these hours: one hour in which something was wrong makes nothing usual. There are at
/// least two.
fn usual_of(hours: &[Hour], season: Season) -> Usual {
    let sorted = |of: fn(&Hour) -> f32| {
        let mut values: Vec<f64> = hours.iter().map(|hour| f64::from(of(hour))).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (lows, highs) = (sorted(|hour| hour.low), sorted(|hour| hour.high));
    Usual {
        low: lows[1],
        median: super::window::median_of_sorted(&sorted(|hour| hour.median)),
        high: highs[highs.len() - 2],
        season,
    }
}
