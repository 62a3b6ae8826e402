//! Metrics as a program uses them: many threads, many label sets, many traces.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use radiosonde_core::{
    context::{Context, SAMPLED},
    ids::{SpanId, TraceId},
    loss::{self, Lost},
    metrics::{
        RECENT_IDS_MAX, Registry,
        aggregate::Aggregator,
        recent_ids, self_metrics,
        snapshot::{Data, Exemplar, Metric, Number},
    },
    model::Value,
    pump::{self, Pump},
    subscriber::Subscriber,
};

fn read(registry: &Registry) -> Vec<Metric> {
    registry.snapshot(&Arc::default()).metrics
}

fn all_lost() -> u64 {
    loss::report().iter().map(|(_, records)| records).sum()
}

fn counter_total(metric: &Metric) -> u64 {
    let Data::Counter(series) = &metric.data else {
        panic!("{} is not a counter", metric.name)
    };
    series
        .iter()
        .map(|series| match series.value {
            Number::U64(value) => value,
            _ => panic!("not a whole number"),
        })
        .sum()
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn pump() -> &'static Pump {
    // Threads have a context only while a pump runs, and there is one a process.
    static PUMP: OnceLock<Pump> = OnceLock::new();
    PUMP.get_or_init(|| {
        tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
        let config = pump::Config {
            resource: Arc::default(),
            consumers: vec![Box::new(Aggregator::default())],
        };
        pump::start(config).unwrap()
    })
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn trace(bits: u128, flags: u8) -> Context {
    pump();
    Context::remote(TraceId::new(bits).unwrap(), SpanId::new(9).unwrap(), flags)
}

#[test]
fn nothing_is_lost_between_threads_that_come_and_go_while_somebody_reads() {
    const THREADS: u64 = 64;
    const ADDS: u64 = 5_000;
    let registry = Registry::new();
    let counter = registry.counter("work.items").handle();
    let floats = registry.counter_f64("work.seconds").handle();
    let level = registry.up_down_counter("work.level").handle();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let metrics = read(&registry);
                let total = counter_total(&metrics[0]);
                assert!(total >= last && total <= THREADS * ADDS);
                last = total;
            }
        });
        for _ in 0..THREADS / 4 {
            std::thread::scope(|wave| {
                for _ in 0..4 {
                    wave.spawn(|| {
                        for n in 0..ADDS {
                            counter.increment();
                            floats.add(0.5);
                            level.add(if n % 2 == 0 { 3 } else { -3 });
                        }
                    });
                }
            });
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let metrics = read(&registry);
    assert_eq!(counter_total(&metrics[0]), THREADS * ADDS);
    let Data::UpDownCounter(level) = &metrics[1].data else {
        panic!()
    };
    assert_eq!(level[0].value, Number::I64(0));
    let Data::Counter(floats) = &metrics[2].data else {
        panic!()
    };
    assert_eq!(floats[0].value, Number::F64((THREADS * ADDS) as f64 / 2.0));
}

#[test]
fn a_million_request_ids_make_one_overflow_series() {
    let registry = Registry::new();
    let family = registry.counter("requests").build();
    let (before, losses) = (self_metrics::overflows(), all_lost());
    for id in 0..1_000_000 {
        family.with(&[("request_id", &id.to_string())]).add(1);
    }
    let metrics = read(&registry);
    let Data::Counter(series) = &metrics[0].data else {
        panic!()
    };
    assert_eq!(
        series.len(),
        1_999,
        "fewer than 2,000, the overflow series among them"
    );
    assert_eq!(counter_total(&metrics[0]), 1_000_000);
    let last = series.last().unwrap();
    assert_eq!(
        *last.labels,
        [("otel.metric.overflow".into(), Value::Bool(true))]
    );
    assert_eq!(last.value, Number::U64(998_002));
    assert!(self_metrics::overflows() - before >= 998_002);
    assert!(all_lost() - losses < 998_002, "an overflow is no loss");
    let mut own = Vec::new();
    self_metrics::lost(&mut own);
    let shown = own
        .iter()
        .find(|metric| metric.name == "radiosonde.metric.overflow");
    assert!(counter_total(shown.unwrap()) >= 998_002);
}

