//! OTLP requests as JSON (OpenTelemetry protocol specification, "JSON Protobuf Encoding"), made from the same requests in
//! protobuf: so both say the same, and what is replaced is replaced in one place.
//!
//! Identifiers are hexadecimal, names lowerCamelCase, enumerations and 32-bit numbers are numbers, 64-bit ones text, numbers that
//! are not finite `"NaN"`, `"Infinity"` and `"-Infinity"`. Fields that this encoder never writes are not known here.

use super::{
    Signal,
    reader::{Field, Reader},
};
use crate::encode::json::text::{push_escaped, push_f64};

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Message(Shape),
    Text,
    /// An identifier.
    Hexadecimal,
    /// A number of at most 32 bits, or an enumeration.
    Small,
    /// A small number whose sign is in the lowest bit.
    ZigZag,
    /// A number of 64 bits with a sign.
    Signed,
    /// A number of 64 bits without.
    Unsigned,
    Bool,
    Double,
    /// Numbers of 64 bits, eight bytes each.
    PackedFixed,
    PackedDoubles,
    /// Numbers of 64 bits, as varints.
    PackedVarints,
}

use Kind::{
    Bool, Double, Hexadecimal, Message, PackedDoubles, PackedFixed, PackedVarints, Signed, Small,
    Text, Unsigned, ZigZag,
};

/// The messages there are.
#[derive(Clone, Copy)]
enum Shape {
    Traces,
    ResourceSpans,
    ScopeSpans,
    Span,
    Link,
    Status,
    Logs,
    ResourceLogs,
    ScopeLogs,
    Log,
    Metrics,
    ResourceMetrics,
    ScopeMetrics,
    Metric,
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Number,
    HistogramPoint,
    ExponentialPoint,
    Buckets,
    Exemplar,
    Resource,
    Scope,
    KeyValue,
    Any,
    Array,
    Map,
}

/// Number and name of a field, whether it is repeated, and what it holds.
type Spec = (u64, &'static str, bool, Kind);

const fn one(number: u64, name: &'static str, kind: Kind) -> Spec {
    (number, name, false, kind)
}

const fn many(number: u64, name: &'static str, kind: Kind) -> Spec {
    (number, name, true, kind)
}

impl Shape {
    const fn fields(self) -> &'static [Spec] {
        const RESOURCE: Spec = one(1, "resource", Message(Shape::Resource));
        const SCOPE: Spec = one(1, "scope", Message(Shape::Scope));
        match self {
            Self::Traces => &const { [many(1, "resourceSpans", Message(Shape::ResourceSpans))] },
            Self::ResourceSpans => {
                &const { [RESOURCE, many(2, "scopeSpans", Message(Shape::ScopeSpans))] }
            }
            Self::ScopeSpans => &const { [SCOPE, many(2, "spans", Message(Shape::Span))] },
            Self::Logs => &const { [many(1, "resourceLogs", Message(Shape::ResourceLogs))] },
            Self::ResourceLogs => {
                &const { [RESOURCE, many(2, "scopeLogs", Message(Shape::ScopeLogs))] }
            }
            Self::ScopeLogs => &const { [SCOPE, many(2, "logRecords", Message(Shape::Log))] },
            Self::Metrics => {
                &const { [many(1, "resourceMetrics", Message(Shape::ResourceMetrics))] }
            }
            Self::ResourceMetrics => {
                &const {
                    [
                        RESOURCE,
                        many(2, "scopeMetrics", Message(Shape::ScopeMetrics)),
                    ]
                }
            }
            Self::ScopeMetrics => &const { [SCOPE, many(2, "metrics", Message(Shape::Metric))] },
            Self::Span => SPAN,
            Self::Link => LINK,
            Self::Status => &const { [one(2, "message", Text), one(3, "code", Small)] },
            Self::Log => LOG,
            Self::Metric => METRIC,
            Self::Gauge => &const { [many(1, "dataPoints", Message(Shape::Number))] },
            Self::Sum => SUM,
            Self::Histogram => HISTOGRAM,
            Self::Exponential => EXPONENTIAL,
            Self::Number => NUMBER,
            Self::HistogramPoint => HISTOGRAM_POINT,
            Self::ExponentialPoint => EXPONENTIAL_POINT,
            Self::Buckets => {
                &const {
                    [
                        one(1, "offset", ZigZag),
                        one(2, "bucketCounts", PackedVarints),
                    ]
                }
            }
            Self::Exemplar => EXEMPLAR,
            Self::Resource => &const { [many(1, "attributes", Message(Shape::KeyValue))] },
            Self::Scope => &const { [one(1, "name", Text), one(2, "version", Text)] },
            Self::KeyValue => {
                &const { [one(1, "key", Text), one(2, "value", Message(Shape::Any))] }
            }
            Self::Any => ANY,
            Self::Array => &const { [many(1, "values", Message(Shape::Any))] },
            Self::Map => &const { [many(1, "values", Message(Shape::KeyValue))] },
        }
    }
}

