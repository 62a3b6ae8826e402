//! `AnyValue` and lists of `KeyValue` as JSON. Values that no column holds are written as plain JSON while they are read.

use std::{borrow::Cow, fmt};

use radiosonde_store::row::Value;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    super::{DEPTH_MAX, TOO_DEEP, attributes::Attributes, profiles::Given, sink::Unreadable, text},
    list, malformed, parse,
    scalars::{Double, Integer, Text},
};

/// `KeyValue`.
#[derive(Deserialize)]
#[serde(expecting = "an attribute, which is an object of key and value")]
struct KeyValue<'a> {
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

/// The fields of an `AnyValue` that columns hold; the others are for [`Any`].
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a value, which is an object such as {\"stringValue\": \"...\"}"
)]
#[expect(
    clippy::struct_field_names,
    reason = "fields have the names that OTLP gives them"
)]
struct AnyValue<'a> {
    #[serde(borrow, default)]
    string_value: Option<Text<'a>>,
    #[serde(default)]
    bool_value: Option<bool>,
    #[serde(default)]
    int_value: Option<Integer>,
    #[serde(default)]
    double_value: Option<Double>,
}

/// Takes a list of `KeyValue`.
pub(in super::super) fn take<'a>(
    attributes: &mut Attributes<'a>,
    entries: Option<&'a RawValue>,
) -> Result<(), Unreadable> {
    list(entries, |_, entry: KeyValue<'a>| {
        let key = entry.key.unwrap_or_default().0;
        let Some(raw) = entry.value else {
            return attributes.push_json(key, |out| {
                out.push_str("null");
                Ok(())
            });
        };
        let value: AnyValue<'a> = parse(raw.get())?;
        match value {
            AnyValue {
                string_value: Some(text),
                ..
            } => attributes.push_text(key, text.0),
            AnyValue {
                bool_value: Some(value),
                ..
            } => attributes.push(key, Value::Bool(value)),
            AnyValue {
                int_value: Some(value),
                ..
            } => attributes.push(key, Value::Int(value.signed())),
            AnyValue {
                double_value: Some(value),
                ..
            } => attributes.push(key, Value::Float(value.0)),
            _ => attributes.push_json(key, |out| write(out, raw))?,
        }
        Ok(())
    })
}

/// An `AnyValue` on its own.
pub(in super::super) fn given<'a>(raw: &'a RawValue) -> Result<Given<'a>, Unreadable> {
    let value: AnyValue<'a> = parse(raw.get())?;
    let number = value.int_value.map(|value| Given::Int(value.signed()));
    let plain = value
        .string_value
        .map(|text| Given::Text(text.0))
        .or_else(|| value.bool_value.map(Given::Bool))
        .or(number)
        .or_else(|| value.double_value.map(|value| Given::Float(value.0)));
    if let Some(given) = plain {
        return Ok(given);
    }
    let mut json = String::new();
    write(&mut json, raw)?;
    Ok(Given::Json(json))
}

/// A log's body as text: itself, or JSON where it is none.
pub(in super::super) fn body<'b>(
    raw: Option<&'b RawValue>,
    json: &'b mut String,
) -> Result<Cow<'b, str>, Unreadable> {
    let Some(raw) = raw else {
        return Ok(Cow::Borrowed(""));
    };
    let value: AnyValue<'b> = parse(raw.get())?;
    if let Some(text) = value.string_value {
        return Ok(text.0);
    }
    json.clear();
    write(json, raw)?;
    let body = if *json == "null" { "" } else { json.as_str() };
    Ok(Cow::Borrowed(body))
}

/// Appends a list of `KeyValue` as a JSON object.
pub(in super::super) fn object(out: &mut String, entries: &RawValue) -> Result<(), Unreadable> {
    let mut json = serde_json::Deserializer::from_str(entries.get());
    let written = Entries {
        out,
        depth: DEPTH_MAX,
    }
    .deserialize(&mut json);
    written.map_err(|error| malformed(&error))
}

