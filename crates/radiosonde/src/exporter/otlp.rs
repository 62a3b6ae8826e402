//! OTLP to a collector, over HTTP or gRPC.
//!
//! [`Otlp::export`](Exporter::export) encodes, compresses and queues; a thread of its own sends. So a collector that
//! hangs delays nobody, and what it does not take waits in the [`spool`](super::spool), in order, until it is back,
//! in this process or the next.
//!
//! What happens to an answer (OpenTelemetry protocol specification, OTLP/HTTP response and OTLP/gRPC response):
//! - taken: forgotten; partly taken: the rejected records are counted under `Lost::Rejected` and never sent again;
//! - "try again" (429, 502, 503, 504, or no answer at all): sent again after a growing delay with full jitter, or when
//!   `Retry-After` says;
//! - anything else: counted under `Lost::Rejected`.

use std::{
    fmt,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    batch::Batch,
    loss::{self, Lost},
    metrics::snapshot::Snapshot,
    pump::deadline_in,
};

use super::{
    ExportError, Exporter,
    retry::Backoff,
    spool::{Payload, Spool, Waiting},
};
use crate::encode::otlp::{Encoder, Request, Signal};

mod config;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod http;
mod meter;
mod response;

pub use self::config::{Compression, OtlpConfig, OtlpError};
use self::{config::shown, meter::Meter};

/// How long one request may take, `OTEL_EXPORTER_OTLP_TIMEOUT`'s default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How long a flush waits for a destination that is there before what waits is made durable: it takes everything
/// within moments, and the disk is spared.
const FLUSH_PROMPT: Duration = Duration::from_millis(200);

/// How long dropping the exporter waits for a request that is on its way.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Taken.
    Delivered,
    /// Taken but for `rejected` records.
    Partial { rejected: u64, reason: String },
    /// Refused for good.
    Rejected { reason: String },
    /// To be tried again.
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// One way of sending a request. May block for the configured timeout.
trait Transport: Send {
    fn send(&mut self, signal: Signal, gzip: bool, body: &[u8]) -> Outcome;
}

/// Where the sender is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
    Ended,
}

#[derive(Debug)]
struct State {
    spool: Spool,
    /// Attempts that failed so far.
    failures: u64,
    /// No attempt before, unless a flush asks for one, and the destination did not ask for the wait.
    not_before: Option<Instant>,
    asked_to_wait: bool,
    flushing: bool,
    /// The last flush did not get everything delivered, and nothing was since.
    left_behind: bool,
    sender: Life,
    fault: Option<String>,
}

impl State {
    /// Whether nothing can be delivered by `deadline`, because the destination asked for a longer wait.
    fn is_sent_away(&self, deadline: Instant) -> bool {
        self.asked_to_wait && self.not_before.is_some_and(|at| at > deadline)
    }

