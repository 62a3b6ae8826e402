//! The golden suite: the same rows, and every operation of the store on them. Answers are text, so that they can be compared and
//! read.

use radiosonde_core::{ids::TraceId, model::Record};
use radiosonde_store::{
    Rows, Store,
    query::Limits,
    row::{LogRow, Origin, PointKind, PointRow, SampleRow, SpanRow, Value},
};

/// Parts that the rows come in.
pub const PARTS: u64 = 4;
const SPANS: u64 = 500;
const START: i64 = 1_800_000_000_000_000_000;

const ORIGINS: [Origin<'static>; 2] = [
    Origin {
        service: "engine",
        resource: r#"{"service.name":"engine","host.name":"box","list":[1,{"a":null}]}"#,
        scope: "model",
    },
    Origin {
        service: "it's a \"gateway\" \\ Ä\u{0}",
        resource: "{}",
        scope: "",
    },
];

/// The rows of a part.
pub fn rows(part: u64) -> Rows {
    let mut rows = Rows::default();
    for number in part * SPANS..(part + 1) * SPANS {
        push_span(&mut rows, number);
        if number.is_multiple_of(3) {
            push_log(&mut rows, number);
        }
        if number.is_multiple_of(5) {
            push_point(&mut rows, number);
            push_sample(&mut rows, number);
        }
    }
    rows
}

/// A trace's identifier; both halves of it are its own.
fn trace(number: u64) -> TraceId {
    TraceId::new(u128::from(number) << 64 | u128::from(number)).unwrap()
}

fn origin(number: u64) -> Origin<'static> {
    ORIGINS[usize::from(number.is_multiple_of(7))]
}

fn push_span(rows: &mut Rows, number: u64) {
    let path = format!("/path/{}", number % 3);
    let odd = [
        Value::Text("text"),
        Value::Int(i64::MIN),
        Value::Float(f64::NAN),
        Value::Bool(true),
        Value::Json("[1,{\"b\":[]}]"),
        Value::Text("\u{1}\n\"quoted\" \\ ü"),
    ][(number % 6) as usize];
    let attributes = [
        ("http.route", Value::Text(&path)),
        ("tokens", Value::Int(number as i64)),
        ("ratio", Value::Float(number as f64 / 7.0)),
        ("is_hit", Value::Bool(number.is_multiple_of(2))),
        ("odd", odd),
        ("a key with 'quotes' \"and\" more", Value::Int(1)),
        // Given twice: the last one is what queries see.
        ("twice", Value::Int(1)),
        ("twice", Value::Int(2)),
    ];
    let few = if number.is_multiple_of(150) { 8 } else { 7 };
    // The earliest and the latest time that there is, and one before the epoch.
    let start_unix_ns = match number {
        1 => i64::MIN + 1,
        2 => -1,
        3 => i64::MAX,
        _ => START + number as i64 * 1_000_000_007,
    };
    rows.sampled_span(
        &SpanRow {
            origin: origin(number),
            trace_id: trace(number / 4 + 1).to_bytes(),
            span_id: (number + 1).to_be_bytes(),
            parent_span_id: (!number.is_multiple_of(4)).then(|| (number / 4 * 4 + 1).to_be_bytes()),
            name: ["decode", "", "präfix 'x'"][(number % 3) as usize],
            kind: "internal",
            status: ["unset", "ok", "error"][(number % 5 % 3) as usize],
            status_message: if number.is_multiple_of(50) {
                "out of memory"
            } else {
                ""
            },
            start_unix_ns,
            duration_ns: 1_000 * (number as i64 % 97),
            links: "",
            attributes: &attributes[..few],
        },
        if number.is_multiple_of(10) { 2.5 } else { 1.0 },
    );
}

fn push_log(rows: &mut Rows, number: u64) {
    let is_in_trace = !number.is_multiple_of(2);
    let body = format!("line {number}: a timeout, \"100%\" of it\u{0}");
    rows.log(&LogRow {
        origin: origin(number),
        time_unix_ns: START + number as i64 * 1_000_000_007,
        trace_id: is_in_trace.then(|| trace(number / 4 + 1).to_bytes()),
        span_id: is_in_trace.then(|| (number + 1).to_be_bytes()),
        severity: [0, 9, 13, 17][(number % 4) as usize],
        event_name: if number.is_multiple_of(5) {
            "queue.left"
        } else {
            ""
        },
        body: &body,
        attributes: &[
            ("thread.id", Value::Int(3)),
            ("queue", Value::Text("requests")),
        ],
    });
}

