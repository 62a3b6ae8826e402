//! The fuzz targets' bodies over their seeds, so that they neither rot nor wait for a fuzzer to find the obvious.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

#[path = "../../../fuzz/bodies/baggage.rs"]
mod baggage;
#[path = "../../../fuzz/bodies/filter.rs"]
mod filter;
#[path = "../../../fuzz/bodies/traceparent.rs"]
mod traceparent;

/// Runs `body` over each seed, and over each of its prefixes and one-byte changes.
fn over_seeds(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        seeds += 1;
        body(&seed);
        for at in 0..seed.len().min(400) {
            body(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 7);
            body(&changed);
        }
    }
    assert!(seeds > 0, "{} holds no seeds", folder.display());
}

#[test]
fn traceparent_seeds() {
    over_seeds("traceparent", traceparent::run);
}

#[test]
fn baggage_seeds() {
    over_seeds("baggage", baggage::run);
}

#[test]
fn filter_seeds() {
    over_seeds("filter", filter::run);
}
