//! Every fault of an event is reported at once, at its token.

use radiosonde_core::Event;

#[derive(Event)]
#[event(name = "Bad Name", level = "loud", colour = "red")]
struct Faulty {
    undocumented: u64,
    /// Twice.
    #[label]
    #[measure(counter)]
    twice: u64,
    /// Falling.
    #[measure(histogram, bounds = [2, 1])]
    falling: f64,
}

/// Not a struct.
#[derive(Event)]
#[event(name = "an.enum")]
enum Choice {
    A,
}

fn main() {}
