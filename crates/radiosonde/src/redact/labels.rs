//! Labels of metrics without secrets.
//!
//! Series that differ in a secret alone stay apart: what stands in place of the second secret has a number, which this process
//! gives and keeps. So no series is sent twice with one set of labels, and none is added to another.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use radiosonde_core::{
    ValueRef,
    hash::FoldState,
    metrics::snapshot::{Data, Labels, Series, Snapshot},
    model::Value,
};

use super::{Redaction, names::Sensitivities};

/// Most secrets that have a number; beyond them all have the same.
const NUMBERS_MAX: usize = 16_384;

/// What this process knows of labels and of the secrets in them.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Texts are known by hashes that nobody outside can compute, so that none is kept.
#[derive(Default)]
struct Known {
    names: Sensitivities,
    hasher: FoldState,
    /// How many secrets a text stands in place of.
    used: HashMap<u64, usize, FoldState>,
    /// The how many-th a secret is of those in whose place the same text stands.
    numbers: HashMap<(u64, u64), usize, FoldState>,
}

impl Known {
    fn clean<T>(&mut self, redaction: &Redaction, all: &mut [Series<T>]) {
        for one in all {
            if let Some(labels) = self.labels(redaction, &one.labels) {
                one.labels = labels;
            }
        }
    }

    /// `labels` without secrets, where they have any.
    fn labels(&mut self, redaction: &Redaction, labels: &Labels) -> Option<Labels> {
        let mut clean: Option<Vec<_>> = None;
        for (at, (name, value)) in labels.iter().enumerate() {
            if let Some(text) = self.replacement(redaction, name, value) {
                let text = self.apart(text, value);
                clean.get_or_insert_with(|| labels.to_vec())[at].1 = Value::from(text);
            }
        }
        clean.map(Arc::from)
    }

    /// What stands in place of a value that is or has a secret.
    fn replacement(
        &mut self,
        redaction: &Redaction,
        name: &str,
        value: &Value,
    ) -> Option<Cow<'static, str>> {
        let reference = match value {
            Value::Null => return None,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::I64(value) => ValueRef::I64(*value),
            Value::U64(value) => ValueRef::U64(*value),
            Value::F64(value) => ValueRef::F64(*value),
            Value::Str(text) => ValueRef::Str(text),
            Value::List(_) | Value::Map(_) => {
                let mut clean = value.clone();
                redaction.value(name, &mut clean);
                return (clean != *value).then(|| Cow::Owned(clean.to_string()));
            }
        };
        redaction.replacement(self.names.of(name, redaction), reference)
    }

    /// `clean`, told apart from what stands in place of other secrets than `secret`.
    fn apart(&mut self, clean: Cow<'static, str>, secret: &Value) -> Cow<'static, str> {
        let text = self.hasher.hash_one(&*clean);
        let key = (text, self.hasher.hash_one(secret.to_string()));
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None if self.numbers.len() >= NUMBERS_MAX => {
                return Cow::Owned(format!("{clean} and more"));
            }
            None => {
                let used = self.used.entry(text).or_default();
                *used += 1;
                self.numbers.insert(key, *used);
                *used
            }
        };
        if number == 1 {
            clean
        } else {
            Cow::Owned(format!("{clean} {number}"))
        }
    }
}

/// `snapshot` with labels that have no secrets.
pub(crate) fn snapshot(redaction: &Redaction, mut snapshot: Snapshot) -> Snapshot {
    if !redaction.is_on() {
        return snapshot;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for metric in &mut snapshot.metrics {
        match &mut metric.data {
            Data::Counter(all) | Data::UpDownCounter(all) | Data::Gauge(all) => {
                known.clean(redaction, all);
            }
            Data::Histogram(all) => known.clean(redaction, all),
        }
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use radiosonde_core::metrics::{self, snapshot::Number};

    use super::*;

    #[test]
    fn series_that_differ_in_a_secret_stay_apart_without_it() {
        let counter = || metrics::counter("redact.labels");
        for secret in ["hunter2", "swordfish"] {
            counter()
                .with(&[("password", secret), ("user", "bo")])
                .add(1);
        }
        counter().with(&[("url", "x://u:hunter2@h")]).add(1);
        let clean = || {
            let clean = snapshot(&Redaction::default(), metrics::snapshot(&Arc::default()));
            let found = clean
                .metrics
                .into_iter()
                .find(|metric| metric.name == "redact.labels");
            let Some(Data::Counter(all)) = found.map(|metric| metric.data) else {
                panic!("no counter");
            };
            assert!(
                all.iter()
                    .all(|one: &Series<Number>| one.value == Number::U64(1))
            );
            let mut texts: Vec<String> =
                all.iter().map(|one| format!("{:?}", one.labels)).collect();
            texts.sort_unstable();
            texts
        };
        let texts = clean();
        assert_eq!(texts.len(), 3);
        let all = texts.concat();
        assert!(
            !all.contains("hunter2") && !all.contains("swordfish"),
            "{all}"
        );
        assert!(
            all.contains("[redacted] 2") && all.contains("x://[redacted]@h"),
            "{all}"
        );
        assert_ne!(texts[0], texts[1]);
        assert_eq!(clean(), texts, "and keep their names");
    }

    #[test]
    fn beyond_so_many_secrets_nothing_more_is_kept() {
        let mut known = Known::default();
        for secret in 0..NUMBERS_MAX as u64 + 100 {
            known.apart(Cow::Borrowed("x"), &Value::U64(secret));
        }
        let more = known.apart(Cow::Borrowed("y"), &Value::U64(1));
        assert_eq!(more, "y and more");
        let kept = known.apart(Cow::Borrowed("x"), &Value::U64(1));
        assert_eq!(
            (&*kept, known.numbers.len(), known.used.len()),
            ("x 2", NUMBERS_MAX, 1)
        );
    }
}
