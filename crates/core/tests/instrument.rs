//! `#[instrument]`: one attribute is a span, a log, a call counter, an error counter and a duration histogram.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    clippy::elidable_lifetime_names,
    clippy::manual_async_fn,
    clippy::used_underscore_binding,
    reason = "these are the shapes that the attribute must understand"
)]

use std::{
    fmt,
    future::Future,
    panic::{self, AssertUnwindSafe, Location},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use radiosonde_core::{
    batch::Batch,
    filter::{self, Filter},
    instrument, metrics,
    metrics::snapshot::{Data, Number},
    model::{Log, Record, Resource, Severity, Span, Status, Value},
    pump::{self, Consumer, Pump},
    subscriber::Subscriber,
};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let records = batch.records().map(|record| record.to_record());
        self.0.lock().unwrap().extend(records);
    }
}

struct Recording {
    records: Arc<Mutex<Vec<Record>>>,
    pump: Pump,
    _alone: MutexGuard<'static, ()>,
}

fn recording() -> Recording {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // The first test of the process installs it.
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    filter::set(Filter::default());
    let records = Arc::new(Mutex::new(Vec::new()));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(Keep(Arc::clone(&records)))],
    })
    .unwrap();
    Recording {
        records,
        pump,
        _alone: alone,
    }
}

impl Recording {
    fn take(&self) -> (Vec<Span>, Vec<Log>) {
        assert!(self.pump.flush(Duration::from_secs(10)));
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for record in self.records.lock().unwrap().drain(..) {
            match record {
                Record::Span(span) => spans.push(span),
                Record::Log(log) => logs.push(log),
                Record::Event(_) => {}
            }
        }
        (spans, logs)
    }
}

fn labelled(
    labels: &radiosonde_core::metrics::snapshot::Series<impl Clone>,
    function: &str,
) -> bool {
    labels.labels.iter().any(|(key, value)| {
        key == "function"
            && value
                .as_str()
                .is_some_and(|value| value.ends_with(function))
    })
}

/// Calls, errors by type, and durations of a function so far.
fn measured(function: &str) -> (u64, Vec<(String, u64)>, u64) {
    let function = &format!("::{function}");
    let snapshot = metrics::snapshot(&Arc::new(Resource::default()));
    let number = |number| match number {
        Number::U64(value) => value,
        other => panic!("{other:?}"),
    };
    let (mut calls, mut errors, mut durations) = (0, Vec::new(), 0);
    for metric in &snapshot.metrics {
        match (&*metric.name, &metric.data) {
            ("function.calls", Data::Counter(series)) => {
                calls += series
                    .iter()
                    .filter(|s| labelled(s, function))
                    .map(|s| number(s.value))
                    .sum::<u64>();
            }
            ("function.errors", Data::Counter(series)) => {
                errors.extend(series.iter().filter(|s| labelled(s, function)).map(|s| {
                    let kind = s.labels.iter().find(|(key, _)| key == "error.type");
                    (kind.unwrap().1.to_string(), number(s.value))
                }));
            }
            ("function.duration", Data::Histogram(series)) => {
                durations += series
                    .iter()
                    .filter(|s| labelled(s, function))
                    .map(|s| s.value.count)
                    .sum::<u64>();
                assert_eq!(metric.unit, "s");
            }
            _ => {}
        }
    }
    errors.sort();
    (calls, errors, durations)
}

#[derive(Debug)]
struct Odd(u64);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

struct Hidden;

/// Halves.
#[instrument(skip(secret), fields(kind = "test", half = number / 2), err, ret)]
fn halve(
    number: u64,
    name: &str,
    (x, y): (u8, bool),
    list: &[u32],
    secret: &str,
    _hidden: Hidden,
) -> Result<u64, Odd> {
    let _ = (name, x, y, list, secret);
    if number % 2 == 1 {
        return Err(Odd(number));
    }
    Ok(number / 2)
}

