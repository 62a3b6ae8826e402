//! Turns typed events into metrics: what a `#[derive(Event)]` calls a label splits, what it calls a measurement counts.
//!
//! For each event type a plan is made once; for each label set the handles are found once. From then on an event costs
//! a hash of its labels' words, which are not read as values, and its measurements, without allocation.
//!
//! Invariant: a plan keeps handles for at most `series_max` label sets. Further ones share the overflow series and are
//! counted as [`self_metrics::overflows`]; sets that do not come any more are dropped, so that their series can be
//! forgotten.

mod measure;

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    ops::Deref,
    ptr,
    sync::Arc,
};

use self::measure::{Measure, MeasureHandle};
use super::{
    Counter, Family, IDLE_DEFAULT, Registry,
    exemplar::Origin,
    labels::{hash_value, is},
    recent, self_metrics,
};
use crate::{
    batch::{Batch, EventRef, RecordRef},
    context::SAMPLED,
    event::{Descriptor, FieldDescriptor, Role},
    fields::{FieldReader, ValueRef},
    hash::{FoldState, Prehashed},
    model::{Severity, Value},
    pump::Consumer,
};

/// How long the handles of a label set that does not come any more are kept.
const KEEP_NS: u64 = IDLE_DEFAULT.as_nanos() as u64 / 3;

/// Label sets that a plan finds again by their words: as many as it keeps handles for, and some that are written in more
/// than one way.
const fn known_max(series_max: usize) -> usize {
    series_max.saturating_mul(2)
}

/// Feeds the measurements of events into a registry.
#[derive(Debug)]
pub struct Aggregator<R = &'static Registry> {
    registry: R,
    plans: Vec<Plan>,
    /// Plans by the address of their event's description.
    by_descriptor: HashMap<usize, usize, FoldState>,
    /// The plan of the last event: events of a type tend to come together.
    last: Option<(usize, usize)>,
    swept_unix_ns: u64,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new(super::global())
    }
}

impl<R: Deref<Target = Registry>> Aggregator<R> {
    /// An aggregator that feeds `registry`.
    pub fn new(registry: R) -> Self {
        Self {
            registry,
            plans: Vec::new(),
            by_descriptor: HashMap::default(),
            last: None,
            swept_unix_ns: 0,
        }
    }

    /// Takes the measurements of a batch's events, and the ids of its requests.
    pub fn aggregate(&mut self, batch: &Batch) {
        let mut newest = 0;
        for record in batch.records() {
            match record {
                RecordRef::Event(event) => {
                    newest = newest.max(event.time_unix_ns());
                    self.plan(event.descriptor()).measure(event);
                }
                RecordRef::Span(span) if span.correlation() != 0 => recent::note(&span),
                RecordRef::Span(_) | RecordRef::Log(_) => {}
            }
        }
        self.sweep(newest);
    }

    fn plan(&mut self, descriptor: &'static Descriptor) -> &mut Plan {
        let address = ptr::from_ref(descriptor).addr();
        let at = match self.last {
            Some((last, at)) if last == address => at,
            _ => *self.by_descriptor.entry(address).or_insert_with(|| {
                self.plans.push(Plan::new(&self.registry, descriptor));
                self.plans.len() - 1
            }),
        };
        self.last = Some((address, at));
        &mut self.plans[at]
    }

    /// Drops the handles of label sets that have not come for a while.
    fn sweep(&mut self, now_unix_ns: u64) {
        if now_unix_ns.saturating_sub(self.swept_unix_ns) >= KEEP_NS / 4 {
            self.swept_unix_ns = now_unix_ns;
            for plan in &mut self.plans {
                plan.sweep(now_unix_ns);
            }
        }
    }
}

impl<R: Deref<Target = Registry> + Send> Consumer for Aggregator<R> {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.aggregate(batch);
    }
}

/// What one field does.
#[derive(Clone, Copy, Debug)]
enum Use {
    Nothing,
    Label,
    /// The measurement at this index.
    Measure(usize),
}

