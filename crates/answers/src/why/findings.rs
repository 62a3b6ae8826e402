//! What is said beside the verdict: work at the same time, failures, warnings; and what the records do not say.

use std::collections::{BTreeMap, BTreeSet};

use radiosonde_core::{
    ids::TraceId,
    model::{Log, Severity},
};

use super::{
    CPU_ATTRIBUTE, Evidence, Finding, NotAssessed, PHASE_ATTRIBUTE, Telemetry,
    account::Records,
    category::Category,
    segments::{EVIDENCE_MAX, Sums},
    trace::{Note, Notes, Origin},
};
use crate::units::{Count, Nanoseconds, Percent};

/// Longest part of a log's message that is cited, in characters.
const MESSAGE_CHARS_MAX: usize = 120;

/// Less than this of the time is not a gap worth a sentence.
const GAP_MIN_PERCENT: u64 = 5;

/// What else was seen, in a fixed order.
pub(super) fn findings(
    telemetry: &Telemetry<'_>,
    records: &Records<'_>,
    sums: &Sums,
    duration_ns: u64,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(at_once(records));
    findings.extend(failures(records));
    findings.extend(warnings(telemetry, records));
    findings.extend(largest_gap(records, sums, duration_ns));
    findings
}

/// The children of one span that did the most work at the same time.
fn at_once(records: &Records<'_>) -> Option<Finding> {
    /// Spans of one name under one parent.
    #[derive(Default)]
    struct Row {
        spans: u64,
        work_ns: u64,
        path_ns: u64,
        longest: Vec<(u64, usize, usize)>,
    }
    let mut rows: BTreeMap<(usize, usize, &str), Row> = BTreeMap::new();
    for (number, (trace, tiling)) in records.traces.iter().enumerate() {
        for (index, node) in trace.nodes.iter().enumerate() {
            let Some(parent) = node.parent.filter(|_| node.takes_part()) else {
                continue;
            };
            let row = rows.entry((number, parent, &node.label)).or_default();
            row.spans += 1;
            row.work_ns = row.work_ns.saturating_add(node.duration_ns());
            row.path_ns = row.path_ns.saturating_add(tiling.path_ns[index]);
            row.longest.push((node.duration_ns(), number, index));
        }
    }
    let overlapping = rows
        .into_iter()
        .filter(|(_, row)| row.spans > 1 && row.work_ns / 3 > row.path_ns / 2);
    let ((_, _, label), mut row) = overlapping.max_by_key(|(key, row)| {
        (
            row.work_ns - row.path_ns.min(row.work_ns),
            std::cmp::Reverse(*key),
        )
    })?;
    row.longest
        .sort_by_key(|&(ns, number, node)| (std::cmp::Reverse(ns), number, node));
    row.longest.truncate(EVIDENCE_MAX);
    Some(Finding {
        words: format!(
            "{} spans `{label}` ran at the same time: {} of work of which {} held the request up",
            row.spans,
            Nanoseconds(row.work_ns),
            Nanoseconds(row.path_ns)
        ),
        evidence: records.evidence(&row.longest),
    })
}

fn failures(records: &Records<'_>) -> Option<Finding> {
    let mut failed = Vec::new();
    let mut count = 0_u64;
    for (number, (trace, _)) in records.traces.iter().enumerate() {
        for (index, node) in trace
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.failed && node.origin != Origin::Reported)
        {
            count += 1;
            if failed.len() < EVIDENCE_MAX {
                failed.push((node.duration_ns(), number, index));
            }
        }
    }
    let evidence = records.evidence(&failed);
    let first = evidence.first()?;
    let words = match count {
        1 => format!("`{}` failed", first.name),
        _ => format!("{count} spans failed, first `{}`", first.name),
    };
    Some(Finding { words, evidence })
}

