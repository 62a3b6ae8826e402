//! A small HTTP endpoint inside the process, for metrics and health. Off unless it is started.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | metrics as OpenMetrics or Prometheus text, by the `Accept` header |
//! | `/health` | every check as JSON; 503 when one is critical |
//! | `/livez` | 200, or 503 when a check that has a part in liveness is critical |
//! | `/readyz` | 200, or 503 when one that has a part in readiness is critical, or was not looked at yet |
//! | `/startupz` | 503 until each that has a part in the startup has passed once |
//!
//! The last three show their checks with `?verbose`; `?exclude=NAME` leaves a check out, in all four.
//!
//! Invariants: an address that other machines reach needs a token, or nothing starts. A request has
//! [`HEAD_BYTES_MAX`] bytes, one line of [`REQUEST_TIMEOUT`] in time, and one connection of [`CONNECTIONS_MAX`]; what
//! exceeds that is refused. A scrape gives its connection's place back for one of [`SCRAPES_MAX`], so that no probe waits
//! for a source of metrics. Nothing here can change the program.

mod answer;
mod scrape;
mod stream;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::metrics::snapshot::Snapshot;

use self::{answer::Answer, scrape::Reader};
use crate::{
    encode::openmetrics::{self, ALIASES, Format, Options},
    health::{self, Health, Probe, Status},
};

/// Most bytes of a request's line and headers.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Longest time for a request to come, and for its answer to be taken.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections served at the same time, beside scrapes.
pub const CONNECTIONS_MAX: usize = 16;
/// Scrapes answered at the same time.
pub const SCRAPES_MAX: usize = 16;

/// Pause after the system refuses a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the end waits for its own wake-up call.
const WAKE_TIMEOUT: Duration = Duration::from_millis(200);
const HEADERS_MAX: usize = 64;

/// Where the endpoint listens and what it asks of callers.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What callers must send as `Authorization: Bearer TOKEN`. Needed where other machines reach the address.
    pub token: Option<String>,
    /// Where metrics are.
    pub metrics_path: String,
    /// Where health is.
    pub health_path: String,
    /// From which status on health is answered with 503.
    pub health_fails_from: Status,
}

impl Default for EndpointConfig {
    /// A free port of this machine alone, `/metrics` and `/health`, which fails from critical on.
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            token: None,
            metrics_path: "/metrics".to_owned(),
            health_path: "/health".to_owned(),
            health_fails_from: Status::Critical,
        }
    }
}

impl std::fmt::Debug for EndpointConfig {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("address", &self.address)
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("metrics_path", &self.metrics_path)
            .field("health_path", &self.health_path)
            .field("health_fails_from", &self.health_fails_from)
            .finish()
    }
}

/// Why the endpoint did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Other machines reach the address and nothing keeps them out.
    #[error(
        "HTTP endpoint {address}: other machines reach it, so it needs a token; set one or listen on 127.0.0.1"
    )]
    TokenNeeded {
        /// The address.
        address: SocketAddr,
    },
    /// The system refused the address or a thread.
    #[error("HTTP endpoint {address}: {source}; name another port, or 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What a request is answered from.
struct Service {
    config: EndpointConfig,
    health: Health,
    metrics: Reader,
    stop: AtomicBool,
    connections: AtomicUsize,
    scrapes: AtomicUsize,
}

/// The endpoint, until it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    service: Arc<Service>,
    thread: Option<thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Listens and answers with what `snapshot` and `health` say at that moment.
    pub fn start(
        config: EndpointConfig,
        health: Health,
        snapshot: impl Fn() -> Snapshot + Send + Sync + 'static,
    ) -> Result<Self, EndpointError> {
        let listener = Self::bind(&config)?;
        let address = config.address;
        Self::serve(listener, config, health, snapshot)
            .map_err(|source| EndpointError::Listen { address, source })
    }

    /// Takes the address; callers wait until it is [served](Self::serve).
    pub(crate) fn bind(config: &EndpointConfig) -> Result<TcpListener, EndpointError> {
        let address = config.address;
        let token = config.token.as_deref().unwrap_or_default();
        if !address.ip().is_loopback() && token.is_empty() {
            return Err(EndpointError::TokenNeeded { address });
        }
        TcpListener::bind(address).map_err(|source| EndpointError::Listen { address, source })
    }

    /// Answers on `listener` with what `snapshot` and `health` say at that moment.
    pub(crate) fn serve(
        listener: TcpListener,
        config: EndpointConfig,
        health: Health,
        snapshot: impl Fn() -> Snapshot + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            config,
            health,
            metrics: Reader::new(snapshot),
            stop: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            scrapes: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&service);
        let thread = thread::Builder::new()
            .name("radiosonde-http".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Self {
            address,
            service,
            thread: Some(thread),
        })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.service.stop.store(true, Relaxed);
        let mut wake = self.address;
        if wake.ip().is_unspecified() {
            wake.set_ip(match wake.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        let woken = TcpStream::connect_timeout(&wake, WAKE_TIMEOUT).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, service: &Arc<Service>) {
    let _silence = radiosonde_core::silence();
    loop {
        let accepted = listener.accept();
        if service.stop.load(Relaxed) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let Some(slot) = Slot::connection(service) else {
            let _ = Answer::busy().write(&stream, true, Instant::now() + ACCEPT_PAUSE);
            continue;
        };
        let connection = thread::Builder::new().name("radiosonde-http".to_owned());
        // Without a thread the connection is closed, which tells the caller as much as an answer would.
        let _ = connection.spawn(move || {
            let _silence = radiosonde_core::silence();
            serve(&stream, slot);
        });
    }
}

/// One of the connections, or of the scrapes, that may be served at the same time.
struct Slot {
    service: Arc<Service>,
    taken: fn(&Service) -> &AtomicUsize,
}

impl Slot {
    fn connection(service: &Arc<Service>) -> Option<Self> {
        Self::take(service, CONNECTIONS_MAX, |service| &service.connections)
    }

    /// Gives this place back for that of a scrape; `None` where those are taken.
    fn into_scrape(self) -> Option<Self> {
        Self::take(&self.service, SCRAPES_MAX, |service| &service.scrapes)
    }

    fn take(
        service: &Arc<Service>,
        most: usize,
        taken: fn(&Service) -> &AtomicUsize,
    ) -> Option<Self> {
        let slot = Self {
            service: Arc::clone(service),
            taken,
        };
        let before = taken(service).fetch_add(1, Relaxed);
        (before < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        (self.taken)(&self.service).fetch_sub(1, Relaxed);
    }
}

fn serve(stream: &TcpStream, slot: Slot) {
    let service = Arc::clone(&slot.service);
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let mut head = Vec::new();
    let (reply, with_body) = loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                break (service.reply(&request), request.method != Some("HEAD"));
            }
            Ok(httparse::Status::Partial) if head.len() >= HEAD_BYTES_MAX => {
                break (
                    Reply::Now(Answer::text(431, "the request is too large\n")),
                    true,
                );
            }
            Ok(httparse::Status::Partial) => {}
            Err(httparse::Error::TooManyHeaders) => {
                break (
                    Reply::Now(Answer::text(431, "the request has too many headers\n")),
                    true,
                );
            }
            Err(_) => {
                break (
                    Reply::Now(Answer::text(400, "this is not an HTTP request\n")),
                    true,
                );
            }
        }
        match stream::read_more(stream, &mut head, HEAD_BYTES_MAX, deadline) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                break (
                    Reply::Now(Answer::text(408, "the request took too long\n")),
                    true,
                );
            }
        }
    };
    // The place is kept until the answer is taken.
    let (slot, answer) = match reply {
        Reply::Now(answer) => (Some(slot), answer),
        Reply::Metrics(format) => match slot.into_scrape() {
            Some(slot) => (Some(slot), service.metrics(format)),
            None => (None, Answer::busy()),
        },
    };
    // A caller that does not take its answer is not our loss.
    let answered = answer.write(stream, with_body, Instant::now() + REQUEST_TIMEOUT);
    if answered.is_ok() && slot.is_some() {
        stream::linger(stream);
    }
}

