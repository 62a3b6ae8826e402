//! `sonde serve`: the collector, until it is told to end.

pub mod settings;

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use radiosonde_answers::units::Bytes;
use radiosonde_server::{Server, VolatileFolder};

use self::settings::Settings;
use crate::cli::serve::ServeArguments;

/// How often it is looked whether dashboards are wrong.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Serves until SIGINT or SIGTERM.
pub fn run(arguments: &ServeArguments) -> anyhow::Result<String> {
    let settings = Settings::new(arguments)?;
    let memory = settings
        .is_in_memory()
        .then(VolatileFolder::create)
        .transpose()?;
    let folder = memory.as_ref().map(VolatileFolder::data);
    let folder = folder.as_deref().unwrap_or_else(|| settings.folder());
    let config = settings.config(folder);
    let asked_bytes = config.store.size_bytes_max;
    let server = Server::start(config)?;
    announce(&server);
    announce_room(&server, asked_bytes, folder);
    if let Some(memory) = &memory {
        announce_memory(memory, &settings);
    }
    wait_for_end(&server)?;
    // Dropping it answers what was begun and writes what is in memory; only then the folder may go.
    drop(server);
    drop(memory);
    Ok(String::new())
}

/// Says that less is kept than was asked for.
fn announce_room(server: &Server, asked_bytes: u64, folder: &Path) {
    let bytes = server.store().size_bytes_max();
    if bytes < asked_bytes {
        // A terminal that is gone does not end a collector.
        let _ = writeln!(
            io::stderr().lock(),
            "sonde: keeps at most {}, and not {}: the file system of {} has room for no more",
            Bytes(bytes.cast_signed()),
            Bytes(asked_bytes.cast_signed()),
            folder.display()
        );
    }
}

/// Says that nothing will be left, and what others left.
fn announce_memory(memory: &VolatileFolder, settings: &Settings) {
    let mut err = io::stderr().lock();
    let size = settings.shown("max_size").and_then(|shown| shown.value);
    // A terminal that is gone does not end a collector.
    let _ = writeln!(
        err,
        "sonde: keeps at most {} in memory ({}), and nothing of it when it ends",
        size.unwrap_or_default(),
        memory.data().display()
    );
    if memory.leftovers() > 0 {
        let _ = writeln!(
            err,
            "sonde: removed what was left there by collectors that were killed ({})",
            memory.leftovers()
        );
    }
}

/// Says where it listens, and what it found in its folder.
fn announce(server: &Server) {
    let addresses = server.addresses();
    let mut err = io::stderr().lock();
    // A terminal that is gone does not end a collector.
    let scheme = addresses.scheme();
    let _ = writeln!(err, "sonde: page       {scheme}://{}", addresses.page);
    let _ = writeln!(err, "sonde: OTLP/HTTP  {scheme}://{}", addresses.otlp_http);
    let _ = writeln!(err, "sonde: OTLP/gRPC  {scheme}://{}", addresses.otlp_grpc);
    if let Some(statsd) = addresses.statsd {
        let _ = writeln!(err, "sonde: StatsD     udp://{statsd}");
    }
    if let Some(syslog) = addresses.syslog {
        let _ = writeln!(err, "sonde: syslog     udp://{syslog} and tcp://{syslog}");
    }
    if let Some(elsewhere) = server.store().elsewhere() {
        let _ = writeln!(err, "sonde: ClickHouse {}", elsewhere.place);
    }
    if let Some(open) = addresses.open().filter(|_| !addresses.is_encrypted) {
        let _ = writeln!(
            err,
            "sonde: other machines reach {open}, and what is sent there, keys too, can be read on the way; --tls-cert and --tls-key encrypt it"
        );
    }
    let recovery = server.store().recovery();
    if let Some(words) = recovery.words() {
        let _ = writeln!(err, "sonde: {words}");
    }
}

/// Waits for SIGINT or SIGTERM, and says meanwhile what is wrong with dashboards.
fn wait_for_end(server: &Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = end() => ended,
            () = complain(server) => Ok(()),
        }
    })
}

async fn end() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Says each mistake in dashboards once, for as long as it is there, and why what arrives cannot be written where it is kept.
async fn complain(server: &Server) {
    let mut said = BTreeSet::new();
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        interval.tick().await;
        let dashboards = server.dashboard_mistakes().into_iter();
        let mut mistakes: BTreeSet<String> = dashboards
            .map(|mistake| format!("dashboard {mistake}"))
            .collect();
        mistakes.extend(server.alert_notes());
        let elsewhere = server.store().elsewhere();
        mistakes.extend(elsewhere.and_then(|elsewhere| elsewhere.failed));
        for mistake in mistakes.difference(&said) {
            // A terminal that is gone does not end a collector.
            let _ = writeln!(io::stderr().lock(), "sonde: {mistake}");
        }
        said = mistakes;
    }
}
