//! The tables as statements see them, each as it was when the statement began.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, Session, TableProvider, memory::MemorySourceConfig},
    common::{ColumnStatistics, DataFusionError, ScalarValue, Statistics, stats::Precision},
    datasource::{
        TableType,
        listing::PartitionedFile,
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::{ExecutionPlan, streaming::StreamingTableExec, union::UnionExec},
};

use super::{
    adapt,
    elsewhere::{self, Elsewhere},
    json,
};
use crate::{
    catalogue::AttributeType,
    clickhouse, rollup,
    shared::{Held, Shared, Snapshot},
    table::{ATTRIBUTE_PREFIX, REST, Table, missing},
};

/// The column that has all attributes of a row, as a JSON object.
pub(super) const ATTRIBUTES: &str = "attributes";

/// Most attributes that have a column in a table: planning a statement takes time and memory for each, asked for or not.
const ATTRIBUTES_MAX: usize = 1000;

/// The tables by name.
#[derive(Debug)]
pub(super) struct Tables(Arc<Shared>);

impl Tables {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Learns which attributes others have written where rows are kept elsewhere.
    async fn refresh(&self) -> Result<(), DataFusionError> {
        let Some(place) = self.0.elsewhere.clone() else {
            return Ok(());
        };
        let refreshed = tokio::task::spawn_blocking(move || place.refresh()).await;
        let refreshed = refreshed.map_err(|error| DataFusionError::External(Box::new(error)))?;
        refreshed.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        Table::ALL.map(|table| table.name().to_owned()).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = Table::ALL.into_iter().find(|table| table.name() == name) else {
            return Ok(None);
        };
        self.refresh().await?;
        let mut snapshot = self.0.snapshot(table);
        if table == Table::Operations && !snapshot.memory.is_empty() {
            snapshot.memory = vec![rollup::of_spans(&snapshot.memory)?];
        }
        Ok(Some(Arc::new(View::new(table, snapshot))))
    }

    fn table_exist(&self, name: &str) -> bool {
        Table::ALL.iter().any(|table| table.name() == name)
    }
}

/// One table at one moment.
#[derive(Debug)]
pub(super) struct View {
    table: Table,
    schema: SchemaRef,
    snapshot: Snapshot,
}

impl View {
    fn new(table: Table, snapshot: Snapshot) -> Self {
        Self {
            table,
            schema: schema(table, &snapshot),
            snapshot,
        }
    }

    /// Only `rows`, with the columns that all of the table has.
    pub(super) fn of_rows(table: Table, all: Snapshot, rows: Vec<RecordBatch>) -> Self {
        let mut view = Self::new(table, all);
        view.snapshot = Snapshot {
            memory: rows,
            segments: Vec::new(),
            elsewhere: None,
        };
        view
    }

    /// The segments, each with the times of its rows, by which those that a filter excludes are not opened.
    fn files(&self) -> Vec<PartitionedFile> {
        let time = self.schema.index_of(self.table.time_column()).ok();
        let file = |held: &Arc<Held>| {
            let mut statistics = Statistics::new_unknown(&self.schema);
            if let Some(column) = time.and_then(|time| statistics.column_statistics.get_mut(time)) {
                let at = |time| {
                    Precision::Exact(ScalarValue::TimestampNanosecond(Some(time), Some(utc())))
                };
                *column = ColumnStatistics {
                    min_value: at(held.segment.first_unix_ns),
                    max_value: at(held.segment.last_unix_ns),
                    null_count: Precision::Exact(0),
                    ..ColumnStatistics::new_unknown()
                };
            }
            statistics.num_rows = Precision::Exact(held.segment.rows as usize);
            PartitionedFile::new(held.path.to_string_lossy(), held.segment.bytes)
                .with_statistics(Arc::new(statistics))
                // Its file stays for as long as the statement runs.
                .with_extension(Arc::clone(held))
        };
        self.snapshot.segments.iter().map(file).collect()
    }

    fn memory(
        &self,
        projection: Option<&Vec<usize>>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let batches: Result<Vec<_>, _> = self
            .snapshot
            .memory
            .iter()
            .map(|batch| conform(batch, &schema))
            .collect();
        Ok((schema, batches?))
    }
}

