//! A real language model, observed end to end.

fn main() {}
