//! Phases that events report become nodes: a model's phases (`LatencyEvent`), GPU operations (`GpuOpCompleted`,
//! `InternalKernelCompleted`) and the parts of a call to a worker (`CallCompleted`).
//!
//! An event is recorded when its phase ends, so its time is the end and its duration gives the start. A call's parts
//! are laid end to end from its start in the order in which they happen; only their lengths are measured.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use radiosonde_core::{
    Event as _,
    events::{CallCompleted, GpuOpCompleted, InternalKernelCompleted},
    ids::SpanId,
    model::{EventRecord, Value},
};

use super::{
    category::{Category, Classified, by_name},
    trace::{Trace, labels},
};
use crate::{
    event::{self, Update},
    latency::PATH_SEPARATOR,
};

const GPU_OP: &str = <GpuOpCompleted<'static>>::DESCRIPTOR.type_name;
const GPU_KERNEL: &str = <InternalKernelCompleted<'static>>::DESCRIPTOR.type_name;
const CALL: &str = <CallCompleted<'static>>::DESCRIPTOR.type_name;

/// Whether [`attach`] reads events of this type.
pub(super) fn takes_part(type_name: &str) -> bool {
    matches!(type_name, GPU_OP | GPU_KERNEL | CALL | event::LATENCY_EVENT)
}

