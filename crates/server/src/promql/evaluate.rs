//! An expression and a source into an answer, one moment after the other.
//!
//! Everything that is read is read first ([`select`]), once for each selector; then the expression is evaluated at each step.
//! What a subquery gives at a moment is kept as long as later steps can see it.

#![expect(
    clippy::mutable_key_type,
    reason = "what labels remember of themselves is computed from what they are"
)]

mod aggregate;
mod binary;
mod call;
mod histograms;
mod made;
mod range;
mod select;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use regex::Regex;

use super::{
    Error, Fault, Histogram, Labels,
    expression::{Expression, Type},
    labels::whole,
    source::{Point, Points, Series, Source},
};
use select::Selected;

pub(crate) use aggregate::go_number;

/// How far an instant selector looks back, in milliseconds: Prometheus' default.
pub(crate) const LOOKBACK_MS: i64 = 300_000;
/// The step of a subquery that names none, in milliseconds: Prometheus' default.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// The bounds of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many readings may be in memory, those of the answer among them.
    pub(crate) points_max: usize,
    /// How many series a selector or an answer may have.
    pub(crate) series_max: usize,
    /// How many steps an answer may have.
    pub(crate) steps_max: usize,
    pub(crate) timeout: Duration,
}

impl Default for Limits {
    /// Five million readings, 20,000 series, 11,000 steps (Prometheus' own bound), and 30 s.
    fn default() -> Self {
        Self {
            points_max: 5_000_000,
            series_max: 20_000,
            steps_max: 11_000,
            timeout: Duration::from_secs(30),
        }
    }
}

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Once, in milliseconds since the Unix epoch.
    Instant(i64),
    /// From a moment to another, both included.
    Range {
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    },
}

impl Reach {
    const fn ends(self) -> (i64, i64) {
        match self {
            Self::Instant(at) => (at, at),
            Self::Range {
                start_ms, end_ms, ..
            } => (start_ms, end_ms),
        }
    }
}

/// An element of a vector.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) labels: Labels,
    /// Not a number where there is a histogram.
    pub(crate) value: f64,
    pub(crate) histogram: Option<Arc<Histogram>>,
}

impl Element {
    const fn float(labels: Labels, value: f64) -> Self {
        Self {
            labels,
            value,
            histogram: None,
        }
    }
}

/// What a query gives.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Scalar(f64),
    Text(String),
    Vector(Vec<Element>),
    Matrix(Vec<Series>),
}

/// What an expression gives at a moment.
enum Value {
    Scalar(f64),
    Text(String),
    Vector(Vec<Element>),
}

impl Value {
    /// The scalar that the types promise.
    fn scalar(self) -> f64 {
        match self {
            Self::Scalar(value) => value,
            _ => f64::NAN,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            _ => String::new(),
        }
    }

    fn vector(self) -> Vec<Element> {
        match self {
            Self::Vector(elements) => elements,
            _ => Vec::new(),
        }
    }
}

/// Answers a query.
pub(crate) fn evaluate(
    source: &dyn Source,
    expression: &Expression,
    reach: Reach,
    limits: Limits,
) -> Result<Answer, Error> {
    let deadline = Instant::now() + limits.timeout;
    if let Reach::Range {
        start_ms,
        end_ms,
        step_ms,
    } = reach
    {
        let result = expression.result();
        if !matches!(result, Type::Scalar | Type::Vector) {
            let message = format!(
                "the query gives {}, which has no values over time",
                result.name()
            );
            return Err(Error::new(
                Fault::Query,
                message,
                "ask for a scalar or an instant vector, or for one moment",
            ));
        }
        let steps = end_ms.saturating_sub(start_ms) / step_ms.max(1) + 1;
        if step_ms <= 0 || end_ms < start_ms || steps > limits.steps_max as i64 {
            let message = format!("a query has 1 to {} steps, not {steps}", limits.steps_max);
            let mend = "give a longer step or a shorter time, with its end after its start";
            return Err(Error::new(Fault::Query, message, mend));
        }
    }
    let selected = Selected::of(source, expression, reach, limits)?;
    let evaluator = Evaluator {
        spent: Cell::new(selected.points()),
        selected,
        reach,
        limits,
        deadline,
        regexes: RefCell::default(),
        kept: RefCell::default(),
        made: RefCell::default(),
    };
    match reach {
        Reach::Instant(at) => evaluator.instant(expression, at),
        Reach::Range { .. } => evaluator.range(expression),
    }
}

struct Evaluator {
    selected: Selected,
    reach: Reach,
    limits: Limits,
    deadline: Instant,
    /// Readings in memory.
    spent: Cell<usize>,
    regexes: RefCell<HashMap<String, Regex>>,
    /// What subqueries gave, by expression and moment.
    kept: RefCell<range::Kept>,
    /// Labels that the query made.
    made: RefCell<made::Made>,
}

impl Evaluator {
    fn instant(&self, expression: &Expression, at: i64) -> Result<Answer, Error> {
        if expression.result() == Type::Matrix {
            let (.., stretches) = self.stretches(expression, at)?;
            self.spend(made::written(stretches.iter().map(|it| &it.labels)))?;
            let series = stretches.into_iter().map(range::Stretch::into_series);
            return Ok(Answer::Matrix(series.collect()));
        }
        Ok(match self.value(expression, at)? {
            Value::Scalar(value) => Answer::Scalar(value),
            Value::Text(text) => Answer::Text(text),
            Value::Vector(elements) => {
                self.spend(made::written(elements.iter().map(|it| &it.labels)))?;
                Answer::Vector(elements)
            }
        })
    }

