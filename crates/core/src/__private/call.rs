//! What `#[instrument]` measures: one [`CallSite`] a function, one [`Call`] each time it runs.
//!
//! Counters and duration come from every call, whatever the filter says of the span, so that they are true when spans
//! are sampled or off.

use std::{sync::OnceLock, thread, time::Instant};

use tracing::{Instrument as _, Span};

use crate::{
    clock, lane,
    metrics::{self, Counter, Histogram},
};

#[cfg_attr(not(feature = "recording"), path = "call/guard_off.rs")]
mod guard;

pub use guard::{Guard, guard};

/// The error type of a call that panicked.
const PANIC: &str = "panic";
/// The error type of a future that was dropped before it was done.
const CANCELLED: &str = "cancelled";
/// The field for the processor time, in nanoseconds, that a call took on its thread. Latency accounts read it.
pub const CPU_FIELD: &str = "thread.cpu.duration";

/// An annotated function.
#[derive(Debug)]
pub struct CallSite {
    /// Gives the path of a function inside of it.
    inside: fn() -> &'static str,
    /// Its module's path and its name.
    name: &'static str,
    handles: OnceLock<Handles>,
}

#[derive(Debug)]
struct Handles {
    calls: Counter,
    duration: Histogram,
}

impl CallSite {
    /// The callsite of the function of that name; `inside` gives the path of a function inside of it.
    pub const fn new(inside: fn() -> &'static str, name: &'static str) -> Self {
        Self {
            inside,
            name,
            handles: OnceLock::new(),
        }
    }

    /// The function's path, with the type that it is a method of. What the compiler calls types is not promised; where
    /// it does not end in the function's name, the module's path stands before that.
    fn function(&self) -> String {
        let path = (self.inside)();
        let path = path.rsplit_once("::").map_or(path, |(path, _)| path);
        // Bodies of annotated functions are closures, which are in nobody's source.
        let path = path.replace("::{{closure}}", "");
        let last = |path: &str| path.rsplit("::").next().map(str::to_owned);
        if last(&path) == last(self.name) {
            path
        } else {
            self.name.to_owned()
        }
    }

    fn handles(&self) -> &Handles {
        self.handles.get_or_init(|| {
            let function = self.function();
            let labels = [("function", function.as_str())];
            Handles {
                calls: metrics::counter("function.calls")
                    .unit("{call}")
                    .description("Calls of functions with `#[instrument]`.")
                    .with(&labels),
                duration: metrics::histogram("function.duration")
                    .unit("s")
                    .description("How long functions with `#[instrument]` ran.")
                    .with(&labels),
            }
        })
    }

    /// Seldom enough that the handle is looked up each time.
    #[cold]
    fn failed(&self, error_type: &str) {
        metrics::counter("function.errors")
            .unit("{call}")
            .description("Calls of functions with `#[instrument]` that returned `Err`, panicked or were cancelled.")
            .with(&[("function", self.function().as_str()), ("error.type", error_type)])
            .increment();
    }

    fn start<'s>(
        &'static self,
        span: &'s Span,
        cpu: bool,
        unseen: Ended,
        log: fn(Ended),
    ) -> Call<'s> {
        let recording = lane::recording();
        Call {
            site: recording.then_some(self),
            span,
            started: Instant::now(),
            cpu_started_ns: if cpu && recording {
                clock::thread_cpu_ns()
            } else {
                None
            },
            was_panicking: thread::panicking(),
            unseen,
            log,
            took: None,
            seen: None,
        }
    }
}

/// The path of the type of `function`: that of the function itself.
pub fn path_of<F: Fn() -> &'static str>(_: F) -> &'static str {
    std::any::type_name::<F>()
}

/// How a call ended, as far as that is told without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It gave something back.
    Returned,
    /// Its future was dropped before it was done.
    Cancelled,
    /// It returned an error of this type, or panicked.
    Failed(&'static str),
}

impl Ended {
    const fn error_type(self) -> Option<&'static str> {
        match self {
            Self::Returned => None,
            Self::Cancelled => Some(CANCELLED),
            Self::Failed(error_type) => Some(error_type),
        }
    }
}