#[async_trait]
impl TableProvider for View {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // Filters are pushed into the files by the physical plan; what is in memory is filtered above, and so is what comes from
        // elsewhere.
        let is_asked = |filter: &&Expr| {
            let is_elsewhere = self.snapshot.elsewhere.is_some();
            is_elsewhere && elsewhere::condition(self.table, filter).is_some()
        };
        let pushed = filters.iter().map(|filter| {
            if is_asked(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        });
        Ok(pushed.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let (schema, batches) = self.memory(projection)?;
        let memory: Arc<dyn ExecutionPlan> =
            MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&schema), None)?;
        let mut parts = vec![memory];
        if !self.snapshot.segments.is_empty() {
            parts.push(self.segments(state, projection)?);
        }
        if let Some(view) = &self.snapshot.elsewhere {
            let view = view.clone();
            let rows = Elsewhere::new(view, self.table, Arc::clone(&schema), filters, limit);
            let rows = StreamingTableExec::try_new(
                schema,
                vec![Arc::new(rows)],
                None,
                None,
                false,
                limit,
            )?;
            parts.push(Arc::new(rows));
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

impl View {
    /// The rows that are in segments.
    fn segments(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let options = state.config_options().execution.parquet.clone();
        let source = ParquetSource::new(Arc::clone(&self.schema)).with_table_parquet_options(
            datafusion::common::config::TableParquetOptions {
                global: options,
                ..Default::default()
            },
        );
        let partitions = state.config().target_partitions().max(1);
        let groups = FileGroup::new(self.files()).split_files(partitions);
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_expr_adapter(Some(Arc::new(adapt::Factory)))
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

fn utc() -> Arc<str> {
    Arc::from("UTC")
}

/// The columns that statements see: the table's own, all attributes as one, and one for each attribute that has a column
/// somewhere.
fn schema(table: Table, snapshot: &Snapshot) -> SchemaRef {
    let own = table.columns();
    let own = own.iter().map(|field| match field.name().as_str() {
        REST => Field::new(ATTRIBUTES, DataType::Utf8View, true),
        name if name == table.time_column() || name == "start_time" => {
            let time = DataType::Timestamp(TimeUnit::Nanosecond, Some(utc()));
            Field::new(name, time, false)
        }
        name => Field::new(name, shown(field.data_type()), field.is_nullable()),
    });
    let attributes = attributes(snapshot);
    let attributes = attributes
        .into_iter()
        .map(|(name, data_type)| Field::new(format!("{ATTRIBUTE_PREFIX}{name}"), data_type, true));
    Arc::new(Schema::new(own.chain(attributes).collect::<Vec<_>>()))
}

/// The type in which statements see a column.
fn shown(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::Dictionary(..) => DataType::Utf8View,
        other => other.clone(),
    }
}

/// The attributes with a column, by name; of text where one is not of one type everywhere. Where they are more than
/// [`ATTRIBUTES_MAX`], those that the most segments and batches have: others are found in all attributes of a row.
fn attributes(snapshot: &Snapshot) -> BTreeMap<String, DataType> {
    let elsewhere = snapshot.elsewhere.iter();
    let elsewhere: Vec<_> = elsewhere.flat_map(clickhouse::View::attributes).collect();
    let mut found: BTreeMap<&str, (DataType, usize)> = BTreeMap::new();
    let mut add = |name, data_type: DataType| {
        let (known, times) = found.entry(name).or_insert_with(|| (data_type.clone(), 0));
        if *known != data_type {
            *known = DataType::Utf8View;
        }
        *times += 1;
    };
    for held in &snapshot.segments {
        for (name, kind) in &*held.segment.attributes {
            add(name.as_str(), kind.shown());
        }
    }
    for (name, kind) in &elsewhere {
        add(name.as_str(), kind.shown());
    }
    for batch in &snapshot.memory {
        for field in batch.schema_ref().fields() {
            if let Some(name) = field.name().strip_prefix(ATTRIBUTE_PREFIX) {
                add(name, shown(field.data_type()));
            }
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    if found.len() > ATTRIBUTES_MAX {
        // By name where two are as common, which they are in.
        found.sort_by_key(|(_, (_, times))| Reverse(*times));
        found.truncate(ATTRIBUTES_MAX);
    }
    let found = found.into_iter();
    found
        .map(|(name, (data_type, _))| (name.to_owned(), data_type))
        .collect()
}

impl AttributeType {
    fn shown(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8View,
        }
    }
}

/// The batch with the columns of `schema`.
pub(super) fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let columns: Result<Vec<ArrayRef>, DataFusionError> = schema
        .fields()
        .iter()
        .map(|field| column(batch, field))
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns?,
        &options,
    )?)
}

fn column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef, DataFusionError> {
    if field.name() == ATTRIBUTES {
        return json::whole(batch);
    }
    let own = match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type())?,
        None => missing(field, batch.num_rows()),
    };
    let Some(name) = field.name().strip_prefix(ATTRIBUTE_PREFIX) else {
        return Ok(own);
    };
    json::completed(batch, name, own)
}
