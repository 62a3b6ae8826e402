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

    /// Allocations minus releases of all pools, in bytes; negative when more was released than allocated. The nearest
    /// number there is where the sum does not fit.
    pub fn outstanding_bytes(&self) -> i64 {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let sum: i128 = pools
            .values()
            .map(|pool| i128::from(pool.load(Relaxed)))
            .sum();
        sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
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
    /// inside the phase that is open. A `/` in the name becomes `_`, because it separates phases. On a thread that is
    /// ending, whose values are being dropped, it may count nothing and is not recorded.
    pub fn phase(&self, name: &str) -> Phase {
        let mut phase = Phase {
            number: 0,
            place: 0,
            inner_len: 0,
            thread: PhantomData,
        };
        let _ = PHASES.try_with(|phases| {
            let phases = &mut *phases.borrow_mut();
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
            (phase.number, phase.place, phase.inner_len) =
                (phases.next, phases.open.len() - 1, phases.path.len());
        });
        phase
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
    /// A number for each open phase, never used twice on a thread, from 1.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_ending_opens_a_phase_that_counts_nothing() {
        thread_local! {
            static LAST: AtEnd = const { AtEnd(std::cell::Cell::new(None)) };
        }
        struct AtEnd(std::cell::Cell<Option<std::sync::mpsc::Sender<u64>>>);
        impl Drop for AtEnd {
            fn drop(&mut self) {
                let phase = Collector::new(HOST).phase("late");
                if let Some(sender) = self.0.take() {
                    let _ = sender.send(phase.number);
                }
            }
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Values are dropped in the reverse order of their first use, so the phases are gone by then.
            LAST.with(|last| last.0.set(Some(sender)));
            drop(Collector::new(HOST).phase("early"));
        });
        thread.join().unwrap();
        assert_eq!(receiver.recv(), Ok(0));
    }

    #[test]
    fn what_is_outstanding_in_all_pools_is_the_largest_number_where_it_does_not_fit() {
        let host = Collector::new(HOST);
        host.pool("a").allocated(u64::MAX);
        host.pool("b").allocated(1);
        assert_eq!(host.outstanding_bytes(), i64::MAX);
        host.pool("c").released(2);
        assert_eq!(host.outstanding_bytes(), i64::MAX - 1);
    }
}
