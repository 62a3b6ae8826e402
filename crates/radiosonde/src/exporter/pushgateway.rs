//! Pushgateway: the metrics of programs that end before anybody scrapes them (github.com/prometheus/pushgateway, README: API).
//!
//! Each snapshot takes the place of the one before under `/metrics/job/JOB{/LABEL/VALUE}`. A Pushgateway keeps what was pushed
//! until it is told to forget it, so that the last values of a program that has ended stay there to be scraped.

use std::fmt::Write as _;

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};
use ureq::http::{HeaderValue, Method, Uri, header};

use super::{
    DestinationError,
    backend::{Backend, Call, Connection, Format, Kind, Requests, Wire},
    delivery::{address::shown, base64::url_safe, http},
    spool::Payload,
};
use crate::encode::{
    openmetrics::{self, ALIASES, Alias, Options},
    otlp::Signal,
};

const KIND: Kind = Kind {
    name: "pushgateway",
    title: "Pushgateway",
    component: "prometheus_pushgateway_exporter",
};

/// The bit of a payload's tag that says that the group is to be forgotten.
const FORGET: u8 = 0b100;

/// What a push does to what was pushed to the same group before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// Takes the place of all of it (PUT).
    #[default]
    Replace,
    /// Takes the place of metrics of the same names, for several programs that share a group (POST).
    Merge,
}

/// Where to and how. The connection's endpoint is the Pushgateway's URL, without `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushgatewayConfig {
    /// How the Pushgateway is reached.
    pub connection: Connection,
    /// The job that the metrics are of.
    pub job: String,
    /// What else the group is known by: names and values of labels, such as `instance`.
    pub grouping: Vec<(String, String)>,
    /// What a push does to those before.
    pub push: Push,
    /// The group is forgotten when the exporter ends.
    pub forget_at_end: bool,
    /// Under the names of older programs too, as the endpoint for scrapes has them.
    pub aliases: bool,
}

impl PushgatewayConfig {
    /// The defaults for the Pushgateway at `endpoint`.
    pub fn new(endpoint: impl Into<String>, job: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(endpoint),
            job: job.into(),
            grouping: Vec::new(),
            push: Push::Replace,
            forget_at_end: false,
            aliases: false,
        }
    }
}

/// Starts pushing metrics.
///
/// # Errors
/// Where the endpoint is no URL that can be sent to, the job or the name of a label is none, or a header or certificate cannot be
/// used.
pub fn open(config: &PushgatewayConfig) -> Result<Backend, DestinationError> {
    let endpoint = http::below(&config.connection.endpoint, &path(config)?);
    let text = Text {
        aliases: if config.aliases { &ALIASES } else { &[] },
        forget_at_end: config.forget_at_end,
    };
    let group = Group {
        url: http::uri(KIND.title, &endpoint)?,
        push: match config.push {
            Push::Replace => Method::PUT,
            Push::Merge => Method::POST,
        },
    };
    let ways = vec![(vec![Signal::Metrics], endpoint, group)];
    Backend::start(KIND, &config.connection, text, ways)
}

/// The path of the group.
fn path(config: &PushgatewayConfig) -> Result<String, DestinationError> {
    let refused = |reason| DestinationError::Endpoint {
        destination: KIND.title,
        endpoint: shown(&config.connection.endpoint),
        reason,
    };
    if config.job.is_empty() {
        return Err(refused("the job that metrics are of has no name"));
    }
    let mut path = "metrics".to_owned();
    push_pair(&mut path, "job", &config.job);
    for (name, value) in &config.grouping {
        let mut letters = name.bytes();
        let is_name = letters
            .next()
            .is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
            && letters.all(|letter| letter == b'_' || letter.is_ascii_alphanumeric());
        if !is_name || name == "job" || name.starts_with("__") {
            return Err(refused(
                "labels of a group have names of letters, digits and _, which begin with no digit; job has its own setting",
            ));
        }
        push_pair(&mut path, name, value);
    }
    Ok(path)
}

/// Appends a label. What cannot be a part of a path is base64 (README: URL).
fn push_pair(path: &mut String, name: &str, value: &str) {
    let is_part = !value.is_empty() && !value.contains('/') && !matches!(value, "." | "..");
    // A name is what a URL may hold.
    path.push('/');
    path.push_str(name);
    if !is_part {
        path.push_str("@base64/");
        // An empty part would be lost with a slash.
        path.push_str(match value {
            "" => "=",
            _ => "",
        });
        path.push_str(&url_safe(value.as_bytes()));
        return;
    }
    path.push('/');
    for byte in value.bytes() {
        // RFC 3986, section 2.3.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(byte.into());
        } else {
            let written = write!(path, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a string takes everything");
        }
    }
}

/// Writes the exposition.
struct Text {
    aliases: &'static [Alias],
    forget_at_end: bool,
}

impl Format for Text {
    fn encode(&mut self, _batch: &Batch, _requests: &mut Requests<'_>) {}

    fn encode_metrics(&mut self, snapshot: &Snapshot, requests: &mut Requests<'_>) {
        if !requests.takes(Signal::Metrics) {
            return;
        }
        let mut body = Vec::new();
        let options = Options {
            format: openmetrics::Format::Prometheus,
            aliases: self.aliases,
        };
        openmetrics::encode(snapshot, options, &mut body);
        let lines = body.split(|&byte| byte == b'\n');
        let samples = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let samples = u32::try_from(samples.count()).unwrap_or(u32::MAX);
        requests.push(Signal::Metrics, 0, samples, body);
    }

    fn end(&mut self, requests: &mut Requests<'_>) {
        if self.forget_at_end {
            requests.push(Signal::Metrics, FORGET, 0, Vec::new());
        }
    }
}

/// Puts payloads to the group.
struct Group {
    url: Uri,
    push: Method,
}

impl Wire for Group {
    fn call(&mut self, _payload: &Payload) -> Result<Call<'_>, String> {
        let kind = HeaderValue::from_static(openmetrics::Format::Prometheus.content_type());
        Ok(Call {
            url: &self.url,
            headers: vec![(header::CONTENT_TYPE, kind)],
        })
    }

    fn method(&self, payload: &Payload) -> Method {
        match payload.tag & FORGET {
            0 => self.push.clone(),
            _ => Method::DELETE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(job: &str, grouping: &[(&str, &str)]) -> Result<String, DestinationError> {
        let mut config = PushgatewayConfig::new("http://gateway:9091", job);
        config.grouping = grouping
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        path(&config)
    }

    #[test]
    fn what_cannot_be_a_part_of_a_path_is_base64() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 3] = [
            ("train", &[], "metrics/job/train"),
            (
                "a b",
                &[("instance", "Prüf:1"), ("path", "/var/tmp")],
                "metrics/job/a%20b/instance/Pr%C3%BCf%3A1/path@base64/L3Zhci90bXA",
            ),
            (
                "..",
                &[("empty", "")],
                "metrics/job@base64/Li4/empty@base64/=",
            ),
        ];
        for (job, grouping, expected) in cases {
            assert_eq!(path_of(job, grouping).unwrap(), expected);
        }
    }

    #[test]
    fn a_group_that_has_no_name_is_refused() {
        let wrong: [(&str, &[(&str, &str)]); 4] = [
            ("", &[]),
            ("a", &[("1st", "x")]),
            ("a", &[("job", "x")]),
            ("a", &[("__name__", "x")]),
        ];
        for (job, grouping) in wrong {
            assert!(path_of(job, grouping).is_err(), "{job} {grouping:?}");
        }
    }
}
