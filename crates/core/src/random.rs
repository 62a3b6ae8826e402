//! Random identifiers: SplitMix64 with an increment of its own for each lane (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014, figures 15 and 16), state and increment from the operating system's randomness.
//! So two lanes walk different cycles, and what one gives cannot be told from what another gave.
//!
//! The identifiers are unique, not secret: who sees some can compute later ones of the same lane.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// A lane's generator at its beginning: state and increment.
pub(crate) fn seed() -> (u64, u64) {
    // `RandomState` draws its 128 bits of key from the operating system; two hashes under one key give 128 bits of them.
    let keys = RandomState::new();
    (keys.build_hasher().finish(), increment(keys.hash_one(1)))
}

/// An odd number whose bits change often enough from one to the next that its multiples look random.
const fn increment(bits: u64) -> u64 {
    let mut z = bits;
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z = (z ^ (z >> 33)) | 1;
    if (z ^ (z >> 1)).count_ones() < 24 {
        z ^ 0xaaaa_aaaa_aaaa_aaaa
    } else {
        z
    }
}

/// The generator's next state and its output, which is never 0.
#[inline]
pub(crate) const fn next(state: u64, increment: u64) -> (u64, u64) {
    let state = state.wrapping_add(increment);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (state, if z == 0 { 1 } else { z })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lanes_walk_cycles_of_their_own() {
        let mut increments = BTreeSet::new();
        let mut outputs = BTreeSet::new();
        for _ in 0..64 {
            let (mut state, increment) = seed();
            assert!(increment % 2 == 1 && (increment ^ (increment >> 1)).count_ones() >= 24);
            increments.insert(increment);
            for _ in 0..1000 {
                let (after, output) = next(state, increment);
                state = after;
                outputs.insert(output);
            }
        }
        assert_eq!((increments.len(), outputs.len()), (64, 64_000));
    }

    #[test]
    fn an_increment_that_is_too_regular_is_changed() {
        for bits in 0..10_000 {
            let increment = increment(bits);
            assert!(
                increment % 2 == 1 && (increment ^ (increment >> 1)).count_ones() >= 24,
                "{bits}"
            );
        }
    }
}
