//! Rows that are in ClickHouse as statements see them: a part of each table, read while the statement runs.
//!
//! What a filter says of a table's own columns is asked there, so that other rows do not come. It is asked here once more: where
//! both understand something differently, ClickHouse may only send too much.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::{DataFusionError, ScalarValue},
    execution::TaskContext,
    logical_expr::{Between, BinaryExpr, Expr, Like, Operator, expr::InList},
    physical_plan::{
        SendableRecordBatchStream, stream::RecordBatchReceiverStream, streaming::PartitionStream,
    },
};

use super::{
    json,
    view::{ATTRIBUTES, conform},
};
use crate::{
    clickhouse::{View, bytes_literal, column_name, quoted, text_literal},
    columns::push_json_text,
    table::{ATTRIBUTE_PREFIX, REST, Table},
};

/// Batches that wait for whoever reads them.
const WAITING_MAX: usize = 2;
/// Rows of a batch of which nothing but their number is asked.
const COUNTED_ROWS: u64 = 65_536;

/// What a statement reads of a table there.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    view: View,
    /// The columns of batches, as the statement sees them.
    schema: SchemaRef,
    /// The columns there that they are made from.
    columns: Vec<String>,
    condition: Option<String>,
    limit: Option<usize>,
}

impl Elsewhere {
    /// The rows of `table` for which `filters` may hold, with the columns of `schema`.
    pub(super) fn new(
        view: View,
        table: Table,
        schema: SchemaRef,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Self {
        let mut columns: Vec<String> = Vec::new();
        for field in schema.fields() {
            let name = field.name().as_str();
            let is_attribute = name == ATTRIBUTES || name.starts_with(ATTRIBUTE_PREFIX);
            let name = if is_attribute { REST } else { name };
            if !columns.iter().any(|column| column == name) {
                columns.push(name.to_owned());
            }
        }
        let conditions = filters.iter().filter_map(|filter| condition(table, filter));
        let conditions: Vec<String> = conditions.collect();
        Self {
            view,
            schema,
            columns,
            condition: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
            limit,
        }
    }

    fn read(&self, mut take: impl FnMut(RecordBatch) -> bool) -> Result<(), DataFusionError> {
        let failed = |error| DataFusionError::External(Box::new(error));
        if self.columns.is_empty() {
            // Nothing is asked of the rows, nor by a filter, which would have a column.
            let mut left = self.view.count().map_err(failed)?;
            let limit = self.limit.and_then(|limit| u64::try_from(limit).ok());
            left = left.min(limit.unwrap_or(u64::MAX));
            while left > 0 {
                let rows = left.min(COUNTED_ROWS);
                left -= rows;
                let options = RecordBatchOptions::new().with_row_count(Some(rows as usize));
                let schema = Arc::clone(&self.schema);
                let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options)?;
                if !take(batch) {
                    break;
                }
            }
            return Ok(());
        }
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let batches = self
            .view
            .rows(&columns, self.condition.as_deref(), self.limit)
            .map_err(failed)?;
        for batch in batches {
            let batch = conform(&batch.map_err(failed)?, &self.schema)?;
            if !take(batch) {
                // Dropping the answer closes the connection, and ClickHouse ends its work.
                break;
            }
        }
        Ok(())
    }
}

impl PartitionStream for Elsewhere {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), WAITING_MAX);
        let (sender, read) = (stream.tx(), self.clone());
        stream.spawn_blocking(move || read.read(|batch| sender.blocking_send(Ok(batch)).is_ok()));
        stream.build()
    }
}

