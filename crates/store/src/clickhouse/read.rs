//! Rows back from ClickHouse, as they come, with the columns that batches in memory have.

use std::{collections::HashMap, io::Read as _, sync::Arc};

use arrow::{
    array::{AsArray as _, RecordBatch},
    buffer::Buffer,
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
    ipc::reader::StreamDecoder,
};
use radiosonde_core::{hash::FoldState, ids::TraceId};
use ureq::BodyReader;

use super::{
    ClickHouseError, Place,
    client::{bytes_literal, quoted},
    tables::{self, column_name},
};
use crate::{catalogue::AttributeType, merge::trace_number, table::Table};

/// What ends a stream of Arrow (Arrow columnar format, IPC streaming format). One may end without it, but ClickHouse's do not unless
/// they break off.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Most bytes of a batch; what is more is no answer of ClickHouse, which sends 8,192 rows at once.
const BATCH_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A table as a statement sees it there: without the rows that are in this store's memory still.
#[derive(Clone, Debug)]
pub(crate) struct View {
    place: Arc<Place>,
    table: Table,
    /// The stamps of this store's generations that are not looked at.
    in_memory: Vec<i64>,
}

impl View {
    pub(super) const fn new(place: Arc<Place>, table: Table, in_memory: Vec<i64>) -> Self {
        Self {
            place,
            table,
            in_memory,
        }
    }

    /// The attributes that had a column when they were written.
    pub(crate) fn attributes(&self) -> Vec<(String, AttributeType)> {
        self.place.attributes(self.table)
    }