    /// What went wrong since the last call, with the network and with the spool.
    fn take_fault(&mut self) -> Option<String> {
        match (self.fault.take(), self.spool.take_fault()) {
            (Some(network), Some(spool)) => Some(format!("{network}; {spool}")),
            (network, spool) => network.or(spool),
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is work for the sender.
    work: Condvar,
    /// The sender has settled or failed something, or has ended.
    settled: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends spans, logs, events and metrics as OTLP.
#[derive(Debug)]
pub struct Otlp {
    destination: String,
    encoder: Encoder,
    gzip: bool,
    timeout: Duration,
    shared: Arc<Shared>,
}

impl Otlp {
    /// Sends protobuf over HTTP.
    pub fn http(config: &OtlpConfig) -> Result<Self, OtlpError> {
        config.check()?;
        let transport = http::Http::new(config)?;
        Self::start(config, "http", config.gzip(), transport)
    }

    /// Sends over gRPC.
    #[cfg(feature = "otlp-grpc")]
    pub fn grpc(config: &OtlpConfig) -> Result<Self, OtlpError> {
        config.check()?;
        let transport = grpc::Grpc::new(config)?;
        // gRPC compresses by message: the transport does it.
        Self::start(config, "grpc", false, transport)
    }

    fn start(
        config: &OtlpConfig,
        protocol: &str,
        gzip: bool,
        transport: impl Transport + 'static,
    ) -> Result<Self, OtlpError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                spool: Spool::open(&config.spool, &config.spool_name(protocol)),
                failures: 0,
                not_before: None,
                asked_to_wait: false,
                flushing: false,
                left_behind: false,
                sender: Life::Running,
                fault: None,
            }),
            work: Condvar::new(),
            settled: Condvar::new(),
        });
        let destination = shown(&config.endpoint);
        let (first, last) = config.retry_delay;
        let sender = Sender {
            shared: Arc::clone(&shared),
            meter: Meter::new(protocol),
            transport,
            backoff: Backoff::new(first, last),
            destination: destination.clone(),
        };
        thread::Builder::new()
            .name("radiosonde-send".to_owned())
            .spawn(move || sender.run())
            .map_err(OtlpError::Thread)?;
        Ok(Self {
            destination,
            encoder: Encoder::new(config.request_bytes_max),
            gzip,
            timeout: config.timeout,
            shared,
        })
    }

    /// How much waits for the destination.
    pub fn waiting(&self) -> Waiting {
        self.shared.lock().spool.waiting()
    }

    fn queue(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut dyn FnMut(Request<'_>)),
    ) -> Result<(), ExportError> {
        let (shared, gzip) = (&self.shared, self.gzip);
        encode(&mut self.encoder, &mut |request| {
            let payload = payload(request, gzip);
            shared.lock().spool.push(payload);
            shared.work.notify_one();
        });
        let mut state = shared.lock();
        let fault = state.take_fault();
        drop(state);
        fault.map_or(Ok(()), |reason| Err(self.noticed(reason)))
    }

    /// Waits for the sender while `waits`, until `deadline`, or until it has ended.
    fn wait_while<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        waits: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while state.sender != Life::Ended
            && waits(&state)
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            state = wait(&self.shared.settled, state, left);
        }
        state
    }

    fn noticed(&self, reason: String) -> ExportError {
        ExportError::Noticed {
            destination: self.destination.clone(),
            reason,
        }
    }
}

/// The bit of a payload's tag that says that its body is compressed; the others are the signal.
const GZIP: u8 = 0x80;

fn payload(request: Request<'_>, gzip: bool) -> Payload {
    let plain = |tag| Payload {
        tag,
        records: request.records as u32,
        body: request.body.to_vec(),
    };
    let signal = request.signal as u8;
    if !gzip {
        return plain(signal);
    }
    let level = flate2::Compression::fast();
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(request.body.len() / 4), level);
    let compressed = encoder
        .write_all(request.body)
        .and_then(|()| encoder.finish());
    match compressed {
        Ok(body) => Payload {
            tag: signal | GZIP,
            records: request.records as u32,
            body,
        },
        // Writing to memory does not fail; if it did, plain bytes are as good.
        Err(_) => plain(signal),
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.queue(|encoder, send| encoder.batch(batch, send))
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.queue(|encoder, send| encoder.metrics(snapshot, send))
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.flush_by(deadline_in(self.timeout))
    }

    /// Waits until everything is delivered, an attempt fails, or one request's timeout or `deadline` has passed. What
    /// the destination does not take at once is made durable in the spool before it is waited for.
    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        let deadline = deadline.min(deadline_in(self.timeout));
        let mut state = self.shared.lock();
        let failures = state.failures;
        state.flushing = true;
        self.shared.work.notify_one();
        let waits = |state: &State| {
            !state.spool.is_empty() && state.failures == failures && !state.is_sent_away(deadline)
        };
        state = self.wait_while(state, deadline.min(deadline_in(FLUSH_PROMPT)), waits);
        if waits(&state) {
            state.spool.persist();
            state = self.wait_while(state, deadline, waits);
        }
        state.flushing = false;
        state.left_behind = !state.spool.is_empty();
        if !state.left_behind {
            return Ok(());
        }
        let in_memory = state.spool.persist();
        let waiting = state.spool.waiting().records;
        let why = state
            .take_fault()
            .unwrap_or_else(|| "no answer yet".to_owned());
        drop(state);
        let endangered = match in_memory {
            0 => String::new(),
            _ => format!(", {in_memory} of them in memory only"),
        };
        Err(self.noticed(format!("{why}; {waiting} records wait{endangered}")))
    }
}

