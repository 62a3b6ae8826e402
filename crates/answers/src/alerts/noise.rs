//! How noisy a rule is: how often it told people of what was over before they could act, and what would have halved that.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Change, Condition, Labels, Limit, Phase, Point, Rule, measure::ns};

/// What is over in less than this was nothing that anybody could act upon.
pub const SHORT: Duration = Duration::from_secs(300);
/// What fires again within this after it was resolved was not over.
pub const FLAP: Duration = Duration::from_secs(600);
/// Steps in which a longer `for` is suggested.
const FOR_STEP: Duration = Duration::from_secs(15);

/// How noisy a rule is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Noise {
    /// How often an alert of it fired.
    pub fired: usize,
    /// How often one of them was over within [`SHORT`].
    pub short: usize,
    /// How often one of them fired again within [`FLAP`] after it was resolved.
    pub flapped: usize,
    /// The share of them that were either, from 0 (each was worth it) to 1 (none was).
    pub score: f64,
    /// How long one fired in the median, in nanoseconds, of those that are over.
    pub median_ns: Option<u64>,
    /// What would have halved it; nothing where it fired once or never.
    pub suggestions: Vec<Suggestion>,
}

/// What would have let a rule fire half as often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// A longer `for`.
    For {
        /// That, in nanoseconds.
        for_ns: u64,
        /// How often it would have fired.
        fires: usize,
    },
    /// A limit further out.
    Limit {
        /// That, in the metric's unit.
        limit: f64,
        /// How often it would have fired.
        fires: usize,
    },
}

/// A time for which an alert fired.
struct Episode<'c> {
    labels: &'c Labels,
    started_unix_ns: u64,
    fired_unix_ns: u64,
    /// `None` while it fires.
    resolved_unix_ns: Option<u64>,
}

/// How noisy a rule is by its changes, in the order in which they came; `values` are what its alerts' values were, by the
/// alerts' labels and by time, as far as that is known: without them no limit is suggested.
pub fn noise(rule: &Rule, changes: &[Change], values: &BTreeMap<Labels, Vec<Point>>) -> Noise {
    let episodes = episodes(rule, changes);
    let is_short = |episode: &Episode<'_>| {
        let fired = episode
            .resolved_unix_ns
            .map(|end| end.saturating_sub(episode.fired_unix_ns));
        fired.is_some_and(|fired| fired < ns(SHORT))
    };
    let flapping = flapping(&episodes);
    let short = episodes.iter().filter(|episode| is_short(episode)).count();
    let noisy = episodes
        .iter()
        .zip(&flapping)
        .filter(|(episode, flaps)| **flaps || is_short(episode))
        .count();
    let fired = episodes.len();
    let mut told = Noise {
        fired,
        short,
        flapped: flapping.iter().filter(|flaps| **flaps).count(),
        score: if fired == 0 {
            0.0
        } else {
            noisy as f64 / fired as f64
        },
        median_ns: median_ns(&episodes),
        suggestions: Vec::new(),
    };
    if fired > 1 {
        told.suggestions.extend(longer_for(rule, &episodes));
        told.suggestions
            .extend(further_limit(rule, &episodes, values));
    }
    told
}

fn episodes<'c>(rule: &Rule, changes: &'c [Change]) -> Vec<Episode<'c>> {
    let mut episodes: Vec<Episode<'c>> = Vec::new();
    let mut open: BTreeMap<&Labels, usize> = BTreeMap::new();
    let own = changes
        .iter()
        .filter(|change| change.alert.name() == rule.name);
    for Change { alert, .. } in own {
        match alert.phase {
            Phase::Firing if !open.contains_key(&alert.labels) => {
                open.insert(&alert.labels, episodes.len());
                episodes.push(Episode {
                    labels: &alert.labels,
                    started_unix_ns: alert.started_unix_ns,
                    fired_unix_ns: alert.fired_unix_ns.unwrap_or(alert.started_unix_ns),
                    resolved_unix_ns: None,
                });
            }
            Phase::Resolved => {
                if let Some(index) = open.remove(&alert.labels) {
                    episodes[index].resolved_unix_ns = alert.resolved_unix_ns;
                }
            }
            Phase::Firing | Phase::Pending => {}
        }
    }
    episodes
}

