//! Context across processes, threads and tasks, through the real subscriber, lanes and pump.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll, Waker},
    thread,
    time::Duration,
};

use proptest::prelude::*;
use radiosonde_core::{
    batch::Batch,
    carry::{FutureExt as _, carry},
    context,
    loss::{self, Lost},
    model::{Log, Record, Resource, Span},
    propagation::{self, Baggage, Environment, FullContext},
    pump::{self, Consumer, Pump},
    sampling::{self, Sampler, Threshold},
    subscriber::Subscriber,
};
use tracing::{info, info_span};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let records = batch.records().map(|record| record.to_record());
        self.0.lock().unwrap().extend(records);
    }
}

/// One recording at a time: there is one pump a process.
struct Recording {
    pump: Pump,
    records: Arc<Mutex<Vec<Record>>>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recording() -> Recording {
    let turn = turn();
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let records = Arc::new(Mutex::new(Vec::new()));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(Keep(Arc::clone(&records)))],
    })
    .unwrap();
    Recording {
        pump,
        records,
        _turn: turn,
    }
}

impl Recording {
    fn take(&self) -> (Vec<Span>, Vec<Log>) {
        assert!(self.pump.flush(Duration::from_secs(10)));
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for record in std::mem::take(&mut *self.records.lock().unwrap()) {
            match record {
                Record::Span(span) => spans.push(span),
                Record::Log(log) => logs.push(log),
                Record::Event(_) => {}
            }
        }
        (spans, logs)
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn request() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Traceparent", PARENT),
        ("tracestate", "rojo=1"),
        ("tracestate", "congo=2"),
        ("Baggage", "tenant=a%20b"),
        ("X-Request-Id", "abc123"),
    ]
}