/// Adds what `events` report to the spans in which they were recorded.
pub(super) fn attach<'a>(trace: &mut Trace<'a>, events: &[&'a EventRecord]) {
    if events.is_empty() {
        return;
    }
    let hosts: HashMap<SpanId, usize> = trace
        .nodes
        .iter()
        .enumerate()
        .map(|(place, node)| (node.span_id, place))
        .collect();
    let known: BTreeSet<String> = trace.nodes.iter().map(|node| node.label.clone()).collect();
    let mut here: Vec<(&'a EventRecord, usize)> = events
        .iter()
        .filter_map(|&event| {
            let place = event.place.as_ref().filter(|place| {
                place.trace_id == trace.id && takes_part(event.type_name.as_ref())
            })?;
            Some((event, *hosts.get(&place.span_id)?))
        })
        .collect();
    // Kernels come last, because they look for their operation. The outer of two phases that end together comes first.
    // Ties beyond that are equal in every respect that counts.
    here.sort_by_cached_key(|(event, host)| {
        (
            event.type_name == GPU_KERNEL,
            Reverse(event.time_unix_ns),
            Reverse(duration(event)),
            *host,
            event.type_name.clone(),
            format!("{:?}", event.data),
        )
    });
    let all = here.len();
    here.dedup_by(|(event, host), (other, other_host)| {
        let place = |event: &EventRecord, host: usize| (event.time_unix_ns, host);
        place(event, *host) == place(other, *other_host)
            && event.type_name == other.type_name
            && event.data == other.data
    });
    trace.notes.repeated_events = (all - here.len()) as u64;
    let mut operations: HashMap<(usize, &str), Vec<usize>> = HashMap::new();
    let mut phases: HashMap<(usize, u64, String), Vec<usize>> = HashMap::new();
    for (event, host) in here {
        match event.type_name.as_ref() {
            GPU_OP => {
                if let Some(name) = event.field("op_name").and_then(Value::as_str) {
                    let node = gpu(trace, event, (host, name), &known);
                    operations.entry((host, name)).or_default().extend(node);
                }
            }
            GPU_KERNEL => kernel(trace, event, host, &operations, &known),
            CALL => call(trace, event, host, &known),
            _ => {
                if let Some(Update::Latency(phase)) = event::from_record(event) {
                    let times = (
                        event.time_unix_ns.saturating_sub(phase.duration_ns),
                        event.time_unix_ns,
                    );
                    model_phase(
                        trace,
                        (host, phase.step, phase.path),
                        times,
                        &known,
                        &mut phases,
                    );
                }
            }
        }
    }
}

/// A kind of time that an event's type says.
const fn said(category: Category) -> Classified {
    Classified {
        category,
        declared: true,
    }
}

fn nanoseconds(event: &EventRecord, name: &str) -> Option<u64> {
    event.field(name).and_then(Value::as_u64)
}

/// How long what the event reports took; `duration_us` is what the design notes' shape has alone.
fn duration(event: &EventRecord) -> Option<u64> {
    nanoseconds(event, "duration_ns")
        .or_else(|| nanoseconds(event, "duration_us")?.checked_mul(1000))
}

/// Adds a GPU's work under the node `host`, unless a span of that name says the same.
fn gpu(
    trace: &mut Trace<'_>,
    event: &EventRecord,
    (host, name): (usize, &str),
    known: &BTreeSet<String>,
) -> Option<usize> {
    let start = event.time_unix_ns.saturating_sub(duration(event)?);
    let name = format!("gpu {name}");
    if known.contains(&labels(&name, None).0) {
        return None;
    }
    let times = (start, event.time_unix_ns);
    Some(trace.push_reported(host, Cow::Owned(name), times, said(Category::GpuBusy)))
}

/// Adds a kernel under the operation that it names and during which it ran; without one, beside the others.
fn kernel(
    trace: &mut Trace<'_>,
    event: &EventRecord,
    host: usize,
    operations: &HashMap<(usize, &str), Vec<usize>>,
    known: &BTreeSet<String>,
) {
    let text = |name| event.field(name).and_then(Value::as_str);
    let (Some(name), Some(duration)) = (text("internal_kernel_name"), duration(event)) else {
        return;
    };
    let middle = event.time_unix_ns.saturating_sub(duration / 2);
    // The one that ends last comes first.
    let operation = text("parent_op_name")
        .and_then(|operation| operations.get(&(host, operation)))
        .and_then(|nodes| {
            let ended = nodes.partition_point(|&node| trace.nodes[node].end >= middle);
            nodes.get(ended.checked_sub(1)?).copied()
        })
        .filter(|&node| trace.nodes[node].start <= middle);
    gpu(trace, event, (operation.unwrap_or(host), name), known);
}

fn call<'a>(trace: &mut Trace<'a>, event: &'a EventRecord, host: usize, known: &BTreeSet<String>) {
    const PARTS: [(&str, &str, Category); 4] = [
        ("queue_ns", "queue", Category::Queue),
        ("serialize_ns", "serialize", Category::Serialization),
        ("execute_ns", "execute", Category::Python),
        ("deserialize_ns", "deserialize", Category::Deserialization),
    ];
    let Some(duration) = duration(event) else {
        return;
    };
    if PARTS.iter().any(|(_, name, _)| known.contains(*name)) {
        return;
    }
    let function = event
        .field("function")
        .and_then(Value::as_str)
        .unwrap_or("call");
    let mut at = event.time_unix_ns.saturating_sub(duration);
    let call = trace.push_reported(
        host,
        Cow::Owned(format!("call {function}")),
        (at, event.time_unix_ns),
        said(Category::Phase),
    );
    for (field, name, category) in PARTS {
        let Some(length) = nanoseconds(event, field) else {
            continue;
        };
        let end = at.saturating_add(length).min(event.time_unix_ns);
        trace.push_reported(call, Cow::Borrowed(name), (at, end), said(category));
        at = end;
    }
}

/// Adds a model's phase below the phase of the same step whose path is one shorter and which was going on.
fn model_phase(
    trace: &mut Trace<'_>,
    (host, step, path): (usize, u64, &str),
    times: (u64, u64),
    known: &BTreeSet<String>,
    phases: &mut HashMap<(usize, u64, String), Vec<usize>>,
) {
    let (outer, name) = path.rsplit_once(PATH_SEPARATOR).unwrap_or(("", path));
    if name.is_empty() || known.contains(&labels(name, None).0) {
        return;
    }
    let middle = times.0 + (times.1 - times.0) / 2;
    let parent = phases
        .get(&(host, step, outer.to_owned()))
        .and_then(|candidates| {
            let going_on = |&&node: &&usize| {
                trace.nodes[node].start <= middle && middle <= trace.nodes[node].end
            };
            candidates.iter().rev().find(going_on)
        })
        .copied()
        .unwrap_or(host);
    let kind = Classified {
        category: by_name(name),
        declared: false,
    };
    let node = trace.push_reported(parent, Cow::Owned(name.to_owned()), times, kind);
    phases
        .entry((host, step, path.to_owned()))
        .or_default()
        .push(node);
}
