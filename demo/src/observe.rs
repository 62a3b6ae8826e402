//! The one place where the demo meets radiosonde.
//!
//! Everything else in the demo is instrumented with plain `tracing` spans, as any program would be; what
//! tracing has no word for (a queue's depth, a cache's bytes, where the weights went) is reported through the
//! functions here. The span tree that a recording holds:
//!
//! ```text
//! request{index}                  from being queued to being answered; opened by the client, ended by a worker
//! ├─ queue                        from being queued to being taken by a worker
//! ├─ tokenize
//! └─ generate{model, prompt_tokens, output_tokens, finish}   the model's label says so where its weights are random
//!    ├─ prefill{tokens}
//!    │  ├─ embedding
//!    │  ├─ forward{tokens, position}
//!    │  │  └─ block{index} ...    one per layer
//!    │  │     ├─ attention_projections{part="qkv"}
//!    │  │     ├─ sdpa
//!    │  │     ├─ attention_projections{part="output"}
//!    │  │     └─ mlp
//!    │  ├─ output
//!    │  └─ sampling
//!    └─ decode{index} ...         one per token after the first, with the same parts
//! ```
//!
//! `embedding`, `forward`, `output` and `sampling` are the four phases of a step, `block` its layers, and
//! `attention_projections`, `sdpa` and `mlp` the phases that this model defines for itself.
//!
//! The same phases are timed by a latency collector, one step for each new token, so that the report can say where a
//! token's time goes on the average as well as where one request's went.

mod keep;

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use radiosonde::config::{Config, RawConfig, WhenFull};
use radiosonde::core::filter::{self, Filter};
use radiosonde::core::loss;
use radiosonde::encode::json::JsonEncoder;
use radiosonde::exporter::json_lines::{Buffering, JsonLines};
use radiosonde::exporter::sqlite::Sqlite;
use radiosonde::latency;
use radiosonde::memory::{Collector, HOST, MemoryEvent, ProcessMemory};
use radiosonde::redact::Redaction;
use radiosonde::rows::AppEvent;
use radiosonde::weights::Weights;
use tracing::info;

use crate::cost;
use crate::model::Footprint;
use crate::out::{DATABASE, LINES, Out};
use crate::report::Identity;
use crate::say;

pub use keep::{Keep, Observed};

/// How long the last flush may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

/// What the demo is called where programs are told apart.
pub const SERVICE: &str = "radiosonde-demo";

/// How long lines of `events.jsonl` may wait in memory: what a killed demo loses at most, as of the database.
const LINES_INTERVAL: Duration = Duration::from_secs(1);

/// A recording in progress.
pub struct Observation {
    guard: radiosonde::Guard,
    keep: Keep,
    process: ProcessMemory,
}

/// Whether the configuration has anything recorded, or what is wrong with it. It is asked before anything is fetched, made or
/// replaced.
pub fn is_on() -> anyhow::Result<bool> {
    let config = Config::load(RawConfig::default())?;
    if !config.recording.enabled {
        let source = config.source("recording.enabled");
        say(&format!(
            "nothing is recorded: recording.enabled is false ({source})"
        ));
    }
    Ok(config.recording.enabled && radiosonde::core::COMPILED_IN)
}

/// Starts recording: into memory for the report, with `out` into `events.jsonl` and `telemetry.sqlite` there, and else
/// into the file `lines` where one is wanted.
pub fn start(
    out: Option<&Out>,
    lines: Option<&File>,
    random_weights: bool,
) -> anyhow::Result<Observation> {
    let keep = Keep::default();
    let mut builder = radiosonde::builder()
        .service_name(SERVICE)
        .resource_attribute("demo.random_weights", random_weights)
        // The demo's own progress and report are what a reader is here for.
        .console(false)
        // The recordings are to be complete, even where the model is faster than a disk.
        .when_full(WhenFull::Wait)
        .handle_signals(true)
        .exporter(keep.clone());
    if let Some(out) = out {
        let (lines, database) = (out.path(LINES), out.path(DATABASE));
        builder = builder
            .exporter(buffered(JsonLines::open(&lines, encoder())?))
            .exporter(Sqlite::open(&database, Redaction::default())?);
    } else if let Some(lines) = lines {
        let lines = JsonLines::to_writer(lines.try_clone()?, "a temporary file", encoder());
        builder = builder.exporter(buffered(lines));
    }
    let guard = builder.init()?;
    Ok(Observation {
        guard,
        keep,
        process: ProcessMemory::baseline(),
    })
}

