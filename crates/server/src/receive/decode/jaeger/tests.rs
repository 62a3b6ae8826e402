use std::sync::Arc;

use prost::Message as _;

use super::{
    super::{
        Encoding, Signal,
        sink::Reason,
        tests::{Kept, NOW, check_damaged},
    },
    Form,
};

/// Two spans that Thrift 0.25 for Python wrote, with the classes of opentelemetry-exporter-jaeger-thrift 1.21: one with everything,
/// and one without identifiers.
const BATCH: &[u8] = include_bytes!("batch.bin");

const SPANS: &str = "SELECT trace_id, span_id, parent_span_id, start_time, duration, name, kind, status, links, service, scope, \
                     resource, attributes FROM spans";
const EVENTS: &str = "SELECT time, span_id, event_name, attributes FROM logs ORDER BY time";

/// jaeger-idl, `proto/api_v2/model.proto` and `collector.proto`, encoded by prost.
mod model {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PostSpansRequest {
        #[prost(message, optional, tag = "1")]
        pub(super) batch: Option<Batch>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Batch {
        #[prost(message, repeated, tag = "1")]
        pub(super) spans: Vec<Span>,
        #[prost(message, optional, tag = "2")]
        pub(super) process: Option<Process>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Process {
        #[prost(string, tag = "1")]
        pub(super) service_name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) tags: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        #[expect(clippy::struct_field_names, reason = "it is the format's name")]
        pub(super) span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        pub(super) operation_name: String,
        #[prost(message, repeated, tag = "4")]
        pub(super) references: Vec<SpanRef>,
        #[prost(message, optional, tag = "6")]
        pub(super) start_time: Option<Time>,
        #[prost(message, optional, tag = "7")]
        pub(super) duration: Option<Time>,
        #[prost(message, repeated, tag = "8")]
        pub(super) tags: Vec<KeyValue>,
        #[prost(message, repeated, tag = "9")]
        pub(super) logs: Vec<Log>,
        #[prost(message, optional, tag = "10")]
        pub(super) process: Option<Process>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SpanRef {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) span_id: Vec<u8>,
        #[prost(int32, tag = "3")]
        pub(super) ref_type: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Time {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KeyValue {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(int32, tag = "2")]
        pub(super) v_type: i32,
        #[prost(string, tag = "3")]
        pub(super) v_str: String,
        #[prost(bool, tag = "4")]
        pub(super) v_bool: bool,
        #[prost(int64, tag = "5")]
        pub(super) v_int64: i64,
        #[prost(double, tag = "6")]
        pub(super) v_float64: f64,
        #[prost(bytes = "vec", tag = "7")]
        pub(super) v_binary: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Log {
        #[prost(message, optional, tag = "1")]
        pub(super) timestamp: Option<Time>,
        #[prost(message, repeated, tag = "2")]
        pub(super) fields: Vec<KeyValue>,
    }
}

fn text(key: &str, value: &str) -> model::KeyValue {
    model::KeyValue {
        key: key.to_owned(),
        v_str: value.to_owned(),
        ..model::KeyValue::default()
    }
}

fn number(key: &str, v_type: i32) -> model::KeyValue {
    model::KeyValue {
        key: key.to_owned(),
        v_type,
        v_bool: v_type == 1,
        v_int64: if v_type == 2 { 500 } else { 0 },
        v_float64: if v_type == 3 { 0.5 } else { 0.0 },
        v_binary: if v_type == 4 {
            vec![1, 2, 3]
        } else {
            Vec::new()
        },
        ..model::KeyValue::default()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the type of the field that it is for"
)]
fn process(service: &str) -> Option<model::Process> {
    Some(model::Process {
        service_name: service.to_owned(),
        tags: vec![text("hostname", "box"), text("service.name", service)],
    })
}

/// The same two spans, of which the second is of another process.
fn request() -> Vec<u8> {
    let time = |nanos| {
        Some(model::Time {
            seconds: NOW / 1_000_000_000,
            nanos,
        })
    };
    let trace_id = 0x1122_3344_5566_7788_0123_4567_89ab_cdef_u128.to_be_bytes();
    let reference = |trace_id: &[u8], span_id: u64, ref_type| model::SpanRef {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_be_bytes().to_vec(),
        ref_type,
    };
    let log = |nanos, fields| model::Log {
        timestamp: time(nanos),
        fields,
    };
    let full = model::Span {
        trace_id: trace_id.to_vec(),
        span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes().to_vec(),
        operation_name: "GET /pay".to_owned(),
        references: vec![
            reference(&trace_id, 7, 0),
            reference(&2_u128.to_be_bytes(), u64::MAX, 1),
        ],
        start_time: time(0),
        duration: Some(model::Time {
            seconds: 0,
            nanos: 1_500_000,
        }),
        tags: vec![
            text("span.kind", "server"),
            number("error", 1),
            text("otel.library.name", "cart"),
            number("http.status_code", 2),
            number("ratio", 3),
            model::KeyValue {
                v_bool: false,
                ..number("is.last", 1)
            },
            number("key", 4),
        ],
        logs: vec![
            log(
                100_000,
                vec![
                    text("event", "retry"),
                    model::KeyValue {
                        v_int64: 2,
                        ..number("attempt", 2)
                    },
                ],
            ),
            log(200_000, vec![text("message", "gone")]),
        ],
        process: None,
    };
    let empty = model::Span {
        process: process("other"),
        ..model::Span::default()
    };
    let batch = model::Batch {
        spans: vec![full, empty],
        process: process("shop"),
    };
    model::PostSpansRequest { batch: Some(batch) }.encode_to_vec()
}

fn kept(form: Form, request: &[u8]) -> Kept {
    Kept::new(Signal::Traces, Encoding::Jaeger(form), request)
}

#[test]
fn a_batch_is_rows_in_either_form() {
    for kept in [kept(Form::Thrift, BATCH), kept(Form::Protobuf, &request())] {
        assert_eq!(
            kept.ask(SPANS),
            "11223344556677880123456789abcdef | 00f067aa0ba902b7 | 0000000000000007 | 2027-01-15T08:00:00.000000000Z | 1500000 | \
             GET /pay | server | error | [{\"trace_id\":\"00000000000000000000000000000002\",\"span_id\":\"ffffffffffffffff\",\
             \"attributes\":{\"opentracing.ref_type\":\"follows_from\"}}] | shop | cart | \
             {\"hostname\":\"box\",\"service.name\":\"shop\"} | \
             {\"http.status_code\":500,\"ratio\":0.5,\"is.last\":false,\"key\":\"AQID\"}"
        );
        assert_eq!(
            kept.ask(EVENTS),
            "2027-01-15T08:00:00.000100000Z | 00f067aa0ba902b7 | retry | {\"attempt\":2}\n\
             2027-01-15T08:00:00.000200000Z | 00f067aa0ba902b7 | gone | -"
        );
        assert_eq!(
            kept.rejected.first,
            Some((Reason::TraceId, "spans[1]".to_owned()))
        );
    }
}

#[test]
fn a_span_may_have_a_process_of_its_own() {
    let mut given = model::PostSpansRequest::decode(&*request()).unwrap();
    let batch = given.batch.as_mut().unwrap();
    let mut own = batch.spans[0].clone();
    own.process = process("other");
    // Two spans of one identifier are one.
    own.span_id[0] ^= 1;
    let last = batch.spans[0].clone();
    batch.spans = vec![own, last];
    let kept = kept(Form::Protobuf, &given.encode_to_vec());
    assert_eq!(
        kept.ask("SELECT service FROM spans ORDER BY 1"),
        "other\nshop"
    );
}

#[test]
fn a_batch_that_is_damaged_is_answered() {
    check_damaged(Encoding::Jaeger(Form::Thrift), BATCH);
    check_damaged(Encoding::Jaeger(Form::Protobuf), &request());
}

#[test]
fn structures_in_one_another_without_end_and_lists_longer_than_they_are_cost_nothing() {
    let read = |request: &[u8]| {
        let encoding = Encoding::Jaeger(Form::Thrift);
        let told = super::super::Told::default();
        super::super::decode(
            Signal::Traces,
            encoding,
            &told,
            request,
            NOW,
            &Arc::default(),
        )
        .map(drop)
    };
    // A structure in field 1 of a structure, and so on; a list of lists.
    assert!(read(&[12, 0, 1].repeat(1 << 20)).is_err());
    assert!(read(&[&[15, 0, 2][..], &[15, 0, 0, 0, 1].repeat(1 << 20)].concat()).is_err());
    // Two thousand million spans, none of which is there; fewer than none.
    assert!(read(&[15, 0, 2, 12, 0x7f, 255, 255, 255]).is_err());
    assert!(read(&[15, 0, 2, 12, 255, 255, 255, 255]).is_err());
    // No list at all, and one of nothing.
    assert!(read(&[0]).is_err());
    assert!(read(&[15, 0, 2, 12, 0, 0, 0, 0, 0]).is_ok());
}
