//! Which requests there were lately: what stands in for a label that would hold a request's id.
//!
//! Such a label makes a series of every request. Here a measurement leaves an exemplar with its trace ID, and this index
//! leads from there to the id that the caller gave, and back.
//!
//! Invariant: the last [`RECENT_IDS_MAX`] requests are held, each once; only the pump adds one.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::{batch::SpanRef, ids::TraceId};

/// How many requests are remembered.
pub const RECENT_IDS_MAX: usize = 2_048;

/// A request that brought an id of its own (`x-request-id`), and its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentId {
    /// The caller's id.
    pub id: Arc<str>,
    /// The trace that the request was recorded in.
    pub trace_id: TraceId,
    /// When its first span ended, in nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
}

#[derive(Default)]
struct Index {
    /// Handle of the id, and the request; the oldest first.
    requests: VecDeque<(u32, RecentId)>,
    known: HashSet<(u32, TraceId)>,
}

static INDEX: LazyLock<Mutex<Index>> = LazyLock::new(Mutex::default);

fn index() -> MutexGuard<'static, Index> {
    INDEX.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last [`RECENT_IDS_MAX`] requests that had an id of their own, the newest first.
///
/// ```
/// use radiosonde_core::{ids::TraceId, metrics};
///
/// /// Whose request an exemplar came from.
/// fn request_of(trace_id: TraceId) -> Option<String> {
///     let recent = metrics::recent_ids();
///     let request = recent.iter().find(|request| request.trace_id == trace_id)?;
///     Some(request.id.to_string())
/// }
/// ```
pub fn recent_ids() -> Vec<RecentId> {
    let index = index();
    let newest_first = index.requests.iter().rev();
    newest_first.map(|(_, request)| request.clone()).collect()
}

/// Takes the request of a span, unless it is known.
pub(super) fn note(span: &SpanRef<'_>) {
    let (handle, trace_id) = (span.correlation(), span.trace_id());
    let mut index = index();
    if !index.known.insert((handle, trace_id)) {
        return;
    }
    let Some(id) = span.correlation_id() else {
        // Too many came since; its handle may be another's one day.
        index.known.remove(&(handle, trace_id));
        return;
    };
    if index.requests.len() == RECENT_IDS_MAX
        && let Some((handle, oldest)) = index.requests.pop_front()
    {
        index.known.remove(&(handle, oldest.trace_id));
    }
    let time_unix_ns = span.end_unix_ns();
    let request = RecentId {
        id,
        trace_id,
        time_unix_ns,
    };
    index.requests.push_back((handle, request));
}
