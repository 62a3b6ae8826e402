//! The command line of `sonde serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use radiosonde_core::sampling::Threshold;
use radiosonde_server::Slow;

use super::units::{bytes, duration, share};

pub const HELP: &str = "\
Examples:
  sonde serve                                    on this machine alone, with the standard ports
  sonde serve --data ./telemetry --max-size 10GiB
  sonde serve --dashboards ./dashboards
  sonde serve --alerts alerts.toml
  sonde serve --clickhouse http://clickhouse:8123/telemetry
  sonde serve --memory                           nothing is left when it ends
  sonde serve --scrape http://127.0.0.1:8000/metrics,job=vllm --scrape http://127.0.0.1:9400,job=dcgm
  sonde serve --sample 1-in-20 --sample-slow 500ms   every trace that fails or is slow, some of each operation, and one in 20
  RADIOSONDE_TOKEN=$(openssl rand -hex 32) sonde serve --otlp-http 0.0.0.0:4318
  sonde serve --page 0.0.0.0:4319 --tls-cert cert.pem --tls-key key.pem --keys keys.toml   (docs/access.md)

Then: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 your-program";

/// Where agents receive StatsD by convention.
const STATSD_DEFAULT: &str = "127.0.0.1:8125";
const _: () = assert!(radiosonde_server::STATSD_PORT == 8125, "the text names it");

/// Where syslog is received where no address is said.
const SYSLOG_DEFAULT: &str = "127.0.0.1:5514";
const _: () = assert!(radiosonde_server::SYSLOG_PORT == 5514, "the text names it");

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
    /// Keep what is older than a minute or so in a ClickHouse, by its HTTP interface, instead of in files of the folder; user and
    /// password better by RADIOSONDE_CLICKHOUSE_USER and RADIOSONDE_CLICKHOUSE_PASSWORD [environment: RADIOSONDE_CLICKHOUSE; default:
    /// in the folder].
    #[arg(long, value_name = "URL")]
    pub clickhouse: Option<String>,
    /// Receive OTLP over gRPC here [default: 127.0.0.1:4317].
    #[arg(long, value_name = "ADDRESS")]
    pub otlp_grpc: Option<SocketAddr>,
    /// Receive OTLP over HTTP here, and what Zipkin, Jaeger, Datadog, Loki's agents and Prometheus' remote write send [default:
    /// 127.0.0.1:4318].
    #[arg(long, value_name = "ADDRESS")]
    pub otlp_http: Option<SocketAddr>,
    /// Show the page here [default: 127.0.0.1:4319].
    #[arg(long, value_name = "ADDRESS")]
    pub page: Option<SocketAddr>,
    /// Ask this address for its metrics (Prometheus' text or OpenMetrics), every 15 s unless it says otherwise; may be given
    /// several times [environment: RADIOSONDE_SCRAPE, targets with spaces between them].
    #[arg(long, value_name = "URL[,job=NAME][,interval=15s][,timeout=10s]")]
    pub scrape: Vec<String>,
    /// Receive StatsD's and DogStatsD's datagrams here, on this machine alone [default: nowhere; without an address:
    /// 127.0.0.1:8125].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = STATSD_DEFAULT)]
    pub statsd: Option<SocketAddr>,
    /// Take labels from metrics as they come, and add up what is then one series: a TOML file, `[[metrics.rules]]` with metric and
    /// drop_label, as `sonde cardinality` writes them [environment: RADIOSONDE_METRIC_RULES].
    #[arg(long, value_name = "FILE")]
    pub metric_rules: Option<PathBuf>,
    /// Receive syslog (RFC 5424 and 3164) here, over UDP and TCP, on this machine alone [default: nowhere; without an address:
    /// 127.0.0.1:5514].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = SYSLOG_DEFAULT)]
    pub syslog: Option<SocketAddr>,
    /// Show the dashboards in this folder, each `NAME.toml` one of them; a change is shown within seconds [environment:
    /// RADIOSONDE_DASHBOARDS].
    #[arg(long, value_name = "FOLDER")]
    pub dashboards: Option<PathBuf>,
    /// Watch for what the rules in this TOML file say, and tell its receivers (docs/alerts.md, docs/alert-routing.md); without it the
    /// default rules are watched, and nobody is told [environment: RADIOSONDE_ALERTS].
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Where people reach the page, for links in what receivers are told [default: its address].
    #[arg(long, value_name = "URL")]
    pub external_url: Option<String>,
    /// Trust receivers of alerts whose certificate leads to this one, as PEM, and no other; without it, those of Mozilla's
    /// authorities.
    #[arg(long, value_name = "FILE")]
    pub alerts_ca: Option<PathBuf>,
    /// Keep at most so much, at least 16MiB; the oldest goes first [default: 2GiB; with --memory 256MiB].
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub max_size: Option<u64>,
    /// Keep telemetry for so long [default: 7d].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_age: Option<Duration>,
    /// Keep every trace that failed, the slow and the rare ones, and such a share of the others: 1-in-20, 5%. Decided when a
    /// trace has ended; numbers in answers are estimated from what is kept [default: every trace].
    #[arg(long, value_name = "SHARE", value_parser = share_of_traces)]
    pub sample: Option<Threshold>,
    /// Which traces are slow, and kept: those that took at least so long, or the slowest share of each operation [default: 1%].
    #[arg(long, value_name = "DURATION|SHARE", requires = "sample", value_parser = slow)]
    pub sample_slow: Option<Slow>,
    /// Which traces are rare, and kept: the first so many of each operation every minute [default: 5].
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    pub sample_rare: Option<u32>,
    /// How long traces wait for their spans before it is decided [default: 10s].
    #[arg(long, value_name = "DURATION", requires = "sample", value_parser = duration)]
    pub sample_wait: Option<Duration>,
    /// Speak TLS, and nothing else, with this certificate, followed by those that lead from it to an authority, as PEM
    /// [environment: RADIOSONDE_TLS_CERT].
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, as PEM [environment: RADIOSONDE_TLS_KEY].
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Ask who comes from other machines for a certificate that leads to this one, as PEM, and let nobody in without
    /// [environment: RADIOSONDE_TLS_CLIENT_CA].
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Let in who shows one of these keys, for what its role may do: a TOML file, `[[key]]` with name, role and secret
    /// [environment: RADIOSONDE_KEYS].
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
}

