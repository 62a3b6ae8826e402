//! Recordings: what the JSON-lines and SQLite exporters wrote, read back as owned [`Record`]s, and written again.
//! The format is in docs/recording.md.
//!
//! Invariants: input of any shape is read without a panic and within [`LINE_BYTES_MAX`]; what cannot be read is skipped and
//! counted with its line number; an event of a type that this build does not know comes back as it was.

mod line;
mod lines;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _, Seek as _, Write},
    path::{Path, PathBuf},
};

use radiosonde_core::model::Record;

pub use self::lines::{BadLine, JsonLines, LINE_BYTES_MAX, Skipped};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteError};
use crate::encode::json::JsonEncoder;

/// The first bytes of a SQLite file (SQLite file format, section 1.3).
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// A recording that is being read: JSON lines or SQLite, told apart by the file's first bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recording {
    /// A file of JSON lines.
    JsonLines(JsonLines<BufReader<File>>),
    /// A SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
}

/// A recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}; check that it exists and that you may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is something at the path that is not a regular file.
    #[error("cannot read {path}: {mend}")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is, and what to do about it.
        mend: &'static str,
    },
    /// The database cannot be read.
    #[cfg(feature = "sqlite")]
    #[error("cannot read {path} as a recording: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SqliteError,
    },
    /// The file is a SQLite recording and this build cannot read those.
    #[error(
        "{path} is a SQLite recording, which this build cannot read; build with the feature `sqlite`"
    )]
    NoSqlite {
        /// The file.
        path: PathBuf,
    },
}

