//! Where memory went: a ledger of pools, KV caches, weights, phases and host memory, and the rows that show it.
//!
//! Invariants:
//! * Host rows tile: baseline, the host's weights, pools and KV caches, and `unattributed` add up to the resident set;
//!   where they exceed it, `over-attributed` says by how much and stands in place of `unattributed`.
//! * Changes are taken in any order and told as if they had come by time, as far as [`timed`] reaches.
//! * A model's weights are what its files' headers say; what they say beyond the tensors that are known is a row.
//! * Outstanding bytes are allocations minus releases; more released than allocated is shown as negative, not hidden.
//! * The ledger keeps at most [`ENTRIES_MAX`] pools, caches, phases and models each, and [`TENSORS_MAX`] tensors of a
//!   model; what exceeds that is counted.

use std::{borrow::Cow, collections::BTreeMap};

use radiosonde_core::provenance::{Provenance, Reading};
use serde::{Deserialize, Serialize};

mod rows;
mod timed;

use timed::{Cache, KvReading, Pool, PoolReading};

pub use rows::build_memory_rows;

/// The device name of the host's own memory; what is on it counts against the resident set.
pub const HOST: &str = "cpu";
/// Most pools, KV caches or phases a ledger keeps.
pub const ENTRIES_MAX: usize = 4096;

/// Most tensors of one model that a ledger keeps.
pub const TENSORS_MAX: usize = 65_536;

/// Something that happened to memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// A pool was read: what it reserved from the device and how much of that is in use.
    Pool {
        /// Whose memory: [`HOST`], `cuda:0` ...
        device: Cow<'a, str>,
        /// The pool's name.
        pool: Cow<'a, str>,
        /// Bytes taken from the device, where the allocator says.
        reserved_bytes: Option<u64>,
        /// Bytes in use.
        used_bytes: u64,
    },
    /// Bytes were allocated from a pool.
    Allocated {
        /// Whose memory.
        device: Cow<'a, str>,
        /// The pool's name.
        pool: Cow<'a, str>,
        /// How many bytes.
        bytes: u64,
    },
    /// Bytes went back to a pool.
    Released {
        /// Whose memory.
        device: Cow<'a, str>,
        /// The pool's name.
        pool: Cow<'a, str>,
        /// How many bytes.
        bytes: u64,
    },
    /// The KV caches of a device were read.
    KvCache {
        /// Whose memory.
        device: Cow<'a, str>,
        /// Bytes held.
        bytes: u64,
        /// Tokens held.
        tokens: u64,
    },
    /// A phase ended; allocations minus releases inside it, those of inner phases included.
    PhaseDelta {
        /// The phase's path.
        phase: Cow<'a, str>,
        /// Whose memory.
        device: Cow<'a, str>,
        /// Bytes allocated minus bytes released.
        delta_bytes: i64,
    },
    /// The process was measured before the model was loaded.
    Baseline {
        /// Its resident set, in bytes.
        resident_bytes: Reading<u64>,
    },
    /// The process was measured.
    Resident {
        /// Its resident set, in bytes.
        resident_bytes: Reading<u64>,
    },
    /// The header of a file with a model's weights was read.
    Weights {
        /// Where the weights are held.
        device: Cow<'a, str>,
        /// The model's name.
        model: Cow<'a, str>,
        /// The name of the file's first tensor, which tells the files of a model apart.
        first_tensor: Cow<'a, str>,
        /// The size of all its tensors, in bytes.
        bytes: u64,
    },
    /// A tensor of a model's weights was found in its file's header.
    Tensor {
        /// Where the weights are held.
        device: Cow<'a, str>,
        /// The model's name.
        model: Cow<'a, str>,
        /// The tensor's dotted name: `blk.3.attn_q.weight`.
        tensor: Cow<'a, str>,
        /// Its size, in bytes.
        bytes: u64,
    },
}

