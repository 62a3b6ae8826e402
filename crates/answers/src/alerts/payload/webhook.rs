//! The body of Alertmanager's webhook, version 4, so that whatever reads that reads ours.

use serde::Serialize;

use super::{
    super::{Alert, Labels, Phase, calendar, routing::Notification},
    json, word,
};

/// What Go writes for a time that is none.
const NEVER: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'a str,
    group_labels: &'a Labels,
    common_labels: Labels,
    common_annotations: Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    #[serde(rename = "notification_reason")]
    reason: &'static str,
    alerts: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

pub(super) fn body(notification: &Notification, external_url: &str) -> Vec<u8> {
    json(&Body {
        version: "4",
        group_key: &notification.group_key,
        truncated_alerts: notification.left_out,
        status: word(notification.status),
        receiver: &notification.receiver,
        group_labels: &notification.group_labels,
        common_labels: notification.common_labels(),
        common_annotations: notification.common_annotations(),
        external_url,
        reason: notification.reason.label(),
        alerts: notification
            .alerts
            .iter()
            .map(|notified| entry(&notified.alert, external_url))
            .collect(),
    })
}

fn entry<'a>(alert: &'a Alert, external_url: &'a str) -> Entry<'a> {
    let ended = alert
        .resolved_unix_ns
        .filter(|_| alert.phase == Phase::Resolved);
    Entry {
        status: word(alert.phase),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: calendar::rfc3339(alert.fired_unix_ns.unwrap_or(alert.started_unix_ns)),
        ends_at: ended.map_or_else(|| NEVER.to_owned(), calendar::rfc3339),
        generator_url: external_url,
        fingerprint: format!("{:016x}", alert.fingerprint()),
    }
}
