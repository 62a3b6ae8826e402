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
//! A request ends with its root. What another process asked for ends with the span that served it; whether that span's
//! parent is in another process is not known before something of this process ends around it, so its records are kept
//! until then or until there is no more room. Where nothing says that it served another process, its end is known only
//! when recording ends: then whatever is still kept has ended.
//!
//! Invariant: at most `records_max` records are kept beside those of the slowest request; when more come, requests that
//! served another process settle first, then the request that has been going on for longest is given up and counted.

use std::{
    cmp::Reverse,
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

/// So many requests that were forgotten are known by their trace, so that what comes of them later is not taken for one.
const FORGOTTEN_MAX: usize = 1024;

/// Keeps the slowest request. Clones share what they keep.
#[derive(Clone, Debug)]
pub struct Slowest(Arc<Mutex<Kept>>);

/// One request's records.
#[derive(Debug, Default)]
struct Request {
    spans: Vec<Span>,
    logs: Vec<Log>,
    events: Vec<EventRecord>,
    ended: Option<End>,
    /// What came before was forgotten.
    is_rest: bool,
}

/// The end of a request, the one that counts greatest: whether a root ended and not a span that served another
/// process, and after how many nanoseconds.
type End = (bool, u64);

#[derive(Debug)]
struct Kept {
    records_max: usize,
    /// Records in `open`.
    records: usize,
    open: HashMap<TraceId, Request>,
    /// The traces in `open`, the one that has been going on for longest first; some have ended since.
    order: VecDeque<TraceId>,
    /// Those of them in which a span ended that served another process, the first first.
    served: VecDeque<TraceId>,
    /// Traces of which something was forgotten, the last one last.
    forgotten: VecDeque<TraceId>,
    slowest: Option<(TraceId, Request)>,
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
            served: VecDeque::new(),
            forgotten: VecDeque::new(),
            slowest: None,
            given_up: 0,
        })))
    }

    /// The account of the slowest request that ended so far.
    pub fn account(&self) -> Option<Account> {
        let kept = self.lock();
        let slowest = kept
            .slowest
            .iter()
            .map(|(trace_id, request)| (trace_id, request));
        let ended = kept
            .open
            .iter()
            .filter(|(_, request)| request.ended.is_some());
        let (trace_id, request) = slowest
            .chain(ended)
            .max_by_key(|(trace_id, request)| (request.duration_ns(), Reverse(**trace_id)))?;
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

    fn close(&mut self) -> Result<(), ExportError> {
        self.lock().end_all();
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

    /// How long it took; 0 while it goes on.
    fn duration_ns(&self) -> u64 {
        self.ended.map_or(0, |(_, duration_ns)| duration_ns)
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
                let (trace_id, is_root) = (span.trace_id, span.parent_id.is_none());
                let ends = is_root || matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
                let end = ends.then(|| (is_root, span.duration_ns()));
                self.request(trace_id, end, |request| request.spans.push(span));
                if is_root {
                    self.settle(trace_id);
                }
            }
            RecordRef::Log(log) => {
                let log = log.to_log();
                if let Some(place) = log
                    .place
                    .as_ref()
                    .filter(|_| log.severity >= Severity::Warn)
                {
                    self.request(place.trace_id, None, |request| request.logs.push(log));
                }
            }
            RecordRef::Event(event) if why::takes_part(event.descriptor().type_name) => {
                let event = event.to_event();
                if let Some(place) = &event.place {
                    self.request(place.trace_id, None, |request| request.events.push(event));
                }
            }
            RecordRef::Event(_) => {}
        }
    }

    /// Ends what no span has ended: nothing of this process does any more.
    fn end_all(&mut self) {
        for (trace_id, request) in &mut self.open {
            if request.ended.is_none() && !request.is_rest {
                let account = why::trace(&request.telemetry(), *trace_id);
                request.ended = account.map(|account| (false, account.interval.duration_ns));
            }
        }
    }

    /// Adds a record, which may end its request, and makes room while there are too many records.
    fn request(&mut self, trace_id: TraceId, end: Option<End>, add: impl FnOnce(&mut Request)) {
        match &mut self.slowest {
            // A part that ended after its request, or what is around it.
            Some((slowest, request)) if *slowest == trace_id => {
                request.ended = request.ended.max(end);
                if request.len() < self.records_max {
                    add(request);
                }
                return;
            }
            _ => {}
        }
        let (order, forgotten) = (&mut self.order, &self.forgotten);
        let request = self.open.entry(trace_id).or_insert_with(|| {
            order.push_back(trace_id);
            Request {
                is_rest: forgotten.contains(&trace_id),
                ..Request::default()
            }
        });
        add(request);
        if request.ended.is_none() && matches!(end, Some((false, _))) {
            self.served.push_back(trace_id);
        }
        request.ended = request.ended.max(end);
        self.records += 1;
        while self.records > self.records_max && self.make_room() {}
    }

    /// Settles a request that has ended as far as is known or, without one, gives up the oldest that goes on; whether
    /// there was any.
    fn make_room(&mut self) -> bool {
        if let Some(served) = self.served.pop_front() {
            self.settle(served);
            return true;
        }
        let Some(oldest) = self.order.pop_front() else {
            return false;
        };
        if let Some(request) = self.open.remove(&oldest) {
            self.records -= request.len();
            self.given_up += 1;
            self.forget(oldest);
        }
        true
    }

    fn forget(&mut self, trace_id: TraceId) {
        if self.forgotten.len() == FORGOTTEN_MAX {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(trace_id);
    }

    /// Keeps a request that has ended if it is the slowest, and forgets it otherwise.
    fn settle(&mut self, trace_id: TraceId) {
        let ended = self
            .open
            .get(&trace_id)
            .is_some_and(|request| request.ended.is_some());
        let Some(request) = ended.then(|| self.open.remove(&trace_id)).flatten() else {
            return;
        };
        self.records -= request.len();
        let slowest_ns = self
            .slowest
            .as_ref()
            .map(|(_, slowest)| slowest.duration_ns());
        let forgotten = if slowest_ns.is_none_or(|slowest_ns| request.duration_ns() > slowest_ns) {
            let before = self.slowest.replace((trace_id, request));
            before.map(|(trace_id, _)| trace_id)
        } else {
            Some(trace_id)
        };
        if let Some(trace_id) = forgotten {
            self.forget(trace_id);
        }
        let open = &self.open;
        for places in [&mut self.order, &mut self.served] {
            if places.len() > open.len() * 2 + 16 {
                places.retain(|trace_id| open.contains_key(trace_id));
            }
        }
    }
}
