//! Asks targets for their metrics, again and again: whatever answers Prometheus' text or OpenMetrics, such as vLLM, SGLang,
//! Triton and DCGM's exporter.
//!
//! Invariants: a target that hangs, is huge or answers nonsense costs bounded memory and time, and no other target anything:
//! what answers take is of the memory that all requests share, and one is decoded after the other, of so many samples at most;
//! a redirect is not followed, so that a target cannot send us elsewhere; every failure is noted with its reason in the
//! [`ledger`](super::Ledger), and as the reading `up` = 0.

mod target;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io::{self, Read},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch, task::spawn_blocking, time::sleep};

pub use self::target::{Target, TargetError};
use super::{
    Intake, Outcome,
    body::{STEP_BYTES, Share},
    decode::{
        Counts, Signal,
        exposition::{self, Form, Origin, Scraped},
    },
    ledger::Sender,
    now_unix_ns,
};

/// Most bytes of an answer. A large engine's are half a megabyte.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most samples of an answer, which are counted before any is read. A large engine's are some thousands.
const SAMPLES_MAX: usize = 50_000;
/// What is asked for: OpenMetrics where there is a choice, for its exemplars and starts.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// By how much of its interval each scrape is moved at most, so that targets are not all asked at once.
const JITTER: f64 = 0.05;

/// Why a scrape brought nothing, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    reason: String,
    mend: &'static str,
}

/// An answer.
struct Answer {
    form: Form,
    text: Vec<u8>,
    /// What it takes of the memory.
    _share: Share,
}

/// Asks a target until the server stops.
pub(crate) async fn run(intake: Arc<Intake>, target: Target, mut stopping: watch::Receiver<bool>) {
    let target = Arc::new(target);
    // The first soon, so that whoever starts a collector sees at once whether it works.
    let mut pause = target
        .interval()
        .min(Duration::from_secs(1))
        .mul_f64(random());
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.wait_for(|stops| *stops) => return,
        }
        let began = Instant::now();
        once(&intake, &target).await;
        let jitter = 1.0 + JITTER * (2.0 * random() - 1.0);
        pause = target
            .interval()
            .mul_f64(jitter)
            .saturating_sub(began.elapsed());
    }
}

/// From 0 up to 1.
fn random() -> f64 {
    // Its keys are random, so what it makes of nothing is too.
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Asks once, and keeps what was answered.
pub(super) async fn once(intake: &Arc<Intake>, target: &Arc<Target>) {
    let outcome = asked_and_kept(intake, target).await.unwrap_or_else(|_| {
        Err(Failure {
            reason: "reading the answer failed".to_owned(),
            mend: "report this as a fault of Radiosonde",
        })
    });
    let sender = Sender {
        peer: target.instance().to_owned(),
        protocol: "scrape",
        signal: Signal::Metrics.name(),
        client: super::ledger::client(target.job()),
    };
    let noted = match &outcome {
        Ok((counts, outcome)) => {
            intake.count(&sender, *counts, outcome);
            Ok(counts.points)
        }
        Err(failure) => {
            intake.ledger.sent(&sender, 0, 1);
            intake
                .ledger
                .refused(&sender, &failure.reason, failure.mend, 1);
            intake
                .received
                .send_modify(|received| received.refused += 1);
            Err(format!("{}; {}", failure.reason, failure.mend))
        }
    };
    intake.ledger.scraped(target, noted);
}

/// Fails where what ran was ended by a panic.
async fn asked_and_kept(
    intake: &Arc<Intake>,
    target: &Arc<Target>,
) -> Result<Result<(Counts, Outcome), Failure>, tokio::task::JoinError> {
    let (asked, share, runtime) = (Arc::clone(target), intake.share(), Handle::current());
    let began = Instant::now();
    let answer = spawn_blocking(move || ask(&asked, share, &runtime)).await?;
    let duration_s = began.elapsed().as_secs_f64();
    // Never closed. Who waits has its answer already, and is not asked again meanwhile.
    let place = Arc::clone(&intake.scraped).acquire_owned().await;
    let (taker, asked) = (Arc::clone(intake), Arc::clone(target));
    spawn_blocking(move || {
        let kept = taker.keep_scrape(&asked, answer, duration_s);
        drop(place);
        kept
    })
    .await
}

fn ask(target: &Target, mut share: Share, runtime: &Handle) -> Result<Answer, Failure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(target.timeout()))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("sonde/", env!("CARGO_PKG_VERSION")))
        // A target is asked itself, whatever proxy the environment has for the world.
        .proxy(None)
        .build()
        .into();
    let response = agent
        .get(target.url())
        .header("accept", ACCEPT)
        .header(
            "x-prometheus-scrape-timeout-seconds",
            target.timeout().as_secs_f64().to_string(),
        )
        .call()
        .map_err(failure)?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(status));
    }
    let kind = response.headers().get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let form = if kind
        .trim_start()
        .starts_with("application/openmetrics-text")
    {
        Form::OpenMetrics
    } else {
        Form::Prometheus
    };
    let mut body = response.into_body();
    if body
        .content_length()
        .is_some_and(|bytes| bytes > ANSWER_BYTES_MAX as u64)
    {
        return Err(too_large());
    }
    let text = gather(body.as_reader(), &mut share, runtime)?;
    Ok(Answer {
        form,
        text,
        _share: share,
    })
}

