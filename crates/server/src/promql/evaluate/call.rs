//! Functions that are called (promql/functions.go).

use std::sync::Arc;

use super::super::{
    Error, Histogram,
    expression::{Expression, Type},
    functions::{
        Function, Moment, Own, Run,
        window::{Frame, extrapolation},
    },
    labels::{Comparison, Matcher, NAME, is_label_name},
};
use super::{Element, Evaluator, Labels, Value, made, range::Readings, unique};

impl Evaluator {
    pub(super) fn call(
        &self,
        function: &'static Function,
        arguments: &[Expression],
        at: i64,
    ) -> Result<Value, Error> {
        let elements = match (&function.run, arguments) {
            (Run::Math(run), [of, ..]) => self.each(function, of, at, run)?,
            (Run::Calendar(run), [of, ..]) => {
                self.each(function, of, at, &|value| run_at(*run, value))?
            }
            (Run::Calendar(run), []) => {
                let value = run(&Moment::of(at as f64 / 1000.0));
                vec![Element::float(Labels::default(), value)]
            }
            (Run::Window(run), _) => self.window(function, *run, arguments, at)?,
            (Run::Own(own), _) => return self.own(*own, function, arguments, at),
            (Run::Math(_), []) => Vec::new(),
        };
        Ok(Value::Vector(unique(elements)?))
    }

    /// A function of each value by itself.
    fn each(
        &self,
        function: &Function,
        of: &Expression,
        at: i64,
        run: &dyn Fn(f64) -> f64,
    ) -> Result<Vec<Element>, Error> {
        let elements = self.vector(of, at)?;
        only_floats(function, &elements)?;
        Ok(elements
            .into_iter()
            .map(|element| Element::float(element.labels.nameless(), run(element.value)))
            .collect())
    }

    fn window(
        &self,
        function: &Function,
        run: fn(&Frame<'_>) -> Option<f64>,
        arguments: &[Expression],
        at: i64,
    ) -> Result<Vec<Element>, Error> {
        let mut parameters = [f64::NAN; 2];
        let scalars = arguments
            .iter()
            .filter(|argument| argument.result() == Type::Scalar);
        for (parameter, argument) in parameters.iter_mut().zip(scalars) {
            *parameter = self.scalar(argument, at)?;
        }
        check_parameters(function, parameters)?;
        let Some(of) = arguments
            .iter()
            .find(|argument| argument.result() == Type::Matrix)
        else {
            return Ok(Vec::new());
        };
        let ((from_ms, to_ms), stretches) = self.stretches(of, at)?;
        let keeps_name = function.name == "last_over_time";
        let mut out = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            self.in_time()?;
            let labels = if keeps_name {
                stretch.labels
            } else {
                stretch.labels.nameless()
            };
            match stretch.readings {
                Readings::Floats(points) => {
                    let frame = Frame {
                        points: &points,
                        from_ms,
                        to_ms,
                        now_ms: at,
                        parameters,
                    };
                    out.extend(run(&frame).map(|value| Element::float(labels, value)));
                }
                Readings::Histograms(points) => {
                    out.extend(of_histograms(function, &labels, &points, (from_ms, to_ms))?);
                }
            }
        }
        Ok(out)
    }

    fn own(
        &self,
        own: Own,
        function: &Function,
        arguments: &[Expression],
        at: i64,
    ) -> Result<Value, Error> {
        let scalar = |place: usize| match arguments.get(place) {
            Some(argument) => self.scalar(argument, at),
            None => Ok(f64::NAN),
        };
        let elements = match (own, arguments) {
            (Own::Pi, _) => return Ok(Value::Scalar(std::f64::consts::PI)),
            (Own::Time, _) => return Ok(Value::Scalar(at as f64 / 1000.0)),
            (Own::Scalar, [of]) => {
                let elements = self.vector(of, at)?;
                return Ok(Value::Scalar(match &*elements {
                    [only] => only.value,
                    _ => f64::NAN,
                }));
            }
            (Own::Vector, _) => vec![Element::float(Labels::default(), scalar(0)?)],
            (Own::Absent, [of]) => {
                let is_there = !self.vector(of, at)?.is_empty();
                absent(is_there, of)
            }
            (Own::AbsentOverTime, [of]) => {
                let is_there = !self.stretches(of, at)?.1.is_empty();
                absent(is_there, of)
            }
            (Own::Timestamp, [of]) => self.timestamps(of, at)?,
            (Own::Clamp | Own::ClampMax | Own::ClampMin | Own::Round, [of, rest @ ..]) => {
                self.bounded(own, function, of, rest, at)?
            }
            (Own::Sort | Own::SortDescending, [of]) => {
                sorted(self.vector(of, at)?, own == Own::SortDescending)
            }
            (Own::LabelReplace, [of, rest @ ..]) => self.label_replace(of, rest, at)?,
            (Own::LabelJoin, [of, rest @ ..]) => self.label_join(of, rest, at)?,
            (Own::HistogramQuantile, [_, of]) => {
                super::histograms::quantiles(scalar(0)?, self.vector(of, at)?)
            }
            (Own::HistogramFraction, [.., of]) => {
                let (lower, upper) = (scalar(0)?, scalar(1)?);
                self.of_each_histogram(of, at, |it| it.fraction(lower, upper))?
            }
            (Own::HistogramCount, [of]) => self.of_each_histogram(of, at, Histogram::count)?,
            (Own::HistogramSum, [of]) => self.of_each_histogram(of, at, |it| it.sum)?,
            // The types were checked: there are no other numbers of arguments.
            _ => Vec::new(),
        };
        Ok(Value::Vector(unique(elements)?))
    }

