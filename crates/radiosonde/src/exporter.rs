//! The one seam at which telemetry leaves: [`Exporter`], with one file an implementer under `exporter/`.
//! [`runner::FanOut`] gives each exporter a thread and a bounded queue of its own.

#[cfg(feature = "backends")]
pub mod application_insights;
#[cfg(feature = "backends")]
pub mod backend;
pub mod channel;
pub mod choice;
pub mod console;
#[cfg(feature = "backends")]
pub mod custom;
#[cfg(feature = "backends")]
pub mod datadog;
#[cfg(any(feature = "otlp-http", feature = "syslog", feature = "brokers"))]
mod delivery;
#[cfg(feature = "backends")]
pub mod elasticsearch;
pub mod file;
#[cfg(feature = "backends")]
pub mod grafana_cloud;
pub mod json_lines;
#[cfg(feature = "brokers")]
pub mod kafka;
mod lines;
#[cfg(feature = "backends")]
pub mod loki;
#[cfg(feature = "brokers")]
mod messages;
#[cfg(feature = "brokers")]
pub mod nats;
#[cfg(feature = "otlp-http")]
pub mod otlp;
#[cfg(feature = "otlp-http")]
mod peer;
#[cfg(feature = "backends")]
pub mod probe;
#[cfg(feature = "backends")]
pub mod pushgateway;
#[cfg(any(feature = "syslog", feature = "brokers"))]
mod queued;
#[cfg(feature = "backends")]
pub mod remote_write;
pub mod retry;
pub mod rows;
pub mod runner;
#[cfg(feature = "backends")]
pub mod splunk;
pub mod spool;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod statsd;
#[cfg(feature = "syslog")]
pub mod syslog;
#[cfg(feature = "backends")]
pub mod zipkin;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use radiosonde_core::{batch::Batch, loss::Lost, metrics::snapshot::Snapshot};

#[cfg(any(feature = "otlp-http", feature = "syslog", feature = "brokers"))]
pub use self::delivery::DestinationError;
#[cfg(feature = "otlp-http")]
pub use self::peer::Peer;

/// The examples of the guides, run as tests.
#[cfg(all(doctest, feature = "backends"))]
mod guides {
    #[doc = include_str!("../../../docs/exporters.md")]
    struct Exporters;
    #[doc = include_str!("../../../docs/exporters/application_insights.md")]
    struct ApplicationInsights;
    #[doc = include_str!("../../../docs/exporters/custom.md")]
    struct Custom;
    #[doc = include_str!("../../../docs/exporters/datadog.md")]
    struct Datadog;
    #[doc = include_str!("../../../docs/exporters/elasticsearch.md")]
    struct Elasticsearch;
    #[doc = include_str!("../../../docs/exporters/loki.md")]
    struct Loki;
    #[doc = include_str!("../../../docs/exporters/otlp.md")]
    struct Otlp;
    #[doc = include_str!("../../../docs/exporters/splunk.md")]
    struct Splunk;
    #[doc = include_str!("../../../docs/exporters/zipkin.md")]
    struct Zipkin;
}

/// Why an exporter does not deliver at the moment, or `None` where it does.
pub type Condition = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// How much is collected before it is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// So many records are exported at once.
    pub records: usize,
    /// Fewer are once the first of them has waited for this long.
    pub delay: Duration,
}

/// Sends telemetry somewhere. Each exporter runs on a thread of its own behind a bounded queue, so one that hangs or
/// panics harms no other; what it does not take in time is counted by reason.
pub trait Exporter: Send {
    /// A short, stable name: `console`, `jsonl`, `otlp` ...
    fn name(&self) -> &'static str;

    /// Sends spans, logs and events: all that waits, up to a few thousand records, in one call.
    fn export(&mut self, batch: &Batch) -> Result<(), ExportError>;

    /// Sends metrics; nothing unless the destination takes metrics.
    fn export_metrics(&mut self, _snapshot: &Snapshot) -> Result<(), ExportError> {
        Ok(())
    }

    /// Makes everything accepted so far durable or delivered.
    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    /// The same for an exporter that waits for a destination: by `deadline` it has returned, with everything that is
    /// not delivered kept as safe as it can keep it. The others need not implement this.
    fn flush_by(&mut self, _deadline: Instant) -> Result<(), ExportError> {
        self.flush()
    }

