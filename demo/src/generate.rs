//! One answer: prefill the prompt, then decode token by token.

use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{field::Empty, info_span};

use crate::cost;
use crate::cpu;
use crate::model::{KvCache, Model, ModelError};
use crate::observe;
use crate::sample::Sampler;
use crate::serve::Engine;
use crate::tokenizer::TextStream;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model said that it was done.
    Stop,
    /// The answer reached the most tokens it may have.
    Length,
}

impl Finish {
    /// The word that reports and spans use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What generating one answer came to.
#[derive(Debug)]
pub struct Generated {
    /// Tokens of the answer, without the marker that ended it.
    pub tokens: u32,
    /// Why it ended.
    pub finish: Finish,
    /// When the first token was there.
    pub first_token: Instant,
    /// From the first token to the end.
    pub decode: Duration,
    /// CPU time of this thread during `decode`.
    pub decode_cpu: Option<Duration>,
    /// Tokens computed during `decode`; one that ended the answer counts.
    pub decode_steps: u32,
    /// Bytes of keys and values at the end.
    pub kv_used_bytes: u64,
    /// Bytes set aside for keys and values at the end.
    pub kv_reserved_bytes: u64,
}

/// Answers `prompt` with at most `tokens_max` tokens, handing each piece of text to `on_text` as soon as its characters are
/// whole. `cost` measures what recording costs.
pub fn generate(
    engine: &Engine,
    sampler: &mut Sampler,
    prompt: &[u32],
    tokens_max: u32,
    cost: Option<&cost::Request>,
    on_text: &mut dyn FnMut(&str),
) -> Result<Generated, ModelError> {
    let Engine {
        label,
        model,
        tokenizer,
    } = engine;
    let span = info_span!(
        "generate",
        model = label.as_str(),
        prompt_tokens = prompt.len(),
        output_tokens = Empty,
        finish = Empty,
        thread.cpu.duration = Empty
    )
    .entered();
    let cpu_start = cpu::thread_time();
    let mut cache = model.cache();
    let mut next = {
        let _span = info_span!("prefill", tokens = prompt.len()).entered();
        step(model, sampler, prompt, &mut cache)?
    };
    let (first_token, first_token_cpu) = (Instant::now(), cpu::thread_time());
    let mut text = TextStream::default();
    let (mut tokens, mut decode_steps) = (0, 0);
    let finish = loop {
        if tokenizer.ends_answer(next) {
            break Finish::Stop;
        }
        tokens += 1;
        on_text(&text.push(tokenizer.token_bytes(next)));
        if tokens == tokens_max {
            break Finish::Length;
        }
        let _cost = cost.map(|cost| cost.step(tokens));
        let _span = info_span!("decode", index = tokens).entered();
        next = step(model, sampler, &[next], &mut cache)?;
        decode_steps += 1;
    };
    on_text(&text.finish());
    span.record("output_tokens", tokens);
    span.record("finish", finish.as_str());
    if let Some(cpu) = cpu::between(cpu_start, cpu::thread_time()) {
        // In nanoseconds, as radiosonde splits a span into on-CPU and off-CPU time by it.
        span.record("thread.cpu.duration", cpu.as_nanos() as u64);
    }
    Ok(Generated {
        tokens,
        finish,
        first_token,
        decode: first_token.elapsed(),
        decode_cpu: cpu::between(first_token_cpu, cpu::thread_time()),
        decode_steps,
        kv_used_bytes: cache.used_bytes(),
        kv_reserved_bytes: cache.reserved_bytes(),
    })
}

/// Runs the model over new tokens and draws the one that follows.
fn step(
    model: &Model,
    sampler: &mut Sampler,
    tokens: &[u32],
    cache: &mut KvCache,
) -> Result<u32, ModelError> {
    let _step = observe::step();
    let logits = model.forward(tokens, cache)?;
    let _phase = observe::phase("sampling");
    let _span = info_span!("sampling").entered();
    sampler.pick(&logits).ok_or(ModelError::NotFinite)
}
