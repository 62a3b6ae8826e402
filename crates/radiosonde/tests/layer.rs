//! Our layers in a registry beside those of others: formatted lines, an `EnvFilter`, and OpenTelemetry.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use radiosonde::{
    core::{
        batch::Batch,
        filter::{self, Filter},
        model::{Log, Record, Resource, Span},
        propagation::FullContext,
        pump::{self, Consumer, Pump},
    },
    layer,
};
use tracing::{debug, debug_span, field::Empty, info, info_span, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, Layer as _, fmt, layer::SubscriberExt as _};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let records = batch.records().map(|record| record.to_record());
        self.0.lock().unwrap().extend(records);
    }
}

/// One recording at a time: there is one pump and one filter a process.
struct Recording {
    pump: Pump,
    records: Arc<Mutex<Vec<Record>>>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

fn recording() -> Recording {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    filter::set(Filter::default());
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

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn program() {
    let request = info_span!("request", user = "ann", tokens = tracing::field::Empty);
    request.in_scope(|| {
        info!(answer = 42, "inside");
        debug!("hidden by the process's filter");
        info_span!("generate").in_scope(|| info!(target: "metrics", "measured"));
    });
    request.record("tokens", 3);
    info_span!(parent: &request, "later").in_scope(|| ());
    let linked = info_span!(parent: None, "linked");
    linked.follows_from(&request);
    info!(parent: &request, "explicit");
    thread::spawn(move || drop(request)).join().unwrap();
}

/// Every span's name beside its parent's, in order of names.
type Parents = Vec<(String, Option<String>)>;

fn our_parents(spans: &[Span]) -> Parents {
    let name = |id| {
        let parent = spans.iter().find(|span| Some(span.span_id) == id);
        parent.map(|span| span.name.to_string())
    };
    let mut parents: Parents = spans
        .iter()
        .map(|span| (span.name.to_string(), name(span.parent_id)))
        .collect();
    parents.sort();
    parents
}

fn their_parents(spans: &[SpanData]) -> Parents {
    let name = |id| {
        let parent = spans.iter().find(|span| span.span_context.span_id() == id);
        parent.map(|span| span.name.to_string())
    };
    let mut parents: Parents = spans
        .iter()
        .map(|span| (span.name.to_string(), name(span.parent_span_id)))
        .collect();
    parents.sort();
    parents
}

/// Our records of [`program`] are what it did.
fn assert_ours(spans: &[Span], logs: &[Log]) {
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    // Records of two threads come in no order.
    names.sort_unstable();
    assert_eq!(names, ["generate", "later", "linked", "request"]);
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let request = find("request");
    assert_eq!(request.parent_id, None);
    assert_eq!(request.attribute("user").unwrap().as_str(), Some("ann"));
    assert_eq!(request.attribute("tokens").unwrap().as_u64(), Some(3));
    for name in ["generate", "later"] {
        assert_eq!(find(name).parent_id, Some(request.span_id));
        assert_eq!(find(name).trace_id, request.trace_id);
    }
    assert_ne!(find("linked").trace_id, request.trace_id);
    assert_eq!(find("linked").links[0].span_id, request.span_id);
    assert_eq!(find("linked").links.len(), 1);

    let place = |message: &str| {
        let log = logs.iter().find(|log| log.message == message).unwrap();
        log.place
            .as_ref()
            .map(|place| (place.span_id, place.span_name.as_ref()))
    };
    assert_eq!(place("inside"), Some((request.span_id, "request")));
    assert_eq!(
        place("measured"),
        Some((find("generate").span_id, "generate"))
    );
    assert_eq!(place("explicit"), Some((request.span_id, "request")));
    assert_eq!(logs.len(), 3);
}

#[test]
fn layers_of_others_and_ours_see_the_same_program() {
    let recording = recording();
    let lines = Lines::default();
    let writer = lines.clone();
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let subscriber = tracing_subscriber::registry()
        .with(layer::records())
        .with(
            fmt::layer()
                .with_ansi(false)
                .without_time()
                .with_writer(move || writer.clone())
                .with_filter(EnvFilter::new("debug")),
        )
        .with(
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("test"))
                .with_filter(LevelFilter::INFO),
        );
    tracing::subscriber::with_default(subscriber, program);
    let (spans, logs) = recording.take();
    assert_ours(&spans, &logs);

    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        lines.contains("answer=42") && lines.contains("hidden by"),
        "{lines}"
    );
    let theirs = exporter.get_finished_spans().unwrap();
    assert_eq!(our_parents(&spans), their_parents(&theirs));
}

