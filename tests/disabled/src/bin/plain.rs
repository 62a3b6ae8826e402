//! What `calls` is without observability.

use std::hint::black_box;

fn halve(number: u64) -> Result<u64, &'static str> {
    number.is_multiple_of(2).then_some(number / 2).ok_or("odd")
}

fn main() {
    let number = std::env::args().count() as u64;
    black_box(halve(black_box(number)).is_ok());
}
