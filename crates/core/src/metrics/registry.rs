//! The registry: which metrics there are, how they are asked for, and how they are read.
//!
//! Invariant: asking never fails for the caller. A metric that cannot be had as asked for gives handles that work and
//! are not shown; the mistake is counted as a loss and reported once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
    panic::Location,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    handle::{Counter, Gauge, Handle, Histogram, Number, UpDownCounter},
    histogram::Shape,
    instrument::{Description, Instrument},
    read,
    shard::{self, NumberReader},
    snapshot::{Metric, Snapshot},
    source::Sources,
};
use crate::{
    clock::now_unix_ns,
    event::Descriptor,
    fields::ValueRef,
    loss::{self, Lost},
    model::{Resource, Text},
};

/// Most metrics of a registry. A program that makes names out of data is stopped here.
pub const METRICS_MAX: usize = 4096;

/// Longest name of a metric (OpenTelemetry metrics API, instrument name syntax).
const NAME_BYTES_MAX: usize = 255;

/// How long a series that nobody holds a handle of may stay the same before it is forgotten, unless set otherwise.
pub const IDLE_DEFAULT: Duration = Duration::from_mins(15);

/// A set of metrics. Programs use the [global](super::global) one; a test may make its own.
pub struct Registry {
    instruments: RwLock<BTreeMap<Text, Arc<Instrument>>>,
    sources: Sources,
    /// Beginnings of names, so that these are bounded as well.
    reported: Mutex<BTreeSet<String>>,
    start_unix_ns: u64,
    idle_ns: AtomicU64,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("metrics", &self.instruments().len())
            .finish_non_exhaustive()
    }
}

/// Why a metric cannot be had as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricError {
    /// The name is not one.
    Name {
        /// The name.
        name: String,
    },
    /// The metric exists and differs.
    Conflict {
        /// The metric.
        name: String,
        /// In what.
        what: &'static str,
        /// What it has.
        has: String,
        /// What was asked for.
        asked: String,
    },
    /// Bounds are not finite and rising.
    Bounds {
        /// The metric.
        name: String,
    },
    /// There are too many metrics.
    TooMany {
        /// The metric.
        name: String,
    },
}

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "{name:?} is not a metric name; start with a letter and go on with at most 254 letters, digits, '.', '_', '-' or '/'"
            ),
            Self::Conflict {
                name,
                what,
                has,
                asked,
            } => write!(
                f,
                "metric {name} already has {what} {has} and cannot also have {asked}; use another name or the same {what}"
            ),
            Self::Bounds { name } => write!(
                f,
                "the bounds of metric {name} are not finite numbers that rise; sort them and leave out infinity"
            ),
            Self::TooMany { name } => write!(
                f,
                "metric {name} is one more than the {METRICS_MAX} there may be; put what varies into labels"
            ),
        }
    }
}

impl std::error::Error for MetricError {}

impl Registry {
    /// A registry without metrics.
    pub fn new() -> Self {
        Self {
            instruments: RwLock::default(),
            sources: Sources::default(),
            reported: Mutex::default(),
            start_unix_ns: now_unix_ns(),
            idle_ns: AtomicU64::new(IDLE_DEFAULT.as_nanos() as u64),
        }
    }

