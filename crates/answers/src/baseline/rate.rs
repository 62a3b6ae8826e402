//! Whether more fails than before, by counts: one of two is no spike, fifty of a hundred are.
//!
//! Each reading says how many requests there were and how many of them failed. What speaks for a spike is the logarithm of how
//! much likelier the counts are at twice the share that failed before than at that share, added up as by `cusum`. For
//! requests that fail on their own this claims nothing for e^16 (nine million) readings on average (G. Lorden, "Procedures for
//! reacting to a change in distribution", Annals of Mathematical Statistics 42 (1971), 1897-1908). Failures that come together
//! count less: by their dispersion, Pearson's statistic for each degree of freedom (P. McCullagh and J. A. Nelder,
//! "Generalized Linear Models", 1989, 4.5).

use std::collections::VecDeque;

use super::{
    Adopted, Anomaly, DEVIATIONS_MAX, Direction, Expected, Kind, NS_PER_S, Season, Verdict,
    cusum::Cusum, window::SPAN_NS,
};

const THRESHOLD: f64 = 16.0;
const SLOTS_MAX: usize = 128;
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

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    failed: f64,
    all: f64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.all += other.all;
    }

    fn share(self) -> f64 {
        if self.all > 0.0 {
            self.failed / self.all
        } else {
            0.0
        }
    }

    /// The interval of E. B. Wilson (1927), as `compare` uses it.
    fn wilson(self, deviate: f64) -> (f64, f64) {
        if self.all <= 0.0 {
            return (0.0, 1.0);
        }
        let (n, share, z2) = (self.all, self.share(), deviate * deviate);
        let centre = share + z2 / (2.0 * n);
        let half = deviate * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        (
            ((centre - half) / scale).max(0.0),
            ((centre + half) / scale).min(1.0),
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    time_unix_ns: u64,
    counts: Counts,
}

/// The counts of one series of requests, and which share of them normally fails.
#[derive(Clone, Debug)]
pub struct ErrorRate {
    settings: RateSettings,
    reference: VecDeque<Slot>,
    /// How long a slot is at least, in nanoseconds.
    slot_ns: u64,
    candidate: Counts,
    evidence: Cusum,
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
            reference: VecDeque::new(),
            slot_ns: 0,
            candidate: Counts {
                failed: 0.0,
                all: 0.0,
            },
            evidence: Cusum::NONE,
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
            self.remember(time_unix_ns, counts);
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

    fn lacks(&self) -> (usize, f64) {
        let known_s = match (self.since_unix_ns, self.last_unix_ns) {
            (Some(since), Some(last)) => (last - since) as f64 / NS_PER_S,
            _ => 0.0,
        };
        let known = self.normal().all as u64;
        (
            self.settings.requests_min.saturating_sub(known) as usize,
            (self.settings.learning_s - known_s).max(0.0),
        )
    }

    fn normal(&self) -> Counts {
        let mut all = Counts::default();
        for slot in &self.reference {
            all.add(slot.counts);
        }
        all
    }

    /// How much more the slots differ than requests that fail on their own would.
    fn dispersion(&self, normal: Counts) -> f64 {
        let share = normal.share();
        let variance = share * (1.0 - share);
        if self.reference.len() < 8 || variance <= 0.0 {
            return 1.0;
        }
        let of = |slot: &Slot| {
            let off = slot.counts.failed - slot.counts.all * share;
            off * off / (slot.counts.all * variance)
        };
        let sum: f64 = self.reference.iter().map(of).sum();
        (sum / (self.reference.len() - 1) as f64).max(1.0)
    }

    fn remember(&mut self, time_unix_ns: u64, counts: Counts) {
        let is_old = |slot: &Slot| time_unix_ns.saturating_sub(slot.time_unix_ns) > SPAN_NS;
        // What is known of a rare series stays until there is something newer to say what is normal.
        while self.reference.len() > 8 && self.reference.front().is_some_and(is_old) {
            self.reference.pop_front();
        }
        if let Some(last) = self.reference.back_mut()
            && time_unix_ns.saturating_sub(last.time_unix_ns) < self.slot_ns
        {
            last.counts.add(counts);
            return;
        }
        if self.reference.len() == SLOTS_MAX {
            self.halve();
        }
        self.reference.push_back(Slot {
            time_unix_ns,
            counts,
        });
    }

    /// Two neighbouring slots become one.
    fn halve(&mut self) {
        let mut halved: VecDeque<Slot> = VecDeque::with_capacity(SLOTS_MAX);
        for (at, slot) in self.reference.drain(..).enumerate() {
            match halved.back_mut() {
                Some(last) if at % 2 == 1 => last.counts.add(slot.counts),
                _ => halved.push_back(slot),
            }
        }
        let first = halved.front().map_or(0, |slot| slot.time_unix_ns);
        let last = halved.back().map_or(0, |slot| slot.time_unix_ns);
        self.slot_ns = (last - first) / halved.len().max(1) as u64;
        self.reference = halved;
    }

    fn judge(&mut self, time_unix_ns: u64, counts: Counts) {
        let normal = self.normal();
        let before = normal.wilson(DEVIATE_95).1.clamp(1e-9, 0.999);
        let after = (2.0 * before)
            .max(before + self.settings.share_min)
            .min(f64::midpoint(1.0, before));
        let likelier = counts.failed * (after / before).ln()
            + (counts.all - counts.failed) * ((1.0 - after) / (1.0 - before)).ln();
        self.evidence
            .add(time_unix_ns, likelier / self.dispersion(normal), THRESHOLD);
        self.candidate.add(counts);
        self.latest.push_back(counts);
        if self.latest.len() > READINGS_BACK {
            self.latest.pop_front();
        }
        if self.evidence.onset_unix_ns().is_none() {
            if self.ongoing.take().is_none() {
                self.remember(time_unix_ns, self.candidate);
            }
            self.candidate = Counts::default();
        } else if self.ongoing.is_some() {
            self.go_on(time_unix_ns, before);
        } else if let Some(since_unix_ns) = self.evidence.onset_unix_ns()
            && self.evidence.found_unix_ns().is_some()
        {
            self.tell(time_unix_ns, since_unix_ns, normal);
        }
    }

    fn tell(&mut self, time_unix_ns: u64, since_unix_ns: u64, normal: Counts) {
        let (share, was) = (self.candidate.share(), normal.share());
        let is_surely_more = self.candidate.wilson(DEVIATE_99).0 > normal.wilson(DEVIATE_95).1;
        let is_enough = self.candidate.failed >= self.settings.failed_min as f64
            && share - was >= self.settings.share_min;
        if !is_surely_more || !is_enough {
            return;
        }
        let high = normal.wilson(DEVIATE_95).1;
        let deviation = (high * (1.0 - high) / self.candidate.all).sqrt();
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
        anomaly.value = self.candidate.share();
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
            self.reference.clear();
            self.slot_ns = 0;
            self.remember(time_unix_ns, self.candidate);
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        self.evidence = Cusum::NONE;
        self.candidate = Counts::default();
        self.ongoing = None;
    }

    /// The 95 % interval of the share that failed in the last hour.
    fn expected(&self) -> Expected {
        let normal = self.normal();
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
