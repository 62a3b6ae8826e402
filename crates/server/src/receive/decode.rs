//! Requests become rows: what is valid is kept, what is not is counted with the first reason and place.
//!
//! ```text
//! protobuf ────────┐
//! json ────────────┼▶ sink ─▶ rows
//! zipkin, jaeger ──┤
//! datadog, loki ───┤
//! remote write ────┤
//! pprof, folded ───┤
//! scrapes, statsd ─┤
//! syslog ──────────┘
//! ```
//!
//! Nothing here waits, reads or writes anything but memory, so fuzz targets take this module as it is, with a store that
//! only counts.

mod attributes;
pub(super) mod datadog;
pub(super) mod exposition;
mod folded;
mod id;
pub(super) mod jaeger;
mod json;
pub(super) mod loki;
mod names;
mod parts;
mod place;
mod pprof;
mod profiles;
mod protobuf;
mod readings;
mod reason;
pub(super) mod remote_write;
mod rules;
mod sink;
pub(super) mod statsd;
pub(super) mod syslog;
pub(super) mod text;
mod time;
mod told;
pub(super) mod wire;
mod zipkin;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use radiosonde_store::Rows;

pub(crate) use self::rules::Rules;
use self::sink::Sink;
pub(super) use self::sink::{Counts, Rejected, Unreadable};
pub(super) use self::told::Told;

/// How many lists and maps of an attribute may be in one another. JSON's reader allows 128 levels of its own, of which each
/// of these takes four.
const DEPTH_MAX: usize = 30;
const TOO_DEEP: &str = "a value has more than 30 lists and maps in one another";
const _: () = assert!(DEPTH_MAX == 30, "the text names it");

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
    Metrics,
    Profiles,
}

impl Signal {
    pub(super) const ALL: [Self; 4] = [Self::Traces, Self::Logs, Self::Metrics, Self::Profiles];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Profiles => "profiles",
        }
    }

    /// Where it is sent over HTTP.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
            Self::Profiles => "/v1development/profiles",
        }
    }

    /// What gRPC calls.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Profiles => {
                "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
            }
        }
    }

    /// What its items are called.
    pub(super) const fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log records",
            Self::Metrics => "data points",
            Self::Profiles => "profiles",
        }
    }
}

/// The form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
    /// Version 2, JSON.
    Zipkin,
    /// A profile as pprof writes it.
    Pprof,
    /// Stacks as text.
    Folded,
    /// Prometheus' text or OpenMetrics, which is asked for and not sent ([`exposition`]).
    Exposition,
    Jaeger(jaeger::Form),
    Datadog(datadog::Form),
    Loki(loki::Form),
    /// Of Prometheus and its kin.
    RemoteWrite(remote_write::Form),
    /// Which comes message by message ([`syslog`]).
    Syslog,
}

/// Makes rows of a request, of which its address may say more, under these rules.
pub(super) fn decode(
    signal: Signal,
    encoding: Encoding,
    told: &Told,
    request: &[u8],
    now_unix_ns: i64,
    rules: &Arc<Rules>,
) -> Result<(Rows, Counts, Rejected), Unreadable> {
    let mut sink = Sink::new(signal, encoding, now_unix_ns).with_rules(rules);
    match encoding {
        Encoding::Protobuf => protobuf::read(signal, request, &mut sink)?,
        Encoding::Json => json::read(signal, request, &mut sink)?,
        Encoding::Zipkin => zipkin::read(request, &mut sink)?,
        Encoding::Pprof => pprof::read(request, told, &mut sink)?,
        Encoding::Folded => folded::read(request, told, &mut sink)?,
        Encoding::Jaeger(form) => jaeger::read(form, request, &mut sink)?,
        Encoding::Datadog(form) => datadog::read(form, request, &mut sink)?,
        Encoding::Loki(form) => loki::read(form, request, &mut sink)?,
        Encoding::RemoteWrite(form) => remote_write::read(form, request, &mut sink)?,
        // Nobody sends them as a request.
        Encoding::Exposition | Encoding::Syslog => {
            return Err(Unreadable::Malformed("it is no OTLP".to_owned()));
        }
    }
    Ok(sink.finish())
}