#[test]
fn a_million_requests_stay_one_series_and_exemplars_lead_to_the_recent_ones() {
    const REQUESTS: u64 = 1_000_000;
    let registry = Registry::new();
    let duration = registry
        .histogram("request.duration")
        .unit("s")
        .bounds(&[1.0])
        .handle();
    for n in 0..REQUESTS {
        let context = trace(u128::from(n) + 1, SAMPLED).with_correlation_id(&format!("abc{n}"));
        let _context = context.attach();
        let request = tracing::info_span!("request");
        request.in_scope(|| {
            // What a request does is one request, however many spans it has.
            tracing::info_span!("generate").in_scope(|| ());
            duration.record(n as f64);
        });
        drop(request);
        if n % 1_000 == 0 {
            assert!(pump().flush(Duration::from_secs(10)));
        }
    }
    assert!(pump().flush(Duration::from_secs(10)));
    let metrics = read(&registry);
    let Data::Histogram(series) = &metrics[0].data else {
        panic!()
    };
    assert_eq!((series.len(), series[0].value.count), (1, REQUESTS));
    let recent = recent_ids();
    let numbers: Vec<u64> = recent
        .iter()
        .map(|request| request.id.strip_prefix("abc").unwrap().parse().unwrap())
        .collect();
    let newest: Vec<u64> = (0..REQUESTS).rev().take(RECENT_IDS_MAX).collect();
    assert_eq!(numbers, newest, "the last of them, each once");
    let exemplars = series[0].exemplars.iter();
    let slowest = exemplars
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .unwrap();
    let request = recent
        .iter()
        .find(|request| request.trace_id == slowest.trace_id)
        .unwrap();
    assert_eq!(*request.id, *format!("abc{}", REQUESTS - 1));
}

#[test]
fn a_gauge_that_is_never_set_gives_its_place_back() {
    let registry = Registry::new();
    registry.set_idle(Duration::ZERO);
    let gauges = registry.gauge("g").series_max(1).build();
    drop(gauges.with(&[("id", "never set")]));
    for _ in 0..2 {
        read(&registry);
    }
    gauges.with(&[("id", "set")]).set(4.0);
    let Data::Gauge(series) = &read(&registry)[0].data else {
        panic!()
    };
    assert_eq!(series[0].labels[0].1.to_string(), "set");
}

#[test]
fn what_is_no_number_is_not_added() {
    let registry = Registry::new();
    let total = registry.up_down_counter_f64("u").handle();
    let before = loss::total(Lost::InvalidMeasurement);
    for amount in [5.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        total.add(amount);
    }
    let Data::UpDownCounter(series) = &read(&registry)[0].data else {
        panic!()
    };
    assert_eq!(series[0].value, Number::F64(4.0));
    assert!(loss::total(Lost::InvalidMeasurement) - before >= 3);
}

#[test]
fn idle_series_are_forgotten_and_their_places_start_from_zero() {
    let registry = Registry::new();
    registry.set_idle(Duration::ZERO);
    let counters = registry.counter("c").series_max(2).build();
    let histograms = registry.histogram("h").series_max(2).build();
    let kept = counters.with(&[("id", "kept")]);
    kept.add(1);
    for id in 0..100 {
        let id = id.to_string();
        counters.with(&[("id", &id)]).add(7);
        histograms.with(&[("id", &id)]).record(1.5);
        let _context = trace(1, SAMPLED).attach();
        histograms.with(&[("id", &id)]).record(2.5);
        let metrics = read(&registry);
        let Data::Counter(series) = &metrics[0].data else {
            panic!()
        };
        let values: Vec<_> = series.iter().map(|series| series.value).collect();
        assert_eq!(values, [Number::U64(1), Number::U64(7)], "{id}");
        let Data::Histogram(series) = &metrics[1].data else {
            panic!()
        };
        assert_eq!((series.len(), series[0].value.count), (1, 2), "{id}");
        assert_eq!(series[0].value.sum.to_bits(), 4.0_f64.to_bits());
        assert_eq!(series[0].exemplars.len(), 1);
    }
    let metrics = read(&registry);
    assert_eq!(metrics.len(), 1, "only the series with a handle is left");
    kept.add(1);
    assert_eq!(counter_total(&read(&registry)[0]), 2);
}

