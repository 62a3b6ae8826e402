//! Receives telemetry, keeps it, and answers questions about it over HTTP.
//!
//! [`Server::start`] opens a store and three listeners: OTLP over gRPC, OTLP over HTTP, and the page with the API that it
//! reads (docs/api.md).
//!
//! ```text
//! receive ─▶ store ─▶ api ─▶ page, terminal, command line, agents
//!    └─ ledger (who sent what, what was refused) ─▶ api
//! ```
//!
//! Invariants: what was acknowledged to a sender is in the store for good; a sender or reader that misbehaves costs bounded
//! memory and no other one anything; nothing listens beyond this machine that a token, a key or a certificate does not open.

#![forbid(unsafe_code)]

pub mod access;
mod alerting;
mod api;
mod config;
mod dashboards;
mod listen;
mod metric_rules;
mod page;
mod problem;
mod promql;
mod receive;
pub mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
    sync::watch,
    task::JoinSet,
};

use radiosonde_store::Store;
pub use radiosonde_store::{ClickHouse, Sampling, Slow, VolatileError, VolatileFolder};

pub use self::alerting::{AlertConfig, AlertError};
pub use self::config::{
    Config, OTLP_GRPC_PORT, OTLP_HTTP_PORT, PAGE_PORT, STATSD_PORT, SYSLOG_PORT,
};
pub use self::metric_rules::{MetricRule, RulesError};
pub use self::page::standalone;
pub use self::receive::scrape::{Target as ScrapeTarget, TargetError};
use self::{
    access::{Audit, Gate, Key, Port},
    alerting::Alerting,
    api::Api,
    dashboards::Dashboards,
    listen::{Bounds, Door},
    receive::{Intake, scrape, statsd, syslog},
    tls::Tls,
};

/// How long whatever still runs may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP, and what others send over HTTP.
    pub otlp_http: SocketAddr,
    /// The page and the API.
    pub page: SocketAddr,
    /// StatsD's datagrams, where they are received.
    pub statsd: Option<SocketAddr>,
    /// Syslog, over UDP and TCP, where it is received.
    pub syslog: Option<SocketAddr>,
    /// Whether TLS is spoken at all of them but the last two.
    pub is_encrypted: bool,
}

impl Addresses {
    /// How an address begins that leads to one of them.
    pub const fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }

    /// The first at which other machines reach the server.
    pub fn open(&self) -> Option<SocketAddr> {
        let all = [self.otlp_grpc, self.otlp_http, self.page];
        all.into_iter().find(|address| !address.ip().is_loopback())
    }
}

/// A server that runs. Dropping it stops it: listeners close, requests that were begun are answered, and what is in memory
/// is written into segments.
#[derive(Debug)]
pub struct Server {
    addresses: Addresses,
    stop: watch::Sender<bool>,
    /// `None` when it has ended.
    runtime: Option<Runtime>,
    listeners: Option<JoinSet<()>>,
    store: Arc<Store>,
    dashboards: Arc<Dashboards>,
    alerting: Arc<Alerting>,
    /// The threads of alerts.
    watching: Vec<std::thread::JoinHandle<()>>,
    audit: Option<Arc<Audit>>,
}

