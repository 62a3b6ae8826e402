//! What waits for one endpoint, signal by signal, and when it is tried again.
//!
//! Invariants: an answer is that of one signal, and what it holds back is that signal alone; where no answer came, all
//! signals wait for the endpoint. What waits of all signals together takes no more room than one destination may.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::{
    loss::{self, Lost},
    pump::deadline_in,
};

use super::{SIGNAL_BITS, sender::Outcome};
use crate::{
    encode::otlp::Signal,
    exporter::{
        retry::Backoff,
        spool::{Payload, Spool, SpoolConfig, Waiting},
    },
};

/// How long a file of the spool that cannot be opened is left alone.
const READ_PAUSE: Duration = Duration::from_secs(5);

/// What went wrong, and what was lost by it and is counted already.
pub(super) type Told = (String, Vec<(Lost, u64)>);

/// Somebody does not take what is given.
#[derive(Debug)]
pub(super) struct Away {
    since: Instant,
    /// What happened last.
    pub(super) reason: String,
}

impl Away {
    /// For how long, in seconds.
    pub(super) fn seconds(&self) -> u64 {
        self.since.elapsed().as_secs()
    }
}

/// When there is another attempt.
#[derive(Debug)]
struct Pause {
    backoff: Backoff,
    /// No attempt before, unless a flush asks for one and the wait was not asked for.
    not_before: Option<Instant>,
    asked_to_wait: bool,
    away: Option<Away>,
}

impl Pause {
    fn new((first, last): (Duration, Duration)) -> Self {
        Self {
            backoff: Backoff::new(first, last),
            not_before: None,
            asked_to_wait: false,
            away: None,
        }
    }

    /// An attempt failed.
    fn begin(&mut self, reason: String, retry_after: Option<Duration>) {
        self.asked_to_wait = retry_after.is_some();
        self.not_before = Some(deadline_in(self.backoff.next(retry_after)));
        let since = self
            .away
            .take()
            .map_or_else(Instant::now, |away| away.since);
        self.away = Some(Away { since, reason });
    }

    /// An attempt succeeded.
    fn end(&mut self) {
        self.backoff.reset();
        self.not_before = None;
        self.asked_to_wait = false;
        self.away = None;
    }

    /// How long it still lasts, for those who want to flush or not; `None` where it is over.
    fn left(&self, now: Instant, is_flushing: bool) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(now);
        (!left.is_zero() && (self.asked_to_wait || !is_flushing)).then_some(left)
    }
}

/// What waits of one signal.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) signal: Signal,
    pub(super) spool: Spool,
    /// Attempts that failed so far.
    pub(super) failures: u64,
    pub(super) is_flushing: bool,
    /// The last flush did not get everything delivered, and nothing was since.
    pub(super) left_behind: bool,
    pause: Pause,
}

impl Lane {
    /// Why it is not taken, where the endpoint answered so.
    pub(super) const fn away(&self) -> Option<&Away> {
        self.pause.away.as_ref()
    }

    /// Whether nothing of it can be delivered by `deadline`, because a longer wait was asked for.
    pub(super) fn is_sent_away(&self, deadline: Instant) -> bool {
        self.pause.asked_to_wait && self.pause.not_before.is_some_and(|at| at > deadline)
    }

    /// What is out is the next again, and one attempt a flush is enough: to wait is the spool's business.
    fn fail(&mut self) {
        self.failures += 1;
        self.is_flushing = false;
        self.spool.put_back();
    }
}

/// What the destination refused for good.
#[derive(Debug, Default)]
struct Refused {
    records: u64,
    /// How many records it was given where it refused some.
    of: u64,
    /// What it said last.
    reason: String,
}

/// Everything that waits for one endpoint.
#[derive(Debug)]
pub(super) struct Lanes {
    /// One for each signal that is sent there.
    pub(super) all: Vec<Lane>,
    /// The next one to be looked at first, so that one that hangs keeps no other from its turn.
    turn: usize,
    /// No answer came.
    endpoint: Pause,
    bytes_max: u64,
    memory_bytes_max: usize,
    /// The last attempt that failed, and all that was refused, since they were told.
    failed: Option<String>,
    refused: Option<Refused>,
}

impl Lanes {
    /// Opens what waits of `signals` for `destination`, a name that is valid as a file name.
    pub(super) fn open(
        signals: &[Signal],
        destination: &str,
        config: &SpoolConfig,
        retry_delay: (Duration, Duration),
    ) -> Self {
        let lane = |&signal: &Signal| Lane {
            signal,
            spool: Spool::open(config, &format!("{destination}-{}", signal.name())),
            failures: 0,
            is_flushing: false,
            left_behind: false,
            pause: Pause::new(retry_delay),
        };
        let mut lanes = Self {
            all: signals.iter().map(lane).collect(),
            turn: 0,
            endpoint: Pause::new(retry_delay),
            bytes_max: config.bytes_max,
            memory_bytes_max: config.memory_bytes_max,
            failed: None,
            refused: None,
        };
        lanes.make_room();
        lanes
    }

