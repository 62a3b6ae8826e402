"""One peer takes in the data of the benches, or answers their queries: python3 -c ... PEER WHAT INPUT DATABASE TRACE.

PEER is duckdb or chdb, WHAT ingest or query. Prints what the driver reads: `samples<TAB>MEASURE<TAB>numbers`. Both answer
with as many threads as there are processors, as ours does, and take in with one.
"""

import os
import shutil
import sys
import time

PEER, WHAT, INPUT, DATABASE, TRACE = sys.argv[1:6]
REPETITIONS = 9
LAST_HOUR = "2026-01-15 23:00:00"


def samples(measure, values):
    print(f"samples\t{measure}\t" + ",".join(f"{value:.4f}" for value in values), flush=True)


class DuckDB:
    def __init__(self):
        import duckdb

        self.connection = duckdb.connect(DATABASE + ".duckdb")
        if WHAT == "ingest":
            self.connection.execute("SET threads = 1")

    def ask(self, statement):
        return self.connection.execute(statement).fetchall()

    def prepare(self):
        pass

    def take(self, table):
        order = " ORDER BY series, time" if table == "points" else ""
        self.ask(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{INPUT}/{table}.parquet'){order}")
        self.ask("CHECKPOINT")

    def bytes(self, table):
        blocks = self.ask(
            f"SELECT count(DISTINCT block_id) FROM pragma_storage_info('{table}') WHERE persistent AND block_id >= 0"
        )[0][0]
        return blocks * 262_144

    def queries(self):
        blob = "'" + "".join("\\x" + TRACE[i : i + 2] for i in range(0, 32, 2)) + "'::BLOB"
        minute = "time_bucket(INTERVAL '1 minute', {})"
        return {
            "trace": f"SELECT * FROM spans WHERE trace_id = {blob}",
            "quantiles": "SELECT count(*), sum(q[1] + q[2] + q[3]) FROM (SELECT "
            + minute.format("start")
            + " m, name, quantile_cont(duration, [0.5, 0.95, 0.99]) q FROM spans GROUP BY 1, 2)",
            "contains": "SELECT time, service, severity, body, trace_id FROM logs"
            f" WHERE time >= '{LAST_HOUR}' AND contains(body, 'timeout') ORDER BY time DESC LIMIT 200",
            "top": 'SELECT "user", count(*) c FROM spans GROUP BY 1 ORDER BY c DESC, 1 LIMIT 20',
            "rate": "SELECT m, sum(r) FROM (SELECT p.series, "
            + minute.format("time")
            + " m, (max(value) - min(value)) / 60.0 r FROM points p JOIN series s ON p.series = s.series"
            " WHERE s.metric = 'collective.bytes.total' GROUP BY 1, 2) GROUP BY m ORDER BY m",
        }


class ClickHouse:
    # Tables as the OpenTelemetry Collector's exporter to ClickHouse orders them, with a column for each attribute.
    SCHEMA = """
CREATE DATABASE IF NOT EXISTS d ENGINE = Atomic;
CREATE TABLE d.spans (trace_id FixedString(16) CODEC(ZSTD(1)), span_id FixedString(8) CODEC(ZSTD(1)),
    parent_span_id Nullable(FixedString(8)) CODEC(ZSTD(1)), service LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)), kind LowCardinality(String), status LowCardinality(String),
    start DateTime64(9) CODEC(Delta, ZSTD(1)), duration Int64 CODEC(ZSTD(1)), pod LowCardinality(String) CODEC(ZSTD(1)),
    gpu Int64 CODEC(ZSTD(1)), model LowCardinality(String) CODEC(ZSTD(1)), status_code Int64 CODEC(ZSTD(1)),
    user String CODEC(ZSTD(1)), tokens Int64 CODEC(ZSTD(1)),
    INDEX traces trace_id TYPE bloom_filter(0.001) GRANULARITY 1)
    ENGINE = MergeTree PARTITION BY toDate(start) ORDER BY (service, name, toDateTime(start));
CREATE TABLE d.logs (time DateTime64(9) CODEC(Delta, ZSTD(1)), trace_id Nullable(FixedString(16)) CODEC(ZSTD(1)),
    span_id Nullable(FixedString(8)) CODEC(ZSTD(1)), severity Int64 CODEC(ZSTD(1)), service LowCardinality(String),
    pod LowCardinality(String), body String CODEC(ZSTD(1)),
    INDEX words body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8)
    ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (service, time);
CREATE TABLE d.points (series Int64 CODEC(ZSTD(1)), time DateTime64(9) CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1))) ENGINE = MergeTree PARTITION BY toDate(time) ORDER BY (series, time);
CREATE TABLE d.series (series Int64, metric String, host String, gpu String) ENGINE = MergeTree ORDER BY series"""

    def __init__(self):
        from chdb import session

        if WHAT == "ingest":
            shutil.rmtree(DATABASE, ignore_errors=True)
        self.session = session.Session(DATABASE)

    def ask(self, statement):
        return self.session.query(statement, "Native")

    def prepare(self):
        for statement in self.SCHEMA.split(";\n"):
            self.session.query(statement)

    def take(self, table):
        self.ask(
            f"INSERT INTO d.{table} SELECT * FROM file('{INPUT}/{table}.parquet', Parquet)"
            " SETTINGS max_threads = 1, max_insert_threads = 1"
        )

    def bytes(self, table):
        self.session.query(f"OPTIMIZE TABLE d.{table} FINAL")
        answer = self.session.query(
            f"SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'd' AND table = '{table}'",
            "TabSeparated",
        )
        return int(str(answer).strip())

    def queries(self):
        return {
            "trace": f"SELECT * FROM d.spans WHERE trace_id = unhex('{TRACE}')",
            "quantiles": "SELECT count(), sum(q[1] + q[2] + q[3]) FROM (SELECT toStartOfMinute(start) m, name,"
            " quantiles(0.5, 0.95, 0.99)(duration) q FROM d.spans GROUP BY 1, 2)",
            "contains": "SELECT time, service, severity, body, trace_id FROM d.logs"
            f" WHERE time >= '{LAST_HOUR}' AND body LIKE '%timeout%' ORDER BY time DESC LIMIT 200",
            "top": "SELECT user, count() c FROM d.spans GROUP BY 1 ORDER BY c DESC, 1 LIMIT 20",
            "rate": "SELECT m, sum(r) FROM (SELECT p.series, toStartOfMinute(time) m, (max(value) - min(value)) / 60.0 r"
            " FROM d.points p JOIN d.series s ON p.series = s.series WHERE s.metric = 'collective.bytes.total'"
            " GROUP BY 1, 2) GROUP BY m ORDER BY m",
        }


def ingest(peer):
    import collections

    rows = collections.OrderedDict(spans=2_000_000, logs=1_000_000, points=2_500_000, series=500)
    peer.prepare()
    for table, count in rows.items():
        before = time.process_time_ns()
        peer.take(table)
        cpu = time.process_time_ns() - before
        samples(table, [cpu / count])
        samples(f"bytes_{table}", [peer.bytes(table) / count])


def query(peer):
    for name, statement in peer.queries().items():
        peer.ask(statement)
        times = []
        for _ in range(REPETITIONS):
            before = time.perf_counter_ns()
            peer.ask(statement)
            times.append((time.perf_counter_ns() - before) / 1e6)
        samples(name, times)


if PEER == "duckdb" and WHAT == "ingest" and os.path.exists(DATABASE + ".duckdb"):
    os.remove(DATABASE + ".duckdb")
peer = {"duckdb": DuckDB, "chdb": ClickHouse}[PEER]()
{"ingest": ingest, "query": query}[WHAT](peer)
