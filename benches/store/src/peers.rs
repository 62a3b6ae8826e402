//! The peers: DuckDB and ClickHouse's engine (chdb), as their Python packages.
//!
//! They read the same data from Parquet. `peers.py` measures in a process of its own and prints what it measured, as a
//! case does.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampNanosecondArray,
    },
    error::ArrowError,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use radiosonde_bench_harness::or_exit;

use crate::{
    data::{self, Log, Point, SERVICES, Span, Words},
    kept,
};

/// What is asked of pip where Python does not have them.
const PACKAGES: [&str; 2] = ["duckdb==2.0.1", "chdb==4.4.0"];
const SCRIPT: &str = include_str!("peers.py");
/// Rows of a batch that is written.
const BATCH_ROWS: usize = 131_072;

/// Has `peer` ("duckdb" or "chdb") take in the data, or answer the queries, and passes on what it prints.
pub fn run(peer: &str, what: &str) {
    let input = input();
    let packages = packages();
    let (databases, _) = kept::folder("databases");
    let trace = data::example_trace(&data::spans(data::SPANS));
    let status = Command::new("python3")
        .args(["-c", SCRIPT, peer, what])
        .arg(&input)
        .arg(databases.join(peer))
        .arg(data::hex(trace))
        .env("PYTHONPATH", packages)
        .status();
    let status = or_exit(status, "start python3");
    or_exit(
        status.success().then_some(()).ok_or(status),
        "run the peer (what it said is above)",
    );
}

/// The folder with the peers' Python packages, installed where they are not yet.
fn packages() -> std::path::PathBuf {
    let (folder, is_there) = kept::folder("python");
    if !is_there {
        let install = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .args(PACKAGES)
            .status();
        let status = or_exit(install, "start python3");
        if !status.success() {
            let _ = fs::remove_dir_all(&folder); // so that the next case tries again
        }
        or_exit(
            status.success().then_some(()).ok_or(status),
            "install the peers by pip",
        );
    }
    folder
}

/// The folder of the peers' input, written where it is not there yet.
fn input() -> std::path::PathBuf {
    let (folder, is_there) = kept::folder("input");
    if !is_there {
        let words = Words::new();
        let spans = data::spans(data::SPANS);
        let logs = data::logs(data::LOGS, &spans, &words);
        let points = data::points(data::READINGS);
        or_exit(
            write_spans(&folder, &spans, &words),
            "write the peers' spans",
        );
        or_exit(write_logs(&folder, &logs, &words), "write the peers' logs");
        or_exit(write_points(&folder, &points), "write the peers' points");
    }
    folder
}

fn write_spans(folder: &Path, spans: &[Span], words: &Words) -> Result<(), ArrowError> {
    let batches = spans.chunks(BATCH_ROWS).map(|spans| {
        let text = |value: &dyn Fn(&Span) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(spans.iter().map(value)))
        };
        let number = |value: &dyn Fn(&Span) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(spans.iter().map(value)))
        };
        let start =
            TimestampNanosecondArray::from_iter_values(spans.iter().map(|span| span.start_unix_ns));
        RecordBatch::try_from_iter_with_nullable([
            (
                "trace_id",
                fixed(16, spans.iter().map(|span| Some(&span.trace_id[..])))?,
                false,
            ),
            (
                "span_id",
                fixed(8, spans.iter().map(|span| Some(&span.span_id[..])))?,
                false,
            ),
            (
                "parent_span_id",
                fixed(
                    8,
                    spans
                        .iter()
                        .map(|span| span.parent_span_id.as_ref().map(|id| &id[..])),
                )?,
                true,
            ),
            (
                "service",
                text(&|span| SERVICES[usize::from(span.service)].to_owned()),
                false,
            ),
            (
                "name",
                text(&|span| words.names[usize::from(span.name)].clone()),
                false,
            ),
            ("kind", text(&|span| span.kind().to_owned()), false),
            ("status", text(&|span| span.status().to_owned()), false),
            ("start", Arc::new(start) as ArrayRef, false),
            ("duration", number(&|span| span.duration_ns), false),
            (
                "pod",
                text(&|span| words.pods[usize::from(span.pod)].clone()),
                false,
            ),
            ("gpu", number(&|span| i64::from(span.gpu)), false),
            ("model", text(&|span| span.model().to_owned()), false),
            (
                "status_code",
                number(&|span| i64::from(span.status_code)),
                false,
            ),
            (
                "user",
                text(&|span| words.users[usize::from(span.user)].clone()),
                false,
            ),
            ("tokens", number(&|span| i64::from(span.tokens)), false),
        ])
    });
    write(&folder.join("spans.parquet"), batches)
}