#[test]
fn the_metrics_layer_takes_only_its_target() {
    let recording = recording();
    let subscriber = tracing_subscriber::registry().with(layer::metrics());
    tracing::subscriber::with_default(subscriber, || {
        program();
        info_span!(target: "metrics::gpu", "gpu").in_scope(|| ());
        info!(target: "metrics_of_others", "not ours");
        debug!(target: "metrics", "too fine");
    });
    let (spans, logs) = recording.take();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    let messages: Vec<_> = logs.iter().map(|log| log.message.as_ref()).collect();
    assert_eq!((names, messages), (vec!["gpu"], vec!["measured"]));
}

#[test]
fn two_layers_of_ours_in_one_registry_record_a_span_once() {
    let recording = recording();
    let both = tracing_subscriber::registry()
        .with(layer::records())
        .with(layer::metrics());
    tracing::subscriber::with_default(both, || {
        let outer = info_span!(target: "metrics", "outer").entered();
        info_span!(target: "metrics", "inner").in_scope(|| ());
        info_span!("other").in_scope(|| ());
        drop(outer);
    });
    let (spans, _) = recording.take();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["inner", "other", "outer"]);
    let outer = Some(spans[2].span_id);
    assert_eq!([spans[0].parent_id, spans[1].parent_id], [outer, outer]);
    assert_eq!(FullContext::current().context(), None);
}

#[test]
fn the_process_filter_can_change_and_follow_spans() {
    let recording = recording();
    let subscriber = tracing_subscriber::registry().with(layer::records());
    tracing::subscriber::with_default(subscriber, || {
        for filter in ["off", "off,[request{user=ann}]=debug", "info"] {
            filter::set(filter.parse().unwrap());
            program();
        }
    });
    filter::set(Filter::default());
    let (_, logs) = recording.take();
    let messages: Vec<_> = logs.iter().map(|log| log.message.as_ref()).collect();
    assert_eq!(
        messages,
        [
            "inside",
            "hidden by the process's filter",
            "measured",
            "inside",
            "measured",
            "explicit"
        ]
    );
}

#[test]
fn a_remote_context_is_the_parent() {
    let recording = recording();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(layer::records()),
        || {
            let _scope = FullContext::extract(&[("traceparent", parent)][..]).attach();
            let handle = info_span!("handle", sampling.priority = 0);
            handle.follows_from(&handle);
            drop(handle);
            let _none = FullContext::default().attach();
            info_span!("dropped", sampling.priority = 0).in_scope(|| ());
        },
    );
    let (spans, _) = recording.take();
    assert_eq!((spans.len(), spans[0].links.len()), (1, 1));
    assert_eq!(spans[0].parent_id.unwrap().to_string(), "b7ad6b7169203331");
}

#[test]
fn below_a_parent_that_the_filter_hides_the_nearest_recorded_one_counts() {
    let recording = recording();
    // Another layer that sees everything keeps the hidden spans alive.
    let subscriber = tracing_subscriber::registry()
        .with(layer::records())
        .with(fmt::layer().with_writer(Lines::default));
    tracing::subscriber::with_default(subscriber, || {
        let root = info_span!("root");
        let hidden = root.in_scope(|| debug_span!("hidden"));
        let deeper = debug_span!(parent: &hidden, "deeper");
        let alone = debug_span!(parent: None, "alone");
        info_span!("other").in_scope(|| {
            info_span!(parent: &deeper, "below").in_scope(|| ());
            info!(parent: &deeper, "below");
            info_span!(parent: &alone, "of its own").in_scope(|| ());
            info!(parent: &alone, "of no span");
        });
    });
    let (spans, logs) = recording.take();
    assert_eq!(
        our_parents(&spans),
        [
            ("below", Some("root")),
            ("of its own", None),
            ("other", None),
            ("root", None)
        ]
        .map(|(name, parent)| (name.to_owned(), parent.map(str::to_owned)))
    );
    let places: Vec<_> = logs
        .iter()
        .map(|log| log.place.as_ref().map(|place| place.span_name.as_ref()))
        .collect();
    assert_eq!(places, [Some("root"), None]);
}

/// Logs while it is formatted.
struct Chatty;

impl std::fmt::Debug for Chatty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let span = tracing::Span::current();
        span.record("inner", 7);
        info!(parent: &span, "from inside");
        f.write_str("shown")
    }
}

#[test]
fn a_value_may_record_on_the_span_it_is_recorded_on() {
    let recording = recording();
    let subscriber = tracing_subscriber::registry().with(layer::records());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span", value = Empty, inner = Empty).entered();
        span.record("value", tracing::field::debug(Chatty));
        info!(value = ?Chatty, "outer");
    });
    let (spans, logs) = recording.take();
    assert_eq!(spans[0].attribute("value").unwrap().as_str(), Some("shown"));
    assert_eq!(logs.iter().filter(|log| log.message == "outer").count(), 1);
}
