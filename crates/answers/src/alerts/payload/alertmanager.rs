//! `POST /api/v2/alerts` of an Alertmanager, which groups, silences and routes further.

use serde::Serialize;

use super::{
    super::{Labels, Phase, calendar, routing::Notification},
    json,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    labels: Labels,
    annotations: Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
}

pub(super) fn body(notification: &Notification, external_url: &str) -> Vec<u8> {
    // It takes an alert for resolved once its end is past. Without word from us in twice the time until we say it again,
    // that is right.
    let until = notification.repeat_unix_ns.saturating_add(
        notification
            .repeat_unix_ns
            .saturating_sub(notification.time_unix_ns),
    );
    let alerts = notification.alerts.iter().map(|notified| &notified.alert);
    let entries: Vec<Entry<'_>> = alerts
        .map(|alert| Entry {
            labels: named(&alert.labels),
            annotations: named(&alert.annotations),
            starts_at: calendar::rfc3339(alert.fired_unix_ns.unwrap_or(alert.started_unix_ns)),
            ends_at: calendar::rfc3339(
                alert
                    .resolved_unix_ns
                    .filter(|_| alert.phase == Phase::Resolved)
                    .unwrap_or(until),
            ),
            generator_url: external_url,
        })
        .collect();
    json(&entries)
}

/// Names as every version of Alertmanager takes them, `service.name` as `service_name`; values that are empty are as good
/// as not there, and refused.
fn named(labels: &Labels) -> Labels {
    let name = |name: &String| {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
            format!("_{name}")
        } else {
            name
        }
    };
    let present = labels.iter().filter(|(_, value)| !value.is_empty());
    present
        .map(|(key, value)| (name(key), value.clone()))
        .collect()
}