/// What ClickHouse is asked for so that every row of `table` comes for which `filter` holds; `None` where that is every row.
pub(super) fn condition(table: Table, filter: &Expr) -> Option<String> {
    match filter {
        Expr::Alias(alias) => condition(table, &alias.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => {
                let parts = [condition(table, left), condition(table, right)];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                (!parts.is_empty()).then(|| format!("({})", parts.join(" AND ")))
            }
            Operator::Or => {
                let (left, right) = (condition(table, left)?, condition(table, right)?);
                Some(format!("({left} OR {right})"))
            }
            _ => comparison(table, left, *op, right)
                .or_else(|| comparison(table, right, op.swap()?, left)),
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => in_list(table, expr, list).or_else(|| has_attribute(expr)),
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => between(table, expr, low, high).or_else(|| has_attribute(expr)),
        Expr::Like(like) if !like.negated => {
            pattern(table, like).or_else(|| has_attribute(&like.expr))
        }
        Expr::IsNotNull(expr) => match Column::of(table, expr) {
            Some(column) => Some(format!("{} IS NOT NULL", column.name)),
            None => has_attribute(expr),
        },
        Expr::IsNull(expr) => {
            let column = Column::of(table, expr)?;
            Some(format!("{} IS NULL", column.name))
        }
        // Whether an attribute is true.
        Expr::Column(_) => has_attribute(filter),
        _ => None,
    }
}

fn comparison(table: Table, left: &Expr, operator: Operator, right: &Expr) -> Option<String> {
    let Some(column) = Column::of(table, left) else {
        return attribute_compared(left, operator, right);
    };
    let sign = match operator {
        Operator::Eq => "=",
        Operator::NotEq => "!=",
        Operator::Lt if column.is_number() => "<",
        Operator::LtEq if column.is_number() => "<=",
        Operator::Gt if column.is_number() => ">",
        Operator::GtEq if column.is_number() => ">=",
        _ => return None,
    };
    Some(format!("{} {sign} {}", column.name, column.literal(right)?))
}

fn in_list(table: Table, expression: &Expr, list: &[Expr]) -> Option<String> {
    let column = Column::of(table, expression)?;
    let values = list.iter().map(|value| column.literal(value));
    let values = values.collect::<Option<Vec<String>>>();
    let values = values.filter(|values| !values.is_empty())?;
    Some(format!("{} IN ({})", column.name, values.join(", ")))
}

fn between(table: Table, expression: &Expr, low: &Expr, high: &Expr) -> Option<String> {
    let column = Column::of(table, expression).filter(Column::is_number)?;
    let (low, high) = (column.literal(low)?, column.literal(high)?);
    Some(format!("{} BETWEEN {low} AND {high}", column.name))
}

fn pattern(table: Table, like: &Like) -> Option<String> {
    let column = Column::of(table, &like.expr).filter(Column::is_text)?;
    // What a backslash does in a pattern is not the same everywhere, nor which letters are alike.
    let pattern = text_of(&like.pattern).filter(|pattern| !pattern.contains('\\'))?;
    let is_plain = like.escape_char.is_none() && !like.case_insensitive;
    is_plain.then(|| format!("{} LIKE {}", column.name, text_literal(pattern)))
}

/// The text that a literal is.
fn text_of(value: &Expr) -> Option<&str> {
    match value {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// What the JSON of a row has where it has an attribute that is compared with a value.
fn attribute_compared(left: &Expr, operator: Operator, right: &Expr) -> Option<String> {
    let is_there = has_attribute(left)?;
    if operator == Operator::Eq
        && let (Some(key), Some(text)) = (attribute(left), text_of(right))
    {
        // As text, or as what is no text and is shown as this one.
        let mut as_text = key.clone();
        push_json_text(&mut as_text, text);
        let (as_text, as_it_is) = (holds(&as_text), holds(&(key + text)));
        return Some(format!("({as_text} OR {as_it_is})"));
    }
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    )
    .then_some(is_there)
}

/// What the JSON of a row has where `expression` is an attribute, or made of one by a cast, and not null.
fn has_attribute(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Cast(cast) => has_attribute(&cast.expr),
        Expr::TryCast(cast) => has_attribute(&cast.expr),
        _ => Some(holds(&attribute(expression)?)),
    }
}

/// The key of an attribute as it stands in JSON, with what follows it.
fn attribute(expression: &Expr) -> Option<String> {
    let key = match expression {
        Expr::Alias(alias) => return attribute(&alias.expr),
        Expr::Column(column) => column.name.strip_prefix(ATTRIBUTE_PREFIX)?,
        Expr::ScalarFunction(call) if call.func.name() == json::VALUE_FUNCTION => {
            match &call.args[..] {
                [Expr::Column(column), key] if column.name == ATTRIBUTES => text_of(key)?,
                _ => return None,
            }
        }
        _ => return None,
    };
    let mut json = String::new();
    push_json_text(&mut json, key);
    json.push(':');
    Some(json)
}

/// Whether a row's attributes have this in them. Our own JSON has no space between a key and its value.
fn holds(json: &str) -> String {
    let attributes = quoted(column_name(REST));
    format!("position({attributes}, {}) > 0", text_literal(json))
}

/// A column of the table itself.
struct Column {
    name: String,
    data_type: DataType,
}

impl Column {
    fn of(table: Table, expression: &Expr) -> Option<Self> {
        let Expr::Column(column) = expression else {
            return None;
        };
        let fields = table.columns();
        let field = fields
            .iter()
            .find(|field| *field.name() == column.name && field.name() != REST)?;
        Some(Self {
            name: quoted(field.name()),
            data_type: field.data_type().clone(),
        })
    }

    fn is_number(&self) -> bool {
        self.data_type.is_integer()
    }

    fn is_text(&self) -> bool {
        matches!(self.data_type, DataType::Utf8 | DataType::Dictionary(..))
    }

    /// A value that is compared with this column; whole numbers, text and identifiers, which mean the same in both places.
    fn literal(&self, value: &Expr) -> Option<String> {
        let Expr::Literal(value, _) = value else {
            return None;
        };
        match value {
            ScalarValue::Int64(Some(number))
            | ScalarValue::TimestampNanosecond(Some(number), _)
                if self.data_type == DataType::Int64 =>
            {
                Some(number.to_string())
            }
            ScalarValue::Int8(Some(number)) if self.data_type == DataType::Int8 => {
                Some(number.to_string())
            }
            ScalarValue::FixedSizeBinary(_, Some(bytes)) => {
                let is_whole = self.data_type == DataType::FixedSizeBinary(bytes.len() as i32);
                is_whole.then(|| bytes_literal(bytes))
            }
            text if self.is_text() => text.try_as_str().flatten().map(text_literal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    fn asked(filter: &Expr) -> String {
        condition(Table::Spans, filter).unwrap_or_else(|| "everything".to_owned())
    }

    fn time(ns: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(
            Some(ns),
            Some("UTC".into()),
        ))
    }

    #[test]
    fn what_means_the_same_there_is_asked_there() {
        let id = lit(ScalarValue::FixedSizeBinary(16, Some(vec![0xa; 16])));
        let service = || col("service").eq(lit("it's"));
        assert_eq!(
            asked(
                &col("start_time")
                    .gt_eq(time(7))
                    .and(time(9).gt(col("start_time")))
            ),
            "(`start_time` >= 7 AND `start_time` < 9)"
        );
        assert_eq!(asked(&service()), r"`service` = 'it\'s'");
        assert_eq!(
            asked(&col("trace_id").in_list(vec![id], false)),
            format!("`trace_id` IN ('{}')", r"\x0A".repeat(16))
        );
        assert_eq!(
            asked(&col("parent_span_id").is_null()),
            "`parent_span_id` IS NULL"
        );
        assert_eq!(asked(&col("name").like(lit("%a_"))), "`name` LIKE '%a_'");
        assert_eq!(
            asked(&col("duration").between(lit(1_i64), lit(2_i64))),
            "`duration` BETWEEN 1 AND 2"
        );
        // Of both what can be said, of either only what can be said of both.
        let unsaid = || col("weight").gt(lit(1.5));
        assert_eq!(asked(&service().and(unsaid())), r"(`service` = 'it\'s')");
        assert_eq!(asked(&service().or(unsaid())), "everything");
    }

    fn attribute(name: &str) -> Expr {
        let name = format!("attributes.{name}");
        Expr::Column(datafusion::common::Column::new_unqualified(name))
    }

    #[test]
    fn rows_without_an_attribute_that_is_compared_are_not_asked_for() {
        let tokens = r#"position(`attributes`, '"tokens":') > 0"#;
        assert_eq!(asked(&attribute("tokens").gt(lit(1_i64))), tokens);
        assert_eq!(asked(&attribute("tokens").is_not_null()), tokens);
        assert_eq!(asked(&attribute("tokens")), tokens);
        let text = cast(attribute("tokens"), DataType::Utf8).eq(lit("1"));
        assert_eq!(asked(&text), tokens);
        let key = vec![col("attributes"), lit("a\"b")];
        let route = json::value_function().call(key).eq(lit("it's"));
        assert_eq!(
            asked(&route),
            r#"(position(`attributes`, '"a\\"b":"it\'s"') > 0 OR position(`attributes`, '"a\\"b":it\'s') > 0)"#
        );
    }

    #[test]
    fn what_may_mean_something_else_there_is_not_asked() {
        for filter in [
            col("attributes").eq(lit("{}")),
            attribute("tokens").is_null(),
            attribute("tokens").in_list(vec![lit(1_i64)], true),
            col("weight").eq(lit(1.0)),
            col("name").lt(lit("b")),
            col("name").like(lit(r"a\%")),
            col("name").ilike(lit("a")),
            col("name").not_like(lit("a")),
            col("name").in_list(vec![lit("a")], true),
            col("duration").eq(lit("1")),
            col("duration").eq(col("weight")),
        ] {
            assert_eq!(asked(&filter), "everything", "{filter}");
        }
    }
}
