//! Every rule about settings that their types do not say, in one place.

use std::{
    io::Read as _,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Uri};
use radiosonde_core::propagation::Formats;

use super::{
    ConfigError,
    choice::{OtlpProtocol, Sampler},
    pem,
    raw::{Resolver, is_secret},
    settings::Settings,
    value::Setting,
    written::Source,
};
use crate::exporter::spool::SPOOL_BYTES_MIN;
use crate::exporter::{refuse_no_file, refuse_special};

/// Shortest time between two readings of GPU devices.
const GPU_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Shortest time between two runs of anything that is repeated.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Longest of all durations. Nothing that is waited for takes longer, and every sum of two fits every clock.
const DURATION_MAX: Duration = Duration::from_hours(24 * 365);

/// What is wrong with `settings`, which were read by `resolver`. `with_files` tries whether files can be read and folders
/// written to.
pub(super) fn check(
    settings: &Settings,
    resolver: &Resolver,
    with_files: bool,
) -> Vec<ConfigError> {
    let mut rules = Rules {
        resolver,
        errors: Vec::new(),
    };
    rules.numbers(settings);
    rules.intervals(settings);
    rules.names(settings);
    rules.addresses(settings);
    rules.headers(settings);
    if with_files {
        rules.certificates(settings);
        rules.paths(settings);
    }
    rules.errors
}

struct Rules<'a> {
    resolver: &'a Resolver,
    errors: Vec<ConfigError>,
}

