//! Whether a callsite records, remembered until the filter changes.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tracing::level_filters::STATIC_MAX_LEVEL;

use crate::{
    catalogue,
    event::{Descriptor, Event},
    filter, lane,
    model::Severity,
};

/// The remembered answer of one `record!` or `event!`.
#[derive(Debug)]
pub struct Gate {
    /// The filter's generation times two, plus 1 where it lets the event through.
    answer: AtomicU64,
    /// Whether the catalogue has been told of the event.
    known: AtomicBool,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that has not been asked yet.
    pub const fn new() -> Self {
        Self {
            // No filter has this generation.
            answer: AtomicU64::new(u64::MAX - 1),
            known: AtomicBool::new(false),
        }
    }

    /// Whether events of `descriptor` are recorded here and now. Always asked with the same descriptor.
    #[inline]
    pub fn is_open(&self, descriptor: &'static Descriptor) -> bool {
        compiled_in(descriptor.severity) && lane::recording() && self.asks(descriptor)
    }

    #[inline]
    fn asks(&self, descriptor: &'static Descriptor) -> bool {
        let answer = self.answer.load(Relaxed);
        if answer >> 1 == filter::generation() && !filter::watches_spans() {
            answer & 1 == 1
        } else {
            self.ask(descriptor)
        }
    }

    #[cold]
    fn ask(&self, descriptor: &'static Descriptor) -> bool {
        let generation = filter::generation();
        let open = filter::allows(descriptor.target, descriptor.severity.into());
        if open && !self.known.swap(true, Relaxed) {
            catalogue::register_descriptor(descriptor);
        }
        self.answer
            .store(generation << 1 | u64::from(open), Relaxed);
        open
    }
}

/// Whether recording is compiled in and `tracing`'s maximum level leaves events of this severity in the program. Known to the
/// compiler, so that what is left out costs nothing.
#[inline]
const fn compiled_in(severity: Severity) -> bool {
    use tracing::level_filters::LevelFilter;
    let most_detailed = match STATIC_MAX_LEVEL {
        LevelFilter::OFF => return false,
        LevelFilter::ERROR => Severity::Error,
        LevelFilter::WARN => Severity::Warn,
        LevelFilter::INFO => Severity::Info,
        LevelFilter::DEBUG => Severity::Debug,
        _ => Severity::Trace,
    };
    crate::COMPILED_IN && severity as u8 >= most_detailed as u8
}

/// Stands for the type of an event that may never be made.
#[derive(Debug)]
pub struct Probe<E>(PhantomData<fn(E)>);

impl<E> Default for Probe<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Probe<E> {
    /// A probe for a type that is inferred from [`record`](Self::record).
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Whether events of the type are recorded here and now.
    #[inline]
    pub fn is_open(&self, gate: &Gate) -> bool
    where
        E: Event,
    {
        gate.is_open(E::DESCRIPTOR)
    }

    /// Records `event`.
    #[inline]
    pub fn record(&self, event: &E)
    where
        E: Event,
    {
        crate::record::record(event);
    }
}
