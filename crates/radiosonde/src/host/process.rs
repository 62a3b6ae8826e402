//! What the process uses.

use std::fs;

use radiosonde_core::metrics::snapshot::Number;

use super::{
    Before, Kind, page_bytes,
    proc::{self, ProcessStat},
    readings::{Readings, labelled},
};

impl Readings {
    pub(super) fn process(
        &mut self,
        stat: &ProcessStat,
        now: &Before,
        before: Option<&Before>,
        processors: usize,
    ) {
        let modes = [("user", stat.user), ("system", stat.system)];
        let times =
            modes.map(|(mode, time)| (labelled("cpu.mode", mode), Number::F64(time.as_secs_f64())));
        self.put(
            Kind::Counter,
            "process.cpu.time",
            "s",
            "Processor time of the process, by mode.",
            times.to_vec(),
        );
        if let Some(before) = before
            && let Some((user, system)) = before.process
        {
            let elapsed = (now.at - before.at).as_secs_f64() * processors as f64;
            let shares = modes
                .into_iter()
                .zip([user, system])
                .map(|((mode, time), before)| {
                    let share =
                        time.saturating_sub(before).as_secs_f64() / elapsed.max(f64::MIN_POSITIVE);
                    (labelled("cpu.mode", mode), Number::F64(share))
                });
            self.put(
                Kind::Gauge,
                "process.cpu.utilization",
                "1",
                "Processor time since the last reading, by the time all processors had.",
                shares.collect(),
            );
        }
        self.process_resources(stat);
    }

    fn process_resources(&mut self, stat: &ProcessStat) {
        let faults = [("minor", stat.minor_faults), ("major", stat.major_faults)];
        let faults = faults.map(|(kind, count)| {
            (
                labelled("system.paging.fault.type", kind),
                Number::U64(count),
            )
        });
        self.put(
            Kind::Counter,
            "process.paging.faults",
            "{fault}",
            "Page faults of the process.",
            faults.to_vec(),
        );
        self.one(
            Kind::UpDownCounter,
            "process.thread.count",
            "{thread}",
            "Threads of the process.",
            Some(Number::U64(stat.threads)),
        );
        self.one(
            Kind::UpDownCounter,
            "process.memory.virtual",
            "By",
            "Address space of the process.",
            Some(Number::U64(stat.virtual_bytes)),
        );
        let resident = stat.resident_pages.saturating_mul(page_bytes());
        self.one(
            Kind::UpDownCounter,
            "process.memory.usage",
            "By",
            "Memory of the process that is in RAM.",
            Some(Number::U64(resident)),
        );
        let uptime = fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|text| proc::uptime(&text));
        let uptime =
            uptime.map(|uptime| Number::F64(uptime.saturating_sub(stat.start).as_secs_f64()));
        self.one(
            Kind::Gauge,
            "process.uptime",
            "s",
            "Time since the process started.",
            uptime,
        );
    }

    pub(super) fn process_status(&mut self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let switches = [
            ("voluntary", "voluntary_ctxt_switches"),
            ("involuntary", "nonvoluntary_ctxt_switches"),
        ];
        let switches = switches.into_iter().filter_map(|(kind, key)| {
            let count = proc::keyed(&status, key)?;
            Some((
                labelled("process.context_switch.type", kind),
                Number::U64(count),
            ))
        });
        self.put(
            Kind::Counter,
            "process.context_switches",
            "{context_switch}",
            "Times the process's main thread left its processor.",
            switches.collect(),
        );
        let files = fs::read_dir("/proc/self/fd").ok();
        // The directory being read is open as well.
        let files = files.map(|files| Number::U64((files.count() as u64).saturating_sub(1)));
        self.one(
            Kind::UpDownCounter,
            "process.unix.file_descriptor.count",
            "{file_descriptor}",
            "Files that the process has open.",
            files,
        );
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let io = [("read", "read_bytes"), ("write", "write_bytes")]
            .into_iter()
            .filter_map(|(direction, key)| {
                let bytes = proc::keyed(&io, key)?;
                Some((labelled("disk.io.direction", direction), Number::U64(bytes)))
            });
        self.put(
            Kind::Counter,
            "process.disk.io",
            "By",
            "Bytes that the process had read from and written to disk.",
            io.collect(),
        );
    }
}
