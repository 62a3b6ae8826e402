//! A circuit breaker as a state machine: it refuses calls to what keeps failing, and tries again after a while.
//!
//! ```text
//!           failures in a row           open_for passed              a trial fails
//!  closed ────────────────────▶ open ─────────────────▶ half-open ────────────────▶ open
//!    ▲                                                      │
//!    └──────────────────── all trials succeed ──────────────┘
//! ```
//!
//! It is pure: the time comes in as a [`Duration`] since a start that the caller chooses. What happens is said as
//! [`Transition`]s, for the caller to record.
//!
//! Invariants: a call counts in the period in which it was allowed, and its end says nothing of a later one; at most
//! [`Rules::trials`] calls are allowed while it is half-open; and it never refuses for ever, because a trial that does not
//! end gives its place up after [`Rules::open_for`].

use std::time::Duration;

/// When a breaker opens, for how long, and how it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that open it; 0 is 1.
    pub failures: u32,
    /// How long it refuses calls before it lets trials through.
    pub open_for: Duration,
    /// Calls that are let through as trials, all of which must succeed to close it; 0 is 1.
    pub trials: u32,
}

impl Default for Rules {
    /// 5 failures, 30 seconds, 1 trial: the defaults of Snakepit 0.13, whose events these are.
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(30),
            trials: 1,
        }
    }
}

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// They do.
    Closed,
    /// They are refused.
    Open,
    /// A few go through, to try.
    HalfOpen,
}

impl State {
    /// `closed`, `open` or `half_open`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Failures in a row that are behind it.
    pub failures: u32,
}

/// Names the call that was allowed, for telling how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    period: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes through. Its end is told by [`Breaker::succeeded`], [`Breaker::failed`] or [`Breaker::abandoned`].
    Allowed(Pass),
    /// It is refused.
    Rejected {
        /// After this time one may be allowed; sooner where a trial ends before.
        retry_after: Duration,
    },
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// When the state began, or half-open began anew.
    since: Duration,
    /// How many states there were: a call belongs to one of them.
    period: u64,
    /// Failures in a row while closed; those that opened it after that.
    failures: u32,
    /// Trials that were allowed and not given back.
    trials: u32,
    /// Trials that succeeded.
    successes: u32,
}

impl Breaker {
    /// Closed, and nothing has failed.
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Closed,
            since: Duration::ZERO,
            period: 0,
            failures: 0,
            trials: 0,
            successes: 0,
        }
    }

    /// The state. Open stays open until a call is asked for: nothing happens by time alone.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Failures in a row: those since the last success.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a call that is made `now` goes through. Asking may make an open breaker half-open.
    pub fn allow(&mut self, now: Duration) -> (Decision, Option<Transition>) {
        let waited = now.saturating_sub(self.since);
        let is_over = waited >= self.rules.open_for;
        let transition = match self.state {
            State::Open if is_over => Some(self.go(State::HalfOpen, now)),
            State::HalfOpen if is_over && self.trials >= self.trials_max() => {
                // Whoever has the places does not come back.
                self.begin(now);
                None
            }
            State::Closed | State::Open | State::HalfOpen => None,
        };
        let is_allowed = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => self.trials < self.trials_max(),
        };
        let decision = if is_allowed {
            self.trials += u32::from(self.state == State::HalfOpen);
            let period = self.period;
            Decision::Allowed(Pass { period })
        } else {
            let retry_after = self.rules.open_for.saturating_sub(waited);
            Decision::Rejected { retry_after }
        };
        (decision, transition)
    }

    /// The call of `pass` succeeded at `now`.
    pub fn succeeded(&mut self, pass: Pass, now: Duration) -> Option<Transition> {
        if pass.period != self.period {
            return None;
        }
        match self.state {
            State::Closed => {
                self.failures = 0;
                None
            }
            State::HalfOpen => {
                self.successes += 1;
                let is_closed = self.successes >= self.trials_max();
                is_closed.then(|| {
                    self.failures = 0;
                    self.go(State::Closed, now)
                })
            }
            State::Open => None,
        }
    }

    /// The call of `pass` failed at `now`.
    pub fn failed(&mut self, pass: Pass, now: Duration) -> Option<Transition> {
        if pass.period != self.period {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures >= self.rules.failures.max(1),
            State::HalfOpen => true,
            State::Open => false,
        };
        opens.then(|| self.go(State::Open, now))
    }

    /// The call of `pass` was given up before it showed anything, so another may have its place.
    pub const fn abandoned(&mut self, pass: Pass) {
        if pass.period == self.period && matches!(self.state, State::HalfOpen) {
            self.trials = self.trials.saturating_sub(1);
        }
    }

    const fn trials_max(&self) -> u32 {
        if self.rules.trials == 0 {
            1
        } else {
            self.rules.trials
        }
    }

    fn go(&mut self, to: State, now: Duration) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        self.begin(now);
        Transition {
            from,
            to,
            failures: self.failures,
        }
    }

    /// Begins a period: calls of those before it have no part in it.
    const fn begin(&mut self, now: Duration) {
        self.since = now;
        self.period += 1;
        (self.trials, self.successes) = (0, 0);
    }
}

#[cfg(test)]
mod tests;