fn wait<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    at_most: Duration,
) -> MutexGuard<'a, State> {
    condvar
        .wait_timeout(state, at_most)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

impl Drop for Otlp {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WAIT_MAX;
        let mut state = self.shared.lock();
        let failures = state.failures;
        // What waits while the destination is there is on its way; what waits for it to come back, and what a flush
        // waited for in vain, is not waited for.
        let left_behind = state.left_behind;
        if state.not_before.is_none() && !left_behind {
            state = self.wait_while(state, deadline, |state| {
                !state.spool.is_empty() && state.failures == failures
            });
        }
        if state.sender == Life::Running {
            state.sender = Life::Stopping;
        }
        self.shared.work.notify_one();
        state = self.wait_while(state, deadline, |state| {
            !(left_behind && state.spool.is_out())
        });
        // A request that is still on its way may yet arrive; if the process ends before, the next one sends it again.
        let lost = state.spool.persist();
        loss::count(Lost::ShutdownDeadline, lost);
        if state.sender == Life::Ended {
            state.spool.close();
        }
    }
}

/// The sending end of the queue.
struct Sender<T> {
    shared: Arc<Shared>,
    meter: Meter,
    transport: T,
    backoff: Backoff,
    destination: String,
}

impl<T: Transport> Sender<T> {
    fn run(mut self) {
        // What the client libraries log about our own sending is not telemetry to send.
        let _silence = radiosonde_core::silence();
        while let Some(payload) = self.next() {
            let outcome = self.send(&payload);
            self.settle(outcome, u64::from(payload.records));
        }
        self.shared.lock().sender = Life::Ended;
        self.shared.settled.notify_all();
    }

    /// The next payload when it is time to send it, or `None` at the end.
    fn next(&self) -> Option<Arc<Payload>> {
        let mut state = self.shared.lock();
        loop {
            if state.sender == Life::Stopping {
                return None;
            }
            let pause = state
                .not_before
                .map(|at| at.saturating_duration_since(Instant::now()));
            let pause =
                pause.filter(|pause| !pause.is_zero() && (state.asked_to_wait || !state.flushing));
            if pause.is_none()
                && let Some(payload) = state.spool.take()
            {
                return Some(payload);
            }
            state = match pause {
                Some(pause) => wait(&self.shared.work, state, pause),
                None => self
                    .shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn send(&mut self, payload: &Payload) -> Outcome {
        let signal = Signal::ALL
            .into_iter()
            .find(|&signal| signal as u8 == payload.tag & !GZIP);
        let Some(signal) = signal else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let gzip = payload.tag & GZIP != 0;
        let transport = &mut self.transport;
        self.meter.watch(signal, payload.records, || {
            catch_unwind(AssertUnwindSafe(|| {
                transport.send(signal, gzip, &payload.body)
            }))
            .unwrap_or_else(|_| Outcome::Unavailable {
                reason: "the client library panicked".to_owned(),
                retry_after: None,
            })
        })
    }

    fn settle(&mut self, outcome: Outcome, records: u64) {
        let mut state = self.shared.lock();
        if let Outcome::Unavailable {
            reason,
            retry_after,
        } = outcome
        {
            state.failures += 1;
            state.asked_to_wait = retry_after.is_some();
            state.not_before = Some(deadline_in(self.backoff.next(retry_after)));
            // One attempt a flush: the destination is away, waiting for it is the spool's business.
            state.flushing = false;
            state.spool.put_back();
            state.fault = Some(format!("{reason}; will be tried again"));
        } else {
            self.backoff.reset();
            state.not_before = None;
            state.asked_to_wait = false;
            state.left_behind = false;
            state.spool.done();
            let (rejected, reason) = match outcome {
                Outcome::Partial { rejected, reason } => (rejected, reason),
                Outcome::Rejected { reason } => (records, reason),
                Outcome::Delivered | Outcome::Unavailable { .. } => (0, String::new()),
            };
            if !reason.is_empty() {
                loss::count(Lost::Rejected, rejected.min(records));
                state.fault = Some(format!("refused {rejected} of {records} records: {reason}"));
            }
        }
        drop(state);
        self.shared.settled.notify_all();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
