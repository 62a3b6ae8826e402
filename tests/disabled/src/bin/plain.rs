//! What `calls` is without observability.

use std::hint::black_box;

fn halve(number: u64) -> Result<u64, &'static str> {
    number.is_multiple_of(2).then_some(number / 2).ok_or("odd")
}

#[track_caller]
fn double(number: u64) -> u64 {
    assert!(number < 1 << 60, "not a small number");
    number * 2
}

fn adder(number: u64) -> impl Fn(u64) -> u64 {
    move |other| number.wrapping_add(other)
}

fn main() {
    let number = adder(double(black_box(3)))(std::env::args().count() as u64);
    black_box(halve(black_box(number)).is_ok());
}
