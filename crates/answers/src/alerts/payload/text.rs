//! What people read of a notification, before it is put into a receiver's form.

use crate::units::Nanoseconds;

use super::super::{
    Alert, Labels, Phase, calendar,
    routing::{Notification, Notified, Reason},
};

/// Least characters that an alert has in a message.
pub(super) const BUDGET_MIN: usize = 32;
/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 150;

/// The text, or its beginning and an ellipsis, in at most so many characters.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(chars_max.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

/// The text on one line, without characters that control anything, cut.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    // Longer texts are not looked at whole.
    let start: String = text.chars().take(4 * chars_max).collect();
    let words: Vec<&str> = start
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    cut(&words.join(" "), chars_max)
}

/// `[FIRING:2] ModelSlow (service=chat)`.
pub(super) fn title(notification: &Notification) -> String {
    let state = match (notification.reason, notification.status) {
        (Reason::Digest, Phase::Resolved) => "FLAPPING, NOW RESOLVED".to_owned(),
        (Reason::Digest, _) => format!("FLAPPING, FIRING:{}", notification.firing),
        (Reason::Repeat, _) => format!("STILL FIRING:{}", notification.firing),
        (_, Phase::Resolved) => "RESOLVED".to_owned(),
        _ => format!("FIRING:{}", notification.firing),
    };
    let common = notification.common_labels();
    let name = common
        .get("alertname")
        .or_else(|| notification.group_labels.get("alertname"));
    let count = notification.firing + notification.resolved;
    let name = name
        .cloned()
        .unwrap_or_else(|| format!("{count} alert{}", if count == 1 { "" } else { "s" }));
    let group = labels(&notification.group_labels, &["alertname"]);
    let group = if group.is_empty() {
        group
    } else {
        format!(" ({group})")
    };
    one_line(&format!("[{state}] {name}{group}"), TITLE_CHARS_MAX)
}

/// `model=llama, service=chat`, without some.
pub(super) fn labels(labels: &Labels, without: &[&str]) -> String {
    let shown = labels
        .iter()
        .filter(|(name, _)| !without.contains(&name.as_str()));
    shown
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// An alert in words.
pub(super) struct Words {
    /// What it is about.
    pub(super) headline: String,
    /// What else there is to say.
    pub(super) lines: Vec<String>,
}

/// An alert in words, in about so many characters.
pub(super) fn words(notified: &Notified, budget: usize) -> Words {
    let alert = &notified.alert;
    let annotation = |name: &str| {
        alert
            .annotations
            .get(name)
            .filter(|text| !text.trim().is_empty())
    };
    let state = super::word(alert.phase);
    let about = annotation("summary").map_or_else(|| alert.name(), String::as_str);
    let headline = one_line(&format!("{state}: {about}"), budget.max(BUDGET_MIN));
    let mut left = budget.saturating_sub(headline.chars().count());
    let mut lines = Vec::new();
    let mut say = |text: String| {
        // Too short to say anything is not said.
        if left >= 16 && !text.is_empty() {
            let text = one_line(&text, left);
            left -= text.chars().count();
            lines.push(text);
        }
    };
    say(when(alert));
    if notified.firings > 1 {
        say(format!(
            "Began to fire {} times in {}.",
            notified.firings,
            Nanoseconds(notified.firings_over_ns)
        ));
    }
    annotation("action")
        .into_iter()
        .for_each(|text| say(format!("What to do: {text}")));
    annotation("description")
        .into_iter()
        .for_each(|text| say(text.clone()));
    alert
        .value
        .into_iter()
        .for_each(|value| say(format!("Value: {value}")));
    say(labels(&alert.labels, &["alertname"]));
    Words { headline, lines }
}

fn when(alert: &Alert) -> String {
    let started = alert.fired_unix_ns.unwrap_or(alert.started_unix_ns);
    match alert
        .resolved_unix_ns
        .filter(|_| alert.phase == Phase::Resolved)
    {
        Some(resolved) => {
            format!(
                "Resolved {}, after {}.",
                calendar::readable(resolved),
                Nanoseconds(resolved.saturating_sub(started))
            )
        }
        None => format!("Firing since {}.", calendar::readable(started)),
    }
}

/// What is not in the list of alerts, or nothing.
pub(super) fn rest(notification: &Notification) -> Option<String> {
    let mut parts = Vec::new();
    if notification.left_out > 0 {
        parts.push(format!("{} more left out", notification.left_out));
    }
    if notification.hidden > 0 {
        parts.push(format!(
            "{} still firing, silenced or inhibited",
            notification.hidden
        ));
    }
    (!parts.is_empty()).then(|| format!("And {}.", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("häuser", 6), "häuser");
        assert_eq!(cut("häuser", 5), "häus…");
        assert_eq!(cut("ä", 0), "…");
        assert_eq!(one_line(" a\r\n\tb\u{0}c  d ", 20), "a b c d");
        assert_eq!(one_line("", 20), "");
    }
}
