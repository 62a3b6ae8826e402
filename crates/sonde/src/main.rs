//! Radiosonde beside your program: what it is doing, now and last week.

fn main() {}
