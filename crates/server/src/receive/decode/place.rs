//! Where in a request an item is, in the words of its form.

use std::fmt::{self, Write as _};

use super::{Encoding, Signal};

/// The place of the item of which `at` has the numbers of its resource, scope, itself, and of its data point; of other forms
/// than OTLP, of what they have instead.
pub(super) fn of(encoding: Encoding, signal: Signal, at: [usize; 4]) -> String {
    let [outer, _, item, point] = at;
    let mut place = String::new();
    // Writing to a string does not fail.
    let _ = match (encoding, signal) {
        (Encoding::Zipkin, _) => write!(place, "[{item}]"),
        (Encoding::Pprof, _) => write!(place, "sample_type[{item}]"),
        (Encoding::Folded, _) => write!(place, "line {}", item + 1),
        (Encoding::Exposition, _) => write!(place, "line {item}"),
        (Encoding::Jaeger(_), _) => write!(place, "spans[{item}]"),
        (Encoding::Datadog(_), Signal::Traces) => write!(place, "[{outer}][{item}]"),
        (Encoding::Datadog(_), Signal::Metrics) => write!(place, "series[{item}].points[{point}]"),
        (Encoding::Datadog(_), _) => write!(place, "logs[{item}]"),
        (Encoding::Loki(_), _) => write!(place, "streams[{outer}].values[{item}]"),
        (Encoding::RemoteWrite(_), _) => write!(place, "timeseries[{item}]"),
        (Encoding::Syslog, _) => write!(place, "message {item}"),
        (Encoding::Protobuf | Encoding::Json, signal) => in_otlp(&mut place, signal, at),
    };
    place
}

fn in_otlp(place: &mut String, signal: Signal, at: [usize; 4]) -> fmt::Result {
    let [resource, scope, item, point] = at;
    match signal {
        Signal::Traces => write!(
            place,
            "resource_spans[{resource}].scope_spans[{scope}].spans[{item}]"
        ),
        Signal::Logs => write!(
            place,
            "resource_logs[{resource}].scope_logs[{scope}].log_records[{item}]"
        ),
        Signal::Metrics => write!(
            place,
            "resource_metrics[{resource}].scope_metrics[{scope}].metrics[{item}].data_points[{point}]"
        ),
        Signal::Profiles => write!(
            place,
            "resource_profiles[{resource}].scope_profiles[{scope}].profiles[{item}]"
        ),
    }
}
