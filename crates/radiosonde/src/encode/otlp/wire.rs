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

/// Most bytes of a tag of one byte with a number or a length.
pub(crate) const FIELD_BYTES_MAX: usize = 1 + VARINT_BYTES_MAX;

/// Values below this take at most eight bytes as a varint.
const SHORT: u64 = 1 << 56;

/// The first eight of the bytes that a varint takes, which are all of them for a value below [`SHORT`]: seven bits
/// a byte, spread by halves instead of one after another, so that no branch depends on the value.
#[inline]
const fn spread(value: u64) -> u64 {
    let value = (value & 0x0fff_ffff) | (value & 0x00ff_ffff_f000_0000) << 4;
    let value = (value & 0x0000_3fff_0000_3fff) | (value & 0x0fff_c000_0fff_c000) << 2;
    (value & 0x007f_007f_007f_007f) | (value & 0x3f80_3f80_3f80_3f80) << 1
}

/// Writes `value` to the start of `bytes`, which has room for the longest, and says how many bytes it took.
#[inline]
pub(crate) fn put_varint(bytes: &mut [u8; VARINT_BYTES_MAX], value: u64) -> usize {
    if value >= SHORT {
        return put_long_varint(bytes, value);
    }
    let used = varint_bytes(value);
    // The highest bit of every byte but the last says that another one follows.
    let more = 0x8080_8080_8080_8080 & ((1 << (8 * (used - 1))) - 1);
    bytes[..8].copy_from_slice(&(spread(value) | more).to_le_bytes());
    used
}

#[cold]
fn put_long_varint(bytes: &mut [u8; VARINT_BYTES_MAX], mut value: u64) -> usize {
    let used = varint_bytes(value);
    for byte in &mut bytes[..used] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    bytes[used - 1] &= 0x7f;
    used
}

/// Where a message goes on: memory, and how much of it is written.
///
/// It is a local variable of whoever appends many small things, so that the position stays in a register. What has no
/// room is not written, and nothing after it: [`Wire::append`] then makes room and has it all written again.
#[derive(Debug)]
pub(crate) struct Tail<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

#[expect(
    clippy::inline_always,
    reason = "a call that is not inlined keeps the position in memory, which each write then waits for"
)]
impl Tail<'_> {
    /// The next `N` bytes, to be written where they stay: a block that is put together elsewhere and copied waits for
    /// its own bytes. [`advance`](Self::advance) says how many of them count.
    #[inline(always)]
    pub(crate) fn block<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        let free = self.bytes.get_mut(self.at..);
        let block = free.and_then(<[u8]>::first_chunk_mut);
        if block.is_none() {
            self.at = usize::MAX;
        }
        block
    }

    /// Goes on behind the first `bytes` of the last block.
    #[inline(always)]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Appends `N` bytes.
    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        if let Some(block) = self.block() {
            *block = *bytes;
            self.advance(N);
        }
    }

    /// Appends bytes.
    #[inline(always)]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        match self
            .bytes
            .get_mut(self.at..)
            .and_then(|free| free.get_mut(..bytes.len()))
        {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.at = usize::MAX,
        }
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self, value: u64) {
        if let Some(block) = self.block::<VARINT_BYTES_MAX>() {
            let used = put_varint(block, value);
            self.advance(used);
        }
    }

    /// A tag of one byte and a varint.
    #[inline(always)]
    pub(crate) fn varint_field(&mut self, field: u32, value: u64) {
        self.put(&[tag(field, VARINT)]);
        self.varint(value);
    }

    #[inline(always)]
    pub(crate) fn fixed64_field(&mut self, field: u32, value: u64) {
        if let Some(block) = self.block::<9>() {
            block[0] = tag(field, FIXED64);
            block[1..].copy_from_slice(&value.to_le_bytes());
            self.advance(9);
        }
    }

    #[inline(always)]
    pub(crate) fn double_field(&mut self, field: u32, value: f64) {
        self.fixed64_field(field, value.to_bits());
    }

    /// Length and tag of a message, or of bytes, that follow.
    #[inline(always)]
    pub(crate) fn length_field(&mut self, field: u32, length: usize) {
        self.put(&[tag(field, BYTES)]);
        self.varint(length as u64);
    }

    #[inline(always)]
    pub(crate) fn bytes_field(&mut self, field: u32, bytes: &[u8]) {
        self.length_field(field, bytes.len());
        self.put_slice(bytes);
    }

    /// Has `write` append, which is a call of its own: for what is rare.
    #[inline(always)]
    pub(crate) fn aside(&mut self, write: impl FnOnce(&mut Tail<'_>)) {
        self.at = aside(&mut *self.bytes, self.at, write);
    }
}

