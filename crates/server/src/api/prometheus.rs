//! Prometheus' HTTP API under `/prometheus`, which is what Grafana's data source and other clients of Prometheus are given
//! as its address: our own API has paths of the same names (docs/promql.md).

mod buckets;
mod names;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use chrono::DateTime;
use serde_json::json;

use self::source::Kept;
use super::{Api, Asked};
use crate::promql::{
    Answer, Element, Error, Fault, Labels, Limits, Matcher, NAME, Reach, Source as _, Window,
    duration_ms, evaluate, json as written, parse, parse_selector,
};

/// The time in which series are listed unless a request says otherwise.
const LISTED_MS: i64 = 3_600_000;
/// Times are within some ten thousand years of the Unix epoch, so that adding up a few of them means something.
const SECONDS_MAX: f64 = 3e11;

/// The routes under `/prometheus/api/v1`.
pub(super) fn router() -> Router<Arc<Api>> {
    let at = |path: &str| format!("/prometheus/api/v1/{path}");
    Router::new()
        .route(&at("query"), get(query).post(query))
        .route(&at("query_range"), get(query_range).post(query_range))
        .route(&at("labels"), get(label_names).post(label_names))
        .route(&at("label/{name}/values"), get(label_values))
        .route(&at("series"), get(series).post(series))
        .route(&at("metadata"), get(metadata))
        .route(&at("status/buildinfo"), get(build))
        .route("/prometheus/{*rest}", get(unknown).post(unknown))
}

async fn query(State(api): State<Arc<Api>>, uri: Uri, body: Bytes) -> Response {
    answer(api, &uri, &body, |api, form| {
        let at_ms = form.time("time")?.unwrap_or_else(now_ms);
        evaluated(api, form, Reach::Instant(at_ms), at_ms)
    })
    .await
}

async fn query_range(State(api): State<Arc<Api>>, uri: Uri, body: Bytes) -> Response {
    answer(api, &uri, &body, |api, form| {
        let start_ms = form.time("start")?.ok_or_else(|| lacks("start"))?;
        let end_ms = form.time("end")?.ok_or_else(|| lacks("end"))?;
        let step_ms = form.duration("step")?.ok_or_else(|| lacks("step"))?;
        let reach = Reach::Range {
            start_ms,
            end_ms,
            step_ms,
        };
        evaluated(api, form, reach, end_ms)
    })
    .await
}

fn evaluated(api: &Api, form: &Form, reach: Reach, at_ms: i64) -> Result<String, Error> {
    let text = form.get("query").ok_or_else(|| lacks("query"))?;
    let mut limits = Limits::default();
    if let Some(ms) = form.duration("timeout")? {
        limits.timeout = limits.timeout.min(Duration::from_millis(ms.unsigned_abs()));
    }
    let expression = parse(text)?;
    let answer = evaluate(&Kept(&api.store), &expression, reach, limits)?;
    Ok(written::write(&answer, at_ms))
}

/// The answer to a text in PromQL at a time, for rules: its samples, by labels without the metric's name.
pub(crate) fn expression(
    store: &radiosonde_store::Store,
    text: &str,
    at_unix_ns: u64,
) -> Result<Vec<radiosonde_answers::alerts::Sample>, String> {
    let answer = parse(text).and_then(|expression| {
        let at_ms = i64::try_from(at_unix_ns / 1_000_000).unwrap_or(i64::MAX);
        let reach = Reach::Instant(at_ms);
        evaluate(&Kept(store), &expression, reach, Limits::default())
    });
    let sample = |element: Element| radiosonde_answers::alerts::Sample {
        labels: element
            .labels
            .iter()
            .filter(|(name, _)| *name != NAME)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        value: element.value,
    };
    match answer.map_err(|error| error.to_string())? {
        Answer::Vector(elements) => Ok(elements.into_iter().map(sample).collect()),
        _ => Err("an alert's expression gives a vector, and this one does not".to_owned()),
    }
}

async fn label_names(State(api): State<Arc<Api>>, uri: Uri, body: Bytes) -> Response {
    answer(api, &uri, &body, |api, form| {
        let series = Kept(&api.store).series(&form.selectors()?, form.window()?)?;
        let names = series.iter().flat_map(Labels::iter);
        let names: BTreeSet<&str> = names.map(|(name, _)| name).collect();
        Ok(json!(names).to_string())
    })
    .await
}

async fn label_values(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    answer(api, &uri, &body, move |api, form| {
        let series = Kept(&api.store).series(&form.selectors()?, form.window()?)?;
        let values = series.iter().map(|labels| labels.get(&name));
        let values: BTreeSet<&str> = values.filter(|value| !value.is_empty()).collect();
        Ok(json!(values).to_string())
    })
    .await
}

async fn series(State(api): State<Arc<Api>>, uri: Uri, body: Bytes) -> Response {
    answer(api, &uri, &body, |api, form| {
        let selectors = form.selectors()?;
        if selectors.is_empty() {
            return Err(lacks("match[]"));
        }
        let series = Kept(&api.store).series(&selectors, form.window()?)?;
        let series: Vec<String> = series.iter().map(written::labels).collect();
        Ok(format!("[{}]", series.join(",")))
    })
    .await
}