/// Reads a share of which something is left.
fn share_of_traces(text: &str) -> Result<Threshold, String> {
    let threshold = Threshold::from_ratio(share(text)?).map_err(|error| error.to_string())?;
    if threshold == Threshold::NONE {
        return Err(
            "of nothing nothing can be estimated; write a small share, such as 1-in-1000"
                .to_owned(),
        );
    }
    Ok(threshold)
}

/// Reads a duration, or a share.
fn slow(text: &str) -> Result<Slow, String> {
    match (duration(text), share(text)) {
        (Ok(least), _) => Ok(Slow::AtLeast(least)),
        (_, Ok(share)) => Ok(Slow::Share(share)),
        (Err(no_duration), Err(no_share)) => Err(format!("{no_duration}; or {no_share}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use radiosonde_server::Sampling;

    use super::*;
    use crate::serve::settings::Settings;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArguments,
    }

    fn sampling(line: &str) -> anyhow::Result<Option<Sampling>> {
        let words = ["sonde", "--data", "a"];
        let words = words.into_iter().chain(line.split_whitespace());
        let settings = Settings::new(&Line::try_parse_from(words)?.serve)?;
        Ok(settings.config(Path::new("a")).store.sampling)
    }

    #[test]
    fn a_sample_is_what_the_line_says() {
        assert_eq!(sampling("").unwrap(), None);
        let tenth = Threshold::from_ratio(0.1).unwrap();
        assert_eq!(
            sampling("--sample 1-in-10").unwrap(),
            Some(Sampling::new(tenth))
        );
        let said = "--sample 10% --sample-slow 2s --sample-rare 0 --sample-wait 30s";
        let expected = Sampling {
            share: tenth,
            slow: Slow::AtLeast(Duration::from_secs(2)),
            rare: 0,
            wait: Duration::from_secs(30),
        };
        assert_eq!(sampling(said).unwrap(), Some(expected));
        let slow = sampling("--sample 1-in-2 --sample-slow 5%")
            .unwrap()
            .map(|sampling| sampling.slow);
        assert_eq!(slow, Some(Slow::Share(0.05)));
        for line in [
            "--sample 0%",
            "--sample 10",
            "--sample-slow 1s",
            "--sample 1-in-2 --sample-slow soon",
        ] {
            assert!(sampling(line).is_err(), "{line}");
        }
    }
}
