//! Many requests at once: their time added up, and what the slow ones have that the typical ones have not.
//!
//! Slow are those that take at least as long as the 95th percentile, typical those that take at most as long as the
//! median; what lies between speaks for neither. They are laid over each other as any two sides are.
//!
//! Invariant: segments and residual add up to the sum of the requests' durations, in whole nanoseconds.

use std::fmt::{self, Display, Formatter};

use radiosonde_core::model::Log;
use serde::Serialize;

use super::{
    Account, Interval, Subject, Telemetry,
    account::{Records, account},
    render::section,
    tile::tile,
    trace::{Trace, TraceRecords},
};
use crate::{
    compare::{self, Comparison, Durations, Side},
    requests::Parts,
    units::{Count, Nanoseconds},
};

/// With fewer requests the 95th percentile is the longest of all.
const REQUESTS_MIN: usize = 20;
/// What the sides of the comparison are called.
const NAMES: [&str; 2] = ["typical", "slow"];

/// The account of many requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Selection {
    /// Where their time went, each request's counted by itself.
    #[serde(flatten)]
    pub account: Account,
    /// How long they took.
    pub durations: Durations,
    /// What makes the slow ones slow.
    pub slow: Slow,
}

/// The slow requests against the typical ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Slow {
    /// They were compared.
    Compared {
        /// How long the longest typical request took, in nanoseconds: the median.
        typical_at_most_ns: u64,
        /// How long the shortest slow request took, in nanoseconds: the 95th percentile.
        slow_at_least_ns: u64,
        /// What is different: `typical` is the first side, `slow` the second.
        comparison: Box<Comparison>,
    },
    /// There are no such two.
    NotCompared {
        /// Why not.
        because: String,
    },
}

/// The account of all requests among `records`; `None` where there is none.
pub(super) fn selection(records: &Side<'_>, of: Option<&str>) -> Option<Selection> {
    let parts = Parts::new(records);
    let mut traces = Vec::with_capacity(parts.requests.len());
    for part in &parts.requests {
        let of_trace = TraceRecords {
            spans: part.spans.iter().map(|(_, span)| *span).collect(),
            events: part.events.clone(),
        };
        // A part has a span, and so a root.
        let mut trace = Trace::new(&of_trace, part.trace_id, None)?;
        if traces.is_empty() {
            trace.notes.duplicates += parts.duplicates;
        }
        let tiling = tile(&trace);
        traces.push((trace, tiling));
    }
    let mut durations: Vec<u64> = traces
        .iter()
        .map(|(trace, _)| trace.duration_ns())
        .collect();
    let failed = traces.iter().filter(|(trace, _)| trace.nodes[0].failed);
    let failed = failed.count() as u64;
    let slow = slow(&parts, &durations);
    let duration_ns = durations.iter().copied().fold(0, u64::saturating_add);
    durations.sort_unstable();
    let durations = compare::summary(&durations, failed)?;
    let roots = || traces.iter().map(|(trace, _)| &trace.nodes[0]);
    let interval = Interval {
        start_unix_ns: roots().map(|root| root.start).min()?,
        end_unix_ns: roots().map(|root| root.end).max()?,
        duration_ns,
    };
    let requests = durations.requests;
    let subject = match of {
        Some(of) => Subject::Selection {
            of: of.to_owned(),
            requests,
        },
        None => Subject::Window { requests },
    };
    let warnings = parts.requests.iter().flat_map(|part| &part.warnings);
    let warnings: Vec<Log> = warnings.map(|&log| log.clone()).collect();
    let telemetry = Telemetry {
        logs: &warnings,
        ..Telemetry::default()
    };
    Some(Selection {
        account: account(&telemetry, subject, interval, &Records { traces }),
        durations,
        slow,
    })
}

/// Lays the slow requests over the typical ones; the durations are in the order of the requests.
fn slow(parts: &Parts<'_>, durations: &[u64]) -> Slow {
    let not = |because: String| Slow::NotCompared { because };
    if durations.len() < REQUESTS_MIN {
        return not(format!(
            "{} {} no slowest twentieth; {REQUESTS_MIN} are needed",
            Count(durations.len() as u64, "request"),
            if durations.len() == 1 { "has" } else { "have" }
        ));
    }
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let Some(all) = compare::summary(&sorted, 0) else {
        return not("there are no requests".to_owned());
    };
    if all.p95_ns <= all.p50_ns {
        return not(format!(
            "there are no slow ones: at least 95 of 100 take at most {}, as half of them do",
            Nanoseconds(all.p95_ns)
        ));
    }
    let side = |wanted: &dyn Fn(u64) -> bool| Parts {
        requests: parts
            .requests
            .iter()
            .zip(durations)
            .filter(|(_, duration)| wanted(**duration))
            .map(|(part, _)| part.clone())
            .collect(),
        duplicates: 0,
    };
    let typical = side(&|duration| duration <= all.p50_ns);
    let slow = side(&|duration| duration >= all.p95_ns);
    Slow::Compared {
        typical_at_most_ns: all.p50_ns,
        slow_at_least_ns: all.p95_ns,
        comparison: Box::new(compare::of_parts(NAMES, [&typical, &slow])),
    }
}

impl Display for Selection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.account)?;
        match &self.slow {
            Slow::Compared {
                typical_at_most_ns,
                slow_at_least_ns,
                comparison,
            } => {
                writeln!(f)?;
                section(
                    f,
                    "The slow ones",
                    &format!(
                        "`slow` took {} and more (the slowest twentieth), `typical` at most {} (the faster half).",
                        Nanoseconds(*slow_at_least_ns),
                        Nanoseconds(*typical_at_most_ns)
                    ),
                )?;
                writeln!(f)?;
                write!(f, "{comparison}")
            }
            Slow::NotCompared { because } => {
                section(f, "The slow ones", &format!("not looked at: {because}."))
            }
        }
    }
}
