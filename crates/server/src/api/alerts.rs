//! Alerts: which there are, what their rules say, and what is kept from whom; silences, rehearsals and tests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use radiosonde_answers::alerts::{
    Alert, Rule,
    routing::{Failing, Held, Matcher, Outcome, Silence},
};
use serde::{Deserialize, Serialize};

use super::{Api, answer, params, with_params};
use crate::{
    alerting::{Alerting, Rehearsed},
    problem::Problem,
};

/// Longest time for which alerts are silenced at once.
const SILENCE_MAX: Duration = Duration::from_hours(24 * 366);

/// `GET /api/v1/alerts`.
#[derive(Debug, Serialize)]
struct Answer {
    /// Those that are pending or fire.
    alerts: Vec<Alert>,
    rules: Vec<RuleEntry>,
    /// What receivers were not told of, and why.
    held: Vec<Held>,
    /// What does not arrive.
    failing: Vec<Failing>,
    silences: Vec<Silence>,
    /// Who may be told: name and kind.
    receivers: BTreeMap<String, &'static str>,
    /// Readings that found no room among those that rules look at.
    readings_refused: u64,
}

#[derive(Debug, Serialize)]
struct RuleEntry {
    name: String,
    group: String,
    kind: &'static str,
    severity: &'static str,
    evaluated_unix_ns: Option<u64>,
    error: Option<String>,
    errors: u64,
    pending: usize,
    firing: usize,
    left_out: u64,
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Response {
    answer(api, |api| Ok(listed(&api.alerting))).await
}

fn listed(alerting: &Alerting) -> Answer {
    let held = alerting.held();
    alerting.look(|alarms, window, _| Answer {
        alerts: alarms.active().cloned().collect(),
        rules: alarms
            .rules()
            .map(|status| RuleEntry {
                name: status.rule.name.clone(),
                group: status.rule.group.clone(),
                kind: status.rule.condition.kind(),
                severity: status.rule.severity.label(),
                evaluated_unix_ns: status.evaluated_unix_ns,
                error: status.error.map(str::to_owned),
                errors: status.errors,
                pending: status.pending,
                firing: status.firing,
                left_out: status.left_out,
            })
            .collect(),
        held,
        failing: alarms.router().failing(),
        silences: alarms.router().silences().to_vec(),
        receivers: alarms
            .plan()
            .receivers()
            .iter()
            .map(|(name, receiver)| (name.clone(), receiver.kind()))
            .collect(),
        readings_refused: window.loss().refused,
    })
}

/// The body of `POST /api/v1/silences`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSilence {
    /// `name="value"`, `!=`, `=~`, `!~`.
    matchers: Vec<String>,
    /// From now on for so long, in seconds.
    seconds: u64,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    created_by: String,
}

pub(super) async fn silence(
    State(api): State<Arc<Api>>,
    body: Result<Json<NewSilence>, JsonRejection>,
) -> Response {
    let new = match body {
        Ok(Json(new)) => new,
        Err(refused) => return not_understood(&refused, SILENCE_EXAMPLE).into_response(),
    };
    answer(api, move |api| {
        let matchers: Vec<Matcher> = new
            .matchers
            .iter()
            .map(|text| text.parse::<Matcher>())
            .collect::<Result<_, _>>()
            .map_err(|error| Problem::bad_request(error, "write `alertname=\"slow\"`"))?;
        if new.seconds > SILENCE_MAX.as_secs() {
            let mend = "silence for a year at most";
            return Err(Problem::bad_request("that is too long", mend));
        }
        let now = u64::try_from(params::now_ns()).unwrap_or(0);
        let id = api.alerting.silence(Silence {
            id: String::new(),
            matchers,
            starts_unix_ns: now,
            ends_unix_ns: now.saturating_add(new.seconds * 1_000_000_000),
            created_by: new.created_by,
            comment: new.comment,
        })?;
        Ok(BTreeMap::from([("id", id)]))
    })
    .await
}

const SILENCE_EXAMPLE: &str =
    r#"send `{"matchers": ["alertname=\"slow\""], "seconds": 3600, "comment": "..."}`"#;

pub(super) async fn unsilence(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response {
    answer(api, move |api| {
        api.alerting.unsilence(&id)?;
        Ok(BTreeMap::from([("id", id)]))
    })
    .await
}

pub(super) async fn test(State(api): State<Arc<Api>>, Path(receiver): Path<String>) -> Response {
    answer(api, move |api| match api.alerting.test(&receiver)? {
        Outcome::Delivered => Ok(BTreeMap::from([("outcome", "delivered")])),
        Outcome::Failed { because, .. } | Outcome::Refused { because } => Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            because,
            "mend the receiver in the file of alerts, or at its own end, and test again",
        )),
    })
    .await
}

/// The body of `POST /api/v1/alerts/rehearsal`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRehearsal {
    /// A rule of the server's.
    #[serde(default)]
    rule: Option<String>,
    /// Or rules that it has not.
    #[serde(default)]
    rules: Vec<Rule>,
}

pub(super) async fn rehearse(
    State(api): State<Arc<Api>>,
    uri: Uri,
    body: Result<Json<NewRehearsal>, JsonRejection>,
) -> Response {
    let new = match body {
        Ok(Json(new)) => new,
        Err(refused) => return not_understood(&refused, REHEARSAL_EXAMPLE).into_response(),
    };
    with_params(api, &uri, move |api, params| {
        let range = params.range()?;
        let rules = match &new.rule {
            Some(name) => Rehearsed::Known(name),
            None => Rehearsed::New(new.rules),
        };
        let at = |ns: i64| u64::try_from(ns).unwrap_or(0);
        api.alerting
            .rehearse(rules, at(range.from_ns), at(range.to_ns))
    })
    .await
}

const REHEARSAL_EXAMPLE: &str =
    r#"send `{"rule": "slow_operations"}`, or rules of its own: `{"rules": [...]}`"#;

fn not_understood(refused: &JsonRejection, mend: &str) -> Problem {
    Problem::bad_request(
        format!("the body is not understood: {}", refused.body_text()),
        mend,
    )
}
