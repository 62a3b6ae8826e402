//! Read-only SQL over what is in memory and what is in segments.
//!
//! DataFusion does the work; none of its types leaves this module. A statement sees each table as it was when the
//! statement began. It is bounded in what it says, in time, in memory, and in the rows and bytes of its answer.

mod adapt;
mod bounded;
mod elsewhere;
mod error;
mod json;
mod planner;
mod sketch;
mod statement;
mod tail;
mod view;

use std::{io, sync::Arc, time::Duration};

use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::{DataType, Field, Float64Type, Int64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider},
    error::DataFusionError,
    execution::{
        SessionStateBuilder,
        context::SQLOptions,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{SessionConfig, SessionContext},
};
use futures::StreamExt as _;
use serde::Serialize;

pub use self::{
    error::QueryError,
    tail::{Arrived, Tail},
};
use self::{
    planner::Planner,
    tail::{Arriving, Context},
    view::Tables,
};
use crate::shared::Shared;

/// The bounds of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take.
    pub timeout: Duration,
    /// How many rows its answer may have; the others are left out, and the answer says so.
    pub rows_max: usize,
    /// How many bytes the values of its answer may have, as JSON; rows beyond it are left out as well.
    pub answer_bytes_max: usize,
    /// How long it may be itself, in bytes.
    pub statement_bytes_max: usize,
}

impl Limits {
    /// Of a statement that a program wrote, which may list much and knows what it asks for.
    pub fn of_program(rows_max: usize) -> Self {
        Self {
            rows_max,
            answer_bytes_max: usize::MAX,
            statement_bytes_max: 16 * MIB,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    /// 30 s, 10,000 rows, 64 MiB of answer and 16 KiB of statement.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            rows_max: 10_000,
            answer_bytes_max: 64 * MIB,
            statement_bytes_max: 16 * 1024,
        }
    }
}

/// Memory that all statements together may take.
const MEMORY_BYTES_MAX: usize = 256 * MIB;
/// The stack of a thread that plans or runs statements: some 128 KiB for each step that one may ask for. Only what is touched
/// takes memory.
const STACK_BYTES: usize = 64 * MIB;
const MIB: usize = 1024 * 1024;

/// The name under which DataFusion knows the store.
const CATALOGUE: &str = "radiosonde";
const SCHEMA: &str = "public";

/// A value in an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// There is none.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text; also times as RFC 3339, and identifiers in hex.
    Text(String),
}

impl Cell {
    /// How long it is at most as JSON.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => {
                let escaped = text.bytes().filter(|byte| *byte < b' ').count();
                let quoted = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\'));
                text.len() + 5 * escaped + quoted.count() + 3
            }
            _ => 25,
        }
    }
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `boolean`, `integer`, `number`, `time`, `id` or `text`: what its cells are, besides null.
    pub r#type: &'static str,
}

impl Column {
    fn new(field: &Field) -> Self {
        Self {
            name: field.name().clone(),
            r#type: match field.data_type() {
                DataType::Boolean => "boolean",
                DataType::Timestamp(..) => "time",
                DataType::FixedSizeBinary(_) => "id",
                whole if whole.is_integer() => "integer",
                number if number.is_floating() => "number",
                _ => "text",
            },
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, as long as `columns` each.
    pub rows: Vec<Vec<Cell>>,
    /// There were more rows than the limits allow.
    pub is_truncated: bool,
}

/// Runs statements.
pub(crate) struct Engine {
    context: SessionContext,
    /// `None` when it was dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody waits for an answer any more, and who drops a store may be a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over what `shared` has, with threads of its own.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("radiosonde-query")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()?;
        let spills = if shared.config.spills {
            DiskManagerMode::OsTmpDirectory
        } else {
            DiskManagerMode::Disabled
        };
        let limits = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(MEMORY_BYTES_MAX)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spills))
            .build_arc();
        let tables = Arc::new(Tables::new(Arc::clone(shared)));
        let context = limits.and_then(|limits| context(tables, limits));
        let context = context.map_err(io::Error::other)?;
        Ok(Self {
            context,
            runtime: Some(runtime),
        })
    }

    /// Answers a statement.
    pub(crate) fn sql(&self, statement: &str, limits: Limits) -> Result<Answer, QueryError> {
        self.answer(&self.context, statement, limits)
    }

    /// Begins to follow what a statement answers to what arrives.
    pub(crate) fn tail(&self, shared: &Arc<Shared>, statement: &str) -> Result<Tail, QueryError> {
        let arriving = Arriving::new(shared);
        let context = context(
            Arc::clone(&arriving) as Arc<dyn SchemaProvider>,
            self.context.runtime_env(),
        )?;
        // Nothing has arrived yet, which says whether it is a statement, and what it reads.
        let limits = Limits {
            rows_max: 0,
            ..Limits::default()
        };
        let columns = self.answer(&context, statement, limits)?.columns;
        let tables = arriving.asked();
        if tables.is_empty() {
            return Err(QueryError::Statement(
                "the statement reads no table, so nothing arrives for it".to_owned(),
            ));
        }
        Ok(Tail {
            statement: statement.to_owned(),
            columns,
            context: Context(context),
            arriving,
            queue: shared.tails.open(tables),
        })
    }

    /// What the statement of `tail` answers to what arrived; none where nothing did.
    pub(crate) fn arrived(
        &self,
        tail: &Tail,
        limits: Limits,
    ) -> Result<Option<Arrived>, QueryError> {
        let taken = tail.queue.take(limits.rows_max);
        if taken.batches.is_empty() && taken.left_out == 0 {
            return Ok(None);
        }
        tail.arriving.put(taken.batches);
        let answer = self.answer(&tail.context.0, &tail.statement, limits);
        tail.arriving.put(Vec::new());
        Ok(Some(Arrived {
            answer: answer?,
            left_out: taken.left_out,
            more: taken.more,
        }))
    }

    fn answer(
        &self,
        context: &SessionContext,
        statement: &str,
        limits: Limits,
    ) -> Result<Answer, QueryError> {
        let Some(runtime) = &self.runtime else {
            return Err(QueryError::Failed("the store is closed".to_owned()));
        };
        let (context, statement) = (context.clone(), statement.to_owned());
        // On a thread of the engine, whose stack holds whatever a statement may be.
        let task = runtime.spawn(async move { answer(&context, &statement, limits).await });
        let running = task.abort_handle();
        runtime.block_on(async {
            match tokio::time::timeout(limits.timeout, task).await {
                Ok(Ok(answer)) => Ok(answer?),
                Ok(Err(_)) => Err(QueryError::Failed(
                    "the query engine stopped at it, which is a defect; please report it with the statement"
                        .to_owned(),
                )),
                Err(_) => {
                    running.abort();
                    Err(QueryError::Timeout(limits.timeout))
                }
            }
        })
    }
}

