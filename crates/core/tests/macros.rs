//! `record!`, `event!`, `profile!`, `scope!`, `event_macro!` and handlers, through the real record path.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unreachable_code,
    clippy::diverging_sub_expression,
    reason = "what must not be evaluated panics"
)]

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use radiosonde_core::{
    Event, WhenFull,
    batch::Batch,
    catalogue, custom_event, custom_metric, event, event_macro,
    events::{CustomMetric, GpuDeviceSynchronized, HandlerDetached},
    filter::{self, Filter},
    handlers,
    loss::{self, Lost},
    metrics,
    metrics::snapshot::{Data, Number},
    model::{EventRecord, Record, Resource, Severity, Span, Value},
    profile,
    pump::{self, Consumer, Pump},
    record,
    subscriber::Subscriber,
    when_full,
};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let records = batch.records().map(|record| record.to_record());
        self.0.lock().unwrap().extend(records);
    }
}

/// One recording at a time: there is one pump a process.
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
        consumers: vec![
            Box::new(handlers::Dispatch),
            Box::new(metrics::aggregate::Aggregator::default()),
            Box::new(Keep(Arc::clone(&records))),
        ],
    })
    .unwrap();
    Recording {
        records,
        pump,
        _alone: alone,
    }
}

impl Recording {
    fn flush(&self) {
        assert!(self.pump.flush(Duration::from_secs(10)));
    }

    fn records(&self) -> Vec<Record> {
        self.flush();
        self.records.lock().unwrap().clone()
    }

    fn events(&self) -> Vec<EventRecord> {
        let events = self
            .records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Event(event) => Some(event),
                _ => None,
            });
        events.collect()
    }

    fn spans(&self) -> Vec<Span> {
        let spans = self
            .records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Span(span) => Some(span),
                _ => None,
            });
        spans.collect()
    }
}

fn waited(device: &str) -> GpuDeviceSynchronized<'_> {
    GpuDeviceSynchronized {
        device,
        duration: Duration::from_micros(5),
    }
}

#[test]
fn a_recorded_event_arrives_and_a_filtered_one_is_never_computed() {
    let recording = recording();
    let computed = AtomicUsize::new(0);
    let compute = || {
        computed.fetch_add(1, Relaxed);
        waited("cuda:0")
    };
    let record = || {
        record!(compute());
        record!(GpuDeviceSynchronized {
            device: &format!("cuda:{}", 1),
            ..compute()
        });
        record!(&compute());
    };
    record();
    assert_eq!(computed.load(Relaxed), 3);
    filter::set(Filter::parse("info,metrics=off").unwrap());
    record();
    record!(GpuDeviceSynchronized {
        device: panic!("nobody listens"),
        duration: panic!("nobody listens"),
    });
    event!("test.off", value = panic!("nobody listens") as u64);
    assert_eq!(computed.load(Relaxed), 3);
    filter::set(Filter::default());
    record();
    let devices: Vec<_> = recording
        .events()
        .iter()
        .map(|event| event.field("device").unwrap().to_string())
        .collect();
    assert_eq!(
        devices,
        ["cuda:0", "cuda:1", "cuda:0", "cuda:0", "cuda:1", "cuda:0"]
    );
}

#[test]
fn an_ad_hoc_event_has_its_name_fields_and_level() {
    let recording = recording();
    let text = String::from("pipelines");
    event!(
        "test.evicted",
        cache.name = text,
        bytes = 4096_u64,
        age = Duration::from_nanos(3),
        r#fn = 1_u8,
        r#in.r#type.fr = 2_u8,
    );
    event!(Warn, "test.long");
    event!(Debug, "test.hidden", never = true);
    let events = recording.events();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&*events[0].name, &*events[0].type_name),
        ("test.evicted", "test.evicted")
    );
    let fields: Vec<_> = events[0]
        .data
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        fields,
        [
            "cache.name=pipelines",
            "bytes=4096",
            "age=3",
            "fn=1",
            "in.type.fr=2"
        ]
    );
    assert_eq!(events[1].severity, Severity::Warn);
    assert!(catalogue::find("test.evicted").is_some());
    assert!(catalogue::find("test.hidden").is_none());
    drop(text);
}

fn half(number: u32) -> Result<u32, String> {
    let half = profile!("half", {
        if number % 2 == 1 {
            return Err(format!("{number} is odd"));
        }
        let text = (number / 2).to_string();
        text.parse::<u32>().map_err(|error| error.to_string())?
    });
    Ok(half)
}

