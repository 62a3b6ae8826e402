//! Workflows of Microsoft Teams: a message with one adaptive card, of two text blocks, as Alertmanager's `msteamsv2` sends it.

use serde::Serialize;

use super::{
    super::{Phase, Severity, routing::Notification},
    json, text, within,
};

/// Most bytes of a message that Teams takes are 28 KiB; what it adds to ours is left room.
const BYTES_MAX: usize = 28_000;
/// Characters of an alert where there is room.
const ALERT_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
struct Body {
    r#type: &'static str,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: &'static str,
    content_url: Option<String>,
    content: Card,
}

#[derive(Serialize)]
struct Card {
    #[serde(rename = "$schema")]
    schema: &'static str,
    r#type: &'static str,
    version: &'static str,
    body: [TextBlock; 2],
    msteams: Msteams,
}

#[derive(Serialize)]
struct Msteams {
    width: &'static str,
}

#[derive(Serialize)]
struct TextBlock {
    r#type: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'static str>,
    wrap: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
}

pub(super) fn body(notification: &Notification, external_url: &str) -> Vec<u8> {
    within(BYTES_MAX, ALERT_CHARS_MAX, |budget| {
        json(&card(notification, external_url, budget))
    })
}

fn card(notification: &Notification, external_url: &str, budget: usize) -> Body {
    let color = match (notification.status, notification.severity()) {
        (Phase::Resolved, _) => "Good",
        (_, Severity::Error | Severity::Critical) => "Attention",
        _ => "Warning",
    };
    let title = TextBlock {
        r#type: "TextBlock",
        text: plain(&text::title(notification)),
        weight: Some("Bolder"),
        size: Some("Medium"),
        wrap: true,
        style: Some("heading"),
        color: Some(color),
    };
    let text = TextBlock {
        r#type: "TextBlock",
        text: alerts(notification, external_url, budget),
        weight: None,
        size: None,
        wrap: true,
        style: None,
        color: None,
    };
    let content = Card {
        schema: "http://adaptivecards.io/schemas/adaptive-card.json",
        r#type: "AdaptiveCard",
        version: "1.2",
        body: [title, text],
        msteams: Msteams { width: "full" },
    };
    let content_type = "application/vnd.microsoft.card.adaptive";
    Body {
        r#type: "message",
        attachments: [Attachment {
            content_type,
            content_url: None,
            content,
        }],
    }
}

fn alerts(notification: &Notification, external_url: &str, budget: usize) -> String {
    let alerts = notification.alerts.iter().map(|notified| {
        let words = text::words(notified, budget);
        let lines = words
            .lines
            .iter()
            .map(|line| format!("\n\n{}", plain(line)));
        format!(
            "**{}**{}",
            plain(&words.headline),
            lines.collect::<String>()
        )
    });
    let rest = text::rest(notification).map(|text| plain(&text));
    let url = (!external_url.is_empty()).then(|| external_url.to_owned());
    alerts
        .chain(rest)
        .chain(url)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// A text that stays what it is where Markdown is read: no link with another address behind it, no emphasis. An underscore
/// inside of a word means nothing there, and names are full of them.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_inside =
            before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        if matches!(letter, '\\' | '[' | ']' | '*' | '`' | '<') || (letter == '_' && !is_inside) {
            plain.push('\\');
        }
        plain.push(letter);
        before = letter;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_markdown_is_text() {
        assert_eq!(plain("[pay](https://evil)"), r"\[pay\](https://evil)");
        assert_eq!(
            plain("gpu_memory_used _x_ **b**"),
            r"gpu_memory_used \_x\_ \*\*b\*\*"
        );
    }
}