#[test]
fn a_request_continues_the_callers_trace_and_passes_it_on() {
    let recording = recording();
    let full = FullContext::extract(&request()[..]);
    assert_eq!(full.trace_state().unwrap().as_str(), "rojo=1,congo=2");
    let mut outgoing = HashMap::from([("Traceparent".to_owned(), "stale".to_owned())]);
    {
        let _scope = full.attach();
        let span = info_span!("handle");
        span.in_scope(|| {
            info!("inside");
            propagation::inject(&mut outgoing);
        });
    }
    assert_eq!(FullContext::current(), FullContext::default());
    let (spans, logs) = recording.take();
    let span = &spans[0];
    assert_eq!(span.trace_id.to_string(), TRACE);
    assert_eq!(span.parent_id.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!(span.correlation_id.as_deref(), Some("abc123"));
    assert_eq!(logs[0].correlation_id.as_deref(), Some("abc123"));
    let mut headers: Vec<_> = outgoing.into_iter().collect();
    headers.sort();
    let traceparent = format!("00-{TRACE}-{}-01", span.span_id);
    assert_eq!(
        headers,
        [
            ("baggage", "tenant=a%20b"),
            ("traceparent", traceparent.as_str()),
            ("tracestate", "rojo=1,congo=2"),
            ("x-request-id", "abc123"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

/// What a proxy forwards that received `request()`: the headers that it got, with what it says itself.
fn forwarded(attaches: bool) -> Vec<(String, String)> {
    let incoming: Vec<_> = request()
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut outgoing = incoming.clone();
    let _scope = attaches.then(|| FullContext::extract(&incoming[..]).attach());
    info_span!("unseen").in_scope(|| propagation::inject(&mut outgoing));
    outgoing.sort();
    outgoing
}

#[test]
fn a_trace_is_passed_on_where_nothing_is_recorded() {
    let turn = turn();
    thread::spawn(is_passed_on).join().unwrap();
    drop(turn);
    let recording = recording();
    info!("this thread has a lane from here on");
    let silently = || {
        let _silence = radiosonde_core::silence();
        is_passed_on();
    };
    silently();
    thread::spawn(silently).join().unwrap();
    let (spans, logs) = recording.take();
    assert_eq!((spans.len(), logs.len()), (0, 1));
    let Recording { pump, _turn, .. } = recording;
    drop(pump);
    is_passed_on();
}

fn is_passed_on() {
    let expected = [
        ("baggage", "tenant=a%20b"),
        ("traceparent", PARENT),
        ("tracestate", "rojo=1,congo=2"),
        ("x-request-id", "abc123"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(forwarded(true), expected);
    let left_alone = forwarded(false);
    assert!(left_alone.contains(&expected[1]), "{left_alone:?}");
    assert_eq!(FullContext::current(), FullContext::default());
}

#[test]
fn what_was_attached_before_recording_started_is_what_the_thread_is_in() {
    thread::spawn(|| {
        let turn = turn();
        let scope = FullContext::extract(&request()[..]).attach();
        drop(turn);
        let recording = recording();
        info_span!("inside").in_scope(|| ());
        drop(scope);
        info_span!("outside").in_scope(|| ());
        let (spans, _) = recording.take();
        let parents: Vec<_> = spans
            .iter()
            .map(|span| span.parent_id.map(|id| id.to_string()))
            .collect();
        assert_eq!(parents, [Some("b7ad6b7169203331".to_owned()), None]);
    })
    .join()
    .unwrap();
}

#[test]
fn a_span_that_is_left_in_silence_is_left() {
    let recording = recording();
    let entered = info_span!("outer").entered();
    let scope = FullContext::extract(&request()[..]).attach();
    {
        let _silence = radiosonde_core::silence();
        drop(scope);
        drop(entered);
    }
    assert_eq!(context::current(), None);
    info_span!("later").in_scope(|| ());
    let (spans, _) = recording.take();
    let later = spans.iter().find(|span| span.name == "later").unwrap();
    assert_eq!(later.parent_id, None);
}

#[test]
fn a_request_id_without_a_trace_is_kept_on_every_record() {
    let recording = recording();
    {
        let _scope = FullContext::extract(
            &[("x-correlation-id", "7c9e6679-7425-40de-944b-e07fc1f90ae7")][..],
        )
        .attach();
        assert_eq!(context::current(), None);
        info_span!("root").in_scope(|| info!("inside"));
        info!("outside");
    }
    let (spans, logs) = recording.take();
    let expected = Some("7c9e6679-7425-40de-944b-e07fc1f90ae7");
    assert_eq!(spans[0].correlation_id.as_deref(), expected);
    assert_eq!(spans[0].parent_id, None);
    assert!(
        logs.iter()
            .all(|log| log.correlation_id.as_deref() == expected)
    );
    assert_eq!(logs.len(), 2);
}

#[test]
fn what_is_malformed_is_ignored_and_counted() {
    let _turn = turn();
    for (headers, counted) in [
        (vec![("traceparent", "00-nonsense")], 1),
        (vec![("traceparent", PARENT), ("traceparent", PARENT)], 1),
        (vec![("tracestate", "=="), ("baggage", "a,b=1,c")], 2),
        (vec![("b3", "?"), ("x-request-id", "a\nb")], 2),
        (vec![("x-b3-traceid", TRACE)], 1),
        (vec![("traceparent", ""), ("baggage", "")], 1),
        (vec![], 0),
    ] {
        let before = loss::total(Lost::MalformedContext);
        let full = FullContext::extract(&headers[..]);
        assert_eq!(full.context(), None, "{headers:?}");
        assert_eq!(
            loss::total(Lost::MalformedContext) - before,
            counted,
            "{headers:?}"
        );
    }
    let kept = FullContext::extract(&[("traceparent", PARENT), ("tracestate", "==")][..]);
    assert_eq!((kept.context().is_some(), kept.trace_state()), (true, None));
    let zipkin = FullContext::extract(&[("traceparent", "?"), ("b3", &PARENT[3..54])][..]);
    assert_eq!(zipkin.context().unwrap().trace_id.to_string(), TRACE);
}

#[test]
fn the_sampler_decides_for_arriving_traces() {
    let recording = recording();
    let unsampled = PARENT.replace("-01", "-00");
    let sampled = |parent: &str| {
        let full = FullContext::extract(&[("traceparent", parent)][..]);
        full.context().unwrap().is_sampled()
    };
    assert!(sampled(PARENT) && !sampled(&unsampled));
    assert!(
        FullContext::extract(&[("b3", &PARENT[3..52])][..])
            .context()
            .unwrap()
            .is_sampled()
    );
    sampling::set(Sampler::AlwaysOff);
    assert!(!sampled(PARENT));
    info_span!("dropped").in_scope(|| ());
    info_span!("kept", sampling.priority = 1).in_scope(|| ());
    sampling::set(Sampler::Ratio(Threshold::ALL));
    assert!(sampled(&unsampled));
    sampling::set(Sampler::default());
    let mut outgoing = Vec::new();
    {
        let _scope = FullContext::extract(&[("traceparent", unsampled.as_str())][..]).attach();
        info_span!("dropped").in_scope(|| propagation::inject(&mut outgoing));
    }
    assert!(outgoing[0].1.ends_with("-00"), "{outgoing:?}");
    let (spans, _) = recording.take();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn a_decision_without_a_trace_holds_for_the_trace_that_begins_in_it() {
    let recording = recording();
    let serve = |header: &'static str, decision: &'static str, name: &'static str| {
        let request = [(header, decision), ("x-request-id", "r-1")];
        let full = FullContext::extract(&request[..]);
        assert_eq!(full.context(), None);
        let _scope = full.attach();
        info_span!("root", name).in_scope(|| {
            info_span!("child", name).in_scope(|| ());
        });
    };
    serve("b3", "0", "refused");
    serve("x-b3-sampled", "false", "refused in several headers");
    serve("b3", "?", "what is malformed decides nothing");
    sampling::set(Sampler::ParentBased(Threshold::NONE));
    serve("b3", "1", "wanted");
    serve("x-b3-flags", "1", "debug");
    info_span!("root", name = "by ratio").in_scope(|| ());
    sampling::set(Sampler::Ratio(Threshold::NONE));
    serve("b3", "d", "not asked");
    sampling::set(Sampler::default());
    let (spans, _) = recording.take();
    let names: Vec<_> = spans
        .iter()
        .map(|span| span.attribute("name").unwrap().to_string())
        .collect();
    let kept = ["what is malformed decides nothing", "wanted", "debug"];
    assert_eq!(names, kept.map(|name| [name; 2]).concat());
    assert!(
        spans
            .iter()
            .all(|span| span.correlation_id.as_deref() == Some("r-1"))
    );
}

#[test]
fn scopes_nest_and_may_be_left_out_of_order() {
    let _recording = recording();
    let baggage = |value: &str| {
        let mut baggage = Baggage::new();
        baggage.insert("k", value).unwrap();
        FullContext::current().with_baggage(baggage)
    };
    let current = || FullContext::current().baggage().map(Baggage::to_string);
    let outer = baggage("outer").attach();
    let inner = baggage("inner").with_correlation_id("id").attach();
    assert_eq!(current().as_deref(), Some("k=inner"));
    drop(outer);
    assert_eq!(current().as_deref(), Some("k=inner"));
    let hidden = FullContext::default().attach();
    assert_eq!(current(), None);
    drop(hidden);
    assert_eq!(
        FullContext::current().correlation_id().as_deref(),
        Some("id")
    );
    drop(inner);
    assert_eq!(FullContext::current(), FullContext::default());
}

/// Polls on a new thread each time.
fn run_across_threads<F: Future<Output = ()> + Send>(future: F) {
    let future = Mutex::new(Box::pin(future));
    let poll = || {
        let mut task = task::Context::from_waker(Waker::noop());
        future.lock().unwrap().as_mut().poll(&mut task).is_ready()
    };
    while !thread::scope(|scope| scope.spawn(poll).join().unwrap()) {}
}

async fn yield_once() {
    let mut polled = false;
    pin!(std::future::poll_fn(|_| {
        let ready = if polled {
            Poll::Ready(())
        } else {
            Poll::Pending
        };
        polled = true;
        ready
    }))
    .await;
}

#[test]
fn threads_and_tasks_work_where_they_were_started() {
    let recording = recording();
    let outer = info_span!("outer");
    outer.in_scope(|| {
        let work = carry(|| info_span!("thread").in_scope(|| info!("in a thread")));
        thread::spawn(work).join().unwrap();
        let task = async {
            info!("before");
            yield_once().await;
            info!("after");
            info_span!("task").in_scope(|| ());
        };
        run_across_threads(task.in_current_context());
    });
    assert_eq!(context::current(), None);
    drop(outer);
    let (spans, logs) = recording.take();
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let outer = find("outer");
    for name in ["thread", "task"] {
        assert_eq!(find(name).parent_id, Some(outer.span_id), "{name}");
        assert_eq!(find(name).trace_id, outer.trace_id, "{name}");
    }
    let after = logs.iter().find(|log| log.message == "after").unwrap();
    let place = after.place.as_ref().unwrap();
    assert_eq!(
        (place.span_id, place.span_name.as_ref()),
        (outer.span_id, "outer")
    );
    assert_ne!(after.thread, outer.thread);
}

#[test]
fn a_future_with_a_context_can_be_sent() {
    fn sendable(_: impl Send) {}
    sendable(async {}.with_context(FullContext::default()));
    sendable(carry(|| ()));
}

/// Run as a child by the test below.
#[test]
#[ignore = "the child of a_child_process_inherits_the_trace"]
fn child() {
    propagation::set_process_context(FullContext::extract(&Environment::read()));
    let recording = recording();
    let work = || info_span!("child").in_scope(|| FullContext::current().baggage().cloned());
    let baggage = thread::spawn(work).join().unwrap().unwrap();
    let (spans, _) = recording.take();
    let said = [
        spans[0].trace_id.to_string(),
        spans[0].parent_id.unwrap().to_string(),
        spans[0].correlation_id.as_ref().unwrap().to_string(),
        baggage.to_string(),
        std::env::var("TRACESTATE").unwrap_or_default(),
    ];
    std::fs::write(std::env::var("CHILD_OUT").unwrap(), said.join("\n")).unwrap();
}

#[test]
fn a_child_process_inherits_the_trace() {
    let _recording = recording();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("said");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--ignored"])
        .env("CHILD_OUT", &out)
        .env("TRACESTATE", "stale=1");
    {
        let mut request = request();
        request.retain(|&(name, _)| name != "tracestate");
        let _scope = FullContext::extract(&request[..]).attach();
        propagation::inject(&mut command);
    }
    assert!(command.output().unwrap().status.success());
    let said = std::fs::read_to_string(out).unwrap();
    let said: Vec<_> = said.split('\n').collect();
    assert_eq!(
        said,
        [TRACE, "b7ad6b7169203331", "abc123", "tenant=a%20b", ""]
    );
}

/// Run as a child by the test below.
#[test]
#[ignore = "the child of a_variable_that_is_not_text_is_counted"]
fn child_with_garbage() {
    let before = loss::total(Lost::MalformedContext);
    let full = FullContext::extract(&Environment::read());
    assert_eq!(full.context(), None);
    assert_eq!(full.baggage().unwrap().to_string(), "a=1");
    assert_eq!(loss::total(Lost::MalformedContext) - before, 1);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_counted() {
    use std::os::unix::ffi::OsStrExt as _;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_garbage", "--ignored"])
        .env("TRACEPARENT", std::ffi::OsStr::from_bytes(b"00-\xff"))
        .env("BAGGAGE", "a=1")
        .status();
    assert!(status.unwrap().success());
}

/// What one of the threads below does: opens spans to a depth, logs at each, and hands its context to another thread.
fn program(thread_number: usize, depths: &[u8]) {
    for (step, &depth) in depths.iter().enumerate() {
        let spans: Vec<_> = (0..depth)
            .map(|level| {
                let span = info_span!("step", thread_number, step, level);
                span.clone().entered()
            })
            .collect();
        let tell = move |how: &str| info!(thread_number, step, depth, how);
        tell("own");
        let other = carry(move || tell("carried"));
        if step % 4 == 0 {
            thread::spawn(other).join().unwrap();
        } else {
            other();
        }
        for span in spans.into_iter().rev() {
            drop(span);
        }
    }
}

fn number(attributes: &radiosonde_core::model::Attributes, name: &str) -> u64 {
    let found = attributes.iter().find(|(key, _)| key == name);
    found.and_then(|(_, value)| value.as_u64()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 4 }) })]

    #[test]
    fn each_log_of_64_threads_keeps_the_span_it_was_written_in(
        depths in proptest::collection::vec(proptest::collection::vec(0..4_u8, 1..6), 64),
    ) {
        let recording = recording();
        thread::scope(|scope| {
            for (thread_number, depths) in depths.iter().enumerate() {
                scope.spawn(move || program(thread_number, depths));
            }
        });
        let (spans, logs) = recording.take();
        let expected: usize = depths.iter().map(|depths| depths.len() * 2).sum();
        prop_assert_eq!(logs.len(), expected);
        for log in &logs {
            let key = |name| number(&log.attributes, name);
            let depth = key("depth");
            let mine = |level: u64| spans.iter().find(|span| {
                let key = |name| number(&span.attributes, name);
                (key("thread_number"), key("step"), key("level"))
                    == (number(&log.attributes, "thread_number"), number(&log.attributes, "step"), level)
            });
            let Some(place) = &log.place else {
                prop_assert_eq!(depth, 0);
                continue;
            };
            let span = mine(depth - 1).unwrap();
            prop_assert_eq!((place.trace_id, place.span_id, place.parent_id), (span.trace_id, span.span_id, span.parent_id));
            prop_assert_eq!(span.parent_id, depth.checked_sub(2).and_then(mine).map(|parent| parent.span_id));
            prop_assert_eq!(place.span_name.as_ref(), "step");
        }
    }
}
