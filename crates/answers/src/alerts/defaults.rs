//! The rules that are there without anybody writing any: five families, each with what to do about it.
//!
//! Numbers are those of DotCompute's alerting, which the second design note describes, unless a setting says otherwise: three
//! failed allocations in five minutes, five failed kernels in ten, ten operations of more than 100 ms in fifteen, a device
//! that is busy in ten readings of five minutes, memory at 85, 90 and 95 %.

use std::time::Duration;

use super::{Condition, Limit, Measure, Pattern, Reading, Rule, Selector, Severity, Threshold};

const MINUTE: Duration = Duration::from_secs(60);
/// What an error's type has in it where memory was asked for in vain.
const OF_MEMORY: [&str; 6] = [
    "*memory*", "*Memory*", "*alloc*", "*Alloc*", "*oom*", "*OOM*",
];
/// What an error's type has in it where the device itself is gone.
const OF_DEVICE: [&str; 4] = ["*lost*", "*Lost*", "*removed*", "*Removed*"];

/// What the default rules are set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// From which duration on an operation is slow (`reporting.slow_operation_threshold`).
    pub slow_operation: Duration,
    /// From which utilization on a device is highly used, from 0 to 1 (`reporting.high_gpu_utilization_threshold` is in
    /// percent).
    pub gpu_utilization: f64,
    /// From which share of its memory on a device is nearly full, from 0 to 1: [`Severity::Warning`]. A third and two thirds of
    /// the way from there to all of it are the limits of [`Severity::Error`] and [`Severity::Critical`]: 90 % and 95 % where
    /// this is 85 %.
    pub memory_utilization: f64,
    /// From which temperature on a device is too hot, in degrees Celsius.
    pub temperature_celsius: f64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            slow_operation: Duration::from_millis(100),
            gpu_utilization: 0.85,
            memory_utilization: 0.85,
            temperature_celsius: 90.0,
        }
    }
}

