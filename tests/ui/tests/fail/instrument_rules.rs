//! Faults of `#[instrument]` point at the argument, and callers of the function still compile.

use std::{future::Future, num::ParseIntError, pin::Pin};

use radiosonde_core::instrument;

#[instrument(skip(wrong))]
fn skips(right: u8) {
    let _ = right;
}

#[instrument(colour)]
fn unknown() {}

#[instrument]
const fn constant() {}

#[instrument]
fn two_futures(fail: bool) -> Pin<Box<dyn Future<Output = u8>>> {
    if fail {
        return Box::pin(async { 0 });
    }
    Box::pin(async move { 1 })
}

#[instrument]
#[track_caller]
fn unseen_error(text: &str) -> Result<u8, ParseIntError> {
    let number: u8 = text.parse()?;
    Ok(number)
}

#[track_caller]
#[instrument(ret)]
fn unseen_value(number: u8) -> u8 {
    if number == 0 {
        return 1;
    }
    number
}

#[instrument(err(colour))]
fn unknown_format() -> Result<u8, u8> {
    Ok(1)
}

fn main() {
    drop(two_futures(true));
    drop((unseen_error("1"), unseen_value(1), unknown_format()));
    skips(1);
    unknown();
    constant();
}