    /// A total of whole numbers that only grows.
    pub fn counter(&self, name: impl Into<Text>) -> Builder<'_, Counter> {
        Builder::new(self, name.into())
    }

    /// A total that only grows, of numbers that need not be whole.
    pub fn counter_f64(&self, name: impl Into<Text>) -> Builder<'_, Counter<f64>> {
        Builder::new(self, name.into())
    }

    /// A total of whole numbers that goes up and down.
    pub fn up_down_counter(&self, name: impl Into<Text>) -> Builder<'_, UpDownCounter> {
        Builder::new(self, name.into())
    }

    /// A total that goes up and down, of numbers that need not be whole.
    pub fn up_down_counter_f64(&self, name: impl Into<Text>) -> Builder<'_, UpDownCounter<f64>> {
        Builder::new(self, name.into())
    }

    /// A value that is set.
    pub fn gauge(&self, name: impl Into<Text>) -> Builder<'_, Gauge> {
        Builder::new(self, name.into())
    }

    /// A distribution, with exponential buckets unless [`Builder::bounds`] says otherwise.
    pub fn histogram(&self, name: impl Into<Text>) -> Builder<'_, Histogram> {
        Builder::new(self, name.into())
    }

    /// Adds metrics that `source` reads from elsewhere each time a snapshot is taken. One that panics is said once and
    /// not asked again. A snapshot that a source itself takes of this registry has nothing from sources.
    #[track_caller]
    pub fn add_source(&self, source: impl Fn(&mut Vec<Metric>) + Send + Sync + 'static) {
        self.sources.add(Location::caller(), Box::new(source));
    }

    /// How long a series that nobody holds a handle of may stay the same before it is forgotten.
    pub fn set_idle(&self, idle: Duration) {
        let nanoseconds = u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX);
        self.idle_ns.store(nanoseconds, Relaxed);
    }

    /// Reads every metric, by name, and then forgets idle series.
    pub fn snapshot(&self, resource: &Arc<Resource>) -> Snapshot {
        self.snapshot_at(resource, now_unix_ns())
    }

    pub(super) fn snapshot_at(&self, resource: &Arc<Resource>, now_unix_ns: u64) -> Snapshot {
        let instruments = self.instruments();
        let shards = shard::all();
        let numbers = NumberReader::new(&shards);
        let idle_ns = self.idle_ns.load(Relaxed);
        let reader = read::Reader {
            shards: &shards,
            numbers: &numbers,
            now_unix_ns,
            idle_ns,
        };
        let mut metrics = Vec::with_capacity(instruments.len());
        for instrument in &instruments {
            let (metric, has_idle) = reader.metric(instrument);
            metrics.extend(metric);
            if has_idle {
                instrument.forget(|series| series.is_idle(now_unix_ns, idle_ns));
            }
        }
        self.sources.ask(&mut metrics);
        metrics.sort_by(|left, right| left.name.cmp(&right.name));
        Snapshot {
            resource: Arc::clone(resource),
            start_unix_ns: self.start_unix_ns,
            time_unix_ns: now_unix_ns,
            metrics,
        }
    }

    fn instruments(&self) -> Vec<Arc<Instrument>> {
        let instruments = self.instruments.read();
        let instruments = instruments.unwrap_or_else(PoisonError::into_inner);
        instruments.values().map(Arc::clone).collect()
    }

    fn instrument(&self, asked: &Description) -> Result<Arc<Instrument>, MetricError> {
        let name = || asked.name.clone().into_owned();
        if let Shape::Explicit(bounds) = &asked.shape
            && !(bounds.iter().all(|bound| bound.is_finite())
                && bounds.is_sorted_by(|left, right| left < right))
        {
            return Err(MetricError::Bounds { name: name() });
        }
        let instruments = self.instruments.read();
        if let Some(held) = instruments
            .unwrap_or_else(PoisonError::into_inner)
            .get(&asked.name)
        {
            return same(held, asked);
        }
        if !is_name(&asked.name) {
            return Err(MetricError::Name { name: name() });
        }
        let instruments = self.instruments.write();
        let mut instruments = instruments.unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = instruments.get(&asked.name) {
            return same(held, asked);
        }
        if instruments.len() >= METRICS_MAX {
            return Err(MetricError::TooMany { name: name() });
        }
        let made = Arc::new(Instrument::new(asked.clone()));
        instruments.insert(asked.name.clone(), Arc::clone(&made));
        Ok(made)
    }

    /// Counts the mistake and says it once for each name.
    fn report(&self, name: &Text, error: &MetricError) {
        let reason = match error {
            MetricError::TooMany { .. } => Lost::NameLimit,
            _ => Lost::MetricConflict,
        };
        loss::count(reason, 1);
        let mut reported = lock(&self.reported);
        let short = name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
        if reported.len() < METRICS_MAX && reported.insert(short) {
            drop(reported);
            tracing::warn!(target: "radiosonde", "{error}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// OpenTelemetry metrics API, instrument name syntax.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// The instrument that is there, where it is what was asked for. What was left out is not asked for.
fn same(held: &Arc<Instrument>, asked: &Description) -> Result<Arc<Instrument>, MetricError> {
    let has = &held.is;
    let conflict = |what, has, asked_for| {
        Err(MetricError::Conflict {
            name: asked.name.clone().into_owned(),
            what,
            has,
            asked: asked_for,
        })
    };
    if has.kind != asked.kind {
        return conflict(
            "kind",
            format!("{:?}", has.kind),
            format!("{:?}", asked.kind),
        );
    }
    if !asked.unit.is_empty() && has.unit != asked.unit {
        return conflict(
            "unit",
            format!("{:?}", has.unit),
            format!("{:?}", asked.unit),
        );
    }
    if asked.shape != Shape::Exponential && has.shape != asked.shape {
        return conflict(
            "bounds",
            format!("{:?}", has.shape),
            format!("{:?}", asked.shape),
        );
    }
    Ok(Arc::clone(held))
}

/// Describes a metric before it is used.
#[must_use = "a builder does nothing until `build` or `with`"]
pub struct Builder<'r, H> {
    registry: &'r Registry,
    description: Description,
    handle: PhantomData<fn() -> H>,
}

impl<'r, H: Handle> Builder<'r, H> {
    fn new(registry: &'r Registry, name: Text) -> Self {
        Self {
            registry,
            description: Description {
                name,
                help: Text::Borrowed(""),
                unit: Text::Borrowed(""),
                kind: H::KIND,
                shape: Shape::Exponential,
                series_max: Descriptor::SERIES_MAX_DEFAULT,
            },
            handle: PhantomData,
        }
    }

    /// The unit in UCUM: `s`, `By`, `1`, `{token}`.
    pub fn unit(mut self, unit: impl Into<Text>) -> Self {
        self.description.unit = unit.into();
        self
    }

    /// What it means, in a sentence.
    pub fn description(mut self, description: impl Into<Text>) -> Self {
        self.description.help = description.into();
        self
    }

    /// Most label sets; further ones share the overflow series. [`Descriptor::SERIES_MAX_DEFAULT`] unless set.
    pub fn series_max(mut self, series_max: usize) -> Self {
        self.description.series_max = series_max;
        self
    }

    /// The metric. A mistake is counted and reported once, and what is measured is then not shown.
    pub fn build(self) -> Family<H> {
        match self.registry.instrument(&self.description) {
            Ok(instrument) => Family::new(instrument),
            Err(error) => {
                self.registry.report(&self.description.name, &error);
                Family::new(Arc::new(Instrument::hidden(self.description)))
            }
        }
    }

    /// The metric, or why it cannot be had as asked for.
    pub fn try_build(self) -> Result<Family<H>, MetricError> {
        self.registry.instrument(&self.description).map(Family::new)
    }

    /// [`build`](Self::build) and [`Family::with`].
    pub fn with(self, labels: &[(&str, &str)]) -> H {
        self.build().with(labels)
    }

    /// [`build`](Self::build) and the series without labels.
    pub fn handle(self) -> H {
        self.with(&[])
    }
}

impl<N: Number> fmt::Debug for Builder<'_, Counter<N>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.description.fmt(f)
    }
}