/// A server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address would let others in, and nothing keeps them out.
    #[error(
        "{0} can be reached from other machines, and there is no token to keep others out; listen on 127.0.0.1, or give a token, keys, \
         or an authority of clients' certificates"
    )]
    Unprotected(SocketAddr),
    /// A key is a certificate, and nobody is asked for one.
    #[error(
        "the key `{0}` is a certificate, and no client is asked for one; give the authority of clients' certificates, with the \
         server's own certificate and key"
    )]
    CertificateUnasked(String),
    /// The token would make an admin of whoever has another key.
    #[error("the token is the secret of the key `{0}` too; give each a secret of its own")]
    TokenOfAnother(String),
    /// Datagrams show no token, so nothing can keep others out.
    #[error(
        "StatsD cannot be received at {0}, which other machines can reach: datagrams show no token; listen on 127.0.0.1"
    )]
    OpenDatagrams(SocketAddr),
    /// The file of alerts is wrong.
    #[error(transparent)]
    Alerts(#[from] AlertError),
    /// Messages of syslog show no token either.
    #[error(
        "syslog cannot be received at {0}, which other machines can reach: its messages show no token; listen on 127.0.0.1"
    )]
    OpenSyslog(SocketAddr),
    /// The store in the data folder cannot be opened.
    #[error(transparent)]
    Store(#[from] radiosonde_store::OpenError),
    /// The address is taken or is not this machine's.
    #[error(
        "cannot listen on {address} for {what}: {source}; is another collector running? Name another address"
    )]
    Listen {
        /// What was to be received there.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no threads.
    #[error("cannot start the server's threads: {0}")]
    Threads(#[source] io::Error),
}

impl Server {
    /// Opens the store and the listeners.
    pub fn start(mut config: Config) -> Result<Self, StartError> {
        let keys = keys(&mut config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("radiosonde-server")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        // Before the store, so that a second server says what it has in common with the first: the ports.
        let listeners = runtime.block_on(Listeners::bind(&config))?;
        let folder = config.store.clone();
        let store = Arc::new(Store::open(config.store)?);
        let (stop, stopping) = watch::channel(false);
        let addresses = listeners.addresses;
        let intake = Intake::new(Arc::clone(&store), addresses.otlp_http, addresses.otlp_grpc);
        let rules = metric_rules::rules(config.metric_rules);
        let intake = Arc::new(intake.with_scheme(addresses.scheme()).with_rules(rules));
        let mut tasks = JoinSet::new();
        let entered = runtime.enter();
        for target in config.scrape {
            tasks.spawn(scrape::run(Arc::clone(&intake), target, stopping.clone()));
        }
        let others = (listeners.statsd, listeners.syslog);
        datagrams(&mut tasks, others, &intake, &stopping);
        let is_audited = !keys.is_empty() || addresses.open().is_some();
        let audit = is_audited.then(|| Arc::new(Audit::new(Arc::clone(&store))));
        if let Some(audit) = &audit {
            tasks.spawn(Arc::clone(audit).run(stopping.clone()));
        }
        let dashboards = Arc::new(Dashboards::new(config.dashboards));
        let (alerting, watching) = watch(&config.alerts, &store, &folder.folder, addresses)?;
        let api = Api::new(
            Arc::clone(&store),
            folder,
            Arc::clone(&intake),
            addresses,
            (Arc::clone(&dashboards), Arc::clone(&alerting)),
            stopping.clone(),
        );
        let grpc = receive::otlp_grpc(Arc::clone(&intake));
        let http = receive::otlp_http(Arc::clone(&intake));
        let page = page::router().merge(api::router(api));
        let entrance = Entrance {
            keys,
            tls: config.tls,
            intake,
            audit: audit.clone(),
            bounds: Bounds::of_system(),
        };
        for (port, listener, router) in [
            (Port::OtlpGrpc, listeners.otlp_grpc, grpc),
            (Port::OtlpHttp, listeners.otlp_http, http),
            (Port::Page, listeners.page, page),
        ] {
            let door = entrance.door(port, addresses, router);
            tasks.spawn(door.serve(listener, stopping.clone()));
        }
        drop(entered);
        Ok(Self {
            addresses,
            stop,
            runtime: Some(runtime),
            listeners: Some(tasks),
            store,
            dashboards,
            alerting,
            watching,
            audit,
        })
    }

    /// Where it listens, with the ports that the system chose where it was to.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What is wrong with the files of dashboards as they are now, a line each. They are read for it.
    pub fn dashboard_mistakes(&self) -> Vec<String> {
        self.dashboards.mistakes()
    }

    /// What went wrong with alerts since the last call, a line each.
    pub fn alert_notes(&self) -> Vec<String> {
        self.alerting.take_notes()
    }

    /// What it keeps.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.alerting.stop();
        // The one that sends may wait for a receiver; it is left behind.
        if let Some(evaluating) = self.watching.drain(..).next() {
            let _ = evaluating.join();
        }
        let (Some(runtime), Some(mut listeners)) = (self.runtime.take(), self.listeners.take())
        else {
            return;
        };
        let ended = async { while listeners.join_next().await.is_some() {} };
        let _ = runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, ended).await });
        runtime.shutdown_timeout(STOP_TIMEOUT);
        // What was begun has ended, also where nobody waited for it.
        if let Some(audit) = &self.audit {
            audit.finish();
        }
    }
}

/// Receives what comes without a connection of HTTP, where that is asked for.
fn datagrams(
    tasks: &mut JoinSet<()>,
    (statsd_socket, syslog_sockets): (Option<UdpSocket>, Option<syslog::Sockets>),
    intake: &Arc<Intake>,
    stopping: &watch::Receiver<bool>,
) {
    if let Some(socket) = statsd_socket {
        tasks.spawn(statsd::run(Arc::clone(intake), socket, stopping.clone()));
    }
    if let Some(sockets) = syslog_sockets {
        tasks.spawn(syslog::run(Arc::clone(intake), sockets, stopping.clone()));
    }
}

/// Begins to watch for alerts; gives the threads that do.
fn watch(
    config: &AlertConfig,
    store: &Arc<Store>,
    folder: &std::path::Path,
    addresses: Addresses,
) -> Result<(Arc<Alerting>, Vec<std::thread::JoinHandle<()>>), StartError> {
    let page = format!("{}://{}", addresses.scheme(), addresses.page);
    let alerting = Alerting::new(config, Arc::clone(store), Some(folder.to_owned()), &page)?;
    let threads = alerting.start().map_err(StartError::Threads)?;
    Ok((alerting, threads))
}

