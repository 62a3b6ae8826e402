//! The filter at work: the process's current one, and which followed spans each thread is inside of.
//!
//! Only filters with directives on spans come here at each use; all others are asked once a callsite.
//! Invariant: state made under one filter is never read under another. Each filter that is set has its own number,
//! and a thread's list of entered spans carries the number it was made under.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
};

use tracing_core::{
    Interest, Level, LevelFilter, Metadata,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{Filter, directive::Expected};

/// Whether the current filter follows spans. Read on the way into every span, so it is one plain load.
static WATCHES_SPANS: AtomicBool = AtomicBool::new(false);
/// Number of the current filter; grows with each change.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);
static ACTIVE: LazyLock<RwLock<Arc<Active>>> =
    LazyLock::new(|| RwLock::new(Arc::new(Active::new(Filter::default()))));

/// Who is told of changes. Held for as long as a change takes, so that what callsites and listeners remember is always
/// what the last one said.
static LISTENERS: Mutex<Vec<fn(&Filter)>> = Mutex::new(Vec::new());

thread_local! {
    static ENTERED: RefCell<Entered> = const { RefCell::new(Entered { number: 0, spans: Vec::new() }) };
}

/// The followed spans that a thread is inside of, for the filter of that number.
struct Entered {
    number: u64,
    spans: Vec<(u64, Arc<Watched>)>,
}

/// A filter and the spans it follows.
#[derive(Debug)]
pub(super) struct Active {
    filter: Arc<Filter>,
    number: u64,
    spans: Mutex<HashMap<u64, Arc<Watched>>>,
}

/// What an open span enables inside itself.
#[derive(Debug)]
struct Watched {
    /// Rank of the level that it enables now.
    level: AtomicU8,
    /// Directives whose values have not all been seen yet.
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    level: LevelFilter,
    fields: Vec<(Field, Expected)>,
}

const RANKS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

fn rank(level: LevelFilter) -> u8 {
    RANKS.iter().position(|&other| other == level).unwrap_or(0) as u8
}

impl Active {
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            filter: Arc::new(filter),
            number: NEXT_NUMBER.fetch_add(1, Relaxed),
            spans: Mutex::default(),
        }
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Arc<Watched>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The level that the spans around this thread enable. `OFF` while the thread ends.
    fn inside(&self) -> LevelFilter {
        if !self.filter.has_span_directives() {
            return LevelFilter::OFF;
        }
        self.with_entered(|spans| {
            let highest = spans
                .iter()
                .map(|(_, span)| span.level.load(Relaxed))
                .max()
                .unwrap_or(0);
            RANKS[usize::from(highest)]
        })
        .unwrap_or(LevelFilter::OFF)
    }

    fn with_entered<R>(&self, with: impl FnOnce(&mut Vec<(u64, Arc<Watched>)>) -> R) -> Option<R> {
        ENTERED
            .try_with(|entered| {
                let mut entered = entered.try_borrow_mut().ok()?;
                if entered.number != self.number {
                    entered.number = self.number;
                    entered.spans.clear();
                }
                Some(with(&mut entered.spans))
            })
            .ok()?
    }

    pub(super) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata, self.inside())
    }

    fn allows(&self, target: &str, level: Level) -> bool {
        self.filter.allows(target, level, self.inside())
    }

    pub(super) fn span_created(&self, attributes: &Attributes<'_>, id: &Id) {
        let metadata = attributes.metadata();
        let mut base = None;
        let mut waiting = Vec::new();
        for directive in self.filter.watching(metadata) {
            let fields: Vec<_> = directive
                .fields
                .iter()
                .filter_map(|field| {
                    let expected = field.value.clone()?;
                    Some((metadata.fields().field(field.name.as_str())?, expected))
                })
                .collect();
            if fields.is_empty() {
                base = base.max(Some(directive.level));
            } else {
                waiting.push(Waiting {
                    level: directive.level,
                    fields,
                });
            }
        }
        if base.is_none() && waiting.is_empty() {
            return;
        }
        let watched = Watched {
            level: AtomicU8::new(base.map_or(0, rank)),
            waiting: Mutex::new(waiting),
        };
        watched.see(|matcher| attributes.record(matcher));
        self.spans().insert(id.into_u64(), Arc::new(watched));
    }

    pub(super) fn span_recorded(&self, id: &Id, values: &Record<'_>) {
        let watched = self.spans().get(&id.into_u64()).cloned();
        if let Some(watched) = watched {
            watched.see(|matcher| values.record(matcher));
        }
    }

    pub(super) fn span_entered(&self, id: &Id) {
        let watched = self.spans().get(&id.into_u64()).cloned();
        if let Some(watched) = watched {
            self.with_entered(|spans| spans.push((id.into_u64(), watched)));
        }
    }

    pub(super) fn span_exited(&self, id: &Id) {
        self.with_entered(|spans| {
            // Guards may be dropped out of order, so the span need not be the last one entered.
            if let Some(at) = spans.iter().rposition(|&(other, _)| other == id.into_u64()) {
                spans.remove(at);
            }
        });
    }

    pub(super) fn span_closed(&self, id: &Id) {
        self.spans().remove(&id.into_u64());
    }
}

