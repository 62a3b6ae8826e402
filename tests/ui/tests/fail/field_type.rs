//! A field that no event can hold is reported where its type is written.

use radiosonde_core::Event;

struct Opaque;

/// An event.
#[derive(Event)]
#[event(name = "an.event")]
struct Holder {
    /// A field.
    field: Opaque,
}

fn main() {}
