//! Telemetry for the program itself: records go into a channel, and nothing leaves the process.
//!
//! [`Channel`] feeds a `std::sync::mpsc::Sender`, whose receiver must keep up. [`ring`] is bounded: when the receiver
//! is slow the oldest records make room and are counted, so it suits a screen that looks every 16 ms. Records arrive
//! together, four times a second, or twenty times where logs are among them (`pump::HOLD_MAX`).

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use radiosonde_core::{
    batch::Batch,
    loss::{self, Lost},
    model::Record,
    pump::deadline_in,
};

use super::{ExportError, Exporter};

/// A record with its place in the trace: what a channel carries is made from it.
pub type EnrichedEvent = Record;

/// Sends each record to a `std` channel. Whoever receives decides what of a record it keeps, by `T`'s conversion.
///
/// When the receiver is gone, records are counted and the program goes on.
#[derive(Debug)]
pub struct Channel<T> {
    sender: mpsc::Sender<T>,
    name: String,
}

impl<T: From<EnrichedEvent> + Send> Channel<T> {
    /// Sends to `sender`, which is called `name` in reports.
    pub fn new(sender: mpsc::Sender<T>, name: impl Into<String>) -> Self {
        Self {
            sender,
            name: name.into(),
        }
    }
}

impl<T: From<EnrichedEvent> + Send> Exporter for Channel<T> {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        for (sent, record) in batch.records().enumerate() {
            if self.sender.send(T::from(record.to_record())).is_err() {
                return Err(ExportError::ReceiverGone {
                    name: self.name.clone(),
                    records: (batch.len() - sent) as u64,
                });
            }
        }
        Ok(())
    }
}

/// A channel that holds at most `capacity` records (at least one).
pub fn ring<T: From<EnrichedEvent> + Send>(capacity: usize) -> (RingSender<T>, RingReceiver<T>) {
    let shared = Arc::new(Shared {
        ring: Mutex::new(Ring {
            records: VecDeque::new(),
            capacity: capacity.max(1),
            dropped: 0,
            sender_gone: false,
            receiver_gone: false,
        }),
        arrived: Condvar::new(),
    });
    (
        RingSender {
            shared: Arc::clone(&shared),
        },
        RingReceiver { shared },
    )
}

#[derive(Debug)]
struct Shared<T> {
    ring: Mutex<Ring<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Ring<T> {
    records: VecDeque<T>,
    capacity: usize,
    dropped: u64,
    sender_gone: bool,
    receiver_gone: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Ring<T>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exporter's end of a bounded channel.
#[derive(Debug)]
pub struct RingSender<T> {
    shared: Arc<Shared<T>>,
}

/// The program's end of a bounded channel.
#[derive(Debug)]
pub struct RingReceiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T: From<EnrichedEvent> + Send> Exporter for RingSender<T> {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut dropped = 0;
        let mut ring = self.shared.lock();
        if ring.receiver_gone {
            return Err(ExportError::ReceiverGone {
                name: "ring".to_owned(),
                records: batch.len() as u64,
            });
        }
        // What would be pushed out again is not copied at all.
        let surplus = batch.len().saturating_sub(ring.capacity);
        dropped += surplus;
        for record in batch.records().skip(surplus) {
            if ring.records.len() == ring.capacity {
                ring.records.pop_front();
                dropped += 1;
            }
            ring.records.push_back(T::from(record.to_record()));
        }
        ring.dropped += dropped as u64;
        drop(ring);
        loss::count(Lost::ChannelFull, dropped as u64);
        self.shared.arrived.notify_one();
        Ok(())
    }
}

impl<T> Drop for RingSender<T> {
    fn drop(&mut self) {
        self.shared.lock().sender_gone = true;
        self.shared.arrived.notify_all();
    }
}

impl<T> Drop for RingReceiver<T> {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.receiver_gone = true;
        ring.records.clear();
    }
}

impl<T> RingReceiver<T> {
    /// The oldest record, or why there is none.
    pub fn try_recv(&self) -> Result<T, mpsc::TryRecvError> {
        let mut ring = self.shared.lock();
        match ring.records.pop_front() {
            Some(record) => Ok(record),
            None if ring.sender_gone => Err(mpsc::TryRecvError::Disconnected),
            None => Err(mpsc::TryRecvError::Empty),
        }
    }

    /// The oldest record; waits for one for at most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, mpsc::RecvTimeoutError> {
        let deadline = deadline_in(timeout);
        let mut ring = self.shared.lock();
        loop {
            if let Some(record) = ring.records.pop_front() {
                return Ok(record);
            }
            if ring.sender_gone {
                return Err(mpsc::RecvTimeoutError::Disconnected);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(mpsc::RecvTimeoutError::Timeout);
            };
            let wait = self.shared.arrived.wait_timeout(ring, left);
            ring = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        self.shared.lock().records.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records made room for newer ones.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }
}
