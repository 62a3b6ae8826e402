//! Why the slowest request was slow, answered by the program itself.
//!
//! [`Slowest`] is an exporter that keeps the records of requests that are going on and of the slowest one that ended,
//! and accounts for that one when asked: at the end of a run, or at any moment before.
//!
//! ```
//! use radiosonde::why::Slowest;
//!
//! let slowest = Slowest::default();
//! let guard = radiosonde::builder().exporter(slowest.clone()).init()?;
//! {
//!     let _request = tracing::info_span!("request").entered();
//! }
//! drop(guard);
//! let account = slowest.account().expect("a request ended");
//! assert!(account.to_string().starts_with("`request` took "));
//! # Ok::<(), radiosonde::InitError>(())
//! ```
//!
//! Invariant: at most `records_max` records are kept beside those of the slowest request; when more come, the request
//! that has been going on for longest is given up and counted.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use radiosonde_answers::why::{self, Account, Telemetry};
use radiosonde_core::{
    batch::{Batch, RecordRef},
    ids::TraceId,
    model::{EventRecord, Log, Severity, Span, SpanKind},
};

use crate::exporter::{ExportError, Exporter};

/// Records kept of requests that are going on, unless said otherwise: some 10 MB.
pub const RECORDS_MAX_DEFAULT: usize = 32_768;

/// Keeps the slowest request. Clones share what they keep.
#[derive(Clone, Debug)]
pub struct Slowest(Arc<Mutex<Kept>>);

/// One request's records.
#[derive(Debug, Default)]
struct Request {
    spans: Vec<Span>,
    logs: Vec<Log>,
    events: Vec<EventRecord>,
}

#[derive(Debug)]
struct Kept {
    records_max: usize,
    /// Records in `open`.
    records: usize,
    open: HashMap<TraceId, Request>,
    /// The traces in `open`, the one that has been going on for longest first; some have ended since.
    order: VecDeque<TraceId>,
    slowest: Option<(TraceId, u64, Request)>,
    given_up: u64,
}

impl Default for Slowest {
    fn default() -> Self {
        Self::new(RECORDS_MAX_DEFAULT)
    }
}

impl Slowest {
    /// Keeps at most `records_max` records of requests that are going on.
    pub fn new(records_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            records_max,
            records: 0,
            open: HashMap::new(),
            order: VecDeque::new(),
            slowest: None,
            given_up: 0,
        })))
    }

    /// The account of the slowest request that ended so far.
    pub fn account(&self) -> Option<Account> {
        let kept = self.lock();
        let (trace_id, _, request) = kept.slowest.as_ref()?;
        why::trace(&request.telemetry(), *trace_id)
    }

    /// Requests that were given up because too many records were kept.
    pub fn given_up(&self) -> u64 {
        self.lock().given_up
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exporter for Slowest {
    fn name(&self) -> &'static str {
        "why"
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        let mut kept = self.lock();
        for record in batch.records() {
            kept.take(&record);
        }
        Ok(())
    }
}

impl Request {
    fn telemetry(&self) -> Telemetry<'_> {
        Telemetry {
            spans: &self.spans,
            logs: &self.logs,
            events: &self.events,
        }
    }

    fn len(&self) -> usize {
        self.spans.len() + self.logs.len() + self.events.len()
    }
}

impl Kept {
    fn take(&mut self, record: &RecordRef<'_>) {
        match record {
            RecordRef::Span(span) => {
                let span = span.to_span();
                let (trace_id, duration_ns) = (span.trace_id, span.duration_ns());
                // What another process asked for is a request of this one.
                let ends = span.parent_id.is_none()
                    || matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
                self.request(trace_id, |request| request.spans.push(span));
                if ends {
                    self.end(trace_id, duration_ns);
                }
            }
            RecordRef::Log(log) => {
                let log = log.to_log();
                if let Some(place) = log
                    .place
                    .as_ref()
                    .filter(|_| log.severity >= Severity::Warn)
                {
                    self.request(place.trace_id, |request| request.logs.push(log));
                }
            }
            RecordRef::Event(event) if why::takes_part(event.descriptor().type_name) => {
                let event = event.to_event();
                if let Some(place) = &event.place {
                    self.request(place.trace_id, |request| request.events.push(event));
                }
            }
            RecordRef::Event(_) => {}
        }
    }

    /// Adds a record to its request, and gives up the oldest requests while there are too many records.
    fn request(&mut self, trace_id: TraceId, add: impl FnOnce(&mut Request)) {
        match &mut self.slowest {
            // A part that ended after its request.
            Some((slowest, _, request)) if *slowest == trace_id => {
                if request.len() < self.records_max {
                    add(request);
                }
                return;
            }
            _ => {}
        }
        let order = &mut self.order;
        add(self.open.entry(trace_id).or_insert_with(|| {
            order.push_back(trace_id);
            Request::default()
        }));
        self.records += 1;
        while self.records > self.records_max {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(request) = self.open.remove(&oldest) {
                self.records -= request.len();
                self.given_up += 1;
            }
        }
    }

    fn end(&mut self, trace_id: TraceId, duration_ns: u64) {
        let is_slowest = self
            .slowest
            .as_ref()
            .is_none_or(|(_, slowest_ns, _)| duration_ns > *slowest_ns);
        let Some(request) = self.open.remove(&trace_id) else {
            return;
        };
        self.records -= request.len();
        if is_slowest {
            self.slowest = Some((trace_id, duration_ns, request));
        }
        if self.order.len() > self.open.len() * 2 + 16 {
            let open = &self.open;
            self.order.retain(|trace_id| open.contains_key(trace_id));
        }
    }
}