#[test]
fn a_profiled_block_gives_its_value_and_keeps_control_flow() {
    let recording = recording();
    assert_eq!(half(8), Ok(4));
    assert_eq!(half(7), Err("7 is odd".to_owned()));
    let mut rounds = 0;
    loop {
        profile!("round", round = rounds, {
            rounds += 1;
            if rounds == 3 {
                break;
            }
        });
    }
    let nested = profile!("outer", { profile!("inner", { 5 }) + 1 });
    assert_eq!(nested, 6);
    let spans = recording.spans();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        ["half", "half", "round", "round", "round", "inner", "outer"]
    );
    assert_eq!(spans[5].parent_id, Some(spans[6].span_id));
    assert_eq!(spans[4].attribute("round"), Some(&Value::I64(2)));
}

#[test]
fn a_scope_lasts_until_the_end_of_the_callers_block() {
    use radiosonde_core::macros::instrument;
    let recording = recording();
    {
        instrument!("request", user = "u1", attempt = 2);
        {
            instrument!("step");
            event!("test.inside_step");
        }
        // The seed's version had closed `request` by now.
        event!("test.inside_request");
    }
    event!("test.outside");
    let places: Vec<_> = recording
        .events()
        .into_iter()
        .map(|event| event.place.map(|place| place.span_name.to_string()))
        .collect();
    assert_eq!(
        places,
        [Some("step".to_owned()), Some("request".to_owned()), None]
    );
    let spans = recording.spans();
    assert_eq!(spans[0].parent_id, Some(spans[1].span_id));
    assert_eq!(spans[1].attribute("user").unwrap().as_str(), Some("u1"));
}

event_macro! {
    burst_info,
    /// A burst of spikes was processed.
    #[event(name = "neuro.burst")]
    #[derive(Clone, Debug)]
    pub struct Burst<'a> {
        /// Which burst.
        pub burst_id: u64,
        /// Neurons that fired.
        #[measure(counter, unit = "{neuron}")]
        pub neurons_fired: u64,
        /// The area.
        #[label]
        pub area: &'a str,
        /// How long.
        pub took: Duration,
    }
}

#[test]
fn a_projects_own_macro_is_span_log_and_event_at_once() {
    let recording = recording();
    let spikes = burst_info!(
        area = "v1",
        burst_id = 42,
        neurons_fired = 1000,
        took = Duration::from_millis(1),
        {
            event!("test.in_burst");
            7
        }
    );
    assert_eq!(spikes, 7);
    burst_info!(
        burst_id = 43,
        neurons_fired = 1,
        area = &String::from("v2"),
        took = Duration::ZERO
    );
    let records = recording.records();
    let shapes: Vec<_> = records
        .iter()
        .map(|record| match record {
            Record::Span(span) => format!("span {} {:?}", span.name, span.attribute("burst_id")),
            Record::Log(log) => format!("log {}", log.message),
            Record::Event(event) => format!("event {}", event.name),
        })
        .collect();
    assert_eq!(
        shapes,
        [
            "event test.in_burst",
            "log neuro.burst",
            "event neuro.burst",
            "span neuro.burst Some(U64(42))",
            "log neuro.burst",
            "event neuro.burst",
            "span neuro.burst Some(U64(43))",
        ]
    );
    let Record::Event(burst) = &records[2] else {
        panic!()
    };
    let read = burst.read::<Burst<'_>>().unwrap().unwrap();
    assert_eq!((read.area, read.neurons_fired), ("v1", 1000));
    assert_eq!(catalogue::find("Burst"), Some(Burst::DESCRIPTOR));
    let metrics = metrics::snapshot(&Arc::default()).metrics;
    let fired = metrics
        .iter()
        .find(|metric| metric.name == "neuro.burst.neurons_fired")
        .unwrap();
    let Data::Counter(series) = &fired.data else {
        panic!("{fired:?}")
    };
    let by_area: Vec<_> = series
        .iter()
        .map(|series| (series.labels[0].1.to_string(), series.value))
        .collect();
    let expected = [("v1", 1000), ("v2", 1)];
    assert_eq!(
        by_area,
        expected.map(|(area, fired)| (area.to_owned(), Number::U64(fired)))
    );
}

