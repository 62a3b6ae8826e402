//! What is exported here: a log in a span, an event, and spans.

use std::{sync::Arc, thread, time::Duration};

use radiosonde::{
    Event,
    core::{
        ValueRef,
        batch::{Batch, Parts},
        ids::{SpanId, TraceId},
        model::{Resource, Value},
    },
    exporter::{ExportError, Exporter},
};
use tracing::{Metadata, callsite::Callsite as _};

/// Something made room.
#[derive(Event)]
#[event(name = "test.evicted", level = "warn")]
pub struct Evicted<'a> {
    /// How much.
    pub bytes: u64,
    /// Why.
    pub why: &'a str,
}

macro_rules! callsite {
    ($name:ident, $kind:expr) => {
        pub fn $name() -> &'static Metadata<'static> {
            static CALLSITE: tracing::callsite::DefaultCallsite =
                tracing::callsite::DefaultCallsite::new(&METADATA);
            static METADATA: Metadata<'static> = Metadata::new(
                "decode",
                "engine::decode",
                tracing::Level::ERROR,
                None,
                None,
                None,
                tracing::field::FieldSet::new(
                    &["message", "otel.status_code", "otel.status_message"],
                    tracing::callsite::Identifier(&CALLSITE),
                ),
                $kind,
            );
            CALLSITE.metadata()
        }
    };
}
callsite!(log, tracing::metadata::Kind::EVENT);
callsite!(span, tracing::metadata::Kind::SPAN);

pub fn resource() -> Arc<Resource> {
    let attributes = [
        ("service.name", Value::from("my engine")),
        ("service.version", Value::from("1.2")),
        ("host.name", Value::from("box")),
        ("process.pid", Value::from(42_u64)),
    ];
    let attributes = attributes.map(|(name, value)| (name.into(), value));
    Arc::new(Resource {
        attributes: attributes.into(),
    })
}

pub fn parts<'a>(attributes: &'a [(&'a str, ValueRef<'a>)]) -> Parts<'a> {
    Parts {
        trace_id: TraceId::from_words(1, 2),
        span_id: SpanId::new(3),
        time_unix_ns: 1_767_225_599_123_456_789,
        attributes,
        ..Parts::default()
    }
}

/// Logs with these messages.
pub fn logs<S: AsRef<str>>(messages: &[S]) -> Batch {
    let mut batch = Batch::new(resource());
    for message in messages {
        let attributes = [
            ("message", ValueRef::Str(message.as_ref())),
            ("quoted", ValueRef::Str(r#"a "b" \c]"#)),
            ("token", ValueRef::Str("hunter2")),
        ];
        batch.push_log(log(), Some(span()), &parts(&attributes));
    }
    batch
}

/// Exports; what the exporter says of an attempt before is no fault of this batch.
pub fn export(exporter: &mut impl Exporter, batch: &Batch) {
    match exporter.export(batch) {
        Ok(()) | Err(ExportError::Noticed { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Flushes until everything is delivered.
pub fn deliver(exporter: &mut impl Exporter) {
    for _ in 0..3000 {
        if exporter.flush().is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not delivered: {:?}", exporter.flush());
}
