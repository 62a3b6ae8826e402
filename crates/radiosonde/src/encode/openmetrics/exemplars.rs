//! Which exemplars stand beside which numbers.

use radiosonde_core::metrics::snapshot::Exemplar;

/// A series' exemplars, of which each bucket shows one: the slowest of all where it is, else the last that failed, else
/// the slowest of the bucket.
pub(in crate::encode) struct Exemplars<'a> {
    exemplars: &'a [Exemplar],
    slowest: f64,
}

impl<'a> Exemplars<'a> {
    pub(in crate::encode) fn new(exemplars: &'a [Exemplar]) -> Self {
        let slowest = exemplars
            .iter()
            .map(|exemplar| exemplar.value)
            .fold(f64::NEG_INFINITY, f64::max);
        Self { exemplars, slowest }
    }

    /// The one for the bucket of values above `low` and up to `high`.
    pub(in crate::encode) fn within(&self, low: f64, high: f64) -> Option<&'a Exemplar> {
        let has_slowest = low < self.slowest && self.slowest <= high;
        self.exemplars
            .iter()
            .filter(|exemplar| low < exemplar.value && exemplar.value <= high)
            .max_by(|left, right| {
                let by_value = left.value.total_cmp(&right.value);
                if has_slowest {
                    return by_value.then(left.failed.cmp(&right.failed));
                }
                left.failed.cmp(&right.failed).then(if left.failed {
                    left.time_unix_ns.cmp(&right.time_unix_ns)
                } else {
                    by_value
                })
            })
    }
}
