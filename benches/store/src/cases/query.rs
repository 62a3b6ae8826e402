//! Questions to the stored day, warm: our store, DuckDB, ClickHouse's engine.

use std::time::{Duration, Instant};

use radiosonde_bench_harness::{Bench, Case, or_exit, print, row::Row};
use radiosonde_core::ids::TraceId;
use radiosonde_store::{Store, query::Limits};

use super::ingest;
use crate::{data, peers};

const REPETITIONS: usize = 9;
const DUCKDB: &str = "DuckDB";
const CLICKHOUSE: &str = "ClickHouse (chdb)";

const QUANTILES: &str = "store: p50, p95, p99 by minute and operation, 24 h";
const ROLLED_UP: &str = "store: p50, p95, p99 by minute and operation, 24 h, from roll-ups";
const CONTAINS: &str = "store: log lines with a word, last hour";
const TOP: &str = "store: the 20 most frequent of 50,000 values";
const RATE: &str = "store: rate of 100 series by minute";

/// What people ask.
pub const BENCH: Bench = Bench {
    rows: &[
        Row::at_most(
            "store: a trace by its identifier",
            "store.query:trace",
            10.0,
            "ms",
        ),
        Row::beside(
            "store: a trace by its identifier",
            "store.query:trace",
            "store.query_duckdb:trace",
            DUCKDB,
            None,
        )
        .in_unit("ms"),
        Row::beside(
            QUANTILES,
            "store.query:quantiles",
            "store.query_duckdb:quantiles",
            DUCKDB,
            Some(1.0),
        )
        .in_unit("ms"),
        Row::beside(
            QUANTILES,
            "store.query:quantiles",
            "store.query_chdb:quantiles",
            CLICKHOUSE,
            None,
        )
        .in_unit("ms"),
        Row::at_most(ROLLED_UP, "store.query:rolled_up", 20.0, "ms"),
        Row::beside(
            ROLLED_UP,
            "store.query:rolled_up",
            "store.query_duckdb:quantiles",
            DUCKDB,
            Some(1.0),
        )
        .in_unit("ms"),
        Row::beside(
            CONTAINS,
            "store.query:contains",
            "store.query_duckdb:contains",
            DUCKDB,
            Some(2.0),
        )
        .in_unit("ms"),
        Row::beside(
            CONTAINS,
            "store.query:contains",
            "store.query_chdb:contains",
            CLICKHOUSE,
            None,
        )
        .in_unit("ms"),
        Row::beside(
            TOP,
            "store.query:top",
            "store.query_duckdb:top",
            DUCKDB,
            Some(2.0),
        )
        .in_unit("ms"),
        Row::beside(
            TOP,
            "store.query:top",
            "store.query_chdb:top",
            CLICKHOUSE,
            None,
        )
        .in_unit("ms"),
        Row::beside(
            RATE,
            "store.query:rate",
            "store.query_duckdb:rate",
            DUCKDB,
            Some(2.0),
        )
        .in_unit("ms"),
        Row::beside(
            RATE,
            "store.query:rate",
            "store.query_chdb:rate",
            CLICKHOUSE,
            None,
        )
        .in_unit("ms"),
    ],
    cases: &[
        Case {
            name: "store.query",
            run: ours,
        },
        Case {
            name: "store.query_duckdb",
            run: || peers::run("duckdb", "query"),
        },
        Case {
            name: "store.query_chdb",
            run: || peers::run("chdb", "query"),
        },
    ],
};

/// The statements, beside the trace, that our store has a function for.
const STATEMENTS: [(&str, &str); 5] = [
    (
        "quantiles",
        "SELECT count(*), sum(quantile(s, 0.5) + quantile(s, 0.95) + quantile(s, 0.99)) FROM (\
         SELECT date_bin(INTERVAL '1 minute', start_time) AS m, name, sketch(duration) AS s FROM spans GROUP BY 1, 2)",
    ),
    (
        "rolled_up",
        "SELECT count(*), sum(quantile(s, 0.5) + quantile(s, 0.95) + quantile(s, 0.99)) FROM (\
         SELECT minute, name, merge(durations) AS s FROM operations GROUP BY 1, 2)",
    ),
    (
        "contains",
        "SELECT time, service, severity, body, trace_id FROM logs \
         WHERE time >= TIMESTAMP '2026-01-15T23:00:00' AND body LIKE '%timeout%' ORDER BY time DESC LIMIT 200",
    ),
    (
        "top",
        "SELECT attributes['user.id'] AS u, count(*) AS c FROM spans GROUP BY 1 ORDER BY c DESC, u LIMIT 20",
    ),
    (
        "rate",
        "SELECT m, sum(r) FROM (SELECT series, date_bin(INTERVAL '1 minute', time) AS m, \
         (max(value) - min(value)) / 60.0 AS r FROM points WHERE name = 'collective.bytes.total' GROUP BY 1, 2) \
         GROUP BY m ORDER BY m",
    ),
];

fn ours() {
    let store = ingest::store();
    let trace = data::example_trace(&data::spans(data::SPANS));
    let trace = or_exit(
        TraceId::new(u128::from_be_bytes(trace)).ok_or("it is all zero"),
        "name the trace",
    );
    time("trace", || {
        let records = or_exit(store.trace(trace), "read the trace");
        or_exit(
            (records.len() >= 8).then_some(()).ok_or(records.len()),
            "find the trace's spans",
        );
    });
    for (name, statement) in STATEMENTS {
        time(name, || ask(&store, statement));
    }
}

fn ask(store: &Store, statement: &str) {
    let limits = Limits {
        timeout: Duration::from_mins(2),
        ..Limits::default()
    };
    let answer = or_exit(store.sql(statement, limits), "answer");
    or_exit(
        (!answer.rows.is_empty()).then_some(()).ok_or("no rows"),
        "find what was stored",
    );
}

/// Milliseconds of each repetition, after one that warms up.
fn time(name: &str, mut work: impl FnMut()) {
    work();
    let samples: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    print(name, &samples);
}
