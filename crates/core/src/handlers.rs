//! Functions of users that are called with events.
//!
//! They run on the pump's thread, after the record path: a handler costs the recording thread nothing, and one that
//! blocks holds back every consumer, so slow work belongs on a thread of its own. A handler may attach and detach
//! handlers, itself too; the change holds from the next batch on. A handler that panics is detached and reported as
//! [`HandlerDetached`].
//!
//! What a handler records itself, spans, logs and events, is recorded like anybody's and comes with a later batch; so
//! nothing is recorded by one that is called when recording stops, as by anybody then. No
//! handler is called with such an event, so that none can feed itself; one that has another thread record must see to
//! that on its own.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::{
    batch::{Batch, EventRef},
    event::{Descriptor, Event as _},
    events::HandlerDetached,
    lane::{self, Lane},
    panics::{drop_caught, panic_text},
    pump::Consumer,
};

type Handler = dyn Fn(&EventRef<'_>) + Send + Sync;

struct Entry {
    id: Box<str>,
    patterns: Box<[Pattern]>,
    handler: Box<Handler>,
    /// Set by a panic, so that the rest of the batch passes it by.
    failed: AtomicBool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // This may be on the pump's thread, which must go on whatever the handler owns.
        drop_caught(mem::replace(&mut self.handler, Box::new(|_| ())));
    }
}

static HANDLERS: RwLock<Vec<Arc<Entry>>> = RwLock::new(Vec::new());

/// Which events a handler is called with.
#[derive(Debug, PartialEq)]
enum Pattern {
    All,
    /// Names that start with this, which ends in a dot.
    Prefix(Box<str>),
    Exact(Box<str>),
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let (name, prefix) = match text.strip_suffix(".*") {
            Some(_) => (text.trim_end_matches('*'), true),
            None => (text, false),
        };
        if name.is_empty() || name == "." || name.contains('*') {
            None
        } else if prefix {
            Some(Self::Prefix(name.into()))
        } else {
            Some(Self::Exact(name.into()))
        }
    }

    fn matches(&self, event: &Descriptor) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => {
                event.name.starts_with(&**prefix)
                    || event
                        .aliases
                        .iter()
                        .any(|alias| alias.starts_with(&**prefix))
            }
            Self::Exact(name) => event.answers_to(name),
        }
    }
}

/// A handler was not attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// A handler of this id is attached already.
    DuplicateId(String),
    /// There is no pattern, so the handler would never be called.
    NoPattern(String),
    /// This is not a pattern.
    Pattern(String),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateId(id) => write!(
                f,
                "a handler `{id}` is attached already; detach it first or choose another id"
            ),
            Self::NoPattern(id) => write!(
                f,
                "handler `{id}` has no pattern; give `*` to have it called with every event"
            ),
            Self::Pattern(pattern) => write!(
                f,
                "`{pattern}` is not a pattern; write an event's name, `prefix.*` or `*`"
            ),
        }
    }
}

impl std::error::Error for AttachError {}