/// A call that is running. Dropped before [`end`](Self::end) its thread panics, or nobody saw its result.
#[derive(Debug)]
struct Call<'s> {
    /// `None` where nothing is recorded.
    site: Option<&'static CallSite>,
    span: &'s Span,
    started: Instant,
    cpu_started_ns: Option<u64>,
    was_panicking: bool,
    /// What it is to be dropped before the end without a panic.
    unseen: Ended,
    /// Logs an end whose result was not seen.
    log: fn(Ended),
    took: Option<Took>,
    /// What the result says, once it was seen.
    seen: Option<Ended>,
}

/// What a call took.
#[derive(Debug)]
struct Took {
    seconds: f64,
    cpu_ns: Option<u64>,
}

impl Call<'_> {
    /// `outcome` logs the result and says which error it is.
    fn end(mut self, outcome: impl FnOnce() -> Option<&'static str>) {
        // Before the log, which is not the function's own work.
        self.took = Some(self.took());
        self.seen = Some(outcome().map_or(Ended::Returned, Ended::Failed));
    }

    fn took(&self) -> Took {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu_ns = self
            .cpu_started_ns
            .and_then(|started_ns| Some(clock::thread_cpu_ns()?.saturating_sub(started_ns)));
        Took { seconds, cpu_ns }
    }

    fn log_unseen(&self) -> Ended {
        let ended = if thread::panicking() && !self.was_panicking {
            Ended::Failed(PANIC)
        } else {
            self.unseen
        };
        (self.log)(ended);
        ended
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let took = self.took.take().unwrap_or_else(|| self.took());
        let ended = self.seen.unwrap_or_else(|| self.log_unseen());
        let Some(site) = self.site else { return };
        if let Some(cpu_ns) = took.cpu_ns {
            self.span.record(CPU_FIELD, cpu_ns);
        }
        let handles = site.handles();
        handles.calls.increment();
        let Some(error_type) = ended.error_type() else {
            return handles.duration.record(took.seconds);
        };
        handles.duration.record_failed(took.seconds);
        site.failed(error_type);
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
    }
}

/// Runs `body` inside `span` as a call of `site`. `outcome` logs the result and says which error it is; `log` logs an
/// end without a result. For a body that must stay where it is there is [`guard()`].
#[inline]
pub fn call<R>(
    site: &'static CallSite,
    span: &Span,
    cpu: bool,
    log: fn(Ended),
    body: impl FnOnce() -> R,
    outcome: impl FnOnce(&R) -> Option<&'static str>,
) -> R {
    if !super::RECORDING {
        return body();
    }
    let call = guard(site, span, cpu, log);
    let result = body();
    call.end(&result, outcome);
    result
}

/// The same for a future. The span is entered whenever the future is polled; the call lasts from the first poll to
/// the result.
pub async fn call_future<F: Future>(
    site: &'static CallSite,
    span: Span,
    log: fn(Ended),
    future: F,
    outcome: impl FnOnce(&F::Output) -> Option<&'static str>,
) -> F::Output {
    if !super::RECORDING {
        return future.await;
    }
    let own = span.clone();
    async move {
        let call = site.start(&own, false, Ended::Cancelled, log);
        let result = future.await;
        call.end(|| outcome(&result));
        result
    }
    .instrument(span)
    .await
}

/// A value of a type that is only needed for inference, behind a condition that is never true.
pub fn never<T>() -> T {
    std::process::abort()
}

/// A result, to be asked whether it is an error. `(&&Outcome(&result)).__rs_error_type()` finds [`Fallible`] for a
/// `Result`, under whatever name its type goes, and [`Infallible`] for anything else.
#[derive(Debug)]
pub struct Outcome<'r, R>(pub &'r R);

/// What may have failed.
pub trait Fallible {
    /// The error's type, where there is an error.
    fn __rs_error_type(&self) -> Option<&'static str>;
}

/// What cannot have failed.
pub trait Infallible {
    /// No error.
    fn __rs_error_type(&self) -> Option<&'static str>;
}

impl<T, E> Fallible for &Outcome<'_, Result<T, E>> {
    #[inline]
    fn __rs_error_type(&self) -> Option<&'static str> {
        self.0.as_ref().err().map(|_| std::any::type_name::<E>())
    }
}

impl<R> Infallible for Outcome<'_, R> {
    #[inline]
    fn __rs_error_type(&self) -> Option<&'static str> {
        None
    }
}