/// What a request is answered with.
enum Reply {
    Now(Answer),
    /// What code of the program has a part in.
    Metrics(Format),
}

impl Service {
    fn reply(&self, request: &httparse::Request<'_, '_>) -> Reply {
        let header = |name: &str| {
            let found = request
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name));
            found
                .and_then(|header| std::str::from_utf8(header.value).ok())
                .unwrap_or_default()
        };
        let target = request.path.unwrap_or_default();
        // What a whole address says of the host stands before the header (RFC 9112, section 3.2.2).
        let (host, target) = whole_address(target).unwrap_or((header("host"), target));
        if let Err(refused) = self.admit(header("authorization"), host) {
            return Reply::Now(refused);
        }
        if !matches!(request.method, Some("GET" | "HEAD")) {
            return Reply::Now(Answer::text(405, "only GET and HEAD are answered\n"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == self.config.metrics_path {
            return Reply::Metrics(Format::negotiate(header("accept")));
        }
        let probe = Probe::ALL.into_iter().find(|probe| match probe {
            Probe::Health => path == self.config.health_path,
            probe => path == probe.path(),
        });
        Reply::Now(if let Some(probe) = probe {
            let fails_from = self.config.health_fails_from;
            let (status, body) = health::answer(&self.health, probe, fails_from, query);
            Answer::json(status, body)
        } else {
            let (metrics, health) = (&self.config.metrics_path, &self.config.health_path);
            let there_are =
                format!("there are {metrics}, {health}, /livez, /readyz and /startupz\n");
            Answer::text(404, &there_are)
        })
    }

    /// Whether the caller may ask. Without a token only names that mean this machine are answered to, so that a web
    /// page cannot read the endpoint by pointing a name of its own at it.
    fn admit(&self, authorization: &str, host: &str) -> Result<(), Answer> {
        match self
            .config
            .token
            .as_deref()
            .filter(|token| !token.is_empty())
        {
            Some(token) => {
                let (scheme, given) = authorization.split_once(' ').unwrap_or_default();
                if scheme.eq_ignore_ascii_case("bearer") && same_secret(given.trim(), token) {
                    Ok(())
                } else {
                    Err(Answer::text(401, "send Authorization: Bearer TOKEN\n"))
                }
            }
            None if is_this_machine(host) => Ok(()),
            None => Err(Answer::text(
                403,
                "ask for this machine by address or as localhost\n",
            )),
        }
    }

    fn metrics(&self, format: Format) -> Answer {
        let Some(snapshot) = self.metrics.read() else {
            return Answer::text(503, "a source of metrics does not answer\n");
        };
        let mut body = Vec::new();
        let options = Options {
            format,
            aliases: &ALIASES,
        };
        openmetrics::encode(&snapshot, options, &mut body);
        Answer {
            status: 200,
            content_type: format.content_type(),
            body,
        }
    }
}

/// The host, with its port, and the path of a target that is a whole address, as proxies send it.
fn whole_address(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
        return None;
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // Without a host the address is none.
    (!host.is_empty()).then_some((host, path))
}

/// Whether the `Host` header names an address or `localhost`. HTTP/1.0 has none.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Compares in a time that depends on lengths alone.
fn same_secret(given: &str, secret: &str) -> bool {
    let differing = given
        .bytes()
        .zip(secret.bytes())
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    given.len() == secret.len() && std::hint::black_box(differing) == 0
}
