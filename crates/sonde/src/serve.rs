//! `sonde serve`: the collector, until it is told to end.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use radiosonde_server::{Config, ScrapeTarget, Server, access::Token};

use crate::{
    cli::serve::ServeArguments,
    collector::{TOKEN_VARIABLE, variable},
};

/// The environment's variable with the data folder.
const DATA_VARIABLE: &str = "RADIOSONDE_DATA_DIR";

/// The environment's variable with what is scraped.
const SCRAPE_VARIABLE: &str = "RADIOSONDE_SCRAPE";

/// Serves until SIGINT or SIGTERM.
pub fn run(arguments: &ServeArguments) -> anyhow::Result<String> {
    let server = Server::start(config(arguments)?)?;
    announce(&server);
    wait_for_end()?;
    // Dropping it answers what was begun and writes what is in memory.
    drop(server);
    Ok(String::new())
}

/// What the command line and the environment say.
pub fn config(arguments: &ServeArguments) -> anyhow::Result<Config> {
    let folder = match arguments.data.clone() {
        Some(folder) => folder,
        None => folder_default()?,
    };
    let mut config = Config::new(folder);
    config.otlp_grpc = arguments.otlp_grpc.unwrap_or(config.otlp_grpc);
    config.otlp_http = arguments.otlp_http.unwrap_or(config.otlp_http);
    config.page = arguments.page.unwrap_or(config.page);
    config.store.size_bytes_max = arguments.max_size.unwrap_or(config.store.size_bytes_max);
    config.store.age_max = arguments.max_age.unwrap_or(config.store.age_max);
    config.store.sampling = arguments.sampling();
    config.scrape = scrape(arguments)?;
    config.statsd = arguments.statsd;
    config.token = variable(TOKEN_VARIABLE)
        .map(|text| Token::new(&text).with_context(|| format!("{TOKEN_VARIABLE} is no token")))
        .transpose()?;
    Ok(config)
}

/// What is to be scraped: by the command line, or else by the environment.
fn scrape(arguments: &ServeArguments) -> anyhow::Result<Vec<ScrapeTarget>> {
    if !arguments.scrape.is_empty() {
        return Ok(arguments.scrape.clone());
    }
    let targets = variable(SCRAPE_VARIABLE).unwrap_or_default();
    let targets = targets.split_ascii_whitespace().map(str::parse);
    targets
        .collect::<Result<_, _>>()
        .with_context(|| format!("{SCRAPE_VARIABLE} is wrong"))
}

/// Where data of the user goes on this system, as its conventions have it (XDG Base Directory Specification; Apple's File
/// System Programming Guide; Windows' Known Folders).
fn folder_default() -> anyhow::Result<PathBuf> {
    if let Some(folder) = variable(DATA_VARIABLE) {
        return Ok(folder.into());
    }
    let of =
        |name: &str, below: &str| variable(name).map(|folder| PathBuf::from(folder).join(below));
    let data = if cfg!(target_os = "macos") {
        of("HOME", "Library/Application Support")
    } else if cfg!(windows) {
        of("LOCALAPPDATA", "")
    } else {
        of("XDG_DATA_HOME", "").or_else(|| of("HOME", ".local/share"))
    };
    let data = data.with_context(|| {
        format!("there is no folder for this user's data; name one with --data or {DATA_VARIABLE}")
    })?;
    Ok(data.join("radiosonde"))
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