fn warnings(telemetry: &Telemetry<'_>, records: &Records<'_>) -> Option<Finding> {
    let traces: BTreeSet<TraceId> = records.traces.iter().map(|(trace, _)| trace.id).collect();
    let warns = |log: &&Log| {
        log.severity >= Severity::Warn
            && log
                .place
                .as_ref()
                .is_some_and(|place| traces.contains(&place.trace_id))
    };
    let mut logs: Vec<&Log> = telemetry.logs.iter().filter(warns).collect();
    logs.sort_by(|a, b| {
        let key = |log: &Log| {
            (
                log.time_unix_ns,
                log.place
                    .as_ref()
                    .map(|place| (place.trace_id, place.span_id)),
            )
        };
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    logs.dedup();
    let first = logs.first()?;
    let mut evidence = Vec::new();
    for place in logs.iter().filter_map(|log| log.place.as_ref()) {
        let known = Evidence {
            trace_id: place.trace_id,
            span_id: place.span_id,
            name: place.span_name.clone().into_owned(),
            duration_ns: 0,
        };
        if evidence.len() < EVIDENCE_MAX
            && !evidence
                .iter()
                .any(|other: &Evidence| other.span_id == known.span_id)
        {
            evidence.push(known);
        }
    }
    for witness in &mut evidence {
        let nodes = records
            .traces
            .iter()
            .filter(|(trace, _)| trace.id == witness.trace_id)
            .flat_map(|(trace, _)| &trace.nodes);
        if let Some(node) = nodes
            .into_iter()
            .find(|node| node.span_id == witness.span_id)
        {
            witness.duration_ns = node.duration_ns();
            witness.name.clone_from(&node.member);
        }
    }
    let mut message: String = first
        .message
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if first.message.chars().count() > MESSAGE_CHARS_MAX {
        message.push('…');
    }
    Some(Finding {
        words: match logs.len() {
            1 => format!("a warning was logged: {message:?}"),
            count => format!("{count} warnings were logged, first {message:?}"),
        },
        evidence,
    })
}

fn largest_gap(records: &Records<'_>, sums: &Sums, duration_ns: u64) -> Option<Finding> {
    // The earliest of equal ones: `max_by_key` alone would give the last.
    let hole = sums.holes.iter().rev().max_by_key(|hole| hole.ns)?;
    if hole.ns < duration_ns / 100 * GAP_MIN_PERCENT {
        return None;
    }
    let (number, node) = hole.place;
    let trace = &records.traces[number].0;
    let name = |child: usize| format!("`{}`", trace.nodes[child].member);
    let suspect = records.suspect().filter(|suspect| {
        suspect.number == number && trace.nodes[suspect.node].parent == Some(node)
    });
    let place = match (hole.after.map(name), hole.before.map(name)) {
        (Some(after), Some(before)) => format!("between {after} and {before}"),
        (Some(after), None) => format!("after {after}"),
        (None, Some(before)) => format!("before {before}"),
        (None, None) => match suspect {
            Some(suspect) => format!("beside {}", name(suspect.node)),
            None => "with nothing inside".to_owned(),
        },
    };
    Some(Finding {
        words: format!(
            "the longest time that nothing accounts for is {} of `{}`, {place}",
            Nanoseconds(hole.ns),
            trace.nodes[node].member
        ),
        evidence: records.evidence(&[(hole.ns, number, node)]),
    })
}

/// What could not be assessed, in a fixed order.
pub(super) fn not_assessed(
    records: &Records<'_>,
    sums: &Sums,
    duration_ns: u64,
) -> Vec<NotAssessed> {
    let mut all = Vec::new();
    let mut say = |what: &str, because: String| {
        all.push(NotAssessed {
            what: what.to_owned(),
            because,
        });
    };
    let mut notes = Notes::default();
    for (trace, _) in &records.traces {
        notes.merge(&trace.notes);
    }
    if sums.with_cpu == 0 && notes.impossible_cpu.is_none() {
        say(
            "on-CPU and off-CPU time",
            format!(
                "no span carries `{CPU_ATTRIBUTE}`; it is recorded on request because reading it costs a system call"
            ),
        );
    }
    let unseen = unseen(sums);
    if !unseen.is_empty() {
        let residual_ns = sums.residual_ns();
        let place = if residual_ns == 0 {
            "the parts above".to_owned()
        } else {
            format!(
                "the parts above or the {} that nothing accounts for",
                Percent(residual_ns, duration_ns)
            )
        };
        say(
            &unseen.join(", "),
            format!(
                "no record says so; what there was is inside {place}. The attribute `{PHASE_ATTRIBUTE}` names it"
            ),
        );
    }
    about_the_tree(&notes, records.traces.len(), &mut say);
    all
}

/// What is odd about how the spans of traces stand to each other.
pub(crate) fn about_the_tree(notes: &Notes, traces: usize, say: &mut impl FnMut(&str, String)) {
    let astray = notes.orphans + notes.rings;
    if astray > 0 {
        say(
            "the place of some spans",
            format!(
                "{} came without a recorded parent and {} directly under the root",
                Count(astray, "span"),
                if astray == 1 { "counts" } else { "count" }
            ),
        );
    }
    if notes.duplicates > 0 {
        say(
            "repeated spans",
            format!(
                "{} came again; the longest of each counts",
                Count(notes.duplicates, "span")
            ),
        );
    }
    if notes.repeated_events > 0 {
        say(
            "repeated events",
            format!(
                "{} came again and {} once",
                Count(notes.repeated_events, "event"),
                if notes.repeated_events == 1 {
                    "counts"
                } else {
                    "count"
                }
            ),
        );
    }
    if notes.other_roots > 0 {
        say(
            "other roots",
            format!(
                "{} {} more without a parent, whose time is not in {}",
                if traces == 1 {
                    "this trace has"
                } else {
                    "these traces have"
                },
                Count(notes.other_roots, "span"),
                if traces == 1 { "this one" } else { "these" }
            ),
        );
    }
    about_times(notes, say);
}

/// What of the spans' times cannot be as it was recorded.
fn about_times(notes: &Notes, say: &mut impl FnMut(&str, String)) {
    shifted(
        notes.outlived.as_ref(),
        "work that went on",
        "ended after the span around it, which may not have waited for it; its time is not in the account",
        say,
    );
    shifted(
        notes.early.as_ref(),
        "clocks",
        "began before the span around it: clocks differ, or it was started elsewhere; the time before is cut",
        say,
    );
    shifted(
        notes.outside.as_ref(),
        "spans outside of their parent",
        "outside of the parent's time: clocks differ, or it was started to run later",
        say,
    );
    shifted(
        notes.impossible_cpu.as_ref(),
        "impossible CPU readings",
        "claimed more CPU time than passed; such readings are not used",
        say,
    );
    if let Some(note) = &notes.contradicted {
        say(
            "declared waits",
            format!(
                "{} that `{PHASE_ATTRIBUTE}` calls a wait computed nearly all the time (`{}` for {}); the CPU reading counts, unless the thread spun while it waited",
                Count(note.count, "span"),
                note.name,
                Nanoseconds(note.by_ns)
            ),
        );
    }
}

fn shifted(note: Option<&Note>, what: &str, how: &str, say: &mut impl FnMut(&str, String)) {
    if let Some(note) = note {
        say(
            what,
            format!(
                "{} {how} (`{}` by {})",
                Count(note.count, "span"),
                note.name,
                Nanoseconds(note.by_ns)
            ),
        );
    }
}

/// Kinds of time that no record shows.
fn unseen(sums: &Sums) -> Vec<&'static str> {
    let seen = |categories: &[Category]| {
        sums.segments
            .keys()
            .any(|(category, _)| categories.contains(category))
    };
    [
        ("queueing", &[Category::Queue][..]),
        ("I/O", &[Category::Io]),
        ("locks", &[Category::Lock]),
        (
            "GPU",
            &[Category::GpuBusy, Category::GpuWait, Category::Transfer],
        ),
        (
            "serialization",
            &[Category::Serialization, Category::Deserialization],
        ),
        ("Python", &[Category::Python]),
    ]
    .into_iter()
    .filter(|(_, categories)| !seen(categories))
    .map(|(name, _)| name)
    .collect()
}
