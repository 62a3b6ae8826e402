//! A model's step, instrumented as a user would: the rows that come out of the pump, of a subscription and of the
//! recorded events are the same.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use radiosonde::{
    latency, memory,
    rows::{AppEvent, Rows, publish},
    weights::{Weights, read_safetensors},
};
use radiosonde_answers::{
    latency::{LatencyRow, RowKind},
    memory::MemoryRow,
};
use radiosonde_core::{
    batch::{Batch, RecordRef},
    filter::{self, Filter},
    loss::{self, Lost},
    model::{EventRecord, Resource},
    pump::{self, Consumer},
};

/// There is one pump a process, so tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps every event as its owned form, as a recording does.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<EventRecord>>>);

impl Consumer for Recording {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let events = batch.records().filter_map(|record| match record {
            RecordRef::Event(event) => Some(event.to_event()),
            _ => None,
        });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(events);
    }

    fn flush(&mut self, _deadline: Instant) -> bool {
        true
    }
}

fn forward(tokens: u64, host: &memory::Collector, scratch: &memory::Pool) {
    let step = latency::Collector::install();
    drop(step.phase("embedding"));
    {
        let _forward = step.phase("forward");
        let _delta = host.phase("forward");
        for index in 0..24 {
            let _block = step.block(index);
            let _sdpa = latency::phase("sdpa");
            if index == 3 {
                let _delta = host.phase("block 3");
                scratch.allocated(1000);
                scratch.released(400);
            }
        }
    }
    drop(step.phase("output"));
    drop(step.phase("sampling/top-k"));
    host.kv_cache(tokens * 46_080, tokens);
}

fn bytes(rows: &[MemoryRow], path: &str) -> Option<i64> {
    rows.iter()
        .find(|row| row.path == path)
        .and_then(|row| row.bytes)
}

fn assert_latency(latency: &[LatencyRow]) {
    let roots: Vec<_> = latency
        .iter()
        .filter(|row| row.depth == 0)
        .map(|row| (row.label.as_str(), row.count))
        .collect();
    assert_eq!(
        roots,
        [
            ("embedding", 10),
            ("forward", 10),
            ("output", 10),
            ("sampling_top-k", 10)
        ]
    );
    let inner = |depth, kind| {
        latency
            .iter()
            .filter(move |row| row.depth == depth && row.kind == kind)
    };
    assert_eq!(
        inner(1, RowKind::Phase)
            .map(|row| row.label.clone())
            .collect::<Vec<_>>(),
        (0..24).map(|n| format!("block {n}")).collect::<Vec<_>>()
    );
    let tiles: u64 = inner(1, RowKind::Phase)
        .chain(inner(1, RowKind::Gap))
        .map(|row| row.sum_ns)
        .sum();
    assert_eq!(
        tiles,
        latency
            .iter()
            .find(|row| row.path == "forward")
            .unwrap()
            .sum_ns
    );
    assert!(
        latency
            .iter()
            .any(|row| row.path == "forward/block 23/sdpa")
    );
}

#[test]
fn what_the_filter_refuses_is_not_even_timed() {
    let _turn = turn();
    let recording = Recording::default();
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(recording.clone())],
    })
    .unwrap();
    let host = memory::Collector::new(memory::HOST);
    let pool = host.pool("scratch");
    filter::set(Filter::parse("off").unwrap());
    forward(1, &host, &pool);
    filter::set(Filter::default());
    assert!(pump.flush(Duration::from_secs(10)));
    assert_eq!(recording.0.lock().unwrap().len(), 0);
    drop(latency::Collector::install().phase("embedding"));
    assert!(pump.stop(Duration::from_secs(10)));
    assert_eq!(recording.0.lock().unwrap().len(), 1);
}

