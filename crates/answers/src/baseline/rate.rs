//! Whether more fails than before, by counts: one of two is no spike, fifty of a hundred are.
//!
//! Each reading says how many requests there were and how many of them failed. What speaks for a spike is the logarithm of how
//! much likelier the counts are at twice the share that failed before, or at half of all, than at that share, added up as by
//! `cusum`. For
//! requests that fail on their own each sum claims nothing for e^16 (nine million) readings on average (G. Lorden, "Procedures for
//! reacting to a change in distribution", Annals of Mathematical Statistics 42 (1971), 1897-1908). Failures that come together
//! count less: by their dispersion, Pearson's statistic for each degree of freedom (P. McCullagh and J. A. Nelder,
//! "Generalized Linear Models", 1989, 4.5).

use std::collections::VecDeque;

use self::counts::{Counts, Slots};
use super::{
    Adopted, Anomaly, DEVIATIONS_MAX, Direction, Expected, Kind, NS_PER_S, Season, Verdict,
    cusum::Cusum,
};

mod counts;

const THRESHOLD: f64 = 16.0;
/// Two-sided 95 % and 99 %.
const DEVIATE_95: f64 = 1.96;
const DEVIATE_99: f64 = 2.576;
/// A spike is over when the share of so many readings together is no longer above normal.
const READINGS_BACK: usize = 8;

/// What an error rate is asked to find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateSettings {
    /// How many requests have to be known before anything is said.
    pub requests_min: u64,
    /// How long they have to have come, in seconds.
    pub learning_s: f64,
    /// How many have to fail at least.
    pub failed_min: u64,
    /// The smallest rise of the share that matters: 0.01 is one more of a hundred.
    pub share_min: f64,
    /// For how long a risen share is told before it counts as the new normal, in seconds.
    pub adopt_after_s: f64,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            requests_min: 50,
            learning_s: 30.0,
            failed_min: 5,
            share_min: 0.01,
            adopt_after_s: 3600.0,
        }
    }
}

/// The counts of one series of requests, and which share of them normally fails.
#[derive(Clone, Debug)]
pub struct ErrorRate {
    settings: RateSettings,
    reference: Slots,
    /// Readings since one of the sums is above nothing.
    candidate: Slots,
    doubled: Cusum,
    outage: Cusum,
    latest: VecDeque<Counts>,
    since_unix_ns: Option<u64>,
    last_unix_ns: Option<u64>,
    has_learnt: bool,
    ongoing: Option<Anomaly>,
    adopted: Option<Adopted>,
    ignored: u64,
}

impl ErrorRate {
    /// A rate of which nothing is known yet.
    pub const fn new(settings: RateSettings) -> Self {
        Self {
            settings,
            reference: Slots::NONE,
            candidate: Slots::NONE,
            doubled: Cusum::NONE,
            outage: Cusum::NONE,
            latest: VecDeque::new(),
            since_unix_ns: None,
            last_unix_ns: None,
            has_learnt: false,
            ongoing: None,
            adopted: None,
            ignored: 0,
        }
    }

    /// Takes how many requests ended since the last reading and how many of them failed, at a time in nanoseconds since the
    /// Unix epoch, and says how things stand. One that is not later than the last, or of which more failed than there
    /// were, is counted under [`ErrorRate::ignored`] and changes nothing.
    pub fn observe(&mut self, time_unix_ns: u64, failed: u64, requests: u64) -> Verdict {
        let is_late = self.last_unix_ns.is_some_and(|last| time_unix_ns <= last);
        if is_late || failed > requests {
            self.ignored += 1;
            return self.verdict();
        }
        self.last_unix_ns = Some(time_unix_ns);
        self.since_unix_ns.get_or_insert(time_unix_ns);
        if requests == 0 {
            return self.verdict();
        }
        let counts = Counts {
            failed: failed as f64,
            all: requests as f64,
        };
        if self.has_learnt {
            self.judge(time_unix_ns, counts);
        } else {
            self.reference.push(time_unix_ns, counts);
            let (requests_more, seconds_more) = self.lacks();
            self.has_learnt = requests_more == 0 && seconds_more <= 0.0;
        }
        self.verdict()
    }

    /// How things stood after the last reading. What is still to be learnt is counted in requests.
    pub fn verdict(&self) -> Verdict {
        if !self.has_learnt {
            let (readings_more, seconds_more) = self.lacks();
            return Verdict::Learning {
                readings_more,
                seconds_more,
            };
        }
        self.ongoing
            .map_or_else(|| Verdict::Normal(self.expected()), Verdict::Anomalous)
    }

    /// How many readings came too late or made no sense.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The last rise that lasted and became normal.
    pub const fn adopted(&self) -> Option<Adopted> {
        self.adopted
    }

