//! OTLP as configured, and to a `sonde` on this machine where nothing is configured.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, metrics::snapshot::Snapshot};

use super::InitError;
use crate::{
    config::{OtlpCompression, OtlpProtocol, Settings},
    encode::otlp::Signal,
    exporter::{
        Batching, Condition, ExportError, Exporter, Peer,
        otlp::{Compression, Otlp, OtlpConfig},
        spool::SpoolConfig,
    },
};

/// Where a collector on this machine listens: the port of OTLP over HTTP.
pub const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
/// What `GET /radiosonde` answers with, in the first line of its body: how a `sonde` is told from any other
/// collector.
pub const GREETING: &str = "radiosonde collector";
/// Longest a question to it may take. It runs on the exporter's own thread.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);
/// How often it is looked for while there is something to send.
const SEARCH_INTERVAL: Duration = Duration::from_secs(5);

/// The exporter that `settings` ask for: to the endpoint they name, else to one that is looked for.
pub(crate) fn open(settings: &Settings) -> Result<Option<Box<dyn Exporter>>, InitError> {
    let otlp = &settings.otlp;
    if !(otlp.traces || otlp.logs || otlp.metrics) {
        return Ok(None);
    }
    if settings.telemetry.endpoint.is_none() && !is_named(settings) {
        return Ok(otlp.discover.then(|| {
            let searching: Box<dyn Exporter> = Box::new(Searching::new(settings));
            searching
        }));
    }
    let signals = sent(settings);
    let own = signals
        .iter()
        .find_map(|&signal| own_endpoint(settings, signal));
    // Where only signals that have their own are sent, nothing is sent to this one.
    let endpoint = match (&settings.telemetry.endpoint, own) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(own)) if !settings.telemetry.tracing => own.clone(),
        (None, _) => default_endpoint(otlp.protocol),
    };
    if signals.is_empty() {
        return Ok(None);
    }
    let config = config(settings, endpoint, signals);
    Ok(Some(Box::new(connect(otlp.protocol, &config)?)))
}

/// Whether there is a collector to send to: one that is named, or one that is looked for and answers.
#[cfg(feature = "backends")]
pub(crate) fn is_found(settings: &Settings) -> bool {
    settings.telemetry.endpoint.is_some() || is_named(settings) || answers(LOCAL)
}

/// Whether somebody wants something to be sent although no common endpoint is named.
fn is_named(settings: &Settings) -> bool {
    let mut own = Signal::ALL
        .into_iter()
        .map(|signal| own_endpoint(settings, signal));
    own.any(|own| own.is_some()) || settings.telemetry.tracing
}

fn own_endpoint(settings: &Settings, signal: Signal) -> Option<&String> {
    let otlp = &settings.otlp;
    match signal {
        Signal::Traces => otlp.traces_endpoint.as_ref(),
        Signal::Logs => otlp.logs_endpoint.as_ref(),
        Signal::Metrics => otlp.metrics_endpoint.as_ref(),
    }
}

fn chosen(settings: &Settings) -> Vec<Signal> {
    let otlp = &settings.otlp;
    let is_chosen = |signal: &Signal| match signal {
        Signal::Traces => otlp.traces,
        Signal::Logs => otlp.logs,
        Signal::Metrics => otlp.metrics,
    };
    Signal::ALL.into_iter().filter(is_chosen).collect()
}

/// What is sent: what was chosen and has somewhere to go. An endpoint that was named for one signal is none for
/// another, and neither is the usual one then.
fn sent(settings: &Settings) -> Vec<Signal> {
    let any_own = Signal::ALL
        .into_iter()
        .any(|signal| own_endpoint(settings, signal).is_some());
    let mut signals = chosen(settings);
    if settings.telemetry.endpoint.is_none() && any_own {
        signals.retain(|&signal| {
            let asked_for = signal == Signal::Traces && settings.telemetry.tracing;
            own_endpoint(settings, signal).is_some() || asked_for
        });
    }
    signals
}

fn default_endpoint(protocol: OtlpProtocol) -> String {
    match protocol {
        OtlpProtocol::Http => "http://localhost:4318".to_owned(),
        OtlpProtocol::Grpc => "http://localhost:4317".to_owned(),
    }
}