/// Has `handler` called with every event that matches one of `patterns`: an event's name, type name or alias,
/// `prefix.*` for every name or alias below a prefix, or `*` for all.
///
/// ```
/// use radiosonde_core::{events::GpuOpCompleted, handlers};
///
/// handlers::attach("slow-ops", &["gpu.op"], |event| {
///     if let Some(Ok(op)) = event.read::<GpuOpCompleted>() {
///         // op.duration, op.op_name ...
///     }
/// })?;
/// assert!(handlers::detach("slow-ops"));
/// # Ok::<(), handlers::AttachError>(())
/// ```
pub fn attach(
    id: &str,
    patterns: &[&str],
    handler: impl Fn(&EventRef<'_>) + Send + Sync + 'static,
) -> Result<(), AttachError> {
    if patterns.is_empty() {
        return Err(AttachError::NoPattern(id.to_owned()));
    }
    let patterns = patterns
        .iter()
        .map(|text| Pattern::parse(text).ok_or_else(|| AttachError::Pattern((*text).to_owned())))
        .collect::<Result<_, _>>()?;
    let mut handlers = HANDLERS.write().unwrap_or_else(PoisonError::into_inner);
    if handlers.iter().any(|entry| *entry.id == *id) {
        return Err(AttachError::DuplicateId(id.to_owned()));
    }
    handlers.push(Arc::new(Entry {
        id: id.into(),
        patterns,
        handler: Box::new(handler),
        failed: AtomicBool::new(false),
    }));
    Ok(())
}

/// Stops calling the handler of this id. `false` when there is none.
pub fn detach(id: &str) -> bool {
    let detached: Vec<_> = {
        let mut handlers = HANDLERS.write().unwrap_or_else(PoisonError::into_inner);
        handlers.extract_if(.., |entry| *entry.id == *id).collect()
    };
    // Dropped here, without the lock: what a handler owns may detach another one when dropped.
    !detached.is_empty()
}

/// The ids of the attached handlers, in the order in which they were attached.
pub fn attached() -> Vec<String> {
    let handlers = HANDLERS.read().unwrap_or_else(PoisonError::into_inner);
    handlers.iter().map(|entry| entry.id.to_string()).collect()
}

/// Calls the attached handlers with the events of `batch`, in order, except for events that handlers recorded on this
/// thread, where it is one that telemetry passes through.
pub fn dispatch(batch: &Batch) {
    let handlers = {
        let handlers = HANDLERS.read().unwrap_or_else(PoisonError::into_inner);
        if handlers.is_empty() {
            return;
        }
        handlers.clone()
    };
    // Nothing but handlers, and what is said of them, makes a record on a thread that is silent.
    let silent = if lane::is_silent() {
        lane::kept().map(Lane::thread)
    } else {
        None
    };
    for event in batch.events() {
        if silent == Some(event.thread())
            && event.descriptor().name != HandlerDetached::DESCRIPTOR.name
        {
            continue;
        }
        for entry in &handlers {
            call(entry, &event);
        }
    }
}

fn call(entry: &Arc<Entry>, event: &EventRef<'_>) {
    let descriptor = event.descriptor();
    if entry.failed.load(Relaxed) || !entry.patterns.iter().any(|p| p.matches(descriptor)) {
        return;
    }
    let _aloud = lane::aloud();
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (entry.handler)(event))) else {
        return;
    };
    entry.failed.store(true, Relaxed);
    detach_failed(entry);
    // A handler fails once and is gone, so this cannot feed itself.
    crate::record!(HandlerDetached {
        handler: &entry.id,
        event: descriptor.name,
        message: panic_text(panic.as_ref()),
    });
    drop_caught(panic);
}

fn detach_failed(entry: &Arc<Entry>) {
    let mut handlers = HANDLERS.write().unwrap_or_else(PoisonError::into_inner);
    handlers.retain(|other| !Arc::ptr_eq(other, entry));
}

/// Calls the attached handlers from a pump.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dispatch;

impl Consumer for Dispatch {
    fn consume(&mut self, batch: &Arc<Batch>) {
        dispatch(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{CallCompleted, GpuOpCompleted};

    #[test]
    fn patterns_match_names_and_aliases() {
        let matches = |pattern: &str, event| Pattern::parse(pattern).unwrap().matches(event);
        let (op, call) = (GpuOpCompleted::DESCRIPTOR, CallCompleted::DESCRIPTOR);
        for (pattern, expected) in [
            ("*", [true, true]),
            ("gpu.op", [true, false]),
            ("GpuOpCompleted", [true, false]),
            ("gpu.*", [true, false]),
            ("gp.*", [false, false]),
            ("snakepit.call.stop", [false, true]),
            ("snakepit.*", [false, true]),
            ("worker.call.*", [false, false]),
        ] {
            assert_eq!(
                [matches(pattern, op), matches(pattern, call)],
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn bad_registrations_are_refused() {
        for pattern in ["", ".*", "a*", "*.a", "a.*.b", "**"] {
            let error = attach("test-bad", &[pattern], |_| ()).unwrap_err();
            assert_eq!(error, AttachError::Pattern(pattern.to_owned()));
        }
        assert_eq!(
            attach("test-bad", &[], |_| ()),
            Err(AttachError::NoPattern("test-bad".to_owned()))
        );
        attach("test-twice", &["*"], |_| ()).unwrap();
        let error = attach("test-twice", &["*"], |_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a handler `test-twice` is attached already; detach it first or choose another id"
        );
        assert!(detach("test-twice"));
        assert!(!detach("test-twice"));
    }
}
