//! Metrics that are read from elsewhere when a snapshot is taken.
//!
//! Invariants: a source that panics is set aside and harms no other; one that takes a snapshot itself is not asked for that.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::snapshot::Metric;
use crate::{
    lane,
    panics::{drop_caught, panic_text},
};

type Read = dyn Fn(&mut Vec<Metric>) + Send + Sync;

struct Source {
    added_at: &'static Location<'static>,
    read: Box<Read>,
}

/// The sources of a registry.
#[derive(Default)]
pub(super) struct Sources(Mutex<Vec<Arc<Source>>>);

impl Sources {
    pub(super) fn add(&self, added_at: &'static Location<'static>, read: Box<Read>) {
        self.lock().push(Arc::new(Source { added_at, read }));
    }

    /// Adds what each gives to `metrics`.
    pub(super) fn ask(&self, metrics: &mut Vec<Metric>) {
        let Some(_asking) = Asking::begin(self) else {
            return;
        };
        // Asked without the lock: a source may add another one, and one that hangs holds up nobody else.
        let sources = self.lock().clone();
        for source in sources {
            let complete = metrics.len();
            let asked = catch_unwind(AssertUnwindSafe(|| (source.read)(metrics)));
            let Err(panic) = asked else { continue };
            metrics.truncate(complete);
            self.lock().retain(|other| !Arc::ptr_eq(other, &source));
            // A source fails once and is gone, so this cannot feed itself.
            let _aloud = lane::aloud();
            tracing::error!(
                target: "radiosonde",
                added_at = %source.added_at,
                error = panic_text(panic.as_ref()),
                "a source of metrics panicked and is not asked again"
            );
            drop_caught(panic);
            drop_caught(source);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// Whose sources this thread is asking.
    static ASKING: RefCell<Vec<*const Sources>> = const { RefCell::new(Vec::new()) };
}

/// This thread is asking somebody's sources.
struct Asking;

impl Asking {
    /// `None` where it does so already, which would have no end, or is ending itself.
    fn begin(sources: &Sources) -> Option<Self> {
        let begin = |asking: &RefCell<Vec<*const Sources>>| {
            let mut asking = asking.borrow_mut();
            let is_new = !asking.contains(&std::ptr::from_ref(sources));
            is_new.then(|| {
                asking.push(sources);
                Self
            })
        };
        ASKING.try_with(begin).ok().flatten()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = ASKING.try_with(|asking| asking.borrow_mut().pop());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    use super::{super::registry::Registry, *};

    #[test]
    fn a_source_that_panics_is_set_aside_and_harms_no_other() {
        let registry = Registry::new();
        let metric = |name: &'static str| Metric {
            name: name.into(),
            description: "".into(),
            unit: "".into(),
            data: crate::metrics::snapshot::Data::Gauge(Vec::new()),
        };
        let asked = Arc::new(AtomicU64::new(0));
        let asks = Arc::clone(&asked);
        registry.add_source(move |metrics| {
            asks.fetch_add(1, Relaxed);
            metrics.push(metric("half.read"));
            panic!("the device is gone");
        });
        registry.add_source(move |metrics| metrics.push(metric("whole")));
        for _ in 0..2 {
            let snapshot = registry.snapshot(&Arc::default());
            let names: Vec<_> = snapshot.metrics.iter().map(|read| &*read.name).collect();
            assert_eq!(names, ["whole"]);
        }
        assert_eq!(asked.load(Relaxed), 1);
    }

    #[test]
    fn a_source_may_take_a_snapshot_of_its_own_registry() {
        static OURS: LazyLock<Registry> = LazyLock::new(Registry::new);
        let inner = Registry::new();
        inner.counter("inner").handle().add(1);
        inner.add_source(|metrics| {
            metrics.extend(OURS.snapshot(&Arc::default()).metrics);
        });
        OURS.counter("outer").handle().add(1);
        OURS.add_source(move |metrics| {
            metrics.extend(OURS.snapshot(&Arc::default()).metrics);
            metrics.extend(inner.snapshot(&Arc::default()).metrics);
        });
        for _ in 0..2 {
            let snapshot = OURS.snapshot(&Arc::default());
            let names: Vec<_> = snapshot.metrics.iter().map(|read| &*read.name).collect();
            assert_eq!(names, ["inner", "outer", "outer", "outer"]);
        }
    }
}
