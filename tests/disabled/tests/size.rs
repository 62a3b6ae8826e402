//! Macros that are compiled out leave nothing of the record path in the program.

use std::fs;

/// Modules of core that only something that records reaches. A symbol's name holds the path to it with the length of
/// each part, whichever way names are mangled.
const RECORD_PATH: [&str; 8] = [
    "radiosonde_core4lane",
    "radiosonde_core6record",
    "radiosonde_core4ring",
    "radiosonde_core4slab",
    "radiosonde_core5clock",
    "radiosonde_core6filter",
    "radiosonde_core7metrics",
    "radiosonde_core9catalogue",
];

/// Most bytes that the calls may add to the file: what is left of names in the debug information.
const ADDED_BYTES_MAX: u64 = 16 << 10;

#[test]
fn a_program_of_macros_that_are_off_is_the_program_without_them() {
    let read = |path| fs::read(path).expect("cargo built it for this test");
    let calls = read(env!("CARGO_BIN_EXE_calls"));
    let plain = read(env!("CARGO_BIN_EXE_plain"));
    for name in RECORD_PATH {
        let found = calls
            .windows(name.len())
            .any(|part| part == name.as_bytes());
        assert!(!found, "{name} is in the program");
    }
    let added = (calls.len() as u64).saturating_sub(plain.len() as u64);
    eprintln!(
        "{} bytes with the macros, {} without: {added} more",
        calls.len(),
        plain.len()
    );
    assert!(added <= ADDED_BYTES_MAX, "{added} bytes more");
}