/// How one event type becomes metrics.
#[derive(Debug)]
struct Plan {
    descriptor: &'static Descriptor,
    uses: Box<[Use]>,
    measures: Vec<Measure>,
    /// Counts occurrences.
    count: Option<Family<Counter>>,
    /// The field whose presence says that the event is about a failure.
    error: Option<usize>,
    state: FoldState,
    sets: Vec<LabelSet>,
    /// The first set of each hash.
    heads: HashMap<u64, usize, BuildHasherDefault<Prehashed>>,
    /// Sets by the hash of the words that the lane has for their labels.
    known: HashMap<u64, Known, BuildHasherDefault<Prehashed>>,
    /// The words of the labels of the event at hand. Empty in between; its memory serves the next one.
    words: Vec<u64>,
    overflow: Option<Handles>,
}

/// Words that stand for a label set.
#[derive(Debug)]
struct Known {
    words: Box<[u64]>,
    set: usize,
}

#[derive(Clone, Debug)]
struct Handles {
    count: Option<Counter>,
    measures: Box<[MeasureHandle]>,
}

#[derive(Debug)]
struct LabelSet {
    /// Field and value, in the order of the record.
    labels: Vec<(usize, Value)>,
    hash: u64,
    next: Option<usize>,
    /// The time of the first event, and of the last one.
    began_unix_ns: u64,
    used_unix_ns: u64,
    handles: Handles,
}

