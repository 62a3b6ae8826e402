//! Events read back with their types: by handlers and collectors from a batch, by readers from JSON.
//!
//! `#[derive(Event)]` writes [`ReadEvent`] for every event whose fields can be read back. Text fields may borrow
//! (`&str`) from the batch or from the parsed JSON.

use std::{borrow::Cow, fmt, time::Duration};

use super::{Descriptor, Event, ShapeList};
use crate::{
    batch::EventRef,
    fields::ValueRef,
    model::{Attributes, EventRecord, Text, Value},
};

/// An event that can be read back from a record or from JSON.
pub trait ReadEvent<'v>: Event + Sized {
    /// The event, or which field is missing or of another kind. Fields that the type does not have are passed over.
    fn read(source: Source<'v>) -> Result<Self, ReadError>;
}

/// Where an event is read from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'v> {
    /// A record in a batch.
    Record(EventRef<'v>),
    /// The `data` of an event in JSON.
    Data(&'v Attributes),
}

impl<'v> Source<'v> {
    fn find(self, name: &str) -> Option<FieldView<'v>> {
        match self {
            Self::Record(event) => event
                .fields()
                .find(|&(key, _)| key == name)
                .map(|(_, value)| FieldView::Ref(value)),
            Self::Data(data) => data
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| FieldView::from(value)),
        }
    }
}

/// A field's value while it is read back.
#[derive(Clone, Copy, Debug)]
pub enum FieldView<'v> {
    /// A value that lies in a record, or could.
    Ref(ValueRef<'v>),
    /// A list in parsed JSON.
    List(&'v [Value]),
    /// JSON's `null`.
    Null,
    /// A value that no field can hold.
    Other,
}

impl<'v> From<&'v Value> for FieldView<'v> {
    fn from(value: &'v Value) -> Self {
        Self::Ref(match value {
            Value::Null => return Self::Null,
            Value::Map(_) => return Self::Other,
            Value::List(values) => return Self::List(values),
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::I64(value) => ValueRef::I64(*value),
            Value::U64(value) => ValueRef::U64(*value),
            Value::F64(value) => ValueRef::F64(*value),
            Value::Str(text) => ValueRef::Str(text),
        })
    }
}

impl FieldView<'_> {
    fn times(self, factor: u64) -> Self {
        match self {
            Self::Ref(ValueRef::U64(value)) => {
                Self::Ref(ValueRef::U64(value.saturating_mul(factor)))
            }
            Self::Ref(ValueRef::I64(value)) => Self::Ref(ValueRef::I64(
                value.saturating_mul(i64::try_from(factor).unwrap_or(i64::MAX)),
            )),
            Self::Ref(ValueRef::F64(value)) => Self::Ref(ValueRef::F64(value * factor as f64)),
            other => other,
        }
    }

    fn u64(self) -> Option<u64> {
        match self {
            Self::Ref(ValueRef::U64(value)) => Some(value),
            Self::Ref(ValueRef::I64(value)) => u64::try_from(value).ok(),
            // Other languages write whole numbers as floats.
            Self::Ref(ValueRef::F64(value)) if value >= 0.0 && value.fract() == 0.0 => {
                Some(value as u64)
            }
            _ => None,
        }
    }

    fn i64(self) -> Option<i64> {
        match self {
            Self::Ref(ValueRef::I64(value)) => Some(value),
            Self::Ref(ValueRef::F64(value)) if value.fract() == 0.0 => Some(value as i64),
            other => i64::try_from(other.u64()?).ok(),
        }
    }

    fn f64(self) -> Option<f64> {
        match self {
            Self::Ref(ValueRef::F64(value)) => Some(value),
            Self::Ref(ValueRef::U64(value)) => Some(value as f64),
            Self::Ref(ValueRef::I64(value)) => Some(value as f64),
            // JSON has no other way to write a number that is not finite.
            Self::Null => Some(f64::NAN),
            _ => None,
        }
    }

    fn integers(self) -> Option<Vec<u64>> {
        match self {
            Self::Ref(ValueRef::U64s(values)) => Some(values.to_vec()),
            Self::List(values) => values.iter().map(|value| Self::from(value).u64()).collect(),
            _ => None,
        }
    }
}

/// A type that a field can be read back as.
pub trait FromField<'v>: Sized {
    /// The value, or `None` where `view` is of another kind.
    fn from_field(view: FieldView<'v>) -> Option<Self>;

    /// The value of a field that is not there: `None` unless the type has one.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! from_field {
    ($($type:ty => |$view:ident| $conversion:expr),* $(,)?) => { $(
        impl<'v> FromField<'v> for $type {
            fn from_field($view: FieldView<'v>) -> Option<Self> {
                $conversion
            }
        }
    )* };
}

