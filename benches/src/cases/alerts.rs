//! Rules of alerts over readings that are kept: 1,000 rules over 10,000 series, on one thread.

use std::{hint::black_box, time::Duration};

use radiosonde_answers::alerts::{
    Condition, Engine, Labels, Limit, Measure, Read, ReadValue, Reading, Rule, Threshold, Window,
    WindowLimits,
};
use radiosonde_bench_harness::{Bench, Case, note, or_exit, print, row::Row};

use crate::harness::{Pace, caller};

/// Metrics, each with so many series, of which each has an hour of readings every 15 seconds.
const METRICS: u64 = 100;
const SERIES_PER_METRIC: u64 = 100;
const READINGS: u64 = 240;
/// Rules for each metric, each over all of its series.
const RULES_PER_METRIC: u64 = 10;
const START_UNIX_NS: u64 = 1_700_000_000_000_000_000;
const STEP_NS: u64 = 15_000_000_000;

/// One evaluation of all rules.
pub const BENCH: Bench = Bench {
    rows: &[Row::at_most(
        "1,000 alert rules over 10,000 series, one evaluation, one thread",
        "alerts.radiosonde:evaluation",
        100.0,
        "ms",
    )],
    cases: &[Case {
        name: "alerts.radiosonde",
        run,
    }],
};

fn run() {
    let window = window();
    let rules = (0..METRICS).flat_map(|metric| (0..RULES_PER_METRIC).map(move |n| rule(metric, n)));
    let engine = Engine::new(rules.collect()).map_err(|faults| format!("{faults:?}"));
    let mut engine = or_exit(engine, "make the engine");
    let now = START_UNIX_NS + (READINGS - 1) * STEP_NS;
    let fired = engine.evaluate(&window, now).len();
    let evaluated = engine.rules().filter(|rule| rule.error.is_none()).count();
    or_exit(
        (fired > 0 && evaluated as u64 == METRICS * RULES_PER_METRIC)
            .then_some(())
            .ok_or(evaluated),
        "evaluate every rule",
    );
    note(format_args!(
        "{} rules, {} series, {fired} alerts fire",
        evaluated,
        window.series_count()
    ));
    let samples: Vec<f64> = caller(&Pace::LONG, |count| {
        for _ in 0..count {
            black_box(engine.evaluate(&window, now));
        }
    })
    .iter()
    .map(|ns| ns / 1e6)
    .collect();
    print("evaluation", &samples);
}

fn is_counter(metric: u64) -> bool {
    metric.is_multiple_of(2)
}

fn window() -> Window {
    let mut window = Window::new(WindowLimits {
        series_max: (METRICS * SERIES_PER_METRIC) as usize,
        cells_max: (METRICS * SERIES_PER_METRIC * READINGS) as usize,
        ..WindowLimits::default()
    });
    for reading in 0..READINGS {
        for metric in 0..METRICS {
            for series in 0..SERIES_PER_METRIC {
                let value = if is_counter(metric) {
                    ReadValue::Counter((reading * (series + 1)) as f64)
                } else {
                    ReadValue::Gauge(((reading * 7 + series) % 100) as f64)
                };
                let read = Read {
                    time_unix_ns: START_UNIX_NS + reading * STEP_NS,
                    since_unix_ns: None,
                    value,
                };
                let labels = Labels::from([
                    ("device".to_owned(), format!("cuda:{}", series % 8)),
                    ("model".to_owned(), format!("model-{series}")),
                ]);
                window.push(&format!("bench.metric.{metric}"), labels, read);
            }
        }
    }
    window
}

/// One in a hundred series or so is beyond its limit.
fn rule(metric: u64, number: u64) -> Rule {
    let window = Duration::from_secs(60 * (number + 1));
    let (reading, limit) = match (is_counter(metric), number % 2) {
        (true, 0) => (Reading::Rate(window), 99.0 / 15.0),
        (true, _) => (Reading::Increase(window), 396.0 * (number + 1) as f64),
        (false, 0) => (Reading::Mean(window), 90.0),
        (false, _) => (Reading::Last, 98.0),
    };
    let measure = Measure::new(format!("bench.metric.{metric}"), reading);
    let threshold = Threshold::new(measure, Limit::Above(limit));
    Rule::new(
        format!("rule_{metric}_{number}"),
        Condition::Threshold(threshold),
    )
    .for_(Duration::ZERO)
    .summary("{{labels.model}} is at {{value}}")
}
