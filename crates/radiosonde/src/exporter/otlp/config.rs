//! Where and how OTLP is sent, and what can be wrong with that.

use std::{fmt, path::PathBuf, time::Duration};

use super::{BATCHING_DEFAULT, TIMEOUT_DEFAULT};
use crate::{
    encode::otlp::{REQUEST_BYTES_MAX_DEFAULT, Signal},
    exporter::{
        Batching,
        delivery::{
            DestinationError,
            address::{is_loopback, shown, spool_name},
            http::{self, Reach},
        },
        peer::Peer,
        retry,
        spool::SpoolConfig,
    },
};

/// What errors call it.
pub(super) const DESTINATION: &str = "OTLP";

/// Whether requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// By gzip, unless the endpoint is this machine.
    #[default]
    Auto,
    /// Never.
    None,
    /// By gzip.
    Gzip,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) endpoint: String,
    /// Over HTTP it is the whole URL, because it was named for a signal, else the base to which the path is added.
    pub(super) is_own: bool,
    /// What is sent there.
    pub(super) signals: Vec<Signal>,
}

/// Where and how to send. `OTEL_EXPORTER_OTLP_*` names are given where there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// `ENDPOINT`: for HTTP the base URL, to which `/v1/traces`, `/v1/logs` or `/v1/metrics` is added; for gRPC the
    /// server.
    pub endpoint: String,
    /// What is sent. The rest is passed over.
    pub signals: Vec<Signal>,
    /// `TRACES_ENDPOINT`: over HTTP the whole URL for spans, over gRPC the server.
    pub traces_endpoint: Option<String>,
    /// `LOGS_ENDPOINT`: the same for logs and events.
    pub logs_endpoint: Option<String>,
    /// `METRICS_ENDPOINT`: the same for metrics.
    pub metrics_endpoint: Option<String>,
    /// `HEADERS`: sent with every request to this destination and no other.
    pub headers: Vec<(String, String)>,
    /// `TIMEOUT`: for one request, connection included.
    pub timeout: Duration,
    /// `COMPRESSION`.
    pub compression: Compression,
    /// `CERTIFICATE`: a PEM file with the certificate authorities to trust instead of Mozilla's.
    pub ca_certificate: Option<PathBuf>,
    /// `CLIENT_CERTIFICATE` and `CLIENT_KEY`: PEM files with which this program proves who it is.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Refuse an endpoint without TLS.
    pub require_tls: bool,
    /// How much is collected before it is sent.
    pub batching: Batching,
    /// Where telemetry waits while the destination is away.
    pub spool: SpoolConfig,
    /// Uncompressed bytes after which another request is begun.
    pub request_bytes_max: usize,
    /// First and longest delay between attempts, before jitter.
    pub retry_delay: (Duration, Duration),
}

impl OtlpConfig {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            signals: Signal::ALL.to_vec(),
            traces_endpoint: None,
            logs_endpoint: None,
            metrics_endpoint: None,
            headers: Vec::new(),
            timeout: TIMEOUT_DEFAULT,
            compression: Compression::default(),
            ca_certificate: None,
            client_certificate: None,
            require_tls: false,
            batching: BATCHING_DEFAULT,
            spool: SpoolConfig::default(),
            request_bytes_max: REQUEST_BYTES_MAX_DEFAULT,
            retry_delay: (retry::DELAY_MIN, retry::DELAY_MAX),
        }
    }

    pub(super) fn endpoint_of(&self, signal: Signal) -> Option<&String> {
        match signal {
            Signal::Traces => self.traces_endpoint.as_ref(),
            Signal::Logs => self.logs_endpoint.as_ref(),
            Signal::Metrics => self.metrics_endpoint.as_ref(),
        }
    }

    /// The endpoints, each with the signals that are sent there.
    pub(super) fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        for &signal in &self.signals {
            let own = self.endpoint_of(signal);
            let (endpoint, is_own) = (own.unwrap_or(&self.endpoint), own.is_some());
            let same = |known: &&mut Target| known.endpoint == *endpoint && known.is_own == is_own;
            match targets.iter_mut().find(same) {
                Some(known) => known.signals.push(signal),
                None => targets.push(Target {
                    endpoint: endpoint.clone(),
                    is_own,
                    signals: vec![signal],
                }),
            }
        }
        targets
    }

    pub(super) fn gzip(&self, target: &Target) -> bool {
        match self.compression {
            Compression::Auto => !is_loopback(&target.endpoint),
            Compression::None => false,
            Compression::Gzip => true,
        }
    }

    /// How the endpoints are reached.
    /// Who gets what has no endpoint of its own, over HTTP.
    pub(crate) fn usual_peer(&self) -> Peer {
        let target = Target {
            endpoint: self.endpoint.clone(),
            is_own: false,
            signals: self.signals.clone(),
        };
        self.peer(target, false)
    }

    /// Who is at `target`.
    pub(super) fn peer(&self, target: Target, is_grpc: bool) -> Peer {
        Peer {
            url: target.endpoint,
            signals: target.signals,
            is_grpc,
            headers: self.headers.clone(),
            timeout: self.timeout,
            ca_certificate: self.ca_certificate.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }

    pub(super) fn reach(&self) -> Reach<'_> {
        let pair = self.client_certificate.as_ref();
        Reach {
            headers: &self.headers,
            timeout: self.timeout,
            ca_certificate: self.ca_certificate.as_deref(),
            client_certificate: pair.map(|(certificate, key)| (&**certificate, &**key)),
        }
    }

    /// A file name for the destination: what waits for it is never sent anywhere else, nor with other headers.
    pub(super) fn spool_name(&self, target: &Target, protocol: &str) -> String {
        let is_own: &[u8] = if target.is_own { b"own" } else { b"\n\n\n" };
        let kind = format!("otlp-{protocol}");
        spool_name(&kind, is_own, &target.endpoint, &self.headers)
    }

    pub(super) fn check(&self) -> Result<(), DestinationError> {
        let urls = Signal::ALL
            .into_iter()
            .filter_map(|signal| self.endpoint_of(signal));
        for url in urls.chain([&self.endpoint]) {
            http::check(DESTINATION, url, self.require_tls)?;
        }
        Ok(())
    }
}

