//! Protocol Buffers wire format (protobuf.dev/programming-guides/encoding), written going over the data once.
//!
//! Invariant: everything before `at` is written, everything from there on is scratch. A message whose
//! length is not known in advance is opened with a guess at how many bytes the length takes; closing it moves the
//! content when the guess was wrong, so what comes out is always the shortest form.

use std::ops::Range;

/// Wire type 0.
pub(crate) const VARINT: u32 = 0;
/// Wire type 1.
pub(crate) const FIXED64: u32 = 1;
/// Wire type 2.
pub(crate) const BYTES: u32 = 2;
/// Wire type 5.
pub(crate) const FIXED32: u32 = 5;

/// A field's tag for field numbers below 16, which take one byte.
pub(crate) const fn tag(field: u32, wire_type: u32) -> u8 {
    assert!(field < 16, "the tag would take two bytes");
    (field << 3 | wire_type) as u8
}

/// How many bytes `value` takes as a varint.
#[inline]
pub(crate) const fn varint_bytes(value: u64) -> usize {
    // Seven bits a byte, without a division by seven: exact for all 64 widths (checked by a test).
    (((value | 1).ilog2() * 9 + 73) / 64) as usize
}

/// Most bytes of a varint.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Writes `value` to the start of `bytes` and says how many bytes it took.
#[inline]
pub(crate) fn put_varint(bytes: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    at + 1
}

/// A growing message.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    bytes: Vec<u8>,
    at: usize,
}

/// An open message: where its length goes and how many bytes are kept for it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Open {
    length: Range<usize>,
}

impl Wire {
    pub(crate) fn clear(&mut self) {
        self.at = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.at
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// Makes room for `bytes` more.
    #[inline]
    pub(crate) fn room(&mut self, bytes: usize) {
        if self.bytes.len() - self.at < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        let length = (self.at + bytes).max(2 * self.bytes.len()).max(4096);
        self.bytes.resize(length, 0);
    }

    /// Appends what `write` puts into the first of `N` bytes, as many as it says. They are written where they stay:
    /// a block that is put together elsewhere and copied waits for its own bytes.
    #[inline]
    pub(crate) fn put_with<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) {
        self.room(N);
        if let Some(block) = self.bytes[self.at..].first_chunk_mut() {
            self.at += write(block);
        }
    }

    /// Appends `N` bytes.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.put_with(|block| {
            *block = *bytes;
            N
        });
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline]
    pub(crate) fn varint(&mut self, value: u64) {
        self.room(VARINT_BYTES_MAX);
        self.at += put_varint(&mut self.bytes[self.at..], value);
    }

    /// A tag of one byte and a varint.
    #[inline]
    pub(crate) fn varint_field(&mut self, field: u32, value: u64) {
        self.put(&[tag(field, VARINT)]);
        self.varint(value);
    }

    #[inline]
    pub(crate) fn fixed64_field(&mut self, field: u32, value: u64) {
        self.put_with::<9>(|block| {
            block[0] = tag(field, FIXED64);
            block[1..].copy_from_slice(&value.to_le_bytes());
            9
        });
    }

    #[inline]
    pub(crate) fn double_field(&mut self, field: u32, value: f64) {
        self.fixed64_field(field, value.to_bits());
    }

    #[inline]
    pub(crate) fn bytes_field(&mut self, field: u32, bytes: &[u8]) {
        self.put(&[tag(field, BYTES)]);
        self.varint(bytes.len() as u64);
        self.put_slice(bytes);
    }

    /// Text; nothing where it is empty, as proto3 leaves out default values.
    #[inline]
    pub(crate) fn text_field(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes_field(field, text.as_bytes());
        }
    }

    /// Opens the message `field` and keeps `length_bytes` for its length.
    #[inline]
    pub(crate) fn open(&mut self, field: u32, length_bytes: usize) -> Open {
        self.room(1 + VARINT_BYTES_MAX);
        self.bytes[self.at] = tag(field, BYTES);
        let start = self.at + 1;
        self.at = start + length_bytes;
        Open {
            length: start..self.at,
        }
    }

    /// Closes a message and writes its length.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "a message is closed once")]
    pub(crate) fn close(&mut self, open: Open) {
        let Range { start, end } = open.length;
        let length = self.at - end;
        let needed = varint_bytes(length as u64);
        if needed != end - start {
            self.move_content(end, start + needed);
        }
        put_varint(&mut self.bytes[start..], length as u64);
    }

    #[cold]
    fn move_content(&mut self, from: usize, to: usize) {
        self.room(VARINT_BYTES_MAX);
        self.bytes.copy_within(from..self.at, to);
        self.at = self.at + to - from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::otlp::reader::{Field, Reader};

    #[test]
    fn varint_sizes_are_exact_for_every_width() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1_u64 << bits) - 1] {
                let mut bytes = [0; VARINT_BYTES_MAX];
                assert_eq!(
                    put_varint(&mut bytes, value),
                    varint_bytes(value),
                    "{value}"
                );
            }
        }
        assert_eq!(varint_bytes(u64::MAX), VARINT_BYTES_MAX);
    }

    #[test]
    fn a_length_takes_its_shortest_form_whatever_the_guess() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            for guess in 1..=4 {
                let mut wire = Wire::default();
                let outer = wire.open(1, 3);
                let open = wire.open(2, guess);
                wire.put_slice(&vec![7; length]);
                wire.close(open);
                wire.close(outer);
                wire.varint_field(3, 5);
                let fields: Vec<_> = Reader(wire.written()).collect();
                let (1, Field::Bytes(inner)) = fields[0] else {
                    panic!("{:?}", fields[0])
                };
                assert_eq!(fields[1], (3, Field::Varint(5)));
                let (2, Field::Bytes(content)) = Reader(inner).next().unwrap() else {
                    panic!("not field 2")
                };
                assert_eq!(content.len(), length);
                assert_eq!(inner.len(), 1 + varint_bytes(length as u64) + length);
            }
        }
    }
}
