//! Spans, logs and events from `tracing` and from typed events, through the real lanes and the real pump.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    Event,
    batch::Batch,
    context, loss,
    model::{Link, Log, Record, Resource, Severity, Span, Value},
    pump::{self, Consumer, Pump},
    subscriber::Subscriber,
};
use tracing::{info, info_span};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.0
            .lock()
            .unwrap()
            .extend(batch.records().map(|record| record.to_record()));
    }
}

/// One recording at a time: there is one pump a process.
struct Recording {
    pump: Pump,
    records: Arc<Mutex<Vec<Record>>>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

fn recording() -> Recording {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let records = Arc::new(Mutex::new(Vec::new()));
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(Keep(Arc::clone(&records)))];
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers,
    })
    .unwrap();
    Recording {
        pump,
        records,
        _turn: turn,
    }
}

impl Recording {
    fn records(&self) -> Vec<Record> {
        assert!(self.pump.flush(Duration::from_secs(10)));
        std::mem::take(&mut self.records.lock().unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        self.records()
            .into_iter()
            .filter_map(|r| {
                if let Record::Span(span) = r {
                    Some(span)
                } else {
                    None
                }
            })
            .collect()
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

#[test]
fn nested_spans_share_a_trace_and_carry_their_fields() {
    let recording = recording();
    {
        let _request = info_span!(
            "request",
            user = 7_u64,
            path = "/v1/generate",
            ratio = 0.5,
            late = tracing::field::Empty
        )
        .entered();
        let generate = info_span!("generate", shape = ?[1, 2]).entered();
        generate.record("shape", "again");
        info!(tokens = 3, "done");
        drop(generate);
        tracing::Span::current().record("late", true);
    }
    let records = recording.records();
    let spans: Vec<Span> = records
        .iter()
        .filter_map(|r| {
            if let Record::Span(s) = r {
                Some(s.clone())
            } else {
                None
            }
        })
        .collect();
    let (request, generate) = (named(&spans, "request"), named(&spans, "generate"));
    assert_eq!(
        (generate.trace_id, generate.parent_id),
        (request.trace_id, Some(request.span_id))
    );
    assert_eq!(request.parent_id, None);
    assert_eq!(request.attribute("user"), Some(&Value::U64(7)));
    assert_eq!(
        request.attribute("path"),
        Some(&Value::from("/v1/generate"))
    );
    assert_eq!(request.attribute("ratio"), Some(&Value::F64(0.5)));
    assert_eq!(request.attribute("late"), Some(&Value::Bool(true)));
    assert_eq!(
        generate.attributes,
        [("shape".into(), Value::from("again"))]
    );
    assert!(
        request.start_unix_ns <= generate.start_unix_ns
            && generate.end_unix_ns <= request.end_unix_ns
    );
    let Some(Record::Log(Log {
        message,
        place: Some(place),
        attributes,
        severity,
        ..
    })) = records
        .iter()
        .find(|record| matches!(record, Record::Log(_)))
    else {
        panic!("{records:?}")
    };
    assert_eq!((message.as_ref(), *severity), ("done", Severity::Info));
    assert_eq!(
        (place.span_id, place.parent_id, place.span_name.as_ref()),
        (generate.span_id, Some(request.span_id), "generate")
    );
    assert_eq!(attributes.as_slice(), [("tokens".into(), Value::I64(3))]);
}

#[test]
fn a_span_may_live_on_several_threads() {
    let recording = recording();
    let request = info_span!("request", step = tracing::field::Empty);
    let moved = request.clone();
    thread::spawn(move || {
        moved.record(
            "step",
            "a long text that another thread records into the side table",
        );
        moved.in_scope(|| info_span!("work").in_scope(|| ()));
    })
    .join()
    .unwrap();
    let follower = info_span!(parent: None, "follower");
    follower.follows_from(&request);
    drop(follower);
    thread::spawn(move || drop(request)).join().unwrap();
    let spans = recording.spans();
    let (request, work, follower) = (
        named(&spans, "request"),
        named(&spans, "work"),
        named(&spans, "follower"),
    );
    assert_eq!(work.parent_id, Some(request.span_id));
    assert!(request.attribute("step").is_some());
    assert_ne!(follower.trace_id, request.trace_id);
    assert_eq!(
        follower.links,
        [Link {
            trace_id: request.trace_id,
            span_id: request.span_id
        }]
    );
}

#[test]
fn a_link_to_a_span_that_has_ended_is_counted() {
    let recording = recording();
    let lost = || loss::total(loss::Lost::LinkGone);
    let before = lost();
    let cause = info_span!("cause");
    let id = cause.id();
    let effect = info_span!("effect");
    drop(cause);
    effect.follows_from(id);
    drop(effect);
    let spans = recording.spans();
    assert_eq!(named(&spans, "effect").links, []);
    assert_eq!(lost() - before, 1);
}

/// An operation completed.
#[derive(Event)]
#[event(name = "test.op")]
struct OpCompleted<'a> {
    /// Which operation.
    #[label]
    op_name: &'a str,
    /// How long it took.
    duration: Duration,
    /// Its launch grid.
    grid: (u32, u32, u32),
}

#[test]
fn a_typed_event_keeps_the_span_it_was_recorded_in() {
    let recording = recording();
    let context = {
        let _outer = info_span!("outer").entered();
        let _inner = info_span!("inner").entered();
        radiosonde_core::record(&OpCompleted {
            op_name: "matmul",
            duration: Duration::from_micros(152),
            grid: (1, 2, 3),
        });
        context::current().unwrap()
    };
    let records = recording.records();
    let Some(Record::Event(event)) = records
        .iter()
        .find(|record| matches!(record, Record::Event(_)))
    else {
        panic!()
    };
    let place = event.place.as_ref().unwrap();
    assert_eq!(
        (place.span_id, place.trace_id, place.span_name.as_ref()),
        (context.span_id, context.trace_id, "inner")
    );
    assert!(place.parent_id.is_some());
    assert_eq!(event.type_name, "OpCompleted");
    assert_eq!(event.field("duration_ns"), Some(&Value::U64(152_000)));
    assert_eq!(
        event.field("grid"),
        Some(&Value::List(vec![
            Value::U64(1),
            Value::U64(2),
            Value::U64(3)
        ]))
    );
}

#[test]
fn an_attached_context_is_the_parent_and_brings_its_correlation_id() {
    let recording = recording();
    let remote = context::Context::remote(
        "0af7651916cd43dd8448eb211c80319c".parse().unwrap(),
        "b7ad6b7169203331".parse().unwrap(),
        context::SAMPLED,
    )
    .with_correlation_id("request-17");
    {
        let _attached = remote.attach();
        info_span!("served").in_scope(|| ());
    }
    assert_eq!(context::current(), None);
    let spans = recording.spans();
    let served = named(&spans, "served");
    assert_eq!(
        (served.trace_id, served.parent_id),
        (remote.trace_id, Some(remote.span_id))
    );
    assert_eq!(served.correlation_id.as_deref(), Some("request-17"));
}

#[test]
fn spans_left_out_of_order_leave_the_right_context() {
    let recording = recording();
    let (a, b) = (info_span!("a"), info_span!("b"));
    let entered_a = a.enter();
    let entered_b = b.enter();
    drop(entered_a);
    info_span!("child").in_scope(|| ());
    drop(entered_b);
    assert_eq!(context::current(), None);
    drop((a, b));
    let spans = recording.spans();
    assert_eq!(
        named(&spans, "child").parent_id,
        Some(named(&spans, "b").span_id)
    );
}

#[test]
fn deep_and_many_open_spans_are_all_recorded() {
    let recording = recording();
    let mut open = Vec::new();
    for index in 0..2000_u64 {
        open.push(info_span!("deep", index).entered());
    }
    while let Some(span) = open.pop() {
        drop(span);
    }
    assert_eq!(context::current(), None);
    let spans = recording.spans();
    assert_eq!(spans.len(), 2000);
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
}

#[test]
fn a_large_record_is_refused_and_counted_and_the_lane_goes_on() {
    let recording = recording();
    let before = loss::total(loss::Lost::RecordTooLarge);
    let text = "x".repeat(1 << 20);
    info!(a = text, "cut");
    info!("next");
    let records = recording.records();
    assert_eq!(loss::total(loss::Lost::RecordTooLarge), before);
    assert_eq!(records.len(), 2, "a long value is cut, not refused");
}

#[test]
fn nothing_is_recorded_after_the_pump_stopped_and_a_second_pump_is_refused() {
    let first = recording();
    assert!(
        pump::start(pump::Config {
            resource: Arc::default(),
            consumers: Vec::new()
        })
        .is_err()
    );
    let Recording {
        pump,
        records,
        _turn,
    } = first;
    assert!(pump.stop(Duration::from_secs(5)));
    info_span!("after").in_scope(|| ());
    assert!(records.lock().unwrap().is_empty());
}

struct Hang;

impl Consumer for Hang {
    fn consume(&mut self, _: &Arc<Batch>) {
        thread::sleep(Duration::from_secs(3));
    }
}

#[test]
fn a_flush_keeps_its_deadline_when_a_consumer_hangs() {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(Hang)];
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers,
    })
    .unwrap();
    info_span!("stuck").in_scope(|| ());
    let asked = Instant::now();
    assert!(!pump.flush(Duration::from_millis(50)));
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(!pump.stop(Duration::from_millis(10)));
    thread::sleep(Duration::from_secs(4));
    drop(turn);
}
