//! Series that are simulated, so that the truth is known.

mod claims;
mod noise;
mod rates;
mod rules;
mod words;

use super::*;

const SECOND: u64 = 1_000_000_000;
const HOUR_S: u64 = 3_600;
/// Monday, 2026-11-30T00:00:00Z.
const START: u64 = 1_795_996_800 * SECOND;

const fn at(second: u64) -> u64 {
    START + second * SECOND
}