const SPAN: &[Spec] = &[
    one(1, "traceId", Hexadecimal),
    one(2, "spanId", Hexadecimal),
    one(4, "parentSpanId", Hexadecimal),
    one(16, "flags", Small),
    one(5, "name", Text),
    one(6, "kind", Small),
    one(7, "startTimeUnixNano", Unsigned),
    one(8, "endTimeUnixNano", Unsigned),
    many(9, "attributes", Message(Shape::KeyValue)),
    many(13, "links", Message(Shape::Link)),
    one(15, "status", Message(Shape::Status)),
];

const LINK: &[Spec] = &[
    one(1, "traceId", Hexadecimal),
    one(2, "spanId", Hexadecimal),
    one(6, "flags", Small),
];

const LOG: &[Spec] = &[
    one(1, "timeUnixNano", Unsigned),
    one(2, "severityNumber", Small),
    one(3, "severityText", Text),
    one(5, "body", Message(Shape::Any)),
    many(6, "attributes", Message(Shape::KeyValue)),
    one(8, "flags", Small),
    one(9, "traceId", Hexadecimal),
    one(10, "spanId", Hexadecimal),
    one(11, "observedTimeUnixNano", Unsigned),
    one(12, "eventName", Text),
];

const METRIC: &[Spec] = &[
    one(1, "name", Text),
    one(2, "description", Text),
    one(3, "unit", Text),
    one(5, "gauge", Message(Shape::Gauge)),
    one(7, "sum", Message(Shape::Sum)),
    one(9, "histogram", Message(Shape::Histogram)),
    one(10, "exponentialHistogram", Message(Shape::Exponential)),
];

const SUM: &[Spec] = &[
    many(1, "dataPoints", Message(Shape::Number)),
    one(2, "aggregationTemporality", Small),
    one(3, "isMonotonic", Bool),
];

const HISTOGRAM: &[Spec] = &[
    many(1, "dataPoints", Message(Shape::HistogramPoint)),
    one(2, "aggregationTemporality", Small),
];

const EXPONENTIAL: &[Spec] = &[
    many(1, "dataPoints", Message(Shape::ExponentialPoint)),
    one(2, "aggregationTemporality", Small),
];

const NUMBER: &[Spec] = &[
    one(2, "startTimeUnixNano", Unsigned),
    one(3, "timeUnixNano", Unsigned),
    one(4, "asDouble", Double),
    many(5, "exemplars", Message(Shape::Exemplar)),
    one(6, "asInt", Signed),
    many(7, "attributes", Message(Shape::KeyValue)),
];

const HISTOGRAM_POINT: &[Spec] = &[
    one(2, "startTimeUnixNano", Unsigned),
    one(3, "timeUnixNano", Unsigned),
    one(4, "count", Unsigned),
    one(5, "sum", Double),
    one(6, "bucketCounts", PackedFixed),
    one(7, "explicitBounds", PackedDoubles),
    many(8, "exemplars", Message(Shape::Exemplar)),
    many(9, "attributes", Message(Shape::KeyValue)),
    one(11, "min", Double),
    one(12, "max", Double),
];

const EXPONENTIAL_POINT: &[Spec] = &[
    many(1, "attributes", Message(Shape::KeyValue)),
    one(2, "startTimeUnixNano", Unsigned),
    one(3, "timeUnixNano", Unsigned),
    one(4, "count", Unsigned),
    one(5, "sum", Double),
    one(6, "scale", ZigZag),
    one(7, "zeroCount", Unsigned),
    one(8, "positive", Message(Shape::Buckets)),
    one(9, "negative", Message(Shape::Buckets)),
    many(11, "exemplars", Message(Shape::Exemplar)),
    one(12, "min", Double),
    one(13, "max", Double),
];

