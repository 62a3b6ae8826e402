//! How something is, from what looks at it say: one [`Status`], the patience that it takes to change, and levels over a
//! measured value.
//!
//! ```text
//! value ─▶ Level ─▶ a look's status ─▶ Track ─▶ what is shown ─▶ Status::worst ─▶ how the program is
//! ```
//!
//! Everything is pure: the time comes in as a `Duration` since a start that the caller chooses, and nothing here reads a
//! clock. The health checks of `radiosonde` drive it with the process's clock, tests with numbers.
//!
//! Invariants: a single look changes nothing that is known unless [`Patience`] says so; a check that was not looked at for
//! too long is never shown as healthy; and silence is no recovery, so what was bad stays bad until looks say otherwise.

mod level;
mod track;

pub use self::{
    level::{Level, Levels, Threshold},
    track::{Change, Patience, Track},
};

use serde::Serialize;

/// How something is. The order is the precedence: of several the greatest counts.
///
/// Unknown stands above healthy, because a thing that cannot be told must not look well; and below degraded, because what
/// is known to be bad must not hide behind what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    #[default]
    Healthy,
    /// It cannot be told.
    Unknown,
    /// It works, worse than it should.
    Degraded,
    /// It does not work.
    Critical,
}

impl Status {
    /// Every status, best first.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Unknown, Self::Degraded, Self::Critical];

    /// `healthy`, `unknown`, `degraded` or `critical`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
        }
    }

    /// The one that counts among several; healthy where there is none.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_worst_counts_and_unknown_is_between_healthy_and_degraded() {
        use Status::{Critical, Degraded, Healthy, Unknown};
        let table: [(&[Status], Status); 7] = [
            (&[], Healthy),
            (&[Healthy, Healthy], Healthy),
            (&[Healthy, Unknown], Unknown),
            (&[Degraded, Unknown], Degraded),
            (&[Healthy, Degraded, Healthy], Degraded),
            (&[Critical, Degraded], Critical),
            (&[Unknown, Critical], Critical),
        ];
        for (all, worst) in table {
            assert_eq!(Status::worst(all.iter().copied()), worst, "{all:?}");
            assert_eq!(Status::worst(all.iter().rev().copied()), worst, "{all:?}");
        }
        assert!(Status::ALL.is_sorted());
    }
}
