//! Templates, read once: what stands between fields as bytes, and the fields.
//!
//! Invariant: what a template that was read writes is one JSON value without a newline, whatever the fields hold.

use radiosonde_core::model::Resource;

use super::{Template, Writer, subject::Subject};
use crate::encode::json::fields::quoted;

/// The fields there are. A field that a record has not is `null`, or nothing inside a text.
///
/// `time` is RFC 3339, the start of a span; `kind` is that of a span or a metric; `value` is a counter's or gauge's;
/// `attributes` are those of a span or log, the fields of an event or the labels of a series; `resource` is what the
/// program says of itself.
pub const FIELDS: [&str; 27] = [
    "type",
    "time",
    "time_unix_ns",
    "time_unix_ms",
    "end_unix_ns",
    "duration_ns",
    "trace_id",
    "span_id",
    "parent_id",
    "name",
    "kind",
    "status",
    "status_message",
    "level",
    "severity_number",
    "target",
    "message",
    "thread",
    "correlation_id",
    "unit",
    "value",
    "count",
    "sum",
    "min",
    "max",
    "attributes",
    "resource",
];

/// A field by its place in [`FIELDS`], or one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Known(&'static str),
    Attribute(String),
    Resource(String),
}

impl Field {
    fn read(name: &str) -> Result<Self, String> {
        let name = name.trim();
        if let Some(known) = FIELDS.iter().find(|known| **known == name) {
            return Ok(Self::Known(known));
        }
        let member = |of: &str| name.strip_prefix(of).filter(|rest| !rest.is_empty());
        if let Some(attribute) = member("attributes.") {
            return Ok(Self::Attribute(attribute.to_owned()));
        }
        if let Some(attribute) = member("resource.") {
            return Ok(Self::Resource(attribute.to_owned()));
        }
        Err(format!(
            "there is no field {name}; there are attributes.NAME, resource.NAME, {}",
            FIELDS.join(", ")
        ))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// A value of any type.
    Value(Field),
    /// A value inside of quotes.
    Inside(Field),
}

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pieces(Vec<Piece>);

impl Pieces {
    /// Reads `template`; what is wrong with it, where something is.
    pub(super) fn read(template: &Template) -> Result<Self, String> {
        let mut pieces = Self(Vec::new());
        match template {
            Template::Fields(names) => {
                for (index, name) in names.iter().enumerate() {
                    let field = Field::read(name)?;
                    let mut before = vec![if index == 0 { b'{' } else { b',' }];
                    quoted(name.trim(), &mut before);
                    before.push(b':');
                    pieces.bytes(&before);
                    pieces.0.push(Piece::Value(field));
                }
                pieces.bytes(if names.is_empty() { b"{}" } else { b"}" });
            }
            Template::Json(text) => {
                let read = serde_json::from_str::<serde_json::Value>(text);
                let value = read.map_err(|error| format!("it is not JSON: {error}"))?;
                pieces.value(&value)?;
            }
        }
        Ok(pieces)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Piece::Bytes(before)) => before.extend_from_slice(bytes),
            _ => self.0.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    fn value(&mut self, value: &serde_json::Value) -> Result<(), String> {
        use serde_json::Value;

        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.bytes(if index == 0 { b"[" } else { b"," });
                    self.value(value)?;
                }
                self.bytes(if values.is_empty() { b"[]" } else { b"]" });
                Ok(())
            }
            Value::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    let mut before = vec![if index == 0 { b'{' } else { b',' }];
                    quoted(name, &mut before);
                    before.push(b':');
                    self.bytes(&before);
                    self.value(value)?;
                }
                self.bytes(if members.is_empty() { b"{}" } else { b"}" });
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.bytes(value.to_string().as_bytes());
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let whole = text
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .filter(|name| !name.contains("{{"));
        if let Some(name) = whole {
            self.0.push(Piece::Value(Field::read(name)?));
            return Ok(());
        }
        self.bytes(b"\"");
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| format!("{{{{ is not closed in {text:?}"))?;
            self.escaped(before);
            self.0.push(Piece::Inside(Field::read(name)?));
            rest = after;
        }
        self.escaped(rest);
        self.bytes(b"\"");
        Ok(())
    }

    fn escaped(&mut self, text: &str) {
        let mut bytes = Vec::new();
        quoted(text, &mut bytes);
        self.bytes(&bytes[1..bytes.len() - 1]);
    }

    /// Appends what becomes of `subject`.
    pub(super) fn write(
        &self,
        subject: &Subject<'_>,
        resource: &Resource,
        writer: &mut Writer,
        out: &mut Vec<u8>,
    ) {
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Value(field) => subject.write(field, resource, writer, out),
                Piece::Inside(field) => inside(subject, field, resource, writer, out),
            }
        }
    }
}

/// A value inside of quotes: text as it is escaped already, anything else as its JSON, and nothing for `null`.
fn inside(
    subject: &Subject<'_>,
    field: &Field,
    resource: &Resource,
    writer: &mut Writer,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    // What is written reads the byte before it, to know whether a comma is due.
    subject.write(field, resource, writer, out);
    let written = &out[start..];
    if let Some(text) = written
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    {
        let text = text.to_vec();
        out.truncate(start);
        out.extend_from_slice(&text);
    } else if written == b"null" {
        out.truncate(start);
    } else {
        let mut escaped = Vec::new();
        quoted(&String::from_utf8_lossy(written), &mut escaped);
        out.truncate(start);
        out.extend_from_slice(&escaped[1..escaped.len() - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Pieces, String> {
        Pieces::read(&Template::Json(text.to_owned()))
    }

    #[test]
    fn placeholders_are_values_or_parts_of_texts() {
        let pieces = read(r#"{"n":"{{name}}","t":"a \"{{ level }}\" b","x":[1,true,{}]}"#).unwrap();
        let known = |name| Field::Known(name);
        let bytes = |text: &str| Piece::Bytes(text.as_bytes().to_vec());
        assert_eq!(
            pieces.0,
            [
                bytes("{\"n\":"),
                Piece::Value(known("name")),
                bytes(",\"t\":\"a \\\""),
                Piece::Inside(known("level")),
                bytes("\\\" b\",\"x\":[1,true,{}]}"),
            ]
        );
        let list = Pieces::read(&Template::Fields(vec![
            "name".to_owned(),
            "attributes.a.b".to_owned(),
        ]));
        assert_eq!(
            list.unwrap().0,
            [
                bytes("{\"name\":"),
                Piece::Value(known("name")),
                bytes(",\"attributes.a.b\":"),
                Piece::Value(Field::Attribute("a.b".to_owned())),
                bytes("}"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("{", "it is not JSON"),
            ("\"a {{name\"", "{{ is not closed"),
            ("\"{{nonsense}}\"", "there is no field nonsense"),
            ("\"{{attributes.}}\"", "there is no field attributes."),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
