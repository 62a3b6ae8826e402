//! Names as JSON, remembered: attribute names, targets and event types come again and again.
//!
//! Invariant: a slot answers for exactly the name it holds, compared in full; a collision replaces it. Memory is
//! bounded by [`SLOTS`] names of [`NAME_BYTES_MAX`] bytes.

use std::collections::HashMap;

use super::value::push_escaped;
use crate::redact::{Redaction, Sensitivity};

const SLOTS: usize = 512;
/// Longer names are written afresh each time.
const NAME_BYTES_MAX: usize = 256;

/// A name and how it is written.
pub(super) struct Name {
    plain: Box<str>,
    /// `,"name":`
    json: Box<[u8]>,
    slot: u16,
    sensitivity: Sensitivity,
}

impl Name {
    fn new(name: &str, slot: usize, redaction: &Redaction) -> Self {
        let mut json = vec![b',', b'"'];
        push_escaped(name, &mut json);
        json.extend_from_slice(b"\":");
        Self {
            plain: name.into(),
            json: json.into(),
            slot: slot as u16,
            sensitivity: redaction.sensitivity(name),
        }
    }

    /// The name as a key with its colon, and the comma before it unless it is the first.
    #[inline]
    pub(super) fn key(&self, first: bool) -> &[u8] {
        &self.json[usize::from(first)..]
    }

    /// The name as text in quotes.
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        &self.json[1..self.json.len() - 1]
    }

    /// Names in different slots differ.
    #[inline]
    pub(super) const fn slot(&self) -> u16 {
        self.slot
    }

    /// What the name says about its values.
    #[inline]
    pub(super) const fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }
}

/// A direct-mapped table of names.
pub(super) struct Names {
    slots: Box<[Option<Name>]>,
    /// The last name too long for a slot.
    long: Option<Name>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
            long: None,
        }
    }

    /// How `name` is written.
    #[inline]
    pub(super) fn get(&mut self, name: &str, redaction: &Redaction) -> &Name {
        let slot = hash(name) % SLOTS;
        let place = if name.len() > NAME_BYTES_MAX {
            &mut self.long
        } else {
            &mut self.slots[slot]
        };
        if place.as_ref().is_none_or(|known| *known.plain != *name) {
            *place = None;
        }
        place.get_or_insert_with(|| Name::new(name, slot, redaction))
    }
}

/// Spreads names by their length, first and last eight bytes.
#[inline]
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let (first, last) = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk())
    {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        (u64::from_le_bytes(padded), 0)
    };
    // The multiplier is 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, section 6.4).
    let mixed =
        (first ^ last.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as usize
}

/// Which slots an object's names fell into.
#[derive(Default)]
pub(super) struct Seen([u64; SLOTS / 64]);

impl Seen {
    /// Whether a name in `slot` came before: the same name, or one that shares its slot.
    #[inline]
    pub(super) fn insert(&mut self, slot: u16) -> bool {
        let word = &mut self.0[usize::from(slot) / 64 % (SLOTS / 64)];
        let bit = 1 << (slot % 64);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

/// Each name once, where it first stood, with its last value.
pub(super) fn last_of_each<'a, V>(fields: impl Iterator<Item = (&'a str, V)>) -> Vec<(&'a str, V)> {
    let mut unique: Vec<(&str, V)> = Vec::new();
    let mut position_of = HashMap::new();
    for (name, value) in fields {
        let position = *position_of.entry(name).or_insert(unique.len());
        match unique.get_mut(position) {
            Some((_, earlier)) => *earlier = value,
            None => unique.push((name, value)),
        }
    }
    unique
}
