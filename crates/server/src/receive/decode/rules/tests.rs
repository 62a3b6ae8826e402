use proptest::{collection::vec, prelude::*};
use radiosonde_store::{
    Config, Store,
    query::{Cell, Limits},
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    super::{Counts, Encoding, Rejected, Signal, Told, decode},
    *,
};

/// When the first request arrives: 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
/// `AggregationTemporality`.
const DELTA: u8 = 1;
const CUMULATIVE: u8 = 2;

/// A collector with a rule that takes `user_id` from `requests`.
struct Collector {
    store: Store,
    rules: Arc<Rules>,
    _folder: TempDir,
}

/// A reading: the route, who asked (nobody where it is empty), and the value.
type Reading<'a> = (&'a str, &'a str, f64);

impl Collector {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rule = ("requests".to_owned(), None, "user_id".to_owned());
        Self {
            store: Store::open(Config::new(folder.path())).unwrap(),
            rules: Arc::new(Rules::new([rule])),
            _folder: folder,
        }
    }

    /// Takes a request that arrives at this second.
    fn take(&self, second: i64, request: &serde_json::Value) -> (Counts, Rejected) {
        self.take_under(&self.rules, second, request)
    }

    fn take_under(
        &self,
        rules: &Arc<Rules>,
        second: i64,
        request: &serde_json::Value,
    ) -> (Counts, Rejected) {
        let (rows, counts, rejected) = decode(
            Signal::Metrics,
            Encoding::Json,
            &Told::default(),
            request.to_string().as_bytes(),
            NOW + second * SECOND,
            rules,
        )
        .unwrap();
        if !rows.is_empty() {
            self.store.append(rows).unwrap();
        }
        (counts, rejected)
    }

    /// The answer to a statement, the cells of a row with spaces between them.
    fn ask(&self, statement: &str) -> Vec<String> {
        let answer = self.store.sql(statement, Limits::default()).unwrap();
        let cell = |cell: &Cell| match cell {
            Cell::Text(text) => text.clone(),
            Cell::Int(number) => number.to_string(),
            Cell::Float(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        let rows = answer.rows.iter();
        rows.map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// The values of the series of a route, in the order of time.
    fn values(&self, route: &str) -> Vec<String> {
        self.ask(&format!(
            "SELECT value FROM points WHERE attributes['route'] = '{route}' AND attributes['user_id'] IS NULL ORDER BY time"
        ))
    }
}

/// The readings of a total, at this second, that began long ago.
fn sum(
    temporality: u8,
    is_monotonic: bool,
    second: i64,
    readings: &[Reading<'_>],
) -> serde_json::Value {
    sum_since(-1000, temporality, is_monotonic, second, readings)
}

fn sum_since(
    since: i64,
    temporality: u8,
    is_monotonic: bool,
    second: i64,
    readings: &[Reading<'_>],
) -> serde_json::Value {
    let sum = json!({
        "aggregationTemporality": temporality,
        "isMonotonic": is_monotonic,
        "dataPoints": points(since, second, readings),
    });
    request(&json!({"name": "requests", "unit": "{request}", "sum": sum}))
}

fn points(since: i64, second: i64, readings: &[Reading<'_>]) -> Vec<serde_json::Value> {
    let text = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
    let point = |(route, user, value): &Reading<'_>| {
        let mut attributes = vec![text("route", route)];
        if !user.is_empty() {
            attributes.push(text("user_id", user));
        }
        json!({
            "startTimeUnixNano": (NOW + since * SECOND).to_string(),
            "timeUnixNano": (NOW + second * SECOND).to_string(),
            "asDouble": value,
            "attributes": attributes,
            "exemplars": [{
                "timeUnixNano": (NOW + second * SECOND).to_string(),
                "asDouble": 1.0,
                "traceId": "0af7651916cd43dd8448eb211c80319c",
                "spanId": "b7ad6b7169203331",
            }],
        })
    };
    readings.iter().map(point).collect()
}

fn request(metric: &serde_json::Value) -> serde_json::Value {
    let service = json!({"key": "service.name", "value": {"stringValue": "shop"}});
    json!({"resourceMetrics": [{
        "resource": {"attributes": [service]},
        "scopeMetrics": [{"scope": {"name": "s"}, "metrics": [metric]}],
    }]})
}

#[test]
fn a_rule_halves_the_series_and_what_was_kept_before_stays() {
    let collector = Collector::new();
    let readings = [
        ("/pay", "a", 1.0),
        ("/pay", "b", 2.0),
        ("/cart", "a", 3.0),
        ("/cart", "b", 4.0),
    ];
    let (without_rules, series) = (Arc::default(), "SELECT count(DISTINCT series) FROM points");
    collector.take_under(&without_rules, 0, &sum(CUMULATIVE, true, 0, &readings));
    assert_eq!(collector.ask(series), ["4"]);
    let (counts, rejected) = collector.take(60, &sum(CUMULATIVE, true, 60, &readings));
    collector.take(120, &sum(CUMULATIVE, true, 120, &readings));
    assert_eq!((counts.points, rejected.items), (4, 0));
    let since =
        "SELECT count(DISTINCT series), count(*) FROM points WHERE attributes['user_id'] IS NULL";
    assert_eq!(collector.ask(since), ["2 4"]);
    let before = "SELECT attributes['user_id'], sum(value) FROM points WHERE attributes['user_id'] IS NOT NULL GROUP BY 1 ORDER BY 1";
    assert_eq!(collector.ask(before), ["a 4", "b 6"]);
}

#[test]
fn totals_that_coincide_are_counted_on_and_never_fall() {
    let collector = Collector::new();
    let steps: [(i64, &[Reading<'_>]); 6] = [
        // What they had before anybody looked is not new.
        (0, &[("/", "a", 10.0), ("/", "b", 20.0), ("/", "", 5.0)]),
        (10, &[("/", "a", 13.0), ("/", "b", 20.0), ("/", "", 6.0)]),
        // One is gone, and one is new.
        (20, &[("/", "b", 25.0), ("/", "c", 4.0)]),
        // The one begins anew, at less than it had.
        (30, &[("/", "b", 25.0), ("/", "c", 4.0), ("/", "a", 2.0)]),
        // The same request once more: nobody knew that it had arrived.
        (30, &[("/", "b", 25.0), ("/", "c", 4.0), ("/", "a", 2.0)]),
        (40, &[("/", "b", 26.0), ("/", "c", 5.0), ("/", "a", 3.0)]),
    ];
    for (step, (second, readings)) in (0..).zip(steps) {
        collector.take(second + step, &sum(CUMULATIVE, true, second, readings));
    }
    assert_eq!(collector.values("/"), ["0", "4", "13", "15", "15", "18"]);
    // Since when it counts is when the first reading came.
    let since = "SELECT DISTINCT CAST(start_time AS BIGINT) FROM points";
    assert_eq!(collector.ask(since), [NOW.to_string()]);
}

#[test]
fn what_begins_after_the_first_reading_counts_from_its_start() {
    let collector = Collector::new();
    collector.take(0, &sum(CUMULATIVE, true, 0, &[("/", "a", 10.0)]));
    // A sender that divides its readings among requests has not sent all of them yet ...
    collector.take(1, &sum(CUMULATIVE, true, 0, &[("/", "b", 20.0)]));
    // ... but what says that it began since is new.
    collector.take(2, &sum_since(1, CUMULATIVE, true, 2, &[("/", "c", 7.0)]));
    assert_eq!(collector.values("/"), ["0", "0", "7"]);
}

#[test]
fn what_came_since_the_reading_before_is_added() {
    let collector = Collector::new();
    let readings = [("/", "a", 1.0), ("/", "b", 2.0), ("/pay", "a", 4.0)];
    collector.take(0, &sum(DELTA, true, 0, &readings));
    collector.take(9, &sum(DELTA, true, 9, &readings));
    assert_eq!(collector.values("/"), ["3", "3"]);
    assert_eq!(collector.values("/pay"), ["4", "4"]);
    let delta = "SELECT DISTINCT attributes['radiosonde.temporality'] FROM points";
    assert_eq!(collector.ask(delta), ["delta"]);
}

#[test]
fn the_value_that_is_taken_away_is_in_the_exemplars() {
    let collector = Collector::new();
    collector.take(0, &sum(DELTA, true, 0, &[("/", "a", 1.0), ("/", "b", 2.0)]));
    let exemplars = collector.ask("SELECT exemplars FROM points");
    let exemplars: serde_json::Value = serde_json::from_str(&exemplars[0]).unwrap();
    let of = |place: usize, name: &str| exemplars[place][name].clone();
    let users = [0, 1].map(|place| of(place, "attributes")["user_id"].clone());
    assert_eq!(users, ["a", "b"]);
    assert_eq!(of(0, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(exemplars.as_array().unwrap().len(), 2);
}

#[test]
fn levels_are_added_while_they_are_seen() {
    let collector = Collector::new();
    collector.take(
        0,
        &sum(CUMULATIVE, false, 0, &[("/", "a", 10.0), ("/", "b", 5.0)]),
    );
    collector.take(60, &sum(CUMULATIVE, false, 60, &[("/", "a", 4.0)]));
    collector.take(400, &sum(CUMULATIVE, false, 400, &[("/", "a", 6.0)]));
    assert_eq!(collector.values("/"), ["15", "9", "6"]);
}

#[test]
fn the_newest_gauge_stands() {
    let collector = Collector::new();
    let mut readings = points(0, 10, &[("/", "a", 1.0)]);
    readings.extend(points(0, 20, &[("/", "b", 2.0)]));
    readings.extend(points(0, 15, &[("/", "c", 3.0)]));
    let gauge = json!({"name": "requests", "gauge": {"dataPoints": readings}});
    collector.take(20, &request(&gauge));
    assert_eq!(collector.values("/"), ["2"]);
}

#[test]
fn other_metrics_histograms_and_services_stay_as_they_are() {
    let collector = Collector::new();
    let readings = points(0, 1, &[("/", "a", 1.0), ("/", "b", 2.0)]);
    let other = json!({"name": "others", "gauge": {"dataPoints": readings}});
    collector.take(1, &request(&other));
    let attributes = [json!({"key": "user_id", "value": {"stringValue": "a"}})];
    let histogram = json!({"name": "requests", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": NOW.to_string(), "count": "1", "sum": 2.0, "bucketCounts": ["0", "1"], "explicitBounds": [1.0], "attributes": attributes},
    ]}});
    collector.take(1, &request(&histogram));
    let service = Some("bank".to_owned());
    let rule = ("requests".to_owned(), service, "user_id".to_owned());
    let of_another = Arc::new(Rules::new([rule]));
    collector.take_under(
        &of_another,
        1,
        &sum(CUMULATIVE, true, 1, &[("/", "a", 1.0)]),
    );
    let with_user = "SELECT count(*) FROM points WHERE attributes['user_id'] IS NOT NULL";
    assert_eq!(collector.ask(with_user), ["4"]);
}

#[test]
fn there_is_a_bound_and_what_is_beyond_is_counted() {
    let rules = Collector::new().rules;
    let source = Source::default();
    let mut joining = Joining::default();
    let point = PointItem {
        name: "requests",
        unit: "",
        kind: PointKind::Counter,
        start_unix_ns: 0,
        time_unix_ns: 0,
        value: Ok(1.0),
        count: 0,
        distribution: "",
        exemplars: "",
    };
    for user in 0..SENT_MAX + 3 {
        let labels = [("user_id", Value::Int(user as i64))];
        let reading = (0, NOW, 1.0);
        rules.put(
            &mut joining,
            (&source, &point),
            reading,
            (&labels, &["user_id"]),
        );
    }
    let (joined, refused) = rules.join(&joining, NOW);
    assert_eq!((joined.len(), refused), (1, 3));
    assert_eq!(rules.join(&joining, NOW + 1).1, 3);
    // What is silent for long makes room.
    let later = Joining::default();
    rules.join(&later, NOW + 2 * IDLE_NS);
    assert_eq!(rules.join(&joining, NOW + 2 * IDLE_NS).1, 3);
    assert_eq!(rules.known.lock().unwrap().sent(), SENT_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Three series that grow, begin anew and are sometimes not sent.
    #[test]
    fn the_total_is_what_all_grew_by(steps in vec(vec((0..5_u8, 0..10_u8, any::<bool>()), 3), 1..12)) {
        let collector = Collector::new();
        let mut values = [100.0_f64; 3];
        let mut expected = Vec::new();
        let mut total = 0.0;
        let (mut missed, mut last) = ([0.0; 3], values);
        for (second, step) in (0..).zip(&steps) {
            let mut sent = Vec::new();
            for (series, &(growth, chance, is_sent)) in step.iter().enumerate() {
                let is_sent = is_sent || second == 0;
                // One that begins anew where nobody looks loses what it had grown by since the last look.
                let growth = f64::from(growth);
                let begins_anew = chance == 0 && is_sent && second > 0 && growth < last[series];
                if begins_anew {
                    values[series] = growth;
                    missed[series] = growth;
                } else {
                    values[series] += growth;
                    missed[series] += growth;
                }
                if is_sent {
                    total += if second == 0 { 0.0 } else { missed[series] };
                    (missed[series], last[series]) = (0.0, values[series]);
                    sent.push(("/", ["a", "b", "c"][series], values[series]));
                }
            }
            collector.take(second, &sum(CUMULATIVE, true, second, &sent));
            if !sent.is_empty() {
                expected.push(total.to_string());
            }
        }
        prop_assert_eq!(collector.values("/"), expected);
    }
}
