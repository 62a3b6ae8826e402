//! Which series the last snapshot had, so that those that are gone can be told to have ended.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use radiosonde_core::metrics::snapshot::{Labels, Series};

use crate::encode::openmetrics::{names::Kind, shown::View, twins::label_set};

/// What the samples of a series are.
#[derive(Debug)]
pub(super) enum Form {
    /// One number.
    Number,
    /// One native histogram.
    Native,
    /// Buckets with these bounds, sum and count.
    Classic(Arc<[String]>),
}

/// The series of one metric that were written under one name.
#[derive(Debug)]
pub(super) struct Written {
    /// Of the samples, or of the family where that has several.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) form: Form,
    pub(super) reserved: &'static [&'static str],
    labels: Vec<Labels>,
}

impl Written {
    pub(super) fn new<T>(view: &View<'_>, name: String, form: Form, all: &[Series<T>]) -> Self {
        let shown = all.iter().enumerate().filter(|&(at, _)| view.shows(at));
        Self {
            name,
            kind: view.family.kind,
            form,
            reserved: view.reserved,
            labels: shown
                .map(|(_, series)| Arc::clone(&series.labels))
                .collect(),
        }
    }

    /// What samples of the same series have in common.
    fn key(&self) -> (&str, bool) {
        (&self.name, matches!(self.form, Form::Native))
    }

    fn has_series_of(&self, other: &Self) -> bool {
        let mut pairs = self.labels.iter().zip(&other.labels);
        self.labels.len() == other.labels.len()
            && pairs.all(|(one, other)| Arc::ptr_eq(one, other) || one == other)
    }
}

/// The series of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Last(Vec<Written>);

impl Last {
    /// No native histogram is sent any more, stale markers among them.
    pub(super) fn forget_native(&mut self) {
        self.0
            .retain(|written| !matches!(written.form, Form::Native));
    }

    /// Takes the series of the next snapshot, and hands to `end` those that it has no more.
    pub(super) fn replace(&mut self, now: Vec<Written>, mut end: impl FnMut(&Written, &Labels)) {
        let mut by_name: HashMap<_, Vec<&Written>> = HashMap::new();
        for written in &now {
            by_name.entry(written.key()).or_default().push(written);
        }
        for old in &self.0 {
            let same = by_name.get(&old.key()).map_or(&[][..], Vec::as_slice);
            if let [one] = same
                && one.has_series_of(old)
            {
                continue;
            }
            let all = same.iter().flat_map(|written| &written.labels);
            let there: HashSet<_> = all.map(|labels| label_set(labels, old.reserved)).collect();
            for labels in &old.labels {
                if !there.contains(&label_set(labels, old.reserved)) {
                    end(old, labels);
                }
            }
        }
        self.0 = now;
    }
}
