//! Readings of the metrics that rules are about: as they arrive, and from the store's past.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use radiosonde_answers::alerts::{Labels, Read, ReadValue, Rule, Window, WindowLimits};
use radiosonde_answers::distribution::Distribution;
use radiosonde_store::{
    Store, attributes_from_json,
    query::{Limits, Tail},
};

use crate::api::{Rows, distribution, literals};

/// How far rules may look back.
pub(super) const SPAN: Duration = Duration::from_hours(6);

/// How much is kept of it: 10,000 series, in some 200 MB at most.
pub(super) const LIMITS: WindowLimits = WindowLimits {
    span: SPAN,
    series_max: 10_000,
    points_max: 512,
    cells_max: 10_000_000,
};

/// Readings that are taken at once.
const ROWS_MAX: usize = 50_000;
/// How much of the past is asked for at once.
const SLICE: Duration = Duration::from_mins(10);
/// Told of a series whose readings are what came since the last.
const TEMPORALITY: &str = "radiosonde.temporality";
/// The label of whoever sent a series.
const SERVICE: &str = "service.name";

const COLUMNS: &str = "name, kind, CAST(time AS BIGINT), CAST(start_time AS BIGINT), value, distribution, service, attributes";

/// What arrives.
#[derive(Debug)]
pub(super) struct Feed {
    metrics: BTreeSet<String>,
    tail: Option<Tail>,
    totals: Totals,
}

impl Feed {
    /// Of what `rules` are about.
    pub(super) fn new(rules: &[Rule]) -> Self {
        Self {
            metrics: metrics(rules),
            tail: None,
            totals: Totals::default(),
        }
    }

    pub(super) const fn metrics(&self) -> &BTreeSet<String> {
        &self.metrics
    }

    /// From now on what arrives is kept for the next [`read`](Self::read).
    pub(super) fn follow(&mut self, store: &Store) -> Result<(), String> {
        if self.metrics.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "SELECT {COLUMNS} FROM points WHERE name IN ({})",
            literals(&self.metrics)
        );
        self.tail = Some(store.tail(&statement).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Takes what arrived into `window`; what went wrong with it, for people.
    pub(super) fn read(&mut self, store: &Store, window: &mut Window) -> Option<String> {
        let tail = self.tail.as_ref()?;
        let mut left_out = 0;
        loop {
            match store.arrived(tail, Limits::of_program(ROWS_MAX)) {
                Ok(Some(arrived)) => {
                    left_out += arrived.left_out;
                    let rows = Rows::new(arrived.answer);
                    each(rows, &mut self.totals, &mut |metric, labels, read| {
                        window.push(metric, labels, read);
                    });
                    if arrived.more {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    return Some(format!(
                        "alerts do not look at readings that arrived: {error}"
                    ));
                }
            }
            let words = || {
                format!("alerts do not look at {left_out} readings: more arrived than they read")
            };
            return (left_out > 0).then(words);
        }
    }
}

/// The metrics that `rules` are about.
pub(super) fn metrics(rules: &[Rule]) -> BTreeSet<String> {
    rules
        .iter()
        .flat_map(Rule::metrics)
        .map(str::to_owned)
        .collect()
}

/// Hands out what the store has of `metrics` after one time up to another, by time.
pub(super) fn history(
    store: &Store,
    metrics: &BTreeSet<String>,
    from_unix_ns: u64,
    until_unix_ns: u64,
    mut push: impl FnMut(&str, Labels, Read),
) -> Result<(), String> {
    if metrics.is_empty() {
        return Ok(());
    }
    let mut totals = Totals::default();
    let mut from = from_unix_ns;
    while from < until_unix_ns {
        let until = until_unix_ns.min(from + SLICE.as_nanos() as u64);
        let statement = format!(
            "SELECT {COLUMNS} FROM points WHERE name IN ({}) AND CAST(time AS BIGINT) > {from} \
             AND CAST(time AS BIGINT) <= {until} ORDER BY time, name, attributes",
            literals(metrics)
        );
        let limits = Limits::of_program(LIMITS.cells_max);
        let answer = store
            .sql(&statement, limits)
            .map_err(|error| error.to_string())?;
        if answer.is_truncated {
            return Err(
                "there are more readings of these metrics than can be looked at".to_owned(),
            );
        }
        each(Rows::new(answer), &mut totals, &mut push);
        from = until;
    }
    Ok(())
}

fn each(rows: Rows, totals: &mut Totals, push: &mut dyn FnMut(&str, Labels, Read)) {
    for mut row in rows {
        let (metric, kind) = (row.text(), row.text());
        let (time_ns, since_ns) = (row.int(), row.int());
        let value = row.number().unwrap_or(f64::NAN);
        let buckets = distribution(&row.text());
        let service = row.text();
        let mut attributes = attributes_from_json(&row.text());
        let all = attributes.len();
        attributes.retain(|(name, _)| name != TEMPORALITY);
        let is_delta = attributes.len() < all;
        let mut labels: Labels = attributes
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        if !service.is_empty() {
            labels.entry(SERVICE.to_owned()).or_insert(service);
        }
        let value = match (kind.as_str(), buckets) {
            ("counter", _) => ReadValue::Counter(value),
            ("histogram", Some(distribution)) => ReadValue::Histogram {
                sum: value,
                distribution,
            },
            ("histogram", None) => continue,
            _ => ReadValue::Gauge(value),
        };
        let value = if is_delta {
            totals.add(&metric, &labels, value)
        } else {
            Some(value)
        };
        let Some(value) = value else { continue };
        let read = Read {
            time_unix_ns: u64::try_from(time_ns).unwrap_or(0),
            since_unix_ns: u64::try_from(since_ns).ok().filter(|since| *since > 0),
            value,
        };
        push(&metric, labels, read);
    }
}

/// What readings that tell of the time since the last add up to. Those that find no room are passed over.
#[derive(Debug, Default)]
struct Totals(HashMap<(String, Labels), Total>);

#[derive(Clone, Debug)]
enum Total {
    Counter(f64),
    Histogram(f64, Distribution),
}

impl Totals {
    fn add(&mut self, metric: &str, labels: &Labels, value: ReadValue) -> Option<ReadValue> {
        if matches!(value, ReadValue::Gauge(_)) {
            return Some(value);
        }
        let key = (metric.to_owned(), labels.clone());
        let total = match (self.0.get(&key), value) {
            (Some(Total::Counter(total)), ReadValue::Counter(value)) => {
                Total::Counter(total + value)
            }
            (Some(Total::Histogram(total, all)), ReadValue::Histogram { sum, distribution }) => {
                // Other buckets than before: a new start.
                let all = all.plus(&distribution).unwrap_or(distribution);
                Total::Histogram(total + sum, all)
            }
            (_, ReadValue::Counter(value)) => Total::Counter(value),
            (_, ReadValue::Histogram { sum, distribution }) => Total::Histogram(sum, distribution),
            (_, ReadValue::Gauge(_)) => return None,
        };
        if self.0.len() >= LIMITS.series_max && !self.0.contains_key(&key) {
            return None;
        }
        self.0.insert(key, total.clone());
        Some(match total {
            Total::Counter(value) => ReadValue::Counter(value),
            Total::Histogram(sum, distribution) => ReadValue::Histogram { sum, distribution },
        })
    }
}