/// How often each function was called whose path has `part`.
fn calls_of(part: &str) -> Vec<String> {
    let snapshot = metrics::snapshot(&Arc::default());
    let calls = snapshot
        .metrics
        .iter()
        .find(|metric| metric.name == "function.calls");
    let Data::Counter(series) = &calls.unwrap().data else {
        panic!("{calls:?}")
    };
    series
        .iter()
        .filter_map(|series| {
            let function = &series.labels.iter().find(|(key, _)| key == "function")?.1;
            let is_meant = function.as_str()?.contains(part);
            is_meant.then(|| format!("{function} {:?}", series.value))
        })
        .collect()
}

#[instrument]
fn outer() {
    #[instrument]
    fn inner() {}
    inner();
}

#[test]
fn a_function_inside_of_an_annotated_one_has_no_closure_in_its_name() {
    let _recording = recording();
    outer();
    let calls = calls_of("instrument::outer");
    assert!(
        calls
            .iter()
            .any(|call| call.starts_with("instrument::outer::inner ")),
        "{calls:?}"
    );
}

#[test]
fn one_attribute_is_span_log_counters_and_duration() {
    let recording = recording();
    for number in 0..100 {
        let result = halve(number, "n", (7, true), &[1, 2], "password", Hidden);
        assert_eq!(result.is_ok(), number % 2 == 0);
    }
    let (spans, logs) = recording.take();
    assert_eq!((spans.len(), logs.len()), (100, 100));
    let shown: Vec<_> = spans[0]
        .attributes
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        shown,
        [
            "number=0",
            "name=n",
            "x=7",
            "y=true",
            "list=[1, 2]",
            "kind=test",
            "half=0"
        ]
    );
    assert_eq!(spans[0].attribute("number"), Some(&Value::U64(0)));
    assert_eq!(
        (&*spans[0].name, &*spans[0].target),
        ("halve", "instrument")
    );
    assert_eq!(spans[0].status, Status::Unset);
    assert!(matches!(spans[1].status, Status::Error(_)));
    assert_eq!(
        spans[1].attribute("error.type").unwrap().as_str(),
        Some("instrument::Odd")
    );
    let log = |log: &Log| {
        let attributes: Vec<_> = log
            .attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        (log.severity, log.message.to_string(), attributes)
    };
    assert_eq!(
        log(&logs[2]),
        (
            Severity::Info,
            "halve returned".to_owned(),
            vec!["return=1".to_owned()]
        )
    );
    assert_eq!(
        log(&logs[3]),
        (
            Severity::Error,
            "halve failed".to_owned(),
            vec![
                "error=3 is odd".to_owned(),
                "error.type=instrument::Odd".to_owned()
            ]
        )
    );
    assert_eq!(logs[3].place.as_ref().unwrap().span_id, spans[3].span_id);
    assert_eq!(
        measured("halve"),
        (100, vec![("instrument::Odd".to_owned(), 50)], 100)
    );
}

type Answer<T> = std::result::Result<T, String>;

/// Errors are found behind aliases and generics, and without any argument.
#[instrument]
fn generic<T: fmt::Debug + Clone>(value: &T, fail: bool) -> Answer<T> {
    if fail {
        Err("failed".to_owned())
    } else {
        Ok(value.clone())
    }
}

#[instrument]
fn explode(fuse: u32) -> u32 {
    assert!(fuse > 0, "boom");
    fuse
}

