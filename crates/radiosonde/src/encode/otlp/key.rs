//! Attributes whose names are known beforehand, written as one block each.
//!
//! Most of a span's bytes are its attributes, and most of those are short names with a number. Tags, lengths and name
//! are put together once; what is left for each attribute is a copy of fixed size, a value and two lengths.

use radiosonde_core::ValueRef;

use crate::redact::{Redaction, Sensitivity};

use super::{
    values::{BOOL, DOUBLE, INT, STRING, key_value_write},
    wire::{BYTES, FIXED64, Tail, VARINT, VARINT_BYTES_MAX, put_varint, tag},
};

/// Bytes of the block before a value: the tag and length of the `KeyValue`, those of its key, the key, and the tag and
/// length of its value.
const HEAD_BYTES: usize = 48;
/// Bytes of it that are not the key.
const AROUND_BYTES: usize = 6;
/// Longest text that is written this way: the `KeyValue` stays below 128 bytes, so that every length is one byte.
const TEXT_BYTES_MAX: usize = 127 - HEAD_BYTES;

/// The name of an attribute.
#[derive(Debug)]
pub(super) struct Key {
    head: [u8; HEAD_BYTES],
    /// How much of the head counts; 0 for a name that is too long for it.
    used: usize,
    field: u32,
    name: &'static str,
    sensitivity: Sensitivity,
}

#[expect(
    clippy::inline_always,
    reason = "a few moves each, which wait for nothing where the position stays in a register"
)]
impl Key {
    /// The name of an attribute in the repeated `field`.
    pub(super) fn new(field: u32, name: &'static str, redaction: &Redaction) -> Self {
        let mut head = [0; HEAD_BYTES];
        let mut used = 0;
        if name.len() <= HEAD_BYTES - AROUND_BYTES {
            used = name.len() + AROUND_BYTES;
            head[0] = tag(field, BYTES);
            head[2] = tag(1, BYTES);
            head[3] = name.len() as u8;
            head[4..used - 2].copy_from_slice(name.as_bytes());
            head[used - 2] = tag(2, BYTES);
        }
        Self {
            head,
            used,
            field,
            name,
            sensitivity: redaction.sensitivity(name),
        }
    }

    /// The name.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Appends an attribute of this name, without secrets.
    #[inline]
    pub(super) fn write(&self, tail: &mut Tail<'_>, value: ValueRef<'_>, redaction: &Redaction) {
        if (self.sensitivity != Sensitivity::Open || matches!(value, ValueRef::Str(_)))
            && let Some(clean) = redaction.replacement(self.sensitivity, value)
        {
            return self.write_any(tail, ValueRef::Str(&clean));
        }
        match value {
            _ if self.used == 0 => self.write_any(tail, value),
            ValueRef::I64(number) => self.number(tail, number as u64),
            ValueRef::U64(number) if i64::try_from(number).is_ok() => self.number(tail, number),
            ValueRef::F64(number) => self.double(tail, number),
            ValueRef::Bool(truth) => self.boolean(tail, truth),
            ValueRef::Str(text) if text.len() <= TEXT_BYTES_MAX => self.text(tail, text),
            _ => self.write_any(tail, value),
        }
    }

    #[inline]
    fn write_any(&self, tail: &mut Tail<'_>, value: ValueRef<'_>) {
        tail.aside(move |tail| key_value_write(tail, self.field, self.name, &value));
    }

    /// Starts `block` with the head for a value of `size` bytes, and says where the value goes.
    #[inline(always)]
    fn head(&self, block: &mut [u8], size: usize) -> usize {
        block[..HEAD_BYTES].copy_from_slice(&self.head);
        block[1] = (self.used - 2 + size) as u8;
        block[self.used - 1] = size as u8;
        self.used
    }

    #[inline(always)]
    fn number(&self, tail: &mut Tail<'_>, twos_complement: u64) {
        if let Some(block) = tail.block::<{ HEAD_BYTES + 1 + VARINT_BYTES_MAX }>() {
            let mut number = [0; VARINT_BYTES_MAX];
            let size = 1 + put_varint(&mut number, twos_complement);
            let at = self.head(block, size);
            block[at] = tag(INT, VARINT);
            block[at + 1..at + 1 + VARINT_BYTES_MAX].copy_from_slice(&number);
            tail.advance(at + size);
        }
    }

    #[inline]
    fn double(&self, tail: &mut Tail<'_>, number: f64) {
        if let Some(block) = tail.block::<{ HEAD_BYTES + 9 }>() {
            let at = self.head(block, 9);
            block[at] = tag(DOUBLE, FIXED64);
            block[at + 1..at + 9].copy_from_slice(&number.to_le_bytes());
            tail.advance(at + 9);
        }
    }

    #[inline]
    fn boolean(&self, tail: &mut Tail<'_>, truth: bool) {
        if let Some(block) = tail.block::<{ HEAD_BYTES + 2 }>() {
            let at = self.head(block, 2);
            block[at] = tag(BOOL, VARINT);
            block[at + 1] = u8::from(truth);
            tail.advance(at + 2);
        }
    }

    #[inline]
    fn text(&self, tail: &mut Tail<'_>, text: &str) {
        if let Some(block) = tail.block::<{ HEAD_BYTES + 2 }>() {
            let at = self.head(block, 2 + text.len());
            block[at] = tag(STRING, BYTES);
            block[at + 1] = text.len() as u8;
            tail.advance(at + 2);
            tail.put_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::wire::Wire, *};

    #[test]
    fn a_known_name_is_written_as_any_other() {
        let long = "n".repeat(HEAD_BYTES + 2);
        for name_bytes in 0..long.len() {
            let name: &'static str = String::leak(long[..name_bytes].to_owned());
            let key = Key::new(9, name, &Redaction::default());
            let text = "t".repeat(200);
            let numbers = (0..64).flat_map(|bits| [1_u64 << bits, (1 << bits) - 1]);
            let values = numbers
                .flat_map(|number| [ValueRef::U64(number), ValueRef::I64(number as i64)])
                .chain((0..text.len()).map(|bytes| ValueRef::Str(&text[..bytes])))
                .chain([
                    ValueRef::Bool(true),
                    ValueRef::F64(-0.5),
                    ValueRef::U64s(&[1, 4096]),
                ]);
            for value in values {
                let (mut expected, mut wire) = (Wire::default(), Wire::default());
                expected.append(0, |tail| key_value_write(tail, 9, name, &value));
                wire.append(0, |tail| key.write(tail, value, &Redaction::default()));
                assert_eq!(wire.written(), expected.written(), "{name} = {value:?}");
            }
        }
    }
}