/// Appends an `AnyValue` as plain JSON.
fn write(out: &mut String, value: &RawValue) -> Result<(), Unreadable> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    let written = Any {
        out,
        depth: DEPTH_MAX,
    }
    .deserialize(&mut json);
    written.map_err(|error| malformed(&error))
}

/// Writes an `AnyValue`; `depth` is how many lists and maps it may have in one another.
struct Any<'o> {
    out: &'o mut String,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, which is an object such as {\"stringValue\": \"...\"}")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        let start = out.len();
        while let Some(Text(field)) = fields.next_key()? {
            // Only one of them should be there; the last one is what stands.
            let before = out.len();
            match &*field {
                // Bytes are base64 here, and so they are in the store.
                "stringValue" | "bytesValue" => {
                    if let Some(Text(value)) = fields.next_value()? {
                        text::string(out, &value);
                    }
                }
                "boolValue" => {
                    if let Some(value) = fields.next_value()? {
                        text::value(out, Value::Bool(value));
                    }
                }
                "intValue" => {
                    if let Some(value) = fields.next_value::<Option<Integer>>()? {
                        text::integer(out, value.signed());
                    }
                }
                "doubleValue" => {
                    if let Some(Double(value)) = fields.next_value()? {
                        text::float(out, value);
                    }
                }
                "arrayValue" => fields.next_value_seed(Values {
                    out,
                    depth,
                    of: Of::List,
                })?,
                "kvlistValue" => fields.next_value_seed(Values {
                    out,
                    depth,
                    of: Of::Map,
                })?,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
            if out.len() > before && before > start {
                out.replace_range(start..before, "");
            }
        }
        if out.len() == start {
            out.push_str("null");
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Of {
    List,
    Map,
}

/// Writes an `ArrayValue` or a `KeyValueList`: an object whose `values` are a list.
struct Values<'o> {
    out: &'o mut String,
    depth: usize,
    of: Of,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of `values`")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { out, depth, of } = self;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(A::Error::custom(TOO_DEEP));
        };
        let start = out.len();
        while let Some(Text(field)) = fields.next_key()? {
            if field != "values" {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            out.truncate(start);
            match of {
                Of::List => fields.next_value_seed(Elements { out, depth })?,
                Of::Map => fields.next_value_seed(Entries { out, depth })?,
            }
        }
        if out.len() == start {
            out.push_str(match of {
                Of::List => "[]",
                Of::Map => "{}",
            });
        }
        Ok(())
    }
}

/// Writes a list of `AnyValue` as a JSON list.
struct Elements<'o> {
    out: &'o mut String,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        out.push('[');
        let start = out.len();
        loop {
            let before = out.len();
            if before > start {
                out.push(',');
            }
            if values.next_element_seed(Any { out, depth })?.is_none() {
                out.truncate(before);
                break;
            }
        }
        out.push(']');
        Ok(())
    }
}

/// Writes a list of `KeyValue` as a JSON object.
struct Entries<'o> {
    out: &'o mut String,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys and values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        out.push('{');
        let start = out.len();
        loop {
            let before = out.len();
            if before > start {
                out.push(',');
            }
            if entries.next_element_seed(Entry { out, depth })?.is_none() {
                out.truncate(before);
                break;
            }
        }
        out.push('}');
        Ok(())
    }
}

/// Writes a `KeyValue` as a member of a JSON object.
struct Entry<'o> {
    out: &'o mut String,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of key and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        let start = out.len();
        let mut key = None;
        while let Some(Text(field)) = fields.next_key()? {
            match &*field {
                "key" => key = fields.next_value::<Option<Text<'_>>>()?,
                "value" => {
                    out.truncate(start);
                    fields.next_value_seed(Any { out, depth })?;
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        if out.len() == start {
            out.push_str("null");
        }
        // The key may come after the value.
        let mut name = String::new();
        text::string(&mut name, key.as_ref().map_or("", Text::as_str));
        name.push(':');
        out.insert_str(start, &name);
        Ok(())
    }
}

/// Whether a list has anything in it.
pub(in super::super) fn has_any(list: &RawValue) -> bool {
    let inside = list.get().trim_start_matches('[').trim_start();
    !inside.starts_with(']')
}
