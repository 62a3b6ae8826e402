//! The functions: what they take, what they give, and, of most of them, how.

mod calendar;
mod table;
pub(super) mod window;

use super::expression::Type;

pub(super) use self::{calendar::Moment, table::TABLE};

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The last one may come again where `more` says so.
    arguments: &'static [Type],
    more: More,
    pub(crate) returns: Type,
    pub(crate) run: Run,
}

/// How many arguments there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// As many as are named.
    None,
    /// The last may be left out.
    Optional,
    /// The last may come any number of times.
    Any,
}

/// How a function is evaluated.
#[derive(Debug)]
pub(crate) enum Run {
    /// Of each value by itself.
    Math(fn(f64) -> f64),
    /// Of each value by itself, as a moment in UTC; without an argument, of the time of evaluation.
    Calendar(fn(&Moment) -> f64),
    /// Of the readings of each series in a range.
    Window(fn(&window::Frame<'_>) -> Option<f64>),
    /// In a way of its own.
    Own(Own),
}

/// Functions that are evaluated in ways of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMax,
    ClampMin,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramSum,
    LabelJoin,
    LabelReplace,
    Pi,
    Round,
    Scalar,
    Sort,
    SortDescending,
    Time,
    Timestamp,
    Vector,
}

impl Function {
    /// The fewest and the most arguments.
    pub(crate) const fn arity(&self) -> (usize, usize) {
        let named = self.arguments.len();
        match self.more {
            More::None => (named, named),
            More::Optional => (named - 1, named),
            More::Any => (named - 1, usize::MAX),
        }
    }

    /// What an argument has to be.
    pub(crate) fn argument(&self, at: usize) -> Type {
        let last = self.arguments.last().copied().unwrap_or(Type::Vector);
        self.arguments.get(at).copied().unwrap_or(last)
    }
}

/// The function of this name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    TABLE.iter().find(|function| function.name == name)
}

/// What to do about a function that is not there.
pub(super) fn why_not(name: &str) -> &'static str {
    const LATER: [&str; 12] = [
        "double_exponential_smoothing",
        "first_over_time",
        "histogram_avg",
        "histogram_stddev",
        "histogram_stdvar",
        "info",
        "limitk",
        "limit_ratio",
        "mad_over_time",
        "sort_by_label",
        "sort_by_label_desc",
        "ts_of_last_over_time",
    ];
    let lower = name.to_ascii_lowercase();
    if LATER.contains(&name) {
        "it is not supported here: functions are those of Prometheus 2.42 (docs/promql.md)"
    } else if named(&lower).is_some() {
        "names of functions are written in small letters"
    } else {
        "docs/promql.md lists the functions"
    }
}
