//! Circuit breakers: calls to what keeps failing are refused at once, until it has been quiet for a while.
//!
//! ```
//! use radiosonde::breaker::{Breaker, CallError};
//!
//! let backend = Breaker::new("backend");
//! let answer = backend.call(|| "42".parse::<u32>());
//! assert!(matches!(answer, Ok(42)));
//! match backend.call(|| "forty-two".parse::<u32>()) {
//!     Ok(number) => println!("{number}"),
//!     Err(CallError::Failed(error)) => eprintln!("{error}"),
//!     Err(CallError::Rejected(refused)) => eprintln!("{refused}"), // nothing was called
//! }
//! ```
//!
//! Which errors are failures is the caller's to say: [`Breaker::begin`] gives a [`Call`] whose end is told by hand, for
//! example as a success where the answer is "not found".
//!
//! The state machine is [`radiosonde_answers::breaker`]; here it gets a clock, and what happens is recorded:
//! `circuit_breaker.open`, `circuit_breaker.half_open` and `circuit_breaker.close`, `circuit_breaker.call` for each call that
//! is let through or refused, and `circuit_breaker.call.end` for how it went. [`Breaker::outcome`] makes a health check of it.
//!
//! Invariant: no lock is held while the program's code runs, or while anything is recorded.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use radiosonde_answers::breaker::{self as machine, Decision, Pass, Transition};
pub use radiosonde_answers::breaker::{Rules, State};
use radiosonde_core::{
    events::{
        CircuitBreakerCallEnded, CircuitBreakerCalled, CircuitBreakerClosed,
        CircuitBreakerHalfOpened, CircuitBreakerOpened,
    },
    record,
};

use crate::health::{Outcome, Status};

/// A circuit breaker. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    name: String,
    machine: Mutex<machine::Breaker>,
    origin: Instant,
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{breaker} is not called: it keeps failing; try again in {retry_after:?}")]
pub struct Rejected {
    /// The breaker's name.
    pub breaker: String,
    /// After this time a call may go through.
    pub retry_after: Duration,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// It was not made.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It was made, and failed.
    #[error("{0}")]
    Failed(E),
}

/// A call that was let through. Dropped without a word it was given up, and says nothing of what was called; dropped by a
/// panic it failed.
#[must_use = "a call that is dropped was given up"]
pub struct Call {
    breaker: Breaker,
    pass: Pass,
    started: Instant,
    is_over: bool,
}

#[derive(Clone, Copy)]
enum End {
    Success,
    Failure,
    Abandoned,
}

