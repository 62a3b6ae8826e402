//! What was recorded so far, in a few numbers.
//!
//! An operation is a span that ended; it failed when its status is an error. Durations fall into four [`Speed`]s.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use radiosonde_core::{
    batch::Batch,
    loss::{self, Lost},
    provenance::Reading,
    pump::Consumer,
};

use crate::{health::Status, host};

/// From this share of failed operations on, [`Status::Degraded`].
pub const DEGRADED_ERROR_RATE: f64 = 0.05;
/// From this share of failed operations on, [`Status::Critical`].
pub const CRITICAL_ERROR_RATE: f64 = 0.5;

/// How fast an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Under 1 ms.
    Fast,
    /// From 1 ms to under 10 ms.
    Normal,
    /// From 10 ms to 100 ms.
    Slow,
    /// Over 100 ms.
    VerySlow,
}

impl Speed {
    /// Every category, fastest first.
    pub const ALL: [Self; 4] = [Self::Fast, Self::Normal, Self::Slow, Self::VerySlow];

    /// The category of a duration in nanoseconds.
    pub const fn of_ns(duration_ns: u64) -> Self {
        match duration_ns {
            0..1_000_000 => Self::Fast,
            1_000_000..10_000_000 => Self::Normal,
            10_000_000..=100_000_000 => Self::Slow,
            _ => Self::VerySlow,
        }
    }

    /// `fast`, `normal`, `slow` or `very_slow`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Normal => "normal",
            Self::Slow => "slow",
            Self::VerySlow => "very_slow",
        }
    }
}

/// What an error rate, from 0 to 1, means.
pub(crate) fn status_of(error_rate: f64) -> Status {
    if error_rate >= CRITICAL_ERROR_RATE {
        Status::Critical
    } else if error_rate >= DEGRADED_ERROR_RATE {
        Status::Degraded
    } else {
        Status::Healthy
    }
}

/// Totals since recording was started. Its `Display` is the text for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Operations that ended. Where only a share of traces is recorded this is an estimate: what was recorded, by
    /// the share.
    pub total_operations: u64,
    /// Of those, the ones that failed.
    pub failed_operations: u64,
    /// Operations that were recorded.
    pub recorded_operations: u64,
    /// The share of traces that is recorded, from 0 to 1.
    pub sample_ratio: f64,
    /// Failed operations by all operations; 0 when there was none.
    pub error_rate: f64,
    /// What the error rate means.
    pub status: Status,
    /// Recorded operations by how long they took, fastest first.
    pub by_speed: [(Speed, u64); 4],
    /// Logs recorded.
    pub logs: u64,
    /// Typed events recorded.
    pub events: u64,
    /// Records that were not kept, by reason. Reasons that lost nothing are left out.
    pub lost: Vec<(Lost, u64)>,
    /// Processor time that the library's own threads used, by that of the whole process. What recording costs the
    /// program's own threads is not in it: that is measured by running the program with and without recording. There
    /// is no number before the process has used a second of processor time: most of the first is for starting.
    pub overhead: Reading<f64>,
}

impl Default for Report {
    fn default() -> Self {
        Tally::default().report(1.0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} operations, {} failed ({:.1} %); {} logs, {} events",
            self.status.label(),
            self.total_operations,
            self.failed_operations,
            self.error_rate * 100.0,
            self.logs,
            self.events
        )?;
        if self.recorded_operations != self.total_operations {
            writeln!(
                f,
                "estimated from {} recorded operations, {} of all traces",
                self.recorded_operations, self.sample_ratio
            )?;
        }
        f.write_str("by speed:")?;
        for (speed, operations) in self.by_speed {
            write!(f, " {} {operations}", speed.label())?;
        }
        if let Some(share) = self.overhead.value() {
            write!(f, "\noverhead: {:.2} % of processor time", share * 100.0)?;
        } else {
            let why = self.overhead.provenance().detail();
            write!(f, "\noverhead: {}", why.unwrap_or("not known"))?;
        }
        if self.lost.is_empty() {
            return f.write_str("\nnothing was lost");
        }
        f.write_str("\nlost:")?;
        for (reason, records) in &self.lost {
            write!(f, " {} {records}", reason.label())?;
        }
        Ok(())
    }
}

