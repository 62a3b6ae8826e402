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
            let place = event
                .place
                .as_ref()
                .filter(|place| place.trace_id == trace.id)?;
            Some((event, *hosts.get(&place.span_id)?))
        })
        .collect();
    // The outer of two phases that end together comes first. Ties beyond that are equal in every respect that counts.
    here.sort_by_cached_key(|(event, host)| {
        (
            Reverse(event.time_unix_ns),
            Reverse(duration(event)),
            *host,
            format!("{:?}", event.data),
        )
    });
    let mut phases: HashMap<(usize, u64, String), Vec<usize>> = HashMap::new();
    for (event, host) in here {
        match event.type_name.as_ref() {
            GPU_OP => gpu(trace, event, host, "op_name", &known),
            GPU_KERNEL => gpu(trace, event, host, "internal_kernel_name", &known),
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

fn gpu<'a>(
    trace: &mut Trace<'a>,
    event: &'a EventRecord,
    host: usize,
    name: &str,
    known: &BTreeSet<String>,
) {
    let (Some(duration), Some(name)) = (duration(event), event.field(name).and_then(Value::as_str))
    else {
        return;
    };
    let name = format!("gpu {name}");
    if !known.contains(&labels(&name, None).0) {
        let times = (
            event.time_unix_ns.saturating_sub(duration),
            event.time_unix_ns,
        );
        trace.push_reported(host, Cow::Owned(name), times, said(Category::GpuBusy));
    }
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
