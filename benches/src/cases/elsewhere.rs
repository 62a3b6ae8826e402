//! A span that is made on one thread, and entered, left and closed on another: what an async runtime with several
//! threads does. The cost is of both threads together, without handing the span over.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Instant,
};

use tracing::Span;

use super::spans;
use radiosonde_bench_harness::{
    Bench, Case,
    machine::{pin, preemptions},
    print,
    row::Row,
};

use crate::ours;

/// Spans that travel at once: fewer than a thread holds open without more memory.
const SPANS: u64 = 256;
const HAND_OVERS: usize = 400;
const WARM_UP: usize = 20;

/// Spans that two threads share.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::at_most(
            "span, 3 typed fields, entered and closed on another thread",
            "elsewhere.radiosonde:span",
            250.0,
            "ns",
        ),
        Row::beside(
            "span, 3 typed fields, entered and closed on another thread",
            "elsewhere.radiosonde:span",
            "elsewhere.opentelemetry:span",
            spans::OPENTELEMETRY,
            None,
        ),
    ],
    cases: &[
        Case {
            name: "elsewhere.radiosonde",
            run: || {
                let pump = ours::start();
                measure(&|| ours::flush(&pump));
            },
        },
        Case {
            name: "elsewhere.opentelemetry",
            run: || {
                let provider = spans::provide(spans::Dropping);
                measure(&|| spans::settle(&provider));
            },
        },
    ],
};

/// A hand-over in nanoseconds a span, or nothing when the kernel took the processor away.
type Cost = Option<f64>;

fn measure(flush: &dyn Fn()) {
    let (to_other, spans) = sync_channel(1);
    let (to_us, costs) = sync_channel(1);
    let other = thread::spawn(move || close(&spans, &to_us));
    pin(0);
    let mut samples = Vec::with_capacity(HAND_OVERS);
    let mut batch = Vec::with_capacity(SPANS as usize);
    for number in 0..WARM_UP + HAND_OVERS {
        let made = timed(|| batch.extend((0..SPANS).map(make)));
        // Ends only where the other thread is gone, which the missing samples then show.
        let Ok((returned, closed)) = to_other
            .send(batch)
            .map_or(Err(()), |()| costs.recv().map_err(drop))
        else {
            return;
        };
        batch = returned;
        flush();
        if let (Some(made), Some(closed)) = (made, closed)
            && number >= WARM_UP
        {
            samples.push(made + closed);
        }
    }
    drop(to_other);
    if other.join().is_ok() {
        print("span", &samples);
    }
}

fn make(number: u64) -> Span {
    tracing::info_span!(parent: None, "operation", size = number, kind = "attention_", load = 0.5)
}

/// The other thread: enters, leaves and closes what it is sent.
fn close(batches: &Receiver<Vec<Span>>, costs: &SyncSender<(Vec<Span>, Cost)>) {
    pin(1);
    for mut batch in batches {
        let cost = timed(|| batch.drain(..).for_each(|span| drop(span.entered())));
        if costs.send((batch, cost)).is_err() {
            return;
        }
    }
}

fn timed(work: impl FnOnce()) -> Cost {
    let before = preemptions();
    let start = Instant::now();
    work();
    let ns = start.elapsed().as_nanos() as f64 / SPANS as f64;
    (preemptions() == before).then_some(ns)
}