    /// `clamp`, its halves and `round`: each number moved by what the further arguments say.
    fn bounded(
        &self,
        own: Own,
        function: &Function,
        of: &Expression,
        rest: &[Expression],
        at: i64,
    ) -> Result<Vec<Element>, Error> {
        let bound = |place: usize| match rest.get(place) {
            Some(argument) => self.scalar(argument, at),
            None => Ok(f64::NAN),
        };
        match own {
            Own::Clamp => {
                let (least, most) = (bound(0)?, bound(1)?);
                if least > most {
                    return Ok(Vec::new());
                }
                self.each(function, of, at, &|value| {
                    largest(least, smallest(most, value))
                })
            }
            Own::ClampMax => {
                let most = bound(0)?;
                self.each(function, of, at, &|value| smallest(most, value))
            }
            Own::ClampMin => {
                let least = bound(0)?;
                self.each(function, of, at, &|value| largest(least, value))
            }
            _ => {
                let nearest = if rest.is_empty() { 1.0 } else { bound(0)? };
                // Divided by the inverse, as Prometheus does, because 0.1 is no binary fraction.
                let inverse = 1.0 / nearest;
                self.each(function, of, at, &|value| {
                    (value * inverse + 0.5).floor() / inverse
                })
            }
        }
    }

    /// As in Prometheus, what is no histogram is left out.
    fn of_each_histogram(
        &self,
        of: &Expression,
        at: i64,
        run: impl Fn(&Histogram) -> f64,
    ) -> Result<Vec<Element>, Error> {
        let elements = self.vector(of, at)?.into_iter();
        let elements = elements.filter_map(|element| {
            let value = run(element.histogram.as_ref()?);
            Some(Element::float(element.labels.nameless(), value))
        });
        Ok(elements.collect())
    }

    /// When values were read: of a selector the readings' times, of all else the moment of evaluation.
    fn timestamps(&self, of: &Expression, at: i64) -> Result<Vec<Element>, Error> {
        let stamp = |element: Element, time: i64| {
            Element::float(element.labels.nameless(), time as f64 / 1000.0)
        };
        if let Expression::Vector(selector) = of.bare() {
            let elements = self.selected.vector(selector, at, self.reach);
            return Ok(elements
                .map(|(element, time)| stamp(element, time))
                .collect());
        }
        let elements = self.vector(of, at)?.into_iter();
        Ok(elements.map(|element| stamp(element, at)).collect())
    }

    fn texts(&self, arguments: &[Expression], at: i64) -> Result<Vec<String>, Error> {
        let texts = arguments.iter();
        texts.map(|text| Ok(self.value(text, at)?.text())).collect()
    }

    fn label_replace(
        &self,
        of: &Expression,
        arguments: &[Expression],
        at: i64,
    ) -> Result<Vec<Element>, Error> {
        let texts = self.texts(arguments, at)?;
        let [target, replacement, label, pattern] = &*texts else {
            return Ok(Vec::new());
        };
        let regex = self.regex(pattern)?;
        check_label(target)?;
        let pieces = made::pieces(replacement);
        let mut elements = self.vector(of, at)?;
        for element in &mut elements {
            self.in_time()?;
            let Some(found) = regex.captures(element.labels.get(label)) else {
                continue;
            };
            let value = made::expanded(&found, &pieces, target)?;
            element.labels = element.labels.with(target, self.made(&value)?);
        }
        Ok(elements)
    }

    fn label_join(
        &self,
        of: &Expression,
        arguments: &[Expression],
        at: i64,
    ) -> Result<Vec<Element>, Error> {
        let texts = self.texts(arguments, at)?;
        let [target, separator, labels @ ..] = &*texts else {
            return Ok(Vec::new());
        };
        check_label(target)?;
        labels.iter().try_for_each(|label| check_label(label))?;
        let mut elements = self.vector(of, at)?;
        for element in &mut elements {
            self.in_time()?;
            let values = labels.iter().map(|label| element.labels.get(label));
            let value = made::joined(&values.collect::<Vec<_>>(), separator, target)?;
            element.labels = element.labels.with(target, self.made(&value)?);
        }
        Ok(elements)
    }
}

