//! MessagePack (github.com/msgpack/msgpack, `spec.md`), read value by value and without a copy.
//!
//! Invariants: nothing but the given bytes is read, no input panics, and leaving out a value takes time in proportion to its bytes,
//! however lists and maps are in one another.

use super::super::wire::Malformed;

/// A value; of lists and maps only how many values, or pairs of them, follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// One that is not less than zero.
    Unsigned(u64),
    Float(f64),
    /// Text and bytes.
    Bytes(&'a [u8]),
    List(u32),
    Map(u32),
    /// Of a type that applications make for themselves.
    Extension,
}

impl Value<'_> {
    /// A whole number; what is none is 0.
    pub(super) const fn signed(self) -> i64 {
        match self {
            Self::Int(number) => number,
            Self::Unsigned(number) => number.cast_signed(),
            Self::Float(number) => number as i64,
            _ => 0,
        }
    }

    /// The same, which is not less than zero: 64 bits that may have been written as a signed number.
    pub(super) const fn unsigned(self) -> u64 {
        self.signed().cast_unsigned()
    }
}

/// What is left of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reader<'a>(&'a [u8]);

const CUT: Malformed = Malformed("it ends within a value");

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let [kind] = self.array()?;
        Ok(match kind {
            0..=0x7f => Value::Unsigned(kind.into()),
            0x80..=0x8f => Value::Map((kind & 0x0f).into()),
            0x90..=0x9f => Value::List((kind & 0x0f).into()),
            0xa0..=0xbf => self.bytes((kind & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4 | 0xd9 => {
                let [length] = self.array()?;
                self.bytes(length.into())?
            }
            0xc5 | 0xda => {
                let length = u16::from_be_bytes(self.array()?);
                self.bytes(length.into())?
            }
            0xc6 | 0xdb => {
                let length = u32::from_be_bytes(self.array()?);
                self.bytes(length)?
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => self.extension(kind)?,
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Unsigned(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            0xdc => Value::List(u16::from_be_bytes(self.array()?).into()),
            0xdd => Value::List(u32::from_be_bytes(self.array()?)),
            0xde => Value::Map(u16::from_be_bytes(self.array()?).into()),
            0xdf => Value::Map(u32::from_be_bytes(self.array()?)),
            0xe0..=0xff => Value::Int(kind.cast_signed().into()),
            0xc1 => return Err(Malformed("it has a value that MessagePack does not have")),
        })
    }

    /// How many values of a list follow; one that is nil has none.
    pub(super) fn list(&mut self) -> Result<u32, Malformed> {
        match self.value()? {
            Value::List(values) => Ok(values),
            Value::Nil => Ok(0),
            _ => Err(Malformed("it has something else where a list is to be")),
        }
    }

    /// How many pairs of a map follow; one that is nil has none.
    pub(super) fn map(&mut self) -> Result<u32, Malformed> {
        match self.value()? {
            Value::Map(pairs) => Ok(pairs),
            Value::Nil => Ok(0),
            _ => Err(Malformed("it has something else where a map is to be")),
        }
    }

    /// Leaves out the next value, with all that is in it, and gives a reader of it.
    pub(super) fn skip(&mut self) -> Result<Self, Malformed> {
        let skipped = *self;
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            left += match self.value()? {
                Value::List(values) => values.into(),
                Value::Map(pairs) => u64::from(pairs) * 2,
                _ => 0,
            };
        }
        Ok(skipped)
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self, length: u32) -> Result<Value<'a>, Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length as usize).ok_or(CUT)?;
        self.0 = rest;
        Ok(Value::Bytes(bytes))
    }

    fn extension(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        let length = match kind {
            0xc7 => u8::from_be_bytes(self.array()?).into(),
            0xc8 => u16::from_be_bytes(self.array()?).into(),
            0xc9 => u32::from_be_bytes(self.array()?),
            _ => 1 << (kind - 0xd4),
        };
        let [_type] = self.array()?;
        self.bytes(length)?;
        Ok(Value::Extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
        Reader::new(bytes).value()
    }

    /// The formats of the specification, a value of each.
    #[test]
    fn values_of_every_format_are_read() {
        for (bytes, expected) in [
            (&[0x7f][..], Value::Unsigned(127)),
            (&[0xff], Value::Int(-1)),
            (&[0xc0], Value::Nil),
            (&[0xc2], Value::Bool(false)),
            (&[0xcc, 200], Value::Unsigned(200)),
            (&[0xcd, 1, 0], Value::Unsigned(256)),
            (&[0xce, 0, 1, 0, 0], Value::Unsigned(65_536)),
            (
                &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
                Value::Unsigned(u64::MAX),
            ),
            (&[0xd0, 0x80], Value::Int(-128)),
            (&[0xd1, 0x80, 0], Value::Int(-32_768)),
            (&[0xd2, 255, 255, 255, 254], Value::Int(-2)),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], Value::Int(i64::MIN)),
            (&[0xca, 0x3f, 0x80, 0, 0], Value::Float(1.0)),
            (&[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Value::Float(1.0)),
            (&[0xa2, b'h', b'i'], Value::Bytes(b"hi")),
            (&[0xd9, 1, b'h'], Value::Bytes(b"h")),
            (&[0xda, 0, 1, b'h'], Value::Bytes(b"h")),
            (&[0xdb, 0, 0, 0, 1, b'h'], Value::Bytes(b"h")),
            (&[0xc4, 1, 7], Value::Bytes(&[7])),
            (&[0xc5, 0, 1, 7], Value::Bytes(&[7])),
            (&[0xc6, 0, 0, 0, 1, 7], Value::Bytes(&[7])),
            (&[0x92], Value::List(2)),
            (&[0xdc, 1, 0], Value::List(256)),
            (&[0xdd, 0, 1, 0, 0], Value::List(65_536)),
            (&[0x81], Value::Map(1)),
            (&[0xde, 1, 0], Value::Map(256)),
            (&[0xdf, 0, 1, 0, 0], Value::Map(65_536)),
            (&[0xd4, 1, 7], Value::Extension),
            (&[0xd6, 1, 7, 7, 7, 7], Value::Extension),
            (&[0xc7, 2, 1, 7, 7], Value::Extension),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.value(), Ok(expected), "{bytes:?}");
            assert!(reader.is_empty(), "{bytes:?}");
            for at in 0..bytes.len() {
                assert_eq!(read(&bytes[..at]), Err(CUT), "{bytes:?}");
            }
        }
        assert!(read(&[0xc1]).is_err());
    }

    #[test]
    fn what_is_left_out_is_left_out_whole() {
        // {"a": [1, {"b": nil}], "c": 2}, and 3.
        let bytes = [
            0x82, 0xa1, b'a', 0x92, 1, 0x81, 0xa1, b'b', 0xc0, 0xa1, b'c', 2, 3,
        ];
        let mut reader = Reader::new(&bytes);
        let mut skipped = reader.skip().unwrap();
        assert_eq!(skipped.map(), Ok(2));
        assert_eq!(reader.value(), Ok(Value::Unsigned(3)));
        // As deep as it is long, and said to be far longer than it is.
        assert_eq!(Reader::new(&[0x91].repeat(1 << 20)).skip(), Err(CUT));
        assert_eq!(
            Reader::new(&[0xdf, 255, 255, 255, 255].repeat(9)).skip(),
            Err(CUT)
        );
    }
}
