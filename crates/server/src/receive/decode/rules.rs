//! Rules that take a label from a metric as its readings come, so that series which differ in that label alone become one.
//!
//! What coincides is added up, never overwritten, and how depends on what it is:
//! - **Delta** totals of a request are added: each says what came since the reading before.
//! - **Totals that only grow** are counted on. Of each series that was sent the last value is known, and what it grew by is added to
//!   the total of the series that is kept, which begins at 0 when the first reading comes. A series that goes away, or begins
//!   anew, thus never takes anything from the total, and nothing is counted twice where a request is sent again.
//! - **Totals that go up and down** are the sum of the last values of what was seen in [`LEVEL_NS`].
//! - **Gauges** are the newest reading, as in a view of OpenTelemetry's SDKs that leaves an attribute out.
//! - **Histograms** are left as they are: their buckets may differ.
//!
//! The value that was taken away is moved to the reading's exemplars, where it has any.
//!
//! Invariant: at most [`SENT_MAX`] series that were sent are known; readings of further ones are refused and counted. Those
//! that are silent for [`IDLE_NS`] are forgotten.

mod known;

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash as _, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use radiosonde_store::{
    Rows,
    row::{Origin, PointKind, PointRow, Value},
};

use self::known::Known;
use super::{attributes::Source, names, sink::PointItem};

/// Most series that were sent of which the last value is kept, some 50 bytes each.
pub(super) const SENT_MAX: usize = 200_000;
/// How long one may be silent: longer than any interval at which metrics are sent.
const IDLE_NS: i64 = 3600 * 1_000_000_000;
/// How long the last value of a total that goes up and down counts: as long as Prometheus looks back for one.
const LEVEL_NS: i64 = 300 * 1_000_000_000;
/// Most exemplars of one reading that is kept: the newest.
const EXEMPLARS_MAX: usize = 10;

/// A rule: which label is taken.
#[derive(Debug)]
struct Taken {
    /// Of this service alone; of every one without.
    service: Option<String>,
    label: String,
}

/// Rules, and what is known of the series that they are about.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// By metric.
    taken: HashMap<String, Vec<Taken>>,
    known: Mutex<Known>,
    /// Random, so that nobody can send series that are taken for each other.
    state: RandomState,
}

/// The readings of a request that rules are about, until all have come.
#[derive(Debug)]
pub(super) struct Ruled {
    rules: Arc<Rules>,
    joining: Joining,
}

/// Readings by the series that is kept.
#[derive(Debug, Default)]
struct Joining {
    kept: Vec<Kept>,
    places: HashMap<u64, usize>,
}

/// A series that is kept.
#[derive(Debug)]
struct Kept {
    /// What it is known by.
    key: u64,
    service: String,
    resource: String,
    scope: String,
    name: String,
    unit: String,
    kind: PointKind,
    is_delta: bool,
    attributes: Vec<(String, Owned)>,
    readings: Vec<Sent>,
}

/// A reading that was sent.
#[derive(Debug)]
struct Sent {
    /// What its series is known by.
    key: u64,
    start_unix_ns: i64,
    time_unix_ns: i64,
    value: f64,
    exemplars: String,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Json(String),
}

/// What becomes of the readings of a series that is kept.
#[derive(Debug)]
struct Joined {
    start_unix_ns: i64,
    time_unix_ns: i64,
    value: f64,
    /// As a JSON list; empty for none.
    exemplars: String,
}

