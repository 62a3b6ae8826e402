//! Pools of worker processes: calls and their phases, the pool's size, crashes, circuit breakers.

use std::time::Duration;

use crate::Event;

/// A call to a worker began.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.call.start",
    level = "debug",
    alias("snakepit.call.start", "python.call.start")
)]
pub struct CallStarted<'a> {
    /// What the caller asked for.
    pub operation: &'a str,
    /// The library that is called.
    #[label]
    pub library: &'a str,
    /// The function that is called.
    #[label]
    pub function: &'a str,
    /// The worker.
    pub worker_id: Option<&'a str>,
    /// The device that the worker uses.
    #[label]
    pub device: Option<&'a str>,
    /// When, in nanoseconds since the Unix epoch, where another clock than the recorder's says so.
    #[event(alias("system_time"))]
    pub system_time_unix_ns: Option<u64>,
}

/// A call to a worker ended, well or not. The four phases are parts of `duration`.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.call",
    alias("snakepit.call.stop", "python.call.stop"),
    count = "worker.call.count"
)]
pub struct CallCompleted<'a> {
    /// What the caller asked for.
    pub operation: &'a str,
    /// The library that was called.
    #[label]
    pub library: &'a str,
    /// The function that was called.
    #[label]
    pub function: &'a str,
    /// `ok` or `error`.
    #[label]
    pub result: &'a str,
    /// Why it failed, where it did: of low cardinality.
    #[label]
    #[event(rename = "error.type", alias("error_type"))]
    pub error_type: Option<&'a str>,
    /// From the call to its return.
    #[measure(histogram, name = "worker.call.duration", bounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])]
    #[event(alias("duration"))]
    pub duration: Duration,
    /// Waiting for a worker.
    #[measure(histogram, name = "worker.call.queue.duration", bounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])]
    #[event(alias("queue_time"))]
    pub queue: Option<Duration>,
    /// Encoding the arguments.
    #[measure(histogram, name = "worker.call.serialize.duration")]
    #[event(alias("serialize_time"))]
    pub serialize: Option<Duration>,
    /// The worker's own work.
    #[measure(histogram, name = "worker.call.execute.duration")]
    #[event(alias("python_time"))]
    pub execute: Option<Duration>,
    /// Decoding the result.
    #[measure(histogram, name = "worker.call.deserialize.duration")]
    #[event(alias("deserialize_time"))]
    pub deserialize: Option<Duration>,
}

/// A call to a worker raised.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.call.exception",
    level = "error",
    alias("snakepit.call.exception", "python.call.exception"),
    count = "worker.call.exceptions"
)]
pub struct CallFailed<'a> {
    /// What the caller asked for.
    pub operation: &'a str,
    /// The library that was called.
    #[label]
    pub library: Option<&'a str>,
    /// `error`, `exit` or `throw`.
    #[label]
    pub kind: &'a str,
    /// The exception's type, of low cardinality.
    #[label]
    #[event(rename = "error.type", alias("error_type"))]
    pub error_type: &'a str,
    /// What it said.
    pub reason: &'a str,
    /// Where it was raised.
    pub stacktrace: Option<&'a str>,
    /// From the call to the exception.
    #[event(alias("duration"))]
    pub duration: Duration,
}

/// A worker was taken from its pool.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.pool.checkout",
    level = "debug",
    alias("snakepit.pool.checkout")
)]
pub struct PoolCheckedOut<'a> {
    /// The pool.
    #[label]
    pub pool: &'a str,
    /// The worker.
    pub worker_id: &'a str,
    /// How long the caller waited for it.
    #[measure(histogram, name = "worker.pool.queue.duration")]
    #[event(alias("queue_time"))]
    pub queue: Duration,
}

/// A worker went back to its pool.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.pool.checkin",
    level = "debug",
    alias("snakepit.pool.checkin")
)]
pub struct PoolCheckedIn<'a> {
    /// The pool.
    #[label]
    pub pool: &'a str,
    /// The worker.
    pub worker_id: &'a str,
    /// How long it was out.
    #[measure(histogram, name = "worker.pool.busy.duration")]
    #[event(alias("busy_time"))]
    pub busy: Duration,
}

/// The size of a pool and how much of it is busy.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.pool.size",
    level = "debug",
    alias("snakepit.pool.size")
)]
pub struct PoolSized<'a> {
    /// The pool.
    #[label]
    pub pool: &'a str,
    /// Workers in all.
    #[measure(gauge, name = "worker.pool.size", unit = "{worker}")]
    pub size: u64,
    /// Workers that wait for work.
    #[measure(gauge, name = "worker.pool.idle", unit = "{worker}")]
    pub idle: u64,
    /// Workers that work.
    #[measure(gauge, name = "worker.pool.busy", unit = "{worker}")]
    pub busy: u64,
    /// Calls that wait for a worker.
    #[measure(gauge, name = "worker.pool.queue.depth", unit = "{call}")]
    pub queue_depth: Option<u64>,
}

impl<'a> PoolSized<'a> {
    /// The violation to record when idle and busy workers are not all workers.
    pub fn violation(&self) -> Option<PoolViolated<'a>> {
        (self.idle.checked_add(self.busy) != Some(self.size)).then_some(PoolViolated {
            pool: self.pool,
            size: self.size,
            idle: self.idle,
            busy: self.busy,
        })
    }
}

/// A pool said that its idle and busy workers are not all its workers.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.pool.violation",
    level = "warn",
    count = "worker.pool.violations"
)]
pub struct PoolViolated<'a> {
    /// The pool.
    #[label]
    pub pool: &'a str,
    /// Workers in all.
    pub size: u64,
    /// Workers that wait for work.
    pub idle: u64,
    /// Workers that work.
    pub busy: u64,
}

