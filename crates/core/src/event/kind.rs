//! What kinds of value a field may hold, known when the program is compiled.

use std::{borrow::Cow, fmt, time::Duration};

use super::{Encoder, EventValue, FieldValue};
use crate::fields::Shapes;

/// The kind of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `true` or `false`.
    Bool,
    /// A signed integer.
    I64,
    /// An unsigned integer.
    U64,
    /// A floating-point number.
    F64,
    /// Text.
    Text,
    /// A length of time, recorded as whole nanoseconds.
    Duration,
    /// Integers, for example a shape.
    List,
    /// Lists of integers, for example the shapes of an operation's inputs.
    Lists,
    /// Any of these: the field's type is not known before it is recorded.
    Any,
}

impl FieldKind {
    /// The word in the documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I64 => "integer",
            Self::U64 => "unsigned integer",
            Self::F64 => "number",
            Self::Text => "text",
            Self::Duration => "duration in ns",
            Self::List => "integers",
            Self::Lists => "lists of integers",
            Self::Any => "any",
        }
    }
}

/// The kind of the values of a type that an event's field may have.
pub trait FieldType {
    /// The kind.
    const KIND: FieldKind;
}

macro_rules! field_type {
    ($($kind:ident: $($type:ty),*;)*) => { $($(
        impl FieldType for $type {
            const KIND: FieldKind = FieldKind::$kind;
        }
    )*)* };
}

field_type! {
    Bool: bool;
    I64: i8, i16, i32, i64, isize;
    U64: u8, u16, u32, u64, usize;
    F64: f32, f64;
    Text: str, String, Cow<'_, str>, fmt::Arguments<'_>;
    Duration: Duration;
    List: [u64], Vec<u64>, (u32, u32, u32);
    Lists: [&[u64]], Vec<&[u64]>, Vec<Vec<u64>>, ShapeList<'_>;
}

impl<const N: usize> FieldType for [u64; N] {
    const KIND: FieldKind = FieldKind::List;
}

impl<V: FieldType + ?Sized> FieldType for &V {
    const KIND: FieldKind = V::KIND;
}

impl<V: FieldType> FieldType for Option<V> {
    const KIND: FieldKind = V::KIND;
}

/// Several shapes: borrowed when recorded, and either way when read back.
#[derive(Clone, Copy, Debug)]
pub enum ShapeList<'a> {
    /// As the caller has them.
    Slices(&'a [&'a [u64]]),
    /// As they lie in a record.
    Recorded(Shapes<'a>),
}

impl<'a> ShapeList<'a> {
    /// The shapes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u64]> + use<'a> {
        let (slices, recorded) = match *self {
            Self::Slices(slices) => (slices, None),
            Self::Recorded(shapes) => (&[][..], Some(shapes.iter())),
        };
        slices.iter().copied().chain(recorded.into_iter().flatten())
    }
}

impl<'a> From<&'a [&'a [u64]]> for ShapeList<'a> {
    fn from(shapes: &'a [&'a [u64]]) -> Self {
        Self::Slices(shapes)
    }
}

impl<'a, const N: usize> From<&'a [&'a [u64]; N]> for ShapeList<'a> {
    fn from(shapes: &'a [&'a [u64]; N]) -> Self {
        Self::Slices(shapes)
    }
}

impl PartialEq for ShapeList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl EventValue for ShapeList<'_> {
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        match self {
            Self::Slices(slices) => encoder.sink.field(index, FieldValue::Shapes(slices)),
            Self::Recorded(shapes) => {
                let slices: Vec<&[u64]> = shapes.iter().collect();
                encoder.sink.field(index, FieldValue::Shapes(&slices));
            }
        }
    }
}

impl EventValue for Vec<Vec<u64>> {
    fn encode(&self, index: u16, encoder: &mut Encoder<'_>) {
        let slices: Vec<&[u64]> = self.iter().map(Vec::as_slice).collect();
        encoder.sink.field(index, FieldValue::Shapes(&slices));
    }
}

/// A duration in whole microseconds, for the JSON shapes that have it so beside our nanoseconds.
pub trait WholeMicros {
    /// Microseconds, rounded down.
    type Micros: EventValue;
    /// The duration in whole microseconds.
    fn whole_micros(&self) -> Self::Micros;
}

impl WholeMicros for Duration {
    type Micros = u64;
    #[inline]
    fn whole_micros(&self) -> u64 {
        // 2^64 microseconds are 584,000 years.
        self.as_micros() as u64
    }
}

impl WholeMicros for Option<Duration> {
    type Micros = Option<u64>;
    #[inline]
    fn whole_micros(&self) -> Option<u64> {
        self.as_ref().map(Duration::whole_micros)
    }
}
