//! E-mail: a subject, header fields, and the same words as text and as HTML. Whoever sends it puts the parts together.

use super::{
    super::{
        alert, calendar,
        routing::{Email, Notification},
    },
    text,
};

/// Characters of an alert.
const ALERT_CHARS_MAX: usize = 2_000;

/// A mail, for whoever sends it to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// Further header fields, each of one line of ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// When it was made, in nanoseconds since the Unix epoch: the field `Date`.
    pub date_unix_ns: u64,
    /// The part `text/plain`.
    pub text: String,
    /// The part `text/html`.
    pub html: String,
}

pub(super) fn mail(email: &Email, notification: &Notification, external_url: &str) -> Mail {
    let title = text::title(notification);
    // Everything about a group is one thread, and an attempt that is repeated is the same message.
    let thread = format!(
        "{:016x}",
        alert::hash([notification.receiver.as_str(), &notification.group_key])
    );
    let headers = vec![
        (
            "Message-ID",
            format!(
                "<{thread}.{}.{}@radiosonde.invalid>",
                notification.id, notification.time_unix_ns
            ),
        ),
        ("References", format!("<{thread}@radiosonde.invalid>")),
        ("In-Reply-To", format!("<{thread}@radiosonde.invalid>")),
        ("Auto-Submitted", "auto-generated".to_owned()),
    ];
    Mail {
        from: email.from.clone(),
        to: email.to.clone(),
        subject: title.clone(),
        headers,
        date_unix_ns: notification.time_unix_ns,
        text: plain(&title, notification, external_url),
        html: html(&title, notification, external_url),
    }
}

fn plain(title: &str, notification: &Notification, external_url: &str) -> String {
    let mut parts = vec![title.to_owned()];
    for notified in &notification.alerts {
        let words = text::words(notified, ALERT_CHARS_MAX);
        let lines = words.lines.iter().map(|line| format!("\n  {line}"));
        parts.push(format!("{}{}", words.headline, lines.collect::<String>()));
    }
    parts.extend(text::rest(notification));
    parts.push(
        format!(
            "Sent {} to {}. {external_url}",
            calendar::readable(notification.time_unix_ns),
            notification.receiver
        )
        .trim_end()
        .to_owned(),
    );
    parts.join("\n\n") + "\n"
}

fn html(title: &str, notification: &Notification, external_url: &str) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{0}</title></head><body>\n<h2>{0}</h2>\n",
        escaped(title)
    );
    for notified in &notification.alerts {
        let words = text::words(notified, ALERT_CHARS_MAX);
        let lines = words
            .lines
            .iter()
            .map(|line| format!("<br>{}", escaped(line)));
        html.push_str(&format!(
            "<p><strong>{}</strong>{}</p>\n",
            escaped(&words.headline),
            lines.collect::<String>()
        ));
    }
    if let Some(rest) = text::rest(notification) {
        html.push_str(&format!("<p>{}</p>\n", escaped(&rest)));
    }
    let sent = format!(
        "Sent {} to {}.",
        calendar::readable(notification.time_unix_ns),
        notification.receiver
    );
    let link = if external_url.is_empty() {
        String::new()
    } else {
        format!(" <a href=\"{0}\">{0}</a>", escaped(external_url))
    };
    html + &format!("<p>{}{link}</p>\n</body></html>\n", escaped(&sent))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
