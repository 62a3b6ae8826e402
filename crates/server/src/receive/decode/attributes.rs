//! The attributes of the item at hand, and what produced it.
//!
//! Names and values are borrowed from the request wherever they can be. What cannot (JSON of lists and maps, text that is
//! no UTF-8 or has escapes) is written into one buffer, and put into its place when the row is made. Everything is used
//! again for the next item, so that a usual one allocates nothing.

use std::{borrow::Cow, ops::Range};

use radiosonde_core::model::Severity;
use radiosonde_store::row::{Origin, Value};

use super::{names, text};

/// Most attributes of an item. SDKs give 128 by default (OpenTelemetry specification, attribute limits).
pub(super) const ATTRIBUTES_MAX: usize = 4096;

/// Names and values of one item.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
    /// What could not be borrowed.
    written: String,
    patches: Vec<Patch>,
    bytes: usize,
    has_too_many: bool,
}

/// Which part of an entry is to be found in the buffer, and where.
#[derive(Debug)]
struct Patch {
    entry: usize,
    part: Part,
    place: Range<usize>,
}

#[derive(Debug)]
enum Part {
    Key,
    Text,
    Json,
}

impl<'a> Attributes<'a> {
    /// Begins with the next item.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.written.clear();
        self.patches.clear();
        self.bytes = 0;
        self.has_too_many = false;
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes back all but the first `len`, where those were borrowed.
    pub(super) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// Bytes of the names and texts.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there were more than [`ATTRIBUTES_MAX`]; those beyond are not here.
    pub(super) const fn has_too_many(&self) -> bool {
        self.has_too_many
    }

    /// Takes a truth value or a number.
    #[inline]
    pub(super) fn push(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        self.entry(key, value);
    }

    /// Takes a text.
    #[inline]
    pub(super) fn push_text(&mut self, key: Cow<'a, str>, text: Cow<'a, str>) {
        self.bytes += text.len();
        match text {
            Cow::Borrowed(text) => {
                self.entry(key, Value::Text(text));
            }
            Cow::Owned(text) => {
                if let Some(entry) = self.entry(key, Value::Text("")) {
                    self.patch(entry, Part::Text, |written| written.push_str(&text));
                }
            }
        }
    }

    /// Takes what `write` appends: JSON.
    pub(super) fn push_json<E>(
        &mut self,
        key: Cow<'a, str>,
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(entry) = self.entry(key, Value::Json("null")) else {
            return Ok(());
        };
        let mut result = Ok(());
        self.patch(entry, Part::Json, |written| result = write(written));
        result
    }

    #[inline]
    fn entry(&mut self, key: Cow<'a, str>, value: Value<'a>) -> Option<usize> {
        let entry = self.entries.len();
        if entry >= ATTRIBUTES_MAX {
            self.has_too_many = true;
            return None;
        }
        self.bytes += key.len();
        match key {
            Cow::Borrowed(key) => self.entries.push((key, value)),
            Cow::Owned(key) => {
                self.entries.push(("", value));
                self.patch(entry, Part::Key, |written| written.push_str(&key));
            }
        }
        Some(entry)
    }

    fn patch(&mut self, entry: usize, part: Part, write: impl FnOnce(&mut String)) {
        let start = self.written.len();
        write(&mut self.written);
        let place = start..self.written.len();
        if matches!(part, Part::Json) {
            self.bytes += place.len();
        }
        self.patches.push(Patch { entry, part, place });
    }

