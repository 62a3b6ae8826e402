//! Incoming webhooks of Slack: blocks, and a text for where blocks are not shown.

use serde::Serialize;

use super::{super::routing::Notification, json, text};

/// Characters of an alert. Twenty of them stay within the 13,200 that Slack takes in the blocks of a message.
const ALERT_CHARS_MAX: usize = 560;
/// Characters of the text for where blocks are not shown.
const FALLBACK_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
struct Body {
    text: String,
    blocks: Vec<Block>,
}

#[derive(Serialize)]
struct Block {
    r#type: &'static str,
    text: Text,
}

#[derive(Serialize)]
struct Text {
    r#type: &'static str,
    text: String,
}

fn section(text: String) -> Block {
    Block {
        r#type: "section",
        text: Text {
            r#type: "mrkdwn",
            text,
        },
    }
}

pub(super) fn body(notification: &Notification, external_url: &str) -> Vec<u8> {
    let title = text::title(notification);
    let link = if external_url.is_empty() {
        String::new()
    } else {
        format!("\n<{}|Open>", link(external_url))
    };
    let mut blocks = vec![section(format!("*{}*{link}", escaped(&title, 300)))];
    let mut fallback = escaped(&title, 300);
    for notified in &notification.alerts {
        let words = text::words(notified, ALERT_CHARS_MAX);
        let bold = format!("*{}*", escaped(&words.headline, ALERT_CHARS_MAX / 2));
        let left = ALERT_CHARS_MAX - bold.chars().count().min(ALERT_CHARS_MAX);
        let lines = escaped(&words.lines.join("\n"), left);
        blocks.push(section(format!("{bold}\n{lines}").trim_end().to_owned()));
        let line = escaped(&words.headline, ALERT_CHARS_MAX);
        if fallback.chars().count() + line.chars().count() < FALLBACK_CHARS_MAX {
            fallback = format!("{fallback}\n{line}");
        }
    }
    blocks.extend(text::rest(notification).map(|text| section(escaped(&text, 300))));
    json(&Body {
        text: fallback,
        blocks,
    })
}

/// With `&`, `<` and `>` as Slack wants them, so that nothing in a text calls a channel or hides an address; at most so many
/// characters as they are sent.
fn escaped(text: &str, chars_max: usize) -> String {
    let (mut escaped, mut left) = (String::new(), chars_max.saturating_sub(1));
    for letter in text.chars() {
        let mut single = [0; 4];
        let piece = match letter {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            letter => letter.encode_utf8(&mut single),
        };
        let length = piece.chars().count();
        if length > left {
            escaped.push('…');
            break;
        }
        left -= length;
        escaped.push_str(piece);
    }
    escaped
}

/// An address inside of `<...|...>`.
fn link(url: &str) -> String {
    url.replace('|', "%7C")
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_slack_is_escaped_whole() {
        assert_eq!(escaped("<!channel> a&b", 100), "&lt;!channel&gt; a&amp;b");
        assert_eq!(escaped("aaaa<", 8), "aaaa…");
        assert_eq!(escaped("aaaa", 5), "aaaa");
        assert_eq!(
            link("https://a/?b=1&c=<|>"),
            "https://a/?b=1&amp;c=%3C%7C%3E"
        );
    }
}
