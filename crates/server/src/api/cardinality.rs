//! Which labels of metrics make how many series.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use radiosonde_answers::cardinality::{Metric, Report, Series, report};
use serde::Serialize;
use serde_json::Value;

use super::{
    Api,
    params::Params,
    rows::{Row, literal},
    with_params,
};
use crate::problem::Problem;

/// Most series that are looked at, the metrics by their names.
const SERIES_MAX: usize = 100_000;
/// Metrics of an answer, unless it is asked for more.
const METRICS_DEFAULT: usize = 20;
/// What a reading counts since is no label: see docs/receivers.md.
const TEMPORALITY: &str = "radiosonde.temporality";

#[derive(Debug, Serialize)]
pub(super) struct Cardinality {
    series: usize,
    bytes: u64,
    /// There are more series than are looked at.
    is_partial: bool,
    series_max: usize,
    metrics: Vec<Metric>,
    /// Metrics that are not shown, which have fewer series than those that are.
    more_metrics: usize,
}

pub(super) async fn get(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    with_params(api, &uri, |api, params| answer(api, &params)).await
}

fn answer(api: &Api, params: &Params) -> Result<Cardinality, Problem> {
    let range = params.range()?;
    let of_metric = match &params.q {
        Some(text) => format!(" AND strpos(name, {}) > 0", literal(text)),
        None => String::new(),
    };
    let statement = format!(
        "SELECT service, resource, name, kind, attributes, min(CAST(time AS BIGINT)), count(*), \
         sum(octet_length(distribution) + octet_length(exemplars)) \
         FROM points WHERE {}{}{of_metric} GROUP BY 1, 2, 3, 4, 5 ORDER BY 3, 1, 2, 5 LIMIT {}",
        range.contains("time"),
        params.of_service(),
        SERIES_MAX + 1
    );
    let mut series: Vec<Series> = api.rows(&statement, SERIES_MAX + 1)?.map(read).collect();
    let is_partial = series.len() > SERIES_MAX;
    series.truncate(SERIES_MAX);
    let Report {
        series,
        bytes,
        mut metrics,
    } = report(&series);
    let more_metrics = metrics.len().saturating_sub(params.limit(METRICS_DEFAULT));
    metrics.truncate(metrics.len() - more_metrics);
    Ok(Cardinality {
        series,
        bytes,
        is_partial,
        series_max: SERIES_MAX,
        metrics,
        more_metrics,
    })
}

fn read(mut row: Row) -> Series {
    let (service, sender, metric, kind) = (row.text(), row.text(), row.text(), row.text());
    let attributes: serde_json::Map<String, Value> =
        serde_json::from_str(row.json().get()).unwrap_or_default();
    let labels = attributes
        .into_iter()
        .filter(|(name, _)| name != TEMPORALITY)
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        });
    Series {
        service,
        sender,
        metric,
        kind,
        labels: labels.collect(),
        first_unix_ns: row.int(),
        readings: row.int().max(0).cast_unsigned(),
        payload_bytes: row.int().max(0).cast_unsigned(),
    }
}
