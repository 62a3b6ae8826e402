//! The columns of profiles. A stack is one text in a batch however many samples have it.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, FixedSizeBinaryBuilder, Int64Builder},
    error::ArrowError,
};

use super::{Shared, id, label::LabelColumn};
use crate::{row::SampleRow, table::Table};

#[derive(Debug)]
pub(super) struct ProfileColumns {
    time: Int64Builder,
    duration: Int64Builder,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    kind: LabelColumn,
    unit: LabelColumn,
    value: Int64Builder,
    thread: LabelColumn,
    library: LabelColumn,
    function: LabelColumn,
    stack: LabelColumn,
    pub(super) shared: Shared,
}

impl Default for ProfileColumns {
    fn default() -> Self {
        Self {
            time: Int64Builder::new(),
            duration: Int64Builder::new(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            kind: LabelColumn::default(),
            unit: LabelColumn::default(),
            value: Int64Builder::new(),
            thread: LabelColumn::default(),
            library: LabelColumn::default(),
            function: LabelColumn::default(),
            stack: LabelColumn::default(),
            shared: Shared::default(),
        }
    }
}

impl ProfileColumns {
    pub(super) fn push(&mut self, row: &SampleRow<'_>) {
        self.time.append_value(row.time_unix_ns);
        self.duration.append_value(row.duration_ns);
        id(&mut self.trace_id, row.trace_id);
        id(&mut self.span_id, row.span_id);
        self.kind.push(row.kind);
        self.unit.push(row.unit);
        self.value.append_value(row.value);
        self.thread.push(row.thread);
        self.library.push(row.library);
        self.function.push(row.function);
        self.stack.push(row.stack);
        self.shared.push(row.origin, row.attributes);
    }

    pub(super) fn finish(mut self) -> Result<(Table, Shared, Vec<ArrayRef>), ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.duration.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            self.kind.finish()?,
            self.unit.finish()?,
            Arc::new(self.value.finish()),
            self.thread.finish()?,
            self.library.finish()?,
            self.function.finish()?,
            self.stack.finish()?,
        ];
        Ok((Table::Profiles, self.shared, columns))
    }
}