#[test]
fn the_slowest_measurement_is_always_an_exemplar_and_failures_have_a_place() {
    let registry = Registry::new();
    let exponential = registry.histogram("exponential").unit("s").handle();
    let explicit = registry
        .histogram("explicit")
        .bounds(&[0.1, 1.0, 10.0])
        .handle();
    // Scattered, so that the largest comes somewhere in the middle.
    let value = |n: u64| (n * 7_919 % 10_007) as f64 / 100.0 + 0.001;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (exponential, explicit) = (&exponential, &explicit);
            scope.spawn(move || {
                for n in (thread..10_000).step_by(4) {
                    let _context = trace(u128::from(n) + 1, SAMPLED).attach();
                    exponential.record(value(n));
                    if n == 5_000 {
                        explicit.record_failed(0.2);
                    }
                    explicit.record(value(n));
                }
            });
        }
    });
    let metrics = read(&registry);
    let slowest = (0..10_000)
        .max_by(|&a, &b| value(a).total_cmp(&value(b)))
        .unwrap();
    for metric in &metrics {
        let Data::Histogram(series) = &metric.data else {
            panic!()
        };
        let exemplars: &[Exemplar] = &series[0].exemplars;
        let top = exemplars
            .iter()
            .max_by(|a, b| a.value.total_cmp(&b.value))
            .unwrap();
        assert_eq!(
            top.trace_id.bits(),
            u128::from(slowest) + 1,
            "{}",
            metric.name
        );
        assert_eq!(Some(top.value), series[0].value.max);
    }
    let Data::Histogram(explicit) = &metrics[0].data else {
        panic!()
    };
    let failed: Vec<_> = explicit[0]
        .exemplars
        .iter()
        .filter(|exemplar| exemplar.failed)
        .map(|exemplar| exemplar.trace_id.bits())
        .collect();
    assert_eq!(failed, [5_001]);
    for (low, high) in [(0.0, 0.1), (0.1, 1.0), (1.0, 10.0), (10.0, f64::INFINITY)] {
        let largest = (0..10_000)
            .filter(|&n| value(n) > low && value(n) <= high)
            .max_by(|&a, &b| value(a).total_cmp(&value(b)))
            .unwrap();
        assert!(
            explicit[0]
                .exemplars
                .iter()
                .any(|exemplar| exemplar.trace_id.bits() == u128::from(largest) + 1),
            "the slowest between {low} and {high}"
        );
    }
}

#[test]
fn a_counter_leaves_one_exemplar_for_each_reading_and_only_of_recorded_traces() {
    let registry = Registry::new();
    let counter = registry.counter("errors").handle();
    let exemplar = || {
        let metrics = read(&registry);
        let Data::Counter(series) = &metrics[0].data else {
            panic!()
        };
        series[0]
            .exemplars
            .first()
            .map(|exemplar| exemplar.trace_id.bits())
    };
    counter.add(1);
    assert_eq!(exemplar(), None);
    {
        let _context = trace(5, 0).attach();
        counter.add(1);
    }
    assert_eq!(exemplar(), None);
    for bits in [1, 2] {
        let _context = trace(bits, SAMPLED).attach();
        counter.add(1);
        counter.add(1);
        assert_eq!(exemplar(), Some(bits));
    }
}

#[test]
fn an_unset_gauge_is_absent_and_the_last_write_stands() {
    let registry = Registry::new();
    let gauge = registry.gauge("level").build();
    let handle = gauge.with(&[("b", "2"), ("a", "1")]);
    assert!(read(&registry).is_empty());
    handle.set(1.0);
    let again = gauge.with(&[("a", "1"), ("b", "2")]);
    std::thread::scope(|scope| scope.spawn(|| again.set(0.0)).join().unwrap());
    let metrics = read(&registry);
    let Data::Gauge(series) = &metrics[0].data else {
        panic!()
    };
    assert_eq!((series.len(), series[0].value), (1, Number::F64(0.0)));
    assert_eq!(series[0].labels[0].0, "a");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 32 }))]
    #[test]
    fn random_programs_equal_a_map(
        steps in proptest::collection::vec((0..4_u8, 0..6_u8, 1..100_u64), 1..200),
    ) {
        let registry = Registry::new();
        registry.set_idle(Duration::ZERO);
        let family = registry.counter("c").build();
        let mut handles = BTreeMap::new();
        let mut model = BTreeMap::<u8, u64>::new();
        for (action, key, amount) in steps {
            let label = key.to_string();
            match action {
                0 => {
                    handles.insert(key, family.with(&[("k", &label)]));
                    model.entry(key).or_default();
                }
                1 => { handles.remove(&key); }
                2 => {
                    family.with(&[("k", &label)]).add(amount);
                    *model.entry(key).or_default() += amount;
                }
                _ => {
                    read(&registry);
                    model.retain(|key, _| handles.contains_key(key));
                }
            }
        }
        let metrics = read(&registry);
        let mut found = BTreeMap::new();
        if let Some(Data::Counter(series)) = metrics.first().map(|metric| &metric.data) {
            for series in series {
                let Number::U64(value) = series.value else { panic!() };
                found.insert(series.labels[0].1.to_string().parse::<u8>().unwrap(), value);
            }
        }
        prop_assert_eq!(found, model);
    }
}
