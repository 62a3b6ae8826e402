//! Head sampling by trace ID.

/// Whether a trace whose ID ends in `low` is kept.
#[inline]
pub(crate) fn keeps(_low: u64) -> bool {
    true
}
