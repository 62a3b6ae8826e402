//! Every function, by name.

use super::{
    Function, More, Own, Run,
    Type::{self, Matrix, Scalar, Text, Vector},
    calendar::{self, Moment},
    window::{self, Frame},
};

const fn math(name: &'static str, run: fn(f64) -> f64) -> Function {
    Function {
        name,
        arguments: &[Vector],
        more: More::None,
        returns: Vector,
        run: Run::Math(run),
    }
}

const fn calendar(name: &'static str, run: fn(&Moment) -> f64) -> Function {
    Function {
        name,
        arguments: &[Vector],
        more: More::Optional,
        returns: Vector,
        run: Run::Calendar(run),
    }
}

const fn range(name: &'static str, run: fn(&Frame<'_>) -> Option<f64>) -> Function {
    range_with(name, &[Matrix], run)
}

const fn range_with(
    name: &'static str,
    arguments: &'static [Type],
    run: fn(&Frame<'_>) -> Option<f64>,
) -> Function {
    Function {
        name,
        arguments,
        more: More::None,
        returns: Vector,
        run: Run::Window(run),
    }
}

const fn own(name: &'static str, arguments: &'static [Type], run: Own) -> Function {
    Function {
        name,
        arguments,
        more: More::None,
        returns: Vector,
        run: Run::Own(run),
    }
}

const fn constant(name: &'static str, arguments: &'static [Type], run: Own) -> Function {
    Function {
        returns: Scalar,
        ..own(name, arguments, run)
    }
}

const fn with_more(function: Function, more: More) -> Function {
    Function { more, ..function }
}

/// In the order of the alphabet, which is that of docs/promql.md.
pub(crate) static TABLE: [Function; 70] = [
    math("abs", f64::abs),
    own("absent", &[Vector], Own::Absent),
    own("absent_over_time", &[Matrix], Own::AbsentOverTime),
    math("acos", f64::acos),
    math("acosh", f64::acosh),
    math("asin", f64::asin),
    math("asinh", f64::asinh),
    math("atan", f64::atan),
    math("atanh", f64::atanh),
    range("avg_over_time", window::avg),
    math("ceil", f64::ceil),
    range("changes", window::changes),
    own("clamp", &[Vector, Scalar, Scalar], Own::Clamp),
    own("clamp_max", &[Vector, Scalar], Own::ClampMax),
    own("clamp_min", &[Vector, Scalar], Own::ClampMin),
    math("cos", f64::cos),
    math("cosh", f64::cosh),
    range("count_over_time", window::count),
    calendar("day_of_month", calendar::day_of_month),
    calendar("day_of_week", calendar::day_of_week),
    calendar("day_of_year", calendar::day_of_year),
    calendar("days_in_month", calendar::days_in_month),
    math("deg", f64::to_degrees),
    range("delta", window::delta),
    range("deriv", window::deriv),
    math("exp", f64::exp),
    math("floor", f64::floor),
    own("histogram_count", &[Vector], Own::HistogramCount),
    own(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        Own::HistogramFraction,
    ),
    own(
        "histogram_quantile",
        &[Scalar, Vector],
        Own::HistogramQuantile,
    ),
    own("histogram_sum", &[Vector], Own::HistogramSum),
    range_with(
        "holt_winters",
        &[Matrix, Scalar, Scalar],
        window::holt_winters,
    ),
    calendar("hour", calendar::hour),
    range("idelta", window::idelta),
    range("increase", window::increase),
    range("irate", window::irate),
    with_more(
        own("label_join", &[Vector, Text, Text, Text], Own::LabelJoin),
        More::Any,
    ),
    own(
        "label_replace",
        &[Vector, Text, Text, Text, Text],
        Own::LabelReplace,
    ),
    range("last_over_time", window::last),
    math("ln", f64::ln),
    math("log10", f64::log10),
    math("log2", f64::log2),
    range("max_over_time", window::max),
    range("min_over_time", window::min),
    calendar("minute", calendar::minute),
    calendar("month", calendar::month),
    constant("pi", &[], Own::Pi),
    range_with("predict_linear", &[Matrix, Scalar], window::predict_linear),
    range("present_over_time", window::present),
    range_with(
        "quantile_over_time",
        &[Scalar, Matrix],
        window::quantile_over_time,
    ),
    math("rad", f64::to_radians),
    range("rate", window::rate),
    range("resets", window::resets),
    with_more(own("round", &[Vector, Scalar], Own::Round), More::Optional),
    constant("scalar", &[Vector], Own::Scalar),
    math("sgn", sign),
    math("sin", f64::sin),
    math("sinh", f64::sinh),
    own("sort", &[Vector], Own::Sort),
    own("sort_desc", &[Vector], Own::SortDescending),
    math("sqrt", f64::sqrt),
    range("stddev_over_time", window::stddev),
    range("stdvar_over_time", window::stdvar),
    range("sum_over_time", window::sum),
    math("tan", f64::tan),
    math("tanh", f64::tanh),
    constant("time", &[], Own::Time),
    own("timestamp", &[Vector], Own::Timestamp),
    own("vector", &[Scalar], Own::Vector),
    calendar("year", calendar::year),
];

/// -1, 0 or 1; what is no number stays none.
fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}
