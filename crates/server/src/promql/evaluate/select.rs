//! What selectors read: found once for the whole time that a query can see, then looked up at each step.

use std::collections::HashMap;

use super::super::{
    Error,
    expression::{Expression, Moment, Selector, Shift},
    source::{Points, Series, Source, Window},
};
use super::{Element, LOOKBACK_MS, Limits, Reach, too_many_series};

/// Series by the selector that asked for them, which is known by where it is.
pub(super) struct Selected(HashMap<*const Selector, Vec<Series>>);

impl Shift {
    /// The moment that is meant at `at`.
    pub(super) fn moment(&self, at: i64, reach: Reach) -> i64 {
        let (start, end) = reach.ends();
        let at = match self.at {
            None => at,
            Some(Moment::Ms(ms)) => ms,
            Some(Moment::Start) => start,
            Some(Moment::End) => end,
        };
        at.saturating_sub(self.offset_ms.unwrap_or(0))
    }

    fn window(&self, window: Window, reach: Reach) -> Window {
        Window {
            from_ms: self.moment(window.from_ms, reach),
            to_ms: self.moment(window.to_ms, reach),
        }
    }
}

impl Selected {
    /// Reads what every selector of an expression needs.
    pub(super) fn of(
        source: &dyn Source,
        expression: &Expression,
        reach: Reach,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            source,
            reach,
            limits,
            room: limits.points_max,
            selected: HashMap::new(),
        };
        let (from_ms, to_ms) = reach.ends();
        reader.read(expression, Window { from_ms, to_ms })?;
        Ok(Self(reader.selected))
    }

    /// How many readings it holds.
    pub(super) fn points(&self) -> usize {
        let series = self.0.values().flatten();
        series.map(|series| series.points.len()).sum()
    }

    pub(super) fn series(&self, selector: &Selector) -> &[Series] {
        self.0
            .get(&std::ptr::from_ref(selector))
            .map_or(&[], Vec::as_slice)
    }

    /// The last readings before or at a moment, and when they were made.
    pub(super) fn vector(
        &self,
        selector: &Selector,
        at: i64,
        reach: Reach,
    ) -> impl Iterator<Item = (Element, i64)> {
        let at = selector.shift.moment(at, reach);
        let is_seen = move |time: i64| time >= at.saturating_sub(LOOKBACK_MS);
        self.series(selector).iter().filter_map(move |series| {
            let labels = series.labels.clone();
            match &series.points {
                Points::Floats(points) => {
                    let next = points.partition_point(|point| point.time_ms <= at);
                    let point = *points.get(next.checked_sub(1)?)?;
                    let is_seen = is_seen(point.time_ms) && !point.is_stale();
                    is_seen.then(|| (Element::float(labels, point.value), point.time_ms))
                }
                Points::Histograms(points) => {
                    let next = points.partition_point(|(time, _)| *time <= at);
                    let (time, histogram) = points.get(next.checked_sub(1)?)?;
                    is_seen(*time).then(|| {
                        let element = Element {
                            histogram: Some(histogram.clone()),
                            ..Element::float(labels, f64::NAN)
                        };
                        (element, *time)
                    })
                }
            }
        })
    }
}

struct Reader<'s> {
    source: &'s dyn Source,
    reach: Reach,
    limits: Limits,
    /// How many readings more may be read.
    room: usize,
    selected: HashMap<*const Selector, Vec<Series>>,
}

impl Reader<'_> {
    /// Reads for an expression that is evaluated at moments in `window`.
    fn read(&mut self, expression: &Expression, window: Window) -> Result<(), Error> {
        match expression {
            Expression::Number(_) | Expression::Text(_) => Ok(()),
            Expression::Vector(selector) => self.select(selector, LOOKBACK_MS, window),
            Expression::Matrix(selector, range_ms) => {
                self.select(selector, *range_ms, window)?;
                self.leave_out_stale(selector);
                Ok(())
            }
            Expression::Subquery {
                of,
                range_ms,
                shift,
                ..
            } => {
                let window = shift.window(window, self.reach);
                let from_ms = window.from_ms.saturating_sub(*range_ms);
                self.read(of, Window { from_ms, ..window })
            }
            Expression::Call { arguments, .. } => arguments
                .iter()
                .try_for_each(|argument| self.read(argument, window)),
            Expression::Aggregate { parameter, of, .. } => {
                if let Some(parameter) = parameter {
                    self.read(parameter, window)?;
                }
                self.read(of, window)
            }
            Expression::Binary { left, right, .. } => {
                self.read(left, window)?;
                self.read(right, window)
            }
            Expression::Negative(of) | Expression::Paren(of) => self.read(of, window),
        }
    }

    fn select(&mut self, selector: &Selector, back_ms: i64, window: Window) -> Result<(), Error> {
        let window = selector.shift.window(window, self.reach);
        let from_ms = window.from_ms.saturating_sub(back_ms);
        let window = Window { from_ms, ..window };
        let mut series = self.source.select(&selector.matchers, window, self.room)?;
        if series.len() > self.limits.series_max {
            return Err(too_many_series(self.limits.series_max));
        }
        let points: usize = series.iter().map(|series| series.points.len()).sum();
        self.room = self
            .room
            .checked_sub(points)
            .ok_or_else(|| too_many_points(self.limits.points_max))?;
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        self.selected.insert(std::ptr::from_ref(selector), series);
        Ok(())
    }

    /// A mark of staleness is no reading of a range.
    fn leave_out_stale(&mut self, selector: &Selector) {
        let series = self.selected.get_mut(&std::ptr::from_ref(selector));
        for series in series.into_iter().flatten() {
            if let Points::Floats(points) = &mut series.points {
                points.retain(|point| !point.is_stale());
            }
        }
    }
}

pub(super) fn too_many_points(most: usize) -> Error {
    Error::execution(
        format!("the query needs more than {most} readings in memory"),
        "ask for a shorter time, a longer step or fewer series",
    )
}
