//! Time a model: where a forward step's time goes, phase by phase and block by block.
//!
//! `cargo run -p radiosonde-examples --bin time_a_model`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{hint::black_box, time::Duration};

use radiosonde::latency::{self, Collector};

const BLOCKS: usize = 4;

/// Something to wait for: a product of two square matrices.
fn multiply(size: usize) -> f32 {
    let (left, right) = (vec![0.5_f32; size * size], vec![0.25_f32; size * size]);
    let mut sum = 0.0;
    for row in left.chunks(size) {
        for column in 0..size {
            sum += row
                .iter()
                .zip(right.iter().skip(column).step_by(size))
                .map(|(a, b)| a * b)
                .sum::<f32>();
        }
    }
    black_box(sum)
}

/// Deep inside the model the step is found by the thread, so no argument has to be passed down.
fn attention() {
    let _phase = latency::phase("sdpa");
    multiply(48);
}

fn step() {
    let step = Collector::install();
    {
        let _phase = step.phase("embedding");
        multiply(16);
    }
    {
        let _phase = step.phase("forward");
        for index in 0..BLOCKS {
            let _block = step.block(index);
            attention();
            multiply(64);
        }
    }
    let _phase = step.phase("sampling");
    multiply(8);
}

fn main() -> Result<(), radiosonde::InitError> {
    let guard = radiosonde::init()?;
    for token in 0..5 {
        let _span = tracing::info_span!("token", token).entered();
        step();
    }
    guard.flush(Duration::from_secs(1));
    println!("{}", guard.report());
    Ok(())
}
