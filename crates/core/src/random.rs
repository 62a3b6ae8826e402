//! Random identifiers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014),
//! seeded per lane from the operating system's randomness.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// A seed no other lane or process has.
pub(crate) fn seed() -> u64 {
    // `RandomState` draws its keys from the operating system; hashing nothing gives 64 bits of them.
    RandomState::new().build_hasher().finish()
}

/// The generator's next state and its output, which is never 0.
#[inline]
pub(crate) const fn next(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (state, if z == 0 { 1 } else { z })
}
