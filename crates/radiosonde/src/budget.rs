//! The overhead budget: what each collector may cost, and what happens when it costs more.
//!
//! A collector does something every so often on a thread of ours. Its [`Meter`] is told what each run cost. When
//! the cost of a run, spread over the interval, is more than the collector's share of one processor, the collector
//! steps down: it runs half as often, and half as often again, until it fits; where even the longest interval is not
//! enough it is off for as long as its last run is to be made up for, and then tried again. It steps up after several
//! runs that would have fitted.
//!
//! The meter is a pure state machine over a clock that it is given, so every behaviour is tested without waiting.
//!
//! Invariant: after each run, however it ended, the next one is due so late that the run's cost is within the share. So
//! however slow it becomes, a collector spends at most one run's cost beyond its share.

use std::{fmt, time::Duration};

/// Steps before a collector is off: the longest interval is 2^6 = 64 times the wished one.
const STEPS_MAX: u32 = 6;
/// A run that takes longer than this, whatever processor time it used, holds other collectors up.
const RUN_MAX: Duration = Duration::from_millis(100);
/// How long a collector that fits no interval is off at least before it is tried again.
const OFF_TIME: Duration = Duration::from_mins(1);
/// Runs in a row that would have fitted the next shorter interval before it is taken.
const GOOD_RUNS: u32 = 3;
/// Part of the share that such a run may use, so that pace does not swing.
const HYSTERESIS: f64 = 0.8;

/// What one run cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Processor time of the thread that ran it. What other threads did for the run, such as those of a pool that it
    /// uses, is not in it.
    pub cpu: Duration,
    /// Time from start to end.
    pub elapsed: Duration,
}

/// How often a collector runs at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once an interval.
    Every(Duration),
    /// Not at all.
    Off,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "interval {interval:?}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// A collector's pace changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Share of one processor that the run would cost at the pace before.
    pub cost: f64,
    /// Share that the collector may use.
    pub limit: f64,
    /// The new pace.
    pub pace: Pace,
}

/// Decides how often a collector runs.
#[derive(Clone, Debug)]
pub struct Meter {
    interval: Duration,
    share: f64,
    steps: u32,
    good_runs: u32,
    is_off: bool,
    /// From when on what its last run cost is within its share.
    made_up: Duration,
    /// When it runs next, on the clock that [`ran`](Self::ran) is given.
    due: Duration,
}

impl Meter {
    /// A collector that wishes to run every `interval`, from `first` on, and may cost `share` of one processor.
    pub const fn new(interval: Duration, share: f64, first: Duration) -> Self {
        Self {
            interval,
            share,
            steps: 0,
            good_runs: 0,
            is_off: false,
            made_up: Duration::ZERO,
            due: first,
        }
    }

    /// When the collector runs next.
    pub const fn due(&self) -> Duration {
        self.due
    }

    /// How often it runs at the moment.
    pub fn pace(&self) -> Pace {
        if self.is_off {
            Pace::Off
        } else {
            Pace::Every(self.interval_at(self.steps))
        }
    }

    /// Wishes another interval from now on.
    pub fn set_interval(&mut self, interval: Duration, now: Duration) {
        if interval != self.interval {
            self.interval = interval;
            let due = now.saturating_add(self.interval_at(self.steps));
            self.due = self.due.min(due.max(self.made_up));
        }
    }

    fn interval_at(&self, steps: u32) -> Duration {
        self.interval.saturating_mul(1 << steps)
    }

