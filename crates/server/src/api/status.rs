//! What the server is and how much it has.

use std::{path::PathBuf, time::UNIX_EPOCH};

use serde::Serialize;

use super::Api;
use crate::receive::Received;

#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    started_ms: f64,
    listening: Listening,
    store: Kept,
    /// Which traces are kept, and what became of them since the server started; nothing where all are.
    sampling: Option<Sampled>,
    received: Received,
}

#[derive(Debug, Serialize)]
struct Sampled {
    /// One in so many of those that no rule keeps.
    one_in: f64,
    #[serde(flatten)]
    sampled: radiosonde_store::Sampled,
}

#[derive(Debug, Serialize)]
struct Listening {
    page: String,
    otlp_http: String,
    otlp_grpc: String,
    statsd: Option<String>,
    syslog: Option<String>,
}

#[derive(Debug, Serialize)]
struct Kept {
    folder: PathBuf,
    bytes: u64,
    bytes_max: u64,
    age_max_s: u64,
    segments: usize,
    rows_in_memory: usize,
    /// Where what is older is instead of in segments; nothing where it is in them.
    clickhouse: Option<Elsewhere>,
}

#[derive(Debug, Serialize)]
struct Elsewhere {
    place: String,
    /// Why what is in memory could not be written there.
    failed: Option<String>,
}

pub(super) fn answer(api: &Api) -> Status {
    let segments = api.store.segments();
    let started = api.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let scheme = api.addresses.scheme();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        started_ms: started.as_secs_f64() * 1e3,
        listening: Listening {
            page: format!("{scheme}://{}", api.addresses.page),
            otlp_http: format!("{scheme}://{}", api.addresses.otlp_http),
            otlp_grpc: format!("{scheme}://{}", api.addresses.otlp_grpc),
            statsd: api
                .addresses
                .statsd
                .map(|address| format!("udp://{address}")),
            // Over UDP and TCP alike.
            syslog: api.addresses.syslog.map(|address| address.to_string()),
        },
        store: Kept {
            folder: api.config.folder.clone(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            bytes_max: api.store.size_bytes_max(),
            age_max_s: api.config.age_max.as_secs(),
            segments: segments.len(),
            rows_in_memory: api.store.rows_in_memory(),
            clickhouse: api.store.elsewhere().map(|elsewhere| Elsewhere {
                place: elsewhere.place,
                failed: elsewhere.failed,
            }),
        },
        sampling: sampling(api),
        received: api.intake.received(),
    }
}

fn sampling(api: &Api) -> Option<Sampled> {
    let (sampling, sampled) = api.config.sampling.as_ref().zip(api.store.sampled())?;
    Some(Sampled {
        one_in: sampling.share.adjusted_count(),
        sampled,
    })
}
