//! Names and units, from OpenTelemetry's to Prometheus'.

use radiosonde_core::metrics::snapshot::{Data, Metric};

use super::{Alias, push_name};

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::encode) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// The word in `# TYPE`. The classic format has no info.
    pub(in crate::encode) const fn word(self, is_open: bool) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info if is_open => "info",
            Self::Gauge | Self::Info => "gauge",
        }
    }

    /// What a sample's name has after the family's.
    pub(in crate::encode) const fn sample_suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    /// What names of samples of such a family have after the family's. No other family may have such a name
    /// (OpenMetrics 1.0, MetricFamily: Name).
    pub(in crate::encode) const fn name_suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total", "_created"],
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
            Self::Info => &["", "_info"],
        }
    }
}

/// A metric family as shown.
#[derive(Debug, PartialEq)]
pub(in crate::encode) struct Family {
    /// The name without the suffix of its samples.
    pub(in crate::encode) name: String,
    pub(in crate::encode) kind: Kind,
    /// The unit's word where the name ends in it, else empty.
    pub(in crate::encode) unit: &'static str,
}

impl Family {
    pub(in crate::encode) fn of(metric: &Metric) -> Self {
        let kind = kind(metric);
        let mut name = Vec::with_capacity(metric.name.len() + 16);
        push_name(&mut name, &metric.name);
        let mut name = String::from_utf8_lossy(&name).into_owned();
        if kind == Kind::Counter {
            name.truncate(name.strip_suffix("_total").unwrap_or(&name).len());
        }
        if kind == Kind::Gauge
            && let Some(base) = name.strip_suffix("_count")
        {
            name = plural(base, &metric.unit);
        }
        let is_ratio = metric.unit == "1" && matches!(metric.data, Data::Gauge(_));
        let unit = if is_ratio {
            "ratio"
        } else {
            unit_word(&metric.unit)
        };
        if !unit.is_empty() && !has_suffix(&name, unit) {
            name.push('_');
            name.push_str(unit);
        }
        Self { name, kind, unit }
    }

    /// The family under another name, which is taken as it is.
    pub(in crate::encode) fn aliased(alias: &Alias, metric: &Metric) -> Self {
        let mut name = Vec::new();
        push_name(&mut name, &alias.name);
        Self {
            name: String::from_utf8_lossy(&name).into_owned(),
            kind: kind(metric),
            unit: "",
        }
    }
}

/// What the family of the resource is for.
pub(in crate::encode) const TARGET_HELP: &str = "What produces these metrics.";

/// The family of the resource.
pub(in crate::encode) fn target() -> Family {
    Family {
        name: "target".to_owned(),
        kind: Kind::Info,
        unit: "",
    }
}

/// What a number of things is called: `_count` belongs to histograms, and readers take it for a part of one.
/// `process.thread.count` in `{thread}` is `process_threads`.
fn plural(base: &str, unit: &str) -> String {
    let thing = unit
        .strip_prefix('{')
        .and_then(|unit| unit.strip_suffix('}'));
    match thing {
        Some(thing) if has_suffix(base, thing) => format!("{base}s"),
        Some(thing) if !thing.is_empty() => {
            let mut name = format!("{base}_").into_bytes();
            push_name(&mut name, thing);
            String::from_utf8_lossy(&name).into_owned() + "s"
        }
        _ => format!("{base}_number"),
    }
}

fn has_suffix(name: &str, word: &str) -> bool {
    name.strip_suffix(word)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

const fn kind(metric: &Metric) -> Kind {
    match metric.data {
        Data::Counter(_) => Kind::Counter,
        Data::UpDownCounter(_) | Data::Gauge(_) => Kind::Gauge,
        Data::Histogram(_) => Kind::Histogram,
    }
}

/// The words for UCUM units (OpenTelemetry specification, Prometheus and OpenMetrics compatibility: Unit). A unit in
/// braces is a remark and has none.
fn unit_word(unit: &str) -> &'static str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "By/s" => "bytes_per_second",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use radiosonde_core::model::Text;

    use super::*;

    fn family(name: &'static str, unit: &'static str, data: Data) -> (String, &'static str) {
        let family = Family::of(&Metric {
            name: Text::Borrowed(name),
            description: Text::Borrowed(""),
            unit: Text::Borrowed(unit),
            data,
        });
        (family.name, family.unit)
    }

    #[test]
    fn names_follow_opentelemetry_and_the_alias_table() {
        let cases = [
            (
                "gpu.operation.count",
                "{operation}",
                Data::Counter(vec![]),
                "gpu_operation_count",
            ),
            (
                "gpu.operation.duration",
                "s",
                Data::Histogram(vec![]),
                "gpu_operation_duration_seconds",
            ),
            (
                "process.thread.count",
                "{thread}",
                Data::UpDownCounter(vec![]),
                "process_threads",
            ),
            (
                "system.cpu.logical.count",
                "{cpu}",
                Data::UpDownCounter(vec![]),
                "system_cpu_logical_cpus",
            ),
            ("job.count", "", Data::Gauge(vec![]), "job_number"),
            (
                "hw.gpu.memory.usage",
                "By",
                Data::UpDownCounter(vec![]),
                "hw_gpu_memory_usage_bytes",
            ),
            (
                "hw.gpu.utilization",
                "1",
                Data::Gauge(vec![]),
                "hw_gpu_utilization_ratio",
            ),
            ("requests.total", "", Data::Counter(vec![]), "requests"),
            ("disk.bytes", "By", Data::Counter(vec![]), "disk_bytes"),
            ("kilobytes", "By", Data::Gauge(vec![]), "kilobytes_bytes"),
            (
                "queue.share",
                "1",
                Data::UpDownCounter(vec![]),
                "queue_share",
            ),
            ("a/b-c", "{x}", Data::Gauge(vec![]), "a_b_c"),
        ];
        for (name, unit, data, expected) in cases {
            let (found, word) = family(name, unit, data);
            assert_eq!(found, expected);
            assert!(word.is_empty() || has_suffix(&found, word));
        }
    }
}
