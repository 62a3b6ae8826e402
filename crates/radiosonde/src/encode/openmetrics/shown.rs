//! What is shown of a snapshot, in whatever format: families by name, each with the metrics that are its.
//!
//! Invariant: no two samples that are handed out have the same name and labels to Prometheus. What would is counted as
//! [`Lost::MetricConflict`].

use std::collections::HashSet;

use radiosonde_core::{
    loss::{self, Lost},
    metrics::snapshot::{Data, Metric, Snapshot},
};

use super::{
    Alias,
    labels::Reserved,
    names::{self, Family},
    twins,
};

/// A metric under one of its names.
pub(in crate::encode) struct View<'a> {
    pub(in crate::encode) family: Family,
    pub(in crate::encode) metric: &'a Metric,
    /// What its values are multiplied by.
    pub(in crate::encode) times: f64,
    is_alias: bool,
    /// Label names that its samples need for themselves.
    pub(in crate::encode) reserved: &'static [&'static str],
    /// Series that are not shown, by their place.
    twins: HashSet<usize>,
}

impl<'a> View<'a> {
    fn new(metric: &'a Metric, alias: Option<&Alias>, reserved: Reserved) -> Self {
        Self {
            family: alias.map_or_else(
                || Family::of(metric),
                |alias| Family::aliased(alias, metric),
            ),
            metric,
            times: alias.map_or(1.0, |alias| alias.times),
            is_alias: alias.is_some(),
            reserved: reserved.of(metric),
            twins: HashSet::new(),
        }
    }

    fn order(&self) -> (&str, bool) {
        (&self.family.name, self.is_alias)
    }

    /// Whether the series at `place` of the metric is shown.
    pub(in crate::encode) fn shows(&self, place: usize) -> bool {
        self.twins.is_empty() || !self.twins.contains(&place)
    }
}

/// About how many lines the metrics of a snapshot take.
pub(super) fn lines(snapshot: &Snapshot) -> usize {
    let lines = snapshot.metrics.iter().map(|metric| match &metric.data {
        Data::Counter(series) | Data::UpDownCounter(series) | Data::Gauge(series) => series.len(),
        Data::Histogram(series) => series.len() * 32,
    });
    lines.sum()
}

/// Hands each family to `take`, by name: the metrics whose names are the same to Prometheus, one at least.
pub(in crate::encode) fn families<'a>(
    snapshot: &'a Snapshot,
    aliases: &[Alias],
    reserved: Reserved,
    mut take: impl FnMut(&[View<'a>]),
) {
    let of_metric = |metric: &'a Metric| {
        let aliases = aliases.iter().filter(|alias| alias.of == metric.name);
        let aliases = aliases.map(move |alias| View::new(metric, Some(alias), reserved));
        std::iter::once(View::new(metric, None, reserved)).chain(aliases)
    };
    let mut views: Vec<_> = snapshot.metrics.iter().flat_map(of_metric).collect();
    // A metric's own name before another's alias.
    views.sort_by(|left, right| left.order().cmp(&right.order()));
    let mut names = Names::new();
    let mut views = views.into_iter().peekable();
    while let Some(first) = views.next() {
        let mut family = vec![first];
        while let Some(next) = views.next_if(|next| next.family.name == family[0].family.name) {
            family.push(next);
        }
        if names.take(&family[0].family) {
            take(&one_of_each(family));
        } else {
            loss::count(Lost::MetricConflict, family.len() as u64);
        }
    }
}

/// Those of `family` that have no series in common with one before, each without series that would be shown twice.
fn one_of_each(family: Vec<View<'_>>) -> Vec<View<'_>> {
    let mut kept: Vec<View<'_>> = Vec::with_capacity(family.len());
    let mut shown = HashSet::new();
    let is_one = family.len() == 1;
    for mut view in family {
        if !is_one {
            let sets = twins::label_sets(view.metric, view.reserved);
            if let Some(first) = kept.first()
                && (view.family.kind != first.family.kind
                    || sets.iter().any(|set| shown.contains(set)))
            {
                loss::count(Lost::MetricConflict, 1);
                continue;
            }
            shown.extend(sets);
        }
        view.twins = twins::of(view.metric, view.reserved);
        loss::count(Lost::MetricConflict, view.twins.len() as u64);
        kept.push(view);
    }
    kept
}

/// Names that samples have so far.
struct Names(HashSet<String>);

impl Names {
    /// With those of the resource.
    fn new() -> Self {
        let mut names = Self(HashSet::new());
        names.take(&names::target());
        names
    }

    /// Takes the names of a family's samples. `false` where one is taken, and then takes none.
    fn take(&mut self, family: &Family) -> bool {
        let suffixes = family.kind.name_suffixes();
        let all = suffixes
            .iter()
            .map(|suffix| format!("{}{suffix}", family.name));
        let all: Vec<_> = all.collect();
        let is_free = all.iter().all(|name| !self.0.contains(name));
        if is_free {
            self.0.extend(all);
        }
        is_free
    }
}
