//! OTLP over HTTP: protobuf by POST (OpenTelemetry protocol specification, OTLP/HTTP).

use std::{
    fs,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use ureq::{
    Agent, Body,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header},
    tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig},
};

use super::{
    OtlpConfig, OtlpError, Outcome, Target, Transport,
    config::{is_loopback, shown},
    response,
};
use crate::{encode::otlp::Signal, exporter::retry};

const USER_AGENT: &str = concat!("radiosonde/", env!("CARGO_PKG_VERSION"));

/// Longest time for a connection; the rest of the timeout is for the answer.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

pub(super) struct Http {
    agent: Agent,
    /// By [`Signal`], in the order of [`Signal::ALL`].
    urls: [Uri; 3],
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Http {
    pub(super) fn new(config: &OtlpConfig, target: &Target) -> Result<Self, OtlpError> {
        let url = |signal: Signal| {
            let url = if target.is_own {
                target.endpoint.clone()
            } else {
                below(&target.endpoint, &format!("v1/{}", signal.name()))
            };
            url.parse::<Uri>().map_err(|_| OtlpError::Endpoint {
                endpoint: shown(&url),
                reason: "it is not a URL",
            })
        };
        let [traces, logs, metrics] = Signal::ALL;
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .timeout_global(Some(config.timeout))
            .timeout_connect(Some(config.timeout.min(CONNECT_TIMEOUT_MAX)))
            .tls_config(tls(config)?);
        if is_loopback(&target.endpoint) {
            builder = builder.proxy(None);
        }
        Ok(Self {
            agent: builder.build().new_agent(),
            urls: [url(traces)?, url(logs)?, url(metrics)?],
            headers: headers(&config.headers)?,
        })
    }

    fn post(&self, signal: Signal, gzip: bool, body: &[u8]) -> Result<Response<Body>, ureq::Error> {
        let url = self.urls[signal as usize - 1].clone();
        let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/x-protobuf");
        if gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        self.agent
            .run(request.body(body).map_err(ureq::Error::Http)?)
    }
}

impl Transport for Http {
    fn send(&mut self, signal: Signal, gzip: bool, body: &[u8]) -> Outcome {
        match self.post(signal, gzip, body) {
            Ok(response) => outcome(response),
            Err(error) => Outcome::Unreachable {
                reason: error.to_string(),
            },
        }
    }
}

/// The URL of `path` below that of `base`, which may have a query.
fn below(base: &str, path: &str) -> String {
    let base = base.split('#').next().unwrap_or_default();
    let (base, query) = base.split_at(base.find('?').unwrap_or(base.len()));
    format!("{}/{path}{query}", base.trim_end_matches('/'))
}

fn outcome(mut answer: Response<Body>) -> Outcome {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| retry::retry_after(value.to_str().ok()?, SystemTime::now()));
    let mut body = Vec::new();
    let mut reader = answer.body_mut().as_reader().take(response::BYTES_MAX + 1);
    let ended = reader.read_to_end(&mut body).is_ok();
    if status.is_success() {
        // A byte more than is looked at is one too many.
        let is_whole = ended && body.len() as u64 <= response::BYTES_MAX;
        return response::success(&body, is_whole);
    }
    let mut reason = format!("HTTP {status}");
    let message = response::error_message(&body);
    if !message.is_empty() {
        reason = format!("{reason}: {message}");
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Unavailable {
            reason,
            retry_after,
        },
        _ => Outcome::Rejected { reason },
    }
}

fn headers(headers: &[(String, String)]) -> Result<Vec<(HeaderName, HeaderValue)>, OtlpError> {
    let parse = |(name, value): &(String, String)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    headers
        .iter()
        .map(|header| {
            parse(header).ok_or_else(|| OtlpError::Header {
                name: header.0.clone(),
            })
        })
        .collect()
}

fn tls(config: &OtlpConfig) -> Result<TlsConfig, OtlpError> {
    let mut builder = TlsConfig::builder();
    if let Some(path) = &config.ca_certificate {
        builder = builder.root_certs(RootCerts::new_with_certs(&certificates(path)?));
    }
    if let Some((certificate, key)) = &config.client_certificate {
        let chain = certificates(certificate)?;
        let key = PrivateKey::from_pem(&read(key)?).map_err(|error| unusable(key, &error))?;
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(builder.build())
}

/// The certificates of a PEM file: at least one.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, OtlpError> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&read(path)?) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(path, &error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(OtlpError::Certificate {
            path: path.to_owned(),
            reason: "it holds no certificate in PEM form".to_owned(),
        });
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, OtlpError> {
    fs::read(path).map_err(|error| OtlpError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn unusable(path: &Path, error: &ureq::Error) -> OtlpError {
    OtlpError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
