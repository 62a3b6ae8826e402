//! Where memory goes: pools and allocations, KV caches, what phases left behind, weights, and the process itself.
//!
//! A [`Collector`] speaks for one device; what happens to its memory is recorded as [`MemoryEvent`]s, from which rows
//! are built elsewhere ([`crate::rows`]).
//!
//! ```
//! use radiosonde::memory;
//!
//! let host = memory::Collector::new("cpu");
//! let tensors = host.pool("tensors");
//! {
//!     let _phase = host.phase("prefill");
//!     let _scratch = tensors.allocate(4096); // released when dropped
//!     host.kv_cache(46_080, 1);
//! }
//! tensors.read(Some(1 << 20), 4096);
//! ```
//!
//! Invariants: what is outstanding on a pool is what was allocated minus what was released, even when that is
//! negative; a phase's delta counts the allocations of its own thread and device, those of inner phases included.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    marker::PhantomData,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

pub use radiosonde_core::events::MemoryEvent;

mod process;

pub use process::ProcessMemory;
pub(crate) use process::{Watch, want_rows};

use crate::weights::Weights;

/// The device name of the host's own memory; what is on it counts against the process's resident set.
pub const HOST: &str = radiosonde_answers::memory::HOST;

/// Speaks for one device's memory. Cheap to clone; clones share their pools.
#[derive(Clone, Debug)]
pub struct Collector {
    device: Arc<str>,
    pools: Arc<Mutex<BTreeMap<String, Arc<AtomicI64>>>>,
}

impl Collector {
    /// A collector for `device`: [`HOST`], `cuda:0` ...
    pub fn new(device: &str) -> Self {
        want_rows();
        Self {
            device: Arc::from(device),
            pools: Arc::default(),
        }
    }

    /// The pool called `name`. Asking twice gives the same pool.
    pub fn pool(&self, name: &str) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        Pool {
            device: Arc::clone(&self.device),
            name: Arc::from(name),
            outstanding: Arc::clone(pools.entry(name.to_owned()).or_default()),
        }
    }

    /// Allocations minus releases of all pools, in bytes; negative when more was released than allocated.
    pub fn outstanding_bytes(&self) -> i64 {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().map(|pool| pool.load(Relaxed)).sum()
    }

    /// The KV caches of this device hold `tokens` tokens in `bytes` bytes.
    pub fn kv_cache(&self, bytes: u64, tokens: u64) {
        radiosonde_core::record!(MemoryEvent {
            kind: "kv_cache",
            device: &self.device,
            component: "kv_cache",
            used_bytes: Some(bytes),
            tokens: Some(tokens),
            ..MemoryEvent::default()
        });
    }

    /// The weights of the model called `model` were read from a file, one of several perhaps, and are on this device.
    ///
    /// There is one record for each tensor, which may be more than a thread's lane holds: this waits for room, for as
    /// long as the pump makes some within a second.
    pub fn weights(&self, model: &str, weights: &Weights) {
        let mut has_room = radiosonde_core::wait_for_lane();
        radiosonde_core::record!(MemoryEvent {
            kind: "weights",
            device: &self.device,
            component: model,
            tensor: weights.tensors().first().map(|tensor| &*tensor.name),
            tensor_bytes: Some(weights.tensor_bytes()),
            ..MemoryEvent::default()
        });
        for tensor in weights.tensors() {
            has_room = has_room && radiosonde_core::wait_for_lane();
            radiosonde_core::record!(MemoryEvent {
                kind: "tensor",
                device: &self.device,
                component: model,
                tensor: Some(&tensor.name),
                tensor_bytes: Some(tensor.bytes),
                ..MemoryEvent::default()
            });
        }
    }

    /// Until the guard is dropped, this thread's allocations on this device count towards the phase called `name`,
    /// inside the phase that is open. A `/` in the name becomes `_`, because it separates phases.
    pub fn phase(&self, name: &str) -> Phase {
        PHASES.with_borrow_mut(|phases| {
            phases.next += 1;
            let open = OpenPhase {
                number: phases.next,
                outer_len: phases.path.len(),
                device: Arc::clone(&self.device),
                net_bytes: 0,
            };
            if !phases.path.is_empty() {
                phases.path.push('/');
            }
            let name = if name.is_empty() { "_" } else { name };
            phases
                .path
                .extend(name.chars().map(|c| if c == '/' { '_' } else { c }));
            phases.open.push(open);
            Phase {
                number: phases.next,
                place: phases.open.len() - 1,
                inner_len: phases.path.len(),
                thread: PhantomData,
            }
        })
    }
}

