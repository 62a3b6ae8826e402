//! The store as a source of queries: its metrics under Prometheus' names, their attributes and resources as labels.

use std::collections::{BTreeMap, HashMap};

use radiosonde_store::{
    Store, attributes_from_json,
    query::{Answer, Limits, QueryError},
};

use super::{
    super::rows::{Row, Rows, literals},
    buckets::{self, Buckets, Grid, Reading},
    names::{self, Facet, Shown, TARGET, Target},
};
use crate::promql::{
    Error, Fault, Labels, Matcher, Metadata, NAME, Point, Points, Series, Source, Window,
};

/// Most metrics and series that are looked at for a selector.
const SERIES_MAX: usize = 100_000;
/// Up to so many series are asked for by number; of more, all of their metrics' readings are read.
const NUMBERS_MAX: usize = 500;
/// `target_info` has a reading so often at most.
const TARGET_STEP_NS: i64 = 15_000_000_000;
/// Told of a series whose readings are what came since the last.
const TEMPORALITY: &str = "radiosonde.temporality";

/// A store.
pub(super) struct Kept<'a>(pub(super) &'a Store);

/// A metric as the store has it, and what of it is asked for.
struct Asked {
    name: String,
    unit: String,
    kind: String,
    shown: Vec<Shown>,
}

/// A series of the store that may hold what is asked for.
struct Found<'m> {
    metric: &'m Asked,
    is_delta: bool,
    target: Target,
    scope: String,
    attributes: radiosonde_core::model::Attributes,
}

