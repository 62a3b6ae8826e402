//! Names and units, from OpenTelemetry's to Prometheus'.

use radiosonde_answers::prometheus_name;
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
        let (name, unit) = prometheus_name::family(&metric.name, &metric.unit, of_metric(metric));
        let kind = kind(metric);
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

const fn of_metric(metric: &Metric) -> prometheus_name::Kind {
    match metric.data {
        Data::Counter(_) => prometheus_name::Kind::Counter,
        Data::UpDownCounter(_) => prometheus_name::Kind::UpDownCounter,
        Data::Gauge(_) => prometheus_name::Kind::Gauge,
        Data::Histogram(_) => prometheus_name::Kind::Histogram,
    }
}

const fn kind(metric: &Metric) -> Kind {
    match metric.data {
        Data::Counter(_) => Kind::Counter,
        Data::UpDownCounter(_) | Data::Gauge(_) => Kind::Gauge,
        Data::Histogram(_) => Kind::Histogram,
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
            assert!(found.ends_with(word));
        }
    }
}
