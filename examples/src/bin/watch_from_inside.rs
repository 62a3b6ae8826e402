//! Watch a program from inside: records come through a bounded channel, as a screen of its own would read them.
//!
//! `cargo run -p radiosonde-examples --bin watch_from_inside`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{thread, time::Duration};

use radiosonde::exporter::channel::{EnrichedEvent, ring};

fn main() -> anyhow::Result<()> {
    // When the reader is slow, the oldest records make room and are counted.
    let (sender, receiver) = ring::<EnrichedEvent>(1_000);
    let guard = radiosonde::builder().exporter(sender).init()?;

    let worker = thread::spawn(|| {
        for step in 0..3 {
            let _span = tracing::info_span!("step", step).entered();
            tracing::info!(step, "working");
            thread::sleep(Duration::from_millis(5));
        }
    });
    worker
        .join()
        .map_err(|_| anyhow::anyhow!("the worker panicked"))?;
    guard.flush(Duration::from_secs(1));

    let mut seen = 0;
    while let Ok(record) = receiver.try_recv() {
        println!("{record:?}");
        seen += 1;
    }
    println!("{seen} records seen, {} dropped", receiver.dropped());
    anyhow::ensure!(seen >= 6, "three spans and three logs");
    Ok(())
}
