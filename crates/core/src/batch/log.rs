//! Logs and events of a batch, read by reference.

use std::borrow::Cow;

use tracing_core::Metadata;

use super::{
    PlaceRef,
    frame::{Frame, TIME_WORD, static_ref},
    owned,
};
use crate::{
    event::Descriptor,
    fields::{KEY_INLINE, ValueRef},
    model::{EventRecord, Log, Severity},
};

/// A log in a batch. See [`Log`] for what each part means.
#[derive(Clone, Copy)]
pub struct LogRef<'a>(pub(super) Frame<'a>);

/// An event in a batch. See [`EventRecord`] for what each part means.
#[derive(Clone, Copy)]
pub struct EventRef<'a>(pub(super) Frame<'a>);

impl<'a> LogRef<'a> {
    /// When, in nanoseconds since the Unix epoch.
    pub fn time_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// Where, when a span was current.
    pub fn place(&self) -> Option<PlaceRef> {
        self.0.place()
    }

    /// Name, target, level and source location as written at the callsite.
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.0.metadata()
    }

    /// The `message` field, or empty.
    pub fn message(&self) -> &'a str {
        self.0
            .attributes()
            .find_map(|(name, value)| message_text(name, value))
            .unwrap_or_default()
    }

    /// The module or component that wrote it: for records of the `log` crate the one they name, else the callsite's.
    pub fn target(&self) -> &'a str {
        let metadata = self.metadata();
        if metadata.fields().field(LOG_TARGET).is_none() {
            return metadata.target();
        }
        let named = self.0.attributes().find_map(|(name, value)| match value {
            ValueRef::Str(text) if name == LOG_TARGET => Some(text),
            _ => None,
        });
        named.unwrap_or(metadata.target())
    }

    /// Attributes in order, without the message and the target.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        self.0
            .attributes()
            .filter(|&(name, value)| name != LOG_TARGET && message_text(name, value).is_none())
    }

    /// The static description of the span that was current, unless there was none or it is in another process.
    pub fn span(&self) -> Option<&'static Metadata<'static>> {
        static_ref(self.0.0[6])
    }

    /// Whether this is the same line as `other` again: written at the same place in the code, in the same span and
    /// thread, with the same message and attributes. Only the time may differ.
    pub fn repeats(&self, other: &LogRef<'_>) -> bool {
        let (this, other) = (self.0.0, other.0.0);
        this[0] == other[0]
            && this[1..TIME_WORD] == other[1..TIME_WORD]
            && this[TIME_WORD + 1..] == other[TIME_WORD + 1..]
    }

    /// A copy that owns everything.
    pub fn to_log(&self) -> Log {
        Log {
            time_unix_ns: self.time_unix_ns(),
            place: self.place().map(PlaceRef::to_place),
            severity: Severity::from(*self.metadata().level()),
            target: Cow::Owned(self.target().to_owned()),
            message: Cow::Owned(self.message().to_owned()),
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            attributes: owned(self.attributes()),
        }
    }
}

/// The field in which the bridge from the `log` crate carries a record's own target.
pub(crate) const LOG_TARGET: &str = "log.target";

fn message_text<'a>(name: &str, value: ValueRef<'a>) -> Option<&'a str> {
    match value {
        ValueRef::Str(text) if name == "message" => Some(text),
        _ => None,
    }
}

impl<'a> EventRef<'a> {
    /// When, in nanoseconds since the Unix epoch.
    pub fn time_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// Where, when a span was current.
    pub fn place(&self) -> Option<PlaceRef> {
        self.0.place()
    }

    /// What the event is.
    pub fn descriptor(&self) -> &'static Descriptor {
        static_ref(self.0.0[7]).unwrap_or(&crate::event::UNKNOWN)
    }

    /// The fields that have a value, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        let descriptors = self.descriptor().fields;
        self.0
            .raw_fields()
            .filter_map(move |field| match field.key {
                KEY_INLINE => Some((field.name?, field.value)),
                key => Some((descriptors.get(usize::from(key))?.name, field.value)),
            })
    }

    /// The fields that the descriptor describes, by index into [`Descriptor::fields`].
    pub fn described_fields(&self) -> impl Iterator<Item = (usize, ValueRef<'a>)> + use<'a> {
        let count = self.descriptor().fields.len();
        self.0
            .raw_fields()
            .map(|field| (usize::from(field.key), field.value))
            .filter(move |&(key, _)| key < count)
    }

    /// The words of each field that the descriptor describes, by its index; [`FieldReader`] reads them.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, &'a [u64])> + use<'a> {
        let count = self.descriptor().fields.len();
        let pieces = self.0.raw_fields().pieces();
        pieces
            .map(|(key, words)| (usize::from(key), words))
            .filter(move |&(key, _)| key < count)
    }

    /// A copy that owns everything.
    pub fn to_event(&self) -> EventRecord {
        let descriptor = self.descriptor();
        EventRecord {
            time_unix_ns: self.time_unix_ns(),
            place: self.place().map(PlaceRef::to_place),
            type_name: Cow::Borrowed(descriptor.type_name),
            name: Cow::Borrowed(descriptor.name),
            severity: descriptor.severity,
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            data: owned(self.fields()),
        }
    }
}
