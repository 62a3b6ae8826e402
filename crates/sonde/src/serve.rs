//! `sonde serve`: the collector, until it is told to end.

pub mod settings;

use std::io::{self, Write as _};

use radiosonde_server::Server;

use self::settings::Settings;
use crate::cli::serve::ServeArguments;

/// Serves until SIGINT or SIGTERM.
pub fn run(arguments: &ServeArguments) -> anyhow::Result<String> {
    let server = Server::start(Settings::new(arguments)?.config())?;
    announce(&server);
    wait_for_end()?;
    // Dropping it answers what was begun and writes what is in memory.
    drop(server);
    Ok(String::new())
}

/// Says where it listens, and what it found in its folder.
fn announce(server: &Server) {
    let addresses = server.addresses();
    let mut err = io::stderr().lock();
    // A terminal that is gone does not end a collector.
    let _ = writeln!(err, "sonde: page       http://{}", addresses.page);
    let _ = writeln!(err, "sonde: OTLP/HTTP  http://{}", addresses.otlp_http);
    let _ = writeln!(err, "sonde: OTLP/gRPC  http://{}", addresses.otlp_grpc);
    if let Some(statsd) = addresses.statsd {
        let _ = writeln!(err, "sonde: StatsD     udp://{statsd}");
    }
    let recovery = server.store().recovery();
    if let Some(words) = recovery.words() {
        let _ = writeln!(err, "sonde: {words}");
    }
}

/// Waits for SIGINT or SIGTERM.
fn wait_for_end() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
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
    })
}
