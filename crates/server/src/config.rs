//! What a server is told.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use crate::{
    AlertConfig,
    access::{Key, Token},
    metric_rules::MetricRule,
    receive::scrape::Target,
    tls::Tls,
};

/// Where OTLP over gRPC is received, as the specification has it.
pub const OTLP_GRPC_PORT: u16 = 4317;
/// Where OTLP over HTTP is received, as the specification has it.
pub const OTLP_HTTP_PORT: u16 = 4318;
/// Where the page and the API are: the next port after OTLP's two.
pub const PAGE_PORT: u16 = 4319;
/// Where StatsD's datagrams are received by convention.
pub const STATSD_PORT: u16 = 8125;
/// Where syslog is received: its own port, 514, is for the system's own program.
pub const SYSLOG_PORT: u16 = 5514;

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where telemetry is kept, and how much of it.
    pub store: radiosonde_store::Config,
    /// Where OTLP over gRPC is received.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP over HTTP is received, and what others send over HTTP (docs/receivers.md).
    pub otlp_http: SocketAddr,
    /// Where the page and the API are.
    pub page: SocketAddr,
    /// Whose metrics are asked for.
    pub scrape: Vec<Target>,
    /// Where StatsD's datagrams are received, of this machine alone; nowhere unless somebody asks for it, because the port is
    /// another agent's on many machines, and whoever sends cannot show a token.
    pub statsd: Option<SocketAddr>,
    /// Which labels are taken from metrics as they come.
    pub metric_rules: Vec<MetricRule>,
    /// Where syslog is received, over UDP and TCP alike, of this machine alone; nowhere unless somebody asks for it, because its
    /// messages show no token either.
    pub syslog: Option<SocketAddr>,
    /// Where dashboards are, a file each; none are shown without.
    pub dashboards: Option<PathBuf>,
    /// What is watched for, and who is told.
    pub alerts: AlertConfig,
    /// The secret of an admin. Where there is none, no key and no authority of clients' certificates, every address has to be of
    /// this machine alone.
    pub token: Option<Token>,
    /// What else opens the server, and for what.
    pub keys: Vec<Key>,
    /// With what connections are encrypted; they are plain without.
    pub tls: Option<Tls>,
}

impl Config {
    /// A server on this machine alone, on the standard ports, that keeps telemetry in `folder` with the store's defaults.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            store: radiosonde_store::Config::new(folder),
            otlp_grpc: here(OTLP_GRPC_PORT),
            otlp_http: here(OTLP_HTTP_PORT),
            page: here(PAGE_PORT),
            scrape: Vec::new(),
            statsd: None,
            metric_rules: Vec::new(),
            syslog: None,
            dashboards: None,
            alerts: AlertConfig::default(),
            token: None,
            keys: Vec::new(),
            tls: None,
        }
    }
}
