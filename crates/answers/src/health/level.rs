//! A measured value as a status: worse from one value on, better again only below a lower one.
//!
//! Invariant: a value that moves by less than the distance between entering and leaving a level changes the status once at
//! most. A value that is no number says nothing: unknown, and the level that was reached is kept for the next one.

use super::Status;

/// Where a level begins, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    enter: f64,
    leave: f64,
}

impl Threshold {
    /// From `enter` on, until the value is `margin` below it. A margin that is no positive number is none.
    pub const fn new(enter: f64, margin: f64) -> Self {
        Self {
            enter,
            leave: enter - if margin > 0.0 { margin } else { 0.0 },
        }
    }

    /// Whether `value` is within, where it `was` before.
    fn holds(self, value: f64, was: bool) -> bool {
        if was && self.leave < self.enter {
            value > self.leave
        } else {
            value >= self.enter
        }
    }
}

/// From which values on something is degraded and critical. Greater is worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Where it begins to be degraded.
    pub degraded: Threshold,
    /// Where it begins to be critical.
    pub critical: Threshold,
}

impl Levels {
    /// Host memory in use, from 0 to 1: degraded from 0.7, critical from 0.9 on, which is where DotCompute, the telemetry
    /// that these levels are asked for by, calls pressure medium and high. Use moves by some per cent between two looks, so
    /// a level ends 0.05 below its beginning.
    pub const MEMORY: Self = Self::new(0.7, 0.9, 0.05);

    /// The temperature of a device in degrees Celsius: degraded from 85, critical from 95 on. Makers of accelerators name
    /// the temperature from which clocks are lowered between the two. A level ends 5 degrees below its beginning, which is
    /// more than a fan's swing.
    pub const TEMPERATURE_CELSIUS: Self = Self::new(85.0, 95.0, 5.0);

    /// Device memory in use, from 0 to 1: degraded from 0.95, critical from 0.99 on. Engines that serve models take 0.9 of
    /// it at their start, so less than that is no sign of anything.
    pub const DEVICE_MEMORY: Self = Self::new(0.95, 0.99, 0.02);

    /// How full a queue with a bound is, from 0 to 1: degraded from 0.8, critical from 0.95 on, where the next burst is
    /// refused. A level ends 0.1 below its beginning: a queue that is being emptied must have room for a burst first.
    pub const SATURATION: Self = Self::new(0.8, 0.95, 0.1);

    /// Degraded from `degraded` on and critical from `critical` on, each until the value is `margin` below.
    pub const fn new(degraded: f64, critical: f64, margin: f64) -> Self {
        Self {
            degraded: Threshold::new(degraded, margin),
            critical: Threshold::new(critical, margin),
        }
    }
}

/// The status of one measured value over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    levels: Levels,
    status: Status,
}

impl Level {
    /// Nothing was measured yet.
    pub const fn new(levels: Levels) -> Self {
        Self {
            levels,
            status: Status::Healthy,
        }
    }

    /// What `value` means after those before it.
    pub fn look(&mut self, value: f64) -> Status {
        if value.is_nan() {
            return Status::Unknown;
        }
        let Levels { degraded, critical } = self.levels;
        self.status = if critical.holds(value, self.status >= Status::Critical) {
            Status::Critical
        } else if degraded.holds(value, self.status >= Status::Degraded) {
            Status::Degraded
        } else {
            Status::Healthy
        };
        self.status
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_ends_lower_than_it_begins() {
        use Status::{Critical, Degraded, Healthy, Unknown};
        let mut memory = Level::new(Levels::MEMORY);
        for (value, status) in [
            (0.5, Healthy),
            (0.69, Healthy),
            (0.7, Degraded),
            (0.66, Degraded),
            (0.7, Degraded),
            (0.64, Healthy),
            (0.69, Healthy),
            (0.9, Critical),
            (0.86, Critical),
            (f64::NAN, Unknown),
            (0.86, Critical),
            (0.84, Degraded),
            (0.89, Degraded),
            (0.95, Critical),
            // From critical a value between the two is degraded until it leaves that level too.
            (0.66, Degraded),
            (0.0, Healthy),
        ] {
            assert_eq!(memory.look(value), status, "{value}");
        }
    }

    #[test]
    fn a_margin_that_is_none_makes_both_ends_the_same() {
        let mut level = Level::new(Levels::new(1.0, 2.0, f64::NAN));
        let seen = [1.0, 0.99, 2.0, 1.99, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(
            seen.map(|value| level.look(value).label()),
            [
                "degraded", "healthy", "critical", "degraded", "critical", "healthy"
            ]
        );
    }

    proptest! {
        /// Whatever came before, the status of a value is between that without and that with the lower ends.
        #[test]
        fn what_is_remembered_makes_a_value_worse_by_no_more_than_the_margin(values in prop::collection::vec(0.0_f64..1.2, 1..60)) {
            let mut level = Level::new(Levels::MEMORY);
            for value in values {
                let fresh = Level::new(Levels::MEMORY).look(value);
                let raised = Level::new(Levels::MEMORY).look(value + 0.05);
                let seen = level.look(value);
                prop_assert!(fresh <= seen && seen <= raised, "{fresh:?} {seen:?} {raised:?} at {value}");
            }
        }

        /// A value that swings by less than the margin changes the status twice at most: into a level, and into the next.
        #[test]
        fn a_value_that_swings_within_the_margin_does_not_flap(base in 0.0_f64..1.0, swings in prop::collection::vec(0.0_f64..0.049, 2..60)) {
            let mut level = Level::new(Levels::MEMORY);
            let seen: Vec<_> = swings.iter().map(|swing| level.look(base + swing)).collect();
            let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert!(changes <= 1, "{seen:?}");
        }
    }
}