fn push_point(rows: &mut Rows, number: u64) {
    let is_distribution = number.is_multiple_of(2);
    rows.point(&PointRow {
        origin: origin(number),
        name: if is_distribution {
            "latency"
        } else {
            "queue.depth"
        },
        unit: "s",
        kind: if is_distribution {
            PointKind::Histogram
        } else {
            PointKind::Gauge
        },
        time_unix_ns: START + number as i64 * 1_000_000_007,
        start_unix_ns: START,
        value: [0.1, -0.0, f64::INFINITY, f64::NAN][(number % 4) as usize],
        count: number as i64,
        distribution: if is_distribution {
            r#"{"bucketCounts":["1","2"]}"#
        } else {
            ""
        },
        exemplars: "",
        attributes: &[
            ("queue", Value::Text("requests")),
            ("depth", Value::Int(number as i64 % 3)),
        ],
    });
}

fn push_sample(rows: &mut Rows, number: u64) {
    let stack = format!(
        "main\ta.py\t1\t\tcpython\nleaf {}\tb.rs\t2\t\tnative",
        number % 4
    );
    rows.sample(&SampleRow {
        origin: origin(number),
        time_unix_ns: START + number as i64 * 1_000_000_007,
        duration_ns: 10_000_000_000,
        trace_id: number
            .is_multiple_of(2)
            .then(|| trace(number / 4 + 1).to_bytes()),
        span_id: None,
        kind: "cpu",
        unit: "nanoseconds",
        value: 10_101_010,
        thread: "worker",
        library: ["torch", "numpy"][(number % 2) as usize],
        function: "leaf",
        stack: &stack,
        attributes: &[],
    });
}

const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM spans",
    "SELECT count(*) AS n, count(parent_span_id), sum(weight), min(start_time), max(start_time) FROM spans",
    "SELECT * FROM (SELECT * FROM spans ORDER BY span_id LIMIT 25) ORDER BY span_id",
    "SELECT * FROM logs ORDER BY time LIMIT 40",
    "SELECT * FROM points ORDER BY time LIMIT 40",
    "SELECT * FROM profiles ORDER BY time LIMIT 40",
    "SELECT service, name, kind, status, count(*), sum(duration) FROM spans GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    "SELECT span_id, name FROM spans WHERE trace_id = '00000000000000030000000000000003' ORDER BY 1",
    "SELECT span_id FROM spans WHERE parent_span_id IS NULL AND status = 'error' ORDER BY 1 LIMIT 20",
    "SELECT span_id FROM spans WHERE parent_span_id != '0000000000000001' AND span_id < '0000000000000010' ORDER BY 1",
    "SELECT span_id FROM spans WHERE start_time >= TIMESTAMP '2027-01-15T08:05:00Z' AND start_time < TIMESTAMP '2027-01-15T08:06:00Z' ORDER BY 1",
    "SELECT span_id, start_time FROM spans WHERE start_time < TIMESTAMP '1970-01-01T00:00:00Z' ORDER BY 2",
    "SELECT count(*) FROM spans WHERE duration BETWEEN 5000 AND 9000 AND (service = 'engine' OR name IN ('decode', ''))",
    "SELECT count(*) FROM spans WHERE service != 'engine' AND NOT name = 'decode'",
    "SELECT count(*) FROM spans WHERE name LIKE 'pr_fix ''x%' OR name LIKE 'x\\_'",
    "SELECT count(*), max(body) FROM logs WHERE body LIKE '%timeout, \"100\\%%' AND severity >= 13 AND service = 'engine'",
    "SELECT event_name, count(trace_id) FROM logs WHERE trace_id IS NOT NULL OR event_name <> '' GROUP BY 1 ORDER BY 1",
    "SELECT attributes['http.route'], sum(attributes['tokens']), max(attributes['ratio']) FROM spans GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FROM spans WHERE attributes['tokens'] >= 300 AND attributes['is_hit'] AND attributes['http.route'] = '/path/1'",
    "SELECT attributes['odd'], count(*) FROM spans GROUP BY 1 ORDER BY 1",
    "SELECT attributes['twice'], attributes['a key with ''quotes'' \"and\" more'], attributes['none'], count(*) FROM spans GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "SELECT attributes, resource FROM spans WHERE attributes['tokens'] IN (0, 1, 7, 150, 1000) ORDER BY attributes['tokens']",
    "SELECT resource['host.name'], resource['list'], count(*) FROM spans GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT quantile(sketch(duration, weight), 0.95), quantile(sketch(duration), 0.5) FROM spans",
    "SELECT name, kind, count(*), sum(count), min(count) FROM points WHERE attributes['depth'] = 1 GROUP BY 1, 2 ORDER BY 1",
    "SELECT minute, service, name, kind, is_root, sum(count), sum(errors), max(duration_max) FROM operations GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
    "SELECT name, sum(count), quantile(merge(durations), 0.95) FROM operations WHERE minute >= TIMESTAMP '2027-01-15T08:05:00Z' AND is_root GROUP BY 1 ORDER BY 1",
    "SELECT library, stack, sum(value) FROM profiles WHERE type = 'cpu' GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT s.name, l.body FROM spans s JOIN logs l ON s.span_id = l.span_id WHERE l.severity = 17 ORDER BY l.time LIMIT 15",
    "SELECT count(*) FROM (SELECT name FROM spans LIMIT 7)",
    "SELECT count(*) FROM (SELECT 1 FROM spans UNION ALL SELECT 1 FROM logs)",
    "SELECT count(DISTINCT trace_id) FROM spans WHERE trace_id IN (SELECT trace_id FROM logs WHERE severity = 13)",
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns ORDER BY table_name, ordinal_position",
];