fn config(settings: &Settings, endpoint: String, signals: Vec<Signal>) -> OtlpConfig {
    let otlp = &settings.otlp;
    let mut config = OtlpConfig::new(endpoint);
    // Spans and logs go together, so the one that may wait for less decides.
    config.batching = Batching {
        records: usize::try_from(otlp.batch_records).unwrap_or(usize::MAX),
        delay: match (
            signals.contains(&Signal::Traces),
            signals.contains(&Signal::Logs),
        ) {
            (true, true) => otlp.spans_delay.min(otlp.logs_delay),
            (true, false) => otlp.spans_delay,
            (false, _) => otlp.logs_delay,
        },
    };
    config.signals = signals;
    config.traces_endpoint.clone_from(&otlp.traces_endpoint);
    config.logs_endpoint.clone_from(&otlp.logs_endpoint);
    config.metrics_endpoint.clone_from(&otlp.metrics_endpoint);
    config.headers.clone_from(&otlp.headers);
    config.timeout = otlp.timeout;
    config.compression = match otlp.compression {
        OtlpCompression::Auto => Compression::Auto,
        OtlpCompression::Gzip => Compression::Gzip,
        OtlpCompression::Plain => Compression::None,
    };
    config.ca_certificate.clone_from(&otlp.certificate);
    config.client_certificate = otlp.client_certificate.clone().zip(otlp.client_key.clone());
    if otlp.spool_bytes_max == 0 {
        config.spool = SpoolConfig::in_memory();
    } else {
        config.spool.bytes_max = otlp.spool_bytes_max;
        if otlp.spool_directory.is_some() {
            config.spool.folder.clone_from(&otlp.spool_directory);
        }
    }
    config
}

fn connect(protocol: OtlpProtocol, config: &OtlpConfig) -> Result<Otlp, InitError> {
    match protocol {
        OtlpProtocol::Http => Ok(Otlp::http(config)?),
        #[cfg(feature = "otlp-grpc")]
        OtlpProtocol::Grpc => Ok(Otlp::grpc(config)?),
        #[cfg(not(feature = "otlp-grpc"))]
        OtlpProtocol::Grpc => Err(InitError::FeatureMissing {
            setting: "otlp.protocol = \"grpc\"",
            feature: "otlp-grpc",
        }),
    }
}

/// Looks for a `sonde` on this machine and sends to it once it answers. Until then nothing leaves the process and
/// nothing is kept for later; that is no loss, because nobody asked for it to be sent.
struct Searching {
    config: OtlpConfig,
    asked: Option<Instant>,
    found: Option<Otlp>,
    /// That of what was found.
    condition: Arc<OnceLock<Condition>>,
}

impl Searching {
    fn new(settings: &Settings) -> Self {
        let mut config = config(settings, format!("http://{LOCAL}"), chosen(settings));
        // Keys are meant for the endpoint they were configured for, and for no other.
        config.headers.clear();
        config.spool = SpoolConfig::in_memory();
        Self {
            config,
            asked: None,
            found: None,
            condition: Arc::default(),
        }
    }

    fn look(&mut self) -> Option<&mut Otlp> {
        let due = self
            .asked
            .is_none_or(|asked| asked.elapsed() >= SEARCH_INTERVAL);
        if self.found.is_none() && due {
            self.asked = Some(Instant::now());
            if answers(LOCAL) {
                self.found = Otlp::http(&self.config).ok();
            }
            if let Some(condition) = self.found.as_ref().and_then(Otlp::condition) {
                // It is found once.
                let _ = self.condition.set(condition);
            }
        }
        self.found.as_mut()
    }
}

impl Exporter for Searching {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn peers(&self) -> Vec<Peer> {
        match &self.found {
            Some(found) => found.peers(),
            None => vec![self.config.usual_peer()],
        }
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.look().map_or(Ok(()), |otlp| otlp.export(batch))
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.look()
            .map_or(Ok(()), |otlp| otlp.export_metrics(snapshot))
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.found.as_mut().map_or(Ok(()), Otlp::flush)
    }

