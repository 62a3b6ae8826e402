//! Once a thread is warm, recording asks for no memory: spans, logs, typed events, metrics, contexts, `#[instrument]`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use radiosonde_core::{
    Event, carry::carry, event, instrument, macros::scope, metrics, metrics::aggregate::Aggregator,
    profile, propagation, pump, record, subscriber::Subscriber,
};
use tracing::{Span, debug_span, field::Empty, info, info_span};

/// The system's allocator, which counts what each thread asks for.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    // A thread that is being torn down has no counter any more.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came in; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; every pointer that was given out is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above; every pointer that was given out is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The program's pump with the metrics that events become, held by one test at a time so that no lane is full.
fn recording() -> MutexGuard<'static, pump::Pump> {
    static PUMP: OnceLock<Mutex<pump::Pump>> = OnceLock::new();
    let pump = PUMP.get_or_init(|| {
        tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
        Mutex::new(
            pump::start(pump::Config {
                resource: Arc::default(),
                consumers: vec![Box::new(Aggregator::default())],
            })
            .unwrap(),
        )
    });
    pump.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the calling thread asks for memory in a thousand runs of `work`, after as many that do not count.
fn asked(pump: &pump::Pump, mut work: impl FnMut()) -> u64 {
    const RUNS: usize = 1_000;
    (0..RUNS).for_each(|_| work());
    assert!(pump.flush(Duration::from_secs(10)));
    let before = ASKED.get();
    (0..RUNS).for_each(|_| work());
    let asked = ASKED.get() - before;
    assert!(pump.flush(Duration::from_secs(10)));
    asked
}

#[derive(Event)]
#[event(name = "allocations.generated", count = "allocations.generated")]
/// Tokens were generated.
struct Generated<'a> {
    /// The model.
    #[label]
    model: &'a str,
    /// What was asked.
    prompt: &'a str,
    /// How many.
    #[measure(counter, unit = "{token}")]
    tokens: u64,
    /// How long it took.
    #[measure(histogram, unit = "s")]
    duration: Duration,
    /// Dimensions.
    shape: &'a [u64],
    /// What went wrong.
    error: Option<&'a str>,
}

fn generated() -> Generated<'static> {
    Generated {
        model: "tiny",
        prompt: "a prompt of some length that is copied into the lane as it is",
        tokens: 3,
        duration: Duration::from_micros(40),
        shape: &[1, 4096],
        error: None,
    }
}

/// 5 KB.
const LONG: &str = match str::from_utf8(&[b'x'; 5_000]) {
    Ok(text) => text,
    Err(_) => "",
};

#[instrument(fields(kind = "test"), err)]
fn halve(number: u64, name: &str) -> Result<u64, &'static str> {
    black_box(name);
    number.is_multiple_of(2).then_some(number / 2).ok_or("odd")
}

#[instrument]
async fn later(number: u64) -> u64 {
    black_box(number)
}

#[test]
fn the_counter_counts() {
    let before = ASKED.get();
    drop(black_box(Box::new(7_u64)));
    assert_eq!(ASKED.get() - before, 1);
}

#[test]
fn spans_and_logs() {
    let pump = recording();
    let cases: [(&str, fn()); 12] = [
        ("a span", || info_span!("none").in_scope(|| ())),
        ("a span with fields", || {
            info_span!("three", model = "tiny", tokens = 3, ratio = 0.5).in_scope(|| ());
        }),
        ("a formatted field", || {
            let shape = [1, 4096];
            info_span!("shown", ?shape, text = %"text").in_scope(|| ());
        }),
        ("nested spans", || {
            let _request = info_span!("request", user = 7).entered();
            let _generate = info_span!("generate", late = Empty).entered();
            info_span!("block", block = 3).in_scope(|| {
                Span::current().record("late", 1);
            });
        }),
        ("a span entered again", || {
            let span = info_span!("again");
            let copy = span.clone();
            span.in_scope(|| ());
            copy.follows_from(&span);
            copy.in_scope(|| ());
        }),
        ("a span that is off", || {
            debug_span!("off", tokens = 3).in_scope(|| ());
        }),
        ("a log", || info!(tokens = 3, model = "tiny", "generated")),
        ("a formatted log", || {
            info!("generated {} of {:?}", 3, Some("tiny"));
        }),
        ("a span with a long field", || {
            let span = info_span!("long", text = LONG, shown = ?LONG, late = Empty);
            span.record("late", LONG);
        }),
        ("a span recorded on without end", || {
            let span = info_span!("again", step = Empty, phase = Empty);
            for step in 0..200 {
                span.record("step", step).record("phase", "a phase");
            }
        }),
        ("a profiled block", || {
            profile!("block", tokens = 3, {
                scope!("inner", tokens = 4);
            });
        }),
        ("what was not recorded", || {
            black_box(radiosonde_core::context::current());
        }),
    ];
    for (what, work) in cases {
        assert_eq!(asked(&pump, work), 0, "{what}");
    }
}

