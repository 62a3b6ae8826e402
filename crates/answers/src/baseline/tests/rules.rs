//! What becomes of a change: it goes, lasts, creeps, presses, comes each night, or does not come in the morning.

use proptest::prelude::*;

use super::{
    noise::{Random, Series, Shape},
    *,
};

/// The series' values, and what was said of them.
struct Watched {
    baseline: Baseline,
    random: Random,
    second: u64,
}

impl Watched {
    fn new(settings: Settings) -> Self {
        Self {
            baseline: Baseline::new(settings),
            random: Random(7),
            second: 0,
        }
    }

    /// Feeds readings every 15 seconds until a second, of a level with noise of a twentieth; each anomaly once.
    fn until(&mut self, second: u64, level: impl Fn(u64) -> f64) -> Vec<Anomaly> {
        let mut found: Vec<Anomaly> = Vec::new();
        while self.second < second {
            let value = level(self.second) * (1.0 + 0.05 * self.random.normal());
            if let Verdict::Anomalous(anomaly) = self.baseline.observe(at(self.second), value) {
                let is_known = found.last().is_some_and(|last| {
                    (last.kind, last.found_unix_ns) == (anomaly.kind, anomaly.found_unix_ns)
                });
                if !is_known {
                    found.push(anomaly);
                }
            }
            self.second += 15;
        }
        found
    }

    fn normal(&self) -> Expected {
        match self.baseline.verdict() {
            Verdict::Normal(expected) => expected,
            other => panic!("it is not normal: {other:?}"),
        }
    }
}

#[test]
fn a_change_that_lasts_is_told_for_an_hour_and_is_then_the_new_normal() {
    let mut watched = Watched::new(Settings::default());
    assert_eq!(watched.until(7_200, |_| 100.0), []);
    let found = watched.until(10_200, |_| 200.0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(matches!(
        watched.baseline.verdict(),
        Verdict::Anomalous(Anomaly {
            kind: Kind::Step,
            direction: Direction::Up,
            ..
        })
    ));
    watched.until(14_400, |_| 200.0);
    let normal = watched.normal();
    assert!((190.0..210.0).contains(&normal.median), "{normal:?}");
    assert_eq!(normal.since_unix_ns, at(7_200));
    let adopted = watched.baseline.adopted().expect("it was adopted");
    assert!((95.0..105.0).contains(&adopted.before.median));
    assert_eq!(watched.until(21_600, |_| 200.0), [], "it is told once");
}

#[test]
fn a_change_that_goes_leaves_no_trace_in_what_is_normal() {
    let mut watched = Watched::new(Settings::default());
    watched.until(7_200, |_| 100.0);
    assert_eq!(watched.until(8_000, |_| 300.0).len(), 1);
    watched.until(8_600, |_| 100.0);
    let normal = watched.normal();
    assert!(
        normal.high < 130.0 && normal.since_unix_ns == at(0),
        "{normal:?}"
    );
    assert_eq!(watched.baseline.adopted(), None);
}

#[test]
fn a_level_that_creeps_away_is_a_trend() {
    let mut watched = Watched::new(Settings::default());
    watched.until(3_600, |_| 100.0);
    let found = watched.until(7_200, |second| 100.0 + (second - 3_600) as f64 / 24.0);
    // What is seen first is that the level is another.
    assert!(found[0].value < 130.0, "{found:?}");
    let last = found.last().expect("it is found");
    assert_eq!((last.kind, last.direction), (Kind::Trend, Direction::Up));
}

#[test]
fn only_the_direction_that_is_watched_is_told() {
    for (watch, told) in [(Watch::Both, 1), (Watch::Rises, 0), (Watch::Falls, 1)] {
        let mut watched = Watched::new(Settings {
            watch,
            ..Settings::default()
        });
        watched.until(3_600, |_| 100.0);
        assert_eq!(watched.until(5_400, |_| 30.0).len(), told, "{watch:?}");
    }
}

#[test]
fn pressure_that_lasts_is_told_until_it_goes_unless_it_was_always_there() {
    let settings = Settings {
        limit: Some(1.0),
        ..Settings::default()
    };
    let mut watched = Watched::new(settings);
    watched.until(3_600, |_| 0.5);
    // Noise around 0.97 of the limit would leave the pressure now and then.
    let found = watched.until(18_000, |_| 1.3);
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::Pressure));
    assert!(
        matches!(watched.baseline.verdict(), Verdict::Anomalous(last) if last.kind == Kind::Pressure),
        "pressure is never the new normal"
    );
    watched.until(19_000, |_| 0.5);
    watched.normal();

    let mut always = Watched::new(settings);
    assert_eq!(always.until(18_000, |_| 1.3), []);
}