    fn flush_by(&mut self, deadline: Instant) -> Result<(), ExportError> {
        self.found
            .as_mut()
            .map_or(Ok(()), |otlp| otlp.flush_by(deadline))
    }

    fn batching(&self) -> Option<Batching> {
        Some(self.config.batching)
    }

    fn condition(&self) -> Option<Condition> {
        let found = Arc::clone(&self.condition);
        Some(Arc::new(move || {
            found.get().and_then(|condition| condition())
        }))
    }
}

/// Whether what listens on `address` is a `sonde`.
fn answers(address: SocketAddr) -> bool {
    ask(address).is_ok_and(|answer| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let is_ok = head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200");
        is_ok && body.lines().any(|line| line.starts_with(GREETING))
    })
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    write!(
        stream,
        "GET /radiosonde HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    // An answer of ours fits; one that drips or is larger is somebody else's.
    while answer.len() < 4 * piece.len() && Instant::now() < deadline {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
            // Some servers keep the connection open.
            std::thread::sleep(Duration::from_millis(600));
        });
        address
    }

    #[test]
    fn only_a_sonde_is_taken_for_one() {
        for (answer, is_sonde) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nradiosonde collector 0.1.0\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n<html>radiosonde collector</html>",
                false,
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\nradiosonde collector", false),
            ("SSH-2.0-OpenSSH_9.2\r\n", false),
            ("", false),
        ] {
            assert_eq!(answers(answering(answer)), is_sonde, "{answer:?}");
        }
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(!answers(closed));
    }

    #[test]
    fn keys_stay_with_the_endpoint_they_were_meant_for() {
        let mut settings = Settings::default();
        settings.otlp.headers = vec![("api-key".to_owned(), "k".to_owned())];
        settings.otlp.timeout = Duration::from_secs(3);
        let config = config(
            &settings,
            "http://collector:4318".to_owned(),
            Signal::ALL.to_vec(),
        );
        assert_eq!(
            (config.headers.len(), config.timeout),
            (1, Duration::from_secs(3))
        );
        settings.otlp.spool_bytes_max = 0;
        let config = super::config(&settings, String::new(), Vec::new());
        assert_eq!(config.spool.folder, None);
    }

    #[test]
    fn an_endpoint_of_one_signal_is_none_for_another() {
        let mut settings = Settings::default();
        settings.otlp.traces_endpoint = Some("http://there/v1/traces".to_owned());
        assert_eq!(sent(&settings), [Signal::Traces]);
        settings.otlp.logs = false;
        settings.otlp.logs_endpoint = Some("http://there/v1/logs".to_owned());
        assert_eq!(sent(&settings), [Signal::Traces]);
        settings.telemetry.endpoint = Some("http://base:4318".to_owned());
        assert_eq!(sent(&settings), [Signal::Traces, Signal::Metrics]);
        settings.telemetry.endpoint = None;
        settings.otlp.traces_endpoint = None;
        assert_eq!(sent(&settings), [], "no spans: nobody asked");
        settings.telemetry.tracing = true;
        assert_eq!(sent(&settings), [Signal::Traces]);
    }

    #[test]
    fn spans_and_logs_wait_for_as_long_as_the_one_that_may_wait_for_less() {
        let settings = Settings::default();
        let delay_s = |signals: &[Signal]| {
            let config = config(&settings, String::new(), signals.to_vec());
            assert_eq!(config.batching.records, 512);
            config.batching.delay.as_secs()
        };
        assert_eq!(delay_s(&Signal::ALL), 1);
        assert_eq!(delay_s(&[Signal::Traces, Signal::Metrics]), 5);
        assert_eq!(delay_s(&[Signal::Logs]), 1);
    }

    #[test]
    fn an_exporter_is_made_only_where_something_may_leave() {
        let mut settings = Settings::default();
        settings.otlp.discover = false;
        assert!(open(&settings).unwrap().is_none());
        settings.telemetry.endpoint = Some("http://127.0.0.1:1".to_owned());
        settings.otlp.spool_bytes_max = 0;
        assert!(open(&settings).unwrap().is_some());
        (
            settings.otlp.traces,
            settings.otlp.logs,
            settings.otlp.metrics,
        ) = (false, false, false);
        assert!(open(&settings).unwrap().is_none());
    }
}