impl Kept<'_> {
    fn rows(&self, statement: &str, rows_max: usize) -> Result<Rows, Error> {
        let limits = Limits::of_program(rows_max);
        let answer: Result<Answer, QueryError> = self.0.sql(statement, limits);
        let rows = Rows::new(answer.map_err(|error| refused(&error))?);
        if rows.more {
            return Err(Error::execution(
                format!("a selector reads more than {rows_max} rows"),
                "ask for a shorter time, or match fewer series",
            ));
        }
        Ok(rows)
    }

    /// The metrics one of whose names all matchers accept, with those names.
    fn asked(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Asked>, Error> {
        let statement = format!(
            "SELECT DISTINCT name, unit, kind FROM points WHERE {}",
            within(window)
        );
        let metric = |mut row: Row| {
            let (name, unit, kind) = (row.text(), row.text(), row.text());
            let mut shown = names::shown(&name, &unit, &kind);
            shown.retain(|shown| accept(matchers, &shown.name));
            Asked {
                name,
                unit,
                kind,
                shown,
            }
        };
        let metrics = self.rows(&statement, SERIES_MAX)?.map(metric);
        Ok(metrics.filter(|metric| !metric.shown.is_empty()).collect())
    }

    /// The series of metrics whose labels all matchers may accept, by number.
    fn found<'m>(
        &self,
        metrics: &'m [Asked],
        matchers: &[Matcher],
        window: Window,
    ) -> Result<BTreeMap<i64, Found<'m>>, Error> {
        if metrics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let statement = format!(
            "SELECT series, max(name), max(unit), max(kind), max(scope), max(resource), max(attributes) FROM points \
             WHERE name IN ({}) AND {} GROUP BY series",
            literals(metrics.iter().map(|metric| &metric.name)),
            within(window)
        );
        let known: HashMap<(&str, &str, &str), &Asked> = metrics
            .iter()
            .map(|metric| ((&*metric.name, &*metric.unit, &*metric.kind), metric))
            .collect();
        let mut found = BTreeMap::new();
        for mut row in self.rows(&statement, SERIES_MAX)? {
            let number = row.int();
            let (name, unit, kind) = (row.text(), row.text(), row.text());
            let (scope, resource, attributes) = (row.text(), row.text(), row.text());
            let Some(metric) = known.get(&(&*name, &*unit, &*kind)) else {
                continue;
            };
            let mut attributes = attributes_from_json(&attributes);
            let all = attributes.len();
            attributes.retain(|(name, _)| name != TEMPORALITY);
            let series = Found {
                metric,
                is_delta: attributes.len() < all,
                target: Target::of(attributes_from_json(&resource)),
                scope,
                attributes,
            };
            let labels = series.labels("");
            // A bound is known only with the readings.
            let may_be = |matcher: &Matcher| {
                matcher.label == NAME
                    || (matcher.label == "le" && series.has_buckets())
                    || matcher.accepts(labels.get(&matcher.label))
            };
            if matchers.iter().all(may_be) {
                found.insert(number, series);
            }
        }
        Ok(found)
    }

    fn readings(
        &self,
        found: &BTreeMap<i64, Found<'_>>,
        window: Window,
        points_max: usize,
    ) -> Result<BTreeMap<i64, Vec<Reading>>, Error> {
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let has_buckets = found.values().any(Found::has_buckets);
        let distribution = if has_buckets { ", distribution" } else { "" };
        let mut condition = String::new();
        if found.len() <= NUMBERS_MAX {
            let numbers: Vec<String> = found.keys().map(ToString::to_string).collect();
            condition = format!(" AND series IN ({})", numbers.join(", "));
        }
        let statement = format!(
            "SELECT series, CAST(time AS BIGINT), CAST(start_time AS BIGINT), value, count{distribution} FROM points \
             WHERE name IN ({}){condition} AND {}",
            literals(found.values().map(|series| &series.metric.name)),
            within(window)
        );
        let mut readings: BTreeMap<i64, Vec<Reading>> = BTreeMap::new();
        for mut row in self.rows(&statement, points_max)? {
            let number = row.int();
            if !found.contains_key(&number) {
                continue;
            }
            let (time_ns, start_ns) = (row.int(), row.int());
            let value = row.number().unwrap_or(f64::NAN);
            let count = row.number().unwrap_or(0.0);
            let distribution = if has_buckets {
                row.text()
            } else {
                String::new()
            };
            readings.entry(number).or_default().push(Reading {
                time_ms: time_ns.div_euclid(1_000_000),
                start_ms: start_ns.div_euclid(1_000_000),
                value,
                count,
                distribution: Buckets::read(&distribution, value),
            });
        }
        Ok(readings)
    }

    /// What made the readings, as `target_info`.
    fn targets(&self, window: Window, points_max: usize) -> Result<Vec<Series>, Error> {
        let statement = format!(
            "SELECT resource, max(CAST(time AS BIGINT)) FROM points WHERE {} \
             GROUP BY resource, CAST(time AS BIGINT) / {TARGET_STEP_NS}",
            within(window)
        );
        let mut times: HashMap<String, Vec<i64>> = HashMap::new();
        for mut row in self.rows(&statement, points_max)? {
            let resource = row.text();
            let time_ms = row.int().div_euclid(1_000_000);
            times.entry(resource).or_default().push(time_ms);
        }
        let series = times.into_iter().map(|(resource, mut times)| {
            times.sort_unstable();
            times.dedup();
            let points = times.into_iter().map(|time_ms| Point {
                time_ms,
                value: 1.0,
            });
            Series {
                labels: Target::of(attributes_from_json(&resource)).info(),
                points: Points::Floats(points.collect()),
            }
        });
        Ok(series.collect())
    }
}

