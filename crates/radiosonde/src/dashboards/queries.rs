//! PromQL of a panel. All of it looks only at the services that are chosen, and over the time that Grafana finds right
//! for the width of the panel (`$__rate_interval`).

use std::fmt::Write as _;

use super::metrics::{Known, Shown};
use crate::encode::openmetrics::label_name;

/// The series of the chosen services.
const CHOSEN: &str = "job=~\"$service\"";

/// What is asked of metrics, which are named as OpenTelemetry does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ask {
    /// How much a counter rises a second; of a histogram, how many measurements there are a second.
    Rate(&'static str),
    /// The sum of gauges.
    Sum(&'static str),
    /// The greatest of gauges.
    Most(&'static str),
    /// Within what this share of a histogram's measurements lies.
    Within(f64, &'static str),
    /// A histogram's buckets, for a heatmap.
    Buckets(&'static str),
    /// A counter minus another that takes from it.
    Left(&'static str, &'static str),
    /// Which share of all is of the kind that the first counter counts; the second counts them too.
    Part(&'static str, &'static str),
    /// Which share failed, where the first counter counts what failed and the second only what did not.
    Failed(&'static str, &'static str),
    /// Which share of a counter's or histogram's series have this label, with this value or, without one, with any.
    With(&'static str, &'static str, Option<&'static str>),
    /// A gauge as a share of another.
    Filled(&'static str, &'static str),
}

impl Ask {
    /// The metrics that it needs.
    #[cfg(test)]
    pub(super) fn metrics(self) -> Vec<&'static str> {
        match self {
            Self::Rate(metric)
            | Self::Sum(metric)
            | Self::Most(metric)
            | Self::Within(_, metric)
            | Self::Buckets(metric)
            | Self::With(metric, ..) => vec![metric],
            Self::Left(metric, other)
            | Self::Part(metric, other)
            | Self::Failed(metric, other)
            | Self::Filled(metric, other) => vec![metric, other],
        }
    }

    /// The query, its series told apart by these labels; none where one of its metrics is not known.
    pub(super) fn promql(self, by: &[&str], known: &Known) -> Option<String> {
        let rate = |metric| Some(sum(by, &known.get(metric)?.rate("")));
        Some(match self {
            Self::Rate(metric) => rate(metric)?,
            Self::Sum(metric) => sum(by, &known.get(metric)?.chosen()),
            Self::Most(metric) => {
                let series = known.get(metric)?.chosen();
                format!("max{}({series})", grouping(by, None))
            }
            Self::Within(share, metric) => {
                let buckets = known.get(metric)?.of_buckets("rate");
                let by = grouping(by, Some("le"));
                format!("histogram_quantile({share}, sum{by}({buckets}))")
            }
            Self::Buckets(metric) => {
                let buckets = known.get(metric)?.of_buckets("increase");
                format!("sum{}({buckets})", grouping(by, Some("le")))
            }
            Self::Left(metric, taken) => {
                let given = sum(by, &known.get(metric)?.chosen());
                let taken = sum(by, &known.get(taken)?.chosen());
                format!("{given} - ({taken} or 0 * {given})")
            }
            Self::Part(part, all) => {
                let (part, all) = (rate(part)?, rate(all)?);
                format!("({part} or 0 * {all}) / {all}")
            }
            // Of what failed always, and of what never did, one of the two has no series.
            Self::Failed(failed, done) => {
                let (failed, done) = (rate(failed)?, rate(done)?);
                format!("({failed} or 0 * {done}) / (({failed} + {done}) or {failed} or {done})")
            }
            Self::With(metric, label, value) => {
                let (shown, label) = (known.get(metric)?, label_name(label));
                let only = match value {
                    Some(value) => format!(", {label}=\"{value}\""),
                    None => format!(", {label}!=\"\""),
                };
                let (part, all) = (sum(by, &shown.rate(&only)), sum(by, &shown.rate("")));
                format!("({part} or 0 * {all}) / {all}")
            }
            Self::Filled(metric, limit) => {
                let used = sum(by, &known.get(metric)?.chosen());
                format!("{used} / {}", sum(by, &known.get(limit)?.chosen()))
            }
        })
    }
}

impl Shown {
    fn chosen(&self) -> String {
        format!("{}{{{CHOSEN}}}", self.name)
    }

    /// A second, of the series that have these matchers too.
    fn rate(&self, only: &str) -> String {
        let suffix = if self.kind == "histogram" {
            "_count"
        } else {
            ""
        };
        format!(
            "rate({}{suffix}{{{CHOSEN}{only}}}[$__rate_interval])",
            self.name
        )
    }

    fn of_buckets(&self, function: &str) -> String {
        format!(
            "{function}({}_bucket{{{CHOSEN}}}[$__rate_interval])",
            self.name
        )
    }
}

fn sum(by: &[&str], series: &str) -> String {
    format!("sum{}({series})", grouping(by, None))
}

/// ` by (op_name, backend) `, or nothing where all is added up.
fn grouping(by: &[&str], first: Option<&str>) -> String {
    let mut labels = first
        .map(str::to_owned)
        .into_iter()
        .chain(by.iter().map(|label| label_name(label)));
    let Some(first) = labels.next() else {
        return String::new();
    };
    let mut grouping = format!(" by ({first}");
    for label in labels {
        // Writing to a string does not fail.
        let _ = write!(grouping, ", {label}");
    }
    grouping + ") "
}

/// What a series is called in the legend.
pub(super) fn legend(words: &str, by: &[&str]) -> String {
    let mut parts = Vec::new();
    if !words.is_empty() {
        parts.push(words.to_owned());
    }
    parts.extend(
        by.iter()
            .map(|label| format!("{{{{{}}}}}", label_name(label))),
    );
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use radiosonde_core::events::BUILT_IN;

    use super::*;

    #[test]
    fn questions_become_queries() {
        let known = Known::of(BUILT_IN);
        let cases: [(Ask, &[&str], &str); 7] = [
            (
                Ask::Rate("gpu.operation.count"),
                &["op_name", "backend"],
                "sum by (op_name, backend) (rate(gpu_operation_count_total{job=~\"$service\"}[$__rate_interval]))",
            ),
            (
                Ask::Rate("gen_ai.server.request.duration"),
                &[],
                "sum(rate(gen_ai_server_request_duration_seconds_count{job=~\"$service\"}[$__rate_interval]))",
            ),
            (
                Ask::Most("hw.gpu.utilization"),
                &["instance", "hw.id"],
                "max by (instance, hw_id) (hw_gpu_utilization_ratio{job=~\"$service\"})",
            ),
            (
                Ask::Within(0.95, "queue.wait.duration"),
                &["queue"],
                "histogram_quantile(0.95, sum by (le, queue) (rate(queue_wait_duration_seconds_bucket{job=~\"$service\"}[$__rate_interval])))",
            ),
            (
                Ask::Buckets("ml.inference.batch_size"),
                &[],
                "sum by (le) (increase(ml_inference_batch_size_bucket{job=~\"$service\"}[$__rate_interval]))",
            ),
            (
                Ask::With("gpu.cache.access.count", "hit", Some("true")),
                &[],
                "(sum(rate(gpu_cache_access_count_total{job=~\"$service\", hit=\"true\"}[$__rate_interval])) or 0 * sum(rate(gpu_cache_access_count_total{job=~\"$service\"}[$__rate_interval]))) / sum(rate(gpu_cache_access_count_total{job=~\"$service\"}[$__rate_interval]))",
            ),
            (
                Ask::Filled("worker.pool.busy", "worker.pool.size"),
                &["pool"],
                "sum by (pool) (worker_pool_busy{job=~\"$service\"}) / sum by (pool) (worker_pool_size{job=~\"$service\"})",
            ),
        ];
        for (ask, by, expected) in cases {
            assert_eq!(ask.promql(by, &known).unwrap(), expected);
        }
        assert_eq!(Ask::Rate("no.such.metric").promql(&[], &known), None);
    }

    #[test]
    fn a_legend_says_what_tells_series_apart() {
        assert_eq!(
            legend("in use", &["instance", "hw.id"]),
            "in use {{instance}} {{hw_id}}"
        );
        assert_eq!(legend("", &[]), "");
    }
}