/// Counts records on their way out.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    failed: AtomicU64,
    by_speed: [AtomicU64; 4],
    logs: AtomicU64,
    events: AtomicU64,
}

impl Tally {
    pub(crate) fn report(&self, sample_ratio: f64) -> Report {
        let mut recorded = 0;
        let by_speed = Speed::ALL.map(|speed| {
            let operations = self.by_speed[speed as usize].load(Relaxed);
            recorded += operations;
            (speed, operations)
        });
        let failed = self.failed.load(Relaxed);
        let error_rate = if recorded == 0 {
            0.0
        } else {
            failed as f64 / recorded as f64
        };
        let all = |recorded: u64| {
            if sample_ratio > 0.0 && sample_ratio < 1.0 {
                (recorded as f64 / sample_ratio).round() as u64
            } else {
                recorded
            }
        };
        Report {
            total_operations: all(recorded),
            failed_operations: all(failed),
            recorded_operations: recorded,
            sample_ratio,
            error_rate,
            status: status_of(error_rate),
            by_speed,
            logs: self.logs.load(Relaxed),
            events: self.events.load(Relaxed),
            lost: loss::report(),
            overhead: host::own_share(),
        }
    }

    fn count(&self, batch: &Batch) {
        let (mut by_speed, mut failed) = ([0; 4], 0);
        for span in batch.spans() {
            let duration_ns = span.end_unix_ns() - span.start_unix_ns();
            by_speed[Speed::of_ns(duration_ns) as usize] += 1;
            failed += u64::from(span.overrides().ok == Some(false));
        }
        for (total, spans) in self.by_speed.iter().zip(by_speed) {
            total.fetch_add(spans, Relaxed);
        }
        self.failed.fetch_add(failed, Relaxed);
        let counts = batch.counts();
        self.logs.fetch_add(counts.logs as u64, Relaxed);
        self.events.fetch_add(counts.events as u64, Relaxed);
    }
}

/// Feeds a [`Tally`] from the pump.
pub(crate) struct TallyConsumer(pub(crate) Arc<Tally>);

impl Consumer for TallyConsumer {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.0.count(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_speeds() {
        for (duration_us, speed) in [
            (999, Speed::Fast),
            (1_000, Speed::Normal),
            (9_999, Speed::Normal),
            (10_000, Speed::Slow),
            (100_000, Speed::Slow),
            (100_001, Speed::VerySlow),
        ] {
            assert_eq!(Speed::of_ns(duration_us * 1_000), speed, "{duration_us} us");
        }
    }

    #[test]
    fn ten_operations_of_which_one_failed() {
        let tally = Tally::default();
        tally.by_speed[0].store(7, Relaxed);
        tally.by_speed[3].store(3, Relaxed);
        tally.failed.store(1, Relaxed);
        let report = tally.report(1.0);
        assert_eq!((report.total_operations, report.failed_operations), (10, 1));
        assert!((report.error_rate - 0.1).abs() < 1e-12);
        assert_eq!(report.status, Status::Degraded);
        assert_eq!(status_of(0.049), Status::Healthy);
        assert_eq!(status_of(0.5), Status::Critical);
        let report = Report {
            lost: vec![(Lost::QueueFull, 4)],
            overhead: Reading::derived(0.0012),
            ..report
        };
        insta::assert_snapshot!(report, @"
        degraded: 10 operations, 1 failed (10.0 %); 0 logs, 0 events
        by speed: fast 7 normal 0 slow 0 very_slow 3
        overhead: 0.12 % of processor time
        lost: queue_full 4
        ");
        let report = Report {
            overhead: Reading::unsupported("too short to tell"),
            ..report
        };
        assert!(
            report
                .to_string()
                .contains("\noverhead: too short to tell\n")
        );
        let tenth = tally.report(0.1);
        assert_eq!((tenth.total_operations, tenth.failed_operations), (100, 10));
        assert_eq!(tenth.recorded_operations, 10);
        assert_eq!(Report::default().error_rate.to_bits(), 0);
    }
}