async fn answer(
    context: &SessionContext,
    statement: &str,
    limits: Limits,
) -> Result<Answer, DataFusionError> {
    let reading = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    statement::check(statement, limits.statement_bytes_max)?;
    let plan = {
        let state = context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let parsed = state.sql_to_statement(statement, &dialect)?;
        statement::check_names(&parsed)?;
        state.statement_to_plan(parsed).await?
    };
    reading.verify_plan(&plan)?;
    bounded::check_windows(&plan)?;
    let plan = planner::identify_lists(plan)?;
    let frame = context.execute_logical_plan(plan).await?;
    let columns = frame
        .schema()
        .fields()
        .iter()
        .map(|field| Column::new(field))
        .collect();
    let mut batches = frame.execute_stream().await?;
    let mut answer = Answer {
        columns,
        rows: Vec::new(),
        is_truncated: false,
    };
    let mut bytes = 0;
    while let Some(batch) = batches.next().await {
        push(&batch?, limits, &mut answer, &mut bytes)?;
        if answer.is_truncated {
            break;
        }
    }
    Ok(answer)
}

/// A place in which statements read `tables`.
fn context(
    tables: Arc<dyn SchemaProvider>,
    limits: Arc<RuntimeEnv>,
) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOGUE, SCHEMA)
        .with_information_schema(true);
    let parquet = &mut config.options_mut().execution.parquet;
    // Rows that a filter refuses are not decoded: a trace by its identifier in a third of the time.
    parquet.pushdown_filters = true;
    parquet.reorder_filters = true;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(limits)
        .with_default_features();
    // Before DataFusion's own, which take `attributes['key']` for a mistake.
    state
        .expr_planners()
        .get_or_insert_default()
        .insert(0, Arc::new(Planner));
    bounded::bound(&mut state);
    let context = SessionContext::new_with_state(state.build());
    let catalogue = Arc::new(MemoryCatalogProvider::new());
    catalogue.register_schema(SCHEMA, tables)?;
    context.register_catalog(CATALOGUE, catalogue);
    context.register_udf(json::value_function());
    context.register_udf(sketch::quantile_function());
    context.register_udaf(sketch::aggregate());
    context.register_udaf(sketch::merge_aggregate());
    Ok(context)
}

/// Appends the rows of `batch`, up to the limits; `bytes` is what the rows before it have.
fn push(
    batch: &RecordBatch,
    limits: Limits,
    answer: &mut Answer,
    bytes: &mut usize,
) -> Result<(), DataFusionError> {
    let room = limits.rows_max - answer.rows.len();
    answer.is_truncated = batch.num_rows() > room;
    let options = FormatOptions::new().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.9fZ"));
    let columns: Result<Vec<Cells<'_>>, _> = batch
        .columns()
        .iter()
        .map(|column| Cells::new(column.as_ref(), &options))
        .collect();
    let columns = columns?;
    // Where rows are objects, each has the names.
    let names: usize = answer
        .columns
        .iter()
        .map(|column| column.name.len() + 4)
        .sum();
    for row in 0..batch.num_rows().min(room) {
        let mut cells = Vec::with_capacity(columns.len());
        *bytes = bytes.saturating_add(names);
        for column in &columns {
            let cell = column.at(row);
            *bytes = bytes.saturating_add(cell.bytes());
            if *bytes > limits.answer_bytes_max {
                answer.is_truncated = true;
                return Ok(());
            }
            cells.push(cell);
        }
        answer.rows.push(cells);
    }
    Ok(())
}

/// A column, to be read cell by cell.
struct Cells<'a> {
    column: &'a dyn Array,
    text: ArrayFormatter<'a>,
}

impl<'a> Cells<'a> {
    fn new(column: &'a dyn Array, options: &FormatOptions<'a>) -> Result<Self, DataFusionError> {
        let text = ArrayFormatter::try_new(column, options)?;
        Ok(Self { column, text })
    }

    fn at(&self, row: usize) -> Cell {
        if self.column.is_null(row) {
            return Cell::Null;
        }
        match self.column.data_type() {
            DataType::Boolean => Cell::Bool(self.column.as_boolean().value(row)),
            DataType::Int64 => Cell::Int(self.column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Cell::Float(self.column.as_primitive::<Float64Type>().value(row)),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => {
                let text = self.text.value(row).to_string();
                text.parse().map_or(Cell::Text(text), Cell::Int)
            }
            _ => Cell::Text(self.text.value(row).to_string()),
        }
    }
}
