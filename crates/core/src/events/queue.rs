//! Queues of anything: what arrives, what is begun, what is done.

use std::time::Duration;

use crate::Event;

/// An item was put into a queue.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "queue.enqueued", count = "queue.arrivals")]
pub struct QueueEnqueued<'a> {
    /// The queue.
    #[label]
    pub queue: &'a str,
    /// The item, by a name that no other item of any process has.
    pub item: &'a str,
    /// How many may wait, where there is a bound.
    pub capacity: Option<u64>,
}

/// An item was taken from its queue, and work on it began.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "queue.started", count = "queue.starts")]
pub struct QueueStarted<'a> {
    /// The queue.
    #[label]
    pub queue: &'a str,
    /// The item.
    pub item: &'a str,
    /// Who works on it.
    pub worker: &'a str,
    /// How long it waited.
    #[measure(histogram, name = "queue.wait.duration", bounds = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])]
    pub waited: Duration,
}

/// An item is done with.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "queue.finished", count = "queue.completions")]
pub struct QueueFinished<'a> {
    /// The queue.
    #[label]
    pub queue: &'a str,
    /// The item.
    pub item: &'a str,
    /// `ok`, `error`, or `abandoned` where nobody said: it was dropped, from the queue or at work.
    #[label]
    pub result: &'a str,
    /// Who worked on it; none where it left the queue without work.
    pub worker: Option<&'a str>,
    /// How long the work took.
    #[measure(histogram, name = "queue.work.duration", bounds = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])]
    pub worked: Option<Duration>,
}
