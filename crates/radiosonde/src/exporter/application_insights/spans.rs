//! Spans as requests and dependencies.

use radiosonde_core::{ValueRef, batch::SpanRef, model::SpanKind};

use super::envelopes::{Envelopes, NAME_BYTES_MAX, Operation};
use crate::encode::json::fields::{key, plain_member, span_member};

const NS_PER_US: u64 = 1000;
const US_PER_S: u64 = 1_000_000;

/// What a span's attributes say that Azure has fields for.
#[derive(Default)]
struct Told<'a> {
    status_code: Option<ValueRef<'a>>,
    url: Option<&'a str>,
    peer: Option<&'a str>,
    query: Option<&'a str>,
    database: Option<&'a str>,
    rpc: Option<&'a str>,
    messaging: Option<&'a str>,
    is_http: bool,
}

impl<'a> Told<'a> {
    fn by(span: &SpanRef<'a>) -> Self {
        let mut told = Self::default();
        for (name, value) in span.attributes() {
            let text = match value {
                ValueRef::Str(text) => Some(text),
                _ => None,
            };
            match name {
                "http.response.status_code" | "http.status_code" | "rpc.grpc.status_code" => {
                    told.status_code = Some(value);
                }
                "http.request.method" | "http.method" => told.is_http = true,
                "url.full" | "http.url" => told.url = text,
                "server.address" | "net.peer.name" => told.peer = text,
                "db.query.text" | "db.statement" => told.query = text,
                "db.system.name" | "db.system" => told.database = text,
                "rpc.system" => told.rpc = text,
                "messaging.system" => told.messaging = text,
                _ => {}
            }
        }
        told
    }

    /// What kind of thing was depended on.
    fn dependency(&self, kind: SpanKind) -> &'a str {
        if self.is_http {
            "HTTP"
        } else if let Some(system) = self.database.or(self.rpc).or(self.messaging) {
            system
        } else if kind == SpanKind::Internal {
            "InProc"
        } else {
            "Other"
        }
    }
}

/// Appends the envelope of `span`.
pub(super) fn write(envelopes: &mut Envelopes, span: &SpanRef<'_>, out: &mut Vec<u8>) {
    let overrides = span.overrides();
    let kind = overrides.kind.unwrap_or_default();
    let is_request = matches!(kind, SpanKind::Server | SpanKind::Consumer);
    let name = span.name();
    let operation = Operation {
        trace_id: span.trace_id(),
        parent_id: span.parent_id(),
        name: is_request.then_some(name),
    };
    let names = if is_request {
        ("Request", "RequestData")
    } else {
        ("RemoteDependency", "RemoteDependencyData")
    };
    envelopes.open(names, span.start_unix_ns(), Some(operation), out);
    let told = Told::by(span);
    span_member("id", span.span_id().bits(), out);
    envelopes.limited("name", name, NAME_BYTES_MAX, out);
    key("duration", out);
    duration(span.end_unix_ns().saturating_sub(span.start_unix_ns()), out);
    let is_ok = overrides.ok != Some(false);
    key("success", out);
    out.extend_from_slice(if is_ok { b"true" } else { b"false" });
    // Azure asks for a code of every request; those of Unix are 0 for success.
    let code = match told.status_code {
        Some(ValueRef::U64(code)) => code.to_string(),
        Some(ValueRef::I64(code)) => code.to_string(),
        Some(ValueRef::Str(code)) if code.len() < 32 => code.to_owned(),
        _ => (if is_ok { "0" } else { "1" }).to_owned(),
    };
    if is_request {
        envelopes.limited("responseCode", &code, NAME_BYTES_MAX, out);
        if let Some(url) = told.url {
            envelopes.limited("url", url, 2 * NAME_BYTES_MAX, out);
        }
        if let Some(peer) = told.messaging.or(told.peer) {
            envelopes.limited("source", peer, NAME_BYTES_MAX, out);
        }
    } else {
        envelopes.limited("resultCode", &code, NAME_BYTES_MAX, out);
        envelopes.limited("type", told.dependency(kind), NAME_BYTES_MAX, out);
        if let Some(data) = told.query.or(told.url) {
            envelopes.limited("data", data, 8 * NAME_BYTES_MAX, out);
        }
        if let Some(peer) = told.peer {
            envelopes.limited("target", peer, NAME_BYTES_MAX, out);
        }
    }
    Envelopes::properties(out);
    envelopes
        .fields
        .known_member("target", span.metadata().target(), out);
    plain_member("thread.id", itoa::Buffer::new().format(span.thread()), out);
    if let Some(message) = overrides.message {
        envelopes.limited("otel.status_message", message, NAME_BYTES_MAX, out);
    }
    if let Some(id) = span.correlation_id() {
        envelopes.limited("correlation.id", &id, NAME_BYTES_MAX, out);
    }
    for (name, value) in span.attributes() {
        if !matches!(name, "target" | "thread.id") {
            envelopes.property(name, value, out);
        }
    }
    out.extend_from_slice(b"}}}}");
}

/// `"D.HH:MM:SS.FFFFFF"`
fn duration(ns: u64, out: &mut Vec<u8>) {
    let us = ns / NS_PER_US;
    let seconds = us / US_PER_S;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(days).as_bytes());
    for (before, part) in [
        (b'.', hours % 24),
        (b':', minutes % 60),
        (b':', seconds % 60),
    ] {
        out.push(before);
        out.extend_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
    out.push(b'.');
    // Six digits, the first of which may be zeros.
    let fraction = us % US_PER_S + US_PER_S;
    out.extend_from_slice(&itoa::Buffer::new().format(fraction).as_bytes()[1..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_days_hours_minutes_seconds_and_microseconds() {
        let written = |ns| {
            let mut out = Vec::new();
            duration(ns, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(1_500), "\"0.00:00:00.000001\"");
        assert_eq!(
            written(((26 * 60 + 3) * 60 + 4) * 1_000_000_000 + 50_000_000),
            "\"1.02:03:04.050000\""
        );
    }
}
