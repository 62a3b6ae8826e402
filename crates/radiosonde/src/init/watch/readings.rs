//! Health from readings: the host's memory, the fullest queue, the hottest and the fullest device.
//!
//! Queues and devices are read from the metrics that the program records of them, so a reading is as old as the last one
//! that was recorded. Invariant: where there is nothing to read the outcome is that it is absent, never healthy.

use std::sync::Arc;

use radiosonde_core::{
    metrics::{
        self,
        snapshot::{Data, Labels, Metric, Number},
    },
    model::Resource,
};

use crate::{
    health::{Level, Levels, Outcome, Status},
    host,
};

/// Metrics as they are now.
fn read() -> Vec<Metric> {
    metrics::snapshot(&Arc::new(Resource::default())).metrics
}

/// The series of the metric `name`, each by its label `key`.
fn values<'m>(
    metrics: &'m [Metric],
    name: &str,
    key: &'static str,
) -> impl Iterator<Item = (&'m str, f64)> {
    let metric = metrics.iter().find(|metric| metric.name == name);
    let series = match metric.map(|metric| &metric.data) {
        Some(Data::Counter(series) | Data::UpDownCounter(series) | Data::Gauge(series)) => {
            series.as_slice()
        }
        Some(Data::Histogram(_)) | None => &[],
    };
    series.iter().map(move |series| {
        let value = match series.value {
            Number::U64(value) => value as f64,
            Number::I64(value) => value as f64,
            Number::F64(value) => value,
        };
        (label(&series.labels, key), value)
    })
}

fn label<'l>(labels: &'l Labels, key: &str) -> &'l str {
    let label = labels.iter().find(|(name, _)| name == key);
    label
        .and_then(|(_, value)| value.as_str())
        .unwrap_or_default()
}

/// Which is the greatest, and of what.
fn greatest<'m>(values: impl Iterator<Item = (&'m str, f64)>) -> Option<(&'m str, f64)> {
    values.max_by(|(_, first), (_, second)| first.total_cmp(second))
}

/// The parts of `values` in `limits` of the same name, where that is known.
fn shares<'m>(
    values: impl Iterator<Item = (&'m str, f64)>,
    limits: &[(&str, f64)],
) -> impl Iterator<Item = (&'m str, f64)> {
    values.filter_map(|(name, value)| {
        let limit = limits.iter().find(|(other, _)| *other == name);
        let (_, limit) = limit.filter(|(_, limit)| *limit > 0.0)?;
        Some((name, value / limit))
    })
}

/// The host's memory.
pub(super) struct Memory(Level);

impl Memory {
    pub(super) const fn new() -> Self {
        Self(Level::new(Levels::MEMORY))
    }

    pub(super) fn look(&mut self) -> Outcome {
        let reading = host::memory_in_use();
        match reading.value() {
            Some(in_use) => Outcome::new(
                self.0.look(in_use),
                format!("{:.0} % of the host's memory is in use", in_use * 100.0),
            ),
            None => Outcome::absent(reading.provenance().detail().unwrap_or_default()),
        }
    }
}

/// The fullest of the queues with a bound.
pub(super) struct Queues(Level);

impl Queues {
    pub(super) const fn new() -> Self {
        Self(Level::new(Levels::SATURATION))
    }

    pub(super) fn look(&mut self) -> Outcome {
        self.judge(&read())
    }

    fn judge(&mut self, metrics: &[Metric]) -> Outcome {
        let capacities: Vec<_> = values(metrics, "queue.capacity", "queue").collect();
        let depths = values(metrics, "queue.depth", "queue");
        let Some((queue, saturation)) = greatest(shares(depths, &capacities)) else {
            return Outcome::absent("no queue with a bound is recorded");
        };
        let message = format!("{queue} is {:.0} % full", saturation * 100.0);
        Outcome::new(self.0.look(saturation), message)
    }
}

/// The devices.
pub(super) struct Device {
    temperature: Level,
    memory: Level,
}

impl Device {
    pub(super) const fn new() -> Self {
        Self {
            temperature: Level::new(Levels::TEMPERATURE_CELSIUS),
            memory: Level::new(Levels::DEVICE_MEMORY),
        }
    }

    pub(super) fn look(&mut self) -> Outcome {
        self.judge(&read())
    }