impl Rules<'_> {
    fn wrong(
        &mut self,
        path: &'static str,
        value: &impl Setting,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let mut sources = self.resolver.sources.iter();
        let source = sources
            .find(|(known, _)| *known == path)
            .map_or(Source::Default, |(_, source)| source.clone());
        let mut written = self.resolver.written.iter();
        let shown = match written.find(|(known, _)| *known == path) {
            _ if is_secret(path) => "[redacted]".to_owned(),
            Some((_, written)) => written.clone(),
            None => value.show().unwrap_or_default(),
        };
        let key = source.key_or(path).to_owned();
        self.errors
            .push(ConfigError::new(source, key, shown, problem, mend));
    }

    fn numbers(&mut self, settings: &Settings) {
        for (path, value) in [
            ("recording.sample_rate", settings.recording.sample_rate),
            ("profiling.sample_rate", settings.profiling.sample_rate),
        ] {
            if !(0.0..=1.0).contains(&value) {
                self.wrong(
                    path,
                    &value,
                    "is out of range",
                    "write a number from 0 (nothing) to 1 (everything)",
                );
            }
        }
        let overhead = settings.recording.max_overhead;
        if !(overhead > 0.0 && overhead <= 1.0) {
            let mend = "write a share of CPU time above 0 and up to 1, such as 0.01 for 1 %";
            self.wrong("recording.max_overhead", &overhead, "is out of range", mend);
        }
        let percent = settings.reporting.high_gpu_utilization_threshold;
        if !(0.0..=100.0).contains(&percent) {
            let path = "reporting.high_gpu_utilization_threshold";
            self.wrong(
                path,
                &percent,
                "is out of range",
                "write a percentage from 0 to 100",
            );
        }
        for (path, value) in [
            (
                "export.queue_records_max",
                settings.export.queue_records_max,
            ),
            ("otlp.batch_records", settings.otlp.batch_records),
            ("gpu.samples_max", settings.gpu.samples_max),
            ("gpu.history_limit", settings.gpu.history_limit),
        ] {
            if value == 0 {
                self.wrong(path, &value, "leaves no room", "write a number from 1");
            }
        }
        let spool = settings.otlp.spool_bytes_max;
        if (1..SPOOL_BYTES_MIN).contains(&spool) {
            let mend = format!("write at least {SPOOL_BYTES_MIN}, or 0 for memory only");
            self.wrong(
                "otlp.spool_bytes_max",
                &spool,
                "has no room for one request",
                mend,
            );
        }
    }

    fn intervals(&mut self, settings: &Settings) {
        let gpu = settings.gpu.profiler_interval;
        for (path, value, least) in [
            (
                "telemetry.system_interval",
                settings.telemetry.system_interval,
                INTERVAL_MIN,
            ),
            ("metrics.interval", settings.metrics.interval, INTERVAL_MIN),
            (
                "metrics_log.interval",
                settings.metrics_log.interval,
                INTERVAL_MIN,
            ),
            (
                "reporting.interval",
                settings.reporting.interval,
                INTERVAL_MIN,
            ),
            (
                "health.check_interval",
                settings.health.check_interval,
                INTERVAL_MIN,
            ),
            ("otlp.timeout", settings.otlp.timeout, INTERVAL_MIN),
            ("export.timeout", settings.export.timeout, INTERVAL_MIN),
            ("gpu.profiler_interval", gpu, GPU_INTERVAL_MIN),
        ] {
            if value < least {
                let mend = format!("write at least {}", least.show().unwrap_or_default());
                self.wrong(path, &value, "is too short", mend);
            }
            self.not_too_long(path, value);
        }
        for (path, value) in [
            ("export.shutdown_timeout", settings.export.shutdown_timeout),
            ("otlp.spans_delay", settings.otlp.spans_delay),
            ("otlp.logs_delay", settings.otlp.logs_delay),
            (
                "reporting.slow_operation_threshold",
                settings.reporting.slow_operation_threshold,
            ),
            ("calls.slow_threshold", settings.calls.slow_threshold),
        ] {
            self.not_too_long(path, value);
        }
    }

    fn not_too_long(&mut self, path: &'static str, value: Duration) {
        if value > DURATION_MAX {
            let mend = format!("write at most {}", DURATION_MAX.show().unwrap_or_default());
            self.wrong(path, &value, "is too long", mend);
        }
    }

    fn names(&mut self, settings: &Settings) {
        let recording = &settings.recording;
        if let Err(error) = Formats::parse(&recording.propagators.join(",")) {
            self.wrong(
                "recording.propagators",
                &recording.propagators,
                error.to_string(),
                "",
            );
        }
        let handlers = &settings.calls.handlers;
        if let Some(unknown) = handlers
            .iter()
            .find(|name| !matches!(name.as_str(), "logger" | "metrics"))
        {
            let problem = format!("names the unknown handler {unknown:?}");
            self.wrong(
                "calls.handlers",
                handlers,
                problem,
                "write any of logger, metrics",
            );
        }
        let mut taken = vec!["/livez", "/readyz", "/startupz"];
        for (path, value) in [
            ("telemetry.metrics_path", &settings.telemetry.metrics_path),
            ("telemetry.health_path", &settings.telemetry.health_path),
        ] {
            let can_be_asked = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
            if !value.starts_with('/') || !value.bytes().all(can_be_asked) {
                let mend = "write one such as \"/metrics\"";
                self.wrong(path, value, "is not the path of a page", mend);
            } else if taken.contains(&value.as_str()) {
                let mend = "give one of the two another one";
                self.wrong(path, value, "is the path of another page", mend);
            }
            taken.push(value);
        }
    }

    fn addresses(&mut self, settings: &Settings) {
        for (path, value) in [
            ("telemetry.endpoint", &settings.telemetry.endpoint),
            ("otlp.traces_endpoint", &settings.otlp.traces_endpoint),
            ("otlp.logs_endpoint", &settings.otlp.logs_endpoint),
            ("otlp.metrics_endpoint", &settings.otlp.metrics_endpoint),
        ] {
            let Some(text) = value else { continue };
            if let Err(problem) = http_address(text) {
                let mend = "write one such as \"http://localhost:4318\"";
                self.wrong(path, value, problem, mend);
            }
        }
        let http = &settings.http;
        if let Some(address) = http.listen
            && !address.ip().is_loopback()
            && http.token.as_deref().is_none_or(str::is_empty)
        {
            let mend = "set http.token, or listen on 127.0.0.1 or [::1]";
            self.wrong(
                "http.listen",
                &http.listen,
                "can be reached from other machines without a token",
                mend,
            );
        }
        let otlp = &settings.otlp;
        if otlp.client_certificate.is_some() != otlp.client_key.is_some() {
            let mend = "set both otlp.client_certificate and otlp.client_key";
            self.wrong(
                "otlp.client_certificate",
                &otlp.client_certificate,
                "is only half of a certificate and its key",
                mend,
            );
        }
    }

    fn headers(&mut self, settings: &Settings) {
        let headers = &settings.otlp.headers;
        for (name, value) in headers {
            // gRPC: values of names that end in `-bin` are bytes, not text.
            let is_binary = settings.otlp.protocol == OtlpProtocol::Grpc && name.ends_with("-bin");
            let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok() && !is_binary;
            let problem = if !is_name {
                format!("names a header {name:?}, which is no name of one")
            } else if HeaderValue::from_str(value).is_err() {
                format!("gives the header {name:?} a value that is not visible ASCII")
            } else {
                continue;
            };
            let mend = "write names of letters, digits and -, and values of visible ASCII";
            self.wrong("otlp.headers", headers, problem, mend);
        }
        let token = &settings.http.token;
        let can_be_sent =
            |token: &String| token.trim() == token && HeaderValue::from_str(token).is_ok();
        if !token.as_ref().is_none_or(can_be_sent) {
            let problem = "is what no caller can send";
            let mend = "write visible ASCII without spaces around it";
            self.wrong("http.token", token, problem, mend);
        }
    }

    fn certificates(&mut self, settings: &Settings) {
        let otlp = &settings.otlp;
        for (path, file, check) in [
            (
                "otlp.certificate",
                &otlp.certificate,
                pem::certificates as fn(&Path) -> Result<(), String>,
            ),
            (
                "otlp.client_certificate",
                &otlp.client_certificate,
                pem::certificates,
            ),
            ("otlp.client_key", &otlp.client_key, pem::key),
        ] {
            if let Some(Err(problem)) = file.as_deref().map(check) {
                self.wrong(path, file, problem, "name a PEM file that holds one");
            }
        }
    }

    fn paths(&mut self, settings: &Settings) {
        let lines = &settings.json_lines.path;
        if let Some(Err(error)) = lines.as_deref().map(|path| file_can_be_written(path, true)) {
            self.wrong(
                "json_lines.path",
                lines,
                format!("cannot be written: {error}"),
                "name a file in a folder that can be",
            );
        }
        let database = &settings.sqlite.path;
        if let Some(Err((problem, mend))) = database.as_deref().map(database_can_be_written) {
            self.wrong("sqlite.path", database, problem, mend);
        }
        let profiles = &settings.profiling;
        let profiling =
            profiles.cpu || profiles.memory || profiles.chrome_tracing || profiles.perf_profiling;
        let folders: [(&'static str, Option<&PathBuf>); 3] = [
            (
                "otlp.spool_directory",
                settings.otlp.spool_directory.as_ref(),
            ),
            (
                "metrics_log.directory",
                settings
                    .metrics_log
                    .enabled
                    .then_some(&settings.metrics_log.directory),
            ),
            (
                "profiling.output_dir",
                profiling.then_some(&profiles.output_dir),
            ),
        ];
        for (path, folder) in folders {
            let Some(folder) = folder else { continue };
            if let Err(error) = folder_can_be_written(folder) {
                self.wrong(
                    path,
                    folder,
                    format!("cannot be written to: {error}"),
                    "name a folder that can be",
                );
            }
        }
    }
}

