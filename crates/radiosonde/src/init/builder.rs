//! Named options of `init`.

use std::{path::Path, time::Duration};

use radiosonde_core::model::{Text, Value};

use super::{Guard, InitError, collect::Collector, start};
use crate::{
    config::{Config, ConsoleShow, LogFormat, RawConfig, WhenFull},
    exporter::Exporter,
};

/// Options of a recording. What is not said here comes from the environment, then from the configuration file, then
/// from the defaults ([`crate::config`]).
#[must_use = "nothing is recorded before `init` is called"]
#[derive(Default)]
pub struct Builder {
    pub(super) raw: RawConfig,
    pub(super) config: Option<Config>,
    pub(super) attributes: Vec<(Text, Value)>,
    pub(super) exporters: Vec<Box<dyn Exporter>>,
    pub(super) collectors: Vec<Collector>,
    pub(super) keeps_subscriber: bool,
}

/// Starts a [`Builder`].
pub fn builder() -> Builder {
    Builder::default()
}

impl Builder {
    /// Uses `config` as it is, instead of file and environment. Options of the builder that are settings have no
    /// effect then.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Names the program: `service.name`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.raw.set("service.name", "service_name", name.into());
        self
    }

    /// Adds an attribute to the resource that every record carries.
    pub fn resource_attribute(mut self, name: impl Into<Text>, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Which spans, logs and events are recorded, in the syntax of `RUST_LOG`.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.raw.set("logging.level", "filter", directives.into());
        self
    }

    /// Sends telemetry to `exporter` too.
    pub fn exporter(mut self, exporter: impl Exporter + 'static) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Writes each record as a line of JSON to the file at `path`.
    pub fn json_lines(mut self, path: impl AsRef<Path>) -> Self {
        self.raw.set("json_lines.path", "json_lines", path.as_ref());
        self
    }

    /// Writes each record as a row to the SQLite database at `path`. Needs the feature `sqlite`.
    pub fn sqlite(mut self, path: impl AsRef<Path>) -> Self {
        self.raw.set("sqlite.path", "sqlite", path.as_ref());
        self
    }

    /// Whether logs are written to standard error. Of what is recorded that leaves out spans, and typed events that do
    /// not warn of anything, unless the console shows [everything](Self::console_show).
    pub fn console(mut self, on: bool) -> Self {
        self.raw.set("logging.console", "console", on);
        self
    }

    /// How a line on the console looks.
    pub fn console_format(mut self, format: LogFormat) -> Self {
        self.raw
            .set("logging.format", "console_format", format.name());
        self
    }

    /// What the console shows.
    pub fn console_show(mut self, choice: ConsoleShow) -> Self {
        self.raw.set("logging.show", "console_show", choice.name());
        self
    }

    /// Sends OTLP to `endpoint`, for example `http://localhost:4318`.
    pub fn otlp(mut self, endpoint: impl Into<String>) -> Self {
        self.raw.set("telemetry.endpoint", "otlp", endpoint.into());
        self
    }

    /// Adds a header to OTLP requests, for example an API key. Replaces headers that file and environment name.
    pub fn otlp_headers(
        mut self,
        headers: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect::<Vec<(String, String)>>();
        self.raw.set("otlp.headers", "otlp_headers", headers);
        self
    }

    /// Whether a `sonde` that answers on 127.0.0.1:4318 is sent to where no endpoint is named.
    pub fn discover(mut self, on: bool) -> Self {
        self.raw.set("otlp.discover", "discover", on);
        self
    }

    /// Serves metrics and health over HTTP on `address`, for example `127.0.0.1:9464`; port 0 takes a free one
    /// ([`Guard::http_address`]). [`crate::endpoint`] says what is served.
    pub fn http(mut self, address: impl Into<String>) -> Self {
        self.raw.set("http.listen", "http", address.into());
        self
    }

    /// What callers of the HTTP endpoint must send as `Authorization: Bearer TOKEN`. Needed where other machines
    /// reach its address.
    pub fn http_token(mut self, token: impl Into<String>) -> Self {
        self.raw.set("http.token", "http_token", token.into());
        self
    }

    /// The share of traces that is recorded, from 0 to 1.
    pub fn sample_ratio(mut self, ratio: f64) -> Self {
        self.raw.set("recording.sample_rate", "sample_ratio", ratio);
        self
    }

    /// What happens to a record for which a thread's lane, or an exporter's queue, has no room. A program that records
    /// faster than its exporters write loses records unless it waits; so does a thread that has been quiet and then records
    /// more than some 7,000 lines (1 MiB) within 20 ms, which is how often a quiet lane is read.
    pub fn when_full(mut self, choice: WhenFull) -> Self {
        self.raw
            .set("recording.when_full", "when_full", choice.name());
        self
    }

    /// Watches for what the rules in the TOML file at `path` say, and tells its receivers (docs/alerts.md). Needs the feature
    /// `backends`.
    pub fn alerts(mut self, path: impl AsRef<Path>) -> Self {
        self.raw.set("alerts.file", "alerts", path.as_ref());
        self
    }

    /// Whether SIGTERM and SIGINT deliver what is still waiting before they end the process. One that the process was
    /// started to ignore is left alone.
    pub fn handle_signals(mut self, on: bool) -> Self {
        self.raw.set("signals.handle", "handle_signals", on);
        self
    }

    /// The share of one processor that the library's own collectors may take together, for example 0.01.
    pub fn max_overhead(mut self, share: f64) -> Self {
        self.raw
            .set("recording.max_overhead", "max_overhead", share);
        self
    }

    /// Runs `run` every `interval` on a thread of its own, within the overhead budget: one that costs more than its
    /// share runs less often, and that is said as `radiosonde.collector.throttled`, as is that one does not return.
    /// The cost is the time of that one thread: work that `run` hands to other threads is not seen.
    pub fn collector(
        mut self,
        name: &'static str,
        interval: Duration,
        run: impl FnMut() + Send + 'static,
    ) -> Self {
        self.collectors.push(Collector {
            name,
            interval,
            at_once: true,
            run: Box::new(run),
        });
        self
    }

    /// How often process and host are read.
    pub fn system_interval(mut self, interval: Duration) -> Self {
        self.raw
            .set("telemetry.system_interval", "system_interval", interval);
        self
    }

    /// How often metrics are handed to exporters.
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.raw
            .set("metrics.interval", "metrics_interval", interval);
        self
    }

    /// How long dropping the guard waits for what is still to be delivered.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.raw
            .set("export.shutdown_timeout", "shutdown_timeout", timeout);
        self
    }

    /// Leaves `tracing`'s global subscriber alone: spans and logs come through
    /// [`layer::records`](crate::layer::records) on a subscriber of the program's own.
    pub const fn keep_subscriber(mut self) -> Self {
        self.keeps_subscriber = true;
        self
    }

    /// Starts recording.
    pub fn init(self) -> Result<Guard, InitError> {
        start::start(self)
    }
}