/// A pool of a device's memory.
#[derive(Clone, Debug)]
pub struct Pool {
    device: Arc<str>,
    name: Arc<str>,
    outstanding: Arc<AtomicI64>,
}

impl Pool {
    /// The allocator says that it reserved `reserved_bytes` from the device (where it says so) and that `used_bytes`
    /// of them are in use.
    pub fn read(&self, reserved_bytes: Option<u64>, used_bytes: u64) {
        radiosonde_core::record!(MemoryEvent {
            kind: "pool",
            device: &self.device,
            component: &self.name,
            used_bytes: Some(used_bytes),
            reserved_bytes,
            ..MemoryEvent::default()
        });
    }

    /// `bytes` were allocated and are released when the guard is dropped.
    pub fn allocate(&self, bytes: u64) -> Allocation {
        self.allocated(bytes);
        Allocation {
            pool: self.clone(),
            bytes,
        }
    }

    /// `bytes` were allocated.
    pub fn allocated(&self, bytes: u64) {
        self.moved("allocated", i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// `bytes` were released.
    pub fn released(&self, bytes: u64) {
        self.moved("released", -i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Allocations minus releases, in bytes; negative when more was released than allocated.
    pub fn outstanding_bytes(&self) -> i64 {
        self.outstanding.load(Relaxed)
    }

    fn moved(&self, kind: &'static str, bytes: i64) {
        let outstanding = self
            .outstanding
            .fetch_add(bytes, Relaxed)
            .wrapping_add(bytes);
        let _ = PHASES.try_with(|phases| {
            let open = &mut phases.borrow_mut().open;
            for phase in open.iter_mut().filter(|phase| phase.device == self.device) {
                phase.net_bytes = phase.net_bytes.saturating_add(bytes);
            }
        });
        radiosonde_core::record!(MemoryEvent {
            kind,
            device: &self.device,
            component: &self.name,
            used_bytes: u64::try_from(outstanding).ok(),
            delta_bytes: Some(bytes),
            ..MemoryEvent::default()
        });
    }
}

/// Memory that is in use until this is dropped.
#[must_use = "the memory counts as released when this is dropped"]
#[derive(Debug)]
pub struct Allocation {
    pool: Pool,
    bytes: u64,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.pool.released(self.bytes);
    }
}

struct Phases {
    path: String,
    open: Vec<OpenPhase>,
    /// A number for each open phase, never used twice on a thread.
    next: u64,
}

struct OpenPhase {
    number: u64,
    outer_len: usize,
    device: Arc<str>,
    net_bytes: i64,
}

thread_local! {
    static PHASES: RefCell<Phases> = const {
        RefCell::new(Phases { path: String::new(), open: Vec::new(), next: 0 })
    };
}

/// Counts a phase's allocations until it is dropped.
#[must_use = "a phase ends when its guard is dropped"]
#[derive(Debug)]
pub struct Phase {
    number: u64,
    place: usize,
    inner_len: usize,
    /// A guard belongs to the thread that made it.
    thread: PhantomData<*const ()>,
}

impl Drop for Phase {
    fn drop(&mut self) {
        let _ = PHASES.try_with(|phases| {
            let phases = &mut *phases.borrow_mut();
            // A phase that outlived the one it was inside of ended with it.
            let Some(open) = phases
                .open
                .get(self.place)
                .filter(|open| open.number == self.number)
            else {
                return;
            };
            radiosonde_core::record!(MemoryEvent {
                kind: "phase",
                device: &open.device,
                phase: Some(&phases.path[..self.inner_len]),
                delta_bytes: Some(open.net_bytes),
                ..MemoryEvent::default()
            });
            let outer_len = open.outer_len;
            phases.open.truncate(self.place);
            phases.path.truncate(outer_len);
        });
    }
}