#[test]
fn errors_and_panics_are_counted_and_go_on() {
    let recording = recording();
    assert_eq!(generic(&vec![1], false), Ok(vec![1]));
    assert_eq!(generic(&"a", true), Err("failed".to_owned()));
    let panic = panic::catch_unwind(|| explode(0)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(explode(1), 1);
    let (spans, logs) = recording.take();
    assert_eq!(spans.len(), 4);
    assert!(matches!(spans[2].status, Status::Error(_)));
    assert_eq!(
        spans[2].attribute("error.type").unwrap().as_str(),
        Some("panic")
    );
    let messages: Vec<_> = logs
        .iter()
        .map(|log| (log.severity, &*log.message))
        .collect();
    assert_eq!(
        messages,
        [
            (Severity::Info, "generic returned"),
            (Severity::Error, "generic failed"),
            (Severity::Error, "explode failed"),
            (Severity::Info, "explode returned"),
        ]
    );
    assert_eq!(
        measured("generic"),
        (2, vec![("alloc::string::String".to_owned(), 1)], 2)
    );
    assert_eq!(measured("explode"), (2, vec![("panic".to_owned(), 1)], 2));
}

#[instrument(level = "debug")]
fn quiet(fail: bool) -> Answer<u8> {
    if fail { Err("no".to_owned()) } else { Ok(1) }
}

#[instrument(ret)]
fn shown(fail: bool) -> Answer<u8> {
    if fail { Err("no".to_owned()) } else { Ok(1) }
}

#[instrument(err(level = "warn", Debug), ret(level = "debug"))]
fn expected(fail: bool) -> Answer<u8> {
    if fail { Err("no".to_owned()) } else { Ok(1) }
}

#[test]
fn each_call_is_one_line_at_its_own_level_and_a_failure_is_an_error() {
    let recording = recording();
    for fail in [false, true] {
        let _ = (quiet(fail), shown(fail), expected(fail));
    }
    let (_, logs) = recording.take();
    let lines: Vec<_> = logs
        .iter()
        .map(|log| {
            let attributes = log.attributes.iter();
            let attributes: Vec<_> = attributes.map(|(k, v)| format!("{k}={v}")).collect();
            let line = format!("{} {}", log.message, attributes.join(" "));
            (log.severity, line)
        })
        .collect();
    let line = |severity, text: &str| (severity, text.to_owned());
    assert_eq!(
        lines,
        [
            line(Severity::Info, "shown returned return=Ok(1)"),
            line(
                Severity::Error,
                "quiet failed error.type=alloc::string::String"
            ),
            line(
                Severity::Error,
                "shown failed return=Err(\"no\") error.type=alloc::string::String"
            ),
            line(
                Severity::Warn,
                "expected failed error=\"no\" error.type=alloc::string::String"
            ),
        ]
    );
}

#[track_caller]
#[instrument]
fn caller(fail: bool) -> Result<&'static Location<'static>, Odd> {
    if fail {
        Err(Odd(1))
    } else {
        Ok(Location::caller())
    }
}

#[instrument(ret)]
#[track_caller]
fn early(list: &[u8]) -> &'static Location<'static> {
    let here = || {
        list.first()?;
        Some(())
    };
    assert!(here().is_some(), "empty");
    Location::caller()
}

#[instrument]
#[track_caller]
fn unseen(list: &[u8]) -> Option<&'static Location<'static>> {
    list.first()?;
    Some(Location::caller())
}

#[test]
fn a_function_that_asks_for_its_caller_is_told_and_observed() {
    let recording = recording();
    let here = line!() + 1;
    let lines = [caller(false).unwrap(), early(&[1]), unseen(&[1]).unwrap()].map(Location::line);
    assert_eq!(lines, [here; 3]);
    assert!(caller(true).is_err() && unseen(&[]).is_none());
    assert!(panic::catch_unwind(|| early(&[])).is_err());
    let (spans, logs) = recording.take();
    let messages: Vec<_> = logs.iter().map(|log| &*log.message).collect();
    assert_eq!(
        messages,
        [
            "caller returned",
            "early returned",
            "unseen returned",
            "caller failed",
            "unseen returned",
            "early failed"
        ]
    );
    assert_eq!(logs[1].attributes[0].0, "return");
    assert_eq!(logs[3].place.as_ref().unwrap().span_id, spans[3].span_id);
    assert_eq!(
        measured("caller"),
        (2, vec![("instrument::Odd".to_owned(), 1)], 2)
    );
    assert_eq!(measured("early").1, [("panic".to_owned(), 1)]);
}

/// The body stays in place, because its return type says what the closure's parameter is.
#[instrument]
fn closure(fuse: u32) -> impl Fn(&str) -> usize {
    assert!(fuse > 0, "boom");
    |text| text.len()
}

#[test]
fn a_function_that_returns_a_closure_is_observed_like_any_other() {
    let recording = recording();
    assert!(panic::catch_unwind(|| drop(closure(0))).is_err());
    assert_eq!(closure(1)("abc"), 3);
    let (spans, logs) = recording.take();
    assert_eq!(
        spans[0].attribute("error.type").unwrap().as_str(),
        Some("panic")
    );
    assert_eq!((spans.len(), spans[1].status.clone()), (2, Status::Unset));
    let messages: Vec<_> = logs
        .iter()
        .map(|log| (&*log.message, log.place.as_ref().unwrap().span_id))
        .collect();
    assert_eq!(
        messages,
        [
            ("closure failed", spans[0].span_id),
            ("closure returned", spans[1].span_id)
        ]
    );
    assert_eq!(measured("closure"), (2, vec![("panic".to_owned(), 1)], 2));
}

/// Ready at the second poll.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = poll_once(future.as_mut()) {
            return value;
        }
    }
}

