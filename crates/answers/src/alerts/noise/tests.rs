use super::*;
use crate::alerts::{Engine, Measure, Read, ReadValue, Reading, Threshold, Window, WindowLimits};

const MINUTE: u64 = 60_000_000_000;
const START: u64 = 1_700_000_000_000_000_000;

fn rule(limit: f64, for_ns: u64) -> Rule {
    let threshold = Threshold::new(Measure::new("load", Reading::Last), Limit::Above(limit));
    Rule::new("high", Condition::Threshold(threshold)).for_(Duration::from_nanos(for_ns))
}

/// What a rule does with values that come once a minute, and the values by the labels of its alert.
fn run(rule: &Rule, values: &[f64]) -> (Vec<Change>, BTreeMap<Labels, Vec<Point>>) {
    let mut engine = Engine::new(vec![rule.clone()]).unwrap();
    let mut window = Window::new(WindowLimits {
        points_max: 10_000,
        span: Duration::from_secs(86_400),
        ..WindowLimits::default()
    });
    let mut changes = Vec::new();
    let mut points = Vec::new();
    for (minute, value) in (0..).zip(values) {
        let time_unix_ns = START + minute * MINUTE;
        points.push(Point {
            time_unix_ns,
            value: *value,
        });
        let read = Read {
            time_unix_ns,
            since_unix_ns: None,
            value: ReadValue::Gauge(*value),
        };
        window.push("load", Labels::new(), read);
        changes.extend(engine.evaluate(&window, time_unix_ns));
    }
    let labels = Labels::from([
        ("alertname".to_owned(), "high".to_owned()),
        ("severity".to_owned(), "warning".to_owned()),
    ]);
    (changes, BTreeMap::from([(labels, points)]))
}

/// Peaks of these heights and lengths in minutes, with `quiet` minutes in between.
fn peaks(peaks: &[(f64, usize)], quiet: usize) -> Vec<f64> {
    let each = peaks
        .iter()
        .flat_map(|&(height, length)| [vec![height; length], vec![10.0; quiet]]);
    each.flatten().collect()
}

#[test]
fn a_rule_that_never_fired_is_not_noisy() {
    let (changes, values) = run(&rule(90.0, 0), &[1.0; 10]);
    assert_eq!(noise(&rule(90.0, 0), &changes, &values), Noise::default());
}

#[test]
fn what_lasts_is_worth_it_and_what_flaps_is_not() {
    let rule = rule(90.0, 0);
    let (changes, values) = run(&rule, &peaks(&[(95.0, 20), (95.0, 30)], 60));
    let noise_of_lasting = noise(&rule, &changes, &values);
    assert_eq!((noise_of_lasting.fired, noise_of_lasting.score), (2, 0.0));
    assert_eq!(noise_of_lasting.median_ns, Some(30 * MINUTE));
    // Ten in twenty minutes.
    let (changes, values) = run(&rule, &peaks(&[(95.0, 1); 10], 1));
    let noise = noise(&rule, &changes, &values);
    let counts = (noise.fired, noise.short, noise.flapped, noise.score);
    assert_eq!(counts, (10, 10, 9, 1.0));
}

#[test]
fn what_is_suggested_would_have_halved_it() {
    let heights = [
        (91.0, 1),
        (92.3, 3),
        (95.0, 2),
        (99.0, 8),
        (93.0, 9),
        (91.5, 2),
        (97.0, 4),
    ];
    let values = peaks(&heights, 20);
    let before = rule(90.0, 0);
    let (changes, by_labels) = run(&before, &values);
    let found = noise(&before, &changes, &by_labels);
    assert_eq!(found.fired, 7);
    assert_eq!(
        found.suggestions,
        [
            Suggestion::For {
                for_ns: 3 * MINUTE + MINUTE / 4,
                fires: 3
            },
            Suggestion::Limit {
                limit: 93.0,
                fires: 3
            },
        ]
    );
    let fired = |rule: &Rule| {
        let (changes, _) = run(rule, &values);
        let firing = changes
            .iter()
            .filter(|change| change.alert.phase == Phase::Firing);
        firing.count()
    };
    assert!(fired(&rule(90.0, 3 * MINUTE + MINUTE / 4)) <= 3);
    assert!(fired(&rule(93.0, 0)) <= 3);
}

#[test]
fn a_limit_from_below_moves_down() {
    let threshold = Threshold::new(Measure::new("load", Reading::Last), Limit::Below(-1.0));
    let rule = Rule::new("low", Condition::Threshold(threshold));
    assert_eq!(further(1.234, Limit::Below(-1.0)), Limit::Below(-1.24));
    assert_eq!(further(-0.5, Limit::AtLeast(0.1)), Limit::AtLeast(-0.499));
    assert_eq!(
        further(12_345.0, Limit::AtLeast(1.0)),
        Limit::AtLeast(12_400.0)
    );
    assert!(rule.check().is_empty());
}
