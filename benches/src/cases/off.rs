//! What instrumentation costs that is switched off at run time.

use std::hint::black_box;

use radiosonde_core::filter::{self, Filter};

use crate::{
    Bench, Case,
    harness::{Pace, caller, print},
    ours,
    row::{Against, Row, Statistic},
};

/// Spans and events that the filter refuses.
pub const BENCH: Bench = Bench {
    rows: &[
        Row {
            what: "disabled span, caller",
            unit: "ns",
            ours: "off.radiosonde:span",
            statistic: Statistic::Min,
            against: Against::Budget(2.0),
        },
        Row {
            what: "disabled span, caller, beside tracing alone",
            unit: "ns",
            ours: "off.radiosonde:span",
            statistic: Statistic::Min,
            against: Against::Peer {
                measure: "off.tracing:span",
                name: "tracing, no subscriber",
                limit: None,
            },
        },
        Row {
            what: "disabled event, caller",
            unit: "ns",
            ours: "off.radiosonde:event",
            statistic: Statistic::Min,
            against: Against::Budget(2.0),
        },
        Row {
            what: "disabled event, caller, beside tracing alone",
            unit: "ns",
            ours: "off.radiosonde:event",
            statistic: Statistic::Min,
            against: Against::Peer {
                measure: "off.tracing:event",
                name: "tracing, no subscriber",
                limit: None,
            },
        },
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