#[test]
fn one_stream_of_events_gives_the_same_rows_everywhere() {
    let _turn = turn();
    let recording = Recording::default();
    let (publisher, subscriptions) = publish(Duration::from_hours(1));
    let updates = subscriptions.subscribe();
    drop(subscriptions.subscribe());
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(recording.clone()), Box::new(publisher)],
    })
    .unwrap();

    let host = memory::Collector::new(memory::HOST);
    let scratch = host.pool("scratch");
    let process = memory::ProcessMemory::baseline();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (1..=5).for_each(|tokens| forward(tokens, &host, &scratch)));
        }
    });
    let held = scratch.allocate(5000);
    let resident = process.sample();
    assert!(pump.flush(Duration::from_secs(10)));
    drop(held);

    let (Ok(AppEvent::LatencyUpdate(latency)), Ok(AppEvent::MemoryUpdate(memory))) =
        (updates.recv(), updates.recv())
    else {
        panic!("one update of each kind");
    };
    let mut headless = Rows::default();
    for event in &*recording.0.lock().unwrap() {
        headless.observe_record(event);
    }
    assert_eq!(headless.latency(), *latency);
    assert_eq!(headless.memory(), *memory);

    assert_latency(&latency);
    assert_eq!(
        bytes(&memory, "host").unwrap() as u64,
        resident.value().unwrap()
    );
    assert_eq!(bytes(&memory, "phases on cpu/forward/block 3"), Some(600));
    assert_eq!(bytes(&memory, "phases on cpu/forward"), Some(600));
    assert_eq!(
        bytes(&memory, "pools on cpu/outstanding"),
        Some(10 * 600 + 5000)
    );
    assert_eq!(bytes(&memory, "KV cache on cpu/per token"), Some(46_080));
    assert_eq!(host.outstanding_bytes(), 10 * 600);
}

#[test]
fn what_is_in_no_row_because_of_a_limit_is_counted_as_lost() {
    let _turn = turn();
    let (publisher, _subscriptions) = publish(Duration::from_hours(1));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(publisher)],
    })
    .unwrap();
    let before = loss::total(Lost::RowLimit);
    {
        let step = latency::Collector::install();
        // Deeper than a window keeps: two phases of ten.
        let mut phases: Vec<_> = (0..10).map(|_| step.phase("deeper")).collect();
        while phases.pop().is_some() {}
    }
    let host = memory::Collector::new(memory::HOST);
    for number in 0..=radiosonde_answers::memory::ENTRIES_MAX {
        host.pool(&format!("pool {number}")).allocated(1);
        if number % 256 == 0 {
            assert!(pump.flush(Duration::from_secs(10)));
        }
    }
    assert!(pump.flush(Duration::from_secs(10)));
    assert_eq!(loss::total(Lost::RowLimit) - before, 3);
}

/// A safetensors header of `count` tensors of 32 bytes each.
fn many_tensors(count: u64) -> Weights {
    let mut json = String::from("{");
    for number in 0..count {
        let _ = write!(
            json,
            "{}\"blk.{number}.w\":{{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[{},{}]}}",
            if number == 0 { "" } else { "," },
            number * 32,
            number * 32 + 32
        );
    }
    json.push('}');
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    let file_bytes = file.len() as u64 + count * 32;
    read_safetensors(file.as_slice(), file_bytes).unwrap()
}

#[test]
fn a_model_of_more_tensors_than_a_lane_holds_is_whole_in_the_rows() {
    const TENSORS: u64 = 40_000;
    let _turn = turn();
    let (publisher, subscriptions) = publish(Duration::from_hours(1));
    let updates = subscriptions.subscribe();
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(publisher)],
    })
    .unwrap();
    let before = loss::total(Lost::LaneFull);
    memory::Collector::new(memory::HOST).weights("many", &many_tensors(TENSORS));
    assert!(pump.flush(Duration::from_secs(30)));
    assert_eq!(loss::total(Lost::LaneFull) - before, 0);
    let rows = updates
        .try_iter()
        .find_map(|update| match update {
            AppEvent::MemoryUpdate(rows) => Some(rows),
            AppEvent::LatencyUpdate(_) => None,
        })
        .unwrap();
    let row = rows.iter().find(|row| row.path == "weights on cpu/many");
    let row = row.unwrap();
    assert_eq!(row.bytes, Some(TENSORS as i64 * 32));
    assert_eq!(row.detail.as_deref(), Some("40000 tensors"));
}