/// What is known about memory so far.
#[derive(Debug)]
pub struct Ledger {
    pools: BTreeMap<Key, Pool>,
    caches: BTreeMap<String, Cache>,
    phases: BTreeMap<Key, Delta>,
    weights: BTreeMap<Key, Model>,
    baseline: Timed<Reading<u64>>,
    resident: Timed<Reading<u64>>,
    refused: u64,
}

/// A device and a name on it.
type Key = (String, String);

/// The newest of what was said, and when.
#[derive(Clone, Debug, Default)]
struct Timed<T> {
    time_unix_ns: u64,
    value: T,
}

impl<T> Timed<T> {
    /// Takes what was said at that time, unless something newer is known.
    fn take(&mut self, time_unix_ns: u64, value: T) {
        if time_unix_ns >= self.time_unix_ns {
            *self = Self {
                time_unix_ns,
                value,
            };
        }
    }
}

/// The weights of a model, in bytes.
#[derive(Debug, Default)]
struct Model {
    /// By the tensor's name.
    tensors: BTreeMap<String, u64>,
    /// What the headers say that all tensors are, by the name of the file's first tensor.
    files: BTreeMap<String, u64>,
}

impl Model {
    fn known_bytes(&self) -> u64 {
        self.tensors.values().copied().fold(0, u64::saturating_add)
    }

    /// What the files' headers say beyond the tensors that are known.
    fn missing_bytes(&self) -> u64 {
        let said = self.files.values().copied().fold(0, u64::saturating_add);
        said.saturating_sub(self.known_bytes())
    }
}

#[derive(Debug, Default)]
struct Delta {
    last: Timed<i64>,
    largest: i64,
    sum: i64,
    count: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            pools: BTreeMap::new(),
            caches: BTreeMap::new(),
            phases: BTreeMap::new(),
            weights: BTreeMap::new(),
            baseline: unknown("the baseline was not measured"),
            resident: unknown("the resident set was not measured"),
            refused: 0,
        }
    }
}

fn unknown(reason: &'static str) -> Timed<Reading<u64>> {
    Timed {
        time_unix_ns: 0,
        value: Reading::unsupported(reason),
    }
}

/// The entry of `key`, unless the map is full.
fn entry<'m, K: Ord, V: Default>(
    map: &'m mut BTreeMap<K, V>,
    key: K,
    refused: &mut u64,
) -> Option<&'m mut V> {
    if map.len() == ENTRIES_MAX && !map.contains_key(&key) {
        *refused += 1;
        return None;
    }
    Some(map.entry(key).or_default())
}

impl Ledger {
    /// Takes a change that happened at `time_unix_ns`.
    pub fn apply(&mut self, time_unix_ns: u64, change: Change<'_>) {
        match change {
            Change::Pool {
                device,
                pool,
                reserved_bytes,
                used_bytes,
            } => {
                let reading = PoolReading {
                    time_unix_ns,
                    used_bytes,
                    reserved_bytes,
                };
                let late = self
                    .pool(device, pool)
                    .is_some_and(|pool| !pool.read(reading));
                self.refused += u64::from(late);
            }
            Change::Allocated {
                device,
                pool,
                bytes,
            } => self.moved(device, pool, time_unix_ns, signed(bytes)),
            Change::Released {
                device,
                pool,
                bytes,
            } => self.moved(device, pool, time_unix_ns, -signed(bytes)),
            Change::KvCache {
                device,
                bytes,
                tokens,
            } => self.cache(
                device,
                KvReading {
                    time_unix_ns,
                    tokens,
                    bytes,
                },
            ),
            Change::PhaseDelta {
                phase,
                device,
                delta_bytes,
            } => {
                let key = (device.into_owned(), phase.into_owned());
                if let Some(delta) = entry(&mut self.phases, key, &mut self.refused) {
                    delta.take(time_unix_ns, delta_bytes);
                }
            }
            Change::Baseline { resident_bytes } => self.baseline.take(time_unix_ns, resident_bytes),
            Change::Resident { resident_bytes } => self.resident.take(time_unix_ns, resident_bytes),
            Change::Weights {
                device,
                model,
                first_tensor,
                bytes,
            } => self.file(
                (device.into_owned(), model.into_owned()),
                first_tensor,
                bytes,
            ),
            Change::Tensor {
                device,
                model,
                tensor,
                bytes,
            } => self.tensor((device.into_owned(), model.into_owned()), tensor, bytes),
        }
    }

