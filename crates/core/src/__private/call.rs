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

/// The error type of a call that panicked.
const PANIC: &str = "panic";
/// The error type of a future that was dropped before it was done.
const CANCELLED: &str = "cancelled";
/// The field for the processor time, in nanoseconds, that a call took on its thread. Latency accounts read it.
pub const CPU_FIELD: &str = "thread.cpu.duration";

/// An annotated function.
#[derive(Debug)]
pub struct CallSite {
    function: &'static str,
    handles: OnceLock<Handles>,
}

#[derive(Debug)]
struct Handles {
    calls: Counter,
    duration: Histogram,
}

impl CallSite {
    /// The callsite of the function with this path.
    pub const fn new(function: &'static str) -> Self {
        Self {
            function,
            handles: OnceLock::new(),
        }
    }

    fn handles(&self) -> &Handles {
        self.handles.get_or_init(|| Handles {
            calls: metrics::counter("function.calls")
                .unit("{call}")
                .description("Calls of functions with `#[instrument]`.")
                .with(&[("function", self.function)]),
            duration: metrics::histogram("function.duration")
                .unit("s")
                .description("How long functions with `#[instrument]` ran.")
                .with(&[("function", self.function)]),
        })
    }

    /// Seldom enough that the handle is looked up each time.
    #[cold]
    fn failed(&self, error_type: &str) {
        metrics::counter("function.errors")
            .unit("{call}")
            .description("Calls of functions with `#[instrument]` that returned `Err`, panicked or were cancelled.")
            .with(&[("function", self.function), ("error.type", error_type)])
            .increment();
    }

    fn start<'s>(&'static self, span: &'s Span, cpu: bool) -> Call<'s> {
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
            error_type: None,
            done: false,
        }
    }
}

/// A call that is running. Dropped before [`end`](Self::end) it was cancelled, or its thread panics.
struct Call<'s> {
    /// `None` where nothing is recorded.
    site: Option<&'static CallSite>,
    span: &'s Span,
    started: Instant,
    cpu_started_ns: Option<u64>,
    was_panicking: bool,
    error_type: Option<&'static str>,
    done: bool,
}

impl Call<'_> {
    fn end(mut self, error_type: Option<&'static str>) {
        self.done = true;
        self.error_type = error_type;
    }

    fn outcome(&self) -> Option<&'static str> {
        if self.done {
            self.error_type
        } else if thread::panicking() && !self.was_panicking {
            Some(PANIC)
        } else {
            Some(CANCELLED)
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(site) = self.site else { return };
        let error_type = self.outcome();
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(started_ns) = self.cpu_started_ns
            && let Some(now_ns) = clock::thread_cpu_ns()
        {
            self.span
                .record(CPU_FIELD, now_ns.saturating_sub(started_ns));
        }
        let handles = site.handles();
        handles.calls.increment();
        let Some(error_type) = error_type else {
            return handles.duration.record(seconds);
        };
        handles.duration.record_failed(seconds);
        site.failed(error_type);
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
    }
}

/// Runs `body` inside `span` as a call of `site`. `outcome` logs the result and says which error it is.
#[inline]
pub fn call<R>(
    site: &'static CallSite,
    span: &Span,
    cpu: bool,
    body: impl FnOnce() -> R,
    outcome: impl FnOnce(&R) -> Option<&'static str>,
) -> R {
    if !super::RECORDING {
        return body();
    }
    // Entered before the call starts and left after it ended: its exemplars belong to the span.
    let _entered = span.enter();
    let call = site.start(span, cpu);
    let result = body();
    call.end(outcome(&result));
    result
}

/// The same for a function whose body must stay where it is, because its return type says what the parameters of a
/// returned closure are: the call lasts until the guard is dropped. `returned` logs that it did, unless it panicked.
#[inline]
pub fn guard<'s>(
    site: &'static CallSite,
    span: &'s Span,
    cpu: bool,
    returned: impl FnOnce() + 's,
) -> impl Drop + 's {
    let entered = super::RECORDING.then(|| span.enter());
    Guard {
        running: entered.is_some().then(|| (site.start(span, cpu), returned)),
        _entered: entered,
    }
}

/// A call that lasts until this is dropped, entered before it and left after it.
struct Guard<'s, F: FnOnce()> {
    running: Option<(Call<'s>, F)>,
    _entered: Option<tracing::span::Entered<'s>>,
}

impl<F: FnOnce()> Drop for Guard<'_, F> {
    fn drop(&mut self) {
        let Some((call, returned)) = self.running.take() else {
            return;
        };
        if !thread::panicking() || call.was_panicking {
            returned();
            call.end(None);
        }
    }
}

/// The same for a future. The span is entered whenever the future is polled; the call lasts from the first poll to
/// the result.
pub async fn call_future<F: Future>(
    site: &'static CallSite,
    span: Span,
    future: F,
    outcome: impl FnOnce(&F::Output) -> Option<&'static str>,
) -> F::Output {
    if !super::RECORDING {
        return future.await;
    }
    let own = span.clone();
    async move {
        let call = site.start(&own, false);
        let result = future.await;
        call.end(outcome(&result));
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