fn encoder() -> JsonEncoder {
    JsonEncoder::new(Redaction::default())
}

fn buffered(lines: JsonLines) -> JsonLines {
    lines.with_buffering(Buffering {
        interval: LINES_INTERVAL,
        ..Buffering::default()
    })
}

impl Observation {
    /// Ends the recording and says what it saw.
    pub fn finish(self) -> Observed {
        // What is resident now, for the account of memory.
        self.process.sample();
        let updates = self.guard.updates();
        let delivered = self.guard.flush(FLUSH_TIMEOUT);
        let (mut latency, mut memory) = (Vec::new(), Vec::new());
        for update in updates.iter().flat_map(Receiver::try_iter) {
            match update {
                AppEvent::LatencyUpdate(rows) => latency = rows.to_vec(),
                AppEvent::MemoryUpdate(rows) => memory = rows.to_vec(),
            }
        }
        drop(updates);
        let cost = cost::so_far();
        let sample_ratio = self.guard.config().sample_ratio();
        // The files are complete when this returns.
        let delivered = self.guard.shutdown(FLUSH_TIMEOUT) && delivered;
        Observed {
            sample_ratio,
            latency,
            memory,
            cost,
            ..self.keep.observed(delivered, &loss::report())
        }
    }
}

fn host() -> &'static Collector {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    COLLECTOR.get_or_init(|| Collector::new(HOST))
}

/// Records from now on, or does not.
pub fn record(on: bool) {
    filter::set(Filter::parse(if on { "info" } else { "off" }).unwrap_or_default());
}

/// Waits until everything recorded so far was handed on.
pub fn settle() {
    // What was not in this time is handed on later, and is in the next request's cost.
    let _ = radiosonde::flush(FLUSH_TIMEOUT);
}

/// Begins the step that makes one new token, until the guard is dropped.
pub fn step() -> latency::Collector {
    latency::Collector::install()
}

/// Times a phase of the current step, until the guard is dropped.
pub fn phase(name: &str) -> latency::Phase {
    latency::phase(name)
}

/// Times a layer of the current step, until the guard is dropped.
pub fn block(index: usize) -> latency::Phase {
    latency::block(index)
}

/// A request joined the queue, which now holds `depth`.
pub fn queue_entered(depth: usize) {
    info!(name: "queue.entered", target: "radiosonde_demo::queue", queue = "requests", depth);
}

/// A worker took a request after `waited`, leaving `depth` behind it.
pub fn queue_left(depth: usize, waited: Duration) {
    info!(
        name: "queue.left",
        target: "radiosonde_demo::queue",
        queue = "requests",
        depth,
        waited_us = waited.as_micros() as u64
    );
}

static KV_BYTES: AtomicI64 = AtomicI64::new(0);
static KV_TOKENS: AtomicI64 = AtomicI64::new(0);

/// The KV caches of all sequences hold this much more, or less when a sequence ends.
pub fn kv_cache_changed(bytes: i64, tokens: i64) {
    let bytes = KV_BYTES.fetch_add(bytes, Relaxed) + bytes;
    let tokens = KV_TOKENS.fetch_add(tokens, Relaxed) + tokens;
    host().kv_cache(bytes.max(0) as u64, tokens.max(0) as u64);
}

/// The weights are in memory. Those of a file are told by its header, others by what was loaded.
pub fn weights_loaded(identity: &Identity, footprint: &Footprint) {
    if !identity.random_weights
        && let Ok(weights) = Weights::open(Path::new(&identity.source))
    {
        host().weights(&identity.label, &weights);
        return;
    }
    for tensor in &footprint.tensors {
        radiosonde::core::record(&MemoryEvent {
            kind: "tensor",
            device: HOST,
            component: &identity.label,
            tensor: Some(&tensor.name),
            tensor_bytes: Some(tensor.bytes),
            ..MemoryEvent::default()
        });
    }
}
