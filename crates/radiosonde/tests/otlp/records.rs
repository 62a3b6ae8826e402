//! Batches and snapshots for tests that send them.

use std::{ops::Range, sync::Arc};

use radiosonde::{
    Event,
    core::{
        ValueRef,
        batch::{Batch, Parts},
        ids::{SpanId, TraceId},
        metrics::snapshot::{Data, Metric, Number, Series, Snapshot},
        model::Resource,
    },
};

macro_rules! described {
    ($name:ident, $text:literal, $kind:ident, [$($field:literal),*]) => {
        static $name: tracing::Metadata<'static> = {
            struct Callsite;
            static CALLSITE: Callsite = Callsite;
            impl tracing::callsite::Callsite for Callsite {
                fn set_interest(&self, _: tracing::subscriber::Interest) {}
                fn metadata(&self) -> &tracing::Metadata<'_> { &$name }
            }
            tracing::metadata! {
                name: $text, target: "app", level: tracing::Level::INFO, fields: &[$($field),*],
                callsite: &CALLSITE, kind: tracing::metadata::Kind::$kind,
            }
        };
    };
}

described!(WORK, "work", SPAN, ["id", "text"]);
described!(SAID, "said", EVENT, ["message"]);

/// Something happened.
#[derive(Event)]
#[event(name = "test.happened")]
struct Happened {
    /// How often.
    times: u64,
}

pub fn resource() -> Arc<Resource> {
    Arc::new(Resource {
        attributes: vec![("service.name".into(), "test".into())],
    })
}

fn parts<'a>(id: u64, attributes: &'a [(&'a str, ValueRef<'a>)]) -> Parts<'a> {
    Parts {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(id + 1),
        time_unix_ns: 1_790_000_000_000_000_000 + id,
        thread: 1,
        attributes,
        ..Parts::default()
    }
}

/// Spans with these `id`s.
pub fn batch(ids: Range<u64>) -> Batch {
    let mut batch = Batch::new(resource());
    for id in ids {
        let attributes = [
            ("id", ValueRef::U64(id)),
            ("text", ValueRef::Str("some text that is not too short")),
        ];
        batch.push_span(
            &WORK,
            &parts(id, &attributes),
            1_790_000_000_000_001_000 + id,
        );
    }
    batch
}

/// Two spans, a log and an event.
pub fn mixed_batch() -> Batch {
    let mut batch = batch(0..2);
    batch.push_log(
        &SAID,
        Some(&WORK),
        &parts(0, &[("message", ValueRef::Str("hello"))]),
    );
    batch.push_event(&Happened { times: 3 }, Some(&WORK), &parts(0, &[]));
    batch
}

pub fn snapshot() -> Snapshot {
    let series = Series {
        labels: Arc::new([("operation".into(), "matmul".into())]),
        start_unix_ns: 1,
        value: Number::U64(42),
        exemplars: vec![],
    };
    Snapshot {
        resource: resource(),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics: vec![Metric {
            name: "gpu.operation.count".into(),
            description: "Operations.".into(),
            unit: "{operation}".into(),
            data: Data::Counter(vec![series]),
        }],
    }
}
