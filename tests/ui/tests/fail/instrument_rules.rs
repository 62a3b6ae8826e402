//! Faults of `#[instrument]` point at the argument, and callers of the function still compile.

use radiosonde_core::instrument;

#[instrument(skip(wrong))]
fn skips(right: u8) {
    let _ = right;
}

#[instrument(colour)]
fn unknown() {}

#[instrument]
const fn constant() {}

fn main() {
    skips(1);
    unknown();
    constant();
}
