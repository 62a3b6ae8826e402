//! Protocol Buffers wire format, read field by field and without a copy.
//!
//! Invariants: nothing but the given bytes is read, no input panics, and a message takes time in proportion to its bytes.
//! Fields of an unknown number or of another type than expected are the caller's to skip, as the format has it; groups,
//! which proto3 does not have, are refused.

/// The bytes are no message, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// Integers, enums and truth values.
    Varint(u64),
    /// Eight bytes, little-endian: also doubles.
    Fixed64(u64),
    /// Text, bytes, messages and packed lists.
    Bytes(&'a [u8]),
    /// Four bytes, little-endian.
    Fixed32(u32),
}

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

/// Most bytes of a varint.
const VARINT_BYTES_MAX: usize = 10;

impl<'a> Reader<'a> {
    /// Reads `message` from its beginning.
    #[inline]
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next field and its number; `None` at the end of the message.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?)
            .map_err(|_| Malformed("a field's number is too large"))?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Field::Bytes(self.bytes()?),
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            3 | 4 => return Err(Malformed("it has a group, which proto3 does not have")),
            _ => return Err(Malformed("a field has a type that does not exist")),
        };
        match key >> 3 {
            0 => Err(Malformed("a field has the number 0")),
            number => Ok(Some((number, value))),
        }
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).ok();
        let split = length.and_then(|length| self.0.split_at_checked(length));
        let (bytes, rest) = split.ok_or(Malformed("a field is longer than its message"))?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Malformed("it ends within a field"))?;
        self.0 = rest;
        Ok(*array)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.0 {
            [byte @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (at, &byte) in self.0.iter().take(VARINT_BYTES_MAX).enumerate() {
            // Bits beyond the 64th are dropped, as every implementation does.
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Malformed(if self.0.len() < VARINT_BYTES_MAX {
            "it ends within a number"
        } else {
            "a number has more than 64 bits"
        }))
    }
}

/// Hands each number of a repeated `fixed64` or `double` to `each`, packed or not.
pub(crate) fn repeated_fixed64(
    field: Field<'_>,
    mut each: impl FnMut(u64),
) -> Result<(), Malformed> {
    match field {
        Field::Fixed64(number) => each(number),
        Field::Bytes(packed) => {
            let (numbers, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Malformed("a list of numbers ends within one"));
            }
            numbers
                .iter()
                .for_each(|number| each(u64::from_le_bytes(*number)));
        }
        Field::Varint(_) | Field::Fixed32(_) => {}
    }
    Ok(())
}

/// Hands each number of a repeated `uint64` to `each`, packed or not.
pub(crate) fn repeated_varint(
    field: Field<'_>,
    mut each: impl FnMut(u64),
) -> Result<(), Malformed> {
    match field {
        Field::Varint(number) => each(number),
        Field::Bytes(packed) => {
            let mut numbers = Reader(packed);
            while !numbers.0.is_empty() {
                each(numbers.varint()?);
            }
        }
        Field::Fixed64(_) | Field::Fixed32(_) => {}
    }
    Ok(())
}

/// A `sint32`: small magnitudes of either sign are small numbers on the wire.
pub(crate) const fn zigzag(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// A `sint64`, likewise.
pub(crate) const fn zigzag64(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a field of a number; proto3 leaves out what is 0.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        put_varint(out, u64::from(field << 3));
        put_varint(out, number);
    }
}

/// Appends a field of text, bytes or a message; proto3 leaves out what is empty.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_varint(out, u64::from(field << 3 | 2));
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u32, Field<'_>)>, Malformed> {
        let mut reader = Reader::new(message);
        let mut fields = Vec::new();
        while let Some(field) = reader.field()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn every_type_is_read() {
        let message = [
            &[0x08, 0xac, 0x02][..],
            &[0x11, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0x1a, 2, b'h', b'i'],
            &[0x25, 7, 0, 0, 0],
        ]
        .concat();
        assert_eq!(
            fields(&message).unwrap(),
            [
                (1, Field::Varint(300)),
                (2, Field::Fixed64(1)),
                (3, Field::Bytes(b"hi")),
                (4, Field::Fixed32(7))
            ]
        );
    }

    #[test]
    fn what_is_no_message_says_why() {
        for (message, why) in [
            (&[0x08][..], "it ends within a number"),
            (&[0x08, 0x80], "it ends within a number"),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "a number has more than 64 bits",
            ),
            (&[0x11, 1, 2], "it ends within a field"),
            (&[0x1a, 3, b'h', b'i'], "a field is longer than its message"),
            (
                &[0x1a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "a field is longer than its message",
            ),
            (&[0x0b, 0x0c], "it has a group, which proto3 does not have"),
            (&[0x0e], "a field has a type that does not exist"),
            (&[0x00, 0x00], "a field has the number 0"),
            (
                &[0xf8, 255, 255, 255, 255, 1, 0],
                "a field's number is too large",
            ),
        ] {
            assert_eq!(fields(message), Err(Malformed(why)), "{message:?}");
        }
    }

    #[test]
    fn lists_are_read_packed_and_not() {
        let mut numbers = Vec::new();
        repeated_varint(Field::Bytes(&[1, 0xac, 2]), |number| numbers.push(number)).unwrap();
        repeated_varint(Field::Varint(4), |number| numbers.push(number)).unwrap();
        repeated_fixed64(Field::Bytes(&[5, 0, 0, 0, 0, 0, 0, 0]), |number| {
            numbers.push(number);
        })
        .unwrap();
        repeated_fixed64(Field::Fixed64(6), |number| numbers.push(number)).unwrap();
        assert_eq!(numbers, [1, 300, 4, 5, 6]);
        assert!(repeated_varint(Field::Bytes(&[0x80]), drop).is_err());
        assert!(repeated_fixed64(Field::Bytes(&[1]), drop).is_err());
    }

    #[test]
    fn signed_numbers_of_either_sign() {
        let all: Vec<i32> = [0, 1, 2, 3, u64::from(u32::MAX)]
            .into_iter()
            .map(zigzag)
            .collect();
        assert_eq!(all, [0, -1, 1, -2, i32::MIN]);
    }

    proptest! {
        #[test]
        fn a_varint_reads_back(number: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            prop_assert_eq!(Reader::new(&bytes).varint(), Ok(number));
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for (_, field) in fields(&bytes).unwrap_or_default() {
                if let Field::Bytes(bytes) = field {
                    let _ = fields(bytes);
                }
                let _ = repeated_varint(field, drop);
                let _ = repeated_fixed64(field, drop);
            }
        }
    }
}
