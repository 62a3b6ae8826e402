//! What instrumentation costs that is switched off at run time.

use std::hint::black_box;

use radiosonde_core::filter::{self, Filter};

use radiosonde_bench_harness::{Bench, Case, print, row::Row};

use crate::{
    harness::{Pace, caller},
    ours,
};

const TRACING: &str = "tracing, no subscriber";
/// 2 ns on the reference machine, where `tracing` without a subscriber takes 0.9: most of it is the macro's own.
const RATIO_MAX: f64 = 2.2;

/// Spans and events that the filter refuses.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "disabled span, caller",
            "off.radiosonde:span",
            "off.tracing:span",
            TRACING,
            Some(RATIO_MAX),
        )
        .by_least(),
        Row::beside(
            "disabled event, caller",
            "off.radiosonde:event",
            "off.tracing:event",
            TRACING,
            Some(RATIO_MAX),
        )
        .by_least(),
    ],
    cases: &[
        Case {
            name: "off.radiosonde",
            run: || with_radiosonde(measure),
        },
        Case {
            name: "off.tracing",
            run: measure,
        },
    ],
};

/// Recording is on, and the filter refuses the callsites that are measured.
fn with_radiosonde(measure: fn()) {
    let pump = ours::start();
    filter::set(Filter::parse("off").unwrap_or_default());
    measure();
    drop(pump);
}

fn measure() {
    print("span", &caller(&Pace::FREE, spans));
    print("event", &caller(&Pace::FREE, events));
}

fn spans(count: u64) {
    for number in 0..count {
        let _span =
            tracing::info_span!("operation", number = black_box(number), kind = "read").entered();
    }
}

fn events(count: u64) {
    for number in 0..count {
        tracing::info!(number = black_box(number), kind = "read", "done");
    }
}
