//! The records of a test: a span, a log and a gauge that say that they are one.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, Parts},
    ids::{SpanId, TraceId},
    metrics::snapshot::{Data, Labels, Metric, Number, Series, Snapshot},
    model::{Resource, Value},
};
use tracing::{
    Level, Metadata,
    callsite::{Callsite, Identifier},
    field::FieldSet,
    metadata::Kind,
    subscriber::Interest,
};

/// `service.name` of what is sent.
pub(super) const SERVICE: &str = "radiosonde-doctor";
/// The attribute by which a test is told from what a program recorded.
const ATTRIBUTE: &str = "radiosonde.test";
const TARGET: &str = "radiosonde::test";
const MESSAGE: &str = "a test of `sonde doctor`: this destination is reached";
const SPAN_NS: u64 = 1_000_000;

struct Site(usize);

static SITES: [Site; 2] = [Site(0), Site(1)];
static METADATA: [Metadata<'static>; 2] = [
    described("radiosonde.test", &[], &SITES[0], Kind::SPAN),
    described("radiosonde.test", &["message"], &SITES[1], Kind::EVENT),
];

const fn described(
    name: &'static str,
    fields: &'static [&'static str],
    site: &'static Site,
    kind: Kind,
) -> Metadata<'static> {
    let fields = FieldSet::new(fields, Identifier(site));
    Metadata::new(name, TARGET, Level::INFO, None, None, None, fields, kind)
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA[self.0]
    }
}

/// One test.
pub(super) struct Record {
    resource: Arc<Resource>,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) time_unix_ns: u64,
}

impl Record {
    /// A test that begins now.
    pub(super) fn new() -> Option<Self> {
        let random = RandomState::new();
        let [high, low, span] = [1, 2, 3].map(|part: u8| random.hash_one(part).max(1));
        let attributes = [("service.name", SERVICE)];
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Some(Self {
            resource: Arc::new(Resource {
                attributes: attributes
                    .map(|(name, value)| (name.into(), value.into()))
                    .to_vec(),
            }),
            trace_id: TraceId::from_words(high, low)?,
            span_id: SpanId::new(span)?,
            time_unix_ns: u64::try_from(since.as_nanos()).ok()?,
        })
    }

    /// The gauge's value: the time of the test in whole seconds since the Unix epoch.
    pub(super) const fn time_unix_s(&self) -> u64 {
        self.time_unix_ns / 1_000_000_000
    }

    fn parts<'a>(&self, attributes: &'a [(&'a str, ValueRef<'a>)]) -> Parts<'a> {
        Parts {
            trace_id: Some(self.trace_id),
            span_id: Some(self.span_id),
            time_unix_ns: self.time_unix_ns,
            attributes,
            ..Parts::default()
        }
    }

    /// No records at all.
    pub(super) fn nothing(&self) -> Batch {
        Batch::new(Arc::clone(&self.resource))
    }

    pub(super) fn span(&self) -> Batch {
        let attributes = [(ATTRIBUTE, ValueRef::Bool(true))];
        let mut batch = self.nothing();
        let end = self.time_unix_ns + SPAN_NS;
        batch.push_span(&METADATA[0], &self.parts(&attributes), end);
        batch
    }

    pub(super) fn log(&self) -> Batch {
        let attributes = [
            ("message", ValueRef::Str(MESSAGE)),
            (ATTRIBUTE, ValueRef::Bool(true)),
        ];
        let mut batch = self.nothing();
        batch.push_log(&METADATA[1], Some(&METADATA[0]), &self.parts(&attributes));
        batch
    }

    pub(super) fn gauge(&self) -> Snapshot {
        let labels: Labels = Arc::new([(ATTRIBUTE.into(), Value::Bool(true))]);
        let series = Series {
            labels,
            start_unix_ns: self.time_unix_ns,
            value: Number::U64(self.time_unix_s()),
            exemplars: Vec::new(),
        };
        Snapshot {
            resource: Arc::clone(&self.resource),
            start_unix_ns: self.time_unix_ns,
            time_unix_ns: self.time_unix_ns,
            metrics: vec![Metric {
                name: "radiosonde.test.time".into(),
                description: "When `sonde doctor` last tested whether this destination is reached."
                    .into(),
                unit: "s".into(),
                data: Data::Gauge(vec![series]),
            }],
        }
    }
}