/// Whether `text` is where an HTTP server can be: scheme, host and port.
fn http_address(text: &str) -> Result<(), &'static str> {
    const NO_ADDRESS: &str = "is not an HTTP address";
    let uri: Uri = text.parse().map_err(|_| NO_ADDRESS)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(NO_ADDRESS);
    }
    let authority = uri.authority().ok_or(NO_ADDRESS)?.as_str();
    let place = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(NO_ADDRESS)?;
            host.parse::<Ipv6Addr>().map_err(|_| NO_ADDRESS)?;
            (host, port)
        }
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    if host.is_empty() {
        return Err(NO_ADDRESS);
    }
    match port.strip_prefix(':').map(str::parse::<u16>) {
        None if port.is_empty() => Ok(()),
        Some(Ok(1..)) => Ok(()),
        _ => Err("has no port from 1 to 65535 after the colon"),
    }
}

/// Whether a file is there that is not empty and does not begin like a SQLite database (SQLite, "Database File
/// Format", section 1.3).
fn holds_something_else(path: &Path) -> std::io::Result<bool> {
    const BEGINNING: &[u8] = b"SQLite format 3\0";
    let mut begins = Vec::new();
    std::fs::File::open(path)?
        .take(BEGINNING.len() as u64)
        .read_to_end(&mut begins)?;
    Ok(!begins.is_empty() && begins != BEGINNING)
}