    /// How many counts are kept.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.reference.len() + self.candidate.len() + self.latest.len()
    }

    fn lacks(&self) -> (usize, f64) {
        let known_s = match (self.since_unix_ns, self.last_unix_ns) {
            (Some(since), Some(last)) => (last - since) as f64 / NS_PER_S,
            _ => 0.0,
        };
        let known = self.reference.all().all as u64;
        (
            self.settings.requests_min.saturating_sub(known) as usize,
            (self.settings.learning_s - known_s).max(0.0),
        )
    }

    fn judge(&mut self, time_unix_ns: u64, counts: Counts) {
        let normal = self.reference.all();
        let before = normal.wilson(DEVIATE_95).1.clamp(1e-9, 0.999);
        let after = (2.0 * before)
            .max(before + self.settings.share_min)
            .min(f64::midpoint(1.0, before));
        let dispersion = self.reference.dispersion();
        // Twice as much is seen in time whatever it is; that half of all fail is seen in a few requests.
        for (sum, after) in [
            (&mut self.doubled, after),
            (&mut self.outage, f64::midpoint(1.0, before)),
        ] {
            let likelier = counts.failed * (after / before).ln()
                + (counts.all - counts.failed) * ((1.0 - after) / (1.0 - before)).ln();
            sum.add(time_unix_ns, likelier / dispersion, THRESHOLD);
        }
        self.candidate.push(time_unix_ns, counts);
        self.latest.push_back(counts);
        if self.latest.len() > READINGS_BACK {
            self.latest.pop_front();
        }
        let (doubled, outage) = (self.doubled.onset_unix_ns(), self.outage.onset_unix_ns());
        if doubled.is_none() && outage.is_none() {
            let candidate = std::mem::replace(&mut self.candidate, Slots::NONE);
            if self.ongoing.take().is_none() {
                self.reference.append(candidate);
            }
        } else if self.ongoing.is_some() {
            self.go_on(time_unix_ns, before);
        } else {
            let found = [self.outage, self.doubled]
                .into_iter()
                .find(|sum| sum.found_unix_ns().is_some());
            if let Some(since_unix_ns) = found.and_then(Cusum::onset_unix_ns) {
                self.tell(time_unix_ns, since_unix_ns, normal);
            }
        }
    }

    fn tell(&mut self, time_unix_ns: u64, since_unix_ns: u64, normal: Counts) {
        let candidate = self.candidate.all();
        let (share, was) = (candidate.share(), normal.share());
        let is_surely_more = candidate.wilson(DEVIATE_99).0 > normal.wilson(DEVIATE_95).1;
        let is_enough = candidate.failed >= self.settings.failed_min as f64
            && share - was >= self.settings.share_min;
        if !is_surely_more || !is_enough {
            return;
        }
        let high = normal.wilson(DEVIATE_95).1;
        let deviation = (high * (1.0 - high) / candidate.all).sqrt();
        self.ongoing = Some(Anomaly {
            kind: Kind::Spike,
            direction: Direction::Up,
            expected: self.expected(),
            value: share,
            since_unix_ns,
            found_unix_ns: time_unix_ns,
            score: ((share - was) / deviation.max(f64::MIN_POSITIVE)).min(DEVIATIONS_MAX),
        });
    }

    fn go_on(&mut self, time_unix_ns: u64, before: f64) {
        let Some(anomaly) = &mut self.ongoing else {
            return;
        };
        anomaly.value = self.candidate.all().share();
        let mut latest = Counts::default();
        self.latest.iter().for_each(|counts| latest.add(*counts));
        let lasted_s = time_unix_ns.saturating_sub(anomaly.since_unix_ns) as f64 / NS_PER_S;
        if self.latest.len() == READINGS_BACK && latest.share() <= before {
            self.start_over();
        } else if lasted_s >= self.settings.adopt_after_s {
            self.adopted = Some(Adopted {
                since_unix_ns: anomaly.since_unix_ns,
                adopted_unix_ns: time_unix_ns,
                before: anomaly.expected,
            });
            self.since_unix_ns = Some(anomaly.since_unix_ns);
            self.reference = std::mem::replace(&mut self.candidate, Slots::NONE);
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        self.doubled = Cusum::NONE;
        self.outage = Cusum::NONE;
        self.candidate = Slots::NONE;
        self.ongoing = None;
    }

    /// The 95 % interval of the share that failed in the last hour.
    fn expected(&self) -> Expected {
        let normal = self.reference.all();
        let (low, high) = normal.wilson(DEVIATE_95);
        Expected {
            low,
            median: normal.share(),
            high,
            season: Season::Recent,
            since_unix_ns: self.since_unix_ns.unwrap_or(0),
            readings: self.reference.len(),
        }
    }
}
