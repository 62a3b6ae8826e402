//! Define an event: one struct gives a typed record, its JSON, its metrics and a line in the catalogue.
//!
//! `cargo run -p radiosonde-examples --bin define_an_event`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use radiosonde::{Event, handlers, record};

/// A basket was paid for.
#[derive(Event)]
#[event(name = "shop.checkout")]
struct Checkout<'a> {
    /// How it was paid: few values, so it labels the metrics.
    #[label]
    method: &'a str,
    /// What it cost.
    #[measure(counter, unit = "{cent}")]
    cents: u64,
    /// How long paying took.
    #[measure(histogram)]
    duration: Duration,
    /// Who paid: many values, so it is in the record only.
    customer: &'a str,
}

static TAKEN_CENTS: AtomicU64 = AtomicU64::new(0);

fn main() -> anyhow::Result<()> {
    let guard = radiosonde::init()?;

    // Part of the program itself may want to know.
    handlers::attach("till", &["shop.*"], |event| {
        if let Some(Ok(checkout)) = event.read::<Checkout<'_>>() {
            TAKEN_CENTS.fetch_add(checkout.cents, Relaxed);
        }
    })?;

    for (method, cents, customer) in [
        ("card", 1_250, "ann"),
        ("cash", 300, "ben"),
        ("card", 4_999, "cyd"),
    ] {
        let duration = Duration::from_millis(cents / 100);
        thread::sleep(duration);
        record!(Checkout {
            method,
            cents,
            duration,
            customer
        });
    }

    guard.flush(Duration::from_secs(1));
    println!("taken: {:.2}", TAKEN_CENTS.load(Relaxed) as f64 / 100.0);
    println!("{}", guard.report());
    Ok(())
}