    /// Nothing comes any more: what is still kept for another try is delivered now, or given up and told as lost. The
    /// last call, unless the exporter is left behind because it took too long; only one that keeps something back when a
    /// flush fails needs it.
    fn close(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    /// How long records may wait, from when they were recorded, before [`flush`](Exporter::flush) is called; `None` for an
    /// exporter that keeps nothing back.
    fn flush_interval(&self) -> Option<Duration> {
        None
    }

    /// How much to collect before [`export`](Exporter::export) is called; `None` for an exporter that wants records as
    /// soon as it can take them. A flush does not wait for more. Asked once, at the start.
    fn batching(&self) -> Option<Batching> {
        None
    }

    /// Tells from any thread how the destination is, for an exporter that accepts records while it is away. `None` for
    /// one whose calls say it themselves. Asked once, at the start.
    fn condition(&self) -> Option<Condition> {
        None
    }

    /// Who it sends to over HTTP or gRPC, for those who ask whether they are reached; none for an exporter that writes
    /// files, or that keeps it to itself.
    #[cfg(feature = "otlp-http")]
    fn peers(&self) -> Vec<Peer> {
        Vec::new()
    }
}

/// Why an export failed. The runner counts the loss and reports it once a minute; an exporter reports nothing itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The destination refused some records for good.
    #[error("{destination} refused {records} records: {reason}")]
    Rejected {
        /// Where to.
        destination: String,
        /// How many records.
        records: u64,
        /// What it said.
        reason: String,
    },
    /// The destination cannot be reached or asks to be tried again. The whole batch is given up.
    #[error("{destination} is unavailable: {reason}")]
    Unavailable {
        /// Where to.
        destination: String,
        /// What happened.
        reason: String,
        /// When the destination said to come back.
        retry_after: Option<Duration>,
    },
    /// Writing a file or database failed.
    #[error("cannot write {path}: {source}; {mend}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
        /// How many records are lost by it: fewer than the batch where they are kept for another try, more where
        /// earlier ones waited for the same write.
        records: u64,
    },
    /// The in-process receiver is gone.
    #[error("the receiver of channel {name} is gone")]
    ReceiverGone {
        /// The channel's name.
        name: String,
        /// How many records nobody received.
        records: u64,
    },
    /// What an exporter with a thread of its own found out since the last call. What the call was given is accepted.
    #[error("{destination}: {reason}")]
    Noticed {
        /// Where to.
        destination: String,
        /// What happened.
        reason: String,
        /// What was lost by it. It is counted already.
        counted: Vec<(Lost, u64)>,
    },
}

impl ExportError {
    /// The reason and number of records lost, where the failed call was given `records`.
    pub const fn lost(&self, records: u64) -> (Lost, u64) {
        match self {
            Self::Rejected { records, .. } => (Lost::Rejected, *records),
            Self::Unavailable { .. } => (Lost::RetryExhausted, records),
            Self::Write { records, .. } => (Lost::WriteFailed, *records),
            Self::ReceiverGone { records, .. } => (Lost::ReceiverGone, *records),
            Self::Noticed { .. } => (Lost::Rejected, 0),
        }
    }

    /// What was lost and is counted already.
    fn counted(&self) -> &[(Lost, u64)] {
        match self {
            Self::Noticed { counted, .. } => counted,
            _ => &[],
        }
    }
}

/// An error where something is at `path` that is no file, nor a stream where those are accepted too: a character device,
/// or a pipe that the process was given, as `/dev/stdout` may be. Opening a named pipe would wait for whoever reads it.
pub(crate) fn refuse_special(path: &Path, accepts_streams: bool) -> io::Result<()> {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    if found.is_file() || accepts_streams && is_stream(path, &found) {
        return Ok(());
    }
    let what = if found.is_dir() {
        "it is a folder"
    } else {
        "it is a pipe, a socket or a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// An error where SQLite would take `path` for something else than the name of a file: a database that is gone when it is
/// closed, or a URI, which may name one (SQLite, "In-Memory Databases" and "Uniform Resource Identifiers").
pub(crate) fn refuse_no_file(path: &Path) -> io::Result<()> {
    let name = path.as_os_str().as_encoded_bytes();
    let what = if name.is_empty() || name == b":memory:" {
        "it is no file, and what is written to it would be gone at the end"
    } else if name.starts_with(b"file:") {
        "it is a URI and not the name of a file"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

#[cfg(unix)]
fn is_stream(path: &Path, found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    let kind = found.file_type();
    // A pipe without a name is reached through a link to a place that does not exist.
    kind.is_char_device() || kind.is_fifo() && fs::canonicalize(path).is_err()
}

#[cfg(not(unix))]
const fn is_stream(_: &Path, _: &fs::Metadata) -> bool {
    false
}

/// What to do about a failed write.
fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "name a file in a folder that you may write"
        }
        _ => "it is tried again with the next records",
    }
}