/// What a store answers, each answer with what was asked.
pub fn answers(store: &Store) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for statement in STATEMENTS {
        let answer = match store.sql(statement, Limits::default()) {
            Ok(answer) => {
                let rows = answer.rows.iter().map(|row| format!("{row:?}"));
                format!(
                    "{:?}\n{}",
                    answer.columns,
                    rows.collect::<Vec<_>>().join("\n")
                )
            }
            Err(error) => format!("refused: {error}"),
        };
        answers.push(((*statement).to_owned(), answer));
    }
    for trace in [1, 2, 77, 400, 10_000].map(trace) {
        let kept = store.trace(trace).unwrap();
        let records = kept.into_iter().map(|kept| text(kept.record));
        answers.push((
            format!("trace {trace}"),
            records.collect::<Vec<_>>().join("\n"),
        ));
    }
    for rows_max in [1, 40, 10_000] {
        let traces = (1..100).step_by(3).map(trace);
        let traces = traces.collect::<Vec<_>>();
        let read = store.traces(&traces, rows_max).unwrap();
        let records = read.records.into_iter().map(|kept| text(kept.record));
        let records = records.collect::<Vec<_>>().join("\n");
        answers.push((
            format!("{rows_max} of traces"),
            format!("{} {}\n{records}", read.read, read.left_out),
        ));
    }
    assert!(store.traces(&[], 10).unwrap().records.is_empty());
    answers
}

/// A record; attributes have no order in a store.
fn text(mut record: Record) -> String {
    match &mut record {
        Record::Span(span) => span.attributes.sort_by(|(a, _), (b, _)| a.cmp(b)),
        Record::Log(log) => log.attributes.sort_by(|(a, _), (b, _)| a.cmp(b)),
        Record::Event(event) => event.data.sort_by(|(a, _), (b, _)| a.cmp(b)),
    }
    format!("{record:?}")
}

/// Fails at the first answer that is different.
pub fn same(found: &[(String, String)], expected: &[(String, String)]) {
    assert_eq!(found.len(), expected.len());
    for ((asked, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{asked}");
        assert!(!found.starts_with("refused"), "{asked}\n{found}");
    }
}
