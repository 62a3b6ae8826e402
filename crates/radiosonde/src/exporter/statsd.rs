//! StatsD and DogStatsD: metrics as lines in datagrams, to an agent over UDP or a Unix socket (docs/exporters/statsd.md).
//!
//! Invariants: a datagram holds whole lines and at most [`DATAGRAM_BYTES_MAX`] bytes. A counter goes out as what it grew by
//! since it last went out; where the system does not take the datagram it is in, the next one has that growth too. Nobody
//! answers, so what is lost on the way is not known.

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    sync::Arc,
};

use radiosonde_core::{
    batch::{Batch, EventRef},
    loss::{self, Lost},
    metrics::snapshot::{Data, Histogram, Labels, Metric, Number, Series, Snapshot},
    model::{Resource, Severity},
};

use super::{ExportError, Exporter};
use crate::redact::Redaction;

mod lines;
mod since;

use self::{
    lines::{Datagram, Entry, Name, tag},
    since::{Last, Since},
};

/// Where agents listen unless configured otherwise.
pub const ENDPOINT_DEFAULT: &str = "127.0.0.1:8125";

/// Most bytes of a datagram: what an Ethernet frame holds after the headers of IPv6, UDP and a tunnel (StatsD,
/// docs/metric_types.md, "Multi-Metric Packets", names 1432 for fast Ethernet).
pub const DATAGRAM_BYTES_MAX: usize = 1432;

/// Which of the two is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Etsy's: a line has no tags, so labels are parts of the name.
    Statsd,
    /// Datadog's: labels are tags.
    Dogstatsd,
}

impl Dialect {
    const fn name(self) -> &'static str {
        match self {
            Self::Statsd => "statsd",
            Self::Dogstatsd => "dogstatsd",
        }
    }
}

/// What is sent where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdConfig {
    /// Which of the two is spoken.
    pub dialect: Dialect,
    /// `host:port`, `udp://host:port` or `unix:///path` of a datagram socket.
    pub endpoint: String,
    /// Before every name, as it stands; empty for nothing.
    pub prefix: String,
    /// Tags of everything that is sent, such as `team:search`; DogStatsD only.
    pub tags: Vec<String>,
    /// Send typed events as DogStatsD's events; DogStatsD only.
    pub events: bool,
}

impl StatsdConfig {
    /// The defaults.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            endpoint: ENDPOINT_DEFAULT.to_owned(),
            prefix: String::new(),
            tags: Vec::new(),
            events: false,
        }
    }
}

/// Sends metrics to a StatsD or DogStatsD agent.
#[derive(Debug)]
pub struct Statsd {
    config: StatsdConfig,
    target: Target,
    socket: Option<Socket>,
    since: Since,
    redaction: Redaction,
    /// The tags of the resource seen last, beside the configured ones.
    tags: Vec<String>,
    tags_of: Option<Arc<Resource>>,
}

#[derive(Clone, Debug)]
enum Target {
    Udp(String),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixDatagram),
}

impl Target {
    /// What is wrong with `endpoint`, in words, where it names no place.
    fn read(endpoint: &str) -> Result<Self, &'static str> {
        if let Some(path) = endpoint.strip_prefix("unix://") {
            #[cfg(unix)]
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err("a Unix socket is unix:// and an absolute path")
            };
            #[cfg(not(unix))]
            return Err("there are no Unix sockets here");
        }
        let place = endpoint.strip_prefix("udp://").unwrap_or(endpoint);
        let port = place.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(1..)) if !place.contains("//") => Ok(Self::Udp(place.to_owned())),
            _ => Err("write host:port, [IPv6]:port or unix:///path"),
        }
    }

    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Udp(place) => {
                let mut failed = io::Error::from(io::ErrorKind::NotFound);
                for address in place.to_socket_addrs()? {
                    match connect_udp(address) {
                        Ok(socket) => return Ok(Socket::Udp(socket)),
                        Err(error) => failed = error,
                    }
                }
                Err(failed)
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let socket = std::os::unix::net::UnixDatagram::unbound()?;
                socket.connect(path)?;
                // An agent that does not read must not stop us.
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

fn connect_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => ([0u8; 4], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Socket {
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(datagram),
            #[cfg(unix)]
            Self::Unix(socket) => socket.send(datagram),
        }
    }
}

