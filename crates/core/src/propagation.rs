//! Context across processes: W3C `traceparent`, `tracestate` and `baggage` in and out, B3 in, over any carrier of names
//! and values (HTTP headers, gRPC metadata, environment variables).
//!
//! ```
//! use std::collections::HashMap;
//! use radiosonde_core::propagation::FullContext;
//!
//! let headers = HashMap::from([(
//!     "traceparent".to_owned(),
//!     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
//! )]);
//! let request = FullContext::extract(&headers);
//! let _scope = request.attach(); // spans opened from here on are the caller's children
//! let mut outgoing = HashMap::new();
//! request.inject(&mut outgoing); // or `propagation::inject`, for what the thread is in by now
//! assert_eq!(outgoing["traceparent"], headers["traceparent"]);
//! ```
//!
//! Invariant: whatever a carrier holds, extracting never panics. What is malformed is ignored and counted under
//! [`Lost::MalformedContext`]; the rest of the carrier still counts.

mod b3;
mod baggage;
mod carriers;
mod trace_context;

use std::{
    cell::RefCell,
    fmt,
    marker::PhantomData,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

pub use self::{
    baggage::{BAGGAGE_BYTES_MAX, BAGGAGE_MEMBERS_MAX, Baggage, BaggageError, Member},
    carriers::Environment,
    trace_context::{
        Malformed, TRACE_STATE_BYTES_MAX, TRACE_STATE_MEMBERS_MAX, TraceParent, TraceState,
    },
};
use crate::{
    context::{self, Attached, Context, RANDOM, SAMPLED},
    correlation, lane,
    loss::{self, Lost},
    sampling::{self, Sampler},
};

/// Names that a caller's own request identifier has, the first that is present counts; the first is also written.
pub const CORRELATION_NAMES: [&str; 2] = ["x-request-id", "x-correlation-id"];

/// Something that names and values can be read from, for example the headers of a request. Names are asked for in
/// lower case and compared without regard to case.
pub trait Extract {
    /// The value of `name`; the first where there are several.
    fn get(&self, name: &str) -> Option<&str>;

    /// Every value of `name`, in order.
    fn get_all(&self, name: &str) -> Vec<&str> {
        self.get(name).into_iter().collect()
    }
}

/// Something that names and values can be written to, for example the headers of a request.
pub trait Inject {
    /// Sets `name` to `value`, in place of what was there. Names are lower case.
    fn set(&mut self, name: &str, value: &str);

    /// Makes `name` absent.
    fn remove(&mut self, name: &str);
}

/// Which headers are read and written. Everything, unless `OTEL_PROPAGATORS` or the like says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// `traceparent` and `tracestate`, in and out.
    pub trace_context: bool,
    /// `baggage`, in and out.
    pub baggage: bool,
    /// `b3` and `x-b3-*`, in only, where there is no `traceparent`.
    pub b3: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            trace_context: true,
            baggage: true,
            b3: true,
        }
    }
}

/// A name in a list of propagators that we do not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown propagator `{}`; known ones are tracecontext, baggage, b3, b3multi, none",
            self.0
        )
    }
}

impl std::error::Error for UnknownFormat {}

impl Formats {
    const NONE: Self = Self {
        trace_context: false,
        baggage: false,
        b3: false,
    };

    /// Reads a list as in `OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `b3`, `b3multi` or `none`, separated by
    /// commas.
    pub fn parse(list: &str) -> Result<Self, UnknownFormat> {
        let mut formats = Self::NONE;
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name {
                "tracecontext" => formats.trace_context = true,
                "baggage" => formats.baggage = true,
                "b3" | "b3multi" => formats.b3 = true,
                "none" => {}
                _ => return Err(UnknownFormat(name.to_owned())),
            }
        }
        Ok(formats)
    }
}

static FORMATS: AtomicU8 = AtomicU8::new(0b111);

/// Chooses which headers the process reads and writes from now on.
pub fn set_formats(formats: Formats) {
    let bits = u8::from(formats.trace_context)
        | u8::from(formats.baggage) << 1
        | u8::from(formats.b3) << 2;
    FORMATS.store(bits, Relaxed);
}

/// Which headers the process reads and writes.
pub fn formats() -> Formats {
    let bits = FORMATS.load(Relaxed);
    Formats {
        trace_context: bits & 1 != 0,
        baggage: bits & 2 != 0,
        b3: bits & 4 != 0,
    }
}

/// What travels beside the ids. Shared, because it is large and seldom changes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    trace_state: Option<TraceState>,
    baggage: Baggage,
    /// The text of the correlation ID, which is not forgotten while it is held.
    correlation: Option<correlation::Held>,
}

