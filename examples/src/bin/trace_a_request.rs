//! Trace a request: spans and logs by `tracing`, one function observed by an attribute, a report at the end.
//!
//! `cargo run -p radiosonde-examples --bin trace_a_request`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{thread, time::Duration};

/// The attribute gives each call a span, a log, a call counter, an error counter and a duration histogram.
#[radiosonde::instrument(err)]
fn look_up(key: &str) -> Result<usize, String> {
    thread::sleep(Duration::from_millis(3));
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok(key.len())
}

fn handle(request: u32, key: &str) {
    // A span is open until its guard is dropped; logs inside it carry its trace ID.
    let _span = tracing::info_span!("request", request, key).entered();
    match look_up(key) {
        Ok(length) => tracing::info!(length, "found"),
        Err(error) => tracing::warn!(error, "not found"),
    }
}

fn main() -> Result<(), radiosonde::InitError> {
    let guard = radiosonde::init()?;
    for (request, key) in (1..).zip(["lane", "pump", "", "batch"]) {
        handle(request, key);
    }
    guard.flush(Duration::from_secs(1));
    println!("{}", guard.report());
    Ok(())
}