/// The default rules, family by family, which is the group of each.
pub fn rules(defaults: &Defaults) -> Vec<Rule> {
    let families = [
        ("memory_allocation_failures", allocations()),
        ("kernel_execution_failures", kernels()),
        ("performance_degradation", performance(defaults)),
        ("resource_exhaustion", resources(defaults)),
        ("device_health", devices(defaults)),
    ];
    let grouped = families
        .into_iter()
        .flat_map(|(family, rules)| rules.into_iter().map(move |rule| rule.group(family)));
    grouped.collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn errors() -> Selector {
    Selector::new("gpu.operation.errors")
}

/// Fires where there were so many in that time, for each of the labels.
fn counted(name: &str, of: Selector, window: Duration, by: &[&str], at_least: f64) -> Rule {
    let measure = Measure::new(of, Reading::Increase(window)).by(by.iter().copied());
    let threshold = Threshold::new(measure, Limit::AtLeast(at_least));
    Rule::new(name, Condition::Threshold(threshold))
}

fn allocations() -> Vec<Rule> {
    let of = errors().and("error.type", Pattern::Is(texts(&OF_MEMORY)));
    vec![
        counted("allocations_fail", of, 5 * MINUTE, &["backend"], 3.0)
            .severity(Severity::Error)
            .keep_firing_for(5 * MINUTE)
            .summary("{{value}} allocations of {{labels.backend}} failed in five minutes")
            .action(
                "Make batches or contexts smaller, or give caches less. `sonde memory` shows what holds the device's memory, and \
                 whether it is in use or only reserved.",
            ),
    ]
}

fn kernels() -> Vec<Rule> {
    let others: Vec<String> = [texts(&OF_MEMORY), texts(&OF_DEVICE)].concat();
    let of = errors().and("error.type", Pattern::IsNot(others));
    vec![
        counted("kernels_fail", of, 10 * MINUTE, &["backend", "op_name"], 5.0)
            .severity(Severity::Error)
            .keep_firing_for(5 * MINUTE)
            .summary("{{labels.op_name}} failed {{value}} times on {{labels.backend}} in ten minutes")
            .action(
                "Look at what the driver said: `sonde logs 'gpu.error'`. If only one operation fails, its inputs or its kernel \
                 are wrong; if all do, restart the process and look at the device.",
            ),
        counted("errors_are_many", errors(), 10 * MINUTE, &[], 10.0)
            .severity(Severity::Warning)
            .keep_firing_for(5 * MINUTE)
            .summary("{{value}} GPU operations failed in ten minutes")
            .action(
                "`sonde compare` shows what is different about what fails: a version, a device, a model. Go back to the version \
                 before, if it began with a new one.",
            ),
    ]
}

fn performance(defaults: &Defaults) -> Vec<Rule> {
    let slow = defaults.slow_operation;
    let reading = Reading::Beyond(slow.as_secs_f64(), 15 * MINUTE);
    let measure = Measure::new("gpu.operation.duration", reading).by(["op_name"]);
    // A histogram counts a bucket that the bound lies in by parts: ten are ten within a rounding error.
    let threshold = Threshold::new(measure, Limit::AtLeast(10.0 - 1e-6));
    let slow = crate::duration::show(slow);
    vec![
        Rule::new("operations_are_slow", Condition::Threshold(threshold))
            .severity(Severity::Warning)
            .keep_firing_for(5 * MINUTE)
            .summary(format!(
                "{{{{labels.op_name}}}} took more than {slow} {{{{value}}}} times in fifteen minutes"
            ))
            .action(
                "`sonde why --from -15m` says where the time of slow requests goes: waiting, copying, or the kernel itself. If it \
                 is always so slow and may be, raise `reporting.slow_operation_threshold`.",
            ),
    ]
}

/// Fires where the last value is above a limit, until it is back across another one.
fn above(name: &str, measure: Measure, limit: f64, resolve_at: f64) -> Rule {
    let threshold = Threshold::new(measure, Limit::Above(limit)).resolve_at(resolve_at);
    Rule::new(name, Condition::Threshold(threshold))
}

fn resources(defaults: &Defaults) -> Vec<Rule> {
    let full = |name: &str, severity, limit: f64| {
        let measure = Measure::new("hw.gpu.memory.usage", Reading::Last)
            .per("hw.gpu.memory.limit")
            .by(["hw.id"]);
        above(name, measure, limit, limit - 0.03)
            .severity(severity)
            .for_(MINUTE)
            .keep_firing_for(2 * MINUTE)
            .unit("1")
            .summary("The memory of {{labels.hw.id}} is {{value}} full")
            .action(
                "Give caches less or make batches smaller before allocations fail; `sonde memory` shows who holds it. If it grows \
                 without end, something keeps what it should give back.",
            )
    };
    let share = defaults.memory_utilization;
    // To the millionth, so that a limit reads as it is meant.
    let thirds = |thirds: f64| ((share + thirds * (1.0 - share) / 3.0) * 1e6).round() / 1e6;
    let busy = Reading::Beyond(defaults.gpu_utilization, 5 * MINUTE);
    let busy = Measure::new("hw.gpu.utilization", busy);
    let busy = Threshold::new(busy, Limit::AtLeast(10.0)).resolve_at(5.0);
    vec![
        Rule::new("gpu_is_busy", Condition::Threshold(busy))
            .severity(Severity::Info)
            .keep_firing_for(5 * MINUTE)
            .summary(format!(
                "{{{{labels.hw.id}}}} was more than {:.0} % busy in {{{{value}}}} readings of five minutes",
                100.0 * defaults.gpu_utilization
            ))
            .action(
                "Nothing, if work is done in time: a busy device is a used one. If queues grow (`sonde queue`), spread the load or \
                 add a device.",
            ),
        full("gpu_memory_is_filling", Severity::Warning, share),
        full("gpu_memory_is_high", Severity::Error, thirds(1.0)),
        full("gpu_memory_is_full", Severity::Critical, thirds(2.0)),
    ]
}

fn devices(defaults: &Defaults) -> Vec<Rule> {
    let lost = errors().and("error.type", Pattern::Is(texts(&OF_DEVICE)));
    let hot = Measure::new("hw.temperature", Reading::Last);
    let limit = defaults.temperature_celsius;
    vec![
        counted("device_is_lost", lost, 10 * MINUTE, &["backend"], 1.0)
            .severity(Severity::Critical)
            .keep_firing_for(5 * MINUTE)
            .summary("{{labels.backend}} lost its device")
            .action(
                "Restart the process: what it held on the device is gone. If it happens again, look for XID errors in the \
                 kernel's log and take the device out of service.",
            ),
        above("device_is_hot", hot, limit, limit - 5.0)
            .severity(Severity::Error)
            .for_(MINUTE)
            .keep_firing_for(2 * MINUTE)
            .unit("Cel")
            .summary("{{labels.hw.id}} is at {{value}}")
            .action(
                "Look at fans, air and power limits: the device slows itself down when it is too hot. Lower its power limit, or \
                 move load away from it.",
            ),
        counted("workers_crash", Selector::new("worker.crashes"), 10 * MINUTE, &["device"], 3.0)
            .severity(Severity::Error)
            .keep_firing_for(5 * MINUTE)
            .summary("{{value}} workers on {{labels.device}} died in ten minutes")
            .action(
                "`sonde logs` shows the signal or the exit code of each. Workers that are killed for memory need less of it; \
                 workers that die on one device alone point at that device.",
            ),
    ]
}

#[cfg(test)]
mod tests;
