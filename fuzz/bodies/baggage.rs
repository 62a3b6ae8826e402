//! A `baggage` header. Nothing panics, limits hold, and what is kept reads back as itself.

use radiosonde_core::propagation::{BAGGAGE_BYTES_MAX, BAGGAGE_MEMBERS_MAX, Baggage};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (baggage, _) = Baggage::parse(text);
    let written = baggage.to_string();
    assert!(written.len() <= BAGGAGE_BYTES_MAX && baggage.members().len() <= BAGGAGE_MEMBERS_MAX);
    assert_eq!(Baggage::parse(&written), (baggage.clone(), 0));
    let mut edited = baggage;
    let _ = edited.insert("added", text);
    assert!(edited.to_string().len() <= BAGGAGE_BYTES_MAX);
    edited.remove("added");
}