async fn metadata(State(api): State<Arc<Api>>, uri: Uri, body: Bytes) -> Response {
    answer(api, &uri, &body, |api, form| {
        let wanted = form.get("metric");
        let mut metrics: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for metric in Kept(&api.store).metadata(form.window()?)? {
            if wanted.is_none_or(|wanted| wanted == metric.name) {
                // What a metric is for is not kept.
                let entry = json!({"type": metric.kind, "help": "", "unit": metric.unit});
                metrics.entry(metric.name).or_default().push(entry);
            }
        }
        Ok(json!(metrics).to_string())
    })
    .await
}

/// Clients ask for the version to know what they may ask: the semantics are those of Prometheus 2.42.
async fn build() -> Response {
    let own = env!("CARGO_PKG_VERSION");
    succeeded(
        &json!({
            "version": "2.42.0",
            "revision": format!("radiosonde {own}"),
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        })
        .to_string(),
    )
}

async fn unknown(uri: Uri) -> Response {
    let error = Error::new(
        Fault::Query,
        format!("there is no {}", uri.path()),
        "docs/promql.md lists what of Prometheus' API is there",
    );
    failed(&error, StatusCode::NOT_FOUND)
}

/// Makes an answer where blocking is allowed, when it is its turn.
async fn answer<F>(api: Arc<Api>, uri: &Uri, body: &Bytes, make: F) -> Response
where
    F: FnOnce(&Api, &Form) -> Result<String, Error> + Send + 'static,
{
    let form = Form::of(uri, body);
    let Some(turn) = api.turn_in_time(Asked::Statement).await else {
        let error = Error::new(
            Fault::Timeout,
            "too many questions are being answered",
            "ask again in a moment, or ask for a shorter time",
        );
        return refused(&error);
    };
    let outcome = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        make(&api, &form)
    });
    match outcome.await {
        Ok(Ok(data)) => succeeded(&data),
        Ok(Err(error)) => refused(&error),
        Err(error) => refused(&Error::new(
            Fault::Internal,
            format!("the answer could not be made: {error}"),
            "this is a defect of the server; please report it with the request",
        )),
    }
}

fn succeeded(data: &str) -> Response {
    let body = format!(r#"{{"status":"success","data":{data}}}"#);
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn refused(error: &Error) -> Response {
    let status = match error.fault {
        Fault::Query => StatusCode::BAD_REQUEST,
        Fault::Execution => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    failed(error, status)
}

fn failed(error: &Error, status: StatusCode) -> Response {
    let kind = match error.fault {
        Fault::Query => "bad_data",
        Fault::Execution => "execution",
        Fault::Timeout => "timeout",
        Fault::Internal => "internal",
    };
    let body = json!({"status": "error", "errorType": kind, "error": error.to_string()});
    let headers = [(CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}

/// What a request asks for: in its address, or in its body as a form. What is not known is left alone, as Prometheus does:
/// its clients send parameters of newer versions.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(uri: &Uri, body: &[u8]) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let pairs = form_urlencoded::parse(body).chain(form_urlencoded::parse(query));
        let owned = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
        Self(owned.collect())
    }

    /// The first that is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let found = values.find(|(_, value)| !value.trim().is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Seconds since the Unix epoch or RFC 3339, in milliseconds.
    fn time(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let seconds = text.parse::<f64>().ok();
        let seconds = seconds.filter(|seconds| seconds.abs() <= SECONDS_MAX);
        let ms = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
        let ms = ms.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()));
        // As our own API has it.
        let ms = ms.or_else(|| match text {
            "now" => Some(now_ms()),
            _ => Some(now_ms().saturating_sub(duration_ms(text.strip_prefix('-')?)?)),
        });
        ms.map(Some).ok_or_else(|| {
            wrong(
                format!("`{name}` is `{text}`, which is no time"),
                "write seconds since the Unix epoch, RFC 3339, `now`, or how long ago: -15m",
            )
        })
    }

    /// Seconds or a duration such as `5m`, in milliseconds.
    fn duration(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let seconds = text.parse::<f64>().ok();
        let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= SECONDS_MAX);
        let ms = seconds.map(|seconds| ((seconds * 1000.0).round() as i64).max(1));
        ms.or_else(|| duration_ms(text).filter(|ms| *ms > 0))
            .map(Some)
            .ok_or_else(|| {
                wrong(
                    format!("`{name}` is `{text}`, which is no duration"),
                    "write seconds, or a duration such as 15s or 5m",
                )
            })
    }

    fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Error> {
        let selectors = self.0.iter().filter(|(name, _)| name == "match[]");
        selectors.map(|(_, text)| parse_selector(text)).collect()
    }

    /// The time in which is listed: the last hour before its end.
    fn window(&self) -> Result<Window, Error> {
        let to_ms = self.time("end")?.unwrap_or_else(now_ms);
        let from_ms = self
            .time("start")?
            .unwrap_or_else(|| to_ms.saturating_sub(LISTED_MS));
        if from_ms > to_ms {
            return Err(wrong(
                "`start` is after `end`",
                "swap them, or leave one out",
            ));
        }
        Ok(Window { from_ms, to_ms })
    }
}

fn lacks(name: &str) -> Error {
    wrong(
        format!("there is no `{name}`"),
        "docs/promql.md has the parameters",
    )
}

fn wrong(message: impl Into<String>, mend: &str) -> Error {
    Error::new(Fault::Query, message, mend)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
