//! What every span of a callsite has in common, encoded once.
//!
//! Invariants: an entry belongs to the `&'static Metadata` whose address is its key, which is never given to another
//! one. At most [`CALLSITES_MAX`] are kept.

use std::collections::HashMap;

use radiosonde_core::{ValueRef, model::Severity};
use tracing::Metadata;

use super::{key::Key, values::key_value, wire::Wire};
use crate::redact::{Redaction, Sensitivities};

/// Callsites remembered; more than that start over.
const CALLSITES_MAX: usize = 4096;
/// A callsite's spans.
#[derive(Debug)]
pub(super) struct Callsite {
    address: usize,
    /// The `name` field.
    pub(super) name: Vec<u8>,
    /// Attributes that every span has.
    pub(super) common: Vec<u8>,
    pub(super) keys: Vec<Key>,
    /// Whether there are `otel.*` fields, which may override name, kind and status.
    pub(super) overridable: bool,
}

impl Callsite {
    fn new(metadata: &'static Metadata<'static>, redaction: &Redaction) -> Self {
        let mut wire = Wire::default();
        wire.text_field(super::spans::NAME, metadata.name());
        let name = wire.written().to_vec();
        wire.clear();
        let severity = Severity::from(*metadata.level());
        if severity != Severity::Info {
            let text = ValueRef::Str(severity.text());
            key_value(&mut wire, super::spans::ATTRIBUTES, "level", &text);
        }
        let keys: Vec<Key> = metadata
            .fields()
            .iter()
            .map(|field| Key::new(super::spans::ATTRIBUTES, field.name(), redaction))
            .collect();
        Self {
            address: std::ptr::from_ref(metadata).addr(),
            name,
            common: wire.written().to_vec(),
            overridable: keys.iter().any(|key| key.name().starts_with("otel.")),
            keys,
        }
    }
}

/// The callsites seen so far.
#[derive(Debug, Default)]
pub(super) struct Callsites {
    entries: Vec<Callsite>,
    by_address: HashMap<usize, usize>,
    /// The last index for each lowest part of an address: most lookups end here.
    recent: Vec<u16>,
    /// Of the attributes of logs and events.
    pub(super) sensitivities: Sensitivities,
}

/// Entries of the first table; a power of two.
const RECENT: usize = 256;

impl Callsites {
    #[inline]
    pub(super) fn get(
        &mut self,
        metadata: &'static Metadata<'static>,
        redaction: &Redaction,
    ) -> &Callsite {
        let address = std::ptr::from_ref(metadata).addr();
        // Metadata is aligned to words, and its size of more than 64 bytes keeps neighbours apart.
        let slot = (address >> 5) % RECENT;
        let guess = self
            .recent
            .get(slot)
            .map_or(usize::MAX, |&index| usize::from(index));
        let index = match self.entries.get(guess) {
            Some(entry) if entry.address == address => guess,
            _ => {
                self.recent.resize(RECENT, u16::MAX);
                let index = self.find(metadata, address, redaction);
                self.recent[slot] = index as u16;
                index
            }
        };
        &self.entries[index]
    }

    #[cold]
    fn find(
        &mut self,
        metadata: &'static Metadata<'static>,
        address: usize,
        redaction: &Redaction,
    ) -> usize {
        self.by_address.get(&address).copied().unwrap_or_else(|| {
            if self.entries.len() == CALLSITES_MAX {
                self.entries.clear();
                self.by_address.clear();
            }
            self.entries.push(Callsite::new(metadata, redaction));
            self.by_address.insert(address, self.entries.len() - 1);
            self.entries.len() - 1
        })
    }
}
