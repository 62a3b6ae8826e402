//! Where a model's time and memory go: the rows that its process shows of itself, made from the events that it sent.

use std::collections::BTreeMap;

use radiosonde_answers::{
    event::{self, Update},
    latency::{LatencyRow, Window, build_latency_rows},
    memory::{Ledger, MemoryRow, build_memory_rows},
};
use radiosonde_core::{
    Event as _,
    events::{LatencyEvent, MemoryEvent},
    model::{EVENT_TYPE_ATTRIBUTE, EventRecord},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Api,
    params::{Params, Range},
    rows::literal,
};
use crate::problem::Problem;

/// Most events that rows are made from, of either kind: some hundred steps of a model with a hundred phases and more.
const EVENTS_MAX: usize = 50_000;
/// How long before the time asked for memory may have been told of: a model's weights are told of once, when it starts.
const MEMORY_BACK_NS: i64 = 24 * 3600 * 1_000_000_000;

#[derive(Debug, Serialize)]
pub(super) struct Engines {
    engines: Vec<Engine>,
}

#[derive(Debug, Serialize)]
struct Engine {
    service: String,
    resource: Box<RawValue>,
    latency: Vec<LatencyRow>,
    memory: Vec<MemoryRow>,
}

/// What is known of one process.
#[derive(Debug, Default)]
struct Process {
    service: String,
    window: Window,
    ledger: Ledger,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Engines, Problem> {
    let range = params.range()?;
    let before = Range {
        from_ns: range.from_ns.saturating_sub(MEMORY_BACK_NS),
        ..range
    };
    let mut processes: BTreeMap<String, Process> = BTreeMap::new();
    for (name, range) in [
        (LatencyEvent::DESCRIPTOR.name, range),
        (MemoryEvent::DESCRIPTOR.name, before),
    ] {
        take(api, params, name, range, &mut processes)?;
    }
    let engine = |(resource, process): (String, Process)| Engine {
        service: process.service,
        resource: RawValue::from_string(resource).unwrap_or_default(),
        latency: build_latency_rows(&process.window),
        memory: build_memory_rows(&process.ledger),
    };
    Ok(Engines {
        engines: processes.into_iter().map(engine).collect(),
    })
}

/// Gives the newest events of a kind to the processes that sent them, the oldest of them first.
fn take(
    api: &Api,
    params: &Params,
    name: &str,
    range: Range,
    processes: &mut BTreeMap<String, Process>,
) -> Result<(), Problem> {
    let statement = format!(
        "SELECT resource, service, CAST(time AS BIGINT) AS at, attributes FROM logs \
         WHERE event_name = {} AND {}{} ORDER BY time DESC LIMIT {EVENTS_MAX}",
        literal(name),
        range.contains("time"),
        params.of_service()
    );
    let rows: Vec<_> = api.rows(&statement, EVENTS_MAX)?.collect();
    for mut row in rows.into_iter().rev() {
        let (resource, service, time_ns) = (row.text(), row.text(), row.int());
        let data = radiosonde_store::attributes_from_json(&row.text());
        let type_name = data.iter().find(|(name, _)| name == EVENT_TYPE_ATTRIBUTE);
        let type_name = type_name
            .and_then(|(_, value)| value.as_str())
            .unwrap_or_default();
        let record = EventRecord {
            time_unix_ns: time_ns.cast_unsigned(),
            place: None,
            type_name: type_name.to_owned().into(),
            name: name.to_owned().into(),
            severity: radiosonde_core::model::Severity::Info,
            thread: 0,
            correlation_id: None,
            data,
        };
        let process = processes.entry(resource).or_insert_with(|| Process {
            service,
            ..Process::default()
        });
        match event::from_record(&record) {
            Some(Update::Latency(phase)) => process.window.record(phase),
            Some(Update::Memory(change)) => process.ledger.apply(record.time_unix_ns, change),
            None => {}
        }
    }
    Ok(())
}