    /// Our own library gives the level of a span as `level`; the store has a name for it that is nobody else's.
    pub(super) fn rename_level(&mut self) {
        let is_level = |(key, value): &&mut (&str, Value<'_>)| {
            *key == "level"
                && matches!(value, Value::Text(text) if Severity::from_text(text).is_some())
        };
        if let Some((key, _)) = self.entries.iter_mut().find(is_level) {
            *key = names::LEVEL;
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Cow<'_, [(&str, Value<'_>)]> {
        if self.patches.is_empty() {
            return Cow::Borrowed(&self.entries);
        }
        let mut entries: Vec<(&str, Value<'_>)> = self.entries.clone();
        for Patch { entry, part, place } in &self.patches {
            // Entries and places are those of this item, so both are always there.
            let (Some((key, value)), Some(written)) =
                (entries.get_mut(*entry), self.written.get(place.clone()))
            else {
                continue;
            };
            match part {
                Part::Key => *key = written,
                Part::Text => *value = Value::Text(written),
                Part::Json => *value = Value::Json(written),
            }
        }
        Cow::Owned(entries)
    }
}

/// The text that is called `key`; the last one, as everywhere.
pub(super) fn find_text<'b>(entries: &[(&str, Value<'b>)], key: &str) -> Option<&'b str> {
    entries.iter().rev().find_map(|(name, value)| match value {
        Value::Text(text) if *name == key => Some(*text),
        _ => None,
    })
}

/// What produces the items that follow: resource and instrumentation scope.
#[derive(Debug)]
pub(super) struct Source {
    service: String,
    resource: String,
    scope: String,
    is_ours: bool,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            service: String::new(),
            resource: "{}".to_owned(),
            scope: String::new(),
            is_ours: false,
        }
    }
}

impl Source {
    /// As rows have it.
    #[inline]
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            service: &self.service,
            resource: &self.resource,
            scope: &self.scope,
        }
    }

    /// Whether our own library sent it, which gives a span's level as `level`.
    #[inline]
    pub(super) const fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Takes another resource.
    pub(super) fn set_resource(&mut self, attributes: &Attributes<'_>) {
        let entries = attributes.all();
        self.service.clear();
        self.service
            .push_str(find_text(&entries, "service.name").unwrap_or_default());
        self.is_ours = find_text(&entries, "telemetry.sdk.name") == Some("radiosonde");
        self.resource.clear();
        text::object(&mut self.resource, &entries);
    }

    /// Takes another instrumentation scope.
    pub(super) fn set_scope(&mut self, name: &str) {
        self.scope.clear();
        self.scope.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_borrowed_is_in_its_place() {
        let mut attributes = Attributes::default();
        for _ in 0..2 {
            attributes.clear();
            attributes.push(Cow::Borrowed("a"), Value::Int(1));
            attributes.push_text(Cow::Owned("b".to_owned()), Cow::Owned("two".to_owned()));
            attributes.push_text(Cow::Borrowed("c"), Cow::Borrowed("three"));
            let json = attributes.push_json(Cow::Owned("d".to_owned()), |out| {
                out.push_str("[4]");
                Ok::<(), ()>(())
            });
            assert_eq!(json, Ok(()));
            let expected = [
                ("a", Value::Int(1)),
                ("b", Value::Text("two")),
                ("c", Value::Text("three")),
                ("d", Value::Json("[4]")),
            ];
            assert_eq!(*attributes.all(), expected);
        }
    }

    #[test]
    fn there_is_a_bound_and_it_is_seen() {
        let mut attributes = Attributes::default();
        for _ in 0..ATTRIBUTES_MAX {
            attributes.push(Cow::Borrowed("a"), Value::Bool(true));
        }
        assert!(!attributes.has_too_many());
        attributes.push_text(Cow::Owned("b".to_owned()), Cow::Owned("c".to_owned()));
        assert!(attributes.has_too_many());
        assert_eq!(attributes.all().len(), ATTRIBUTES_MAX);
    }

    #[test]
    fn a_resource_names_the_service_and_who_made_the_telemetry() {
        let mut attributes = Attributes::default();
        attributes.push_text(Cow::Borrowed("service.name"), Cow::Borrowed("shop"));
        attributes.push_text(
            Cow::Borrowed("telemetry.sdk.name"),
            Cow::Borrowed("radiosonde"),
        );
        let mut source = Source::default();
        source.set_resource(&attributes);
        source.set_scope("cart");
        assert!(source.is_ours());
        let expected = Origin {
            service: "shop",
            resource: r#"{"service.name":"shop","telemetry.sdk.name":"radiosonde"}"#,
            scope: "cart",
        };
        assert_eq!(source.origin(), expected);
        attributes.clear();
        source.set_resource(&attributes);
        assert!(!source.is_ours() && source.origin().resource == "{}");
    }
}