const EXEMPLAR: &[Spec] = &[
    one(2, "timeUnixNano", Unsigned),
    one(3, "asDouble", Double),
    one(4, "spanId", Hexadecimal),
    one(5, "traceId", Hexadecimal),
    many(7, "filteredAttributes", Message(Shape::KeyValue)),
];

const ANY: &[Spec] = &[
    one(1, "stringValue", Text),
    one(2, "boolValue", Bool),
    one(3, "intValue", Signed),
    one(4, "doubleValue", Double),
    one(5, "arrayValue", Message(Shape::Array)),
    one(6, "kvlistValue", Message(Shape::Map)),
];

/// Appends the request `protobuf` of `signal` as JSON.
pub(crate) fn request(signal: Signal, protobuf: &[u8], out: &mut Vec<u8>) {
    let shape = match signal {
        Signal::Traces => Shape::Traces,
        Signal::Logs => Shape::Logs,
        Signal::Metrics => Shape::Metrics,
    };
    message(shape, protobuf, out);
}

fn message(shape: Shape, bytes: &[u8], out: &mut Vec<u8>) {
    let fields = shape.fields();
    // Which of them are written: none has more than 32.
    let mut written = 0_u32;
    let mut reader = Reader(bytes);
    out.push(b'{');
    while let Some((number, field)) = reader.next() {
        let Some(at) = fields.iter().position(|(known, ..)| *known == number) else {
            continue;
        };
        if written & 1 << at != 0 {
            continue;
        }
        if written != 0 {
            out.push(b',');
        }
        written |= 1 << at;
        let (_, name, is_repeated, kind) = fields[at];
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        if !is_repeated {
            value(kind, field, out);
            continue;
        }
        out.push(b'[');
        value(kind, field, out);
        for (other, field) in reader.clone() {
            if other == number {
                out.push(b',');
                value(kind, field, out);
            }
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn value(kind: Kind, field: Field<'_>, out: &mut Vec<u8>) {
    match (kind, field) {
        (Message(shape), Field::Bytes(bytes)) => message(shape, bytes, out),
        (Text, Field::Bytes(bytes)) => {
            out.push(b'"');
            push_escaped(&String::from_utf8_lossy(bytes), out);
            out.push(b'"');
        }
        (Hexadecimal, Field::Bytes(bytes)) => hexadecimal(bytes, out),
        (Small, Field::Varint(number)) => digits(number, out),
        (Small, Field::Fixed32(number)) => digits(u64::from(number), out),
        (ZigZag, Field::Varint(number)) => {
            let number = (number >> 1) as i64 ^ -((number & 1) as i64);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        (Signed, Field::Varint(number) | Field::Fixed64(number)) => {
            out.push(b'"');
            out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
            out.push(b'"');
        }
        (Unsigned, Field::Varint(number) | Field::Fixed64(number)) => text_digits(number, out),
        (Bool, Field::Varint(number)) => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        (Double, Field::Fixed64(bits)) => push_f64(f64::from_bits(bits), out),
        (PackedFixed, Field::Bytes(bytes)) => {
            let (words, _) = bytes.as_chunks();
            let numbers = words.iter().map(|word| u64::from_le_bytes(*word));
            list(numbers, out, text_digits);
        }
        (PackedDoubles, Field::Bytes(bytes)) => {
            let (words, _) = bytes.as_chunks();
            let numbers = words.iter().map(|word| f64::from_le_bytes(*word));
            list(numbers, out, push_f64);
        }
        (PackedVarints, Field::Bytes(bytes)) => {
            let mut reader = Reader(bytes);
            list(std::iter::from_fn(|| reader.varint()), out, text_digits);
        }
        // Not what the schema says, which this program's own encoder never writes.
        _ => out.extend_from_slice(b"null"),
    }
}

fn list<T>(
    values: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut push: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(value, out);
    }
    out.push(b']');
}

fn digits(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn text_digits(number: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    digits(number, out);
    out.push(b'"');
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}