#[instrument(level = "debug", name = "fetched", target = "tests")]
async fn fetch(url: &str) -> Result<usize, Odd> {
    Yield::default().await;
    inner().await;
    if url.is_empty() {
        Err(Odd(1))?;
    }
    Ok(url.len())
}

#[instrument]
async fn inner() {
    Yield::default().await;
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn an_async_call_lasts_from_its_first_poll_to_its_result() {
    let recording = recording();
    filter::set(Filter::parse("debug").unwrap());
    let future = is_send(fetch("abc"));
    // Not polled yet, so not called yet.
    assert_eq!(measured("fetch").0, 0);
    assert_eq!(block_on(future).unwrap(), 3);
    block_on(fetch("")).unwrap_err();
    {
        let mut future = pin!(fetch("dropped"));
        assert!(poll_once(future.as_mut()).is_pending());
    }
    let panicking = panic::catch_unwind(AssertUnwindSafe(|| block_on(explode_later())));
    assert!(panicking.is_err());
    let (spans, logs) = recording.take();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "inner",
            "fetched",
            "inner",
            "fetched",
            "fetched",
            "explode_later"
        ]
    );
    assert_eq!(spans[0].parent_id, Some(spans[1].span_id));
    assert_eq!(
        (&*spans[1].target, spans[1].severity),
        ("tests", Severity::Debug)
    );
    assert_eq!(spans[1].attribute("url").unwrap().as_str(), Some("abc"));
    assert_eq!(
        measured("fetch"),
        (
            3,
            vec![
                ("cancelled".to_owned(), 1),
                ("instrument::Odd".to_owned(), 1)
            ],
            3
        )
    );
    assert_eq!(measured("explode_later").1, [("panic".to_owned(), 1)]);
    let messages: Vec<_> = logs
        .iter()
        .map(|log| (log.severity, &*log.message))
        .collect();
    assert_eq!(
        messages,
        [
            (Severity::Info, "inner returned"),
            (Severity::Debug, "fetch returned"),
            (Severity::Info, "inner returned"),
            (Severity::Error, "fetch failed"),
            (Severity::Debug, "fetch was cancelled"),
            (Severity::Error, "explode_later failed"),
        ]
    );
    assert_eq!(
        logs[4].place.as_ref().unwrap().span_id,
        spans[4].span_id,
        "a cancelled call is logged inside its span"
    );
}

#[instrument]
async fn explode_later() {
    Yield::default().await;
    panic!("later");
}

struct Service {
    calls: u32,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Service {
    #[instrument(fields(calls = self.calls))]
    fn count(&mut self, by: u32) -> &mut u32 {
        self.calls += by;
        &mut self.calls
    }

    #[instrument(skip_all, cpu)]
    fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        text.split(' ')
    }

    /// As `#[async_trait]` writes it.
    #[instrument]
    fn boxed<'a>(&'a self, add: u32) -> Boxed<'a, Result<u32, Odd>> {
        Box::pin(async move {
            Yield::default().await;
            if add == 0 {
                return Err(Odd(0));
            }
            Ok(self.calls + add)
        })
    }

    #[instrument]
    fn returned(&self, add: u32) -> impl Future<Output = u32> + Send + '_ {
        async move { self.calls + add }
    }
}

