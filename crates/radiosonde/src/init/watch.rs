//! Radiosonde's own health checks: what can be told from what was recorded, and of the host.
//!
//! Three sum up what happened since the last look, so one look is enough; three are levels over a reading, which end lower
//! than they begin. Only two decide whether requests are sent here: operations that mostly fail, and a queue that is full.
//! The host's memory and a device are shared with others, so a program that steps aside for them would take all others
//! beside it along.

mod readings;

use std::{sync::Arc, time::Duration};

use radiosonde_core::loss::{self, Lost};

use self::readings::{Device, Memory, Queues};
use super::{InitError, running::Running};
use crate::{
    health::{Affects, CheckError, CheckOptions, Health, Outcome, Patience, Status},
    report::{self, Report},
};

/// Fewer operations than this say nothing about an error rate.
const OPERATIONS_MIN: u64 = 10;

/// How long a look of ours may take: reading metrics asks code of the program.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Every check of ours.
const NAMES: [&str; 6] = [
    "operations",
    "records",
    "exporters",
    "memory",
    "queues",
    "device",
];

/// Registers the checks. None holds `running`, which holds them.
pub(super) fn start(running: &Running) -> Result<(), InitError> {
    let options = |affects| CheckOptions {
        interval: running.config.health.check_interval,
        timeout: TIMEOUT,
        affects,
        patience: Patience::NONE,
        hanging: Status::Unknown,
    };
    let health = &running.health;
    let register = || -> Result<(), CheckError> {
        let (tally, sample_ratio) = (Arc::clone(&running.tally), running.config.sample_ratio());
        let mut operations = Operations::default();
        let look = move || operations.look(&tally.report(sample_ratio));
        health.check(NAMES[0], options(Affects::READINESS), look)?;
        let mut records = Records::new();
        let look = move || records.look(loss::report());
        health.check(NAMES[1], options(Affects::NOTHING), look)?;
        let exporters = running.exporters.clone();
        let look = move || delivering(&exporters.failing(), exporters.count());
        health.check(NAMES[2], options(Affects::NOTHING), look)?;
        let mut memory = Memory::new();
        health.check(NAMES[3], options(Affects::NOTHING), move || memory.look())?;
        let mut queues = Queues::new();
        health.check(NAMES[4], options(Affects::READINESS), move || queues.look())?;
        let mut device = Device::new();
        health.check(NAMES[5], options(Affects::NOTHING), move || device.look())
    };
    register().map_err(|error| match error {
        CheckError::Thread(error) => InitError::Thread(error),
        full @ CheckError::Full { .. } => InitError::Thread(std::io::Error::other(full)),
    })
}

/// Forgets them: nothing is recorded any more that they could tell of.
pub(super) fn stop(health: &Health) {
    for name in NAMES {
        health.remove(name);
    }
}

/// Operations as the last look saw them.
#[derive(Default)]
struct Operations {
    all: u64,
    failed: u64,
}

impl Operations {
    fn look(&mut self, report: &Report) -> Outcome {
        let (all, failed) = (report.total_operations, report.failed_operations);
        let (new, new_failed) = (
            all.saturating_sub(self.all),
            failed.saturating_sub(self.failed),
        );
        (self.all, self.failed) = (all, failed);
        if new < OPERATIONS_MIN {
            let few = format!("{new} operations ended: too few to tell an error rate");
            return Outcome::new(Status::Healthy, few);
        }
        let rate = new_failed as f64 / new as f64;
        let message = format!("{new_failed} of {new} operations failed");
        Outcome::new(report::status_of(rate), message)
    }
}

/// Losses as the last look saw them.
struct Records(Vec<(Lost, u64)>);

impl Records {
    /// Losses before now are somebody else's.
    fn new() -> Self {
        Self(loss::report())
    }

    fn look(&mut self, lost: Vec<(Lost, u64)>) -> Outcome {
        let mut parts = Vec::new();
        for &(reason, records) in &lost {
            let before = self.0.iter().find(|(other, _)| *other == reason);
            let new = records.saturating_sub(before.map_or(0, |&(_, records)| records));
            if new > 0 {
                parts.push(format!("{new} ({})", reason.label()));
            }
        }
        self.0 = lost;
        if parts.is_empty() {
            Outcome::new(Status::Healthy, "none was lost")
        } else {
            Outcome::new(Status::Degraded, format!("lost: {}", parts.join(", ")))
        }
    }
}

fn delivering(failing: &[(&str, String)], all: usize) -> Outcome {
    if failing.is_empty() {
        return Outcome::new(Status::Healthy, format!("{all} of {all} deliver"));
    }
    let said: Vec<_> = failing
        .iter()
        .map(|(name, error)| format!("{name}: {error}"))
        .collect();
    Outcome::new(Status::Degraded, said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: Status, message: &str) -> Outcome {
        Outcome::new(status, message)
    }

    #[test]
    fn an_error_rate_is_that_of_what_ended_since_the_last_look() {
        let mut operations = Operations::default();
        let mut look = |total_operations, failed_operations| {
            operations.look(&Report {
                total_operations,
                failed_operations,
                ..Report::default()
            })
        };
        assert_eq!(look(9, 9).status, Status::Healthy);
        assert_eq!(
            look(109, 9),
            outcome(Status::Healthy, "0 of 100 operations failed")
        );
        assert_eq!(
            look(129, 10),
            outcome(Status::Degraded, "1 of 20 operations failed")
        );
        assert_eq!(
            look(149, 20),
            outcome(Status::Critical, "10 of 20 operations failed")
        );
        assert_eq!(look(169, 20).status, Status::Healthy);
    }

    #[test]
    fn losses_and_failing_exporters_degrade_until_they_are_over() {
        let mut records = Records(vec![(Lost::QueueFull, 2)]);
        let lost = || vec![(Lost::QueueFull, 5), (Lost::Rejected, 1)];
        assert_eq!(
            records.look(lost()),
            outcome(Status::Degraded, "lost: 3 (queue_full), 1 (rejected)")
        );
        assert_eq!(records.look(lost()).status, Status::Healthy);
        assert_eq!(
            delivering(&[("otlp", "no answer".to_owned())], 2),
            outcome(Status::Degraded, "otlp: no answer")
        );
        assert_eq!(
            delivering(&[], 2),
            outcome(Status::Healthy, "2 of 2 deliver")
        );
    }
}