impl Rules {
    /// Rules that take from a metric, of a service or of every one, a label.
    pub(crate) fn new(rules: impl IntoIterator<Item = (String, Option<String>, String)>) -> Self {
        let mut taken: HashMap<String, Vec<Taken>> = HashMap::new();
        for (metric, service, label) in rules {
            let of_metric = taken.entry(metric).or_default();
            of_metric.push(Taken { service, label });
        }
        Self {
            taken,
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The labels that are taken from a metric of a service.
    fn labels(&self, point: &PointItem<'_>, source: &Source) -> Vec<&str> {
        if point.kind == PointKind::Histogram {
            return Vec::new();
        }
        let taken = self.taken.get(point.name).into_iter().flatten();
        let service = source.origin().service;
        taken
            .filter(|taken| taken.service.as_ref().is_none_or(|of| of == service))
            .map(|taken| taken.label.as_str())
            .collect()
    }

    /// Puts a reading aside until the request is whole, without these labels.
    fn put(
        &self,
        joining: &mut Joining,
        (source, point): (&Source, &PointItem<'_>),
        (start_unix_ns, time_unix_ns, value): (i64, i64, f64),
        (attributes, dropped): (&[(&str, Value<'_>)], &[&str]),
    ) {
        let mut all: Vec<&(&str, Value<'_>)> = attributes.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        let kept = all.iter().copied();
        let kept: Vec<_> = kept.filter(|(name, _)| !dropped.contains(name)).collect();
        let key = self.key(source, point, &kept);
        let sent = Sent {
            key: self.key(source, point, &all),
            start_unix_ns,
            time_unix_ns,
            value,
            exemplars: with_labels(point.exemplars, attributes, dropped),
        };
        let place = *joining.places.entry(key).or_insert_with(|| {
            let origin = source.origin();
            let delta = Value::Text(names::DELTA);
            joining.kept.push(Kept {
                key,
                service: origin.service.to_owned(),
                resource: origin.resource.to_owned(),
                scope: origin.scope.to_owned(),
                name: point.name.to_owned(),
                unit: point.unit.to_owned(),
                kind: point.kind,
                is_delta: kept
                    .iter()
                    .any(|(name, value)| *name == names::TEMPORALITY && *value == delta),
                attributes: kept
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Owned::of(*value)))
                    .collect(),
                readings: Vec::new(),
            });
            joining.kept.len() - 1
        });
        joining.kept[place].readings.push(sent);
    }

    /// Adds up what was put aside, at this time. Gives what becomes of each series, none where all of its readings were refused; and
    /// how many readings were.
    fn join(&self, joining: &Joining, now_unix_ns: i64) -> (Vec<Option<Joined>>, u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget(now_unix_ns);
        let mut refused = 0;
        let joined = joining.kept.iter().map(|kept| {
            let (joined, no_room) = known.join(kept, now_unix_ns);
            refused += no_room;
            joined
        });
        (joined.collect(), refused)
    }

    fn key(&self, source: &Source, point: &PointItem<'_>, entries: &[&(&str, Value<'_>)]) -> u64 {
        let origin = source.origin();
        let mut hasher = self.state.build_hasher();
        (origin.service, origin.resource, origin.scope).hash(&mut hasher);
        (point.name, point.unit, point.kind.text()).hash(&mut hasher);
        for (name, value) in entries {
            name.hash(&mut hasher);
            hash(*value, &mut hasher);
        }
        hasher.finish()
    }
}

impl Ruled {
    /// None where there are no rules.
    pub(super) fn new(rules: &Arc<Rules>) -> Option<Self> {
        (!rules.is_empty()).then(|| Self {
            rules: Arc::clone(rules),
            joining: Joining::default(),
        })
    }

    /// How many rows this becomes at most.
    pub(super) const fn len(&self) -> usize {
        self.joining.kept.len()
    }

    /// Takes a reading, of which `reading` is start, time and value, where a rule is about it.
    pub(super) fn take(
        &mut self,
        (source, point): (&Source, &PointItem<'_>),
        reading: (i64, i64, f64),
        attributes: &[(&str, Value<'_>)],
    ) -> bool {
        let dropped = self.rules.labels(point, source);
        let is_ruled = !dropped.is_empty();
        if is_ruled {
            let labels = (attributes, dropped.as_slice());
            self.rules
                .put(&mut self.joining, (source, point), reading, labels);
        }
        is_ruled
    }

    /// Makes rows of the readings, and says how many were refused.
    pub(super) fn finish(self, now_unix_ns: i64, rows: &mut Rows) -> u64 {
        let (joined, refused) = self.rules.join(&self.joining, now_unix_ns);
        for (kept, joined) in self.joining.kept.iter().zip(joined) {
            let Some(joined) = joined else { continue };
            rows.point(&PointRow {
                origin: Origin {
                    service: &kept.service,
                    resource: &kept.resource,
                    scope: &kept.scope,
                },
                name: &kept.name,
                unit: &kept.unit,
                kind: kept.kind,
                time_unix_ns: joined.time_unix_ns,
                start_unix_ns: joined.start_unix_ns,
                value: joined.value,
                count: 0,
                distribution: "",
                exemplars: &joined.exemplars,
                attributes: &kept.attributes(),
            });
        }
        refused
    }
}

impl Kept {
    /// The attributes that are left.
    fn attributes(&self) -> Vec<(&str, Value<'_>)> {
        let entries = self.attributes.iter();
        entries
            .map(|(name, value)| (name.as_str(), value.get()))
            .collect()
    }

    /// The newest exemplars of all readings.
    fn exemplars(&self) -> String {
        let lists = self.readings.iter().rev();
        let mut newest: Vec<serde_json::Value> = lists
            .filter_map(|sent| serde_json::from_str::<Vec<_>>(&sent.exemplars).ok())
            .flatten()
            .take(EXEMPLARS_MAX)
            .collect();
        if newest.is_empty() {
            return String::new();
        }
        newest.reverse();
        serde_json::Value::Array(newest).to_string()
    }
}

impl Owned {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(value),
            Value::Int(value) => Self::Int(value),
            Value::Float(value) => Self::Float(value),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Json(json) => Self::Json(json.to_owned()),
        }
    }

    fn get(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Text(text) => Value::Text(text),
            Self::Json(json) => Value::Json(json),
        }
    }
}

fn hash(value: Value<'_>, hasher: &mut impl Hasher) {
    match value {
        Value::Bool(value) => (0_u8, value).hash(hasher),
        Value::Int(value) => (1_u8, value).hash(hasher),
        Value::Float(value) => (2_u8, value.to_bits()).hash(hasher),
        Value::Text(text) => (3_u8, text).hash(hasher),
        Value::Json(json) => (4_u8, json).hash(hasher),
    }
}

/// A list of exemplars with the labels that their reading has no longer.
fn with_labels(list: &str, attributes: &[(&str, Value<'_>)], dropped: &[&str]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let Ok(mut exemplars) = serde_json::from_str::<Vec<serde_json::Map<_, _>>>(list) else {
        return String::new();
    };
    let gone = attributes.iter().filter(|(name, _)| dropped.contains(name));
    for (name, value) in gone {
        let value: serde_json::Value = match *value {
            Value::Bool(value) => value.into(),
            Value::Int(value) => value.into(),
            Value::Float(value) => value.into(),
            Value::Text(text) => text.into(),
            Value::Json(json) => serde_json::from_str(json).unwrap_or_default(),
        };
        for exemplar in &mut exemplars {
            let own = exemplar
                .entry("attributes")
                .or_insert_with(|| serde_json::Map::new().into());
            if let Some(own) = own.as_object_mut() {
                own.insert((*name).to_owned(), value.clone());
            }
        }
    }
    serde_json::to_string(&exemplars).unwrap_or_default()
}

#[cfg(test)]
mod tests;
