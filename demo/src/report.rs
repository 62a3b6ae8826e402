//! What a run came to: one document, the same for people, for programs and for `report.json`.
//!
//! Numbers that were not measured are absent (`null`), never zero. Durations are in seconds and sizes in bytes
//! unless the name says otherwise.

mod text;

use serde::Serialize;

use crate::model::{Footprint, Model};
use crate::observe::Observed;
use crate::serve::{Load, Outcome};

/// Version of the document's shape; a field may be added without changing it.
const SCHEMA: &str = "radiosonde.demo.report/1";

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which shape this document has.
    pub schema: &'static str,
    /// What answered.
    pub model: ModelReport,
    /// What was asked for.
    pub settings: Settings,
    /// Each request, in order.
    pub requests: Vec<Outcome>,
    /// The run as a whole.
    pub totals: Totals,
    /// What radiosonde saw of it; absent where nothing was recorded.
    pub observed: Option<Observed>,
}

/// The model that answered.
#[derive(Debug, Clone, Serialize)]
pub struct ModelReport {
    /// Its name, with what a reader must know about its weights.
    pub label: String,
    /// Whether the weights are random, so that the text means nothing.
    pub random_weights: bool,
    /// Where the weights came from: a path, or how they were made.
    pub source: String,
    /// Transformer layers.
    pub blocks: usize,
    /// Values in a token's hidden state.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Bytes of the weights as stored.
    pub weights_bytes: u64,
    /// The weights by what they are for; the bytes sum to `weights_bytes`.
    pub weights: Vec<WeightsPart>,
    /// Bytes that one token adds to the KV cache.
    pub kv_bytes_per_token: u64,
}

/// The weights of one part of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeightsPart {
    /// `embedding`, `attention`, `mlp`, `norms` or `output`.
    pub part: &'static str,
    /// How its largest tensors are stored.
    pub encoding: String,
    /// Tensors in it.
    pub tensors: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Requests sent.
    pub requests: u32,
    /// Threads that answered.
    pub workers: u32,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Seed of the sampling.
    pub seed: u64,
    /// Whether radiosonde watched: neither `--recording off` nor the configuration said no.
    pub recording: bool,
}

/// The run as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// From the first request sent to the last one answered.
    pub wall_seconds: f64,
    /// Requests that ended with an error.
    pub failed: usize,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Tokens generated per second of the run, by all workers together.
    pub tokens_per_second: f64,
    /// CPU milliseconds for each decoded token: the median over the requests.
    pub cpu_ms_per_token_median: Option<f64>,
    /// Most bytes that one sequence's KV cache held.
    pub kv_used_bytes_max: u64,
}

/// What is known about the model besides its dimensions.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name, with what a reader must know about its weights.
    pub label: String,
    /// Whether the weights are random.
    pub random_weights: bool,
    /// Where the weights came from.
    pub source: String,
}

impl Report {
    /// Puts the report together.
    pub fn new(
        identity: &Identity,
        model: &Model,
        load: Load,
        requests: Vec<Outcome>,
        wall_seconds: f64,
        observed: Option<Observed>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            model: model_report(identity, model),
            settings: Settings {
                requests: load.requests,
                workers: load.workers,
                max_tokens: load.tokens_max,
                seed: load.seed,
                recording: observed.is_some(),
            },
            totals: totals(&requests, wall_seconds),
            requests,
            observed,
        }
    }
}

fn model_report(identity: &Identity, model: &Model) -> ModelReport {
    let config = model.config();
    ModelReport {
        label: identity.label.clone(),
        random_weights: identity.random_weights,
        source: identity.source.clone(),
        blocks: config.blocks,
        width: config.width,
        heads: config.heads,
        kv_heads: config.kv_heads,
        vocabulary: config.vocabulary,
        weights_bytes: model.footprint().bytes,
        weights: weights_by_part(model.footprint()),
        kv_bytes_per_token: config.kv_bytes_per_token(),
    }
}

fn totals(requests: &[Outcome], wall_seconds: f64) -> Totals {
    let output_tokens = requests
        .iter()
        .map(|one| u64::from(one.output_tokens))
        .sum();
    let cpu = requests
        .iter()
        .filter_map(|one| one.cpu_ms_per_token)
        .collect();
    Totals {
        wall_seconds,
        failed: requests.iter().filter(|one| one.error.is_some()).count(),
        output_tokens,
        tokens_per_second: output_tokens as f64 / wall_seconds.max(f64::MIN_POSITIVE),
        cpu_ms_per_token_median: median(cpu),
        kv_used_bytes_max: requests
            .iter()
            .map(|one| one.kv_used_bytes)
            .max()
            .unwrap_or(0),
    }
}

/// The middle value, or the mean of the middle two; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Groups tensors by what GGUF's names say they are for, largest part first.
fn weights_by_part(footprint: &Footprint) -> Vec<WeightsPart> {
    let mut parts: Vec<WeightsPart> = Vec::new();
    let mut rows: Vec<_> = footprint.tensors.iter().collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    for row in rows {
        let part = part_of(&row.name);
        match parts.iter_mut().find(|known| known.part == part) {
            Some(known) => {
                known.tensors += 1;
                known.bytes += row.bytes;
            }
            None => parts.push(WeightsPart {
                part,
                encoding: row.encoding.clone(),
                tensors: 1,
                bytes: row.bytes,
            }),
        }
    }
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.part.cmp(b.part)));
    parts
}

fn part_of(name: &str) -> &'static str {
    let last = name.rsplit('.').nth(1).unwrap_or(name);
    match last {
        _ if last.ends_with("norm") => "norms",
        _ if last.starts_with("attn_") => "attention",
        _ if last.starts_with("ffn_") => "mlp",
        "output" => "output",
        _ => "embedding",
    }
}

#[cfg(test)]
mod tests;
