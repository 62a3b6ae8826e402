//! Memory that is taken and given back, and what is outstanding between the two.

use std::collections::BTreeMap;

use crate::Event;

/// Memory was taken.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "memory.allocate",
    level = "debug",
    alias("snakepit.memory.allocate"),
    count = "memory.allocation.count"
)]
pub struct MemoryAllocated<'a> {
    /// `cpu` or `gpu`.
    #[label]
    #[event(rename = "type")]
    pub kind: &'a str,
    /// The device, for example `cuda:0`, where there are several.
    #[label]
    pub device: Option<&'a str>,
    /// How much.
    #[measure(counter, name = "memory.allocated", unit = "By")]
    pub bytes: u64,
}

/// Memory was given back.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "memory.release",
    level = "debug",
    alias("snakepit.memory.release"),
    count = "memory.release.count"
)]
pub struct MemoryReleased<'a> {
    /// `cpu` or `gpu`.
    #[label]
    #[event(rename = "type")]
    pub kind: &'a str,
    /// The device, where there are several.
    #[label]
    pub device: Option<&'a str>,
    /// How much.
    #[measure(counter, name = "memory.released", unit = "By")]
    pub bytes: u64,
}

/// More memory was given back on a device than was ever taken: an allocation was not reported, or a release was
/// reported twice.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "memory.imbalance",
    level = "warn",
    count = "memory.imbalance.count"
)]
pub struct MemoryImbalanced<'a> {
    /// `cpu` or `gpu`.
    #[label]
    #[event(rename = "type")]
    pub kind: &'a str,
    /// The device, where there are several.
    #[label]
    pub device: Option<&'a str>,
    /// Bytes taken minus bytes given back: less than zero.
    pub outstanding_bytes: i64,
}

/// What the allocator of a framework holds on a GPU.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gpu.memory", alias("snakepit.memory.gpu"), level = "debug")]
pub struct GpuMemorySampled<'a> {
    /// The device, for example `cuda:0`.
    #[label]
    pub device: &'a str,
    /// Held by tensors.
    #[measure(gauge, name = "radiosonde.gpu.allocator.allocated", unit = "By")]
    #[event(alias("allocated_mb", times = 1048576))]
    pub allocated_bytes: u64,
    /// Taken from the driver, in use or cached.
    #[measure(gauge, name = "radiosonde.gpu.allocator.reserved", unit = "By")]
    #[event(alias("reserved_mb", times = 1048576))]
    pub reserved_bytes: u64,
    /// Free on the device, after every process on it.
    #[measure(gauge, name = "hw.gpu.memory.free", unit = "By")]
    #[event(alias("free_mb", times = 1048576))]
    pub free_bytes: u64,
    /// All there is on the device.
    #[measure(gauge, name = "hw.gpu.memory.limit", unit = "By")]
    #[event(alias("total_mb", times = 1048576))]
    pub total_bytes: u64,
}

impl GpuMemorySampled<'_> {
    /// Whether the numbers can be true together: tensors fit into what is reserved, and what is reserved and what
    /// is free fit into the device.
    pub const fn is_consistent(&self) -> bool {
        self.allocated_bytes <= self.reserved_bytes
            && self.free_bytes.saturating_add(self.reserved_bytes) <= self.total_bytes
    }
}

/// Bytes outstanding by kind and device: taken minus given back.
#[derive(Clone, Debug, Default)]
pub struct Outstanding {
    places: BTreeMap<(String, Option<String>), i64>,
}

impl Outstanding {
    /// Nothing taken yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an allocation.
    pub fn allocated(&mut self, event: &MemoryAllocated<'_>) {
        self.change(event.kind, event.device, signed(event.bytes));
    }

    /// Subtracts a release. When that leaves less than nothing, says so; the number stays negative, so that a
    /// later allocation does not hide it.
    pub fn released<'a>(&mut self, event: &MemoryReleased<'a>) -> Option<MemoryImbalanced<'a>> {
        let outstanding_bytes = self.change(event.kind, event.device, -signed(event.bytes));
        (outstanding_bytes < 0).then_some(MemoryImbalanced {
            kind: event.kind,
            device: event.device,
            outstanding_bytes,
        })
    }

    /// Bytes outstanding at a place, 0 for one that never took any.
    pub fn bytes(&self, kind: &str, device: Option<&str>) -> i64 {
        let key = (kind.to_owned(), device.map(str::to_owned));
        self.places.get(&key).copied().unwrap_or(0)
    }

    /// Every place with its outstanding bytes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>, i64)> {
        self.places
            .iter()
            .map(|((kind, device), &bytes)| (kind.as_str(), device.as_deref(), bytes))
    }

    fn change(&mut self, kind: &str, device: Option<&str>, bytes: i64) -> i64 {
        let key = (kind.to_owned(), device.map(str::to_owned));
        let outstanding = self.places.entry(key).or_default();
        *outstanding = outstanding.saturating_add(bytes);
        *outstanding
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outstanding_is_kept_by_device_and_a_negative_one_is_flagged() {
        let mut outstanding = Outstanding::new();
        let take = |device, bytes| MemoryAllocated {
            kind: "gpu",
            device: Some(device),
            bytes,
        };
        let give = |device, bytes| MemoryReleased {
            kind: "gpu",
            device: Some(device),
            bytes,
        };
        outstanding.allocated(&take("cuda:0", 100));
        outstanding.allocated(&take("cuda:1", 30));
        assert_eq!(outstanding.released(&give("cuda:0", 60)), None);
        assert_eq!(outstanding.bytes("gpu", Some("cuda:0")), 40);
        let flagged = outstanding.released(&give("cuda:1", 50)).unwrap();
        assert_eq!(
            (flagged.device, flagged.outstanding_bytes),
            (Some("cuda:1"), -20)
        );
        outstanding.allocated(&take("cuda:1", 5));
        let all: Vec<_> = outstanding.iter().collect();
        assert_eq!(
            all,
            [("gpu", Some("cuda:0"), 40), ("gpu", Some("cuda:1"), -15)]
        );
        assert_eq!(outstanding.bytes("cpu", None), 0);
    }

    #[test]
    fn a_sample_that_cannot_be_true_is_seen() {
        let sample = GpuMemorySampled {
            device: "cuda:0",
            allocated_bytes: 10,
            reserved_bytes: 20,
            free_bytes: 80,
            total_bytes: 100,
        };
        assert!(sample.is_consistent());
        assert!(
            !GpuMemorySampled {
                free_bytes: 81,
                ..sample
            }
            .is_consistent()
        );
        assert!(
            !GpuMemorySampled {
                allocated_bytes: 21,
                ..sample
            }
            .is_consistent()
        );
    }
}