/// Which of them fired again too soon.
fn flapping(episodes: &[Episode<'_>]) -> Vec<bool> {
    let mut ended: BTreeMap<&Labels, u64> = BTreeMap::new();
    let mut flapping = Vec::with_capacity(episodes.len());
    for episode in episodes {
        let before = ended.get(episode.labels);
        flapping
            .push(before.is_some_and(|end| episode.fired_unix_ns.saturating_sub(*end) < ns(FLAP)));
        if let Some(end) = episode.resolved_unix_ns {
            ended.insert(episode.labels, end);
        }
    }
    flapping
}

fn median_ns(episodes: &[Episode<'_>]) -> Option<u64> {
    let over = episodes.iter().filter_map(|episode| {
        Some(
            episode
                .resolved_unix_ns?
                .saturating_sub(episode.fired_unix_ns),
        )
    });
    let mut over: Vec<u64> = over.collect();
    over.sort_unstable();
    over.get(over.len() / 2).copied()
}

/// The shortest `for` that half of them did not last for, in whole steps. One that fires still may last for ever.
fn longer_for(rule: &Rule, episodes: &[Episode<'_>]) -> Option<Suggestion> {
    let lasted = episodes.iter().map(|episode| {
        episode.resolved_unix_ns.map_or(u64::MAX, |end| {
            // It was over before it was resolved.
            end.saturating_sub(episode.started_unix_ns)
                .saturating_sub(ns(rule.keep_firing_for))
        })
    });
    let mut lasted: Vec<u64> = lasted.collect();
    lasted.sort_unstable();
    // Half of them, or the larger half of an odd number, have to be over by then.
    let last = lasted[lasted.len().div_ceil(2) - 1];
    let step = ns(FOR_STEP);
    let for_ns = (last / step + 1).checked_mul(step)?;
    let fires = lasted.iter().filter(|lasted| **lasted >= for_ns).count();
    (last < u64::MAX / 2).then_some(Suggestion::For { for_ns, fires })
}

/// The nearest limit that half of them did not cross.
fn further_limit(
    rule: &Rule,
    episodes: &[Episode<'_>],
    values: &BTreeMap<Labels, Vec<Point>>,
) -> Option<Suggestion> {
    let Condition::Threshold(threshold) = &rule.condition else {
        return None;
    };
    let limit = threshold.limit;
    let sign = if limit.is_upper() { 1.0 } else { -1.0 };
    let peaks: Option<Vec<f64>> = episodes
        .iter()
        .map(|episode| {
            let until = episode.resolved_unix_ns.unwrap_or(u64::MAX);
            let during = values
                .get(episode.labels)?
                .iter()
                .filter(|point| (episode.started_unix_ns..=until).contains(&point.time_unix_ns));
            during.map(|point| sign * point.value).reduce(f64::max)
        })
        .collect();
    let mut peaks = peaks?;
    peaks.sort_by(f64::total_cmp);
    let half = peaks[peaks.len().div_ceil(2) - 1];
    if half == 0.0 || !half.is_finite() {
        return None;
    }
    let next = further(half, limit);
    let fires = peaks
        .iter()
        .filter(|peak| next.is_crossed_by(sign * **peak))
        .count();
    Some(Suggestion::Limit {
        limit: next.value(),
        fires,
    })
}

/// The nearest limit of three digits, on the side of `limit`, that `sign * peak` does not cross.
fn further(peak: f64, limit: Limit) -> Limit {
    let sign = if limit.is_upper() { 1.0 } else { -1.0 };
    // Divided and not multiplied by a fraction, so that a limit reads as it is meant.
    let digits = 2 - peak.abs().log10().floor() as i32;
    let round = |steps: f64| {
        if digits >= 0 {
            steps / 10_f64.powi(digits)
        } else {
            steps * 10_f64.powi(-digits)
        }
    };
    let steps = (peak * 10_f64.powi(digits)).ceil();
    let next = limit.at(sign * round(steps));
    if next.is_crossed_by(sign * peak) {
        limit.at(sign * round(steps + 1.0))
    } else {
        next
    }
}

#[cfg(test)]
mod tests;
