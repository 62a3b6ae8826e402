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
//! Invariants: a phase costs two clock reads and one record, and allocates nothing once a thread is warm; phases nest
//! as guards do, and one that outlives the phase it is inside of is not reported.

use std::{
    cell::RefCell,
    fmt::Write as _,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use radiosonde_core::{
    event::{Descriptor, Encoder, Event, FieldDescriptor, Role},
    model::Severity,
};

/// Longest name of a phase, in bytes; the rest is cut.
pub const NAME_BYTES_MAX: usize = 128;

/// A phase of a forward step ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyEvent<'a> {
    /// The path from the root phase: `forward/block 3/sdpa`.
    pub phase: &'a str,
    /// How long it took.
    pub duration: Duration,
    /// The forward step, numbered within the process.
    pub step: u64,
}

impl Event for LatencyEvent<'_> {
    const DESCRIPTOR: &'static Descriptor = &Descriptor {
        name: "model.phase",
        type_name: radiosonde_answers::event::LATENCY_EVENT,
        description: "A phase of a forward step ended.",
        severity: Severity::Info,
        target: "metrics",
        aliases: &[],
        fields: &[
            FieldDescriptor {
                name: "phase",
                description: "The path from the root phase: `forward/block 3/sdpa`.",
                role: Role::Label,
                unit: "",
            },
            FieldDescriptor {
                name: "duration_ns",
                description: "How long it took.",
                role: Role::Histogram {
                    metric: "model.phase.duration",
                    bounds: &[],
                },
                unit: "s",
            },
            FieldDescriptor {
                name: "step",
                description: "The forward step, numbered within the process.",
                role: Role::Attribute,
                unit: "",
            },
        ],
        series_max: Descriptor::SERIES_MAX_DEFAULT,
    };

    fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.field(0, self.phase);
        encoder.field(1, &self.duration);
        encoder.field(2, &self.step);
    }
}

/// Steps are numbered from 1; 0 is no step.
static STEPS: AtomicU64 = AtomicU64::new(1);

/// The phases that are open on a thread.
struct Open {
    /// The innermost collector's step; 0 when none is installed.
    step: u64,
    /// Where in `path` and `phases` that collector's own begin.
    base: (usize, usize),
    /// The open phases' names, each after a `/`.
    path: String,
    /// A number for each open phase, never used twice on a thread.
    phases: Vec<u64>,
    next: u64,
}

thread_local! {
    static OPEN: RefCell<Open> = const {
        RefCell::new(Open { step: 0, base: (0, 0), path: String::new(), phases: Vec::new(), next: 0 })
    };
}

/// Guards belong to the thread that made them.
type NotSend = PhantomData<*const ()>;

/// Collects the phases of one forward step on the thread that installed it, until it is dropped.
#[must_use = "the phases of a step are collected until the collector is dropped"]
#[derive(Debug)]
pub struct Collector {
    step: u64,
    outer: (u64, (usize, usize)),
    thread: NotSend,
}

impl Collector {
    /// Begins a forward step. An installed collector is set aside until this one is dropped.
    pub fn install() -> Self {
        let step = STEPS.fetch_add(1, Relaxed);
        let outer = OPEN.with_borrow_mut(|open| {
            let outer = (open.step, open.base);
            open.step = step;
            open.base = (open.path.len(), open.phases.len());
            outer
        });
        Self {
            step,
            outer,
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
        let _ = OPEN.try_with(|open| {
            let mut open = open.borrow_mut();
            let open = &mut *open;
            // A collector that outlived an outer one has nothing left to give back.
            if open.step == self.step {
                open.path.truncate(open.base.0);
                open.phases.truncate(open.base.1);
                (open.step, open.base) = self.outer;
            }
        });
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
    thread: NotSend,
}

/// Times the phase called `name` in the step whose collector this thread installed; without one, nothing is timed.
/// A `/` in the name becomes `_`, because it separates phases.
pub fn phase(name: &str) -> Phase {
    let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    open(|path| match name {
        "" => path.push('_'),
        name if name.contains('/') => {
            path.extend(name.chars().map(|c| if c == '/' { '_' } else { c }))
        }
        name => path.push_str(name),
    })
}

/// Times the transformer block with this index in the step whose collector this thread installed.
pub fn block(index: usize) -> Phase {
    open(|path| {
        // Writing to a string does not fail.
        let _ = write!(path, "block {index}");
    })
}

fn open(push_name: impl FnOnce(&mut String)) -> Phase {
    let mut phase = Phase {
        start: None,
        step: 0,
        number: 0,
        place: 0,
        outer_len: 0,
        inner_len: 0,
        thread: PhantomData,
    };
    let _ = OPEN.try_with(|open| {
        let open = &mut *open.borrow_mut();
        if open.step == 0 {
            return;
        }
        open.next += 1;
        (phase.step, phase.number, phase.place, phase.outer_len) =
            (open.step, open.next, open.phases.len(), open.path.len());
        open.phases.push(open.next);
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
            if open.step != self.step || open.phases.get(self.place) != Some(&self.number) {
                return;
            }
            radiosonde_core::record(&LatencyEvent {
                phase: &open.path[open.base.0 + 1..self.inner_len],
                duration,
                step: self.step,
            });
            open.phases.truncate(self.place);
            open.path.truncate(self.outer_len);
        });
    }
}
