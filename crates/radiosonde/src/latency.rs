//! Where a model's time goes, phase by phase.
//!
//! A [`Collector`] is installed for each forward step; guards time the phases inside it, and each phase that ends is
//! recorded as a [`LatencyEvent`]. Rows are built from those events elsewhere ([`crate::rows`]), so the model's code
//! does nothing but say which phase it is in:
//!
//! ```
//! use radiosonde::latency;
//!
//! # fn attention() { let _sdpa = latency::phase("sdpa"); }
//! let step = latency::Collector::install();
//! {
//!     let _embedding = step.phase("embedding");
//! }
//! {
//!     let _forward = step.phase("forward");
//!     for index in 0..24 {
//!         let _block = step.block(index);
//!         // Deeper in the model, `latency::phase` finds the collector that this thread installed.
//!         attention();
//!     }
//! }
//! ```
//!
//! Invariants: a phase costs two clock reads and one record, or next to nothing where nothing is recorded or the filter
//! refuses it, and allocates nothing once a thread is warm; phases nest
//! as guards do, and one that outlives the phase it is inside of is not reported.

use std::{
    cell::RefCell,
    fmt::Write as _,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

pub use radiosonde_core::events::LatencyEvent;
use radiosonde_core::{__private::Gate, event::Event as _};

/// Longest name of a phase, in bytes; the rest is cut.
pub const NAME_BYTES_MAX: usize = 128;

/// Steps are numbered from 1; 0 is no step.
static STEPS: AtomicU64 = AtomicU64::new(1);

/// Whether the filter lets phases through: one that does not is not even timed.
static GATE: Gate = Gate::new();

/// The phases that are open on a thread.
struct Open {
    /// The installed collectors, outermost first.
    collectors: Vec<Installed>,
    /// The innermost open block's index.
    block: Option<u32>,
    /// The open phases' names, each after a `/`.
    path: String,
    phases: Vec<OpenPhase>,
    /// The last phase's number.
    next: u64,
}

/// A phase as its thread knows it.
struct OpenPhase {
    /// Never used twice on a thread; 0 when it ended while another collector was installed.
    number: u64,
    /// Length of the path without it, and the block that was open before.
    outer_len: usize,
    outer_block: Option<u32>,
}

thread_local! {
    static OPEN: RefCell<Open> = const {
        RefCell::new(Open { collectors: Vec::new(), block: None, path: String::new(), phases: Vec::new(), next: 0 })
    };
}

/// A collector as its thread knows it.
struct Installed {
    step: u64,
    /// Where in the path and among the phases its own begin.
    base: (usize, usize),
    /// What is left of both when it ends, and the block that was open before it.
    outer: (usize, usize),
    outer_block: Option<u32>,
}

impl Open {
    /// Ends the collector of this step. What it was to restore is up to the one inside of it, where there is one.
    fn uninstall(&mut self, step: u64) {
        // The innermost is nearly always the one.
        let place = self.collectors.iter().rposition(|known| known.step == step);
        let Some(place) = place else { return };
        let ended = self.collectors.remove(place);
        if let Some(inner) = self.collectors.get_mut(place) {
            (inner.outer, inner.outer_block) = (ended.outer, ended.outer_block);
        } else {
            self.path.truncate(ended.outer.0);
            self.phases.truncate(ended.outer.1);
            self.block = ended.outer_block;
            self.leave_ended();
        }
    }

    /// Leaves phases of the innermost collector that ended while they were not the innermost.
    fn leave_ended(&mut self) {
        let own = self.collectors.last().map_or(0, |last| last.base.1);
        while self.phases.len() > own
            && let Some(ended) = self.phases.pop_if(|phase| phase.number == 0)
        {
            self.path.truncate(ended.outer_len);
            self.block = ended.outer_block;
        }
    }
}

/// Guards belong to the thread that made them.
type NotSend = PhantomData<*const ()>;

/// Collects the phases of one forward step on the thread that installed it, until it is dropped.
#[must_use = "the phases of a step are collected until the collector is dropped"]
#[derive(Debug)]
pub struct Collector {
    step: u64,
    thread: NotSend,
}

impl Collector {
    /// Begins a forward step. An installed collector is set aside until this one is dropped, in whatever order they
    /// are. On a thread that is ending, whose values are being dropped, it may find no place; its phases are not timed.
    pub fn install() -> Self {
        let step = STEPS.fetch_add(1, Relaxed);
        let _ = OPEN.try_with(|open| {
            let open = &mut *open.borrow_mut();
            let base = (open.path.len(), open.phases.len());
            let outer_block = open.block.take();
            open.collectors.push(Installed {
                step,
                base,
                outer: base,
                outer_block,
            });
        });
        Self {
            step,
            thread: PhantomData,
        }
    }

    /// The number of this step within the process.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Times the phase called `name` until the guard is dropped, inside the phase that is open on this thread.
    pub fn phase(&self, name: &str) -> Phase {
        phase(name)
    }

    /// Times the transformer block with this index: the phase `block 3`.
    pub fn block(&self, index: usize) -> Phase {
        block(index)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = OPEN.try_with(|open| open.borrow_mut().uninstall(self.step));
    }
}

/// Times a phase until it is dropped.
#[must_use = "a phase ends when its guard is dropped"]
#[derive(Debug)]
pub struct Phase {
    start: Option<Instant>,
    step: u64,
    /// Its number, and its place among the open phases.
    number: u64,
    place: usize,
    /// Length of the path without and with its name.
    outer_len: usize,
    inner_len: usize,
    /// The block that it is or is inside of, and whether it is one itself.
    block: Option<u32>,
    is_block: bool,
    thread: NotSend,
}

/// Times the phase called `name` in the step whose collector this thread installed; without one, nothing is timed.
/// A `/` in the name becomes `_`, because it separates phases.
pub fn phase(name: &str) -> Phase {
    let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    open(None, |path| match name {
        "" => path.push('_'),
        name if name.contains('/') => {
            path.extend(name.chars().map(|c| if c == '/' { '_' } else { c }));
        }
        name => path.push_str(name),
    })
}

/// Times the transformer block with this index in the step whose collector this thread installed.
pub fn block(index: usize) -> Phase {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    open(Some(index), |path| {
        // Writing to a string does not fail.
        let _ = write!(path, "block {index}");
    })
}

fn open(index: Option<u32>, push_name: impl FnOnce(&mut String)) -> Phase {
    let mut phase = Phase {
        start: None,
        step: 0,
        number: 0,
        place: 0,
        outer_len: 0,
        inner_len: 0,
        block: None,
        is_block: index.is_some(),
        thread: PhantomData,
    };
    if !GATE.is_open(LatencyEvent::DESCRIPTOR) {
        return phase;
    }
    let _ = OPEN.try_with(|open| {
        let open = &mut *open.borrow_mut();
        let Some(collector) = open.collectors.last() else {
            return;
        };
        open.next += 1;
        (phase.step, phase.number, phase.place, phase.outer_len) = (
            collector.step,
            open.next,
            open.phases.len(),
            open.path.len(),
        );
        open.phases.push(OpenPhase {
            number: open.next,
            outer_len: open.path.len(),
            outer_block: open.block,
        });
        open.block = index.or(open.block);
        phase.block = open.block;
        open.path.push('/');
        push_name(&mut open.path);
        phase.inner_len = open.path.len();
        phase.start = Some(Instant::now());
    });
    phase
}

impl Drop for Phase {
    fn drop(&mut self) {
        let Some(start) = self.start else { return };
        let duration = start.elapsed();
        let _ = OPEN.try_with(|open| {
            let open = &mut *open.borrow_mut();
            let known = open.phases.get_mut(self.place);
            let Some(known) = known.filter(|known| known.number == self.number) else {
                return;
            };
            let outer_block = known.outer_block;
            let collector = open.collectors.last();
            let Some(collector) = collector.filter(|collector| collector.step == self.step) else {
                known.number = 0;
                return;
            };
            let path = &open.path[collector.base.0 + 1..self.inner_len];
            let name = &open.path[self.outer_len + 1..self.inner_len];
            radiosonde_core::record(&LatencyEvent {
                phase: if self.is_block { "block" } else { name },
                block: self.block,
                path,
                step: self.step,
                duration,
            });
            open.block = outer_block;
            open.phases.truncate(self.place);
            open.path.truncate(self.outer_len);
            open.leave_ended();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use radiosonde_core::pump::{self, Pump};

    use super::*;

    /// Phases are timed where somebody records.
    fn record() {
        static PUMP: OnceLock<Option<Pump>> = OnceLock::new();
        let config = || pump::Config {
            resource: std::sync::Arc::default(),
            consumers: Vec::new(),
        };
        PUMP.get_or_init(|| pump::start(config()).ok());
    }

    /// The path that a phase opened now would have in the innermost step, and that step; `None` without a collector.
    fn here() -> Option<(u64, String)> {
        OPEN.with_borrow(|open| {
            let collector = open.collectors.last()?;
            let path = open.path.get(collector.base.0..).unwrap_or_default();
            Some((collector.step, path.to_owned()))
        })
    }

    #[test]
    fn a_collector_that_is_dropped_before_the_one_inside_of_it_does_not_stay() {
        record();
        let outermost = Collector::install();
        let _forward = outermost.phase("forward");
        let outer = Collector::install();
        let block = outer.block(7);
        let inner = Collector::install();
        drop(outer);
        assert_eq!(here(), Some((inner.step(), String::new())));
        drop(block);
        drop(inner);
        assert_eq!(here(), Some((outermost.step(), "/forward".to_owned())));
        drop(outermost);
        assert_eq!(here(), None);
        assert!(phase("nothing").start.is_none());
        OPEN.with_borrow(|open| {
            assert!(open.path.is_empty() && open.phases.is_empty() && open.block.is_none());
        });
    }

    #[test]
    fn a_phase_that_ends_while_another_collector_is_installed_does_not_stay() {
        record();
        let outer = Collector::install();
        let forward = outer.phase("forward");
        let block = outer.block(7);
        let inner = Collector::install();
        drop(block);
        drop(forward);
        let _output = inner.phase("output");
        drop(inner);
        assert_eq!(here(), Some((outer.step(), String::new())));
        OPEN.with_borrow(|open| assert!(open.phases.is_empty() && open.block.is_none()));
    }

    #[test]
    fn a_collector_that_takes_the_place_of_the_last_one_keeps_nothing_of_it() {
        record();
        let mut step = Collector::install();
        for _ in 0..1000 {
            // The new one is installed before the old one is dropped.
            step = Collector::install();
            drop(step.phase("forward"));
        }
        OPEN.with_borrow(|open| assert_eq!((open.collectors.len(), open.path.len()), (1, 0)));
        drop(step);
        assert_eq!(here(), None);
    }

    #[test]
    fn a_thread_that_is_ending_installs_a_collector_that_times_nothing() {
        thread_local! {
            static LAST: AtEnd = const { AtEnd(std::cell::Cell::new(None)) };
        }
        struct AtEnd(std::cell::Cell<Option<std::sync::mpsc::Sender<bool>>>);
        impl Drop for AtEnd {
            fn drop(&mut self) {
                let step = Collector::install();
                let phase = step.phase("late");
                if let Some(sender) = self.0.take() {
                    let _ = sender.send(phase.start.is_some());
                }
            }
        }
        record();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Values are dropped in the reverse order of their first use, so the collectors' place is gone by then.
            LAST.with(|last| last.0.set(Some(sender)));
            drop(Collector::install());
        });
        thread.join().unwrap();
        assert_eq!(receiver.recv(), Ok(false));
    }

    #[test]
    fn collectors_end_in_any_order() {
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        for order in orders {
            let mut collectors: Vec<_> = (0..3).map(|_| Some(Collector::install())).collect();
            for place in order {
                collectors[place] = None;
                let innermost = collectors.iter().flatten().last().map(Collector::step);
                assert_eq!(here().map(|(step, _)| step), innermost, "{order:?}");
            }
        }
    }
}