    /// A device that is always busy is what it was bought for, so that is said and not judged.
    fn judge(&mut self, metrics: &[Metric]) -> Outcome {
        let of_device = |name| values(metrics, name, "hw.id");
        let limits: Vec<_> = of_device("hw.gpu.memory.limit").collect();
        let mut status = Status::Healthy;
        let mut said = Vec::new();
        if let Some((device, celsius)) = greatest(of_device("hw.temperature")) {
            status = status.max(self.temperature.look(celsius));
            said.push(format!("{device} has {celsius:.0} °C"));
        }
        let shares = shares(of_device("hw.gpu.memory.usage"), &limits);
        if let Some((device, share)) = greatest(shares) {
            status = status.max(self.memory.look(share));
            said.push(format!("{device}'s memory is {:.0} % full", share * 100.0));
        }
        if let Some((device, busy)) = greatest(of_device("hw.gpu.utilization")) {
            said.push(format!(
                "{device} is busy {:.0} % of the time",
                busy * 100.0
            ));
        }
        if said.is_empty() {
            return Outcome::absent("no device is recorded");
        }
        Outcome::new(status, said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use radiosonde_core::{metrics::snapshot::Series, model::Value};

    use super::*;

    fn metric(name: &'static str, key: &'static str, values: &[(&str, f64)]) -> Metric {
        let series = values.iter().map(|&(label, value)| Series {
            labels: Arc::new([(key.into(), Value::from(label.to_owned()))]),
            start_unix_ns: 1,
            value: Number::F64(value),
            exemplars: vec![],
        });
        Metric {
            name: name.into(),
            description: "".into(),
            unit: "".into(),
            data: Data::Gauge(series.collect()),
        }
    }

    #[test]
    fn the_fullest_queue_with_a_bound_decides() {
        let mut queues = Queues::new();
        let mut look = |orders: f64, depths: &[(&str, f64)]| {
            let capacity = metric(
                "queue.capacity",
                "queue",
                &[("orders", orders), ("b", 10.0)],
            );
            queues.judge(&[capacity, metric("queue.depth", "queue", depths)])
        };
        let absent = look(100.0, &[("no bound", 5000.0)]);
        assert_eq!(absent, Outcome::absent("no queue with a bound is recorded"));
        let full = look(100.0, &[("orders", 97.0), ("b", 1.0)]);
        assert_eq!(full, Outcome::new(Status::Critical, "orders is 97 % full"));
        // A bound of zero is none.
        let other = look(0.0, &[("orders", 97.0), ("b", 8.0)]);
        assert_eq!(other, Outcome::new(Status::Degraded, "b is 80 % full"));
        // It ends lower than it began.
        assert_eq!(look(100.0, &[("orders", 71.0)]).status, Status::Degraded);
        assert_eq!(look(100.0, &[("orders", 69.0)]).status, Status::Healthy);
    }

    #[test]
    fn a_device_is_as_well_as_its_temperature_and_its_memory() {
        let mut device = Device::new();
        assert_eq!(device.judge(&[]), Outcome::absent("no device is recorded"));
        let hot = metric(
            "hw.temperature",
            "hw.id",
            &[("cuda:0", 70.0), ("cuda:1", 86.0)],
        );
        let used = metric(
            "hw.gpu.memory.usage",
            "hw.id",
            &[("cuda:0", 90e9), ("cuda:1", 10e9)],
        );
        let limit = metric(
            "hw.gpu.memory.limit",
            "hw.id",
            &[("cuda:0", 100e9), ("cuda:1", 100e9)],
        );
        let busy = metric("hw.gpu.utilization", "hw.id", &[("cuda:0", 1.0)]);
        assert_eq!(
            device.judge(&[hot, used, limit.clone(), busy]),
            Outcome::new(
                Status::Degraded,
                "cuda:1 has 86 °C, cuda:0's memory is 90 % full, cuda:0 is busy 100 % of the time"
            )
        );
        let full = metric("hw.gpu.memory.usage", "hw.id", &[("cuda:1", 99.5e9)]);
        let outcome = device.judge(&[full, limit]);
        assert_eq!(outcome.status, Status::Critical, "{outcome:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_host_has_memory() {
        let outcome = Memory::new().look();
        assert!(
            outcome
                .message
                .ends_with("% of the host's memory is in use"),
            "{outcome:?}"
        );
        assert_ne!(outcome.status, Status::Unknown);
    }
}
