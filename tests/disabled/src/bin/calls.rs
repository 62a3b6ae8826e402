//! Calls every macro that is compiled out. Its twin, `plain`, is the same program without them.

use std::hint::black_box;

use radiosonde::{event, event_macro, instrument, macros::scope, profile, record};

/// An event of a user's.
#[derive(radiosonde::Event)]
#[event(name = "disabled.happened", count = "disabled.happened")]
struct Happened<'a> {
    /// A text.
    #[label]
    text: &'a str,
    /// Bytes that nobody counts.
    #[measure(counter, unit = "By")]
    bytes: u64,
}

event_macro! {
    burst,
    /// A burst.
    #[event(name = "disabled.burst")]
    struct Burst {
        /// How many.
        spikes: u64,
    }
}

#[instrument(err, ret)]
fn halve(number: u64) -> Result<u64, &'static str> {
    scope!("halve", number);
    record!(Happened {
        text: "halved",
        bytes: number
    });
    event!(Warn, "disabled.ad_hoc", number = number);
    let half = profile!("half", { burst!(spikes = number, { number / 2 }) });
    number.is_multiple_of(2).then_some(half).ok_or("odd")
}

#[track_caller]
#[instrument]
fn double(number: u64) -> u64 {
    assert!(number < 1 << 60, "not a small number");
    number * 2
}

#[instrument]
fn adder(number: u64) -> impl Fn(u64) -> u64 {
    move |other| number.wrapping_add(other)
}

fn main() {
    let number = adder(double(black_box(3)))(std::env::args().count() as u64);
    black_box(halve(black_box(number)).is_ok());
}