#[test]
fn methods_borrow_return_iterators_and_futures() {
    let recording = recording();
    let mut service = Service { calls: 1 };
    *service.count(2) += 10;
    assert_eq!(service.words("a b c").count(), 3);
    assert_eq!(block_on(service.boxed(5)).unwrap(), 18);
    block_on(service.boxed(0)).unwrap_err();
    assert_eq!(block_on(service.returned(1)), 14);
    let (spans, _) = recording.take();
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            let names: Vec<_> = span.attributes.iter().map(|(key, _)| &**key).collect();
            format!("{} {}", span.name, names.join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "count by calls",
            "words thread.cpu.duration",
            "boxed add",
            "boxed add error.type",
            "returned add"
        ]
    );
    assert_eq!(spans[0].attribute("calls"), Some(&Value::U64(1)));
    assert_eq!(
        measured("boxed"),
        (2, vec![("instrument::Odd".to_owned(), 1)], 2)
    );
}

#[instrument(parent = None, follows_from = [cause.clone()], skip(cause))]
fn apart(cause: &tracing::Span) {}

#[instrument(parent = parent, skip(parent))]
fn below(parent: &tracing::Span) {}

#[test]
fn a_parent_and_causes_can_be_named() {
    let recording = recording();
    let cause = tracing::info_span!("cause");
    {
        let _outer = tracing::info_span!("outer").entered();
        apart(&cause);
        below(&cause);
    }
    drop(cause);
    let (spans, _) = recording.take();
    let span = |name| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(span("apart").parent_id, None);
    assert_eq!(span("apart").links[0].span_id, span("cause").span_id);
    assert_eq!(span("below").parent_id, Some(span("cause").span_id));
}

#[test]
fn metrics_are_measured_whatever_the_filter_says() {
    #[instrument]
    fn unseen() {}
    let recording = recording();
    filter::set(Filter::parse("off").unwrap());
    unseen();
    let (spans, logs) = recording.take();
    assert_eq!((spans.len(), logs.len()), (0, 0));
    let function = "metrics_are_measured_whatever_the_filter_says::unseen";
    assert_eq!(measured(function), (1, vec![], 1));
}

/// Methods of one name, of several types.
mod animals {
    use super::instrument;

    pub(crate) struct Cat;
    pub(crate) struct Dog<T>(pub(crate) T);

    pub(crate) trait Noise {
        fn noise(&self);

        #[instrument(skip_all)]
        fn twice(&self) {
            self.noise();
            self.noise();
        }
    }

    impl Cat {
        #[instrument]
        pub(crate) fn speak() {}

        #[instrument]
        pub(crate) async fn listen(&self) {}
    }

    impl<T> Dog<T> {
        #[instrument]
        pub(crate) fn speak(&self) {}
    }

    impl Noise for Cat {
        #[instrument]
        fn noise(&self) {}
    }

    impl<T> Noise for Dog<T> {
        #[instrument]
        fn noise(&self) {}
    }

    #[instrument]
    pub(crate) fn r#match() {}

    pub(crate) fn outer() {
        #[instrument]
        fn inner() {}
        inner();
    }
}

#[test]
fn methods_of_one_name_are_told_apart_by_their_type() {
    use animals::{Cat, Dog, Noise as _};

    let recording = recording();
    Cat::speak();
    block_on(Cat.listen());
    Dog(1).speak();
    Dog("x").speak();
    Cat.twice();
    Dog(1).noise();
    animals::r#match();
    animals::outer();
    drop(recording.take());
    let mut lines = calls_of("animals");
    lines.sort();
    assert_eq!(
        lines,
        [
            "<instrument::animals::Cat as instrument::animals::Noise>::noise U64(2)",
            "<instrument::animals::Dog<_> as instrument::animals::Noise>::noise U64(1)",
            "instrument::animals::Cat::listen U64(1)",
            "instrument::animals::Cat::speak U64(1)",
            "instrument::animals::Dog<_>::speak U64(2)",
            "instrument::animals::Noise::twice U64(1)",
            "instrument::animals::match U64(1)",
            "instrument::animals::outer::inner U64(1)",
        ]
    );
}
