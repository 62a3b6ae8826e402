//! Thrift's binary protocol (thrift.apache.org, "Thrift Binary protocol encoding"), read field by field and without a copy.
//!
//! Invariants: nothing but the given bytes is read, no input panics, structures and lists may be [`DEPTH_MAX`] in one another,
//! and a message takes time in proportion to its bytes. Fields of an unknown number or of another type than expected are the
//! caller's to skip.

use super::super::{DEPTH_MAX, TOO_DEEP, wire::Malformed};

/// A value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Double(f64),
    /// A whole number of 8 to 64 bits.
    Int(i64),
    /// Text and bytes.
    Bytes(&'a [u8]),
    /// The fields of a structure, with their end.
    Struct(Fields<'a>),
    List(Elements<'a>),
    /// Maps, which Jaeger has none of.
    Other,
}

/// What is left of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a>(Reader<'a>);

/// What is left of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Elements<'a> {
    kind: u8,
    left: u32,
    rest: Reader<'a>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reader<'a>(&'a [u8]);

const STOP: u8 = 0;
const BOOL: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 4;
const I16: u8 = 6;
const I32: u8 = 8;
const I64: u8 = 10;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const MAP: u8 = 13;
const SET: u8 = 14;
const LIST: u8 = 15;

const CUT: Malformed = Malformed("it ends within a value");

impl<'a> Fields<'a> {
    /// A structure from its first byte on.
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self(Reader(message))
    }

    /// The next field and its number; `None` at the structure's end.
    pub(super) fn next(&mut self) -> Result<Option<(i16, Value<'a>)>, Malformed> {
        let reader = &mut self.0;
        let [kind] = reader.array()?;
        if kind == STOP {
            return Ok(None);
        }
        let number = i16::from_be_bytes(reader.array()?);
        Ok(Some((number, reader.value(kind)?)))
    }
}

impl<'a> Elements<'a> {
    pub(super) fn next(&mut self) -> Result<Option<Value<'a>>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        self.rest.value(self.kind).map(Some)
    }

    /// The next structure of a list of them; values of another type are left out.
    pub(super) fn next_struct(&mut self) -> Result<Option<Fields<'a>>, Malformed> {
        while let Some(value) = self.next()? {
            if let Value::Struct(fields) = value {
                return Ok(Some(fields));
            }
        }
        Ok(None)
    }
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<u32, Malformed> {
        let length = i32::from_be_bytes(self.array()?);
        u32::try_from(length).map_err(|_| Malformed("a length is less than zero"))
    }

    fn value(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        Ok(match kind {
            BOOL => Value::Bool(self.array::<1>()? != [0]),
            BYTE => Value::Int(i8::from_be_bytes(self.array()?).into()),
            DOUBLE => Value::Double(f64::from_be_bytes(self.array()?)),
            I16 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            I32 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            I64 => Value::Int(i64::from_be_bytes(self.array()?)),
            STRING => Value::Bytes(self.bytes()?),
            STRUCT => {
                let fields = Fields(*self);
                self.skip(kind, DEPTH_MAX)?;
                Value::Struct(fields)
            }
            LIST | SET => {
                let mut elements = Elements {
                    rest: *self,
                    ..Elements::default()
                };
                self.skip(kind, DEPTH_MAX)?;
                [elements.kind] = elements.rest.array()?;
                elements.left = elements.rest.length()?;
                Value::List(elements)
            }
            other => {
                self.skip(other, DEPTH_MAX)?;
                Value::Other
            }
        })
    }

    /// Leaves out a value. Every one has a byte at least, so that no count takes longer than its bytes.
    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), Malformed> {
        let deeper = || depth.checked_sub(1).ok_or(Malformed(TOO_DEEP));
        match kind {
            BOOL | BYTE => self.array::<1>().map(drop),
            I16 => self.array::<2>().map(drop),
            I32 => self.array::<4>().map(drop),
            I64 | DOUBLE => self.array::<8>().map(drop),
            STRING => self.bytes().map(drop),
            STRUCT => {
                let depth = deeper()?;
                loop {
                    let [kind] = self.array()?;
                    if kind == STOP {
                        return Ok(());
                    }
                    self.array::<2>()?;
                    self.skip(kind, depth)?;
                }
            }
            MAP => {
                let depth = deeper()?;
                let kinds: [u8; 2] = self.array()?;
                for _ in 0..self.length()? {
                    kinds.iter().try_for_each(|kind| self.skip(*kind, depth))?;
                }
                Ok(())
            }
            LIST | SET => {
                let depth = deeper()?;
                let [kind] = self.array()?;
                for _ in 0..self.length()? {
                    self.skip(kind, depth)?;
                }
                Ok(())
            }
            _ => Err(Malformed("a field has a type that Thrift does not have")),
        }
    }
}