/// A value was encoded for a worker or decoded from one.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.serialize",
    level = "debug",
    alias("snakepit.serialize.stop")
)]
pub struct Serialized<'a> {
    /// `encode` or `decode`.
    #[label]
    pub direction: &'a str,
    /// The format, for example `json` or `arrow`.
    #[label]
    pub format: &'a str,
    /// How long it took.
    #[measure(histogram, name = "worker.serialize.duration")]
    #[event(alias("duration"))]
    pub duration: Duration,
    /// Encoded size.
    #[measure(counter, name = "worker.serialize.bytes", unit = "By")]
    pub bytes: u64,
}

impl Serialized<'_> {
    /// Encoded bytes a second, or `None` where no time passed.
    pub fn bytes_per_second(&self) -> Option<f64> {
        (!self.duration.is_zero()).then(|| self.bytes as f64 / self.duration.as_secs_f64())
    }
}

/// A worker process died.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.crash",
    level = "error",
    alias("snakepit.worker.crash"),
    count = "worker.crashes"
)]
pub struct WorkerCrashed<'a> {
    /// The kind of crash, of low cardinality, for example `signal` or `exit`.
    #[label]
    #[event(rename = "type")]
    pub kind: &'a str,
    /// The device that the worker used.
    #[label]
    pub device: Option<&'a str>,
    /// The worker.
    pub worker_id: Option<&'a str>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The code it ended with.
    pub exit_code: Option<i32>,
}

/// A worker that should have given a sign of life did not.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "worker.heartbeat.miss",
    level = "warn",
    count = "worker.heartbeat.misses"
)]
pub struct WorkerHeartbeatMissed<'a> {
    /// The pool.
    #[label]
    pub pool: &'a str,
    /// The worker.
    pub worker_id: &'a str,
    /// How long it has been silent.
    pub silence: Duration,
}

/// A circuit breaker opened: calls are refused until it has been quiet for a while.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "circuit_breaker.open",
    level = "warn",
    alias(
        "snakepit.circuit_breaker.open",
        "snakepit.circuit_breaker.opened",
        "circuit_breaker.opened"
    ),
    count = "circuit_breaker.opened"
)]
pub struct CircuitBreakerOpened<'a> {
    /// The device or service behind the breaker.
    #[label]
    pub device: Option<&'a str>,
    /// Failures that opened it.
    pub failure_count: u64,
}

/// A circuit breaker lets trial calls through.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "circuit_breaker.half_open",
    alias("snakepit.circuit_breaker.half_open"),
    count = "circuit_breaker.half_opened"
)]
pub struct CircuitBreakerHalfOpened<'a> {
    /// The device or service behind the breaker.
    #[label]
    pub device: Option<&'a str>,
}

/// A circuit breaker closed: calls go through again.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "circuit_breaker.close",
    alias("snakepit.circuit_breaker.closed", "circuit_breaker.closed"),
    count = "circuit_breaker.closed"
)]
pub struct CircuitBreakerClosed<'a> {
    /// The device or service behind the breaker.
    #[label]
    pub device: Option<&'a str>,
}

/// A circuit breaker let a call through or refused it.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "circuit_breaker.call",
    level = "debug",
    count = "circuit_breaker.calls"
)]
pub struct CircuitBreakerCalled<'a> {
    /// The device or service behind the breaker.
    #[label]
    pub device: Option<&'a str>,
    /// Whether the call went through.
    #[label]
    pub allowed: bool,
}

/// A call that a circuit breaker let through ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "circuit_breaker.call.end", level = "debug")]
pub struct CircuitBreakerCallEnded<'a> {
    /// The device or service behind the breaker.
    #[label]
    pub device: Option<&'a str>,
    /// `success`, `failure`, or `abandoned` where the caller gave it up before it showed anything.
    #[label]
    pub result: &'a str,
    /// From when it was let through to its end.
    #[measure(histogram, name = "circuit_breaker.call.duration")]
    pub duration: Duration,
}

/// Something about the health of the workers needs a person.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "health.alert",
    level = "error",
    alias("snakepit.health.alert"),
    count = "health.alerts"
)]
pub struct HealthAlert<'a> {
    /// The kind of alert, of low cardinality.
    #[label]
    pub alert_type: &'a str,
    /// Crashes in the window that raised it.
    pub crash_count: u64,
}

/// A phase of generating bindings to a library ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "bridge.compile", alias("snakebridge.compile.stop"))]
pub struct BridgeCompiled<'a> {
    /// The library that the bindings are for.
    #[label]
    pub library: &'a str,
    /// The phase, for example `introspect`, `generate` or `write`.
    #[label]
    pub phase: &'a str,
    /// How long it took.
    #[measure(histogram, name = "bridge.compile.duration")]
    #[event(alias("duration"))]
    pub duration: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_does_not_add_up_is_a_violation() {
        let pool = PoolSized {
            pool: "python",
            size: 4,
            idle: 1,
            busy: 3,
            queue_depth: None,
        };
        assert_eq!(pool.violation(), None);
        let broken = PoolSized {
            idle: u64::MAX,
            ..pool
        };
        assert_eq!(broken.violation().map(|event| event.pool), Some("python"));
    }

    #[test]
    fn throughput_needs_time_to_pass() {
        let event = Serialized {
            direction: "encode",
            format: "arrow",
            duration: Duration::from_millis(500),
            bytes: 1_000_000,
        };
        assert_eq!(event.bytes_per_second(), Some(2_000_000.0));
        let event = Serialized {
            duration: Duration::ZERO,
            ..event
        };
        assert_eq!(event.bytes_per_second(), None);
    }
}