#[cold]
#[inline(never)]
fn aside(bytes: &mut [u8], at: usize, write: impl FnOnce(&mut Tail<'_>)) -> usize {
    let mut tail = Tail { bytes, at };
    write(&mut tail);
    tail.at
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

    /// Appends what `write` does, having made room for `bytes`: more than it takes is as good as right, and less
    /// makes it write again.
    #[inline]
    pub(crate) fn append(&mut self, bytes: usize, write: impl Fn(&mut Tail<'_>)) {
        let mut room = bytes;
        loop {
            self.room(room);
            let mut tail = Tail {
                bytes: &mut self.bytes,
                at: self.at,
            };
            write(&mut tail);
            let at = tail.at;
            if at <= self.bytes.len() {
                self.at = at;
                return;
            }
            room = (2 * (self.bytes.len() - self.at)).max(FIELD_BYTES_MAX);
        }
    }

    /// Makes room for `bytes` more.
    #[inline]
    fn room(&mut self, bytes: usize) {
        if self.bytes.len() - self.at < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        let length = (self.at + bytes).max(2 * self.bytes.len()).max(4096);
        self.bytes.resize(length, 0);
    }

    /// Appends `N` bytes.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.append(N, |tail| tail.put(bytes));
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        self.append(bytes.len(), |tail| tail.put_slice(bytes));
    }

    #[inline]
    pub(crate) fn varint(&mut self, value: u64) {
        self.append(FIELD_BYTES_MAX, |tail| tail.varint(value));
    }

    /// A tag of one byte and a varint.
    #[inline]
    pub(crate) fn varint_field(&mut self, field: u32, value: u64) {
        self.append(FIELD_BYTES_MAX, |tail| tail.varint_field(field, value));
    }

    #[inline]
    pub(crate) fn fixed64_field(&mut self, field: u32, value: u64) {
        self.append(FIELD_BYTES_MAX, |tail| tail.fixed64_field(field, value));
    }

    #[inline]
    pub(crate) fn double_field(&mut self, field: u32, value: f64) {
        self.fixed64_field(field, value.to_bits());
    }

    /// Length and tag of a message, or of bytes, that follow.
    #[inline]
    pub(crate) fn length_field(&mut self, field: u32, length: usize) {
        self.append(FIELD_BYTES_MAX, |tail| tail.length_field(field, length));
    }

    #[inline]
    pub(crate) fn bytes_field(&mut self, field: u32, bytes: &[u8]) {
        self.append(FIELD_BYTES_MAX + bytes.len(), |tail| {
            tail.bytes_field(field, bytes);
        });
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
        let mut bytes = [0; VARINT_BYTES_MAX];
        put_varint(&mut bytes, length as u64);
        self.bytes[start..start + needed].copy_from_slice(&bytes[..needed]);
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
                let mut wire = Wire::default();
                wire.varint(value);
                assert_eq!(wire.written(), &bytes[..varint_bytes(value)], "{value}");
            }
        }
        assert_eq!(varint_bytes(u64::MAX), VARINT_BYTES_MAX);
    }

    #[test]
    fn what_has_no_room_is_written_again() {
        let mut wire = Wire::default();
        let long = vec![7; 5000];
        for _ in 0..3 {
            wire.append(0, |tail| {
                tail.varint_field(1, 300);
                tail.put_slice(&long);
                tail.put(&[9]);
            });
        }
        let once = [&[8, 0xac, 2], long.as_slice(), &[9]].concat();
        assert_eq!(wire.written(), once.repeat(3));
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
