//! Requests, workers and what became of each request.
//!
//! All requests are sent at once, so those beyond the number of workers wait: the queueing is real. A request's
//! span is opened by the client and ended by the worker that answers it.

use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use serde::Serialize;
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::cost;
use crate::cpu;
use crate::generate::{Finish, Generated, generate};
use crate::model::Model;
use crate::queue::{Queue, Taken};
use crate::sample::Sampler;
use crate::threads;
use crate::tokenizer::Tokenizer;

/// What is asked, over and over when there are more requests than prompts.
const PROMPTS: [&str; 8] = [
    "Tell me a two-sentence story about a robot who learns to paint.",
    "Why is the sky blue? Answer in one sentence.",
    "Name three animals that live in the sea.",
    "Explain what a weather balloon does, for a child.",
    "Write a short poem about the wind.",
    "What is the capital of France, and what is it known for?",
    "Give me one tip for writing clear code.",
    "How do you make a cup of tea?",
];

/// A model with the tokenizer that goes with it.
#[derive(Debug)]
pub struct Engine {
    /// What the model is called, with what a reader must know about its weights.
    pub label: String,
    /// The weights and the forward pass.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// How much to run.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests to send.
    pub requests: u32,
    /// Threads that answer them.
    pub workers: u32,
    /// Most tokens of an answer.
    pub tokens_max: u32,
    /// Seed of the sampling; each request adds its own number.
    pub seed: u64,
    /// Whether only every other token is recorded.
    pub alternate: bool,
}

/// Something that happened while running.
#[derive(Debug)]
pub enum Progress {
    /// A worker began to answer a request.
    Started {
        /// The request's number, from 1.
        request: u32,
        /// What was asked.
        prompt: &'static str,
    },
    /// A piece of an answer.
    Text {
        /// The request's number, from 1.
        request: u32,
        /// The piece: whole characters, perhaps none.
        text: String,
    },
    /// A request is done.
    Ended(Outcome),
}

/// What became of one request.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The request's number, from 1.
    pub request: u32,
    /// What was asked.
    pub prompt: &'static str,
    /// The answer.
    pub text: String,
    /// Why there is no answer, or only part of one.
    pub error: Option<String>,
    /// The worker that answered, from 1.
    pub worker: u32,
    /// Tokens of the prompt with its template.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
    /// Why the answer ended.
    pub finish: Option<Finish>,
    /// Seconds in the queue.
    pub queue_seconds: f64,
    /// Seconds from joining the queue to the first token.
    pub first_token_seconds: Option<f64>,
    /// Seconds from joining the queue to the end.
    pub total_seconds: f64,
    /// Tokens per second after the first one.
    pub tokens_per_second: Option<f64>,
    /// CPU seconds that the worker's thread spent on the request.
    pub cpu_seconds: Option<f64>,
    /// CPU milliseconds for each token after the first one.
    pub cpu_ms_per_token: Option<f64>,
    /// Bytes of keys and values at the end.
    pub kv_used_bytes: u64,
    /// Bytes set aside for keys and values at the end.
    pub kv_reserved_bytes: u64,
}

struct Job {
    request: u32,
    prompt: &'static str,
    span: Span,
    /// Open while the request waits in the queue.
    waiting: Span,
}

/// Sends the requests, has them answered, and returns the outcomes in order. `on_progress` is called on this
/// thread as things happen; its first error ends the run.
pub fn run<E: From<rayon::ThreadPoolBuildError>>(
    engine: &Engine,
    load: Load,
    mut on_progress: impl FnMut(Progress) -> Result<(), E>,
) -> Result<Vec<Outcome>, E> {
    let queue = Queue::new();
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let workers: Vec<_> = (1..=load.workers)
            .map(|worker| {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || work(engine, load, worker, queue, &sender))
            })
            .collect();
        drop(sender);
        for request in 1..=load.requests {
            queue.push(job(request));
        }
        queue.close();
        for progress in receiver {
            if let Progress::Ended(outcome) = &progress {
                outcomes.push(outcome.clone());
            }
            on_progress(progress)?;
        }
        for worker in workers {
            match worker.join() {
                Ok(worked) => worked?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), E>(())
    })?;
    outcomes.sort_by_key(|outcome| outcome.request);
    Ok(outcomes)
}

fn job(request: u32) -> Job {
    let span = info_span!(parent: None, "request", index = request, worker = Empty, error = Empty);
    Job {
        request,
        prompt: PROMPTS[(request as usize - 1) % PROMPTS.len()],
        waiting: info_span!(parent: &span, "queue"),
        span,
    }
}

/// Answers requests until there are none left or nobody listens.
fn work(
    engine: &Engine,
    load: Load,
    worker: u32,
    queue: &Queue<Job>,
    sender: &Sender<Progress>,
) -> Result<(), rayon::ThreadPoolBuildError> {
    let _pool = threads::own_pool()?;
    while let Some(mut taken) = queue.take() {
        // Ends the time in the queue.
        taken.item.waiting = Span::none();
        let span = taken.item.span.clone();
        let _in_request = span.enter();
        span.record("worker", worker);
        let outcome = answer(engine, load, worker, &taken, sender);
        if let Some(error) = &outcome.error {
            span.record("error", error.as_str());
        }
        if sender.send(Progress::Ended(outcome)).is_err() {
            break;
        }
    }
    Ok(())
}

