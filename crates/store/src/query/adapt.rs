//! Segments differ in the attributes that have columns; statements see them all alike.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{AsArray as _, RecordBatch, RecordBatchOptions, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{
        DataFusionError,
        tree_node::{Transformed, TransformedResult as _, TreeNode as _},
    },
    logical_expr::ColumnarValue,
    physical_expr::{
        PhysicalExpr,
        expressions::{Column, lit},
    },
    physical_expr_adapter::{
        DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
    },
};

use super::{json, view::ATTRIBUTES};
use crate::table::{ATTRIBUTE_PREFIX, REST, WEIGHT};

/// Makes an adapter for each segment.
#[derive(Debug)]
pub(super) struct Factory;

impl PhysicalExprAdapterFactory for Factory {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>, DataFusionError> {
        let plain = DefaultPhysicalExprAdapterFactory.create(
            Arc::clone(&logical_file_schema),
            Arc::clone(&physical_file_schema),
        )?;
        Ok(Arc::new(Adapter {
            shown: logical_file_schema,
            segment: physical_file_schema,
            plain,
        }))
    }
}

#[derive(Debug)]
struct Adapter {
    shown: SchemaRef,
    segment: SchemaRef,
    /// For columns that only differ in type.
    plain: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(
        &self,
        expression: Arc<dyn PhysicalExpr>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let expression = expression.transform(|part| {
            let Some(column) = part.downcast_ref::<Column>() else {
                return Ok(Transformed::no(part));
            };
            if column.name() == WEIGHT && self.segment.index_of(WEIGHT).is_err() {
                return Ok(Transformed::yes(lit(1.0_f64)));
            }
            Ok(match self.attribute(column.name())? {
                Some(attribute) => Transformed::yes(Arc::new(attribute) as Arc<dyn PhysicalExpr>),
                None => Transformed::no(part),
            })
        });
        self.plain.rewrite(expression.data()?)
    }
}

impl Adapter {
    /// What gives the column called `name` from this segment's, where it is about attributes.
    fn attribute(&self, name: &str) -> Result<Option<Attribute>, DataFusionError> {
        let wanted = if name == ATTRIBUTES {
            let all = self.segment.fields().iter().enumerate();
            let all = all.filter(|(_, field)| field.name().starts_with(ATTRIBUTE_PREFIX));
            all.map(|(at, _)| at).collect()
        } else if name.starts_with(ATTRIBUTE_PREFIX) {
            self.segment
                .index_of(name)
                .ok()
                .into_iter()
                .collect::<Vec<_>>()
        } else {
            return Ok(None);
        };
        let rest = self.segment.index_of(REST)?;
        let fields = wanted.into_iter().chain([rest]);
        let columns = fields.map(|at| {
            let name = self.segment.field(at).name();
            Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>
        });
        Ok(Some(Attribute {
            field: self.shown.field_with_name(name)?.clone(),
            columns: columns.collect(),
        }))
    }
}

/// An attribute, or all of them, from the columns of a segment that have some of it; the rest's is the last of them.
#[derive(Debug, Clone)]
struct Attribute {
    field: Field,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

/// A segment's column without the cast that it got because statements see another type: an attribute is of one type in a segment, and of
/// text where it is of others elsewhere. What is made of columns here needs their names, and values as they were given.
fn as_in_segment(mut column: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
    while column.downcast_ref::<Column>().is_none()
        && let [inner] = column.children()[..]
    {
        column = inner;
    }
    column
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.columns == other.columns
    }
}

impl Eq for Attribute {}

impl Hash for Attribute {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.field.hash(state);
        self.columns.hash(state);
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name())
    }
}

impl PhysicalExpr for Attribute {
    fn data_type(&self, _: &Schema) -> Result<DataType, DataFusionError> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool, DataFusionError> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        let rows = batch.num_rows();
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let column = as_in_segment(column);
            let values = column.evaluate(batch)?.into_array(rows)?;
            let name = column.downcast_ref::<Column>().map_or("", Column::name);
            fields.push(Field::new(name, values.data_type().clone(), true));
            columns.push(values);
        }
        let values = if self.field.name() == ATTRIBUTES {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            json::whole(&RecordBatch::try_new_with_options(
                Arc::new(Schema::new(fields)),
                columns,
                &options,
            )?)?
        } else {
            let Some(rest) = columns.pop() else {
                return Err(DataFusionError::Internal(
                    "an attribute has no rest".to_owned(),
                ));
            };
            let rest = cast(&rest, &DataType::Utf8)?;
            let own = match columns.pop() {
                Some(own) => cast(&own, self.field.data_type())?,
                None => new_null_array(self.field.data_type(), rows),
            };
            let name = self
                .field
                .name()
                .strip_prefix(ATTRIBUTE_PREFIX)
                .unwrap_or_default();
            json::complete(rest.as_string::<i32>(), name, own)?
        };
        Ok(ColumnarValue::Array(values))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.columns.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        Ok(Arc::new(Self {
            field: self.field.clone(),
            columns: children,
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