impl Breaker {
    /// A breaker of this name, of low cardinality, that opens after 5 failures in a row for 30 seconds, and lets one call
    /// through to try.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_rules(name, Rules::default())
    }

    /// A breaker by other rules.
    pub fn with_rules(name: impl Into<String>, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            machine: Mutex::new(machine::Breaker::new(rules)),
            origin: Instant::now(),
        }))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The state. Open stays open until somebody calls.
    pub fn state(&self) -> State {
        self.lock().state()
    }

    /// Calls `call`, unless that is refused. An error counts as a failure, and so does a panic.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        let begun = self.begin()?;
        let result = call();
        begun.end_as(result)
    }

    /// Calls `call` and waits for what it returns, unless that is refused. An error counts as a failure, and so does a
    /// panic; where the future is dropped before it is done the call was given up.
    pub async fn call_async<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        call: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>> {
        let begun = self.begin()?;
        let result = call().await;
        begun.end_as(result)
    }

    /// Asks whether a call may be made; the caller makes it and tells how it ended.
    pub fn begin(&self) -> Result<Call, Rejected> {
        let now = self.now();
        let (decision, transition) = self.lock().allow(now);
        self.tell(transition);
        let allowed = matches!(decision, Decision::Allowed(_));
        record!(CircuitBreakerCalled {
            device: Some(self.name()),
            allowed,
        });
        match decision {
            Decision::Allowed(pass) => Ok(Call {
                breaker: self.clone(),
                pass,
                started: Instant::now(),
                is_over: false,
            }),
            Decision::Rejected { retry_after } => Err(Rejected {
                breaker: self.name().to_owned(),
                retry_after,
            }),
        }
    }

    /// How what is behind it is, for a health check: critical while open, degraded while it is tried.
    ///
    /// ```
    /// use radiosonde::{breaker::Breaker, health::{CheckOptions, Health}};
    ///
    /// let (health, backend) = (Health::new(), Breaker::new("backend"));
    /// let watched = backend.clone();
    /// health.check("backend", CheckOptions::default(), move || watched.outcome())?;
    /// # Ok::<(), radiosonde::health::CheckError>(())
    /// ```
    pub fn outcome(&self) -> Outcome {
        let (state, failures) = {
            let machine = self.lock();
            (machine.state(), machine.failures())
        };
        let status = match state {
            State::Closed => return Status::Healthy.into(),
            State::HalfOpen => Status::Degraded,
            State::Open => Status::Critical,
        };
        let label = state.label();
        Outcome::new(
            status,
            format!("{label} after {failures} failures in a row"),
        )
    }

    fn lock(&self) -> MutexGuard<'_, machine::Breaker> {
        self.0
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn tell(&self, transition: Option<Transition>) {
        let Some(Transition { to, failures, .. }) = transition else {
            return;
        };
        let device = Some(self.name());
        match to {
            State::Closed => record!(CircuitBreakerClosed { device }),
            State::HalfOpen => record!(CircuitBreakerHalfOpened { device }),
            State::Open => record!(CircuitBreakerOpened {
                device,
                failure_count: u64::from(failures),
            }),
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Call {
    /// It succeeded.
    pub fn succeeded(mut self) {
        self.end(End::Success);
    }

    /// It failed.
    pub fn failed(mut self) {
        self.end(End::Failure);
    }

    fn end_as<T, E>(self, result: Result<T, E>) -> Result<T, CallError<E>> {
        match result {
            Ok(value) => {
                self.succeeded();
                Ok(value)
            }
            Err(error) => {
                self.failed();
                Err(CallError::Failed(error))
            }
        }
    }

    fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let (breaker, pass) = (&self.breaker, self.pass);
        let now = breaker.now();
        let (result, transition) = {
            let mut machine = breaker.lock();
            match end {
                End::Success => ("success", machine.succeeded(pass, now)),
                End::Failure => ("failure", machine.failed(pass, now)),
                End::Abandoned => {
                    machine.abandoned(pass);
                    ("abandoned", None)
                }
            }
        };
        record!(CircuitBreakerCallEnded {
            device: Some(breaker.name()),
            result,
            duration: self.started.elapsed(),
        });
        breaker.tell(transition);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(if thread::panicking() {
            End::Failure
        } else {
            End::Abandoned
        });
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn breaker(open_for: Duration) -> Breaker {
        let rules = Rules {
            failures: 2,
            open_for,
            trials: 1,
        };
        Breaker::with_rules("backend", rules)
    }

    fn fail(breaker: &Breaker) {
        let failed = breaker.call(|| Err::<(), _>("away"));
        assert_eq!(failed, Err(CallError::Failed("away")));
    }

    #[test]
    fn what_keeps_failing_is_not_called_until_it_has_been_quiet() {
        let backend = breaker(Duration::MAX);
        fail(&backend);
        assert_eq!(backend.call(|| Ok::<_, &str>(1)), Ok(1));
        fail(&backend);
        assert_eq!(backend.outcome(), Status::Healthy.into());
        fail(&backend);
        assert_eq!(backend.state(), State::Open);
        let refused = backend.call(|| -> Result<(), &str> { panic!("it must not be called") });
        let Err(CallError::Rejected(rejected)) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            rejected
                .to_string()
                .starts_with("backend is not called: it keeps failing; try again in "),
            "{rejected}"
        );
        assert_eq!(
            backend.outcome(),
            Outcome::new(Status::Critical, "open after 2 failures in a row")
        );
        // No time has to pass here before it is tried.
        let backend = breaker(Duration::ZERO);
        fail(&backend);
        fail(&backend);
        let trial = backend.begin().unwrap();
        assert_eq!(backend.outcome().status, Status::Degraded);
        trial.succeeded();
        assert_eq!(backend.state(), State::Closed);
    }

    #[test]
    fn a_panic_is_a_failure_and_a_call_that_is_dropped_is_none() {
        let backend = breaker(Duration::MAX);
        for _ in 0..3 {
            drop(backend.begin().unwrap());
        }
        assert_eq!(backend.state(), State::Closed);
        fail(&backend);
        let panicking =
            || -> Result<(), CallError<()>> { backend.call(|| panic!("no such device")) };
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(backend.state(), State::Open);
    }

    #[tokio::test]
    async fn a_future_counts_when_it_is_done_and_not_where_it_is_dropped() {
        let backend = breaker(Duration::MAX);
        for _ in 0..2 {
            let never = backend.call_async(std::future::pending::<Result<(), ()>>);
            assert!(
                tokio::time::timeout(Duration::from_millis(1), never)
                    .await
                    .is_err()
            );
        }
        assert_eq!(backend.state(), State::Closed);
        for _ in 0..2 {
            let failed = backend.call_async(async || Err::<(), _>("away")).await;
            assert_eq!(failed, Err(CallError::Failed("away")));
        }
        assert_eq!(backend.state(), State::Open);
        let refused = backend.call_async(async || Ok::<_, &str>(())).await;
        assert!(matches!(refused, Err(CallError::Rejected(_))));
    }
}
