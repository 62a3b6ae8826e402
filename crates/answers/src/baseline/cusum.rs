//! Sums of evidence for a change, and since when it is there.
//!
//! A cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), 100-115) adds what each reading says
//! for a change, never falls below nothing, and claims a change at a threshold. The reading after it was last nothing is the
//! likeliest time at which the change began.

/// One sum in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cusum {
    sum: f64,
    onset_unix_ns: Option<u64>,
    found_unix_ns: Option<u64>,
}

impl Cusum {
    pub(super) const NONE: Self = Self {
        sum: 0.0,
        onset_unix_ns: None,
        found_unix_ns: None,
    };

    /// Adds what a reading says: above 0 for a change, below 0 against it. The threshold has to be above 0. Once it is
    /// reached the sum is held below one and a half thresholds, so that as much as was asked for it ends it again.
    pub(super) fn add(&mut self, time_unix_ns: u64, evidence: f64, threshold: f64) {
        self.sum = (self.sum + evidence).clamp(0.0, 1.5 * threshold);
        if self.sum == 0.0 {
            *self = Self::NONE;
            return;
        }
        self.onset_unix_ns.get_or_insert(time_unix_ns);
        if self.sum >= threshold {
            self.found_unix_ns.get_or_insert(time_unix_ns);
        }
    }

    /// When what is going on began, whether it was claimed or not.
    pub(super) const fn onset_unix_ns(self) -> Option<u64> {
        self.onset_unix_ns
    }

    /// When it was first more than the threshold; `None` while it was not.
    pub(super) const fn found_unix_ns(self) -> Option<u64> {
        self.found_unix_ns
    }
}

/// What speaks for a change in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    /// By the ranks of readings: any change, given time.
    pub(super) ranks: Cusum,
    /// By readings that are far beyond anything that was there: large changes, soon.
    pub(super) far: Cusum,
}

impl Sums {
    pub(super) const NONE: Self = Self {
        ranks: Cusum::NONE,
        far: Cusum::NONE,
    };

    pub(super) const fn are_nothing(self) -> bool {
        self.ranks.onset_unix_ns().is_none() && self.far.onset_unix_ns().is_none()
    }

    pub(super) const fn have_found(self) -> bool {
        self.ranks.found_unix_ns().is_some() || self.far.found_unix_ns().is_some()
    }
}

/// The standard normal deviate that a share lies below, by M. Abramowitz and I. A. Stegun, "Handbook of Mathematical
/// Functions", 1964, 26.2.23: wrong by less than 0.00045. The share has to be above 0 and below 1.
pub(super) fn normal_deviate(share: f64) -> f64 {
    let tail = share.min(1.0 - share).max(f64::MIN_POSITIVE);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let size = t - above / below;
    if share < 0.5 { -size } else { size }
}