/// The calling thread's [`Side`]s, the innermost last, each with the number of the scope that it belongs to.
struct Sides {
    next: u64,
    entered: Vec<(u64, Option<Arc<Side>>)>,
}

thread_local! {
    static SIDES: RefCell<Sides> = const { RefCell::new(Sides { next: 0, entered: Vec::new() }) };
}

/// A context with everything that travels with it: trace and span, correlation ID, `tracestate` and baggage. Cheap to
/// clone; it can be sent to other threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FullContext {
    /// Words 1-6 of a context slot; without a span where only a correlation ID is known.
    place: [u64; 6],
    side: Option<Arc<Side>>,
}

impl From<Context> for FullContext {
    fn from(context: Context) -> Self {
        let correlation = context.held_correlation_id();
        let side = correlation.map(|held| Side {
            correlation: Some(held),
            ..Side::default()
        });
        Self {
            place: context.place(),
            side: side.map(Arc::new),
        }
    }
}

impl FullContext {
    /// What the calling thread is in.
    pub fn current() -> Self {
        let side = SIDES.try_with(|sides| {
            let sides = sides.try_borrow().ok()?;
            match sides.entered.last() {
                Some((_, side)) => side.clone(),
                None => process().side.clone(),
            }
        });
        Self {
            place: context::place(),
            side: side.ok().flatten(),
        }
    }

    /// What `carrier` says. Whether the trace is recorded is decided here, by the process's
    /// [sampler](crate::sampling).
    pub fn extract(carrier: &(impl Extract + ?Sized)) -> Self {
        let formats = formats();
        let mut side = Side::default();
        let (mut extracted, mut decision) = (None, 0);
        if formats.trace_context {
            extracted = trace_context(carrier, &mut side);
        }
        if formats.b3 && extracted.is_none() {
            (extracted, decision) = zipkin(carrier);
        }
        if formats.baggage {
            let (baggage, refused) = Baggage::parse(&carrier.get_all("baggage").join(","));
            loss::count(Lost::MalformedContext, refused as u64);
            side.baggage = baggage;
        }
        let mut full = extracted.map_or_else(Self::default, Self::from);
        full.place[5] |= decision;
        if let Some((handle, held)) = correlation_id(carrier).and_then(correlation::keep) {
            full.place[5] |= u64::from(handle) << 32;
            side.correlation = Some(held);
        }
        full.side = (side != Side::default()).then(|| Arc::new(side));
        full
    }

    /// Writes it to `carrier`, and removes trace and baggage of another request from there. A request identifier that
    /// is there stays unless it has one of its own; so does a trace where nothing is recorded, because a program that
    /// is not observed passes on what it was given.
    pub fn inject(&self, carrier: &mut (impl Inject + ?Sized)) {
        let mut put = |name: &str, value: Option<&str>| match value {
            Some(value) => carrier.set(name, value),
            None => carrier.remove(name),
        };
        let formats = formats();
        let context = self.context();
        if formats.trace_context && (context.is_some() || lane::uncounted().is_some()) {
            let parent = context.map(|context| TraceParent {
                trace_id: context.trace_id,
                span_id: context.span_id,
                flags: context.flags,
            });
            let mut room = [0; TraceParent::BYTES];
            put(
                "traceparent",
                parent.and_then(|parent| parent.text(&mut room)),
            );
            let state = context.and_then(|_| self.trace_state());
            put("tracestate", state.map(TraceState::as_str));
        }
        if formats.baggage {
            let baggage = self.baggage().map(Baggage::to_string);
            put("baggage", baggage.as_deref());
        }
        if let Some(id) = self.correlation_id() {
            put(CORRELATION_NAMES[0], Some(&id));
        }
    }

    /// The trace and span, where there is one.
    pub fn context(&self) -> Option<Context> {
        Context::from_place(&self.place)
    }

    /// The caller's own request identifier, where one was given and is still remembered.
    pub fn correlation_id(&self) -> Option<Arc<str>> {
        correlation::text((self.place[5] >> 32) as u32)
    }

