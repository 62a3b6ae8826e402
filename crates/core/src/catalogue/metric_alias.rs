//! The design notes' names for metrics, and what they are called here.

/// Another name for a metric, under which it can be shown and asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricAlias {
    /// The other name.
    pub alias: &'static str,
    /// The name here.
    pub metric: &'static str,
    /// What our value is multiplied by to be in the alias's unit: 1000 for one in milliseconds.
    pub times: f64,
}

const fn same(alias: &'static str, metric: &'static str) -> MetricAlias {
    scaled(alias, metric, 1.0)
}

const fn scaled(alias: &'static str, metric: &'static str, times: f64) -> MetricAlias {
    MetricAlias {
        alias,
        metric,
        times,
    }
}

/// Milliseconds in a second.
const MS: f64 = 1e3;
/// What the design notes call MB is 2^20 bytes.
const MB: f64 = 1.0 / 1_048_576.0;

/// Every alias, in the order of the design notes. Those without a dot are names in Prometheus' text, and
/// `/metrics` shows metrics under them too.
pub static METRIC_ALIASES: &[MetricAlias] = &[
    same("metal_operations_total", "gpu.operation.count"),
    same("gpu_operations_total", "gpu.operation.count"),
    same("metal_errors_total", "gpu.operation.errors"),
    scaled("metal_operation_duration_ms", "gpu.operation.duration", MS),
    same("metal_memory_usage_bytes", "hw.gpu.memory.usage"),
    scaled("metal_gpu_utilization_percent", "hw.gpu.utilization", 1e2),
    same("snakepit.call.total", "worker.call.count"),
    scaled("snakepit.call.duration", "worker.call.duration", MS),
    scaled("snakepit_call_duration_ms", "worker.call.duration", MS),
    scaled("snakepit.call.queue_time", "worker.call.queue.duration", MS),
    same("snakepit.pool.size", "worker.pool.size"),
    same("snakepit.pool.idle", "worker.pool.idle"),
    same("snakepit.pool.busy", "worker.pool.busy"),
    same("snakepit.memory.allocated_bytes", "memory.allocated"),
    scaled(
        "snakepit.memory.gpu.allocated_mb",
        "radiosonde.gpu.allocator.allocated",
        MB,
    ),
    scaled("snakepit.memory.gpu.free_mb", "hw.gpu.memory.free", MB),
    same("snakepit.call.exceptions", "worker.call.exceptions"),
    same("snakepit.worker.crashes", "worker.crashes"),
    scaled(
        "snakepit.ml.inference.duration",
        "ml.inference.duration",
        MS,
    ),
    same(
        "snakepit.ml.inference.tokens_per_second",
        "ml.inference.tokens_per_second",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::metrics, events::BUILT_IN};

    #[test]
    fn every_alias_stands_for_a_metric_of_an_event() {
        for alias in METRIC_ALIASES {
            let known = BUILT_IN
                .iter()
                .flat_map(|event| metrics(event))
                .any(|(name, ..)| name == alias.metric);
            assert!(known, "{alias:?}");
        }
    }
}
