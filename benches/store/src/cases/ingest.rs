//! Rows into durable segments, and how large they are: our store, DuckDB, ClickHouse's engine.
//!
//! Ours begins with borrowed rows, as a receiver has them, and does everything: columns, a durable log (a sync for each
//! batch), sorting, segments, catalogue. The peers begin with columns in Parquet and keep no durable log.

use radiosonde_bench_harness::{Bench, Case, machine::process_cpu_ns, or_exit, print, row::Row};
use radiosonde_store::{
    Config, Rows, Store, Table,
    row::{LogRow, Origin, PointKind, PointRow, SpanRow, Value},
};

use crate::{
    data::{self, Log, Point, SERVICES, Series, Span, Words},
    kept, peers,
};

/// Rows of a batch: what a client sends at once.
const BATCH_ROWS: usize = 8_192;

const DUCKDB: &str = "DuckDB";
const CLICKHOUSE: &str = "ClickHouse (chdb)";

/// Ingest and size.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::beside(
            "store: ingest of a span, CPU",
            "store.ingest:spans",
            "store.ingest_chdb:spans",
            CLICKHOUSE,
            Some(1.0),
        ),
        Row::beside(
            "store: ingest of a span, CPU",
            "store.ingest:spans",
            "store.ingest_duckdb:spans",
            DUCKDB,
            Some(1.0),
        ),
        Row::beside(
            "store: ingest of a log line, CPU",
            "store.ingest:logs",
            "store.ingest_chdb:logs",
            CLICKHOUSE,
            None,
        ),
        Row::beside(
            "store: ingest of a log line, CPU",
            "store.ingest:logs",
            "store.ingest_duckdb:logs",
            DUCKDB,
            None,
        ),
        Row::beside(
            "store: ingest of a reading, CPU",
            "store.ingest:points",
            "store.ingest_chdb:points",
            CLICKHOUSE,
            None,
        ),
        Row::beside(
            "store: ingest of a reading, CPU",
            "store.ingest:points",
            "store.ingest_duckdb:points",
            DUCKDB,
            None,
        ),
        Row::at_most(
            "store: size of a span with 6 attributes",
            "store.ingest:bytes_spans",
            29.0,
            "bytes",
        ),
        Row::beside(
            "store: size of a span with 6 attributes",
            "store.ingest:bytes_spans",
            "store.ingest_chdb:bytes_spans",
            CLICKHOUSE,
            None,
        )
        .in_unit("bytes"),
        Row::at_most(
            "store: size of a log line",
            "store.ingest:bytes_logs",
            41.0,
            "bytes",
        ),
        Row::beside(
            "store: size of a log line",
            "store.ingest:bytes_logs",
            "store.ingest_chdb:bytes_logs",
            CLICKHOUSE,
            None,
        )
        .in_unit("bytes"),
        Row::at_most(
            "store: size of a reading",
            "store.ingest:bytes_points",
            6.5,
            "bytes",
        ),
        Row::beside(
            "store: size of a reading",
            "store.ingest:bytes_points",
            "store.ingest_chdb:bytes_points",
            CLICKHOUSE,
            None,
        )
        .in_unit("bytes"),
    ],
    cases: &[
        Case {
            name: "store.ingest",
            run: ours,
        },
        Case {
            name: "store.ingest_duckdb",
            run: || peers::run("duckdb", "ingest"),
        },
        Case {
            name: "store.ingest_chdb",
            run: || peers::run("chdb", "ingest"),
        },
    ],
};

fn ours() {
    fill(&print);
}

/// The store with the data in it, made where no case made it yet.
pub fn store() -> Store {
    let (folder, is_there) = kept::folder("store");
    if !is_there {
        return fill(&|_, _| {});
    }
    or_exit(Store::open(Config::new(folder)), "open the store")
}

