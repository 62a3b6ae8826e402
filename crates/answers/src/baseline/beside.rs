//! What is looked at beside the sums: whether the level goes steadily away, whether it presses against its limit, and whether
//! it is what is usual at this hour of the week.

use super::{
    Anomaly, Baseline, Direction, Expected, Kind, NS_PER_S, Season, TREND_EVERY_NS, UNUSUAL_NS,
    Unusual, WEEK_NS,
    trend::{Trend, trend},
    window::{SPAN_NS, Window},
};

/// A rise within less time is a step.
const TREND_NS: u64 = SPAN_NS / 4;

impl Baseline {
    pub(super) fn look_at_trend(&mut self, time_unix_ns: u64) {
        if time_unix_ns.saturating_sub(self.trend_looked_unix_ns) < TREND_EVERY_NS {
            return;
        }
        self.trend_looked_unix_ns = time_unix_ns;
        match self.ongoing {
            Some(Anomaly {
                kind: Kind::Step,
                direction,
                ..
            }) => self.look_at_step(direction),
            None
            | Some(Anomaly {
                kind: Kind::Trend, ..
            }) => self.look_at_hour_as_trend(time_unix_ns),
            Some(_) => {}
        }
    }

    /// A step that goes on and on is a trend.
    fn look_at_step(&mut self, direction: Direction) {
        let readings: Vec<(u64, f64)> = self.candidate.readings().collect();
        if let (Some(trend), Some(anomaly)) = (trend(&readings), &mut self.ongoing)
            && trend.direction == direction
        {
            anomaly.kind = Kind::Trend;
        }
    }

    fn look_at_hour_as_trend(&mut self, time_unix_ns: u64) {
        if self.reference.seconds_ns() < TREND_NS {
            return;
        }
        let readings: Vec<(u64, f64)> = self.reference.readings().collect();
        let found = trend(&readings).filter(|trend| self.is_large(trend, time_unix_ns));
        match (found, self.ongoing.as_mut()) {
            (None, Some(_)) if self.candidate.len() == 0 => self.ongoing = None,
            (Some(trend), Some(anomaly)) => anomaly.value = trend.to,
            (Some(trend), None) => {
                let since_unix_ns = self.reference.first_unix_ns().unwrap_or(time_unix_ns);
                let first_third = Window::of(&readings[..readings.len() / 3]);
                let (low, median, high) = first_third.range();
                let expected = Expected {
                    low,
                    median,
                    high,
                    season: Season::Recent,
                    readings: first_third.len(),
                    ..self.expected()
                };
                self.ongoing = Some(Anomaly {
                    kind: Kind::Trend,
                    direction: trend.direction,
                    expected,
                    value: trend.to,
                    since_unix_ns,
                    found_unix_ns: time_unix_ns,
                    score: self.deviations(trend.to),
                });
            }
            (None, _) => {}
        }
    }

    fn is_large(&self, trend: &Trend, time_unix_ns: u64) -> bool {
        let rise = (trend.to - trend.from).abs();
        let least = 2.5 * self.settings.change_share_min * trend.from.abs();
        rise >= least.max(self.settings.change_min) && !self.is_usual(time_unix_ns, trend.to)
    }

    pub(super) fn look_at_pressure(&mut self, time_unix_ns: u64, value: f64) {
        let Some(limit) = self.settings.limit.filter(|limit| *limit > 0.0) else {
            return;
        };
        let from = self.settings.pressure_share * limit;
        self.was_below_pressure |= self.reference.median() < from;
        if value < from {
            self.pressed_since_unix_ns = None;
            if self
                .ongoing
                .is_some_and(|anomaly| anomaly.kind == Kind::Pressure)
            {
                self.ongoing = None;
            }
            return;
        }
        let since_unix_ns = *self.pressed_since_unix_ns.get_or_insert(time_unix_ns);
        let lasted_s = (time_unix_ns - since_unix_ns) as f64 / NS_PER_S;
        let is_new = self.was_below_pressure && !self.is_usual(time_unix_ns, value);
        if lasted_s < self.settings.pressure_s || !is_new {
            return;
        }
        let known = self
            .ongoing
            .filter(|anomaly| anomaly.kind == Kind::Pressure);
        self.ongoing = Some(Anomaly {
            kind: Kind::Pressure,
            direction: Direction::Up,
            expected: self
                .ongoing
                .map_or_else(|| self.expected(), |anomaly| anomaly.expected),
            value,
            since_unix_ns,
            found_unix_ns: known.map_or(time_unix_ns, |anomaly| anomaly.found_unix_ns),
            score: self.deviations(value),
        });
    }

    /// Whether readings are away from what is usual at this hour of the week, although nothing changed of late: what did not
    /// come in the morning, say.
    pub(super) fn look_at_hour(&mut self, time_unix_ns: u64, value: f64) {
        let is_silent = time_unix_ns < self.unusual_silent_until_unix_ns;
        let usual = self
            .hours
            .usual(time_unix_ns)
            .filter(|usual| usual.season == Season::HourOfWeek && !is_silent);
        let away = usual.and_then(|usual| Some((usual, self.away_from(&usual, value)?)));
        let Some((usual, direction)) = away else {
            self.end_unusual();
            return;
        };
        let unusual = self.unusual.get_or_insert(Unusual {
            since_unix_ns: time_unix_ns,
            readings: 0,
        });
        unusual.readings += 1;
        let Unusual {
            since_unix_ns,
            readings,
        } = *unusual;
        let lasted_s = (time_unix_ns - since_unix_ns) as f64 / NS_PER_S;
        if lasted_s
            >= self
                .settings
                .adopt_after_s
                .max(2.0 * UNUSUAL_NS as f64 / NS_PER_S)
        {
            // It stays so: what is usual has to be learnt anew before it is asked again.
            self.unusual_silent_until_unix_ns = time_unix_ns + WEEK_NS;
            self.end_unusual();
            return;
        }
        if self.ongoing.is_some()
            || readings < self.readings_min()
            || time_unix_ns - since_unix_ns < UNUSUAL_NS
        {
            return;
        }
        self.ongoing = Some(Anomaly {
            kind: Kind::Step,
            direction,
            expected: Expected {
                low: usual.low,
                median: usual.median,
                high: usual.high,
                season: usual.season,
                ..self.expected()
            },
            value: self.reference.median(),
            since_unix_ns,
            found_unix_ns: time_unix_ns,
            score: self.deviations(value),
        });
    }

    fn end_unusual(&mut self) {
        let is_step = self
            .ongoing
            .is_some_and(|anomaly| anomaly.kind == Kind::Step);
        if self.unusual.take().is_some()
            && is_step
            && !self.up.have_found()
            && !self.down.have_found()
        {
            self.ongoing = None;
        }
    }
}