    /// Why the endpoint gives no answer.
    pub(super) const fn away(&self) -> Option<&Away> {
        self.endpoint.away.as_ref()
    }

    /// Whether a lane waits for nobody but the sender.
    pub(super) const fn is_on_its_way(&self, lane: &Lane) -> bool {
        self.endpoint.not_before.is_none() && lane.pause.not_before.is_none() && !lane.left_behind
    }

    pub(super) fn waiting(&self) -> Waiting {
        let all = self.all.iter().map(|lane| lane.spool.waiting());
        all.fold(Waiting::default(), Waiting::and)
    }

    /// Adds a payload behind the others of its signal.
    pub(super) fn push(&mut self, payload: Payload) {
        let of_signal = |lane: &&mut Lane| lane.signal as u8 == payload.tag & SIGNAL_BITS;
        if let Some(lane) = self.all.iter_mut().find(of_signal) {
            lane.spool.push(payload);
            self.make_room();
        }
    }

    /// Hands out the oldest payload of the next signal whose time has come, and says which lane's it is; else when to ask
    /// again, where that is known.
    pub(super) fn take(&mut self, now: Instant) -> Result<(usize, Arc<Payload>), Option<Duration>> {
        let mut soonest: Option<Duration> = None;
        for offset in 0..self.all.len() {
            let at = (self.turn + offset) % self.all.len();
            let lane = &mut self.all[at];
            if lane.spool.is_empty() {
                continue;
            }
            let left = self.endpoint.left(now, lane.is_flushing);
            let left = left.max(lane.pause.left(now, lane.is_flushing));
            let left = match left {
                Some(left) => left,
                None => match lane.spool.take() {
                    Some(payload) => {
                        self.turn = at + 1;
                        return Ok((at, payload));
                    }
                    None => READ_PAUSE,
                },
            };
            soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
        }
        Err(soonest)
    }

    /// What became of the payload that is out, which was taken from the lane at `at` and has so many records.
    pub(super) fn settle(&mut self, at: usize, outcome: Outcome, records: u64) {
        let (rejected, reason) = match outcome {
            Outcome::Unreachable { reason } => {
                self.failed = Some(format!("{reason}; will be tried again"));
                self.endpoint.begin(reason, None);
                self.all.iter_mut().for_each(Lane::fail);
                return self.make_room();
            }
            Outcome::Unavailable {
                reason,
                retry_after,
            } => {
                self.failed = Some(format!("{reason}; will be tried again"));
                self.endpoint.end();
                let lane = &mut self.all[at];
                lane.pause.begin(reason, retry_after);
                lane.fail();
                return self.make_room();
            }
            Outcome::PartUnavailable {
                rest,
                rejected,
                reason,
                retry_after,
            } => return self.settle_part(at, rest, (rejected, records), reason, retry_after),
            Outcome::Delivered => (0, String::new()),
            Outcome::Partial { rejected, reason } => (rejected.min(records), reason),
            Outcome::Rejected { reason } => (records, reason),
        };
        self.endpoint.end();
        let lane = &mut self.all[at];
        lane.pause.end();
        lane.spool.done();
        // One that got through does not bring the others through in the time that is left.
        lane.left_behind &= !lane.spool.is_empty();
        if !reason.is_empty() {
            self.refuse(rejected, records, reason);
        }
    }

    /// The payload that is out was taken but for `rest`, which waits in its place, and `rejected` of all `records`.
    fn settle_part(
        &mut self,
        at: usize,
        rest: Payload,
        (rejected, records): (u64, u64),
        reason: String,
        retry_after: Option<Duration>,
    ) {
        if rejected > 0 {
            self.refuse(rejected, records, reason.clone());
        }
        self.failed = Some(format!(
            "{reason}; {} of {records} records will be tried again",
            rest.records
        ));
        self.endpoint.end();
        let lane = &mut self.all[at];
        lane.pause.begin(reason, retry_after);
        // Kept before the whole is forgotten: a crash in between sends the rest twice, and loses nothing.
        lane.spool.push(rest);
        lane.spool.done();
        lane.failures += 1;
        lane.is_flushing = false;
        self.make_room();
    }

    fn refuse(&mut self, rejected: u64, records: u64, reason: String) {
        loss::count(Lost::Rejected, rejected);
        let refused = self.refused.get_or_insert_default();
        refused.records += rejected;
        refused.of += records;
        refused.reason = reason;
    }

    /// Makes durable what waits and says how many records are in memory only.
    pub(super) fn persist(&mut self) -> u64 {
        let in_memory = self.all.iter_mut().map(|lane| lane.spool.persist()).sum();
        self.make_room();
        in_memory
    }