    /// The columns called `names` of the rows for which ClickHouse says that `condition` holds.
    pub(crate) fn rows(
        &self,
        names: &[&str],
        condition: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Batches, ClickHouseError> {
        let fields = self.table.columns().into_iter();
        let fields: Vec<FieldRef> = fields
            .filter(|field| names.contains(&field.name().as_str()))
            .map(|field| Arc::new(Field::new(field.name(), plain(&field), field.is_nullable())))
            .collect();
        let columns: Vec<String> = fields
            .iter()
            .map(|field| quoted(column_name(field.name())))
            .collect();
        let limit = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        let statement = self.statement(&columns.join(", "), condition, &limit);
        self.ask(&statement, Schema::new(fields).into())
    }

    /// How many rows there are.
    pub(crate) fn count(&self) -> Result<u64, ClickHouseError> {
        let rows = Field::new("rows", DataType::UInt64, false);
        let statement = self.statement("count() AS rows", None, "");
        let batches = self.ask(&statement, Arc::new(Schema::new(vec![rows])))?;
        let mut count = 0;
        for batch in batches {
            let batch = batch?;
            let counts = batch.column(0).as_primitive::<UInt64Type>();
            count += counts.values().iter().sum::<u64>();
        }
        Ok(count)
    }

    /// Whole rows of some traces, for which `also` holds as well.
    pub(crate) fn of_traces(
        &self,
        traces: &[TraceId],
        also: Option<&str>,
    ) -> Result<Batches, ClickHouseError> {
        let mut condition = in_traces(traces);
        if let Some(also) = also {
            condition = format!("{condition} AND {also}");
        }
        let columns = self.table.columns();
        let names: Vec<&str> = columns.iter().map(|field| field.name().as_str()).collect();
        self.rows(&names, Some(&condition), None)
    }

    /// How many rows each of some traces has.
    pub(crate) fn counts(
        &self,
        traces: &[TraceId],
    ) -> Result<HashMap<u128, usize, FoldState>, ClickHouseError> {
        let statement = self.statement(
            "trace_id, count() AS rows",
            Some(&in_traces(traces)),
            " GROUP BY trace_id",
        );
        let fields = vec![
            Field::new("trace_id", DataType::FixedSizeBinary(16), false),
            Field::new("rows", DataType::UInt64, false),
        ];
        let mut counts = HashMap::default();
        for batch in self.ask(&statement, Arc::new(Schema::new(fields)))? {
            let batch = batch?;
            let traces = batch.column(0).as_fixed_size_binary();
            let rows = batch.column(1).as_primitive::<UInt64Type>();
            for row in 0..batch.num_rows() {
                counts.insert(trace_number(traces, row), rows.value(row) as usize);
            }
        }
        Ok(counts)
    }

    fn statement(&self, what: &str, condition: Option<&str>, rest: &str) -> String {
        let mut conditions = Vec::new();
        if !self.in_memory.is_empty() {
            let stamps: Vec<String> = self.in_memory.iter().map(i64::to_string).collect();
            let (writer, stamps) = (self.place.writer, stamps.join(", "));
            conditions.push(format!(
                "NOT (writer = {writer} AND generation IN ({stamps}))"
            ));
        }
        conditions.extend(condition.map(str::to_owned));
        let mut statement = format!(
            "SELECT {what} FROM {}",
            tables::name(self.place.client.database(), self.table.name())
        );
        if !conditions.is_empty() {
            statement = format!("{statement} WHERE {}", conditions.join(" AND "));
        }
        format!("{statement}{rest} FORMAT ArrowStream")
    }

    fn ask(&self, statement: &str, schema: SchemaRef) -> Result<Batches, ClickHouseError> {
        self.place.prepare()?;
        let body = self.place.ask(statement)?;
        Ok(Batches {
            place: Arc::clone(&self.place),
            body: body.into_reader(),
            decoder: StreamDecoder::new(),
            buffer: Buffer::from_vec(Vec::<u8>::new()),
            waiting: 0,
            last: [0; END.len()],
            schema,
            is_done: false,
        })
    }
}

fn in_traces(traces: &[TraceId]) -> String {
    let traces: Vec<String> = traces
        .iter()
        .map(|trace| bytes_literal(&trace.bits().to_be_bytes()))
        .collect();
    format!("trace_id IN ({})", traces.join(", "))
}

/// The type that a column comes in: labels are plain text.
fn plain(field: &Field) -> DataType {
    match field.data_type() {
        DataType::Dictionary(_, of) => (**of).clone(),
        other => other.clone(),
    }
}

/// An answer while it comes.
pub(crate) struct Batches {
    place: Arc<Place>,
    body: BodyReader<'static>,
    decoder: StreamDecoder,
    /// What was read and not decoded yet.
    buffer: Buffer,
    /// Bytes since the last batch.
    waiting: usize,
    /// The last bytes that were read.
    last: [u8; END.len()],
    schema: SchemaRef,
    is_done: bool,
}

impl Batches {
    fn read(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.buffer)? {
                self.waiting = 0;
                return self.conformed(&batch).map(Some);
            }
            let mut piece = vec![0; PIECE_BYTES];
            let read = self.body.read(&mut piece)?;
            piece.truncate(read);
            if read == 0 {
                self.decoder.finish()?;
                if self.last != END {
                    let reason = "it broke off before its end";
                    return Err(ArrowError::IpcError(reason.to_owned()));
                }
                return Ok(None);
            }
            self.waiting += read;
            if self.waiting > BATCH_BYTES_MAX {
                let reason = format!("a batch of more than {BATCH_BYTES_MAX} bytes");
                return Err(ArrowError::IpcError(reason));
            }
            self.remember(&piece);
            self.buffer = Buffer::from_vec(piece);
        }
    }

    fn remember(&mut self, new: &[u8]) {
        let taken = new.len().min(self.last.len());
        self.last.rotate_left(taken);
        let kept = self.last.len() - taken;
        self.last[kept..].copy_from_slice(&new[new.len() - taken..]);
    }

    fn conformed(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let fields = self.schema.fields();
        if batch.num_columns() != fields.len() {
            let (has, wanted) = (batch.num_columns(), fields.len());
            let reason = format!("it has {has} columns, not {wanted}");
            return Err(ArrowError::SchemaError(reason));
        }
        let columns = fields.iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| cast(column, field.data_type()));
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ClickHouseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let batch = self.read();
        self.is_done = !matches!(batch, Ok(Some(_)));
        batch
            .map_err(|error| self.place.client.broken(&error))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::{Ipv4Addr, TcpListener},
        thread,
        time::Duration,
    };

    use arrow::{
        array::{BinaryArray, Int64Array},
        ipc::writer::StreamWriter,
    };

    use super::*;

    /// What a view says of the logs where a server gives this body to one request.
    fn told(body: Vec<u8>, length: usize) -> Result<Vec<RecordBatch>, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(&stream);
            let mut left = 0;
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                if let Some(length) = line.to_lowercase().strip_prefix("content-length:") {
                    left = length.trim().parse().unwrap();
                }
                line.clear();
            }
            request.read_exact(&mut vec![0; left]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _ = (&stream).write_all(&[head.into_bytes(), body].concat());
        });
        let place = format!("http://127.0.0.1:{port}/a").parse().unwrap();
        let place = Arc::new(Place::new(&place, Duration::from_hours(1), 7, 1));
        place.lock().is_prepared = true;
        let view = place.view(Table::Logs, vec![3, 4]);
        let batches = view.rows(&["body", "time"], None, None);
        let batches = batches.and_then(Iterator::collect);
        server.join().unwrap();
        batches.map_err(|error| error.to_string())
    }

    /// Two batches, as ClickHouse sends them.
    fn answer() -> Vec<u8> {
        let fields = vec![
            Field::new("time", DataType::Int64, false),
            Field::new("body", DataType::Binary, false),
        ];
        let schema = Arc::new(Schema::new(fields));
        let batch = |times: Vec<i64>| {
            let bodies = times.iter().map(|_| b"a" as &[u8]);
            let bodies = BinaryArray::from_iter_values(bodies);
            let columns = vec![
                Arc::new(Int64Array::from(times)) as _,
                Arc::new(bodies) as _,
            ];
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        };
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch(vec![1, 2])).unwrap();
        writer.write(&batch(vec![3])).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn an_answer_is_taken_where_it_came_to_its_end() {
        let whole = answer();
        let batches = told(whole.clone(), whole.len()).unwrap();
        let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [2, 1]);
        assert_eq!(batches[0].schema().field(1).data_type(), &DataType::Utf8);
        // One that ends after a batch as if there were no more, which is what an error in the middle may look like.
        let short = whole.len() - END.len();
        let error = told(whole[..short].to_vec(), short).unwrap_err();
        assert!(error.contains("broke off before its end"), "{error}");
        // One that ends within a batch, or before all of it came.
        for (bytes, length) in [(short - 5, short - 5), (short, whole.len())] {
            let error = told(whole[..bytes].to_vec(), length).unwrap_err();
            assert!(error.contains("is not whole"), "{error}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_and_takes_no_memory() {
        let page = b"<html>what listens here is no ClickHouse</html>".to_vec();
        let error = told(page.clone(), page.len()).unwrap_err();
        assert!(error.contains("not one of ClickHouse"), "{error}");
        let words = [
            &answer()[..answer().len() - END.len()],
            b"Code: 241. DB::Exception",
        ]
        .concat();
        let error = told(words.clone(), words.len()).unwrap_err();
        assert!(error.contains("is not whole"), "{error}");
        let error = told(Vec::new(), 0).unwrap_err();
        assert!(error.contains("broke off"), "{error}");
    }

    #[test]
    fn what_is_in_memory_is_not_asked_for() {
        let place = "http://127.0.0.1:1/a".parse().unwrap();
        let place = Arc::new(Place::new(&place, Duration::from_hours(1), 7, 1));
        let view = place.view(Table::Logs, vec![3, 4]);
        assert_eq!(
            view.statement("time", Some("time > 5"), " LIMIT 9"),
            "SELECT time FROM `a`.`logs` WHERE NOT (writer = 7 AND generation IN (3, 4)) AND time > 5 LIMIT 9 FORMAT ArrowStream"
        );
        let view = place.view(Table::Logs, Vec::new());
        assert_eq!(
            view.statement("time", None, ""),
            "SELECT time FROM `a`.`logs` FORMAT ArrowStream"
        );
    }
}
