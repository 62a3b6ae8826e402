//! One way over HTTP: a client whose headers and certificates are one destination's alone, and what its answers mean.

use std::{
    fs,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use ureq::{
    Agent, Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    },
    tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig},
};

use super::{
    DestinationError, Outcome,
    address::{host, is_loopback, shown},
};
use crate::exporter::retry;

/// What we call ourselves.
pub(in crate::exporter) const USER_AGENT: &str = concat!("radiosonde/", env!("CARGO_PKG_VERSION"));

/// Longest time for a connection; the rest of the timeout is for the answer.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
pub(in crate::exporter) const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Most bytes of an answer that are repeated to people.
const REASON_BYTES_MAX: usize = 300;

/// How a destination is reached.
#[derive(Clone, Debug, Default)]
pub(in crate::exporter) struct Reach<'a> {
    /// Sent with every request to this destination and no other.
    pub(in crate::exporter) headers: &'a [(String, String)],
    /// For one request, connection included.
    pub(in crate::exporter) timeout: Duration,
    /// A PEM file with the certificate authorities to trust instead of Mozilla's.
    pub(in crate::exporter) ca_certificate: Option<&'a Path>,
    /// PEM files with which this program proves who it is: certificate and key.
    pub(in crate::exporter) client_certificate: Option<(&'a Path, &'a Path)>,
}

/// A client for one destination.
pub(in crate::exporter) struct Client {
    agent: Agent,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Client {
    /// A client for `endpoint` and what is below it.
    pub(in crate::exporter) fn new(
        reach: &Reach<'_>,
        endpoint: &str,
    ) -> Result<Self, DestinationError> {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .timeout_global(Some(reach.timeout))
            .timeout_connect(Some(reach.timeout.min(CONNECT_TIMEOUT_MAX)))
            .tls_config(tls(reach)?);
        if is_loopback(endpoint) {
            builder = builder.proxy(None);
        }
        Ok(Self {
            agent: builder.build().new_agent(),
            headers: headers(reach.headers)?,
        })
    }

    /// Sends `body` by POST with `headers` beside the destination's own; why there is no answer, where none came.
    pub(in crate::exporter) fn post(
        &self,
        url: &Uri,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, String> {
        self.send(Method::POST, url, headers, body)
    }

    /// The same by any method.
    pub(in crate::exporter) fn send(
        &self,
        method: Method,
        url: &Uri,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(url.clone());
        for (name, value) in headers.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|error| error.to_string())?;
        let response = self.agent.run(request).map_err(|error| error.to_string())?;
        Ok(Answer::read(response))
    }
}

/// What a destination answered.
#[derive(Debug)]
pub(in crate::exporter) struct Answer {
    /// Its status.
    pub(in crate::exporter) status: StatusCode,
    /// Its headers.
    pub(in crate::exporter) headers: HeaderMap,
    /// Its body, or as much of it as is read.
    pub(in crate::exporter) body: Vec<u8>,
    /// Whether that is all of the body.
    pub(in crate::exporter) is_whole: bool,
}

impl Answer {
    fn read(mut response: Response<Body>) -> Self {
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        let ended = reader
            .take(ANSWER_BYTES_MAX + 1)
            .read_to_end(&mut body)
            .is_ok();
        let (parts, _) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            // A byte more than is looked at is one too many.
            is_whole: ended && body.len() as u64 <= ANSWER_BYTES_MAX,
            body,
        }
    }

    /// When it asks to be tried again.
    pub(in crate::exporter) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(header::RETRY_AFTER)?;
        retry::retry_after(value.to_str().ok()?, SystemTime::now())
    }

    /// The status and the beginning of the body, for people.
    pub(in crate::exporter) fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        let end = text.floor_char_boundary(REASON_BYTES_MAX);
        let visible: String = text[..end]
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        if visible.is_empty() {
            format!("HTTP {}", self.status)
        } else {
            format!("HTTP {}: {visible}", self.status)
        }
    }

    /// What the status alone says: success is delivered; 408, 429 and what a server or a gateway says of its own state
    /// (500, 502, 503, 504) is tried again; anything else is refused for good (RFC 9110, section 15; RFC 6585).
    pub(in crate::exporter) fn by_status(&self) -> Outcome {
        if self.status.is_success() {
            return Outcome::Delivered;
        }
        let reason = self.reason();
        match self.status.as_u16() {
            408 | 429 | 500 | 502..=504 => Outcome::Unavailable {
                reason,
                retry_after: self.retry_after(),
            },
            _ => Outcome::Rejected { reason },
        }
    }
}

/// What is wrong with `endpoint` as a place for `destination`, if anything is.
pub(in crate::exporter) fn check(
    destination: &'static str,
    endpoint: &str,
    require_tls: bool,
) -> Result<(), DestinationError> {
    let invalid = |reason| DestinationError::Endpoint {
        destination,
        endpoint: shown(endpoint),
        reason,
    };
    let (scheme, rest) = endpoint
        .split_once("://")
        .ok_or_else(|| invalid("it must begin with http:// or https://"))?;
    match scheme {
        "http" if require_tls => {
            return Err(invalid("TLS is required: use https:// or drop require_tls"));
        }
        "https" | "http" => {}
        _ => return Err(invalid("only http:// and https:// are known")),
    }
    if host(rest).is_empty() {
        return Err(invalid("it names no host"));
    }
    Ok(())
}

/// The URL of `path` below that of `base`, which may have a query.
pub(in crate::exporter) fn below(base: &str, path: &str) -> String {
    let base = base.split('#').next().unwrap_or_default();
    let (base, query) = base.split_at(base.find('?').unwrap_or(base.len()));
    format!("{}/{path}{query}", base.trim_end_matches('/'))
}

/// `url`, read; it belongs to `destination`.
pub(in crate::exporter) fn uri(
    destination: &'static str,
    url: &str,
) -> Result<Uri, DestinationError> {
    url.parse::<Uri>().map_err(|_| DestinationError::Endpoint {
        destination,
        endpoint: shown(url),
        reason: "it is not a URL",
    })
}

fn headers(
    headers: &[(String, String)],
) -> Result<Vec<(HeaderName, HeaderValue)>, DestinationError> {
    let parse = |(name, value): &(String, String)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    headers
        .iter()
        .map(|header| {
            parse(header).ok_or_else(|| DestinationError::Header {
                name: header.0.clone(),
            })
        })
        .collect()
}

fn tls(reach: &Reach<'_>) -> Result<TlsConfig, DestinationError> {
    let mut builder = TlsConfig::builder();
    if let Some(path) = reach.ca_certificate {
        builder = builder.root_certs(RootCerts::new_with_certs(&certificates(path)?));
    }
    if let Some((certificate, key)) = reach.client_certificate {
        let chain = certificates(certificate)?;
        let key = PrivateKey::from_pem(&read(key)?).map_err(|error| unusable(key, &error))?;
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(builder.build())
}

/// The certificates of a PEM file: at least one.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, DestinationError> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&read(path)?) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(path, &error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(DestinationError::Certificate {
            path: path.to_owned(),
            reason: "it holds no certificate in PEM form".to_owned(),
        });
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, DestinationError> {
    fs::read(path).map_err(|error| DestinationError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn unusable(path: &Path, error: &ureq::Error) -> DestinationError {
    DestinationError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
