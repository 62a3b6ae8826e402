//! Hashing for the maps that telemetry passes through record by record: a multiplication for each eight bytes, where
//! the standard library's SipHash takes some tens of instructions.
//!
//! Each step multiplies state and input to 128 bits and folds the halves together, as wyhash does (Wang Yi, "wyhash and
//! wyrand", public domain). Start and multiplier are random for each map, so that whoever chooses labels or names
//! does not know which of them collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers that agree with each other, and with no other value's.
#[derive(Clone, Debug)]
pub struct FoldState {
    start: u64,
    multiplier: u64,
}

impl Default for FoldState {
    fn default() -> Self {
        let keys = RandomState::new();
        Self {
            start: keys.hash_one(0),
            multiplier: keys.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for FoldState {
    type Hasher = FoldHasher;

    #[inline]
    fn build_hasher(&self) -> FoldHasher {
        FoldHasher {
            state: self.start,
            multiplier: self.multiplier,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct FoldHasher {
    state: u64,
    multiplier: u64,
}

impl Hasher for FoldHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !tail.is_empty() {
            let mut last = [0; 8];
            last[..tail.len()].copy_from_slice(tail);
            // Zeros at the end are not the same as no byte.
            self.state = self.state.wrapping_add(tail.len() as u64);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.state = fold(self.state ^ number, self.multiplier);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // A table takes its place from the low bits and its tag from the high ones: both are to depend on everything.
        fold(self.state, self.multiplier)
    }
}

#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// For maps whose keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prehashed(u64);

impl Hasher for Prehashed {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are one `u64`; anything else still has a hash, if a poor one.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_that_differ_little_have_places_far_apart() {
        let state = FoldState::default();
        let texts: Vec<String> = (0..30)
            .flat_map(|block| {
                ["qkv", "sdpa", "mlp", ""].map(|part| format!("forward/block {block}/{part}"))
            })
            .chain((0..40).map(|zeros| "\0".repeat(zeros)))
            .collect();
        let hashes: BTreeSet<u64> = texts.iter().map(|text| state.hash_one(text)).collect();
        assert_eq!(hashes.len(), texts.len());
        // 160 texts over 64 places each way: a bad hash leaves most places empty.
        let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 63).collect();
        let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 58).collect();
        assert!(
            low.len() > 40 && high.len() > 40,
            "{} {}",
            low.len(),
            high.len()
        );
    }

    #[test]
    fn two_maps_agree_on_nothing() {
        let (one, other) = (FoldState::default(), FoldState::default());
        assert_eq!(one.hash_one("text"), one.clone().hash_one("text"));
        assert_ne!(one.hash_one("text"), other.hash_one("text"));
    }
}
