//! What makes two readings one series.

use crate::{columns::push_json, row::PointRow};

/// The series of a reading: its metric, its attributes in any order, and what made it. The same in every process and
/// version, because segments are sorted by it: FNV-1a with 64 bits (Fowler, Noll and Vo; draft-eastlake-fnv).
pub(crate) fn number(row: &PointRow<'_>) -> i64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for text in [
        row.origin.resource,
        row.origin.scope,
        row.name,
        row.unit,
        row.kind.text(),
    ] {
        hash.text(text);
    }
    // Added up, so that their order does not matter.
    let mut attributes = 0_u64;
    let mut json = String::new();
    for &(key, value) in row.attributes {
        json.clear();
        push_json(&mut json, value);
        let mut one = Fnv(hash.0);
        one.text(key);
        one.text(&json);
        attributes = attributes.wrapping_add(one.0);
    }
    hash.text_bytes(&attributes.to_le_bytes());
    hash.0.cast_signed()
}

struct Fnv(u64);

impl Fnv {
    fn text(&mut self, text: &str) {
        self.text_bytes(text.as_bytes());
        // No UTF-8 has this byte, so texts cannot run into each other.
        self.text_bytes(&[0xff]);
    }

    fn text_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
