//! Values and text as JSON.

use std::borrow::Cow;

use radiosonde_core::{ValueRef, model::Value};

use crate::redact::{Arguments, REDACTED, Redaction, Sensitivity, Traits};

/// A value that can stand in an object.
pub(crate) trait JsonValue {
    /// Appends the value of an attribute whose name says `sensitivity`.
    fn push(&self, sensitivity: Sensitivity, redaction: &Redaction, out: &mut Vec<u8>);
}

impl JsonValue for ValueRef<'_> {
    #[inline]
    fn push(&self, sensitivity: Sensitivity, redaction: &Redaction, out: &mut Vec<u8>) {
        match (sensitivity, self) {
            (_, &ValueRef::Bool(value)) => push_bool(value, out),
            (Sensitivity::Secret, _) | (Sensitivity::SecretText, ValueRef::Str(_)) => {
                push_redacted(out);
            }
            (_, &ValueRef::I64(value)) => push_i64(value, out),
            (_, &ValueRef::U64(value)) => push_u64(value, out),
            (_, &ValueRef::F64(value)) => push_f64(value, out),
            (_, ValueRef::Str(text)) => push_text(text, redaction, out),
            (_, ValueRef::U64s(values)) => push_numbers(values, out),
            (_, ValueRef::Shapes(shapes)) => push_list(shapes.iter(), out, push_numbers),
        }
    }
}

impl JsonValue for &Value {
    fn push(&self, sensitivity: Sensitivity, redaction: &Redaction, out: &mut Vec<u8>) {
        match (sensitivity, self) {
            (_, Value::Null) => out.extend_from_slice(b"null"),
            (_, Value::Bool(value)) => push_bool(*value, out),
            (Sensitivity::Secret, _) | (Sensitivity::SecretText, Value::Str(_)) => {
                push_redacted(out);
            }
            (_, Value::I64(value)) => push_i64(*value, out),
            (_, Value::U64(value)) => push_u64(*value, out),
            (_, Value::F64(value)) => push_f64(*value, out),
            (_, Value::Str(text)) => push_text(text, redaction, out),
            (_, Value::List(values)) => {
                let mut arguments = Arguments::default();
                push_list(values.iter(), out, |value, out| {
                    if arguments.is_secret(value.as_str(), redaction) {
                        push_redacted(out);
                    } else {
                        value.push(sensitivity, redaction, out);
                    }
                });
            }
            (_, Value::Map(entries)) => {
                out.push(b'{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                    push_escaped(name, out);
                    out.extend_from_slice(b"\":");
                    (&value).push(redaction.sensitivity(name), redaction, out);
                }
                out.push(b'}');
            }
        }
    }
}

fn push_list<T>(
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

fn push_numbers(values: &[u64], out: &mut Vec<u8>) {
    push_list(values.iter(), out, |&value, out| push_u64(value, out));
}

fn push_redacted(out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(REDACTED.as_bytes());
    out.push(b'"');
}

fn push_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

#[inline]
pub(super) fn push_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[inline]
pub(super) fn push_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// JSON has no numbers that are not finite: `"NaN"`, `"Infinity"` and `"-Infinity"`, as protobuf's JSON mapping
/// and OTLP/JSON write them.
#[inline]
pub(crate) fn push_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

/// Text in quotes, without secrets.
#[inline]
pub(super) fn push_text(text: &str, redaction: &Redaction, out: &mut Vec<u8>) {
    let traits = Traits::of(text);
    out.push(b'"');
    match redaction.text_with(text, traits) {
        Cow::Borrowed(text) if !traits.needs_escape() => out.extend_from_slice(text.as_bytes()),
        text => push_escaped(&text, out),
    }
    out.push(b'"');
}

/// Text between quotes (RFC 8259, section 7).
pub(crate) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut kept_from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[kept_from..at]);
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        kept_from = at + 1;
    }
    out.extend_from_slice(&bytes[kept_from..]);
}

/// Two hexadecimal digits of every byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// 16 lower-case hexadecimal digits.
#[inline]
pub(super) fn push_hex_u64(bits: u64, out: &mut Vec<u8>) {
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    out.extend_from_slice(&text);
}