#[test]
fn what_comes_each_night_is_told_in_the_first_nights_only() {
    let mut watched = Watched::new(Settings::default());
    let nightly = |second: u64| {
        let of_day = second % (24 * HOUR_S);
        if (3 * HOUR_S..3 * HOUR_S + 1_200).contains(&of_day) {
            300.0
        } else {
            100.0
        }
    };
    let first = watched.until(4 * 24 * HOUR_S, nightly);
    assert!((3..=4).contains(&first.len()), "{first:?}");
    assert_eq!(watched.until(12 * 24 * HOUR_S, nightly), []);
}

#[test]
fn what_does_not_come_in_the_morning_is_told() {
    let mut watched = Watched::new(Settings::default());
    let office = |second: u64| {
        let hour = second / HOUR_S % 24;
        if (8..18).contains(&hour) {
            500.0
        } else {
            100.0
        }
    };
    let weeks = 2 * 7 * 24 * HOUR_S;
    watched.until(weeks + 8 * HOUR_S, office);
    let found = watched.until(weeks + 9 * HOUR_S, |_| 100.0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].direction, Direction::Down);
    assert_eq!(found[0].expected.season, Season::HourOfWeek);
    let since_s = (found[0].since_unix_ns - at(weeks)) / SECOND;
    assert!(
        (8 * HOUR_S..8 * HOUR_S + 900).contains(&since_s),
        "{since_s}"
    );
}

#[test]
fn learning_says_how_much_more_and_takes_longer_where_readings_depend_on_each_other() {
    let mut baseline = Baseline::new(Settings::default());
    let Verdict::Learning {
        readings_more,
        seconds_more,
    } = baseline.observe(at(0), 1.0)
    else {
        panic!("one reading is too little");
    };
    assert_eq!((readings_more, seconds_more), (29, 30.0));
    let learnt_after = |shape, seed| {
        let mut series = Series::new(shape, seed);
        let mut baseline = Baseline::new(Settings::default());
        let has_learnt = |second: &u64| {
            let verdict = baseline.observe(at(*second), series.next());
            !matches!(verdict, Verdict::Learning { .. })
        };
        (0..HOUR_S).find(has_learnt).expect("it learns")
    };
    let mean = |shape| (0..20).map(|seed| learnt_after(shape, seed)).sum::<u64>() / 20;
    assert!(mean(Shape::Gaussian) < 40, "{}", mean(Shape::Gaussian));
    assert!(mean(Shape::Correlated) > 80, "{}", mean(Shape::Correlated));
}

#[test]
fn what_is_no_number_or_too_late_is_counted_and_changes_nothing() {
    let mut baseline = Baseline::new(Settings::default());
    baseline.observe(at(10), 1.0);
    let before = baseline.verdict();
    for (second, value) in [(11, f64::NAN), (12, f64::INFINITY), (10, 1.0), (9, 1.0)] {
        assert_eq!(baseline.observe(at(second), value), before);
    }
    assert_eq!(baseline.ignored(), 4);
}

#[test]
fn after_a_long_pause_it_learns_again() {
    let mut watched = Watched::new(Settings::default());
    watched.until(3_600, |_| 100.0);
    watched.second += 2 * HOUR_S;
    assert_eq!(watched.until(7 * HOUR_S, |_| 500.0), []);
    assert_eq!(watched.normal().since_unix_ns, at(3 * HOUR_S));
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_readings_give_the_same_verdict_twice_within_the_same_memory(
        readings in proptest::collection::vec((0_u64..200_000_000_000, any::<f64>(), 0_u8..4), 1..400),
        limit in proptest::option::of(any::<f64>()),
    ) {
        let settings = Settings { limit, ..Settings::default() };
        let (mut one, mut two) = (Baseline::new(settings), Baseline::new(settings));
        let mut now = START;
        for (further, any, kind) in readings {
            // Mostly forward, now and then back; mostly alike, now and then anything.
            now = if kind == 3 { now.saturating_sub(further / 8) } else { now + further };
            let value = if kind == 0 { any } else { f64::from(kind) };
            let said = format!("{:?}", one.observe(now, value));
            prop_assert_eq!(said, format!("{:?}", two.observe(now, value)));
            prop_assert!(one.reference.len() <= window::READINGS_MAX);
            prop_assert!(one.candidate.len() <= window::READINGS_MAX);
        }
    }
}
