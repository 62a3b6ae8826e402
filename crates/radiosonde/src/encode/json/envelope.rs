//! What stands around every record's data, borrowed from a record of either form.

use radiosonde_core::{
    batch::{PlaceRef, RecordRef},
    ids::{SpanId, TraceId},
    model::{Place, Record},
};

use super::{LOG_TYPE, SPAN_TYPE};

/// What stands around every record's data.
pub(crate) struct Envelope<'a> {
    pub(crate) time_unix_ns: u64,
    pub(crate) place: Option<EnvelopePlace<'a>>,
    pub(crate) type_name: &'a str,
}

pub(crate) struct EnvelopePlace<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: Option<SpanId>,
    pub(crate) span_name: &'a str,
}

/// What stands around the data of a record in a batch.
pub(crate) fn envelope_of<'a>(record: &RecordRef<'a>) -> Envelope<'a> {
    let placed = |place: PlaceRef| EnvelopePlace {
        trace_id: place.trace_id,
        span_id: place.span_id,
        parent_id: place.parent_id,
        span_name: place.span_name,
    };
    match record {
        RecordRef::Span(span) => Envelope {
            time_unix_ns: span.end_unix_ns(),
            place: Some(EnvelopePlace {
                trace_id: span.trace_id(),
                span_id: span.span_id(),
                parent_id: span.parent_id(),
                span_name: span.name(),
            }),
            type_name: SPAN_TYPE,
        },
        RecordRef::Log(log) => Envelope {
            time_unix_ns: log.time_unix_ns(),
            place: log.place().map(placed),
            type_name: LOG_TYPE,
        },
        RecordRef::Event(event) => Envelope {
            time_unix_ns: event.time_unix_ns(),
            place: event.place().map(placed),
            type_name: event.descriptor().type_name,
        },
    }
}

/// What stands around the data of an owned record.
pub(super) fn owned_envelope(record: &Record) -> Envelope<'_> {
    fn placed(place: &Place) -> EnvelopePlace<'_> {
        EnvelopePlace {
            trace_id: place.trace_id,
            span_id: place.span_id,
            parent_id: place.parent_id,
            span_name: &place.span_name,
        }
    }
    match record {
        Record::Span(span) => Envelope {
            time_unix_ns: span.end_unix_ns,
            place: Some(EnvelopePlace {
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent_id: span.parent_id,
                span_name: &span.name,
            }),
            type_name: SPAN_TYPE,
        },
        Record::Log(log) => Envelope {
            time_unix_ns: log.time_unix_ns,
            place: log.place.as_ref().map(placed),
            type_name: LOG_TYPE,
        },
        Record::Event(event) => Envelope {
            time_unix_ns: event.time_unix_ns,
            place: event.place.as_ref().map(placed),
            type_name: &event.type_name,
        },
    }
}