impl Recording {
    /// Opens the recording at `path`.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Read {
            path: path.to_owned(),
            source,
        };
        // Before opening it: opening a named pipe waits for somebody to write.
        let kind = fs::metadata(path).map_err(failed)?.file_type();
        if !kind.is_file() {
            return Err(RecordingError::NotAFile {
                path: path.to_owned(),
                mend: if kind.is_dir() {
                    "it is a folder; name the recording in it"
                } else {
                    "it is a pipe or device, and a recording is read more than once; write it to a file and name that"
                },
            });
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut first = Vec::new();
        (&file)
            .take(SQLITE_MAGIC.len() as u64)
            .read_to_end(&mut first)
            .map_err(failed)?;
        if first == SQLITE_MAGIC {
            return Self::open_sqlite(path);
        }
        file.rewind().map_err(failed)?;
        Ok(Self::JsonLines(JsonLines::new(BufReader::new(file))))
    }

    #[cfg(feature = "sqlite")]
    fn open_sqlite(path: &Path) -> Result<Self, RecordingError> {
        Sqlite::open(path)
            .map(Self::Sqlite)
            .map_err(|source| RecordingError::Database {
                path: path.to_owned(),
                source,
            })
    }

    #[cfg(not(feature = "sqlite"))]
    fn open_sqlite(path: &Path) -> Result<Self, RecordingError> {
        Err(RecordingError::NoSqlite {
            path: path.to_owned(),
        })
    }

    /// Every record of the recording at `path`, and what had to be skipped.
    pub fn read(path: &Path) -> Result<(Vec<Record>, Skipped), RecordingError> {
        let failed = |source| RecordingError::Read {
            path: path.to_owned(),
            source,
        };
        match Self::open(path)? {
            Self::JsonLines(mut lines) => {
                let records = lines.by_ref().collect::<io::Result<_>>().map_err(failed)?;
                Ok((records, lines.into_skipped()))
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(mut rows) => rows.read().map_err(|source| RecordingError::Database {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Writes owned records as JSON lines: the same bytes as the exporter writes.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    encoder: JsonEncoder,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which sees one `write_all` a record.
    pub fn new(out: W, encoder: JsonEncoder) -> Self {
        Self {
            out,
            encoder,
            line: Vec::new(),
        }
    }

    /// Writes one line.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        self.encoder.owned_line(record, &mut self.line);
        self.out.write_all(&self.line)
    }

    /// Flushes `out` and gives it back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads arbitrary bytes as JSON lines and checks that what was read survives being written and read again. The body
/// of the fuzz target `recording`.
///
/// # Panics
/// When the reader and writer disagree.
#[doc(hidden)]
pub fn check_round_trip(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut lines = JsonLines::new(bytes);
        let records: Vec<Record> = lines.by_ref().filter_map(Result::ok).collect();
        (records, lines.into_skipped())
    };
    let write = |records: &[Record]| {
        let mut out = Vec::new();
        let mut encoder = JsonEncoder::new(crate::redact::Redaction::off());
        for record in records {
            encoder.owned_line(record, &mut out);
        }
        out
    };
    let (records, _) = read(bytes);
    let written = write(&records);
    let (again, skipped) = read(&written);
    assert_eq!(skipped.lines, 0, "{:?}", skipped.first);
    assert_eq!(again.len(), records.len());
    let again = write(&again);
    assert_eq!(
        String::from_utf8_lossy(&again),
        String::from_utf8_lossy(&written)
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use radiosonde_core::model::{EventRecord, Value};

    use super::*;

    fn read(text: &str) -> (Vec<Record>, Skipped) {
        let mut lines = JsonLines::new(text.as_bytes());
        let records = lines.by_ref().map(Result::unwrap).collect();
        (records, lines.into_skipped())
    }

    fn event(text: &str) -> EventRecord {
        match read(text).0.pop() {
            Some(Record::Event(event)) => event,
            other => panic!("not an event: {other:?}"),
        }
    }

    fn written(record: &Record) -> String {
        let mut writer = Writer::new(Vec::new(), JsonEncoder::default());
        writer.write(record).unwrap();
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn bad_lines_are_skipped_and_counted_by_number() {
        let good = r#"{"ts":"2026-01-31T12:00:00Z","event":{"type":"Custom","data":{"n":1}}}"#;
        let deep = format!(
            r#"{{"event":{{"type":"X","data":{}1{}}}}}"#,
            "[".repeat(99),
            "]".repeat(99)
        );
        let bad_id = r#"{"trace_id":"xyz","event":{"type":"X"}}"#;
        let bad_time = r#"{"ts":"yesterday","event":{"type":"X"}}"#;
        let text = format!("{good}\n\nnot json\n[1]\n{{}}\n{deep}\n{bad_id}\n{bad_time}\n{good}");
        let (records, skipped) = read(&text);
        assert_eq!(records.len(), 2);
        assert_eq!(skipped.lines, 6);
        let lines: Vec<_> = skipped.first.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8]);
        assert!(
            skipped.first[4]
                .reason
                .contains("32 hexadecimal digits: xyz")
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_whole() {
        let text = format!("{}\n{{\"event\":{{\"type\":\"X\"}}}}\n", "x".repeat(100));
        let mut lines =
            JsonLines::with_line_limit(io::BufReader::with_capacity(7, text.as_bytes()), 50);
        assert_eq!(lines.by_ref().count(), 1);
        assert_eq!(lines.skipped().first[0].line, 1);
    }

    #[test]
    fn types_nobody_knows_come_back_as_they_were() {
        for data in [
            r#"{"b":[1,{"c":null}],"a":-2.5,"big":18446744073709551615}"#,
            "[1,2]",
            "\"text\"",
            "{}",
            "{\"\":1}",
        ] {
            let line = format!(
                r#"{{"ts":"2026-01-31T12:00:00.000000001Z","trace_id":null,"span_id":null,"parent_id":null,"span_name":null,"event":{{"type":"FromTheFuture","data":{data}}}}}"#
            );
            let event = event(&line);
            assert_eq!(written(&Record::Event(event)).trim_end(), line);
        }
    }

    #[test]
    fn what_follows_an_option_in_a_list_is_not_written_again() {
        let event = event(
            r#"{"event":{"type":"X","data":{"args":["run","--password","hunter2","--port",80,["--token","T0"]],"plain":["a","b"]}}}"#,
        );
        let line = written(&Record::Event(event));
        assert!(
            line.contains(r#""args":["run","--password","[redacted]","--port",80,["--token","[redacted]"]],"plain":["a","b"]"#),
            "{line}"
        );
    }

    #[test]
    fn the_older_shape_is_read() {
        let older = event(
            r#"{"span_id":2,"parent_span_id":1,"event":{"type":"GpuOpCompleted","data":{"op_name":"m"}}}"#,
        );
        assert_eq!((older.time_unix_ns, older.place.as_ref()), (0, None));
        assert_eq!(older.field("op_name").and_then(Value::as_str), Some("m"));
        let zero = "00000000000000000000000000000000";
        let outside = event(&format!(
            r#"{{"trace_id":"{zero}","span_id":0,"event":{{"type":"X"}}}}"#
        ));
        assert_eq!(outside.place, None);
    }

    fn arbitrary_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<f64>().prop_map(|value| if value.is_finite() {
                value.to_string()
            } else {
                "0".to_owned()
            }),
            any::<i64>().prop_map(|value| value.to_string()),
            "[ -!#-\\[\\]-~é\u{1F600}]{0,12}".prop_map(|text| format!("\"{text}\"")),
            Just("null".to_owned()),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| format!("[{}]", values.join(","))),
                proptest::collection::vec(("[a-c_]{0,3}", inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(name, value)| format!("\"{name}\":{value}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_read_survives_a_round_trip(
            data in arbitrary_json(), kind in "Span|Log|Custom", garbage in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let line = format!(r#"{{"ts":"2026-01-31T12:00:00Z","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":7,"event":{{"type":"{kind}","data":{data}}}}}"#);
            let mut bytes = line.into_bytes();
            bytes.push(b'\n');
            bytes.extend_from_slice(&garbage);
            check_round_trip(&bytes);
        }
    }
}
