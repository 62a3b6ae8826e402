//! Ranges: the readings between two moments, of a selector or of what a subquery gives at each of its steps.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

use super::super::{
    Error, Histogram, Labels,
    expression::Expression,
    source::{Point, Points, Series},
};
use super::{Element, Evaluator, Line, SUBQUERY_STEP_MS, made};

/// What subqueries gave: by the expression, which is known by where it is, and the moment.
pub(super) type Kept = HashMap<*const Expression, BTreeMap<i64, Rc<Vec<Element>>>>;

/// A moment at which a range begins or ends.
pub(super) type Ends = (i64, i64);

/// The readings of a series within a range, at least one.
pub(super) struct Stretch<'e> {
    pub(super) labels: Labels,
    pub(super) readings: Readings<'e>,
}

pub(super) enum Readings<'e> {
    Floats(Cow<'e, [Point]>),
    Histograms(Cow<'e, [(i64, Arc<Histogram>)]>),
}

impl Stretch<'_> {
    pub(super) fn into_series(self) -> Series {
        Series {
            labels: self.labels,
            points: match self.readings {
                Readings::Floats(points) => Points::Floats(points.into_owned()),
                Readings::Histograms(points) => Points::Histograms(points.into_owned()),
            },
        }
    }
}

impl Evaluator {
    /// What a matrix holds at a moment: its ends, and the series that have readings between them.
    pub(super) fn stretches<'e>(
        &'e self,
        expression: &Expression,
        at: i64,
    ) -> Result<(Ends, Vec<Stretch<'e>>), Error> {
        match expression.bare() {
            Expression::Matrix(selector, range_ms) => {
                let to = selector.shift.moment(at, self.reach);
                let ends = (to.saturating_sub(*range_ms), to);
                let series = self.selected.series(selector).iter();
                let stretches = series.filter_map(|series| {
                    let readings = match &series.points {
                        Points::Floats(points) => {
                            let held = between(points, |point| point.time_ms, ends)?;
                            Readings::Floats(Cow::Borrowed(held))
                        }
                        Points::Histograms(points) => {
                            let held = between(points, |(time, _)| *time, ends)?;
                            Readings::Histograms(Cow::Borrowed(held))
                        }
                    };
                    let labels = series.labels.clone();
                    Some(Stretch { labels, readings })
                });
                Ok((ends, stretches.collect()))
            }
            Expression::Subquery {
                of,
                range_ms,
                step_ms,
                shift,
            } => {
                let to = shift.moment(at, self.reach);
                let ends = (to.saturating_sub(*range_ms), to);
                let step = step_ms.unwrap_or(SUBQUERY_STEP_MS);
                Ok((ends, self.subquery(of, ends, step)?))
            }
            _ => Ok(((at, at), Vec::new())),
        }
    }

    /// What an expression gives at every whole multiple of `step` between two moments.
    fn subquery(
        &self,
        of: &Expression,
        (from, to): Ends,
        step: i64,
    ) -> Result<Vec<Stretch<'static>>, Error> {
        // Go's division, which is towards zero, so that steps before the epoch are Prometheus' too.
        let mut at = (from / step).saturating_mul(step);
        if at < from {
            at = at.saturating_add(step);
        }
        self.forget(of, at);
        let mut lines: HashMap<Labels, Line> = HashMap::new();
        while at <= to {
            // What is known already is not evaluated again, which is where time is looked at otherwise.
            self.in_time()?;
            for element in self.kept(of, at)?.iter() {
                let line = lines.entry(element.labels.clone()).or_default();
                match &element.histogram {
                    Some(histogram) => line.histograms.push((at, histogram.clone())),
                    None => line.floats.push(Point {
                        time_ms: at,
                        value: element.value,
                    }),
                }
            }
            let Some(next) = at.checked_add(step) else {
                break;
            };
            at = next;
        }
        let stretches = lines.into_iter().map(|(labels, line)| Stretch {
            labels,
            readings: if line.histograms.is_empty() {
                Readings::Floats(Cow::Owned(line.floats))
            } else {
                Readings::Histograms(Cow::Owned(line.histograms))
            },
        });
        let mut stretches: Vec<_> = stretches.collect();
        stretches.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(stretches)
    }

    /// What an expression gives at a moment, computed once.
    fn kept(&self, of: &Expression, at: i64) -> Result<Rc<Vec<Element>>, Error> {
        let key = std::ptr::from_ref(of);
        let known = self
            .kept
            .borrow()
            .get(&key)
            .and_then(|kept| kept.get(&at).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let mut elements = super::unique(self.vector(of, at)?)?;
        self.spend(room(&elements))?;
        for element in &mut elements {
            element.labels = self.shared(&element.labels)?;
        }
        let elements = Rc::new(elements);
        let mut kept = self.kept.borrow_mut();
        kept.entry(key).or_default().insert(at, elements.clone());
        Ok(elements)
    }

    /// Forgets what an expression gave before a moment, which no later step sees.
    fn forget(&self, of: &Expression, before: i64) {
        let mut all = self.kept.borrow_mut();
        let Some(kept) = all.get_mut(&std::ptr::from_ref(of)) else {
            return;
        };
        let seen = kept.split_off(&before);
        let freed: usize = kept.values().map(|elements| room(elements)).sum();
        *kept = seen;
        self.spent.set(self.spent.get().saturating_sub(freed));
    }
}

/// How many readings what was at a moment counts as. That nothing was there takes room as well.
fn room(elements: &[Element]) -> usize {
    1 + elements.iter().map(made::readings).sum::<usize>()
}

/// Those of `readings` that are between two moments, both included; `None` where there are none.
fn between<T>(readings: &[T], time: impl Fn(&T) -> i64, (from, to): Ends) -> Option<&[T]> {
    let first = readings.partition_point(|reading| time(reading) < from);
    let last = readings.partition_point(|reading| time(reading) <= to);
    readings.get(first..last).filter(|held| !held.is_empty())
}
