//! Inhibition: one alert that fires says enough, and others that follow from it are not told of.
//!
//! Sources are kept by the values of the labels that have to be equal, so that asking for a target costs one look for each
//! rule, however many alerts fire.

use std::collections::BTreeMap;

use super::{
    super::{Alert, Labels, Phase},
    matcher::{Matcher, all_match},
};

/// While an alert fires that the source's matchers match, those that the target's match are not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inhibition {
    pub(super) source: Vec<Matcher>,
    pub(super) target: Vec<Matcher>,
    /// Labels whose values both have in common; one that neither has is in common.
    pub(super) equal: Vec<String>,
}

impl Inhibition {
    fn values(&self, labels: &Labels) -> Vec<String> {
        let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
        self.equal.iter().map(value).collect()
    }
}

/// Which alerts are sources, for each rule by its values.
#[derive(Clone, Debug, Default)]
pub(super) struct Inhibitor {
    /// Of each rule: values to sources, and whether the rule means each as a target too.
    sources: Vec<BTreeMap<Vec<String>, BTreeMap<u64, bool>>>,
    /// Changes when a source goes away, so that whoever was hidden is looked at again.
    version: u64,
}

impl Inhibitor {
    pub(super) fn new(rules: &[Inhibition]) -> Self {
        Self {
            sources: vec![BTreeMap::new(); rules.len()],
            version: 0,
        }
    }

    /// Takes in that an alert fires or is resolved.
    pub(super) fn take(&mut self, rules: &[Inhibition], alert: &Alert) {
        for (rule, sources) in rules.iter().zip(&mut self.sources) {
            if !all_match(&rule.source, &alert.labels) {
                continue;
            }
            let values = rule.values(&alert.labels);
            let fingerprint = alert.fingerprint();
            if alert.phase == Phase::Firing {
                let is_target = all_match(&rule.target, &alert.labels);
                sources
                    .entry(values)
                    .or_default()
                    .insert(fingerprint, is_target);
            } else if let Some(same) = sources.get_mut(&values) {
                self.version += u64::from(same.remove(&fingerprint).is_some());
                if same.is_empty() {
                    sources.remove(&values);
                }
            }
        }
    }

    /// The rule by which an alert is inhibited, by its place, and the source. An alert that a rule means on both sides is
    /// not inhibited by another of that kind, and so never by itself (Alertmanager does the same).
    pub(super) fn by(&self, rules: &[Inhibition], labels: &Labels) -> Option<(usize, u64)> {
        rules
            .iter()
            .zip(&self.sources)
            .enumerate()
            .find_map(|(index, (rule, sources))| {
                // A look at the sources first: rules without any cost nothing.
                if sources.is_empty() || !all_match(&rule.target, labels) {
                    return None;
                }
                let is_source = all_match(&rule.source, labels);
                let same = sources.get(&rule.values(labels))?;
                let (fingerprint, _) = same
                    .iter()
                    .find(|(_, is_target)| !(is_source && **is_target))?;
                Some((index, *fingerprint))
            })
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }
}
