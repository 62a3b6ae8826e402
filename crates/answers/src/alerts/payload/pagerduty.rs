//! Events API v2 of PagerDuty. A group of alerts is one incident: the same `dedup_key` opens it, adds to it and resolves it.

use serde::Serialize;

use super::{
    super::{
        Phase, alert, calendar,
        routing::{Notification, Notified},
    },
    json, text, within,
};

/// Most bytes of an event that are taken are 512 KiB.
const BYTES_MAX: usize = 500_000;
/// Most characters of a summary.
const SUMMARY_CHARS_MAX: usize = 1_024;
/// Most characters of a key.
const KEY_CHARS_MAX: usize = 255;
/// Characters of an alert where there is room.
const ALERT_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: String,
    client: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_url: &'a str,
    payload: Payload,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    group: String,
    custom_details: Details,
}

#[derive(Serialize)]
struct Details {
    reason: &'static str,
    firing: Vec<String>,
    resolved: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<String>,
}

pub(super) fn body(notification: &Notification, routing_key: &str, external_url: &str) -> Vec<u8> {
    within(BYTES_MAX, ALERT_CHARS_MAX, |budget| {
        json(&event(notification, routing_key, external_url, budget))
    })
}

fn event<'a>(
    notification: &Notification,
    routing_key: &'a str,
    external_url: &'a str,
    budget: usize,
) -> Event<'a> {
    let common = notification.common_labels();
    let label = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| common.get(*name))
            .map(|value| text::cut(value, KEY_CHARS_MAX))
    };
    let alerts = |phase: Phase| {
        let of_phase = notification
            .alerts
            .iter()
            .filter(|notified| notified.alert.phase == phase);
        of_phase.map(|notified| line(notified, budget)).collect()
    };
    Event {
        routing_key,
        event_action: if notification.status == Phase::Resolved {
            "resolve"
        } else {
            "trigger"
        },
        dedup_key: dedup_key(&notification.group_key),
        client: "Radiosonde",
        client_url: external_url,
        payload: Payload {
            summary: summary(notification),
            source: label(&[
                "instance",
                "host.name",
                "host_name",
                "service.name",
                "service_name",
                "service",
            ])
            .unwrap_or_else(|| "radiosonde".to_owned()),
            severity: notification.severity().label(),
            timestamp: calendar::rfc3339(notification.time_unix_ns),
            class: label(&["alertname"]),
            component: label(&["service.name", "service_name", "service", "model"]),
            group: text::cut(
                &text::labels(&notification.group_labels, &[]),
                KEY_CHARS_MAX,
            ),
            custom_details: Details {
                reason: notification.reason.label(),
                firing: alerts(Phase::Firing),
                resolved: alerts(Phase::Resolved),
                rest: text::rest(notification),
            },
        },
    }
}

fn summary(notification: &Notification) -> String {
    let title = text::title(notification);
    let first = notification
        .alerts
        .first()
        .and_then(|notified| notified.alert.annotations.get("summary"));
    let summary = first.map_or_else(|| title.clone(), |first| format!("{title}: {first}"));
    text::one_line(&summary, SUMMARY_CHARS_MAX)
}

fn line(notified: &Notified, budget: usize) -> String {
    let words = text::words(notified, budget);
    [vec![words.headline], words.lines].concat().join("\n")
}

/// The group's key, or its beginning and a number for all of it where it is too long.
fn dedup_key(group_key: &str) -> String {
    if group_key.chars().count() <= KEY_CHARS_MAX {
        return group_key.to_owned();
    }
    let start: String = group_key.chars().take(KEY_CHARS_MAX - 17).collect();
    format!("{start}-{:016x}", alert::hash([group_key]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_cut_and_stay_apart() {
        let (a, b) = ("k".repeat(300) + "a", "k".repeat(300) + "b");
        assert_eq!(dedup_key("{}:{}"), "{}:{}");
        assert_eq!(dedup_key(&a).len(), KEY_CHARS_MAX);
        assert_ne!(dedup_key(&a), dedup_key(&b));
    }
}