/// The sockets, before anything is served.
struct Listeners {
    addresses: Addresses,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    page: TcpListener,
    statsd: Option<UdpSocket>,
    syslog: Option<syslog::Sockets>,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let (otlp_grpc, grpc) = bind("OTLP over gRPC", config.otlp_grpc)?;
        let (otlp_http, http) = bind("OTLP over HTTP", config.otlp_http)?;
        let (page, shown) = bind("the page", config.page)?;
        let statsd = match config.statsd {
            Some(address) => Some(bind_datagrams("StatsD", address).await?),
            None => None,
        };
        let syslog = match config.syslog {
            Some(address) => Some(bind_syslog(address).await?),
            None => None,
        };
        Ok(Self {
            addresses: Addresses {
                otlp_grpc: grpc,
                otlp_http: http,
                page: shown,
                statsd: statsd.as_ref().map(|(_, address)| *address),
                syslog: syslog.as_ref().map(|(_, address)| *address),
                is_encrypted: config.tls.is_some(),
            },
            otlp_grpc,
            otlp_http,
            page,
            statsd: statsd.map(|(socket, _)| socket),
            syslog: syslog.map(|(sockets, _)| sockets),
        })
    }
}

/// Syslog's two sockets, which have one port.
async fn bind_syslog(address: SocketAddr) -> Result<(syslog::Sockets, SocketAddr), StartError> {
    let (streams, address) = bind("syslog over TCP", address)?;
    let (datagrams, address) = bind_datagrams("syslog over UDP", address).await?;
    let sockets = syslog::Sockets { datagrams, streams };
    Ok((sockets, address))
}

async fn bind_datagrams(
    what: &'static str,
    address: SocketAddr,
) -> Result<(UdpSocket, SocketAddr), StartError> {
    let bound = async {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    bound.await.map_err(|source| StartError::Listen {
        what,
        address,
        source,
    })
}

fn bind(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    listen::bind(address).map_err(|source| StartError::Listen {
        what,
        address,
        source,
    })
}

/// All that opens a server, or why it would be open to those whom it is not for.
fn keys(config: &mut Config) -> Result<Arc<[Key]>, StartError> {
    let token = config.token.take().map(Key::from);
    let asks_clients = config.tls.as_ref().is_some_and(Tls::asks_clients);
    let unasked = |key: &&Key| key.is_certificate() && !asks_clients;
    if let Some(key) = config.keys.iter().find(unasked) {
        return Err(StartError::CertificateUnasked(key.name().to_owned()));
    }
    let is_token = |key: &&Key| token.as_ref().is_some_and(|token| token.is_same_as(key));
    if let Some(key) = config.keys.iter().find(is_token) {
        return Err(StartError::TokenOfAnother(key.name().to_owned()));
    }
    let keys: Arc<[Key]> = config.keys.drain(..).chain(token).collect();
    let is_guarded = asks_clients || !keys.is_empty();
    let addresses = [config.otlp_grpc, config.otlp_http, config.page];
    let mut addresses = addresses.into_iter();
    if let Some(open) = addresses.find(|address| !is_guarded && !address.ip().is_loopback()) {
        return Err(StartError::Unprotected(open));
    }
    if let Some(address) = config.statsd.filter(|address| !address.ip().is_loopback()) {
        return Err(StartError::OpenDatagrams(address));
    }
    if let Some(address) = config.syslog.filter(|address| !address.ip().is_loopback()) {
        return Err(StartError::OpenSyslog(address));
    }
    Ok(keys)
}

/// What all ports have in common of how one comes in.
struct Entrance {
    keys: Arc<[Key]>,
    tls: Option<Tls>,
    intake: Arc<Intake>,
    audit: Option<Arc<Audit>>,
    bounds: Bounds,
}

impl Entrance {
    /// What stands between a port and its router: TLS, and then the question who it is.
    fn door(&self, port: Port, addresses: Addresses, router: Router) -> Door {
        let address = match port {
            Port::OtlpGrpc => addresses.otlp_grpc,
            Port::OtlpHttp => addresses.otlp_http,
            Port::Page => addresses.page,
        };
        let is_local = address.ip().is_loopback();
        let is_audited = !is_local || !self.keys.is_empty();
        let gate = Arc::new(Gate {
            port,
            is_local,
            keys: Arc::clone(&self.keys),
            intake: Arc::clone(&self.intake),
            audit: self.audit.clone().filter(|_| is_audited),
        });
        let guarded = router.layer(middleware::from_fn(move |request, next| {
            access::check(Arc::clone(&gate), request, next)
        }));
        let tls = self.tls.as_ref().map(|tls| tls.acceptor(is_local));
        Door::new(guarded, tls, self.bounds, Arc::clone(&self.intake))
    }
}
