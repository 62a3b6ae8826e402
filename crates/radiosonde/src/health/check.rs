//! What a program registers: how often a check runs, how long it may take, what it decides, and what it says.

use std::{
    fmt::{self, Display},
    io,
    time::Duration,
};

use serde::{Serialize, Serializer};

use super::{CHECKS_MAX, Patience, Status};

/// The shortest interval; one that is shorter counts as this.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Intervals without a look, beside the timeout, after which what was said is too old: one may be late where the machine is
/// busy, and a second one where a check before it used up its time.
const STALE_INTERVALS: u32 = 3;

/// Which probes a check has a part in. Every check is shown by `/health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affects {
    /// Critical means that the process must be restarted. Nothing that another process causes belongs here: a database
    /// that is away is not mended by restarting who asks it.
    pub liveness: bool,
    /// Critical means that no requests should be sent here until it is over.
    pub readiness: bool,
    /// The program has not begun before the check has been healthy or degraded once.
    pub startup: bool,
}

impl Affects {
    /// None of them.
    pub const NOTHING: Self = Self {
        liveness: false,
        readiness: false,
        startup: false,
    };
    /// `/livez`.
    pub const LIVENESS: Self = Self {
        liveness: true,
        ..Self::NOTHING
    };
    /// `/readyz`.
    pub const READINESS: Self = Self {
        readiness: true,
        ..Self::NOTHING
    };
    /// `/startupz`.
    pub const STARTUP: Self = Self {
        startup: true,
        ..Self::NOTHING
    };

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            liveness: self.liveness || other.liveness,
            readiness: self.readiness || other.readiness,
            startup: self.startup || other.startup,
        }
    }
}

impl Serialize for Affects {
    /// As the list of their names.
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let all = [
            ("liveness", self.liveness),
            ("readiness", self.readiness),
            ("startup", self.startup),
        ];
        out.collect_seq(
            all.iter()
                .filter(|(_, is_affected)| *is_affected)
                .map(|(name, _)| name),
        )
    }
}

/// How a check runs. What a request is answered from is always the last run's outcome, never a run of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckOptions {
    /// Time between the starts of two runs, from [`INTERVAL_MIN`] on.
    pub interval: Duration,
    /// How long a run may take before the check is taken to hang.
    pub timeout: Duration,
    /// What the check decides.
    pub affects: Affects,
    /// How many outcomes in a row it takes to change what is shown. Without a time after which they are stale, that is
    /// three intervals and the timeout.
    pub patience: Patience,
    /// How a check is that hangs.
    pub hanging: Status,
}

impl Default for CheckOptions {
    /// Every ten seconds and for one second, as Kubernetes probes; readiness; two outcomes in a row, either way; critical
    /// while it hangs.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            affects: Affects::READINESS,
            patience: Patience::default(),
            hanging: Status::Critical,
        }
    }
}

impl CheckOptions {
    /// The interval that is kept.
    pub(super) fn interval(&self) -> Duration {
        self.interval.max(INTERVAL_MIN)
    }

    /// The patience with its time until an outcome is stale.
    pub(super) fn patience(&self) -> Patience {
        let stale_after = self
            .interval()
            .saturating_mul(STALE_INTERVALS)
            .saturating_add(self.timeout);
        Patience {
            stale_after: self.patience.stale_after.or(Some(stale_after)),
            ..self.patience
        }
    }
}

/// What one run of a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it is.
    pub status: Status,
    /// What was seen; may be empty.
    pub message: String,
    /// Whether there is nothing to look at. It is shown as unknown, and has no part in how the program is.
    pub(super) is_absent: bool,
}

impl Outcome {
    /// `status`, with what was seen.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            is_absent: false,
        }
    }

    /// There is nothing to look at, and that is no fault: a device check where there is no device. It is shown as unknown,
    /// and has no part in how the program is.
    pub fn absent(message: impl Into<String>) -> Self {
        Self {
            is_absent: true,
            ..Self::new(Status::Unknown, message)
        }
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        Self::new(status, "")
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Status::Healthy.into()
    }
}

impl From<bool> for Outcome {
    fn from(is_healthy: bool) -> Self {
        if is_healthy {
            Status::Healthy.into()
        } else {
            Status::Critical.into()
        }
    }
}

impl<T, E: Display> From<Result<T, E>> for Outcome {
    /// Any value is healthy, any error critical.
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(_) => Status::Healthy.into(),
            Err(error) => Self::new(Status::Critical, error.to_string()),
        }
    }
}

/// Why a check was not registered.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// There are [`CHECKS_MAX`] names already.
    Full {
        /// The name that found no place.
        name: String,
    },
    /// The system gives no thread to run checks on.
    Thread(io::Error),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { name } => write!(
                f,
                "health check {name:?}: there are {CHECKS_MAX} already; remove one, or look at several things in one"
            ),
            Self::Thread(error) => write!(
                f,
                "health checks: no thread to run them on: {error}; raise the limit of threads (ulimit -u)"
            ),
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full { .. } => None,
            Self::Thread(error) => Some(error),
        }
    }
}
