//! The near end of the way to one endpoint: what is pushed, flushed and told. The far end is its
//! [`Sender`](super::sender::Sender).

use std::{
    sync::{Arc, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::loss::{self, Lost};

use super::{
    Condition, DestinationError, Transport,
    sender::{Life, Sender, Shared, State, wait},
    waiting::{Lane, Lanes, Told},
};
use crate::{
    encode::otlp::Signal,
    exporter::spool::{Payload, SpoolConfig, Waiting},
};

/// What is known of a destination before anything is sent to it.
#[derive(Clone, Debug)]
pub(in crate::exporter) struct Delivery<'a> {
    /// What people are told it is: its endpoint, without secrets.
    pub(in crate::exporter) name: String,
    /// What is sent there.
    pub(in crate::exporter) signals: Vec<Signal>,
    /// A file name for it: what waits for it is never sent anywhere else, nor with other headers.
    pub(in crate::exporter) spool_name: String,
    /// Where what waits for it is kept.
    pub(in crate::exporter) spool: &'a SpoolConfig,
    /// First and longest delay between attempts, before jitter.
    pub(in crate::exporter) retry_delay: (Duration, Duration),
    /// `otel.component.type` of what the sender says of itself, such as `otlp_http_exporter`.
    pub(in crate::exporter) component: &'static str,
}

/// An endpoint with everything that waits for it.
#[derive(Debug)]
pub(in crate::exporter) struct Destination {
    name: String,
    signals: Vec<Signal>,
    shared: Arc<Shared>,
}

impl Destination {
    /// Starts the thread that sends.
    pub(in crate::exporter) fn start(
        delivery: Delivery<'_>,
        transport: impl Transport + 'static,
    ) -> Result<Self, DestinationError> {
        let lanes = Lanes::open(
            &delivery.signals,
            &delivery.spool_name,
            delivery.spool,
            delivery.retry_delay,
        );
        let shared = Arc::new(Shared::new(lanes));
        let sender = Sender::new(Arc::clone(&shared), delivery.component, transport);
        thread::Builder::new()
            .name("radiosonde-send".to_owned())
            .spawn(move || sender.run())
            .map_err(DestinationError::Thread)?;
        Ok(Self {
            name: delivery.name,
            signals: delivery.signals,
            shared,
        })
    }

    /// Its endpoint, without secrets.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is sent to it.
    pub(super) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.shared.lock().lanes.waiting()
    }

    /// Adds a payload behind the others of its signal.
    pub(in crate::exporter) fn push(&self, payload: Payload) {
        self.shared.lock().lanes.push(payload);
        self.shared.work.notify_one();
    }

    /// What went wrong since the last call, and what was lost by it.
    pub(super) fn take_fault(&self) -> Option<Told> {
        self.shared.lock().lanes.take_fault()
    }

    /// Tells whether it is away, or does not take a signal, for any thread.
    pub(super) fn condition(&self) -> Condition {
        let (name, shared) = (self.name.clone(), Arc::clone(&self.shared));
        Arc::new(move || {
            let state = shared.lock();
            let lanes = &state.lanes;
            if let Some(away) = lanes.away() {
                let (seconds, waiting) = (away.seconds(), lanes.waiting().records);
                return Some(format!(
                    "{name} is away for {seconds} s, {waiting} records wait: {}",
                    away.reason
                ));
            }
            let refused = lanes.all.iter().filter_map(|lane| {
                let away = lane.away()?;
                let (seconds, waiting) = (away.seconds(), lane.spool.waiting().records);
                Some(format!(
                    "{name} takes no {} for {seconds} s, {waiting} records wait: {}",
                    lane.signal.name(),
                    away.reason
                ))
            });
            let refused: Vec<_> = refused.collect();
            (!refused.is_empty()).then(|| refused.join("; "))
        })
    }

    /// Asks for everything to be sent now, which somebody waits for until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) -> Flush<'_> {
        let mut state = self.shared.lock();
        let flushed = |lane: &mut Lane| {
            lane.is_flushing = true;
            lane.failures
        };
        let failures = state.lanes.all.iter_mut().map(flushed).collect();
        drop(state);
        self.shared.work.notify_one();
        Flush {
            shared: &self.shared,
            failures,
            deadline,
        }
    }

    /// Says what a flush that is over left behind, made as safe as it can be.
    pub(super) fn left_behind(&self) -> Option<Told> {
        let mut state = self.shared.lock();
        let lanes = &mut state.lanes;
        for lane in &mut lanes.all {
            lane.left_behind = !lane.spool.is_empty();
        }
        if !lanes.all.iter().any(|lane| lane.left_behind) {
            return None;
        }
        let in_memory = lanes.persist();
        let waiting = lanes.waiting().records;
        let (why, lost) = lanes
            .take_fault()
            .unwrap_or_else(|| ("no answer yet".to_owned(), Vec::new()));
        drop(state);
        let endangered = match in_memory {
            0 => String::new(),
            _ => format!(", {in_memory} of them in memory only"),
        };
        Some((format!("{why}; {waiting} records wait{endangered}"), lost))
    }

    /// Waits for what is on its way. What waits for the destination to come back, and what a flush waited for in vain,
    /// is not waited for.
    pub(super) fn settle(&self, deadline: Instant) {
        let state = self.shared.lock();
        let lanes = &state.lanes;
        // Of each that is waited for, how many attempts failed before.
        let awaited: Vec<Option<u64>> = lanes
            .all
            .iter()
            .map(|lane| lanes.is_on_its_way(lane).then_some(lane.failures))
            .collect();
        drop(self.shared.wait_while(state, deadline, |state| {
            let mut lanes = state.lanes.all.iter().zip(&awaited);
            lanes.any(|(lane, &failures)| !lane.spool.is_empty() && Some(lane.failures) == failures)
        }));
    }

    /// Asks the sender to end.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        if state.sender == Life::Running {
            state.sender = Life::Stopping;
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// Waits for the sender's end, and makes what is left as safe as it can be.
    pub(super) fn end(&self, deadline: Instant) {
        let state = self.shared.lock();
        let behind = |lane: &Lane| lane.left_behind && lane.spool.is_out();
        let mut state = self
            .shared
            .wait_while(state, deadline, |state| !state.lanes.all.iter().any(behind));
        // A request that is still on its way may yet arrive; if the process ends before, the next one sends it again.
        let lost = state.lanes.persist();
        loss::count(Lost::ShutdownDeadline, lost);
        if state.sender == Life::Ended {
            for lane in &mut state.lanes.all {
                lane.spool.close();
            }
        }
    }
}