#[test]
fn typed_events() {
    let pump = recording();
    assert_eq!(asked(&pump, || record!(generated())), 0, "a typed event");
    let ad_hoc = || event!("allocations.ad_hoc", model = "tiny", tokens = 3_u64);
    assert_eq!(asked(&pump, ad_hoc), 0, "an event without a type");
    let within = || {
        info_span!("within").in_scope(|| record!(generated()));
    };
    assert_eq!(asked(&pump, within), 0, "an event inside a span");
}

#[test]
fn metrics_with_exemplars() {
    let pump = recording();
    let counters = metrics::counter("allocations.counter").build();
    let counter = counters.with(&[("model", "tiny")]);
    let gauge = metrics::gauge("allocations.gauge").handle();
    let histogram = metrics::histogram("allocations.exponential").handle();
    let explicit = metrics::histogram("allocations.explicit")
        .bounds(&[0.1, 1.0])
        .handle();
    let mut value = 0.0;
    let mut work = || {
        // Values that rise take every place for exemplars and move the range of the exponential buckets.
        value += 0.001;
        info_span!("measured").in_scope(|| {
            counter.add(1);
            counters.with(&[("model", "tiny")]).add(1);
            gauge.set(value);
            histogram.record(value);
            histogram.record_failed(value / 7.0);
            explicit.record(value);
        });
    };
    assert_eq!(asked(&pump, &mut work), 0);
    // Slower than ever, again and again: the buckets move and are made coarser.
    let mut slow = 1e-9;
    let slower = || {
        slow *= 1.03;
        info_span!("slow").in_scope(|| histogram.record_failed(slow));
    };
    assert_eq!(asked(&pump, slower), 0, "buckets that move");
    // Whoever reads asks for new exemplars.
    drop(metrics::snapshot(&Arc::default()));
    assert_eq!(asked(&pump, &mut work), 0, "after a reading");
}

#[test]
fn instrumented_functions() {
    let pump = recording();
    assert_eq!(
        asked(&pump, || assert_eq!(halve(4, "name"), Ok(2))),
        0,
        "a function"
    );
    let poll = || {
        let mut future = pin!(later(3));
        let _ = black_box(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop())),
        );
    };
    assert_eq!(asked(&pump, poll), 0, "an async function");
}

/// Entering, leaving and closing; a field that is set from another thread takes a lock and memory of its own.
#[test]
fn spans_on_another_thread() {
    let pump = recording();
    let spans: Vec<_> = (0..2_000).map(|n| info_span!("moved", n)).collect();
    let mut spans = spans.into_iter();
    thread::scope(|scope| {
        let work = || {
            let span = spans.next().unwrap();
            span.in_scope(|| info!(tokens = 3, "elsewhere"));
        };
        let asked = scope.spawn(|| asked(&pump, work)).join().unwrap();
        assert_eq!(asked, 0);
    });
}

/// The headers of a request that is sent.
#[derive(Default)]
struct Headers(usize);

impl propagation::Inject for Headers {
    fn set(&mut self, name: &str, value: &str) {
        self.0 += name.len() + value.len();
    }

    fn remove(&mut self, _: &str) {}
}

#[test]
fn contexts() {
    let pump = recording();
    let _request = info_span!("request").entered();
    let attach = || {
        let context = propagation::FullContext::current();
        let _scope = context.attach();
        info_span!("attached").in_scope(|| ());
    };
    assert_eq!(asked(&pump, attach), 0, "a context that is attached");
    assert_eq!(asked(&pump, || carry(|| ())()), 0, "work that is carried");
    let inject = || {
        let mut headers = Headers::default();
        propagation::inject(&mut headers);
        assert_eq!(headers.0, "traceparent".len() + 55);
    };
    assert_eq!(asked(&pump, inject), 0, "a context that is sent");
}