from_field! {
    bool => |view| if let FieldView::Ref(ValueRef::Bool(value)) = view { Some(value) } else { None },
    u8 => |view| view.u64()?.try_into().ok(),
    u16 => |view| view.u64()?.try_into().ok(),
    u32 => |view| view.u64()?.try_into().ok(),
    u64 => |view| view.u64(),
    usize => |view| view.u64()?.try_into().ok(),
    i8 => |view| view.i64()?.try_into().ok(),
    i16 => |view| view.i64()?.try_into().ok(),
    i32 => |view| view.i64()?.try_into().ok(),
    i64 => |view| view.i64(),
    isize => |view| view.i64()?.try_into().ok(),
    f32 => |view| view.f64().map(|value| value as f32),
    f64 => |view| view.f64(),
    Duration => |view| view.u64().map(Self::from_nanos),
    &'v str => |view| if let FieldView::Ref(ValueRef::Str(text)) = view { Some(text) } else { None },
    String => |view| <&str>::from_field(view).map(str::to_owned),
    Cow<'_, str> => |view| String::from_field(view).map(Cow::Owned),
    &'v [u64] => |view| if let FieldView::Ref(ValueRef::U64s(values)) = view { Some(values) } else { None },
    Vec<u64> => |view| view.integers(),
    Vec<Vec<u64>> => |view| match view {
        FieldView::Ref(ValueRef::Shapes(shapes)) => Some(shapes.iter().map(<[u64]>::to_vec).collect()),
        FieldView::List(lists) => lists.iter().map(|list| FieldView::from(list).integers()).collect(),
        _ => None,
    },
    ShapeList<'v> => |view| if let FieldView::Ref(ValueRef::Shapes(shapes)) = view { Some(Self::Recorded(shapes)) } else { None },
    (u32, u32, u32) => |view| match view.integers()?.as_slice() {
        &[x, y, z] => Some((x.try_into().ok()?, y.try_into().ok()?, z.try_into().ok()?)),
        _ => None,
    },
}

impl<'v, const N: usize> FromField<'v> for [u64; N] {
    fn from_field(view: FieldView<'v>) -> Option<Self> {
        view.integers()?.try_into().ok()
    }
}

impl<'v, V: FromField<'v>> FromField<'v> for Option<V> {
    fn from_field(view: FieldView<'v>) -> Option<Self> {
        match view {
            FieldView::Null => Some(None),
            view => V::from_field(view).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// The value of field `index` of event `E`, under its own name or an alias.
pub fn read_field<'v, E: Event, V: FromField<'v>>(
    source: Source<'v>,
    index: usize,
) -> Result<V, ReadError> {
    let field = &E::DESCRIPTOR.fields[index];
    let view = source.find(field.name).or_else(|| {
        let mut aliases = field.aliases.iter();
        aliases.find_map(|alias| Some(source.find(alias.name)?.times(alias.times)))
    });
    let error = |problem| ReadError {
        event: E::DESCRIPTOR.type_name,
        field: field.name,
        problem,
    };
    match view {
        None => V::absent().ok_or_else(|| error("is missing")),
        Some(view) => V::from_field(view).ok_or_else(|| error("has a value of another kind")),
    }
}

/// Why an event could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    event: &'static str,
    field: &'static str,
    problem: &'static str,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            event,
            field,
            problem,
        } = self;
        write!(f, "event `{event}`: field `{field}` {problem}")
    }
}

impl std::error::Error for ReadError {}

impl<'a> EventRef<'a> {
    /// The event with its type. `None` where the record is of another type.
    pub fn read<E: ReadEvent<'a>>(&self) -> Option<Result<E, ReadError>> {
        (self.descriptor().type_name == E::DESCRIPTOR.type_name)
            .then(|| E::read(Source::Record(*self)))
    }
}

/// An event of any type, also of one that this program does not know: as JSON it is `{"type", "data"}`, and what
/// was read is written again unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyEvent {
    /// The `type` in JSON.
    pub type_name: Text,
    /// The `data` in JSON.
    pub data: Attributes,
}

impl AnyEvent {
    /// An owned copy of `event`.
    pub fn of<E: Event + ?Sized>(event: &E) -> Self {
        Self {
            type_name: Cow::Borrowed(E::DESCRIPTOR.type_name),
            data: super::json::data(event),
        }
    }

    /// Whether this is an `E`, by its type name, its name or an alias.
    pub fn is<E: Event>(&self) -> bool {
        E::DESCRIPTOR.answers_to(&self.type_name)
    }

    /// The event with its type. `None` where it is of another type.
    pub fn read<'v, E: ReadEvent<'v>>(&'v self) -> Option<Result<E, ReadError>> {
        self.is::<E>().then(|| E::read(Source::Data(&self.data)))
    }
}

impl EventRecord {
    /// The event with its type. `None` where it is of another type.
    pub fn read<'v, E: ReadEvent<'v>>(&'v self) -> Option<Result<E, ReadError>> {
        E::DESCRIPTOR
            .answers_to(&self.type_name)
            .then(|| E::read(Source::Data(&self.data)))
    }
}

impl Descriptor {
    /// Whether `name` is this event's name, its type name or one of its aliases.
    pub fn answers_to(&self, name: &str) -> bool {
        self.type_name == name || self.name == name || self.aliases.contains(&name)
    }
}