impl Plan {
    fn new(registry: &Registry, descriptor: &'static Descriptor) -> Self {
        let mut measures = Vec::new();
        let mut use_of = |field: &'static FieldDescriptor| match field.role {
            Role::Label => Use::Label,
            Role::Attribute => Use::Nothing,
            _ => match Measure::new(registry, descriptor, field) {
                Some(measure) => {
                    measures.push(measure);
                    Use::Measure(measures.len() - 1)
                }
                None => Use::Nothing,
            },
        };
        let uses = descriptor.fields.iter().map(&mut use_of).collect();
        let count = descriptor.count.map(|name| {
            registry
                .counter(name)
                .unit("{event}")
                .description(descriptor.description)
                .series_max(descriptor.series_max)
                .build()
        });
        Self {
            descriptor,
            uses,
            measures,
            count,
            error: descriptor
                .fields
                .iter()
                .position(|field| matches!(field.name, "error.type" | "error_type" | "error")),
            state: FoldState::default(),
            sets: Vec::new(),
            heads: HashMap::default(),
            known: HashMap::default(),
            words: Vec::new(),
            overflow: None,
        }
    }

    fn measure(&mut self, event: EventRef<'_>) {
        if self.measures.is_empty() && self.count.is_none() {
            return;
        }
        let (hash, failed) = self.read_words(event);
        let at = match self.known.get(&hash) {
            Some(known) if *known.words == *self.words => Some(known.set),
            _ => self.meet(hash, event),
        };
        let handles = match at {
            Some(at) => {
                let time_unix_ns = event.time_unix_ns();
                // Threads are read one after the other.
                if time_unix_ns < self.sets[at].began_unix_ns {
                    self.begin_earlier(at, event);
                }
                self.sets[at].used_unix_ns = time_unix_ns;
                Some(&self.sets[at].handles)
            }
            None => self.overflow.as_ref(),
        };
        if let Some(handles) = handles {
            self.record(handles, event, failed);
        }
    }

    /// Keeps the words of the event's labels. Says what their hash is, and whether the event is about a failure.
    fn read_words(&mut self, event: EventRef<'_>) -> (u64, bool) {
        let mut failed = self.descriptor.severity >= Severity::Error;
        let mut hasher = self.state.build_hasher();
        self.words.clear();
        for (field, words) in event.pieces() {
            failed |= self.error == Some(field);
            if matches!(self.uses[field], Use::Label) {
                words.iter().for_each(|&word| hasher.write_u64(word));
                self.words.extend_from_slice(words);
            }
        }
        (hasher.finish(), failed)
    }

    /// Finds the set of labels whose words, which are in `self.words` and have this hash, did not come yet.
    #[cold]
    fn meet(&mut self, words_hash: u64, event: EventRef<'_>) -> Option<usize> {
        let hash = self.hash(event);
        let set = self.find(hash, event).or_else(|| self.add(hash, event))?;
        if self.known.len() >= known_max(self.descriptor.series_max) {
            self.known.clear();
        }
        let words = self.words.as_slice().into();
        self.known.insert(words_hash, Known { words, set });
        Some(set)
    }

    fn labels<'a>(&self, event: EventRef<'a>) -> impl Iterator<Item = (usize, ValueRef<'a>)> {
        event
            .described_fields()
            .filter(|&(field, _)| matches!(self.uses.get(field), Some(Use::Label)))
    }

    fn hash(&self, event: EventRef<'_>) -> u64 {
        let mut hasher = self.state.build_hasher();
        for (field, value) in self.labels(event) {
            field.hash(&mut hasher);
            hash_value(value, &mut hasher);
        }
        hasher.finish()
    }

    fn find(&self, hash: u64, event: EventRef<'_>) -> Option<usize> {
        let mut next = self.heads.get(&hash).copied();
        while let Some(at) = next {
            let set = &self.sets[at];
            let mut kept = set.labels.iter();
            let is_same = self.labels(event).all(|(field, value)| {
                kept.next()
                    .is_some_and(|(kept_field, kept)| *kept_field == field && is(kept, value))
            });
            if is_same && kept.next().is_none() {
                return Some(at);
            }
            next = set.next;
        }
        None
    }

    /// Finds the handles of a new label set, or of the overflow series when there are too many.
    #[cold]
    fn add(&mut self, hash: u64, event: EventRef<'_>) -> Option<usize> {
        if self.overflow.is_some() && self.sets.len() >= self.descriptor.series_max {
            self_metrics::count_overflow();
            return None;
        }
        // Metrics that are full count for themselves; one that other code has filled is no reason to put the event's
        // other metrics on their overflow series.
        let (handles, overflowed) = self.handles(event);
        if overflowed {
            self.overflow = Some(handles);
            return None;
        }
        let at = self.sets.len();
        self.sets.push(LabelSet {
            labels: self
                .labels(event)
                .map(|(field, value)| (field, Value::from(value)))
                .collect(),
            hash,
            next: self.heads.insert(hash, at),
            began_unix_ns: event.time_unix_ns(),
            used_unix_ns: event.time_unix_ns(),
            handles,
        });
        Some(at)
    }

    /// Has the series of a label set start with `event`, which is older than the first that came.
    #[cold]
    fn begin_earlier(&mut self, at: usize, event: EventRef<'_>) {
        self.sets[at].began_unix_ns = event.time_unix_ns();
        self.sets[at].handles = self.handles(event).0;
    }

    /// The handles for the labels of `event`, and whether all are those of overflow series.
    fn handles(&self, event: EventRef<'_>) -> (Handles, bool) {
        let labels: Vec<_> = self
            .labels(event)
            .map(|(field, value)| (self.descriptor.fields[field].name, value))
            .collect();
        let measured_unix_ns = event.time_unix_ns();
        let mut overflowed = true;
        let count = self.count.as_ref().map(|family| {
            let (handle, over) = family.find(&labels, measured_unix_ns);
            overflowed &= over;
            handle
        });
        let measures = self
            .measures
            .iter()
            .map(|measure| {
                let (handle, over) = measure.family.find(&labels, measured_unix_ns);
                overflowed &= over;
                handle
            })
            .collect();
        (Handles { count, measures }, overflowed)
    }

    fn record(&self, handles: &Handles, event: EventRef<'_>, failed: bool) {
        let origin = || {
            let place = event.place()?;
            (event.flags() & SAMPLED != 0).then(|| Origin {
                trace_id: place.trace_id,
                span_id: place.span_id,
                time_unix_ns: event.time_unix_ns(),
            })
        };
        if let Some(count) = &handles.count {
            count.add_from(1, origin);
        }
        for (field, words) in event.pieces() {
            if let Use::Measure(at) = self.uses[field]
                && let (Some(handle), Some(measure)) =
                    (handles.measures.get(at), self.measures.get(at))
                && let Some(field) = FieldReader(words).next()
            {
                handle.measure(field.value, measure.divisor, failed, origin);
            }
        }
    }

    fn sweep(&mut self, now_unix_ns: u64) {
        let before = self.sets.len();
        self.sets
            .retain(|set| now_unix_ns.saturating_sub(set.used_unix_ns) < KEEP_NS);
        if self.sets.len() == before {
            return;
        }
        self.heads.clear();
        self.known.clear();
        for (at, set) in self.sets.iter_mut().enumerate() {
            set.next = self.heads.insert(set.hash, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Event,
        batch::{Counts, HEADER_WORDS, Header, Kind, address},
        event,
        events::ResourceCacheAccess,
        ids::TraceId,
        metrics::snapshot::{self, Buckets, Data, Number},
    };

    /// A request was answered.
    #[derive(Event)]
    #[event(name = "test.request", count = "test.request.count", series_max = 3)]
    struct Answered<'a> {
        /// Which model.
        #[label]
        model: &'a str,
        /// What went wrong.
        #[label]
        #[event(rename = "error.type")]
        error: Option<&'a str>,
        /// Tokens made.
        #[measure(counter, unit = "{token}")]
        tokens: u64,
        /// How long it took.
        #[measure(histogram, name = "test.request.time", unit = "ms", bounds = [10, 50])]
        took: Duration,
        /// How full the cache was.
        #[measure(gauge, unit = "1")]
        fullness: Option<f64>,
        /// The request.
        id: u64,
    }

    fn batch<E: Event>(events: &[E], trace: u64) -> Batch {
        batch_of(words(events, trace, 1_000), events.len())
    }

    fn batch_of(words: Vec<u64>, events: usize) -> Batch {
        let counts = Counts {
            events,
            ..Counts::default()
        };
        Batch::from_words(Arc::default(), words, counts)
    }

    /// The frames of events that happened one nanosecond after the other from `time` on, each in a trace of its own.
    fn words<E: Event>(events: &[E], trace: u64, time: u64) -> Vec<u64> {
        let mut words = Vec::new();
        for (at, event) in (0..).zip(events) {
            let start = words.len();
            words.resize(start + HEADER_WORDS, 0);
            event::encode(event, &mut words).unwrap();
            let header = Header {
                kind: Kind::Event,
                flags: SAMPLED,
                amended: false,
                trace_high: 0,
                trace_low: trace + at,
                span_id: 1,
                parent_id: 0,
                time: time + at,
                end_or_span: 0,
                description: address(E::DESCRIPTOR),
                thread: 0,
                correlation: 0,
            };
            let length = words.len() - start;
            words[start..start + HEADER_WORDS].copy_from_slice(&header.words(length));
        }
        words
    }

    fn answered(model: &str, took_ms: u64) -> Answered<'_> {
        Answered {
            model,
            error: None,
            tokens: 5,
            took: Duration::from_millis(took_ms),
            fullness: None,
            id: took_ms,
        }
    }

    #[test]
    fn label_sets_are_found_again_by_their_words_and_more_of_them_than_are_known() {
        let registry = Arc::new(Registry::new());
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let failed = Answered {
            error: Some("timeout"),
            ..answered("a", 1)
        };
        // `series_max` is 3: of the others, all are on the overflow series, each time they come.
        let models = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for _ in 0..3 {
            let events: Vec<_> = models.iter().map(|model| answered(model, 1)).collect();
            aggregator.aggregate(&batch(&events, 1));
        }
        aggregator.aggregate(&batch(&[failed], 9));
        let snapshot = registry.snapshot(&Arc::default());
        let count = snapshot
            .metrics
            .iter()
            .find(|metric| metric.name == "test.request.count");
        let Some(Data::Counter(series)) = count.map(|metric| &metric.data) else {
            panic!()
        };
        let counts: Vec<_> = series.iter().map(|series| series.value).collect();
        // Three sets of labels have a series of their own, and came three times each; the sixteen others share one.
        assert_eq!(
            counts
                .iter()
                .filter(|count| **count == Number::U64(3))
                .count(),
            3,
            "{counts:?}"
        );
        assert!(counts.contains(&Number::U64(16)), "{counts:?}");
    }

    #[test]
    fn labels_split_measurements_count_and_the_trace_stays_as_exemplar() {
        let registry = Arc::new(Registry::new());
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let failed = Answered {
            error: Some("timeout"),
            fullness: Some(0.5),
            ..answered("a", 20)
        };
        let events = [
            answered("a", 10),
            answered("a", 60),
            failed,
            answered("b", 1),
        ];
        aggregator.aggregate(&batch(&events, 100));
        let snapshot = registry.snapshot(&Arc::default());
        let metrics: HashMap<&str, _> = snapshot
            .metrics
            .iter()
            .map(|metric| (&*metric.name, metric))
            .collect();
        let Data::Counter(tokens) = &metrics["test.request.tokens"].data else {
            panic!()
        };
        let values: Vec<_> = tokens
            .iter()
            .map(|series| (series.labels.len(), series.value))
            .collect();
        assert_eq!(
            values,
            [
                (1, Number::U64(10)),
                (2, Number::U64(5)),
                (1, Number::U64(5))
            ]
        );
        assert_eq!(metrics["test.request.tokens"].unit, "{token}");
        let Data::Gauge(gauge) = &metrics["test.request.fullness"].data else {
            panic!()
        };
        assert_eq!((gauge.len(), gauge[0].value), (1, Number::F64(0.5)));
        let Data::Counter(count) = &metrics["test.request.count"].data else {
            panic!()
        };
        assert_eq!(count[0].value, Number::U64(2));
        let Data::Histogram(times) = &metrics["test.request.time"].data else {
            panic!()
        };
        assert_eq!(
            times[0].value.buckets,
            Buckets::Explicit {
                bounds: [10.0, 50.0].into(),
                counts: vec![1, 0, 1]
            }
        );
        let traces = |at: usize| -> Vec<_> {
            let exemplars = times[at].exemplars.iter();
            exemplars
                .map(|exemplar| (exemplar.trace_id, exemplar.failed))
                .collect()
        };
        let trace = |bits| TraceId::new(bits).unwrap();
        assert_eq!(traces(0), [(trace(100), false), (trace(101), false)]);
        assert_eq!(traces(1), [(trace(102), false), (trace(102), true)]);
    }

    #[test]
    fn a_series_starts_with_its_first_measurement_until_it_was_shown() {
        let registry = Arc::new(Registry::new());
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let starts = || -> Vec<u64> {
            let snapshot = registry.snapshot(&Arc::default());
            let start = |metric: &snapshot::Metric| match &metric.data {
                Data::Counter(series) => series[0].start_unix_ns,
                Data::Histogram(series) => series[0].start_unix_ns,
                other => panic!("{other:?}"),
            };
            snapshot.metrics.iter().map(start).collect()
        };
        // What another thread did before comes after it.
        let mut both = words(&[answered("a", 1)], 1, 1_700);
        both.extend(words(&[answered("a", 1)], 1, 1_600));
        aggregator.aggregate(&batch_of(both, 2));
        assert_eq!(starts(), [1_600; 3]);
        aggregator.aggregate(&batch_of(words(&[answered("a", 1)], 1, 1_500), 1));
        assert_eq!(starts(), [1_600; 3], "another start is another series");
    }

    #[test]
    fn seven_hits_and_three_misses_are_a_hit_rate_and_bytes() {
        let registry = Arc::new(Registry::new());
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let accesses: Vec<_> = (0..10)
            .map(|n| ResourceCacheAccess {
                cache_key: "pipelines",
                hit: n % 10 < 7,
                bytes: 100 + n,
            })
            .collect();
        aggregator.aggregate(&batch(&accesses, 1));
        let snapshot = registry.snapshot(&Arc::default());
        let by_hit = |name: &str| -> Vec<_> {
            let metric = snapshot.metrics.iter().find(|metric| metric.name == name);
            let Some(Data::Counter(series)) = metric.map(|metric| &metric.data) else {
                panic!("no counter {name}")
            };
            let of = |hit: bool| {
                let labelled = |(_, value): &_| *value == Value::Bool(hit);
                series
                    .iter()
                    .find(|series| series.labels.iter().any(labelled))
            };
            [true, false].map(|hit| of(hit).unwrap().value).to_vec()
        };
        let counts = by_hit("gpu.cache.access.count");
        assert_eq!(counts, [Number::U64(7), Number::U64(3)], "a rate of 0.7");
        let bytes = by_hit("gpu.cache.bytes");
        assert_eq!(bytes, [Number::U64(721), Number::U64(324)]);
    }

    #[test]
    fn a_metric_that_others_have_filled_leaves_the_events_other_metrics_alone() {
        let registry = Arc::new(Registry::new());
        let tokens = registry.counter("test.request.tokens").unit("{token}");
        let tokens = tokens.series_max(3).build();
        for place in ["p", "q", "r"] {
            tokens.with(&[("place", place)]).add(1);
        }
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let events = [answered("a", 1), answered("b", 1), answered("a", 1)];
        aggregator.aggregate(&batch(&events, 1));
        let snapshot = registry.snapshot(&Arc::default());
        let series = |name: &str| {
            let metric = snapshot.metrics.iter().find(|metric| metric.name == name);
            let Data::Counter(series) = &metric.unwrap().data else {
                panic!()
            };
            let shown =
                |series: &snapshot::Series<Number>| (series.labels[0].1.to_string(), series.value);
            series.iter().map(shown).collect::<Vec<_>>()
        };
        let counted = |label: &str, count| (label.to_owned(), Number::U64(count));
        assert_eq!(
            series("test.request.count"),
            [counted("a", 2), counted("b", 1)]
        );
        assert!(series("test.request.tokens").contains(&counted("true", 15)));
    }

    #[test]
    fn label_sets_beyond_the_limit_share_the_overflow_series() {
        let registry = Arc::new(Registry::new());
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        let models: Vec<_> = (0..50).map(|model| model.to_string()).collect();
        let events: Vec<_> = models.iter().map(|model| answered(model, 1)).collect();
        let before = self_metrics::overflows();
        for _ in 0..2 {
            aggregator.aggregate(&batch(&events, 1));
        }
        assert!(self_metrics::overflows() - before >= 94);
        let snapshot = registry.snapshot(&Arc::default());
        for metric in &snapshot.metrics {
            let Data::Counter(series) = &metric.data else {
                continue;
            };
            assert_eq!(series.len(), 4, "{}", metric.name);
            assert_eq!(
                *series[3].labels,
                [("otel.metric.overflow".into(), true.into())]
            );
            let each = if &*metric.name == "test.request.tokens" {
                5
            } else {
                1
            };
            assert_eq!(series[3].value, Number::U64(94 * each));
        }
    }

    #[test]
    fn label_sets_that_do_not_come_any_more_are_let_go() {
        let registry = Arc::new(Registry::new());
        registry.set_idle(Duration::ZERO);
        let mut aggregator = Aggregator::new(Arc::clone(&registry));
        aggregator.aggregate(&batch(&[answered("gone", 1)], 1));
        let metrics = || registry.snapshot(&Arc::default()).metrics.len();
        assert_eq!((metrics(), metrics()), (3, 3), "a handle keeps a series");
        aggregator.sweep(2_000 + KEEP_NS);
        assert!(aggregator.plans[0].sets.is_empty());
        assert_eq!(
            (metrics(), metrics()),
            (3, 0),
            "shown once more, then forgotten"
        );
    }
}
