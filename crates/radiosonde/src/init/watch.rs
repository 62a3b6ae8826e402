//! Radiosonde's own health checks: what can be told from what was recorded.

use radiosonde_core::loss::{self, Lost};

use super::running::Running;
use crate::{
    health::{Health, Status},
    report::{self, Report},
};

/// Fewer operations than this say nothing about an error rate.
const OPERATIONS_MIN: u64 = 10;

/// What the last look saw.
#[derive(Default)]
pub(super) struct Watch {
    operations: u64,
    failed: u64,
    lost: Vec<(Lost, u64)>,
}

impl Watch {
    /// Nothing seen; losses before now are somebody else's.
    pub(super) fn new() -> Self {
        Self {
            lost: loss::report(),
            ..Self::default()
        }
    }

    /// Updates the checks with what happened since the last look.
    pub(super) fn look(&mut self, running: &Running) {
        let health = &running.health;
        self.operations(&running.report(), health);
        self.records(loss::report(), health);
        exporters(
            &running.exporters.failing(),
            running.exporters.count(),
            health,
        );
    }

    fn operations(&mut self, report: &Report, health: &Health) {
        let (all, failed) = (report.total_operations, report.failed_operations);
        let (new, new_failed) = (
            all.saturating_sub(self.operations),
            failed.saturating_sub(self.failed),
        );
        (self.operations, self.failed) = (all, failed);
        let (status, message) = if new < OPERATIONS_MIN {
            (
                Status::Healthy,
                format!("{new} operations ended: too few to tell an error rate"),
            )
        } else {
            let rate = new_failed as f64 / new as f64;
            let message = format!("{new_failed} of {new} operations failed");
            (report::status_of(rate), message)
        };
        health.update("operations", status, message);
    }

    fn records(&mut self, lost: Vec<(Lost, u64)>, health: &Health) {
        let mut parts = Vec::new();
        for &(reason, records) in &lost {
            let before = self.lost.iter().find(|(other, _)| *other == reason);
            let new = records.saturating_sub(before.map_or(0, |&(_, records)| records));
            if new > 0 {
                parts.push(format!("{new} ({})", reason.label()));
            }
        }
        self.lost = lost;
        if parts.is_empty() {
            health.update("records", Status::Healthy, "none was lost");
        } else {
            health.update(
                "records",
                Status::Degraded,
                format!("lost: {}", parts.join(", ")),
            );
        }
    }
}

fn exporters(failing: &[(&str, String)], all: usize, health: &Health) {
    if failing.is_empty() {
        let message = format!("{all} of {all} deliver");
        health.update("exporters", Status::Healthy, message);
        return;
    }
    let said: Vec<_> = failing
        .iter()
        .map(|(name, error)| format!("{name}: {error}"))
        .collect();
    health.update("exporters", Status::Degraded, said.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(health: &Health, name: &str) -> (Status, String) {
        let checks = health.report().checks;
        let check = checks.into_iter().find(|check| check.name == name).unwrap();
        (check.status, check.message)
    }

    #[test]
    fn an_error_rate_is_that_of_what_ended_since_the_last_look() {
        let (mut watch, health) = (Watch::default(), Health::new());
        let mut look = |total_operations, failed_operations| {
            let report = Report {
                total_operations,
                failed_operations,
                ..Report::default()
            };
            watch.operations(&report, &health);
            seen(&health, "operations")
        };
        assert_eq!(look(9, 9).0, Status::Healthy);
        assert_eq!(
            look(109, 9),
            (Status::Healthy, "0 of 100 operations failed".to_owned())
        );
        assert_eq!(
            look(129, 10),
            (Status::Degraded, "1 of 20 operations failed".to_owned())
        );
        assert_eq!(
            look(149, 20),
            (Status::Critical, "10 of 20 operations failed".to_owned())
        );
        assert_eq!(look(169, 20).0, Status::Healthy);
    }

    #[test]
    fn losses_and_failing_exporters_degrade_until_they_are_over() {
        let (mut watch, health) = (Watch::default(), Health::new());
        watch.lost = vec![(Lost::QueueFull, 2)];
        watch.records(vec![(Lost::QueueFull, 5), (Lost::Rejected, 1)], &health);
        let lost = "lost: 3 (queue_full), 1 (rejected)".to_owned();
        assert_eq!(seen(&health, "records"), (Status::Degraded, lost));
        watch.records(vec![(Lost::QueueFull, 5), (Lost::Rejected, 1)], &health);
        assert_eq!(seen(&health, "records").0, Status::Healthy);
        exporters(&[("otlp", "no answer".to_owned())], 2, &health);
        assert_eq!(
            seen(&health, "exporters"),
            (Status::Degraded, "otlp: no answer".to_owned())
        );
        exporters(&[], 2, &health);
        assert_eq!(
            seen(&health, "exporters"),
            (Status::Healthy, "2 of 2 deliver".to_owned())
        );
    }
}