impl Builder<'_, Histogram> {
    /// Buckets with these upper bounds, rising, in the metric's unit, instead of exponential ones.
    pub fn bounds(mut self, bounds: &[f64]) -> Self {
        self.description.shape = Shape::Explicit(bounds.into());
        self
    }
}

/// A metric: gives a handle for each label set.
pub struct Family<H> {
    instrument: Arc<Instrument>,
    handle: PhantomData<fn() -> H>,
}

impl<H> Clone for Family<H> {
    fn clone(&self) -> Self {
        Self {
            instrument: Arc::clone(&self.instrument),
            handle: PhantomData,
        }
    }
}

impl<H> fmt::Debug for Family<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.instrument.is.fmt(f)
    }
}

impl<H: Handle> Family<H> {
    fn new(instrument: Arc<Instrument>) -> Self {
        Self {
            instrument,
            handle: PhantomData,
        }
    }

    /// The handle of a label set. Order does not matter; of a name given twice the last value stands. Keep the handle
    /// where the labels are known beforehand: finding it again costs a hash and a shared lock.
    pub fn with(&self, labels: &[(&str, &str)]) -> H {
        const FEW: usize = 8;
        let mut few = [("", ValueRef::Bool(false)); FEW];
        if let Some(few) = few.get_mut(..labels.len()) {
            for (to, &(name, value)) in few.iter_mut().zip(labels) {
                *to = (name, ValueRef::Str(value));
            }
            return self.with_values(few);
        }
        let labels: Vec<_> = labels
            .iter()
            .map(|&(name, value)| (name, ValueRef::Str(value)))
            .collect();
        self.with_values(&labels)
    }

