//! What needs more than a comparison: whether a value will reach something, and whether it is what it was.

use std::fmt;

use super::Point;

/// Judges the past of one value. The same past gives the same judgement.
pub trait Judge: fmt::Debug + Send + Sync {
    /// When a value with this past reaches `reaches`; `None` where it does not, or not so that one could be sure.
    fn forecast(&self, past: &[Point], reaches: f64, at_unix_ns: u64) -> Option<Reached>;

    /// What is wrong with the end of this past; `None` where nothing is.
    fn anomaly(&self, past: &[Point], at_unix_ns: u64) -> Option<Unusual>;
}

/// When a value reaches something.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// How soon, in nanoseconds.
    pub in_ns: u64,
    /// How that is known, in a sentence: the interval and the model.
    pub words: String,
}

/// What is wrong with the end of a value's past.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusual {
    /// Whether there is too much of it, and not too little.
    pub is_above: bool,
    /// What is normal, and since when that is left, in a sentence.
    pub words: String,
}