impl Watched {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, record: impl FnOnce(&mut Matcher<'_>)) {
        if self.waiting().is_empty() {
            return;
        }
        record(&mut Matcher(self));
        self.waiting().retain(|directive| {
            if directive.fields.is_empty() {
                self.level.fetch_max(rank(directive.level), Relaxed);
            }
            !directive.fields.is_empty()
        });
    }
}

/// Takes off each directive's list the fields whose values fit. Nothing is locked while a value is formatted, which may
/// record on the same span.
struct Matcher<'a>(&'a Watched);

impl Matcher<'_> {
    fn met(&self, field: &Field, fits: impl Fn(&Expected) -> bool) {
        for directive in &mut *self.0.waiting() {
            directive
                .fields
                .retain(|(wanted, expected)| wanted != field || !fits(expected));
        }
    }

    fn awaits(&self, field: &Field) -> bool {
        self.0
            .waiting()
            .iter()
            .any(|directive| directive.fields.iter().any(|(wanted, _)| wanted == field))
    }
}

impl Visit for Matcher<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.met(field, |expected| expected.matches_float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.met(field, |expected| expected.matches_integer(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.met(field, |expected| expected.matches_integer(value.into()));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.met(field, |expected| expected.matches_integer(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.met(field, |expected| {
            expected.matches_text(if value { "true" } else { "false" })
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.met(field, |expected| expected.matches_text(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.awaits(field) {
            let text = format!("{value:?}");
            self.met(field, |expected| expected.matches_debug(&text));
        }
    }
}

fn active() -> Arc<Active> {
    Arc::clone(&ACTIVE.read().unwrap_or_else(PoisonError::into_inner))
}

/// Makes `filter` the process's filter, from now on and for callsites already in use. Spans that are open keep what
/// they recorded; directives on spans follow only spans opened from now on.
pub fn set(filter: Filter) {
    let listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut current = ACTIVE.write().unwrap_or_else(PoisonError::into_inner);
        let next = Active::new(filter);
        WATCHES_SPANS.store(next.filter.has_span_directives(), Relaxed);
        GENERATION.store(next.number, Relaxed);
        *current = Arc::new(next);
    }
    for listener in &*listeners {
        listener(&current());
    }
    // Asks every callsite's subscriber again, which reads the filter: its lock must be free by now.
    tracing_core::callsite::rebuild_interest_cache();
}

/// Calls `listener` now and with each [`set`], for those who keep what a filter says elsewhere. It must not change the
/// filter itself.
pub fn on_change(listener: fn(&Filter)) {
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    listeners.push(listener);
    listener(&current());
}

/// The process's filter; `info` until [`set`].
pub fn current() -> Arc<Filter> {
    Arc::clone(&active().filter)
}

/// A number that changes with each [`set`], for those who remember an answer.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// [`Filter::interest`] of the process's filter.
pub fn interest(metadata: &Metadata<'_>) -> Interest {
    if !crate::COMPILED_IN {
        return Interest::never();
    }
    active().filter.interest(metadata)
}

/// Whether the process's filter records `metadata` here, with the spans that this thread is inside of.
pub fn enabled(metadata: &Metadata<'_>) -> bool {
    active().enabled(metadata)
}

/// Whether the process's filter records something without a callsite here: a typed event, a record of the `log`
/// crate.
pub fn allows(target: &str, level: Level) -> bool {
    active().allows(target, level)
}

/// [`Filter::max_level_hint`] of the process's filter.
pub fn max_level_hint() -> LevelFilter {
    active().filter.max_level_hint()
}

/// Whether spans must be shown to the filter by the functions below: only then does a subscriber call them.
#[inline]
pub fn watches_spans() -> bool {
    WATCHES_SPANS.load(Relaxed)
}

/// A span was opened.
#[cold]
pub fn span_created(attributes: &Attributes<'_>, id: &Id) {
    active().span_created(attributes, id);
}

/// Values were recorded on a span.
#[cold]
pub fn span_recorded(id: &Id, values: &Record<'_>) {
    active().span_recorded(id, values);
}

/// This thread entered a span.
#[cold]
pub fn span_entered(id: &Id) {
    active().span_entered(id);
}

/// This thread left a span.
#[cold]
pub fn span_exited(id: &Id) {
    active().span_exited(id);
}

/// A span was closed.
#[cold]
pub fn span_closed(id: &Id) {
    active().span_closed(id);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tracing::{Event, Subscriber, debug, info, info_span, trace, trace_span};
    use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _};

    use super::*;

    type Seen = Arc<Mutex<Vec<String>>>;

    /// Notes what one filter lets through.
    struct Noting {
        active: Active,
        next: AtomicU64,
        seen: Seen,
    }

    impl Subscriber for Noting {
        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            self.active.filter.interest(metadata)
        }
        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(self.active.filter.max_level_hint())
        }
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            self.active.enabled(metadata)
        }
        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            let id = Id::from_u64(self.next.fetch_add(1, Relaxed));
            self.active.span_created(attributes, &id);
            note(&self.seen, attributes.metadata());
            id
        }
        fn record(&self, id: &Id, values: &Record<'_>) {
            self.active.span_recorded(id, values);
        }
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            note(&self.seen, event.metadata());
        }
        fn enter(&self, id: &Id) {
            self.active.span_entered(id);
        }
        fn exit(&self, id: &Id) {
            self.active.span_exited(id);
        }
        fn try_close(&self, id: Id) -> bool {
            self.active.span_closed(&id);
            true
        }
    }

    impl<S: Subscriber> tracing_subscriber::Layer<S> for NotingLayer {
        fn on_new_span(
            &self,
            attributes: &Attributes<'_>,
            _: &Id,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            note(&self.0, attributes.metadata());
        }
        fn on_event(&self, event: &Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            note(&self.0, event.metadata());
        }
    }

    struct NotingLayer(Seen);

    fn note(seen: &Seen, metadata: &Metadata<'_>) {
        let kind = if metadata.is_span() { "span" } else { "event" };
        seen.lock()
            .unwrap()
            .push(format!("{kind} {} {}", metadata.target(), metadata.level()));
    }

    fn ours(filter: &str, program: fn()) -> Vec<String> {
        let seen = Seen::default();
        let subscriber = Noting {
            active: Active::new(Filter::parse(filter).unwrap()),
            next: AtomicU64::new(1),
            seen: Arc::clone(&seen),
        };
        tracing::subscriber::with_default(subscriber, program);
        std::mem::take(&mut *seen.lock().unwrap())
    }

    fn theirs(filter: &str, program: fn()) -> Vec<String> {
        let seen = Seen::default();
        let filter = EnvFilter::builder().parse(filter).unwrap();
        let subscriber = tracing_subscriber::registry()
            .with(filter)
            .with(NotingLayer(Arc::clone(&seen)));
        tracing::subscriber::with_default(subscriber, program);
        std::mem::take(&mut *seen.lock().unwrap())
    }

    fn inside(user: &'static str, n: u64) {
        let request = info_span!(target: "app", "request", user, n, late = tracing::field::Empty);
        let entered = request.enter();
        trace!(target: "app", "1");
        debug!(target: "library", "2");
        let inner =
            info_span!(target: "library", "inner", user = ?user, ratio = 0.5, warm = true, n = -5);
        inner.in_scope(|| {
            trace!(target: "inner", "3");
            debug!(target: "inner", "4");
            info!(target: "inner", "5");
        });
        debug!(target: "app", "6");
        drop(entered);
        debug!(target: "app", "7");
    }

    fn program() {
        debug!(target: "before", "0");
        inside("ann", 5);
        inside("bob", 7);
        info!(target: "after", "8");
    }

    #[test]
    fn spans_are_followed_as_env_filter_follows_them() {
        let mut distinct = std::collections::BTreeSet::new();
        for filter in [
            "[request]=debug",
            "info,app[request]=trace",
            "warn,library[request]=trace",
            "info,[request{user=ann}]=debug",
            "info,[{n=7}]=trace",
            "info,[{n=-5}]=trace",
            "info,[{warm=true}]=debug",
            "info,[{ratio=0.5}]=debug",
            "info,[inner]=trace,[request{user=bob}]=debug",
            "off,[{late}]=debug",
            "library=off,info,[inner{user=.*nn.*}]=trace",
        ] {
            let (ours, theirs) = (ours(filter, program), theirs(filter, program));
            assert_eq!(ours, theirs, "{filter}");
            distinct.insert(ours);
        }
        assert!(
            distinct.len() > 8,
            "the filters must differ in what they let through"
        );
    }

    #[test]
    fn text_matches_quoted_or_not_and_with_wildcards() {
        let anns = [
            "event library DEBUG",
            "event inner DEBUG",
            "event inner INFO",
            "event app DEBUG",
        ];
        for (filter, events) in [
            ("off,[request{user=\"ann\"}]=debug", &anns[..]),
            ("off,[request{user=a*}]=debug", &anns[..]),
            ("off,[request{user=carl}]=debug", &[]),
            ("off,[inner{user=bob}]=info", &anns[2..3]),
            ("off,[request{user=ann,n=5}]=debug", &anns[..]),
            ("off,[request{user=ann,n=7}]=debug", &[]),
        ] {
            let mut seen = ours(filter, program);
            seen.retain(|line| line.starts_with("event"));
            assert_eq!(seen, events, "{filter}");
        }
    }

    #[test]
    fn a_value_recorded_later_counts_from_then_on_and_exits_may_cross() {
        let seen = ours("off,[request{late=yes}]=info", || {
            let request = info_span!(target: "app", "request", late = tracing::field::Empty);
            let other = trace_span!(target: "app", "request", late = "no");
            let first = request.enter();
            let second = other.enter();
            info!(target: "early", "");
            request.record("late", "yes");
            info!(target: "recorded", "");
            drop(first);
            info!(target: "left", "");
            drop(second);
        });
        assert_eq!(
            seen,
            ["span app INFO", "span app TRACE", "event recorded INFO"]
        );
    }

    #[test]
    fn a_change_of_the_process_filter_reaches_callsites_in_use() {
        struct Global;
        impl Subscriber for Global {
            fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
                interest(metadata)
            }
            fn max_level_hint(&self) -> Option<LevelFilter> {
                Some(max_level_hint())
            }
            fn enabled(&self, metadata: &Metadata<'_>) -> bool {
                enabled(metadata)
            }
            fn new_span(&self, _: &Attributes<'_>) -> Id {
                Id::from_u64(1)
            }
            fn record(&self, _: &Id, _: &Record<'_>) {}
            fn record_follows_from(&self, _: &Id, _: &Id) {}
            fn event(&self, _: &Event<'_>) {}
            fn enter(&self, _: &Id) {}
            fn exit(&self, _: &Id) {}
        }
        tracing::subscriber::with_default(Global, || {
            let at_debug = || tracing::enabled!(target: "changing", Level::DEBUG);
            let before = generation();
            set(Filter::parse("info").unwrap());
            assert!(!at_debug());
            set(Filter::parse("info,changing=debug").unwrap());
            assert!(at_debug() && allows("changing", Level::DEBUG) && !watches_spans());
            set(Filter::parse("off,[request]=debug").unwrap());
            assert!(!at_debug() && watches_spans());
            assert_eq!(current().to_string(), "off,[request]=debug");
            assert!(generation() > before);
            set(Filter::default());
        });
    }
}