    /// The handle of a label set whose values need not be text.
    pub fn with_values(&self, labels: &[(&str, ValueRef<'_>)]) -> H {
        H::new(self.instrument.series(labels).0)
    }

    /// The handle of a label set for a measurement that was made at this time, and whether it is the overflow series because
    /// there are too many.
    pub(super) fn find(&self, labels: &[(&str, ValueRef<'_>)], measured_unix_ns: u64) -> (H, bool) {
        let (series, overflowed) = self.instrument.series(labels);
        series.began(measured_unix_ns);
        (H::new(series), overflowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_same_by_name_and_differs_by_kind_unit_and_bounds() {
        let registry = Registry::new();
        registry.counter("jobs").unit("{job}").handle().add(1);
        registry.counter("jobs").handle().add(2);
        let snapshot = registry.snapshot(&Arc::default());
        assert_eq!(snapshot.metrics.len(), 1);
        let kind = registry.gauge("jobs").try_build().unwrap_err();
        assert_eq!(
            kind.to_string(),
            "metric jobs already has kind CounterU64 and cannot also have Gauge; use another name or the same kind"
        );
        let unit = registry.counter("jobs").unit("s").try_build().unwrap_err();
        assert!(
            unit.to_string()
                .contains(r#"unit "{job}" and cannot also have "s""#)
        );
        let bounds = |bounds: &[f64]| registry.histogram("time").bounds(bounds).try_build();
        assert!(bounds(&[1.0, 2.0]).is_ok());
        assert!(matches!(
            bounds(&[1.0]),
            Err(MetricError::Conflict { what: "bounds", .. })
        ));
        assert!(matches!(
            bounds(&[2.0, 1.0]),
            Err(MetricError::Bounds { .. })
        ));
        assert!(matches!(
            registry.counter("1st").try_build(),
            Err(MetricError::Name { .. })
        ));
    }

    #[test]
    fn a_mistake_gives_a_handle_that_works_and_is_not_shown() {
        let registry = Registry::new();
        registry.counter("jobs").handle().add(1);
        let before = loss::total(Lost::MetricConflict);
        for _ in 0..3 {
            registry.gauge("jobs").handle().set(1.0);
            registry.histogram("jobs").handle().record(1.0);
            registry.up_down_counter("jobs").handle().add(-1);
        }
        assert!(loss::total(Lost::MetricConflict) - before >= 9);
        assert_eq!(registry.snapshot(&Arc::default()).metrics.len(), 1);
        assert_eq!(lock(&registry.reported).len(), 1);
    }
}