/// A new store with the data in it; tells `print` what it took.
fn fill(print: &dyn Fn(&str, &[f64])) -> Store {
    let (folder, is_there) = kept::folder("store");
    if is_there {
        or_exit(std::fs::remove_dir_all(&folder), "empty the store");
    }
    let words = Words::new();
    let spans = data::spans(data::SPANS);
    let logs = data::logs(data::LOGS, &spans, &words);
    let (points, series) = (data::points(data::READINGS), data::series());
    let store = or_exit(Store::open(Config::new(folder)), "open the store");
    let took = |name: &str, table, count: usize, append: &mut dyn FnMut()| {
        let before = process_cpu_ns();
        append();
        or_exit(store.flush(), "write segments");
        print(name, &[(process_cpu_ns() - before) as f64 / count as f64]);
        let segments = store.segments();
        let bytes: u64 = segments
            .iter()
            .filter(|one| one.table == table)
            .map(|one| one.bytes)
            .sum();
        print(&format!("bytes_{name}"), &[bytes as f64 / count as f64]);
    };
    took("spans", Table::Spans, spans.len(), &mut || {
        append(&store, &spans, |rows, span| add_span(rows, span, &words));
    });
    took("logs", Table::Logs, logs.len(), &mut || {
        append(&store, &logs, |rows, log| add_log(rows, log, &words));
    });
    took("points", Table::Points, points.len(), &mut || {
        append(&store, &points, |rows, point| {
            add_point(rows, point, &series);
        });
    });
    store
}

fn append<T>(store: &Store, all: &[T], add: impl Fn(&mut Rows, &T)) {
    for batch in all.chunks(BATCH_ROWS) {
        loop {
            let mut rows = Rows::default();
            for one in batch {
                add(&mut rows, one);
            }
            match store.append(rows) {
                Ok(()) => break,
                Err(radiosonde_store::AppendError::Busy { retry_after }) => {
                    std::thread::sleep(retry_after);
                }
                Err(error) => or_exit(Err(error), "append"),
            }
        }
    }
}

fn origin(service: u8) -> Origin<'static> {
    Origin {
        service: SERVICES[usize::from(service)],
        resource: "{}",
        scope: "bench",
    }
}

fn add_span(rows: &mut Rows, span: &Span, words: &Words) {
    rows.span(&SpanRow {
        origin: origin(span.service),
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        name: &words.names[usize::from(span.name)],
        kind: span.kind(),
        status: span.status(),
        status_message: "",
        start_unix_ns: span.start_unix_ns,
        duration_ns: span.duration_ns,
        links: "",
        attributes: &[
            (
                "k8s.pod.name",
                Value::Text(&words.pods[usize::from(span.pod)]),
            ),
            ("gpu.index", Value::Int(i64::from(span.gpu))),
            ("gen_ai.request.model", Value::Text(span.model())),
            (
                "http.response.status_code",
                Value::Int(i64::from(span.status_code)),
            ),
            ("user.id", Value::Text(&words.users[usize::from(span.user)])),
            (
                "gen_ai.usage.output_tokens",
                Value::Int(i64::from(span.tokens)),
            ),
        ],
    });
}

fn add_log(rows: &mut Rows, log: &Log, words: &Words) {
    rows.log(&LogRow {
        origin: origin(log.service),
        time_unix_ns: log.time_unix_ns,
        trace_id: log.span.map(|(trace, _)| trace),
        span_id: log.span.map(|(_, span)| span),
        severity: log.severity,
        event_name: "",
        body: &log.body,
        attributes: &[(
            "k8s.pod.name",
            Value::Text(&words.pods[usize::from(log.pod)]),
        )],
    });
}

fn add_point(rows: &mut Rows, point: &Point, series: &[Series]) {
    let one = &series[usize::from(point.series)];
    rows.point(&PointRow {
        origin: origin(9),
        name: one.metric,
        unit: "1",
        kind: if one.metric.ends_with("total") {
            PointKind::Counter
        } else {
            PointKind::Gauge
        },
        time_unix_ns: point.time_unix_ns,
        start_unix_ns: data::BEGIN_UNIX_NS,
        value: point.value,
        count: 0,
        distribution: "",
        exemplars: "",
        attributes: &[
            ("host.name", Value::Text(&one.host)),
            ("gpu", Value::Text(&one.gpu)),
        ],
    });
}