    /// What went wrong since the last call, with the destination and with the spool, and what was lost by it.
    pub(super) fn take_fault(&mut self) -> Option<Told> {
        let mut lost = Vec::new();
        let refused = self.refused.take().map(|refused| {
            let Refused {
                records,
                of,
                reason,
            } = refused;
            lost.push((Lost::Rejected, records));
            format!("refused {records} of {of} records: {reason}")
        });
        let mut faults: Vec<String> = refused.into_iter().chain(self.failed.take()).collect();
        for lane in &mut self.all {
            if let Some((fault, dropped)) = lane.spool.take_fault() {
                lost.push((Lost::SpoolFull, dropped));
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
        lost.retain(|&(_, records)| records > 0);
        (!faults.is_empty()).then(|| (faults.join("; "), lost))
    }

    /// The signal of which most waits gives way while all together take more room than they may.
    fn make_room(&mut self) {
        for _ in 0..self.all.len() {
            let memory_bytes: usize = self.all.iter().map(|lane| lane.spool.memory_bytes()).sum();
            let excess = memory_bytes.saturating_sub(self.memory_bytes_max);
            let largest = |lane: &&mut Lane| lane.spool.memory_bytes();
            if excess > 0
                && let Some(lane) = self.all.iter_mut().max_by_key(largest)
            {
                lane.spool.free_memory(excess);
            }
            let disk_bytes: u64 = self.all.iter().map(|lane| lane.spool.disk_bytes()).sum();
            let excess = disk_bytes.saturating_sub(self.bytes_max);
            let largest = |lane: &&mut Lane| lane.spool.disk_bytes();
            if excess > 0
                && let Some(lane) = self.all.iter_mut().max_by_key(largest)
            {
                lane.spool.free_disk(excess);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::spool::tests::turn;

    const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

    fn payload(signal: Signal) -> Payload {
        Payload {
            tag: signal as u8,
            records: 1,
            body: vec![7; 1000],
        }
    }

    fn unreachable() -> Outcome {
        Outcome::Unreachable {
            reason: "no route".to_owned(),
        }
    }

    fn records(lanes: &Lanes) -> Vec<u64> {
        let records = |lane: &Lane| lane.spool.waiting().records;
        lanes.all.iter().map(records).collect()
    }

    #[test]
    fn all_signals_together_take_no_more_room_than_one_may_and_the_largest_gives_way() {
        let _turn = turn();
        for is_on_disk in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let config = SpoolConfig {
                folder: is_on_disk.then(|| folder.path().to_owned()),
                bytes_max: 20_000,
                memory_bytes_max: 20_000,
            };
            let mut lanes = Lanes::open(&Signal::ALL, "there", &config, DELAYS);
            lanes.settle(0, unreachable(), 0);
            let dropped = loss::total(Lost::SpoolFull);
            for _ in 0..30 {
                lanes.push(payload(Signal::Logs));
            }
            for _ in 0..5 {
                lanes.push(payload(Signal::Traces));
                lanes.push(payload(Signal::Metrics));
            }
            let waiting = lanes.waiting();
            assert!(
                waiting.disk_bytes <= 20_000 && waiting.memory_bytes <= 20_000,
                "{waiting:?}"
            );
            assert_eq!(waiting.disk_bytes > 0, is_on_disk);
            let records = records(&lanes);
            assert_eq!((records[0], records[2]), (5, 5), "{records:?}");
            assert!(records[1] >= 5, "{records:?}");
            let dropped = loss::total(Lost::SpoolFull) - dropped;
            assert_eq!(dropped, 40 - records.iter().sum::<u64>());
        }
    }

    #[test]
    fn a_signal_that_gets_no_answer_gives_way_to_the_next_and_one_that_is_refused_waits_alone() {
        let config = SpoolConfig::in_memory();
        let mut lanes = Lanes::open(&Signal::ALL, "there", &config, DELAYS);
        for signal in Signal::ALL {
            lanes.push(payload(signal));
        }
        let now = Instant::now();
        let next = |lanes: &mut Lanes, at| lanes.take(at).map(|(lane, _)| lane);
        assert_eq!(next(&mut lanes, now), Ok(0));
        lanes.settle(0, unreachable(), 1);
        assert!(lanes.away().is_some());
        let later = now + Duration::from_hours(1);
        assert_eq!(next(&mut lanes, later), Ok(1));
        let refused = Outcome::Unavailable {
            reason: "full".to_owned(),
            retry_after: Some(Duration::from_mins(1)),
        };
        lanes.settle(1, refused, 1);
        // It answered.
        assert!(lanes.away().is_none() && lanes.all[1].away().is_some());
        assert!(lanes.all[1].is_sent_away(now));
        for lane in [2, 0] {
            assert_eq!(next(&mut lanes, now), Ok(lane));
            lanes.settle(lane, Outcome::Delivered, 1);
        }
        let wait = next(&mut lanes, now).unwrap_err();
        assert!(wait >= Some(Duration::from_secs(59)), "{wait:?}");
        assert_eq!(next(&mut lanes, later), Ok(1));
    }
}