fn write_logs(folder: &Path, logs: &[Log], words: &Words) -> Result<(), ArrowError> {
    let batches = logs.chunks(BATCH_ROWS).map(|logs| {
        let text = |value: &dyn Fn(&Log) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(logs.iter().map(value)))
        };
        let time =
            TimestampNanosecondArray::from_iter_values(logs.iter().map(|log| log.time_unix_ns));
        let severity = Int64Array::from_iter_values(logs.iter().map(|log| i64::from(log.severity)));
        RecordBatch::try_from_iter_with_nullable([
            ("time", Arc::new(time) as ArrayRef, false),
            (
                "trace_id",
                fixed(
                    16,
                    logs.iter()
                        .map(|log| log.span.as_ref().map(|(trace, _)| &trace[..])),
                )?,
                true,
            ),
            (
                "span_id",
                fixed(
                    8,
                    logs.iter()
                        .map(|log| log.span.as_ref().map(|(_, span)| &span[..])),
                )?,
                true,
            ),
            ("severity", Arc::new(severity) as ArrayRef, false),
            (
                "service",
                text(&|log| SERVICES[usize::from(log.service)].to_owned()),
                false,
            ),
            (
                "pod",
                text(&|log| words.pods[usize::from(log.pod)].clone()),
                false,
            ),
            ("body", text(&|log| log.body.clone()), false),
        ])
    });
    write(&folder.join("logs.parquet"), batches)
}

fn write_points(folder: &Path, points: &[Point]) -> Result<(), ArrowError> {
    let batches = points.chunks(BATCH_ROWS).map(|points| {
        let series =
            Int64Array::from_iter_values(points.iter().map(|point| i64::from(point.series)));
        let time = TimestampNanosecondArray::from_iter_values(
            points.iter().map(|point| point.time_unix_ns),
        );
        let value = Float64Array::from_iter_values(points.iter().map(|point| point.value));
        RecordBatch::try_from_iter([
            ("series", Arc::new(series) as ArrayRef),
            ("time", Arc::new(time) as ArrayRef),
            ("value", Arc::new(value) as ArrayRef),
        ])
    });
    write(&folder.join("points.parquet"), batches)?;
    let series = data::series();
    let batch = RecordBatch::try_from_iter([
        (
            "series",
            Arc::new(Int64Array::from_iter_values(0..series.len() as i64)) as ArrayRef,
        ),
        (
            "metric",
            Arc::new(StringArray::from_iter_values(
                series.iter().map(|one| one.metric),
            )) as ArrayRef,
        ),
        (
            "host",
            Arc::new(StringArray::from_iter_values(
                series.iter().map(|one| &one.host),
            )) as ArrayRef,
        ),
        (
            "gpu",
            Arc::new(StringArray::from_iter_values(
                series.iter().map(|one| &one.gpu),
            )) as ArrayRef,
        ),
    ]);
    write(&folder.join("series.parquet"), std::iter::once(batch))
}

fn fixed<'a>(
    bytes: i32,
    values: impl Iterator<Item = Option<&'a [u8]>>,
) -> Result<ArrayRef, ArrowError> {
    let mut builder = FixedSizeBinaryBuilder::new(bytes);
    for value in values {
        match value {
            Some(value) => builder.append_value(value)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn write(
    path: &Path,
    mut batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<(), ArrowError> {
    let Some(first) = batches.next().transpose()? else {
        return Ok(());
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, first.schema(), Some(properties))?;
    writer.write(&first)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}