    /// What other tracing systems on the way wrote about this trace.
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.side.as_ref()?.trace_state.as_ref()
    }

    /// The baggage, unless there is none.
    pub fn baggage(&self) -> Option<&Baggage> {
        self.side
            .as_ref()
            .map(|side| &side.baggage)
            .filter(|baggage| !baggage.is_empty())
    }

    /// The same with other baggage.
    #[must_use]
    pub fn with_baggage(mut self, baggage: Baggage) -> Self {
        Arc::make_mut(self.side.get_or_insert_default()).baggage = baggage;
        self
    }

    /// The same with the caller's own request identifier, which every record under it carries.
    #[must_use]
    pub fn with_correlation_id(mut self, id: &str) -> Self {
        let (handle, held) = correlation::keep(id).unzip();
        let flags = self.place[5] & u64::from(u32::MAX);
        self.place[5] = flags | u64::from(handle.unwrap_or(0)) << 32;
        if held.is_some() || self.side.is_some() {
            Arc::make_mut(self.side.get_or_insert_default()).correlation = held;
        }
        self
    }

    /// Makes this what the calling thread is in until the guard is dropped, whether or not anything is recorded:
    /// [`current`](Self::current) and [`inject`](Self::inject) pass it on.
    #[must_use = "the context is left when the guard is dropped"]
    pub fn attach(&self) -> Scope {
        let number = SIDES.try_with(|sides| {
            let mut sides = sides.try_borrow_mut().ok()?;
            sides.next += 1;
            let number = sides.next;
            sides.entered.push((number, self.side.clone()));
            Some(number)
        });
        Scope {
            _attached: context::attach_place(&self.place),
            number: number.ok().flatten(),
            not_send: PhantomData,
        }
    }
}

/// Keeps a [`FullContext`] attached to the thread.
pub struct Scope {
    _attached: Attached,
    number: Option<u64>,
    not_send: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        // A thread that ends has no sides left to restore.
        let _ = SIDES.try_with(|sides| {
            if let Ok(mut sides) = sides.try_borrow_mut() {
                // Guards may be dropped out of order, so it need not be the last one.
                sides.entered.retain(|&(other, _)| other != number);
            }
        });
    }
}

/// What each thread starts in; see [`set_process_context`].
static PROCESS: RwLock<FullContext> = RwLock::new(FullContext {
    place: [0; 6],
    side: None,
});

fn process() -> RwLockReadGuard<'static, FullContext> {
    PROCESS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Makes `context` what each thread starts in, so that a child process continues the trace that it was started in:
/// `set_process_context(FullContext::extract(&Environment::read()))`, which `init` does. Threads that recorded something
/// before keep what they are in.
pub fn set_process_context(context: FullContext) {
    context::set_process_place(context.place);
    *PROCESS.write().unwrap_or_else(PoisonError::into_inner) = context;
}

/// Writes what the calling thread is in to `carrier`: `FullContext::current().inject(carrier)`.
pub fn inject(carrier: &mut (impl Inject + ?Sized)) {
    FullContext::current().inject(carrier);
}

fn malformed<T>() -> Option<T> {
    loss::count(Lost::MalformedContext, 1);
    None
}

fn decided(parent: &TraceParent, caller: Option<bool>) -> Context {
    let sampled = sampling::current().decide(parent.trace_id, caller, None);
    let flags = parent.flags & RANDOM | if sampled { SAMPLED } else { 0 };
    Context::remote(parent.trace_id, parent.span_id, flags)
}

fn trace_context(carrier: &(impl Extract + ?Sized), side: &mut Side) -> Option<Context> {
    let parent: TraceParent = match carrier.get_all("traceparent")[..] {
        [] => return None,
        [one] => one.parse().ok().or_else(malformed)?,
        _ => return malformed(),
    };
    // A state without a parent means nothing, so it is read only here.
    match TraceState::parse(&carrier.get_all("tracestate").join(",")) {
        Ok((state, cut)) => {
            side.trace_state = state;
            loss::count(Lost::MalformedContext, u64::from(cut));
        }
        Err(Malformed) => side.trace_state = malformed(),
    }
    Some(decided(&parent, Some(parent.flags & SAMPLED != 0)))
}

/// The context in B3 headers, or the decision of a caller that sent no trace, as in a slot's flags.
fn zipkin(carrier: &(impl Extract + ?Sized)) -> (Option<Context>, u64) {
    let Some(b3) = b3::extract(carrier).unwrap_or_else(|Malformed| malformed()) else {
        return (None, 0);
    };
    let Some((trace_id, span_id)) = b3.ids else {
        let follows = matches!(sampling::current(), Sampler::ParentBased(_));
        return match b3.sampled.filter(|_| follows) {
            Some(true) => (None, context::ASKED_FOR),
            Some(false) => (None, context::DECLINED),
            None => (None, 0),
        };
    };
    let parent = TraceParent {
        trace_id,
        span_id,
        flags: 0,
    };
    (Some(decided(&parent, b3.sampled)), 0)
}

fn correlation_id(carrier: &(impl Extract + ?Sized)) -> Option<&str> {
    let id = CORRELATION_NAMES
        .iter()
        .find_map(|name| carrier.get(name))?
        .trim();
    if id.is_empty() {
        None
    } else if id.chars().any(char::is_control) {
        malformed()
    } else {
        Some(id)
    }
}