/// Reads an answer whole, within its bound, and no faster than there is memory for it.
fn gather(mut body: impl Read, share: &mut Share, runtime: &Handle) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    loop {
        // Twice as much each time, but never more than one byte too many, which tells what is too large.
        let step = text
            .len()
            .max(STEP_BYTES)
            .min(ANSWER_BYTES_MAX + 1 - text.len());
        runtime
            .block_on(share.grow(step))
            .map_err(|refusal| Failure {
                reason: refusal.reason().to_owned(),
                mend: "let fewer targets answer at once, or let them show fewer series",
            })?;
        text.reserve_exact(step);
        let read = body.by_ref().take(step as u64).read_to_end(&mut text);
        let read = read.map_err(|error| failure(error.into()))?;
        if text.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        if read < step {
            return Ok(text);
        }
    }
}

fn too_large() -> Failure {
    failure(ureq::Error::BodyExceedsLimit(ANSWER_BYTES_MAX as u64))
}

/// Whether an answer has more samples than may be: its lines that say something are counted, and nothing is made of them.
fn has_too_many(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n');
    let samples = lines.filter(|line| {
        let first = line.trim_ascii_start().first();
        first.is_some_and(|byte| *byte != b'#')
    });
    samples.take(SAMPLES_MAX + 1).count() > SAMPLES_MAX
}

fn refused(status: ureq::http::StatusCode) -> Failure {
    let mend = match status.as_u16() {
        300..=399 => "name the address itself: redirects are not followed",
        401 | 403 => {
            "let the collector read the metrics without a password, or put both behind one proxy"
        }
        404 => "name the path, which usually is /metrics",
        _ => "look at the target's own log",
    };
    Failure {
        reason: format!("the target answered {status}"),
        mend,
    }
}

fn failure(error: ureq::Error) -> Failure {
    let (reason, mend) = match error {
        ureq::Error::Timeout(_) => (
            "the target did not answer in time".to_owned(),
            "give it more with `timeout=`, or ask a smaller page",
        ),
        ureq::Error::BodyExceedsLimit(bytes) => (
            format!("the answer has more than {bytes} bytes"),
            "let the target show fewer series",
        ),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => (
            "nothing listens there".to_owned(),
            "start the target, or name the port at which it shows its metrics",
        ),
        other => (
            other.to_string(),
            "look whether the target runs, and whether it can be reached",
        ),
    };
    Failure { reason, mend }
}

impl Intake {
    /// Writes what a target answered, or that it did not. Where it did not, what is given is why.
    fn keep_scrape(
        &self,
        target: &Target,
        answer: Result<Answer, Failure>,
        duration_s: f64,
    ) -> Result<(Counts, Outcome), Failure> {
        let origin = Origin {
            job: target.job(),
            instance: target.instance(),
        };
        let scraped = |is_up| Scraped { is_up, duration_s };
        let read = |form, text: &[u8], is_up| {
            let (scraped, rules) = (scraped(is_up), &self.rules);
            exposition::read(&origin, form, text, scraped, now_unix_ns(), rules)
        };
        let unreadable = |error| Failure {
            reason: match error {
                super::decode::Unreadable::Malformed(what) => {
                    format!("the answer is no metrics: {what}")
                }
                super::decode::Unreadable::TooMuch(what) => {
                    format!("the answer is too much: {what}")
                }
            },
            mend: "name the path at which the target shows Prometheus' text format or OpenMetrics",
        };
        let (decoded, failed) = match answer {
            Ok(answer) if has_too_many(&answer.text) => {
                let failure = Failure {
                    reason: format!("the answer has more than {SAMPLES_MAX} samples"),
                    mend: "let the target show fewer series",
                };
                drop(answer);
                (read(Form::Prometheus, b"", false), Some(failure))
            }
            Ok(answer) => match read(answer.form, &answer.text, true) {
                Ok((_, counts, rejected)) if counts.points <= NOTED && rejected.items > 0 => {
                    let place = rejected.first.map_or_else(String::new, |(_, place)| place);
                    let what = format!("nothing in it is a sample ({place})");
                    let error = super::decode::Unreadable::Malformed(what);
                    (read(Form::Prometheus, b"", false), Some(unreadable(error)))
                }
                Ok(decoded) => (Ok(decoded), None),
                Err(error) => (read(Form::Prometheus, b"", false), Some(unreadable(error))),
            },
            Err(failure) => (read(Form::Prometheus, b"", false), Some(failure)),
        };
        let (rows, counts, rejected) = decoded.map_err(unreadable)?;
        self.store.append(rows).map_err(|error| Failure {
            reason: format!("the answer could not be written: {error}"),
            mend: "look at the data folder: the disk may be full",
        })?;
        let outcome = Outcome {
            accepted: counts.points,
            rejected,
            ..Outcome::default()
        };
        failed.map_or(Ok((counts, outcome)), Err)
    }
}

/// Readings that are noted of every scrape.
const NOTED: u64 = 3;