    fn range(&self, expression: &Expression) -> Result<Answer, Error> {
        let Reach::Range {
            start_ms,
            end_ms,
            step_ms,
        } = self.reach
        else {
            return Ok(Answer::Matrix(Vec::new()));
        };
        let mut lines: HashMap<Labels, Line> = HashMap::new();
        let mut at = start_ms;
        while at <= end_ms {
            let elements = match self.value(expression, at)? {
                Value::Scalar(value) => vec![Element::float(Labels::default(), value)],
                other => unique(other.vector())?,
            };
            self.spend(elements.iter().map(made::readings).sum())?;
            for element in elements {
                let line = lines.entry(element.labels).or_default();
                match element.histogram {
                    Some(histogram) => line.histograms.push((at, histogram)),
                    None => line.floats.push(Point {
                        time_ms: at,
                        value: element.value,
                    }),
                }
            }
            if lines.len() > self.limits.series_max {
                return Err(too_many_series(self.limits.series_max));
            }
            let Some(next) = at.checked_add(step_ms) else {
                break;
            };
            at = next;
        }
        self.spend(made::written(lines.keys()))?;
        let mut series: Vec<Series> = lines
            .into_iter()
            .map(|(labels, line)| line.series(labels))
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Answer::Matrix(series))
    }

    /// What an expression that is no matrix gives at a moment.
    fn value(&self, expression: &Expression, at: i64) -> Result<Value, Error> {
        self.in_time()?;
        match expression {
            Expression::Number(number) => Ok(Value::Scalar(*number)),
            Expression::Text(text) => Ok(Value::Text(text.clone())),
            Expression::Paren(of) => self.value(of, at),
            Expression::Vector(selector) => {
                let elements = self.selected.vector(selector, at, self.reach);
                let elements = elements.map(|(element, _)| element);
                Ok(Value::Vector(elements.collect()))
            }
            Expression::Matrix(..) | Expression::Subquery { .. } => Ok(Value::Vector(Vec::new())),
            Expression::Call {
                function,
                arguments,
            } => self.call(function, arguments, at),
            Expression::Aggregate {
                aggregation,
                parameter,
                of,
                grouping,
            } => self.aggregate(*aggregation, parameter.as_deref(), of, grouping, at),
            Expression::Binary {
                operator,
                left,
                right,
                is_bool,
                matching,
            } => {
                let (left, right) = (self.value(left, at)?, self.value(right, at)?);
                binary::apply(*operator, left, right, *is_bool, matching)
            }
            Expression::Negative(of) => Ok(match self.value(of, at)? {
                Value::Vector(elements) => {
                    let elements = elements.into_iter().map(|element| Element {
                        labels: element.labels.nameless(),
                        value: -element.value,
                        histogram: element.histogram.map(|of| Arc::new(of.times(-1.0))),
                    });
                    Value::Vector(unique(elements.collect())?)
                }
                other => Value::Scalar(-other.scalar()),
            }),
        }
    }

    fn vector(&self, expression: &Expression, at: i64) -> Result<Vec<Element>, Error> {
        Ok(self.value(expression, at)?.vector())
    }

    fn scalar(&self, expression: &Expression, at: i64) -> Result<f64, Error> {
        Ok(self.value(expression, at)?.scalar())
    }

    fn in_time(&self) -> Result<(), Error> {
        if Instant::now() <= self.deadline {
            return Ok(());
        }
        let seconds = self.limits.timeout.as_secs_f64();
        Err(Error::new(
            Fault::Timeout,
            format!("the query took longer than {seconds} s"),
            "ask for a shorter time, a longer step or fewer series",
        ))
    }

    /// Counts readings that are kept.
    fn spend(&self, points: usize) -> Result<(), Error> {
        let spent = self.spent.get().saturating_add(points);
        self.spent.set(spent);
        if spent <= self.limits.points_max {
            return Ok(());
        }
        Err(select::too_many_points(self.limits.points_max))
    }

    fn regex(&self, pattern: &str) -> Result<Regex, Error> {
        if let Some(known) = self.regexes.borrow().get(pattern) {
            return Ok(known.clone());
        }
        let regex = whole(pattern).map_err(|error| Error {
            fault: Fault::Execution,
            ..error
        })?;
        self.regexes
            .borrow_mut()
            .insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}

/// What a series of an answer has so far.
#[derive(Default)]
struct Line {
    floats: Vec<Point>,
    histograms: Vec<(i64, Arc<Histogram>)>,
}

impl Line {
    fn series(self, labels: Labels) -> Series {
        let points = if self.histograms.is_empty() {
            Points::Floats(self.floats)
        } else {
            Points::Histograms(self.histograms)
        };
        Series { labels, points }
    }
}

fn too_many_series(most: usize) -> Error {
    Error::execution(
        format!("there are more than {most} series"),
        "match more labels, or aggregate",
    )
}

/// A vector whose labels are all different, or an error.
fn unique(elements: Vec<Element>) -> Result<Vec<Element>, Error> {
    if elements.len() < 2 {
        return Ok(elements);
    }
    let mut seen = std::collections::HashSet::with_capacity(elements.len());
    if let Some(twice) = elements
        .iter()
        .find(|element| !seen.insert(&element.labels))
    {
        return Err(Error::execution(
            format!("two elements have the same labels, {}", twice.labels),
            "select one metric, or keep a label by which they differ",
        ));
    }
    Ok(elements)
}