    fn share_at(&self, cpu: Duration, steps: u32) -> f64 {
        cpu.as_secs_f64() / self.interval_at(steps).as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Takes what the run that ended at `now` cost, and says whether the pace changes by it.
    pub fn ran(&mut self, now: Duration, cost: Cost) -> Option<Change> {
        let before = self.pace();
        let share = self.share_at(cost.cpu, self.steps);
        self.is_off = false;
        let fits = (0..=STEPS_MAX).find(|&steps| self.share_at(cost.cpu, steps) <= self.share);
        match fits {
            None => {
                self.is_off = true;
                self.steps = STEPS_MAX;
                self.good_runs = 0;
            }
            Some(steps) if steps > self.steps => {
                self.steps = steps;
                self.good_runs = 0;
            }
            Some(_) if cost.elapsed > RUN_MAX => {
                self.good_runs = 0;
                self.steps = (self.steps + 1).min(STEPS_MAX);
            }
            Some(_) => self.step_up(cost.cpu),
        }
        self.wait(now, cost.cpu);
        let pace = self.pace();
        (pace != before).then_some(Change {
            cost: share,
            limit: self.share,
            pace,
        })
    }

    fn step_up(&mut self, cpu: Duration) {
        let Some(shorter) = self.steps.checked_sub(1) else {
            return;
        };
        if self.share_at(cpu, shorter) > self.share * HYSTERESIS {
            self.good_runs = 0;
            return;
        }
        self.good_runs += 1;
        if self.good_runs == GOOD_RUNS {
            self.good_runs = 0;
            self.steps = shorter;
        }
    }

    /// The run that ended at `now` panicked: the collector is off for a while.
    pub(crate) fn failed(&mut self, now: Duration, cost: Cost) -> Change {
        let share = self.share_at(cost.cpu, self.steps);
        self.is_off = true;
        self.steps = STEPS_MAX;
        self.wait(now, cost.cpu);
        Change {
            cost: share,
            limit: self.share,
            pace: Pace::Off,
        }
    }

    /// Sets when the next run is due, after one that ended at `now` and used `cpu`.
    fn wait(&mut self, now: Duration, cpu: Duration) {
        let owed = cpu.as_secs_f64() / self.share.max(f64::MIN_POSITIVE);
        let owed = Duration::try_from_secs_f64(owed).unwrap_or(Duration::MAX);
        self.made_up = now.saturating_add(owed);
        let pause = if self.is_off {
            OFF_TIME.max(self.interval)
        } else {
            self.interval_at(self.steps)
        };
        self.due = now.saturating_add(pause).max(self.made_up);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cpu(ms: u64) -> Cost {
        let cpu = Duration::from_millis(ms);
        Cost {
            cpu,
            elapsed: cpu.min(RUN_MAX),
        }
    }

    /// Runs a collector whose runs cost `cost` and shows when each ran and every change of pace.
    fn history(meter: &mut Meter, runs: usize, cost: Cost) -> String {
        let lines: Vec<String> = (0..runs)
            .map(|_| {
                let at = meter.due();
                let change = meter.ran(at, cost);
                let text = change.map_or_else(String::new, |change| {
                    format!(
                        ": {:.3} of {:.3}, {}",
                        change.cost, change.limit, change.pace
                    )
                });
                format!("{at:?}{text}")
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn a_collector_within_its_share_keeps_its_pace() {
        let mut meter = Meter::new(5 * SECOND, 0.01, Duration::ZERO);
        insta::assert_snapshot!(history(&mut meter, 4, cpu(50)), @r"
        0ns
        5s
        10s
        15s
        ");
    }

    #[test]
    fn one_run_is_enough_to_step_down_and_several_to_step_up() {
        let mut meter = Meter::new(5 * SECOND, 0.01, Duration::ZERO);
        // 150 ms in 5 s is 3 %; 20 s make it 0.75 %.
        insta::assert_snapshot!(history(&mut meter, 3, cpu(150)), @r"
        0ns: 0.030 of 0.010, interval 20s
        20s
        40s
        ");
        insta::assert_snapshot!(history(&mut meter, 8, cpu(1)), @r"
        60s
        80s
        100s: 0.000 of 0.010, interval 10s
        110s
        120s
        130s: 0.000 of 0.010, interval 5s
        135s
        140s
        ");
    }

    #[test]
    fn what_fits_no_interval_is_off_for_a_while() {
        let mut meter = Meter::new(SECOND, 0.01, Duration::ZERO);
        insta::assert_snapshot!(history(&mut meter, 3, cpu(5_000)), @r"
        0ns: 5.000 of 0.010, off
        500s
        1000s
        ");
        assert_eq!(meter.pace(), Pace::Off);
        insta::assert_snapshot!(history(&mut meter, 2, cpu(1)), @r"
        1500s: 0.000 of 0.010, interval 64s
        1564s
        ");
    }

    #[test]
    fn a_run_that_waits_long_steps_down_although_it_computes_nothing() {
        let mut meter = Meter::new(SECOND, 0.01, Duration::ZERO);
        let waiting = Cost {
            cpu: Duration::ZERO,
            elapsed: SECOND,
        };
        let change = meter.ran(SECOND, waiting).unwrap();
        assert_eq!(change.pace, Pace::Every(2 * SECOND));
        assert_eq!(meter.due(), 3 * SECOND);
    }

    #[test]
    fn another_interval_holds_from_now_on() {
        let mut meter = Meter::new(30 * SECOND, 0.01, Duration::ZERO);
        meter.ran(Duration::ZERO, cpu(1));
        meter.set_interval(SECOND, 2 * SECOND);
        assert_eq!(meter.due(), 3 * SECOND);
        assert_eq!(meter.pace(), Pace::Every(SECOND));
        // 100 ms are 1 % of ten seconds, which do not become fewer.
        meter.ran(3 * SECOND, cpu(100));
        meter.set_interval(SECOND / 2, 4 * SECOND);
        assert_eq!(meter.due(), 13 * SECOND);
    }

    #[test]
    fn an_interval_without_end_ends_nothing_else() {
        let mut meter = Meter::new(Duration::MAX, 0.01, Duration::ZERO);
        meter.ran(SECOND, cpu(1));
        assert_eq!(meter.due(), Duration::MAX);
        meter.failed(SECOND, cpu(1));
        assert_eq!(meter.due(), Duration::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However many runs there were, whatever they cost and however they ended: what a collector used is within its
        /// share of the time, except for its last run.
        #[test]
        fn the_share_is_kept(runs in proptest::collection::vec((0..20_000_u64, 0..9_u32), 1..60)) {
            let mut meter = Meter::new(SECOND, 0.01, Duration::ZERO);
            let mut used = Duration::ZERO;
            for (ms, what) in runs {
                let at = meter.due();
                prop_assert!(used.as_secs_f64() <= 0.010_001 * at.as_secs_f64(), "{used:?} by {at:?}");
                let cost = cpu(ms);
                match what {
                    0 => drop(meter.failed(at, cost)),
                    _ => drop(meter.ran(at, cost)),
                }
                meter.set_interval(SECOND * what.max(1), at);
                used += cost.cpu;
            }
        }
    }
}