/// Whether `path` could be a database that is written to, found out without leaving anything behind; else what is in
/// the way, and what to do about it.
fn database_can_be_written(path: &Path) -> Result<(), (String, &'static str)> {
    refuse_no_file(path).map_err(|error| {
        let problem = format!("cannot be written: {error}");
        (problem, "name a file, such as \"run.sqlite\"")
    })?;
    file_can_be_written(path, false).map_err(|error| {
        let problem = format!("cannot be written: {error}");
        (problem, "name a file in a folder that can be")
    })?;
    if holds_something_else(path).unwrap_or(false) {
        return Err((
            "holds something that is no SQLite database".to_owned(),
            "name a database, or a file that is not there yet",
        ));
    }
    // SQLite keeps what is not committed in files beside the one that is meant.
    let meant = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    folder_can_be_written(meant.parent().unwrap_or(Path::new(""))).map_err(|error| {
        let problem = format!("is in a folder where SQLite can make no -wal file: {error}");
        (problem, "name a file in a folder that can be written to")
    })
}

/// Whether `path` could be opened for writing, found out without leaving anything behind.
fn file_can_be_written(path: &Path, accepts_streams: bool) -> std::io::Result<()> {
    refuse_special(path, accepts_streams)?;
    if path.exists() {
        std::fs::OpenOptions::new().append(true).open(path)?;
        return Ok(());
    }
    folder_can_be_written(path.parent().unwrap_or(Path::new("")))
}

/// Whether files could be made in `folder`, or in the folder that it would be made in.
fn folder_can_be_written(folder: &Path) -> std::io::Result<()> {
    let existing = folder
        .ancestors()
        .map(|ancestor| {
            if ancestor.as_os_str().is_empty() {
                Path::new(".")
            } else {
                ancestor
            }
        })
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::NotADirectory,
            format!("{} is not a folder", existing.display()),
        ));
    }
    // Trying is the only answer that permissions, read-only mounts and quotas all agree with.
    let probe = existing.join(format!(
        ".radiosonde-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)?;
    std::fs::remove_file(&probe)
}

impl Sampler {
    /// Whether it has an argument: the share of traces that it records.
    pub(super) const fn goes_by_rate(self) -> bool {
        matches!(self, Self::ParentBasedRatio | Self::Ratio)
    }
}

impl Settings {
    /// The share of traces that start here and are recorded, by sampler and rate together.
    pub fn sample_ratio(&self) -> f64 {
        match self.recording.sampler {
            Sampler::AlwaysOff | Sampler::ParentBasedAlwaysOff => 0.0,
            Sampler::ParentBasedRatio | Sampler::Ratio => self.recording.sample_rate,
            Sampler::AlwaysOn | Sampler::ParentBasedAlwaysOn => 1.0,
        }
    }

    /// Whether the decision of a caller in another process is followed.
    pub const fn sample_parent_based(&self) -> bool {
        matches!(
            self.recording.sampler,
            Sampler::ParentBasedAlwaysOn
                | Sampler::ParentBasedAlwaysOff
                | Sampler::ParentBasedRatio
        )
    }
}
