//! Protocol Buffers wire format, read field by field: for the few messages that come back.
//!
//! Invariant: never reads past the bytes it was given and never panics, whatever they hold.

use super::wire::{BYTES, FIXED32, FIXED64, VARINT};

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Reads a message field by field; ends at the first byte that cannot be one.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let value = match (key & 7) as u32 {
            VARINT => Field::Varint(self.varint()?),
            FIXED64 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            FIXED32 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }

    /// What is there of the first field, where that is of number `wanted` and holds more bytes than there are.
    pub(crate) fn cut_bytes(mut self, wanted: u64) -> Option<&'a [u8]> {
        let key = self.varint()?;
        let length = self.varint()?;
        let is_wanted = key == (wanted << 3) + u64::from(BYTES);
        (is_wanted && length > self.0.len() as u64).then_some(self.0)
    }

    /// All fields, or `None` when the bytes are not a message to their end.
    pub(crate) fn whole(mut self) -> Option<Vec<(u64, Field<'a>)>> {
        let mut fields = Vec::new();
        while !self.0.is_empty() {
            fields.push(self.field()?);
        }
        Some(fields)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for (_, field) in Reader(&bytes) {
                if let Field::Bytes(bytes) = field {
                    Reader(bytes).for_each(drop);
                }
            }
        }
    }
}
