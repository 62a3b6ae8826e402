//! Who was measured once, and is not any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alerts::{
    Absence, Labels, Series,
    measure::{group, ns},
};

/// Groups of one rule that are remembered at most.
const GROUPS_MAX: usize = 10_000;
/// A group that was not measured for so long is forgotten.
const FORGET_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// When each group was measured last, in nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::alerts) struct Absent {
    groups: Vec<(Labels, u64)>,
}

impl Absent {
    /// The groups that were not measured for as long as the rule says, in the order of their labels. What was never measured
    /// counts from when it was asked for first.
    pub(super) fn absent(
        &mut self,
        absence: &Absence,
        series: &[Series<'_>],
        now: u64,
    ) -> Vec<Labels> {
        let mut groups: BTreeMap<Labels, u64> =
            std::mem::take(&mut self.groups).into_iter().collect();
        if absence.by.is_none() {
            groups.entry(absence.of.certain()).or_insert(now);
        }
        for series in series {
            let Some(last) = series.points.last_unix_ns() else {
                continue;
            };
            let labels = match &absence.by {
                Some(by) => group(&series.labels, by),
                None => absence.of.certain(),
            };
            let has_room = groups.len() < GROUPS_MAX;
            match groups.get_mut(&labels) {
                Some(known) => *known = last.max(*known),
                None if has_room => drop(groups.insert(labels, last)),
                None => {}
            }
        }
        let since = ns(absence.since);
        if absence.by.is_some() {
            groups.retain(|_, last| now.saturating_sub(*last) < FORGET_NS.saturating_add(since));
        }
        self.groups = groups.into_iter().collect();
        let absent = self
            .groups
            .iter()
            .filter(|(_, last)| now.saturating_sub(*last) >= since);
        absent.map(|(labels, _)| labels.clone()).collect()
    }

    /// Counts from `now` for every group but those that `is_told` says it is told of already: nobody could measure in the
    /// time in which nobody ran.
    pub(in crate::alerts) fn resume(&mut self, now: u64, is_told: impl Fn(&Labels) -> bool) {
        for (labels, last) in &mut self.groups {
            if !is_told(labels) {
                *last = now;
            }
        }
    }
}