impl fmt::Debug for OtlpConfig {
    /// Without the values of headers, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &shown(&self.endpoint))
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(config: &OtlpConfig) -> String {
        config.spool_name(&config.targets()[0], "http")
    }

    #[test]
    fn secrets_in_an_endpoint_or_header_are_not_shown() {
        let mut config =
            OtlpConfig::new("https://user:hunter2@collector.example:4318/otlp?key=hunter2");
        config.headers = vec![("authorization".to_owned(), "hunter2".to_owned())];
        let text = format!("{config:?} {}", name_of(&config));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("https://collector.example:4318/otlp"),
            "{text}"
        );
    }

    #[test]
    fn another_key_is_another_destination() {
        let mut config = OtlpConfig::new("http://localhost:4318");
        let name = name_of(&config);
        assert!(
            name.starts_with("otlp-http-http---localhost-4318-"),
            "{name}"
        );
        assert_eq!(name, name_of(&OtlpConfig::new("http://localhost:4318")));
        config.headers = vec![("api-key".to_owned(), "a".to_owned())];
        assert_ne!(name, name_of(&config));
    }

    #[test]
    fn an_endpoint_is_checked_before_anything_starts() {
        let error = |endpoint: &str, require_tls| {
            let config = OtlpConfig {
                require_tls,
                ..OtlpConfig::new(endpoint)
            };
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(error("http://localhost:4318", false), Ok(()));
        assert_eq!(error("https://[::1]:4318/x", true), Ok(()));
        for (endpoint, require_tls, expected) in [
            (
                "localhost:4318",
                false,
                "OTLP endpoint localhost:4318: it must begin with http:// or https://",
            ),
            (
                "ftp://localhost",
                false,
                "OTLP endpoint ftp://localhost: only http:// and https:// are known",
            ),
            ("http://", false, "OTLP endpoint http://: it names no host"),
            (
                "http://collector",
                true,
                "OTLP endpoint http://collector: TLS is required: use https:// or drop require_tls",
            ),
        ] {
            assert_eq!(error(endpoint, require_tls), Err(expected.to_owned()));
        }
    }

    #[test]
    fn only_this_machine_is_spared_compression() {
        for (endpoint, gzip) in [
            ("http://localhost:4318", false),
            ("http://127.0.0.1:4318/x", false),
            ("http://[::1]:4318", false),
            ("https://collector.example", true),
            ("http://10.0.0.1:4318", true),
        ] {
            let config = OtlpConfig::new(endpoint);
            assert_eq!(config.gzip(&config.targets()[0]), gzip, "{endpoint}");
        }
    }

    #[test]
    fn signals_that_share_an_endpoint_share_what_waits_for_it() {
        let mut config = OtlpConfig::new("http://base:4318");
        config.traces_endpoint = Some("http://traces/v1/traces".to_owned());
        let targets = config.targets();
        let all: Vec<_> = targets
            .iter()
            .map(|target| (target.endpoint.as_str(), &target.signals[..]))
            .collect();
        assert_eq!(
            all,
            [
                ("http://traces/v1/traces", &[Signal::Traces][..]),
                ("http://base:4318", &[Signal::Logs, Signal::Metrics]),
            ]
        );
        assert_ne!(
            config.spool_name(&targets[0], "http"),
            config.spool_name(&targets[1], "http")
        );
        config.signals = vec![Signal::Traces];
        assert_eq!(config.targets().len(), 1);
    }
}
