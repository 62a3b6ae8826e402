//! `AnyValue`, `KeyValue` and `Resource` (opentelemetry/proto/common/v1/common.proto, resource/v1/resource.proto).
//!
//! Sizes are computed before anything is written, so that each length comes out right the first time. OTLP has no
//! unsigned integers: one above `i64::MAX` is sent as its decimal text, which loses nothing.

use radiosonde_core::{
    Shapes, ValueRef,
    model::{Resource, Value},
};

use crate::redact::{Redaction, Sensitivity};

use super::wire::{FIELD_BYTES_MAX, Tail, VARINT, Wire, tag, varint_bytes};

/// `AnyValue` field numbers.
pub(super) const STRING: u32 = 1;
pub(super) const BOOL: u32 = 2;
pub(super) const INT: u32 = 3;
pub(super) const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;
const MAP: u32 = 6;

/// Something that can be an `AnyValue`.
pub(super) trait Any {
    /// Bytes of the encoded `AnyValue`.
    fn size(&self) -> usize;
    /// Appends it.
    fn write(&self, tail: &mut Tail<'_>);
}

/// Size of a length-delimited field with a one-byte tag.
#[inline]
pub(super) const fn delimited(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}

/// The longest decimal of a `u64`.
const DECIMAL_BYTES: usize = 20;

fn unsigned_size(value: u64) -> usize {
    if i64::try_from(value).is_ok() {
        1 + varint_bytes(value)
    } else {
        // 2^63 has 19 digits, 10^19 has 20.
        delimited(if value < 10_u64.pow(19) {
            DECIMAL_BYTES - 1
        } else {
            DECIMAL_BYTES
        })
    }
}

#[inline]
fn unsigned_write(tail: &mut Tail<'_>, value: u64) {
    if i64::try_from(value).is_ok() {
        tail.varint_field(INT, value);
    } else {
        tail.aside(|tail| tail.bytes_field(STRING, value.to_string().as_bytes()));
    }
}

fn list_size(values: &[u64]) -> usize {
    values
        .iter()
        .map(|&value| delimited(unsigned_size(value)))
        .sum()
}

/// The `AnyValue` that holds `values`.
fn list_write(tail: &mut Tail<'_>, values: &[u64]) {
    tail.length_field(ARRAY, list_size(values));
    for &value in values {
        tail.length_field(1, unsigned_size(value));
        unsigned_write(tail, value);
    }
}

fn shapes_size(shapes: Shapes<'_>) -> usize {
    shapes
        .iter()
        .map(|list| delimited(delimited(list_size(list))))
        .sum()
}

fn shapes_write(tail: &mut Tail<'_>, shapes: Shapes<'_>) {
    tail.length_field(ARRAY, shapes_size(shapes));
    for list in shapes.iter() {
        tail.length_field(1, delimited(list_size(list)));
        list_write(tail, list);
    }
}

impl Any for ValueRef<'_> {
    #[inline]
    fn size(&self) -> usize {
        match *self {
            Self::Bool(_) => 2,
            Self::I64(value) => 1 + varint_bytes(value as u64),
            Self::U64(value) => unsigned_size(value),
            Self::F64(_) => 9,
            Self::Str(text) => delimited(text.len()),
            Self::U64s(values) => delimited(list_size(values)),
            Self::Shapes(shapes) => delimited(shapes_size(shapes)),
        }
    }

    #[inline]
    fn write(&self, tail: &mut Tail<'_>) {
        match *self {
            Self::Bool(value) => tail.put(&[tag(BOOL, VARINT), u8::from(value)]),
            Self::I64(value) => tail.varint_field(INT, value as u64),
            Self::U64(value) => unsigned_write(tail, value),
            Self::F64(value) => tail.double_field(DOUBLE, value),
            Self::Str(text) => tail.bytes_field(STRING, text.as_bytes()),
            Self::U64s(values) => tail.aside(|tail| list_write(tail, values)),
            Self::Shapes(shapes) => tail.aside(|tail| shapes_write(tail, shapes)),
        }
    }
}

impl Any for Value {
    fn size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 2,
            Self::I64(value) => 1 + varint_bytes(*value as u64),
            Self::U64(value) => unsigned_size(*value),
            Self::F64(_) => 9,
            Self::Str(text) => delimited(text.len()),
            Self::List(values) => {
                delimited(values.iter().map(|value| delimited(value.size())).sum())
            }
            Self::Map(entries) => delimited(map_size(entries)),
        }
    }

    fn write(&self, tail: &mut Tail<'_>) {
        match self {
            Self::Null => {}
            Self::Bool(value) => ValueRef::Bool(*value).write(tail),
            Self::I64(value) => ValueRef::I64(*value).write(tail),
            Self::U64(value) => ValueRef::U64(*value).write(tail),
            Self::F64(value) => ValueRef::F64(*value).write(tail),
            Self::Str(text) => ValueRef::Str(text).write(tail),
            Self::List(values) => {
                let sizes = values.iter().map(|value| delimited(value.size()));
                tail.length_field(ARRAY, sizes.sum());
                for value in values {
                    tail.length_field(1, value.size());
                    value.write(tail);
                }
            }
            Self::Map(entries) => {
                tail.length_field(MAP, map_size(entries));
                for (key, value) in entries {
                    key_value_write(tail, 1, key, value);
                }
            }
        }
    }
}

fn map_size<K: AsRef<str>>(entries: &[(K, Value)]) -> usize {
    entries
        .iter()
        .map(|(key, value)| delimited(key_value_size(key.as_ref(), value)))
        .sum()
}

#[inline]
fn key_value_size(key: &str, value: &impl Any) -> usize {
    delimited(key.len()) + delimited(value.size())
}

/// Appends `key` and `value` as the `KeyValue` in `field`.
#[inline]
pub(super) fn key_value(wire: &mut Wire, field: u32, key: &str, value: &impl Any) {
    let bytes = FIELD_BYTES_MAX + key_value_size(key, value);
    wire.append(bytes, |tail| key_value_write(tail, field, key, value));
}

/// Appends `key` and `value` as the `KeyValue` in `field`, with what stands in place of a secret.
#[inline]
pub(super) fn attribute(
    wire: &mut Wire,
    field: u32,
    (key, value): (&str, ValueRef<'_>),
    sensitivity: Sensitivity,
    redaction: &Redaction,
) {
    match redaction.replacement(sensitivity, value) {
        None => key_value(wire, field, key, &value),
        Some(clean) => key_value(wire, field, key, &ValueRef::Str(&clean)),
    }
}

/// Appends a `KeyValue` at a tail.
#[inline]
pub(super) fn key_value_write(tail: &mut Tail<'_>, field: u32, key: &str, value: &impl Any) {
    let value_size = value.size();
    tail.length_field(field, delimited(key.len()) + delimited(value_size));
    tail.bytes_field(1, key.as_bytes());
    tail.length_field(2, value_size);
    value.write(tail);
}

/// Appends the `Resource` in field 1.
pub(super) fn resource(wire: &mut Wire, resource: &Resource) {
    let open = wire.open(1, 2);
    for (key, value) in &resource.attributes {
        key_value(wire, 1, key, value);
    }
    wire.close(open);
}

/// Appends the `InstrumentationScope` in field 1.
pub(super) fn scope(wire: &mut Wire, name: &str, version: &str) {
    let open = wire.open(1, 1);
    wire.text_field(1, name);
    wire.text_field(2, version);
    wire.close(open);
}
