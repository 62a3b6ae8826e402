//! `AnyValue`, `KeyValue` and `Resource` (opentelemetry/proto/common/v1/common.proto, resource/v1/resource.proto).
//!
//! Sizes are computed before anything is written, so that each length comes out right the first time. OTLP has no
//! unsigned integers: one above `i64::MAX` is sent as its decimal text, which loses nothing.

use radiosonde_core::{
    Shapes, ValueRef,
    model::{Resource, Value},
};

use super::wire::{BYTES, VARINT, VARINT_BYTES_MAX, Wire, put_varint, tag, varint_bytes};

/// `AnyValue` field numbers.
const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;
const MAP: u32 = 6;

/// Something that can be an `AnyValue`.
pub(super) trait Any {
    /// Bytes of the encoded `AnyValue`.
    fn size(&self) -> usize;
    /// Appends it.
    fn write(&self, wire: &mut Wire);
}

/// Size of a length-delimited field with a one-byte tag.
#[inline]
pub(super) const fn delimited(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}

fn text_write(wire: &mut Wire, text: &str) {
    wire.bytes_field(STRING, text.as_bytes());
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

fn unsigned_write(wire: &mut Wire, value: u64) {
    if i64::try_from(value).is_ok() {
        int_write(wire, value);
    } else {
        text_write(wire, &value.to_string());
    }
}

#[inline]
fn int_write(wire: &mut Wire, twos_complement: u64) {
    wire.put_with::<{ 1 + VARINT_BYTES_MAX }>(|block| {
        block[0] = tag(INT, VARINT);
        1 + put_varint(&mut block[1..], twos_complement)
    });
}

fn double_write(wire: &mut Wire, value: f64) {
    wire.double_field(DOUBLE, value);
}

fn bool_write(wire: &mut Wire, value: bool) {
    wire.put(&[tag(BOOL, VARINT), u8::from(value)]);
}

fn list_size(values: &[u64]) -> usize {
    values
        .iter()
        .map(|&value| delimited(unsigned_size(value)))
        .sum()
}

/// The `AnyValue` that holds `values`.
fn list_write(wire: &mut Wire, values: &[u64]) {
    wire.put(&[tag(ARRAY, BYTES)]);
    wire.varint(list_size(values) as u64);
    for &value in values {
        wire.put(&[tag(1, BYTES)]);
        wire.varint(unsigned_size(value) as u64);
        unsigned_write(wire, value);
    }
}

fn shapes_size(shapes: Shapes<'_>) -> usize {
    shapes
        .iter()
        .map(|list| delimited(delimited(list_size(list))))
        .sum()
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
    fn write(&self, wire: &mut Wire) {
        match *self {
            Self::Bool(value) => bool_write(wire, value),
            Self::I64(value) => int_write(wire, value as u64),
            Self::U64(value) => unsigned_write(wire, value),
            Self::F64(value) => double_write(wire, value),
            Self::Str(text) => text_write(wire, text),
            Self::U64s(values) => list_write(wire, values),
            Self::Shapes(shapes) => {
                wire.put(&[tag(ARRAY, BYTES)]);
                wire.varint(shapes_size(shapes) as u64);
                for list in shapes.iter() {
                    wire.put(&[tag(1, BYTES)]);
                    wire.varint(delimited(list_size(list)) as u64);
                    list_write(wire, list);
                }
            }
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

    fn write(&self, wire: &mut Wire) {
        match self {
            Self::Null => {}
            Self::Bool(value) => bool_write(wire, *value),
            Self::I64(value) => int_write(wire, *value as u64),
            Self::U64(value) => unsigned_write(wire, *value),
            Self::F64(value) => double_write(wire, *value),
            Self::Str(text) => text_write(wire, text),
            Self::List(values) => {
                wire.put(&[tag(ARRAY, BYTES)]);
                wire.varint(
                    values
                        .iter()
                        .map(|value| delimited(value.size()))
                        .sum::<usize>() as u64,
                );
                for value in values {
                    wire.put(&[tag(1, BYTES)]);
                    wire.varint(value.size() as u64);
                    value.write(wire);
                }
            }
            Self::Map(entries) => {
                wire.put(&[tag(MAP, BYTES)]);
                wire.varint(map_size(entries) as u64);
                for (key, value) in entries {
                    key_value(wire, 1, key, value);
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
    let value_size = value.size();
    wire.put(&[tag(field, BYTES)]);
    wire.varint((delimited(key.len()) + delimited(value_size)) as u64);
    wire.bytes_field(1, key.as_bytes());
    wire.put(&[tag(2, BYTES)]);
    wire.varint(value_size as u64);
    value.write(wire);
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
