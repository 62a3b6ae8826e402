//! Three lines for any pool or queue: what arrives, what is begun, what is done.
//!
//! ```
//! use radiosonde_core::queue::Queue;
//!
//! let orders = Queue::new("orders").capacity(100).workers(4);
//! let waiting = orders.enqueued();           // when an item is put into it
//! let working = waiting.started("worker-1"); // when somebody takes it up
//! working.finished();                        // when it is done
//! ```
//!
//! From these come the events `queue.enqueued`, `queue.started` and `queue.finished`, each in the trace that is current where
//! it happens, and the metrics `queue.depth`, `queue.running`, `queue.capacity`, `queue.workers`, `queue.arrivals`,
//! `queue.starts`, `queue.completions`, `queue.wait.duration` and `queue.work.duration`. `sonde queue` answers from either.
//!
//! Invariant: an item counts in exactly one of depth and running from `enqueued` until it is finished or dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    events::{QueueEnqueued, QueueFinished, QueueStarted},
    metrics::{self, UpDownCounter},
    random, record,
};

/// A queue, or a pool whose callers wait for a worker. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    capacity: AtomicU64,
    depth: UpDownCounter,
    running: UpDownCounter,
    /// State and increment of the generator of items' names.
    state: AtomicU64,
    increment: u64,
}

/// An item that waits. Dropped without [`started`](Self::started), it has left the queue without work.
#[derive(Debug)]
#[must_use = "an item that is dropped has left the queue"]
pub struct Waiting {
    /// `None` when it waits no more.
    queue: Option<Queue>,
    item: String,
    since: Instant,
}

/// An item that is worked on. Dropped without [`finished`](Self::finished), it was abandoned.
#[derive(Debug)]
#[must_use = "work that is dropped is abandoned"]
pub struct Working {
    /// `None` when the work has ended.
    queue: Option<Queue>,
    item: String,
    worker: String,
    since: Instant,
}

impl Queue {
    /// A queue of this name: of low cardinality, as it is a label of metrics.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let up_down = |metric: &'static str, what: &'static str| {
            let builder = metrics::up_down_counter(metric).unit("{item}");
            builder.description(what).with(&[("queue", &name)])
        };
        let (state, increment) = random::seed();
        Self(Arc::new(Inner {
            depth: up_down("queue.depth", "Items that wait."),
            running: up_down("queue.running", "Items that are worked on."),
            capacity: AtomicU64::new(0),
            state: AtomicU64::new(state),
            increment,
            name,
        }))
    }

    /// Says how many may wait; without it the queue has no bound that is known.
    #[must_use]
    pub fn capacity(self, capacity: u64) -> Self {
        self.0.capacity.store(capacity, Relaxed);
        self.gauge("queue.capacity", "{item}", "Items that may wait.", capacity)
    }

    /// Says how many workers there are.
    #[must_use]
    pub fn workers(self, workers: u64) -> Self {
        self.gauge(
            "queue.workers",
            "{worker}",
            "Workers of the queue.",
            workers,
        )
    }

    fn gauge(
        self,
        metric: &'static str,
        unit: &'static str,
        what: &'static str,
        value: u64,
    ) -> Self {
        let gauge = metrics::gauge(metric).unit(unit).description(what);
        gauge.with(&[("queue", &self.0.name)]).set(value as f64);
        self
    }

    /// An item was put into the queue.
    pub fn enqueued(&self) -> Waiting {
        let inner = &self.0;
        let state = inner.state.fetch_add(inner.increment, Relaxed);
        let item = format!("{:016x}", random::next(state, inner.increment).1);
        inner.depth.add(1);
        let capacity = inner.capacity.load(Relaxed);
        record!(QueueEnqueued {
            queue: &inner.name,
            item: &item,
            capacity: (capacity > 0).then_some(capacity),
        });
        Waiting {
            queue: Some(self.clone()),
            item,
            since: Instant::now(),
        }
    }
}

impl Waiting {
    /// The item's name.
    pub fn item(&self) -> &str {
        &self.item
    }

    /// A worker took it up.
    pub fn started(mut self, worker: impl Into<String>) -> Working {
        let (queue, worker) = (self.queue.take(), worker.into());
        let item = std::mem::take(&mut self.item);
        if let Some(Queue(inner)) = &queue {
            inner.depth.add(-1);
            inner.running.add(1);
            record!(QueueStarted {
                queue: &inner.name,
                item: &item,
                worker: &worker,
                waited: self.since.elapsed(),
            });
        }
        Working {
            queue,
            item,
            worker,
            since: Instant::now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Queue(inner)) = self.queue.take() {
            inner.depth.add(-1);
            inner.finished(&self.item, "abandoned", None, None);
        }
    }
}

impl Working {
    /// The item's name.
    pub fn item(&self) -> &str {
        &self.item
    }

    /// It is done.
    pub fn finished(mut self) {
        self.end("ok");
    }

    /// It failed.
    pub fn failed(mut self) {
        self.end("error");
    }

    fn end(&mut self, result: &str) {
        if let Some(Queue(inner)) = self.queue.take() {
            inner.running.add(-1);
            let worked = self.since.elapsed();
            inner.finished(&self.item, result, Some(&self.worker), Some(worked));
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.end("abandoned");
    }
}

impl Inner {
    fn finished(&self, item: &str, result: &str, worker: Option<&str>, took: Option<Duration>) {
        record!(QueueFinished {
            queue: &self.name,
            item,
            result,
            worker,
            worked: took,
        });
    }
}