fn answer(
    engine: &Engine,
    load: Load,
    worker: u32,
    taken: &Taken<Job>,
    sender: &Sender<Progress>,
) -> Outcome {
    let Job {
        request, prompt, ..
    } = taken.item;
    let cpu_start = cpu::thread_time();
    // Nobody listening is noticed when the request ends; until then the pieces are simply not shown.
    let _ = sender.send(Progress::Started { request, prompt });
    let tokens = {
        let _span = info_span!("tokenize", bytes = prompt.len()).entered();
        engine.tokenizer.chat(prompt)
    };
    let mut outcome = Outcome {
        request,
        prompt,
        text: String::new(),
        error: None,
        worker,
        prompt_tokens: tokens.as_ref().map_or(0, |tokens| tokens.len() as u32),
        output_tokens: 0,
        finish: None,
        queue_seconds: taken.waited.as_secs_f64(),
        first_token_seconds: None,
        total_seconds: 0.0,
        tokens_per_second: None,
        cpu_seconds: None,
        cpu_ms_per_token: None,
        kv_used_bytes: 0,
        kv_reserved_bytes: 0,
    };
    let cost = load.alternate.then(|| cost::Request::begin(request));
    let text = &mut outcome.text;
    let mut on_text = |piece: &str| {
        text.push_str(piece);
        let text = piece.to_owned();
        let _ = sender.send(Progress::Text { request, text });
    };
    let mut sampler = Sampler::new(load.seed.wrapping_add(u64::from(request)));
    let generated = tokens
        .map_err(|error| error.to_string())
        .and_then(|tokens| {
            generate(
                engine,
                &mut sampler,
                &tokens,
                load.tokens_max,
                cost.as_ref(),
                &mut on_text,
            )
            .map_err(|error| error.to_string())
        });
    match generated {
        Ok(generated) => outcome.fill(&generated, taken.entered),
        Err(error) => outcome.error = Some(error),
    }
    outcome.total_seconds = taken.entered.elapsed().as_secs_f64();
    outcome.cpu_seconds = cpu::between(cpu_start, cpu::thread_time()).map(|cpu| cpu.as_secs_f64());
    outcome
}

impl Outcome {
    fn fill(&mut self, generated: &Generated, entered: Instant) {
        self.output_tokens = generated.tokens;
        self.finish = Some(generated.finish);
        self.first_token_seconds = Some((generated.first_token - entered).as_secs_f64());
        self.kv_used_bytes = generated.kv_used_bytes;
        self.kv_reserved_bytes = generated.kv_reserved_bytes;
        if generated.decode_steps > 0 {
            let steps = f64::from(generated.decode_steps);
            self.tokens_per_second = Some(steps / generated.decode.as_secs_f64());
            self.cpu_ms_per_token = generated
                .decode_cpu
                .map(|cpu| cpu.as_secs_f64() * 1e3 / steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use candle_core::quantized::GgmlDType;
    use candle_core::quantized::gguf_file::Content;

    use super::*;
    use crate::model::{Config, tiny_gguf};

    #[derive(Debug)]
    struct Failed;

    impl From<rayon::ThreadPoolBuildError> for Failed {
        fn from(_: rayon::ThreadPoolBuildError) -> Self {
            Self
        }
    }

    fn engine() -> Engine {
        let mut file = Cursor::new(tiny_gguf(&Config::tiny(), 3, GgmlDType::Q8_0).unwrap());
        let header = Content::read(&mut file).unwrap();
        Engine {
            label: "tiny".to_owned(),
            tokenizer: Tokenizer::from_gguf(&header).unwrap(),
            model: Model::load(&header, &mut file).unwrap(),
        }
    }

    fn load(requests: u32, workers: u32) -> Load {
        Load {
            requests,
            workers,
            tokens_max: 5,
            seed: 1,
            alternate: false,
        }
    }

    #[test]
    fn answers_do_not_depend_on_the_number_of_workers() {
        let engine = engine();
        let answers = |workers| -> Vec<String> {
            let outcomes = run::<Failed>(&engine, load(10, workers), |_| Ok(())).unwrap();
            outcomes.into_iter().map(|outcome| outcome.text).collect()
        };
        let one = answers(1);
        assert_eq!(one.len(), 10);
        assert_eq!(one, answers(3));
    }

    #[test]
    fn every_request_is_accounted_for_in_order() {
        let mut streamed = vec![String::new(); 4];
        let outcomes = run::<Failed>(&engine(), load(4, 2), |progress| {
            if let Progress::Text { request, text } = progress {
                streamed[request as usize - 1].push_str(&text);
            }
            Ok(())
        })
        .unwrap();
        for (index, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.request as usize, index + 1);
            assert_eq!(outcome.error, None);
            assert_eq!(outcome.text, streamed[index]);
            assert!(outcome.output_tokens <= 5 && outcome.prompt_tokens > 20);
            let first = outcome.first_token_seconds.unwrap();
            assert!(outcome.queue_seconds <= first && first <= outcome.total_seconds);
            assert!(outcome.kv_used_bytes <= outcome.kv_reserved_bytes);
        }
        // One worker at a time: the last request waited at least as long as the first.
        assert!(outcomes[3].queue_seconds >= outcomes[0].queue_seconds);
    }

    #[test]
    fn a_listener_that_fails_ends_the_run() {
        let result = run::<Failed>(&engine(), load(50, 2), |_| Err(Failed));
        assert!(result.is_err());
    }
}
