//! What needs more than a comparison: whether a value will reach something, and whether it is what it was.

use std::fmt;

use super::{Limit, Point};

/// Judges the past of values. The same past gives the same judgement.
pub trait Judge: fmt::Debug + Send + Sync {
    /// When a value with this past crosses the limit; `None` where it does not, or not so that one could be sure. `unit` is
    /// the rule's, for the words.
    fn forecast(&self, past: &[Point], limit: Limit, unit: &str) -> Option<Reached>;

    /// One that watches a value from now on, and knows nothing of it yet.
    fn watch(&self, unit: &str) -> Box<dyn Watch>;
}

/// Watches one value.
pub trait Watch: fmt::Debug + Send + Sync {
    /// The next reading, later than all before it. What is wrong after it; `None` where nothing is.
    fn observe(&mut self, point: Point) -> Option<Unusual>;
}

/// When a value reaches something.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// How soon, in nanoseconds.
    pub in_ns: u64,
    /// How that is known, in a sentence: the interval and the model.
    pub words: String,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusual {
    /// Whether there is too much of it, and not too little.
    pub is_above: bool,
    /// What is normal, and since when that is left, in a sentence.
    pub words: String,
}
