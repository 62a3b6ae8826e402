//! Where a number came from. A value that the source did not give is [`Provenance::Unsupported`] with the
//! reason, never a zero.

use std::{borrow::Cow, fmt};

/// How a number was obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Read from a clock, counter or allocator that measures exactly this.
    Measured,
    /// Computed from measured values without assumptions.
    Derived,
    /// Computed with an assumption; the text names the method.
    Estimated(Cow<'static, str>),
    /// A coarser source stood in for the one asked for; the text names both.
    Fallback(Cow<'static, str>),
    /// There is no number; the text says why.
    Unsupported(Cow<'static, str>),
}

impl Provenance {
    /// The word that is stored beside the number: `measured`, `derived`, `estimated`, `fallback` or `unsupported`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Derived => "derived",
            Self::Estimated(_) => "estimated",
            Self::Fallback(_) => "fallback",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// The method or reason, where there is one.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Measured | Self::Derived => None,
            Self::Estimated(text) | Self::Fallback(text) | Self::Unsupported(text) => Some(text),
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{} ({detail})", self.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// A number with its provenance. There is no way to hold both a value and `Unsupported`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<T> {
    value: Option<T>,
    provenance: Provenance,
}

impl<T: Copy> Reading<T> {
    /// A value read directly.
    pub const fn measured(value: T) -> Self {
        Self {
            value: Some(value),
            provenance: Provenance::Measured,
        }
    }

    /// A value computed from measured ones.
    pub const fn derived(value: T) -> Self {
        Self {
            value: Some(value),
            provenance: Provenance::Derived,
        }
    }

    /// A value computed by `method`, which rests on an assumption.
    pub fn estimated(value: T, method: impl Into<Cow<'static, str>>) -> Self {
        Self {
            value: Some(value),
            provenance: Provenance::Estimated(method.into()),
        }
    }

    /// A value from a coarser source than the one asked for.
    pub fn fallback(value: T, sources: impl Into<Cow<'static, str>>) -> Self {
        Self {
            value: Some(value),
            provenance: Provenance::Fallback(sources.into()),
        }
    }

    /// No value, and why.
    pub fn unsupported(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            value: None,
            provenance: Provenance::Unsupported(reason.into()),
        }
    }

    /// The value, or `None` where the source gave none.
    pub const fn value(&self) -> Option<T> {
        self.value
    }

    /// Where the value came from, or why there is none.
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

impl Reading<u64> {
    /// A device counter in which zero means "not implemented": zero becomes `Unsupported` with `reason`.
    pub fn nonzero(value: u64, reason: &'static str) -> Self {
        if value == 0 {
            Self::unsupported(reason)
        } else {
            Self::measured(value)
        }
    }
}

/// The mean of the readings that have a value, or `None` when none has: an unsupported reading is left out,
/// not counted as zero.
pub fn mean<'a, I>(readings: I) -> Option<f64>
where
    I: IntoIterator<Item = &'a Reading<f64>>,
{
    let (sum, count) = readings
        .into_iter()
        .filter_map(Reading::value)
        .fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_the_device_did_not_mean_is_unsupported_and_left_out_of_the_mean() {
        let silent = Reading::nonzero(0, "the counter reads zero on this device");
        assert_eq!(silent.value(), None);
        assert_eq!(
            silent.provenance().to_string(),
            "unsupported (the counter reads zero on this device)"
        );
        let readings = [
            Reading::measured(2.0),
            Reading::unsupported("no counter"),
            Reading::derived(4.0),
        ];
        assert_eq!(mean(&readings), Some(3.0));
        assert_eq!(mean(&readings[1..2]), None);
    }
}