impl Statsd {
    /// An exporter as `config` says; what is wrong with the endpoint, where it names no place. Nothing is sent yet: the
    /// agent may come later.
    pub fn new(config: &StatsdConfig) -> Result<Self, String> {
        let target = Target::read(&config.endpoint)
            .map_err(|reason| format!("endpoint {}: {reason}", config.endpoint))?;
        Ok(Self {
            config: config.clone(),
            target,
            socket: None,
            since: Since::default(),
            redaction: Redaction::default(),
            tags: Vec::new(),
            tags_of: None,
        })
    }

    /// Sends one datagram; a refusal that belongs to the one before it is passed over.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut is_second = false;
        loop {
            let socket = match self.socket.take() {
                Some(socket) => socket,
                None => self.target.connect()?,
            };
            match socket.send(datagram) {
                Ok(_) => {
                    self.socket = Some(socket);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !is_second => {
                    // An agent that restarts has another socket at the same place.
                    is_second = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is collected; what the system does not take is counted, save counters, whose growth comes again.
    fn send_all(&mut self, datagram: &mut Datagram, sent: &mut Sent) {
        if datagram.is_empty() {
            return;
        }
        match self.send(datagram.bytes()) {
            Ok(()) => datagram
                .grown
                .drain(..)
                .for_each(|(key, last)| self.since.commit(key, last)),
            Err(error) => {
                sent.lost += datagram.lines_that_do_not_come_again;
                sent.failed = Some(error);
            }
        }
        datagram.clear();
    }

    fn add(&mut self, datagram: &mut Datagram, entry: Entry, sent: &mut Sent) {
        if entry.text.len() > DATAGRAM_BYTES_MAX {
            loss::count(Lost::RecordTooLarge, 1);
            sent.too_large += 1;
            return;
        }
        if !datagram.has_room(&entry) {
            self.send_all(datagram, sent);
        }
        datagram.push(entry);
    }

    fn metric(&mut self, metric: &Metric, datagram: &mut Datagram, sent: &mut Sent) {
        match &metric.data {
            Data::Counter(all) => {
                for series in all {
                    self.counter(metric, series, datagram, sent);
                }
            }
            Data::UpDownCounter(all) | Data::Gauge(all) => {
                for series in all {
                    let name = self.name(metric, &series.labels);
                    if let Some(entry) = name.gauge("", &series.value) {
                        self.add(datagram, entry, sent);
                    }
                }
            }
            Data::Histogram(all) => {
                for series in all {
                    self.histogram(metric, series, datagram, sent);
                }
            }
        }
    }

    fn counter(
        &mut self,
        metric: &Metric,
        series: &Series<Number>,
        datagram: &mut Datagram,
        sent: &mut Sent,
    ) {
        let key = since::key(&metric.name, &series.labels);
        let grown = self.since.number(&key, series);
        let name = self.name(metric, &series.labels);
        if let Some(mut entry) = name.count("", &grown) {
            let last = Last::number(series);
            entry.grown = Some((key, last));
            self.add(datagram, entry, sent);
        }
    }

    /// How many, their sum, and gauges of what lies between: from buckets alone a StatsD timer cannot be made.
    fn histogram(
        &mut self,
        metric: &Metric,
        series: &Series<Histogram>,
        datagram: &mut Datagram,
        sent: &mut Sent,
    ) {
        let key = since::key(&metric.name, &series.labels);
        let grown = self.since.histogram(&key, series);
        let name = self.name(metric, &series.labels);
        let Some(mut entry) = name.count(".count", &Number::U64(grown.count)) else {
            return;
        };
        if let Some(sum) = name.count(".sum", &Number::F64(grown.sum)) {
            entry.join(&sum);
        }
        entry.grown = Some((key, Last::histogram(series)));
        self.add(datagram, entry, sent);
        for (suffix, quantile) in [(".p50", 0.5), (".p95", 0.95), (".p99", 0.99), (".max", 1.0)] {
            let value = since::quantile(&grown, series, quantile);
            let gauge = value.and_then(|value| name.gauge(suffix, &Number::F64(value)));
            if let Some(entry) = gauge {
                self.add(datagram, entry, sent);
            }
        }
    }

    fn name(&self, metric: &Metric, labels: &Labels) -> Name {
        Name::new(&self.config, &metric.name, labels, &self.tags)
    }

    /// The tags by which Datadog joins everything of a service, and the configured ones.
    fn read_resource(&mut self, resource: &Arc<Resource>) {
        if self.config.dialect == Dialect::Statsd
            || self
                .tags_of
                .as_ref()
                .is_some_and(|of| Arc::ptr_eq(of, resource))
        {
            return;
        }
        let unified = [
            ("service", "service.name"),
            ("env", "deployment.environment.name"),
            ("version", "service.version"),
        ];
        let of_resource = unified.into_iter().filter_map(|(key, attribute)| {
            let value = resource.attribute(attribute)?;
            Some(tag(key, &value.to_string()))
        });
        let own = self
            .config
            .tags
            .iter()
            .map(|own| match own.split_once(':') {
                Some((key, value)) => tag(key, value),
                None => tag(own, ""),
            });
        self.tags = of_resource.chain(own).collect();
        self.tags_of = Some(Arc::clone(resource));
    }

    fn event(&self, event: &EventRef<'_>) -> Entry {
        let mut text = String::new();
        for (name, value) in event.fields() {
            let clean = self.redaction.attribute(name, value);
            let value =
                clean.unwrap_or_else(|| radiosonde_core::model::Value::from(value).to_string());
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing to a string does not fail.
            let _ = write!(text, "{name}={value}");
        }
        let descriptor = event.descriptor();
        let kind = match descriptor.severity {
            Severity::Trace | Severity::Debug | Severity::Info => "info",
            Severity::Warn => "warning",
            Severity::Error => "error",
        };
        let second = event.time_unix_ns() / 1_000_000_000;
        Entry::event(descriptor.type_name, &text, second, kind, &self.tags)
    }

    fn outcome(&self, sent: Sent) -> Result<(), ExportError> {
        let Sent {
            failed,
            lost,
            too_large,
        } = sent;
        let reason = match (failed, too_large) {
            (None, 0) => return Ok(()),
            (None, _) => {
                format!("{too_large} lines are longer than {DATAGRAM_BYTES_MAX} bytes")
            }
            (Some(error), _) => {
                loss::count(Lost::RetryExhausted, lost);
                format!("the datagram was not taken: {error}; counters come again with the next")
            }
        };
        let counted = [
            (Lost::RetryExhausted, lost),
            (Lost::RecordTooLarge, too_large),
        ];
        Err(ExportError::Noticed {
            destination: format!("{} {}", self.config.dialect.name(), self.config.endpoint),
            reason,
            counted: counted
                .into_iter()
                .filter(|&(_, lines)| lines > 0)
                .collect(),
        })
    }
}

/// What became of the lines of one call.
#[derive(Debug, Default)]
struct Sent {
    failed: Option<io::Error>,
    /// Lines that were not taken and do not come again.
    lost: u64,
    too_large: u64,
}

impl Exporter for Statsd {
    fn name(&self) -> &'static str {
        self.config.dialect.name()
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        if !self.config.events || self.config.dialect == Dialect::Statsd {
            return Ok(());
        }
        self.read_resource(batch.resource());
        let (mut datagram, mut sent) = (Datagram::default(), Sent::default());
        for event in batch.events() {
            let entry = self.event(&event);
            self.add(&mut datagram, entry, &mut sent);
        }
        self.send_all(&mut datagram, &mut sent);
        self.outcome(sent)
    }

    fn export_metrics(&mut self, snapshot: &Snapshot) -> Result<(), ExportError> {
        self.read_resource(&snapshot.resource);
        self.since.begin();
        let (mut datagram, mut sent) = (Datagram::default(), Sent::default());
        for metric in &snapshot.metrics {
            self.metric(metric, &mut datagram, &mut sent);
        }
        self.send_all(&mut datagram, &mut sent);
        self.since.end();
        self.outcome(sent)
    }
}

#[cfg(test)]
mod tests;
