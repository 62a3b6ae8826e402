//! Who is told, and where they are reached.

use std::fmt;

use serde::Deserialize;

/// Something that nobody may read in a log: an address that is a key, a password.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// What it is, for whoever sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One place that is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Receiver {
    /// An incoming webhook of Slack.
    Slack(Hook),
    /// A workflow of Microsoft Teams: "When a Teams webhook request is received".
    Teams(Hook),
    /// Anything that reads the body that Alertmanager's webhook sends (version 4).
    Webhook(Webhook),
    /// Events API v2 of PagerDuty.
    PagerDuty(PagerDuty),
    /// An Alertmanager, which routes further.
    Alertmanager(Webhook),
    /// E-mail over SMTP.
    Email(Email),
}

/// An address that is a key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Where to post.
    pub url: Secret,
    /// Whether to say that alerts are resolved.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// An address, and what its owner asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to post; of an Alertmanager its root.
    pub url: Secret,
    /// The header `Authorization`, whole: `Bearer ...`.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// Most alerts in one notification.
    #[serde(default = "alerts_max")]
    pub alerts_max: usize,
    /// Whether to say that alerts are resolved.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// A service of PagerDuty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The integration's key.
    pub routing_key: Secret,
    /// Where to post, where it is not PagerDuty's own address.
    #[serde(default = "pagerduty")]
    pub url: String,
    /// Whether to say that alerts are resolved.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// People who get mail, and the server that takes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// To whom.
    pub to: Vec<String>,
    /// From whom.
    pub from: String,
    /// Host and port of the server: `smtp.example.com:587`.
    pub server: String,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// Who sends, where the server asks.
    #[serde(default)]
    pub username: Option<String>,
    /// Their password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether to say that alerts are resolved.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// By `STARTTLS`, without which nothing is sent.
    #[default]
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

const fn yes() -> bool {
    true
}

const fn alerts_max() -> usize {
    ALERTS_MAX
}

fn pagerduty() -> String {
    "https://events.pagerduty.com/v2/enqueue".to_owned()
}

/// Most alerts in a notification that machines read.
pub const ALERTS_MAX: usize = 100;
/// Most alerts in a notification that people read.
pub const ALERTS_READ_MAX: usize = 20;
/// Most that [`Webhook::alerts_max`] may ask for.
const ALERTS_ASKED_MAX: usize = 1_000;
/// Most people that one mail goes to.
const RECIPIENTS_MAX: usize = 50;

impl Receiver {
    /// What its kind is called in a configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Teams(_) => "teams",
            Self::Webhook(_) => "webhook",
            Self::PagerDuty(_) => "pagerduty",
            Self::Alertmanager(_) => "alertmanager",
            Self::Email(_) => "email",
        }
    }

    /// Whether it is told that alerts are resolved.
    pub const fn sends_resolved(&self) -> bool {
        match self {
            Self::Slack(hook) | Self::Teams(hook) => hook.send_resolved,
            Self::Webhook(webhook) | Self::Alertmanager(webhook) => webhook.send_resolved,
            Self::PagerDuty(service) => service.send_resolved,
            Self::Email(email) => email.send_resolved,
        }
    }

    /// Most alerts in one notification.
    pub const fn alerts_max(&self) -> usize {
        match self {
            Self::Slack(_) | Self::Teams(_) => ALERTS_READ_MAX,
            Self::Webhook(webhook) | Self::Alertmanager(webhook) => webhook.alerts_max,
            Self::PagerDuty(_) | Self::Email(_) => ALERTS_MAX,
        }
    }

    /// What is wrong with it, each with the key it is about.
    pub(super) fn check(&self, mut fault: impl FnMut(&str, String)) {
        let address = |url: &str| {
            let rest = url
                .strip_prefix("https://")
                .or_else(|| url.strip_prefix("http://"));
            let host = rest.map_or("", |rest| {
                rest.split(['/', '?', '#']).next().unwrap_or_default()
            });
            let is_one =
                !host.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control());
            // Without the address itself: it may be a key.
            (!is_one).then(|| "is no address; write https://HOST/PATH".to_owned())
        };
        match self {
            Self::Slack(hook) | Self::Teams(hook) => {
                address(hook.url.reveal())
                    .into_iter()
                    .for_each(|words| fault("url", words));
            }
            Self::Webhook(webhook) | Self::Alertmanager(webhook) => {
                address(webhook.url.reveal())
                    .into_iter()
                    .for_each(|words| fault("url", words));
                if !(1..=ALERTS_ASKED_MAX).contains(&webhook.alerts_max) {
                    fault(
                        "alerts_max",
                        format!(
                            "is {}; write a number from 1 to {ALERTS_ASKED_MAX}",
                            webhook.alerts_max
                        ),
                    );
                }
                let has_lines = |secret: &Secret| secret.reveal().contains(char::is_control);
                if webhook.authorization.as_ref().is_some_and(has_lines) {
                    fault(
                        "authorization",
                        "has a line break or another control character; write one line".to_owned(),
                    );
                }
            }
            Self::PagerDuty(service) => {
                address(&service.url)
                    .into_iter()
                    .for_each(|words| fault("url", words));
                if service.routing_key.reveal().is_empty() {
                    fault(
                        "routing_key",
                        "is empty; write the integration key of an Events API v2 integration"
                            .to_owned(),
                    );
                }
            }
            Self::Email(email) => email.check(fault),
        }
    }
}

impl Email {
    fn check(&self, mut fault: impl FnMut(&str, String)) {
        let is_address = |text: &str| {
            let parts = text.split_once('@');
            parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
                && !text
                    .contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
        };
        let wrong = self
            .to
            .iter()
            .chain([&self.from])
            .find(|text| !is_address(text));
        if let Some(text) = wrong {
            let key = if *text == self.from { "from" } else { "to" };
            fault(
                key,
                format!("`{text}` is no address; write name@example.com"),
            );
        }
        if self.to.is_empty() || self.to.len() > RECIPIENTS_MAX {
            fault(
                "to",
                format!(
                    "has {} addresses; write 1 to {RECIPIENTS_MAX}",
                    self.to.len()
                ),
            );
        }
        let port = self
            .server
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty());
        if port
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .is_none()
        {
            fault(
                "server",
                format!(
                    "`{}` is no server; write HOST:PORT, such as smtp.example.com:587",
                    self.server
                ),
            );
        }
        if self.username.is_some() != self.password.is_some() {
            fault(
                "password",
                "a username and a password go together; write both or neither".to_owned(),
            );
        }
        if self.password.is_some() && self.encryption == Encryption::None {
            fault(
                "encryption",
                "a password would be sent for all to read; write starttls or tls".to_owned(),
            );
        }
    }
}