    /// Changes that were left out because their map was full, or because they came too late to be put in order.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Allocations minus releases of all pools of `device`, in bytes.
    pub fn outstanding_bytes(&self, device: &str) -> i64 {
        self.pools
            .iter()
            .filter(|((on, _), _)| on == device)
            .fold(0, |sum, (_, pool)| sum.saturating_add(pool.outstanding()))
    }

    fn pool(&mut self, device: Cow<'_, str>, pool: Cow<'_, str>) -> Option<&mut Pool> {
        entry(
            &mut self.pools,
            (device.into_owned(), pool.into_owned()),
            &mut self.refused,
        )
    }

    fn file(&mut self, model: Key, first_tensor: Cow<'_, str>, bytes: u64) {
        let Some(model) = entry(&mut self.weights, model, &mut self.refused) else {
            return;
        };
        if let Some(file) = entry(
            &mut model.files,
            first_tensor.into_owned(),
            &mut self.refused,
        ) {
            *file = bytes;
        }
    }

    fn tensor(&mut self, model: Key, tensor: Cow<'_, str>, bytes: u64) {
        let Some(Model { tensors, .. }) = entry(&mut self.weights, model, &mut self.refused) else {
            return;
        };
        if tensors.len() < TENSORS_MAX || tensors.contains_key(tensor.as_ref()) {
            tensors.insert(tensor.into_owned(), bytes);
        } else {
            self.refused += 1;
        }
    }

    fn moved(&mut self, device: Cow<'_, str>, pool: Cow<'_, str>, time_unix_ns: u64, bytes: i64) {
        if let Some(pool) = self.pool(device, pool) {
            pool.moved(time_unix_ns, bytes);
        }
    }

    fn cache(&mut self, device: Cow<'_, str>, reading: KvReading) {
        let cache = entry(&mut self.caches, device.into_owned(), &mut self.refused);
        let late = cache.is_some_and(|cache| !cache.read(reading));
        self.refused += u64::from(late);
    }
}

impl Delta {
    fn take(&mut self, time_unix_ns: u64, delta_bytes: i64) {
        self.largest = if self.count == 0 {
            delta_bytes
        } else {
            self.largest.max(delta_bytes)
        };
        self.last.take(time_unix_ns, delta_bytes);
        self.sum = self.sum.saturating_add(delta_bytes);
        self.count += 1;
    }
}

/// Bytes as a signed number; 2^63 bytes and more are not memory.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// One line of the account of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// The labels from the outermost row inwards, separated by `/`.
    pub path: String,
    /// How many rows it is inside of.
    pub depth: usize,
    /// What it is.
    pub label: String,
    /// How many bytes, where that is known.
    pub bytes: Option<i64>,
    /// Its share of the resident set, 0 to 1; only for rows that count against it.
    pub share: Option<f64>,
    /// `measured`, `derived`, `estimated`, `fallback` or `unsupported`.
    pub provenance: String,
    /// The method of an estimate, the reason why there is no number, or what else there is to say.
    pub detail: Option<String>,
}

impl MemoryRow {
    fn new(path: &[&str], bytes: Option<i64>, provenance: &Provenance) -> Self {
        Self {
            path: path.join("/"),
            depth: path.len() - 1,
            label: path.last().copied().unwrap_or_default().to_owned(),
            bytes,
            share: None,
            provenance: provenance.word().to_owned(),
            detail: provenance.detail().map(str::to_owned),
        }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests;
