//! What the host uses.

use std::fs;

use radiosonde_core::metrics::snapshot::Number;

use super::{
    Kind,
    proc::{self, CPU_MODES, CpuTimes, Disk},
    readings::{Readings, labelled},
};

impl Readings {
    pub(super) fn processors(
        &mut self,
        times: &CpuTimes,
        processors: usize,
        before: Option<CpuTimes>,
    ) {
        let series = |values: [f64; CPU_MODES.len()]| {
            let modes = CPU_MODES.into_iter().zip(values);
            modes
                .map(|(mode, value)| (labelled("cpu.mode", mode), Number::F64(value)))
                .collect()
        };
        self.put(
            Kind::Counter,
            "system.cpu.time",
            "s",
            "Processor time of the host, by mode.",
            series(times.map(|time| time.as_secs_f64())),
        );
        if let Some(before) = before {
            let spent: [f64; CPU_MODES.len()] =
                std::array::from_fn(|mode| times[mode].saturating_sub(before[mode]).as_secs_f64());
            let all: f64 = spent.iter().sum();
            if all > 0.0 {
                self.put(
                    Kind::Gauge,
                    "system.cpu.utilization",
                    "1",
                    "Share of the host's processor time since the last reading, by mode.",
                    series(spent.map(|time| time / all)),
                );
            }
        }
        self.one(
            Kind::UpDownCounter,
            "system.cpu.logical.count",
            "{cpu}",
            "Logical processors of the host.",
            Some(Number::U64(processors as u64)),
        );
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cores = proc::physical_cores(&cpuinfo).map(|cores| Number::U64(cores as u64));
        self.one(
            Kind::UpDownCounter,
            "system.cpu.physical.count",
            "{cpu}",
            "Physical cores of the host.",
            cores,
        );
    }

    pub(super) fn memory(&mut self) {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let bytes = |key: &str| proc::keyed(&text, key);
        let (Some(total), Some(free)) = (bytes("MemTotal"), bytes("MemFree")) else {
            return;
        };
        let buffers = bytes("Buffers").unwrap_or(0);
        let cached = bytes("Cached").unwrap_or(0);
        let used = total.saturating_sub(free + buffers + cached);
        let states = [
            ("used", used),
            ("free", free),
            ("buffers", buffers),
            ("cached", cached),
        ];
        let state = |name: &str| labelled("system.memory.state", name);
        let usage = states.map(|(name, bytes)| (state(name), Number::U64(bytes)));
        self.put(
            Kind::UpDownCounter,
            "system.memory.usage",
            "By",
            "Memory of the host, by what it is used for.",
            usage.to_vec(),
        );
        let shares = states
            .map(|(name, bytes)| (state(name), Number::F64(bytes as f64 / total.max(1) as f64)));
        self.put(
            Kind::Gauge,
            "system.memory.utilization",
            "1",
            "Share of the host's memory, by what it is used for.",
            shares.to_vec(),
        );
        self.one(
            Kind::UpDownCounter,
            "system.memory.limit",
            "By",
            "Memory of the host.",
            Some(Number::U64(total)),
        );
        self.linux_memory(&text);
    }

    fn linux_memory(&mut self, text: &str) {
        let bytes = |key: &str| proc::keyed(text, key);
        self.one(
            Kind::UpDownCounter,
            "system.memory.linux.available",
            "By",
            "Memory that programs could get without swapping.",
            bytes("MemAvailable").map(Number::U64),
        );
        self.one(
            Kind::UpDownCounter,
            "system.memory.linux.shared",
            "By",
            "Shared memory of the host.",
            bytes("Shmem").map(Number::U64),
        );
        let slab = [
            ("reclaimable", "SReclaimable"),
            ("unreclaimable", "SUnreclaim"),
        ]
        .into_iter()
        .filter_map(|(name, key)| {
            Some((
                labelled("system.memory.linux.slab.state", name),
                Number::U64(bytes(key)?),
            ))
        });
        self.put(
            Kind::UpDownCounter,
            "system.memory.linux.slab.usage",
            "By",
            "Memory of the kernel's own objects.",
            slab.collect(),
        );
    }

    pub(super) fn disks(&mut self) {
        let text = fs::read_to_string("/proc/diskstats").unwrap_or_default();
        // Whole disks have a folder of their own; partitions are inside of one.
        let disks = proc::disks(&text, |device| {
            fs::exists(format!("/sys/block/{device}")).unwrap_or(false)
        });
        let series = |read: fn(&Disk) -> u64, written: fn(&Disk) -> u64| {
            let each = disks.iter().flat_map(|disk| {
                [("read", read(disk)), ("write", written(disk))].map(|(direction, count)| {
                    let labels = vec![
                        ("disk.io.direction", direction.to_owned()),
                        ("system.device", disk.device.clone()),
                    ];
                    (labels, Number::U64(count))
                })
            });
            each.collect::<Vec<_>>()
        };
        let bytes = series(|disk| disk.read_bytes, |disk| disk.written_bytes);
        let operations = series(|disk| disk.reads, |disk| disk.writes);
        self.put(
            Kind::Counter,
            "system.disk.io",
            "By",
            "Bytes read from and written to disks.",
            bytes,
        );
        self.put(
            Kind::Counter,
            "system.disk.operations",
            "{operation}",
            "Reads and writes of disks.",
            operations,
        );
    }
}