impl Found<'_> {
    fn labels(&self, name: &str) -> Labels {
        self.target.labels(name, &self.scope, &self.attributes)
    }

    fn has_buckets(&self) -> bool {
        let mut shown = self.metric.shown.iter();
        shown.any(|shown| matches!(shown.facet, Facet::Bucket | Facet::Whole))
    }

    /// Its series in Prometheus' sense.
    fn series(
        &self,
        readings: &[Reading],
        grid: &Grid,
        points_max: usize,
    ) -> Result<Vec<Series>, Error> {
        let mut out = Vec::new();
        let floats = |of: &dyn Fn(&Reading) -> f64| {
            // The sum of what may be negative is not known.
            let points = readings.iter().map(|reading| Point {
                time_ms: reading.time_ms,
                value: of(reading),
            });
            Points::Floats(points.collect())
        };
        for shown in &self.metric.shown {
            let labels = self.labels(&shown.name);
            let times = shown.times;
            let points = match shown.facet {
                Facet::Value | Facet::Sum => floats(&|reading| reading.value * times),
                Facet::Count => floats(&|reading| reading.count),
                // Bounds of an alias in another unit are no powers of two.
                Facet::Whole if times.total_cmp(&1.0).is_ne() => continue,
                Facet::Whole => Points::Histograms(buckets::whole(readings)),
                Facet::Bucket => {
                    let buckets = buckets::series(readings, grid, times, points_max);
                    let buckets = buckets.ok_or_else(|| {
                        Error::execution(
                            format!("the buckets of `{}` are more than {points_max} readings", shown.name),
                            "ask for a shorter time or fewer series, or take the quantile of the histogram itself",
                        )
                    })?;
                    out.extend(buckets.into_iter().map(|(bound, points)| Series {
                        labels: labels.with("le", bound.as_str()),
                        points: Points::Floats(points),
                    }));
                    continue;
                }
            };
            out.push(Series { labels, points });
        }
        out.retain(|series| series.points.len() > 0);
        Ok(out)
    }
}

impl Source for Kept<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        window: Window,
        points_max: usize,
    ) -> Result<Vec<Series>, Error> {
        let metrics = self.asked(matchers, window)?;
        let found = self.found(&metrics, matchers, window)?;
        let readings = self.readings(&found, window, points_max)?;
        let readings: BTreeMap<i64, Vec<Reading>> = readings
            .into_iter()
            .map(|(number, readings)| (number, buckets::totals(readings, found[&number].is_delta)))
            .collect();
        let histograms =
            readings
                .values()
                .flatten()
                .filter_map(|reading| match &reading.distribution {
                    Some(Buckets::Exponential(histogram)) => Some(histogram),
                    _ => None,
                });
        let grid = Grid::of(&histograms.collect::<Vec<_>>());
        let (mut numbered, mut room) = (Vec::new(), points_max);
        for (number, readings) in &readings {
            for series in found[number].series(readings, &grid, room)? {
                if matchers
                    .iter()
                    .all(|it| it.accepts(series.labels.get(&it.label)))
                {
                    room = room.saturating_sub(series.points.len());
                    numbered.push((*number, series));
                }
            }
        }
        let mut series = told_apart(numbered);
        if accept(matchers, TARGET) {
            let targets = self.targets(window, points_max)?.into_iter();
            let targets = targets.filter(|target| {
                matchers
                    .iter()
                    .all(|it| it.accepts(target.labels.get(&it.label)))
            });
            series.extend(told_apart(
                targets.zip(0_i64..).map(|(it, at)| (at, it)).collect(),
            ));
        }
        Ok(series)
    }

    fn series(&self, sets: &[Vec<Matcher>], window: Window) -> Result<Vec<Labels>, Error> {
        let everything = [Vec::new()];
        let sets = if sets.is_empty() { &everything } else { sets };
        let mut labels = Vec::new();
        for matchers in sets {
            // Bounds of buckets are found with their readings, of which the last few minutes are enough to list them.
            let mut wanted = self.asked(matchers, window)?;
            let has_buckets = wanted
                .iter()
                .any(|metric| metric.shown.iter().any(|it| it.facet == Facet::Bucket));
            if has_buckets {
                let from_ms = window.from_ms.max(window.to_ms.saturating_sub(LISTED_MS));
                let recent = Window { from_ms, ..window };
                let series = self.select(matchers, recent, LISTED_READINGS_MAX)?;
                let buckets = series.into_iter().map(|series| series.labels);
                labels.extend(buckets.filter(|labels| !labels.get("le").is_empty()));
            }
            for metric in &mut wanted {
                metric.shown.retain(|it| it.facet != Facet::Bucket);
            }
            let found = self.found(&wanted, matchers, window)?;
            for series in found.values() {
                let shown = series.metric.shown.iter();
                labels.extend(shown.map(|shown| series.labels(&shown.name)));
            }
            if accept(matchers, TARGET) {
                let targets = self.targets(window, LISTED_READINGS_MAX)?.into_iter();
                labels.extend(targets.map(|target| target.labels));
            }
        }
        let accepts = |labels: &Labels| {
            let mut sets = sets.iter();
            sets.any(|set| set.iter().all(|it| it.accepts(labels.get(&it.label))))
        };
        labels.retain(accepts);
        labels.sort_unstable();
        labels.dedup();
        Ok(labels)
    }

    fn metadata(&self, window: Window) -> Result<Vec<Metadata>, Error> {
        let metrics = self.asked(&[], window)?;
        let metadata = metrics.iter().map(|metric| Metadata {
            name: names::family(&metric.name, &metric.unit, &metric.kind),
            kind: match metric.kind.as_str() {
                "counter" => "counter",
                "histogram" => "histogram",
                _ => "gauge",
            },
            unit: names::unit_word(&metric.unit, &metric.kind),
        });
        Ok(metadata.collect())
    }
}

