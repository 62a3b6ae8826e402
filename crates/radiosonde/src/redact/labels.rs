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
    hash::FoldState,
    metrics::snapshot::{Data, Labels, Series, Snapshot},
    model::Value,
};

use super::Redaction;

/// Most secrets that have a number; beyond them all have the same.
const NUMBERS_MAX: usize = 16_384;

/// What every secret of this process is called, by what stands in its place and a hash of it that nobody outside can compute.
static NUMBERS: LazyLock<Mutex<Numbers>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Numbers {
    hasher: FoldState,
    /// How many secrets there are in whose place a text stands.
    used: HashMap<String, usize>,
    known: HashMap<(String, u64), usize>,
}

impl Numbers {
    /// `clean`, told apart from what stands in place of other secrets than `secret`.
    fn apart(&mut self, clean: Cow<'_, str>, secret: &Value) -> String {
        let key = (clean.into_owned(), self.hasher.hash_one(secret.to_string()));
        let number = if let Some(&number) = self.known.get(&key) {
            number
        } else {
            let used = self.used.entry(key.0.clone()).or_default();
            if self.known.len() < NUMBERS_MAX {
                *used += 1;
                self.known.insert(key.clone(), *used);
            }
            *used
        };
        if number == 1 {
            key.0
        } else {
            format!("{} {number}", key.0)
        }
    }
}

/// `snapshot` with labels that have no secrets.
pub(crate) fn snapshot(redaction: &Redaction, mut snapshot: Snapshot) -> Snapshot {
    if redaction.is_on() {
        for metric in &mut snapshot.metrics {
            match &mut metric.data {
                Data::Counter(all) | Data::UpDownCounter(all) | Data::Gauge(all) => {
                    series(redaction, all);
                }
                Data::Histogram(all) => series(redaction, all),
            }
        }
    }
    snapshot
}

fn series<T>(redaction: &Redaction, all: &mut [Series<T>]) {
    for one in all {
        if let Some(labels) = labels(redaction, &one.labels) {
            one.labels = labels;
        }
    }
}

/// `labels` without secrets, where they have any.
fn labels(redaction: &Redaction, labels: &Labels) -> Option<Labels> {
    let clean: Vec<Option<Value>> = labels
        .iter()
        .map(|(name, value)| cleaned(redaction, name, value))
        .collect();
    if clean.iter().all(Option::is_none) {
        return None;
    }
    let together = labels
        .iter()
        .zip(clean)
        .map(|((name, value), clean)| (name.clone(), clean.unwrap_or_else(|| value.clone())));
    Some(together.collect::<Arc<[_]>>())
}

fn cleaned(redaction: &Redaction, name: &str, value: &Value) -> Option<Value> {
    let mut clean = value.clone();
    redaction.value(name, &mut clean);
    if clean == *value {
        return None;
    }
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Value::from(
        numbers.apart(Cow::Owned(clean.to_string()), value),
    ))
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
}