/// A flush that is under way. Dropping it ends it.
pub(super) struct Flush<'a> {
    shared: &'a Shared,
    /// Of each signal, how many attempts failed before.
    failures: Vec<u64>,
    deadline: Instant,
}

impl Flush<'_> {
    fn waits(&self, state: &State) -> bool {
        let mut lanes = state.lanes.all.iter().zip(&self.failures);
        lanes.any(|(lane, &failures)| {
            !lane.spool.is_empty() && lane.failures == failures && !lane.is_sent_away(self.deadline)
        })
    }

    /// Waits until everything is delivered, an attempt fails, or until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) {
        let state = self.shared.lock();
        drop(
            self.shared
                .wait_while(state, deadline, |state| self.waits(state)),
        );
    }

    /// Makes durable what still waits.
    pub(super) fn persist(&self) {
        let mut state = self.shared.lock();
        if self.waits(&state) {
            state.lanes.persist();
        }
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        for lane in &mut self.shared.lock().lanes.all {
            lane.is_flushing = false;
        }
    }
}

impl Shared {
    /// Waits for the sender while `waits`, until `deadline`, or until it has ended.
    fn wait_while<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        waits: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while state.sender != Life::Ended
            && waits(&state)
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            state = wait(&self.settled, state, left);
        }
        state
    }
}