#[test]
fn handlers_are_called_by_pattern_and_one_that_panics_is_detached_and_reported() {
    let recording = recording();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    handlers::attach(
        "test-keep",
        &["gpu.synchronize", "radiosonde.*"],
        move |event| {
            let text = event
                .read::<GpuDeviceSynchronized<'_>>()
                .map(|read| read.unwrap().device.to_owned())
                .or_else(|| {
                    let detached = event.read::<HandlerDetached<'_>>()?.unwrap();
                    Some(format!("{}: {}", detached.handler, detached.message))
                });
            keep.lock().unwrap().push(text.unwrap());
        },
    )
    .unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    handlers::attach("test-fragile", &["*"], move |event| {
        count.fetch_add(1, Relaxed);
        assert!(
            event.descriptor().name != "gpu.synchronize",
            "cannot bear it"
        );
    })
    .unwrap();
    event!("test.harmless");
    record!(waited("cuda:0"));
    record!(waited("cuda:1"));
    recording.flush();
    // The report is recorded by the pump itself, so it comes with the next batch.
    recording.flush();
    assert_eq!(
        *seen.lock().unwrap(),
        ["cuda:0", "cuda:1", "test-fragile: cannot bear it"]
    );
    assert_eq!(calls.load(Relaxed), 2);
    assert!(!handlers::attached().contains(&"test-fragile".to_owned()));
    assert!(handlers::detach("test-keep"));
    record!(waited("cuda:2"));
    recording.flush();
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn what_a_handler_records_is_recorded_and_handed_to_no_handler() {
    let recording = recording();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    handlers::attach("test-talks", &["test.*"], move |event| {
        count.fetch_add(1, Relaxed);
        tracing::info_span!("in the handler").in_scope(|| {
            tracing::warn!(event = event.descriptor().name, "seen");
        });
        event!("test.answer", of = event.descriptor().name);
    })
    .unwrap();
    event!("test.question");
    // What a handler records comes with a later batch; it would come again and again.
    for _ in 0..5 {
        recording.flush();
    }
    assert!(handlers::detach("test-talks"));
    assert_eq!(calls.load(Relaxed), 1);
    let mut kinds = [0; 3];
    for record in recording.records() {
        kinds[match record {
            Record::Span(_) => 0,
            Record::Log(_) => 1,
            Record::Event(_) => 2,
        }] += 1;
    }
    assert_eq!(kinds, [1, 1, 2], "the question and its answer");
}

#[test]
fn a_handler_that_records_more_than_there_is_room_for_makes_the_pump_wait_for_nobody() {
    let recording = recording();
    when_full(WhenFull::Wait);
    let lost = || loss::total(Lost::LaneFull);
    let before = lost();
    handlers::attach("test-talks", &["test.once"], |_| {
        let text = "x".repeat(16_000);
        (0..200).for_each(|_| tracing::info!(text, "many"));
    })
    .unwrap();
    event!("test.once");
    recording.flush();
    when_full(WhenFull::Refuse);
    assert!(handlers::detach("test-talks"));
    assert_eq!(recording.records().len() as u64 + lost() - before, 201);
}

/// Panics when it is dropped, with another one.
struct Endless;

impl Drop for Endless {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Endless));
    }
}

#[test]
fn a_handler_whose_panic_or_captures_panic_again_stops_no_other() {
    let recording = recording();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let ids = ["test-good", "test-payload", "test-capture", "test-replaced"];
    let patterns = &["test.twice"];
    handlers::attach(ids[0], patterns, move |_| {
        count.fetch_add(1, Relaxed);
    })
    .unwrap();
    handlers::attach(ids[1], patterns, |_| {
        std::panic::resume_unwind(Box::new(Endless))
    })
    .unwrap();
    let captured = Endless;
    handlers::attach(ids[2], patterns, move |_| {
        let _ = &captured;
        std::panic::resume_unwind(Box::new("cannot bear it"));
    })
    .unwrap();
    let captured = Endless;
    handlers::attach(ids[3], patterns, move |_| {
        let _ = &captured;
        handlers::detach(ids[3]);
    })
    .unwrap();
    let before = loss::total(Lost::ExporterFailed);
    event!("test.twice");
    recording.flush();
    event!("test.twice");
    recording.flush();
    assert_eq!(seen.load(Relaxed), 2);
    assert_eq!(handlers::attached(), [ids[0]]);
    assert!(handlers::detach(ids[0]));
    assert_eq!(loss::total(Lost::ExporterFailed), before);
}

#[test]
fn custom_events_and_metrics_have_their_context_and_a_place_in_the_catalogue() {
    let recording = recording();
    let name = format!("shop.{}", "paid");
    {
        let _span = tracing::info_span!("checkout").entered();
        custom_event(
            &name,
            &[
                ("items", &3_u32),
                ("currency", &"EUR"),
                ("shape", &[2_u64, 3]),
            ],
        );
        custom_metric("shop.basket", 2.5);
    }
    let events = recording.events();
    assert_eq!(
        (&*events[0].name, &*events[0].type_name),
        ("shop.paid", "shop.paid")
    );
    let fields: Vec<_> = events[0]
        .data
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(fields, ["items=3", "currency=EUR", "shape=[2, 3]"]);
    assert_eq!(
        events[1].read::<CustomMetric<'_>>(),
        Some(Ok(CustomMetric {
            name: "shop.basket",
            value: 2.5
        }))
    );
    for event in &events {
        assert_eq!(event.place.as_ref().unwrap().span_name, "checkout");
        assert!(catalogue::find(&event.name).is_some());
    }
    let snapshot = metrics::snapshot(&Arc::new(Resource::default()));
    let metric = snapshot
        .metrics
        .iter()
        .find(|metric| metric.name == "shop.basket")
        .unwrap();
    let Data::Gauge(series) = &metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(series[0].value, Number::F64(2.5));
}
