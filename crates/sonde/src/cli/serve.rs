//! The command line of `sonde serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use radiosonde_server::ScrapeTarget;

use super::units::{bytes, duration};

pub const HELP: &str = "\
Examples:
  sonde serve                                    on this machine alone, with the standard ports
  sonde serve --data ./telemetry --max-size 10GiB
  sonde serve --memory                           nothing is left when it ends
  sonde serve --scrape http://127.0.0.1:8000/metrics,job=vllm --scrape http://127.0.0.1:9400,job=dcgm
  RADIOSONDE_TOKEN=$(openssl rand -hex 32) sonde serve --otlp-http 0.0.0.0:4318

Then: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 your-program";

/// Where agents receive StatsD by convention.
const STATSD_DEFAULT: &str = "127.0.0.1:8125";
const _: () = assert!(radiosonde_server::STATSD_PORT == 8125, "the text names it");

/// The command line of `sonde serve`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArguments {
    /// Keep telemetry in this folder [environment: RADIOSONDE_DATA_DIR; default: a folder among the user's data].
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Keep telemetry in memory, in a folder of its own below /dev/shm that is removed at the end; at most 256MiB, or a quarter of
    /// what is free there, unless --max-size says otherwise.
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// Receive OTLP over gRPC here [default: 127.0.0.1:4317].
    #[arg(long, value_name = "ADDRESS")]
    pub otlp_grpc: Option<SocketAddr>,
    /// Receive OTLP over HTTP, and Zipkin's spans, here [default: 127.0.0.1:4318].
    #[arg(long, value_name = "ADDRESS")]
    pub otlp_http: Option<SocketAddr>,
    /// Show the page here [default: 127.0.0.1:4319].
    #[arg(long, value_name = "ADDRESS")]
    pub page: Option<SocketAddr>,
    /// Ask this address for its metrics (Prometheus' text or OpenMetrics), every 15 s unless it says otherwise; may be given
    /// several times [environment: RADIOSONDE_SCRAPE, targets with spaces between them].
    #[arg(long, value_name = "URL[,job=NAME][,interval=15s][,timeout=10s]")]
    pub scrape: Vec<ScrapeTarget>,
    /// Receive StatsD's and DogStatsD's datagrams here, on this machine alone [default: nowhere; without an address:
    /// 127.0.0.1:8125].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = STATSD_DEFAULT)]
    pub statsd: Option<SocketAddr>,
    /// Keep at most so much; the oldest goes first [default: 2GiB; with --memory 256MiB].
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub max_size: Option<u64>,
    /// Keep telemetry for so long [default: 7d].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_age: Option<Duration>,
}
