//! What Datadog's libraries and agent send: traces to the agent's port, in MessagePack, and series of metrics and logs to the
//! intake, in JSON or protobuf.
//!
//! | theirs | ours |
//! |---|---|
//! | `service`, the tags `env` and `version` | `service.name`, `deployment.environment.name`, `service.version` |
//! | a span's `name`, `resource` and `type` | its name, the attributes `resource.name` and `span.type` |
//! | `meta`, `metrics` | attributes; of `meta`, `span.kind` is the kind, `error.message` the status' message |
//! | a trace's 64 bits, `_dd.p.tid` | the lower and the upper half of its identifier |
//! | count; rate with an interval | `counter` of what came since the reading before |
//! | gauge; rate without an interval | `gauge` |
//!
//! Sources: github.com/DataDog/datadog-agent, `pkg/trace/api/version.go` and `pkg/proto/datadog/trace/span.proto`;
//! docs.datadoghq.com, "Submit metrics" and "Send logs".

mod logs;
mod msgpack;
mod series;
mod traces;

use std::borrow::Cow;

use super::{
    attributes::{ATTRIBUTES_MAX, Attributes, Source},
    sink::{Sink, Unreadable},
};

/// The service of what does not name its own.
const SERVICE_DEFAULT: &str = "datadog";

/// In which of its forms a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Versions 0.3 and 0.4 of traces: a list of lists of spans, which are maps.
    Traces,
    /// Version 0.5 of traces: a table of texts, and spans that are lists and point into it.
    TracesByTable,
    /// Versions 1 and 2 of series, in JSON.
    Series,
    /// Version 2 of series: `datadog.agentpayload.MetricPayload`.
    SeriesProtobuf,
    /// Logs, in JSON: a list, or one alone.
    Logs,
}

/// Reads a request into `sink`.
pub(super) fn read(form: Form, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    match form {
        Form::Traces => traces::read(request, sink),
        Form::TracesByTable => traces::read_by_table(request, sink),
        Form::Series => series::read_json(request, sink),
        Form::SeriesProtobuf => series::read_protobuf(request, sink),
        Form::Logs => logs::read(request, sink),
    }
}

/// Whose it is, as long as it is the same.
#[derive(Debug, Default)]
struct Origin {
    source: Source,
    known: Option<[String; 4]>,
}

impl Origin {
    /// What produces what follows: service, host, environment and version, of which any may be empty.
    fn set(&mut self, parts: [&str; 4]) -> &Source {
        const NAMES: [&str; 4] = [
            "service.name",
            "host.name",
            "deployment.environment.name",
            "service.version",
        ];
        let [service, rest @ ..] = parts;
        let service = if service.is_empty() {
            SERVICE_DEFAULT
        } else {
            service
        };
        let is_known = |known: &[String; 4]| {
            known[0] == service && rest.iter().zip(&known[1..]).all(|(a, b)| a == b)
        };
        if !self.known.as_ref().is_some_and(is_known) {
            let [host, environment, version] = rest;
            let parts = [service, host, environment, version];
            let mut attributes = Attributes::default();
            for (name, part) in NAMES.into_iter().zip(parts) {
                if !part.is_empty() {
                    attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(part));
                }
            }
            self.source.set_resource(&attributes);
            self.known = Some(parts.map(str::to_owned));
        }
        &self.source
    }
}

/// Tags as `key:value`, apart from the service; one without a value is true.
#[derive(Debug, Default)]
struct Tags<'a> {
    service: Cow<'a, str>,
    others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Tags<'a> {
    fn clear(&mut self) {
        self.service = Cow::Borrowed("");
        self.others.clear();
    }

    fn take(&mut self, tag: Cow<'a, str>) {
        let (key, value) = match tag {
            Cow::Borrowed(tag) => {
                let (key, value) = tag.split_once(':').unwrap_or((tag, "true"));
                (Cow::Borrowed(key), Cow::Borrowed(value))
            }
            Cow::Owned(tag) => {
                let (key, value) = tag.split_once(':').unwrap_or((&tag, "true"));
                (Cow::Owned(key.to_owned()), Cow::Owned(value.to_owned()))
            }
        };
        if key == "service" {
            self.service = value;
        } else if !key.is_empty() && self.others.len() <= ATTRIBUTES_MAX {
            // One more than may be says that there were too many.
            self.others.push((key, value));
        }
    }

    fn give<'b>(&'b self, attributes: &mut Attributes<'b>) {
        for (key, value) in &self.others {
            attributes.push_text(Cow::Borrowed(key), Cow::Borrowed(value));
        }
    }
}

#[cfg(test)]
mod tests;
