//! A statement that is answered again and again, each time over the rows that arrived since the last.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider},
    common::DataFusionError,
    prelude::SessionContext,
};

use super::{Answer, Column, view::View};
use crate::{shared::Shared, table::Table, tail::Queue};

/// A statement whose answers are what arrives ([`Store::tail`](crate::Store::tail)).
#[derive(Debug)]
pub struct Tail {
    pub(super) statement: String,
    pub(super) columns: Vec<Column>,
    pub(super) context: Context,
    pub(super) arriving: Arc<Arriving>,
    pub(super) queue: Arc<Queue>,
}

/// What DataFusion knows of a tail.
pub(super) struct Context(pub(super) SessionContext);

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// What a statement answers to some of the rows that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// The answer to those rows.
    pub answer: Answer,
    /// Rows of the statement's tables that were not looked at, because more arrived than was read.
    pub left_out: u64,
    /// More rows have arrived already.
    pub more: bool,
}

impl Tail {
    /// The columns of its answers, as they were when it began.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// The tables as a tail's statement sees them: with the rows that are put here, and the columns of all of the store.
#[derive(Debug)]
pub(super) struct Arriving {
    shared: Arc<Shared>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    batches: Vec<(Table, RecordBatch)>,
    /// Tables that a statement asked for.
    asked: Vec<Table>,
}

impl Arriving {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            now: Mutex::default(),
        })
    }

    /// What the next statement sees.
    pub(super) fn put(&self, batches: Vec<(Table, RecordBatch)>) {
        self.lock().batches = batches;
    }

    /// The tables that statements asked for since the last time.
    pub(super) fn asked(&self) -> Vec<Table> {
        mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SchemaProvider for Arriving {
    fn table_names(&self) -> Vec<String> {
        Table::ALL.map(|table| table.name().to_owned()).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = Table::ALL.into_iter().find(|table| table.name() == name) else {
            return Ok(None);
        };
        if table == Table::Operations {
            return Err(DataFusionError::Plan(
                "operations are added up and do not arrive; follow spans, and add them up by date_bin(INTERVAL '1 minute', start_time)"
                    .to_owned(),
            ));
        }
        let mut now = self.lock();
        if !now.asked.contains(&table) {
            now.asked.push(table);
        }
        let of_table = now.batches.iter().filter(|(of, _)| *of == table);
        let rows = of_table.map(|(_, rows)| rows.clone()).collect();
        drop(now);
        let view = View::of_rows(table, self.shared.snapshot(table), rows);
        Ok(Some(Arc::new(view)))
    }

    fn table_exist(&self, name: &str) -> bool {
        Table::ALL.iter().any(|table| table.name() == name)
    }
}
