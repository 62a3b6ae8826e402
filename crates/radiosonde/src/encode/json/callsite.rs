//! What does not change from one record of a callsite to the next, written once: the start of its data and the names
//! of its fields.
//!
//! Invariant: an entry answers for exactly the static description whose address it holds, and descriptions live as
//! long as the process. A callsite whose records need more than this (`otel.*` fields, a target of their own, a name
//! that stands twice) is not plain, and its records are written the general way.

use radiosonde_core::{event::Descriptor, model::Severity};
use tracing::Metadata;

use super::value::push_escaped;
use crate::redact::{Redaction, Sensitivity};

/// Callsites that are remembered; one that shares its slot replaces another.
const SLOTS: usize = 256;
/// Fields that a plain callsite has at most: one bit each says whether it was seen.
const FIELDS_MAX: usize = 64;

/// The name of a field.
pub(super) struct Key {
    /// `,"name":`
    json: Box<[u8]>,
    pub(super) sensitivity: Sensitivity,
}

impl Key {
    fn new(name: &str, redaction: &Redaction) -> Self {
        let mut json = b",\"".to_vec();
        push_escaped(name, &mut json);
        json.extend_from_slice(b"\":");
        Self {
            json: json.into(),
            sensitivity: redaction.sensitivity(name),
        }
    }

    /// With its colon, and the comma before it unless it is the first.
    #[inline]
    pub(super) fn json(&self, first: bool) -> &[u8] {
        &self.json[usize::from(first)..]
    }
}

pub(super) struct Callsite {
    address: usize,
    /// From the level to the colon after the last member that is the same in every record.
    pub(super) head: Box<[u8]>,
    pub(super) keys: Box<[Key]>,
    /// The index of the field `message`.
    pub(super) message: Option<usize>,
    pub(super) is_plain: bool,
}

impl Callsite {
    fn new<'n>(
        address: usize,
        head: Vec<u8>,
        names: impl Iterator<Item = &'n str>,
        redaction: &Redaction,
    ) -> Self {
        let names: Vec<&str> = names.collect();
        let is_general = |(index, name): (usize, &&str)| {
            name.starts_with("otel.") || *name == "log.target" || names[..index].contains(name)
        };
        Self {
            address,
            head: head.into(),
            keys: names.iter().map(|name| Key::new(name, redaction)).collect(),
            message: names.iter().position(|name| *name == "message"),
            is_plain: names.len() <= FIELDS_MAX && !names.iter().enumerate().any(is_general),
        }
    }
}

/// The callsites that were seen lately.
pub(super) struct Callsites(Box<[Option<Callsite>]>);

impl Callsites {
    pub(super) fn new() -> Self {
        Self(std::iter::repeat_with(|| None).take(SLOTS).collect())
    }

    /// `{"level":..,"target":..,"message":`
    #[inline]
    pub(super) fn log(
        &mut self,
        metadata: &'static Metadata<'static>,
        redaction: &Redaction,
    ) -> &Callsite {
        let address = std::ptr::from_ref(metadata).addr();
        self.get(address, || {
            let mut head = level_and_target(b"{\"level\":\"", metadata);
            head.extend_from_slice(b"\",\"message\":");
            let names = metadata.fields().iter().map(|field| field.name());
            Callsite::new(address, head, names, redaction)
        })
    }

    /// `,"level":..,"target":..,"kind":"internal","status":"unset","thread":`
    #[inline]
    pub(super) fn span(
        &mut self,
        metadata: &'static Metadata<'static>,
        redaction: &Redaction,
    ) -> &Callsite {
        let address = std::ptr::from_ref(metadata).addr();
        self.get(address, || {
            let mut head = level_and_target(b",\"level\":\"", metadata);
            head.extend_from_slice(b"\",\"kind\":\"internal\",\"status\":\"unset\",\"thread\":");
            let names = metadata.fields().iter().map(|field| field.name());
            Callsite::new(address, head, names, redaction)
        })
    }

    /// An event's data begins with its fields.
    #[inline]
    pub(super) fn event(
        &mut self,
        descriptor: &'static Descriptor,
        redaction: &Redaction,
    ) -> &Callsite {
        let address = std::ptr::from_ref(descriptor).addr();
        self.get(address, || {
            let names = descriptor.fields.iter().map(|field| field.name);
            let mut callsite = Callsite::new(address, Vec::new(), names, redaction);
            // `otel.*` and `log.target` mean nothing of their own in an event; only a repeated name does.
            let names = || descriptor.fields.iter().map(|field| field.name);
            callsite.is_plain = descriptor.fields.len() <= FIELDS_MAX
                && names()
                    .enumerate()
                    .all(|(index, name)| !names().take(index).any(|other| other == name));
            callsite
        })
    }

    #[inline]
    fn get(&mut self, address: usize, new: impl FnOnce() -> Callsite) -> &Callsite {
        // Descriptions are at least 64 bytes apart, mostly; the multiplier spreads the rest (Knuth, TAOCP 3, 6.4).
        let slot = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let place = &mut self.0[slot as usize % SLOTS];
        if place.as_ref().is_none_or(|known| known.address != address) {
            *place = None;
        }
        place.get_or_insert_with(new)
    }
}

/// Up to the target, without the quote after it.
fn level_and_target(before: &[u8], metadata: &Metadata<'_>) -> Vec<u8> {
    let mut head = before.to_vec();
    head.extend_from_slice(Severity::from(*metadata.level()).text().as_bytes());
    head.extend_from_slice(b"\",\"target\":\"");
    push_escaped(metadata.target(), &mut head);
    head
}
