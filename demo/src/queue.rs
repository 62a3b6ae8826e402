//! The queue between those who ask and the workers: unbounded, first in first out, closed when nobody asks
//! any more. Waiting in it is what makes the demo's latency accounts interesting.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::observe;

/// A queue that any number of threads push to and take from.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(Instant, T)>,
    closed: bool,
}

/// Something taken from a queue.
#[derive(Debug)]
pub struct Taken<T> {
    /// What was pushed.
    pub item: T,
    /// When it was pushed.
    pub entered: Instant,
    /// How long it waited.
    pub waited: Duration,
}

impl<T> Queue<T> {
    /// An empty, open queue.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds an item and wakes one worker.
    pub fn push(&self, item: T) {
        let depth = {
            let mut state = self.lock();
            state.waiting.push_back((Instant::now(), item));
            state.waiting.len()
        };
        self.changed.notify_one();
        observe::queue_entered(depth);
    }

    /// Says that nothing more will be pushed; workers get what is left and then `None`.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for an item; `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<Taken<T>> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| {
                state.waiting.is_empty() && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let (entered, item) = state.waiting.pop_front()?;
        let depth = state.waiting.len();
        drop(state);
        let waited = entered.elapsed();
        observe::queue_left(depth, waited);
        Some(Taken {
            item,
            entered,
            waited,
        })
    }

    /// A worker that panicked holds no promise about the queue: it is in order between any two statements.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn items_come_out_in_the_order_they_went_in() {
        let queue = Queue::new();
        for item in 0..5 {
            queue.push(item);
        }
        queue.close();
        let taken: Vec<i32> = std::iter::from_fn(|| queue.take())
            .map(|taken| taken.item)
            .collect();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn every_item_is_taken_once_by_someone() {
        let queue = Queue::new();
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(taken) = queue.take() {
                        sum.fetch_add(taken.item, Ordering::Relaxed);
                    }
                });
            }
            for item in 1..=1_000u64 {
                queue.push(item);
            }
            queue.close();
        });
        assert_eq!(sum.into_inner(), 500_500);
    }
}
