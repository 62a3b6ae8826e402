//! Linux's `/proc`, as text to numbers. Formats are those of proc(5); what a file does not say is `None`.

use std::time::Duration;

/// Length of a clock tick in `/proc/*/stat`: `USER_HZ` is 100 on every architecture of Linux (`man 7 time`).
const TICK: Duration = Duration::from_millis(10);

fn ticks(count: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What `/proc/self/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessStat {
    /// Processor time in user mode.
    pub(super) user: Duration,
    /// Processor time in the kernel.
    pub(super) system: Duration,
    /// Page faults without reading from disk.
    pub(super) minor_faults: u64,
    /// Page faults that read from disk.
    pub(super) major_faults: u64,
    pub(super) threads: u64,
    /// Start, since the host started.
    pub(super) start: Duration,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
}

impl ProcessStat {
    /// Fields are counted from the last `)`, because a program's name may hold spaces and parentheses.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3 of proc(5) is the first one here.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            minor_faults: number(10)?,
            major_faults: number(12)?,
            user: ticks(number(14)?),
            system: ticks(number(15)?),
            threads: number(20)?,
            start: ticks(number(22)?),
            virtual_bytes: number(23)?,
            resident_pages: number(24)?,
        })
    }
}

/// The number after `key` and a colon, in the files that have one key a line; `kB` is taken for what it means there,
/// 1024 bytes.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let mut words = rest.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    match words.next() {
        Some("kB") => number.checked_mul(1024),
        _ => Some(number),
    }
}

/// Processor time of the whole host by mode, in the order of [`CPU_MODES`].
pub(super) type CpuTimes = [Duration; CPU_MODES.len()];

/// `cpu.mode` of each column of the `cpu` line in `/proc/stat` (semantic conventions).
pub(super) const CPU_MODES: [&str; 8] = [
    "user",
    "nice",
    "system",
    "idle",
    "iowait",
    "interrupt",
    "softirq",
    "steal",
];

/// The host's processor times and how many logical processors there are.
pub(super) fn cpu_times(stat: &str) -> Option<(CpuTimes, usize)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut times = CpuTimes::default();
    // Kernels before 2.6.33 have fewer columns.
    for (time, text) in times.iter_mut().zip(line.split_ascii_whitespace()) {
        *time = ticks(text.parse().ok()?);
    }
    let processors = stat
        .lines()
        .filter(|line| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .count();
    Some((times, processors))
}

/// How many physical cores `/proc/cpuinfo` names; `None` where it names none, as in many virtual machines and on ARM.
pub(super) fn physical_cores(cpuinfo: &str) -> Option<usize> {
    let mut cores = Vec::new();
    for processor in cpuinfo.split("\n\n") {
        let value = |key: &str| {
            processor.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                (name.trim() == key).then(|| value.trim().to_owned())
            })
        };
        if let (Some(package), Some(core)) = (value("physical id"), value("core id")) {
            cores.push((package, core));
        }
    }
    cores.sort_unstable();
    cores.dedup();
    (!cores.is_empty()).then_some(cores.len())
}

/// What a disk did since the host started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) device: String,
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
    pub(super) writes: u64,
    pub(super) written_bytes: u64,
}

/// Sectors in `/proc/diskstats` are 512 bytes whatever the device (kernel documentation, iostats).
const SECTOR_BYTES: u64 = 512;

/// Whole disks that were ever used: no partitions, loop or RAM devices, which would count the same bytes again.
pub(super) fn disks(diskstats: &str, is_whole: impl Fn(&str) -> bool) -> Vec<Disk> {
    diskstats
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
            let disk = Disk {
                device: (*fields.get(2)?).to_owned(),
                reads: number(3)?,
                read_bytes: number(5)?.checked_mul(SECTOR_BYTES)?,
                writes: number(7)?,
                written_bytes: number(9)?.checked_mul(SECTOR_BYTES)?,
            };
            let virtual_device = disk.device.starts_with("loop") || disk.device.starts_with("ram");
            (!virtual_device && disk.reads + disk.writes > 0 && is_whole(&disk.device))
                .then_some(disk)
        })
        .collect()
}

/// Seconds since the host started: the first number of `/proc/uptime`.
pub(super) fn uptime(text: &str) -> Option<Duration> {
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Time on a processor: the first number of `schedstat`, in nanoseconds.
pub(super) fn on_cpu(schedstat: &str) -> Option<Duration> {
    let ns = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_with_a_difficult_name() {
        let text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 9000 0 7 0 1234 56 0 0 20 0 9 0 777 123456789 2048 18446744073709551615 1 1";
        let stat = ProcessStat::parse(text).unwrap();
        assert_eq!(
            stat,
            ProcessStat {
                user: Duration::from_millis(12_340),
                system: Duration::from_millis(560),
                minor_faults: 9000,
                major_faults: 7,
                threads: 9,
                start: Duration::from_millis(7_770),
                virtual_bytes: 123_456_789,
                resident_pages: 2048,
            }
        );
        assert_eq!(ProcessStat::parse("42 (a) S 1"), None);
    }

    #[test]
    fn keys_with_and_without_a_unit() {
        let text = "MemTotal:       16303428 kB\nMemAvailable:   10 kB\nThreads:\t12\nvoluntary_ctxt_switches:\t150\nMem: x\n";
        assert_eq!(keyed(text, "MemTotal"), Some(16_303_428 * 1024));
        assert_eq!(keyed(text, "Threads"), Some(12));
        assert_eq!(keyed(text, "voluntary_ctxt_switches"), Some(150));
        assert_eq!((keyed(text, "Mem"), keyed(text, "Absent")), (None, None));
    }

    #[test]
    fn the_host_s_processors() {
        let text = "cpu  100 2 30 4000 5 6 7 8 0 0\ncpu0 50 1 15 2000 2 3 3 4 0 0\ncpu1 50 1 15 2000 3 3 4 4 0 0\nintr 1 2\n";
        let (times, processors) = cpu_times(text).unwrap();
        assert_eq!(
            (times[0], times[3], times[7]),
            (
                Duration::from_secs(1),
                Duration::from_secs(40),
                Duration::from_millis(80)
            )
        );
        assert_eq!(processors, 2);
        let two_threads_a_core = "processor: 0\nphysical id\t: 0\ncore id\t: 0\n\nprocessor: 1\nphysical id\t: 0\ncore id\t: 0\n\nprocessor: 2\nphysical id\t: 0\ncore id\t: 1\n";
        assert_eq!(physical_cores(two_threads_a_core), Some(2));
        assert_eq!(physical_cores("processor: 0\nBogoMIPS: 50\n"), None);
    }

    #[test]
    fn disks_are_counted_once() {
        let text = "   8       0 sda 100 1 2000 5 50 2 1000 9 0 8 14\n   8       1 sda1 90 1 1900 5 40 2 900 9 0 8 14\n   7       0 loop0 9 0 9 0 0 0 0 0 0 0 0\n 253       0 vdb 0 0 0 0 0 0 0 0 0 0 0\n";
        let disks = disks(text, |device| !device.ends_with('1'));
        assert_eq!(
            disks,
            [Disk {
                device: "sda".to_owned(),
                reads: 100,
                read_bytes: 1_024_000,
                writes: 50,
                written_bytes: 512_000
            }]
        );
    }

    #[test]
    fn small_files() {
        assert_eq!(
            uptime("350735.47 234388.90\n"),
            Some(Duration::from_millis(350_735_470))
        );
        assert_eq!(
            on_cpu("1234567890 55 3\n"),
            Some(Duration::from_nanos(1_234_567_890))
        );
        assert_eq!((uptime(""), on_cpu("x")), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_panics(text in "[a-z0-9() \n:.-]{0,120}") {
            let _ = ProcessStat::parse(&text);
            let _ = keyed(&text, "a");
            let _ = cpu_times(&format!("cpu {text}"));
            let _ = physical_cores(&text);
            let _ = disks(&text, |_| true);
            let _ = (uptime(&text), on_cpu(&text));
        }
    }
}