fn run_at(run: fn(&Moment) -> f64, value: f64) -> f64 {
    if value.is_finite() {
        run(&Moment::of(value))
    } else {
        f64::NAN
    }
}

/// The smaller of two; none where one is no number.
fn smallest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

/// The larger of two; none where one is no number.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

pub(super) fn check_label(name: &str) -> Result<(), Error> {
    if is_label_name(name) {
        return Ok(());
    }
    Err(Error::execution(
        format!("`{name}` is no name of a label"),
        "names of labels have letters, digits and _",
    ))
}

fn check_parameters(function: &Function, parameters: [f64; 2]) -> Result<(), Error> {
    let is_factor = |value: f64| value > 0.0 && value < 1.0;
    if function.name == "holt_winters" && !parameters.into_iter().all(is_factor) {
        return Err(Error::execution(
            "the factors of `holt_winters` lie between 0 and 1",
            "give factors such as 0.5",
        ));
    }
    Ok(())
}

fn only_floats(function: &Function, elements: &[Element]) -> Result<(), Error> {
    let histogram = elements.iter().find(|element| element.histogram.is_some());
    histogram.map_or(Ok(()), |element| {
        Err(no_histogram(function, &element.labels))
    })
}

fn no_histogram(function: &Function, labels: &Labels) -> Error {
    Error::execution(
        format!(
            "`{}` of the histogram {labels} is not supported",
            function.name
        ),
        "take rate, increase, delta, last_over_time, sum, histogram_quantile, histogram_fraction, histogram_count or histogram_sum of histograms",
    )
}

/// Functions of a range of histograms.
fn of_histograms(
    function: &Function,
    labels: &Labels,
    points: &[(i64, Arc<Histogram>)],
    (from, to): (i64, i64),
) -> Result<Option<Element>, Error> {
    let histogram = |histogram| {
        Some(Element {
            histogram: Some(histogram),
            ..Element::float(labels.clone(), f64::NAN)
        })
    };
    let float = |value| Some(Element::float(labels.clone(), value));
    let [(first_ms, first), .., (last_ms, last)] = points else {
        // One reading alone.
        return Ok(match (function.name, points) {
            ("last_over_time", [(_, only)]) => histogram(only.clone()),
            ("count_over_time" | "present_over_time", [_]) => float(1.0),
            ("rate" | "increase" | "delta", _) => None,
            _ => return Err(no_histogram(function, labels)),
        });
    };
    let is_counter = function.name != "delta";
    match function.name {
        "last_over_time" => return Ok(histogram(last.clone())),
        "count_over_time" => return Ok(float(points.len() as f64)),
        "present_over_time" => return Ok(float(1.0)),
        "rate" | "increase" | "delta" => {}
        _ => return Err(no_histogram(function, labels)),
    }
    let mut came = last.plus(first, -1.0);
    for pair in points.windows(2) {
        if is_counter && pair[1].1.is_reset_since(&pair[0].1) {
            came = came.plus(&pair[0].1, 1.0);
        }
    }
    let factor = extrapolation((from, to), (*first_ms, *last_ms), points.len(), None);
    let seconds = if function.name == "rate" {
        (to - from) as f64 / 1000.0
    } else {
        1.0
    };
    Ok(histogram(Arc::new(came.times(factor / seconds))))
}

/// Nothing where something is there; otherwise one element, with the labels that the selector demands.
fn absent(is_there: bool, of: &Expression) -> Vec<Element> {
    if is_there {
        return Vec::new();
    }
    let matchers: &[Matcher] = match of.bare() {
        Expression::Vector(selector) | Expression::Matrix(selector, _) => &selector.matchers,
        _ => &[],
    };
    let is_alone = |label: &str| matchers.iter().filter(|it| it.label == label).count() == 1;
    let demanded = matchers.iter().filter(|matcher| {
        let is_equal = matches!(matcher.comparison, Comparison::Equal);
        matcher.label != NAME && is_equal && is_alone(&matcher.label)
    });
    let labels =
        demanded.map(|matcher| (matcher.label.as_str().into(), matcher.value.as_str().into()));
    vec![Element::float(Labels::new(labels), 1.0)]
}

/// By value; what is no number last.
fn sorted(mut elements: Vec<Element>, is_descending: bool) -> Vec<Element> {
    elements.sort_by(|a, b| {
        let order = a.value.partial_cmp(&b.value);
        let order = order.unwrap_or(std::cmp::Ordering::Equal);
        let nan = a.value.is_nan().cmp(&b.value.is_nan());
        nan.then(if is_descending {
            order.reverse()
        } else {
            order
        })
    });
    elements
}