/// How far back buckets' bounds are sought to list them, in milliseconds.
const LISTED_MS: i64 = 600_000;
/// Most readings that are looked at to list series.
const LISTED_READINGS_MAX: usize = 1_000_000;

/// Series that the store tells apart and Prometheus' labels do not, such as those of two processes without a
/// `service.instance.id`, get a label more: mixing them would make totals that fall and rise.
#[expect(
    clippy::mutable_key_type,
    reason = "what labels remember of themselves is computed from what they are"
)]
fn told_apart(numbered: Vec<(i64, Series)>) -> Vec<Series> {
    let mut counts: HashMap<Labels, usize> = HashMap::new();
    for (_, series) in &numbered {
        *counts.entry(series.labels.clone()).or_default() += 1;
    }
    let series = numbered.into_iter().map(|(number, mut series)| {
        if counts.get(&series.labels).is_some_and(|count| *count > 1) {
            series.labels = series
                .labels
                .with("radiosonde_series", format!("{number:x}"));
        }
        series
    });
    series.collect()
}

/// Whether what matchers ask of the name holds for this one.
fn accept(matchers: &[Matcher], name: &str) -> bool {
    let mut matchers = matchers.iter().filter(|matcher| matcher.label == NAME);
    matchers.all(|matcher| matcher.accepts(name))
}

/// The condition that a row is of a time, both ends included to the millisecond.
fn within(window: Window) -> String {
    let at = |ms: i64, rest: i64| {
        let ns = ms.saturating_mul(1_000_000).saturating_add(rest);
        format!("arrow_cast({ns}, 'Timestamp(Nanosecond, Some(\"UTC\"))')")
    };
    format!(
        "time >= {} AND time <= {}",
        at(window.from_ms, 0),
        at(window.to_ms, 999_999)
    )
}

fn refused(error: &QueryError) -> Error {
    let message = error.to_string();
    match error {
        QueryError::Timeout(_) => Error::new(
            Fault::Timeout,
            message,
            "ask for a shorter time or fewer series",
        ),
        QueryError::Memory => Error::execution(message, "ask for a shorter time or fewer series"),
        QueryError::Room(_) => Error::execution(
            message,
            "make room in the system's folder for temporary files (TMPDIR), or ask for fewer series",
        ),
        QueryError::Elsewhere(_) => Error::new(
            Fault::Internal,
            message,
            "`sonde doctor` says whether what arrives can be written there",
        ),
        _ => Error::new(
            Fault::Internal,
            message,
            "look at the data folder: a file may be damaged or gone",
        ),
    }
}
