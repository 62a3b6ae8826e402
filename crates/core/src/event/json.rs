//! Events and attribute values as JSON, or whatever a serde format makes of the same shape.
//!
//! What is written is what the record holds, so JSON made from the struct and JSON made from a batch are the same.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Error as _, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap as _, SerializeStruct as _},
};

use super::{AnyEvent, Descriptor, Event, ReadEvent, Source};
use crate::{
    batch::EventRef,
    fields::{FieldReader, KEY_INLINE, ValueRef},
    model::{Attributes, Text, Value},
};

/// Writes `{"type", "data"}` of `event`.
pub fn serialize<E: Event + ?Sized, S: Serializer>(
    event: &E,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let words = words(event);
    let data = Data(|| named(E::DESCRIPTOR, &words));
    tagged(serializer, E::DESCRIPTOR.type_name, &data)
}

/// Reads `{"type", "data"}` of an `E`.
pub fn deserialize<'de, E, D>(deserializer: D) -> Result<E, D::Error>
where
    E: for<'v> ReadEvent<'v>,
    D: Deserializer<'de>,
{
    let event = AnyEvent::deserialize(deserializer)?;
    if event.is::<E>() {
        E::read(Source::Data(&event.data)).map_err(D::Error::custom)
    } else {
        Err(D::Error::custom(format_args!(
            "expected event type `{}`, found `{}`",
            E::DESCRIPTOR.type_name,
            event.type_name
        )))
    }
}

/// The fields of `event`, owned.
pub(super) fn data<E: Event + ?Sized>(event: &E) -> Attributes {
    let words = words(event);
    named(E::DESCRIPTOR, &words)
        .map(|(name, value)| (Text::Owned(name.to_owned()), Value::from(value)))
        .collect()
}

fn words<E: Event + ?Sized>(event: &E) -> Vec<u64> {
    let mut words = Vec::new();
    // A vector takes every word.
    let _ = super::encode(event, &mut words);
    words
}

fn named<'a>(
    descriptor: &'static Descriptor,
    words: &'a [u64],
) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
    FieldReader(words).filter_map(move |field| match field.key {
        KEY_INLINE => Some((field.name?, field.value)),
        key => Some((descriptor.fields.get(usize::from(key))?.name, field.value)),
    })
}

fn tagged<S: Serializer>(
    serializer: S,
    type_name: &str,
    data: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut event = serializer.serialize_struct("Event", 2)?;
    event.serialize_field("type", type_name)?;
    event.serialize_field("data", data)?;
    event.end()
}

/// Names and values as a map.
struct Data<F>(F);

impl<'a, F, I> Serialize for Data<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (&'a str, ValueRef<'a>)>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some((self.0)().count()))?;
        for (name, value) in (self.0)() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

/// `{"type", "data"}`.
impl Serialize for EventRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = Data(|| self.fields());
        tagged(serializer, self.descriptor().type_name, &data)
    }
}

impl Serialize for ValueRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::U64s(values) => serializer.collect_seq(*values),
            Self::Shapes(shapes) => serializer.collect_seq(shapes.iter()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) => serialize_attributes(entries, serializer),
        }
    }
}

fn serialize_attributes<S: Serializer>(
    attributes: &Attributes,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(attributes.iter().map(|(name, value)| (name, value)))
}

/// Deepest nesting of lists and maps that is read; a deeper value is refused.
const DEPTH_MAX: usize = 32;

impl<'de> Deserialize<'de> for Value {
    /// Reads at most 32 levels of lists and maps.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { depth: 0 })
    }
}

#[derive(Clone, Copy)]
struct ValueVisitor {
    depth: usize,
}

impl ValueVisitor {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("lists and maps are nested deeper than 32 levels"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> de::DeserializeSeed<'de> for ValueVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    /// A number that is not negative is unsigned, whatever type the format gave it.
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::I64(value), Value::U64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::U64(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::F64(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Str(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        AttributesVisitor(self.deeper()?)
            .visit_map(map)
            .map(Value::Map)
    }
}

/// Reads a map in the order in which it is written.
struct AttributesVisitor(ValueVisitor);

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut attributes = Attributes::new();
        while let Some(name) = map.next_key::<String>()? {
            attributes.push((Text::Owned(name), map.next_value_seed(self.0)?));
        }
        Ok(attributes)
    }

    fn visit_unit<E>(self) -> Result<Attributes, E> {
        Ok(Attributes::new())
    }
}

impl<'de> de::DeserializeSeed<'de> for AttributesVisitor {
    type Value = Attributes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Attributes, D::Error> {
        deserializer.deserialize_any(self)
    }
}

struct AttributesRef<'a>(&'a Attributes);

impl Serialize for AttributesRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_attributes(self.0, serializer)
    }
}

impl Serialize for AnyEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged(serializer, &self.type_name, &AttributesRef(&self.data))
    }
}

struct TaggedVisitor;

impl<'de> Visitor<'de> for TaggedVisitor {
    type Value = AnyEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: a map with `type` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyEvent, A::Error> {
        let (mut type_name, mut data) = (None, Attributes::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => type_name = Some(map.next_value::<String>()?),
                "data" => {
                    data = map.next_value_seed(AttributesVisitor(ValueVisitor { depth: 0 }))?;
                }
                _ => drop(map.next_value::<de::IgnoredAny>()?),
            }
        }
        Ok(AnyEvent {
            type_name: Text::Owned(type_name.ok_or_else(|| A::Error::missing_field("type"))?),
            data,
        })
    }
}

impl<'de> Deserialize<'de> for AnyEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TaggedVisitor)
    }
}
