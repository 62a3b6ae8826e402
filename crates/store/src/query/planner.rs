//! What statements may say beyond DataFusion's SQL: `attributes['key']`, `resource['key']`, and identifiers as hex.
//!
//! DataFusion asks planners of expressions about operators. Lists and ranges it plans itself, so those are looked at in the plan.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ExprSchemable as _;
use datafusion::{
    common::{
        Column, DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TransformedResult as _, TreeNode as _},
    },
    logical_expr::{
        Expr, GetFieldAccess, LogicalPlan,
        expr_rewriter::NamePreserver,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr},
        utils::merge_schema,
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::{bounded, json, view::ATTRIBUTES};
use crate::table::ATTRIBUTE_PREFIX;

#[derive(Debug)]
pub(super) struct Planner;

impl ExprPlanner for Planner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>, DataFusionError> {
        let (Expr::Column(column), GetFieldAccess::NamedStructField { name }) =
            (&access.expr, &access.field_access)
        else {
            return Ok(PlannerResult::Original(access));
        };
        let Some(Some(key)) = name.try_as_str() else {
            return Ok(PlannerResult::Original(access));
        };
        if column.name != ATTRIBUTES && column.name != "resource" {
            return Ok(PlannerResult::Original(access));
        }
        let name = format!("{}['{key}']", column.name);
        if column.name == ATTRIBUTES {
            let own = Column::new(column.relation.clone(), format!("{ATTRIBUTE_PREFIX}{key}"));
            if schema.has_column(&own) {
                return Ok(PlannerResult::Planned(Expr::Column(own).alias(name)));
            }
        }
        let key = Expr::Literal(ScalarValue::from(key), None);
        let value = json::value_function().call(vec![access.expr.clone(), key]);
        Ok(PlannerResult::Planned(value.alias(name)))
    }

    fn plan_binary_op(
        &self,
        mut operation: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>, DataFusionError> {
        let types = (
            operation.left.get_type(schema),
            operation.right.get_type(schema),
        );
        if let (Ok(DataType::FixedSizeBinary(bytes)), _) = &types {
            identify(&mut operation.right, *bytes)?;
        } else if let (_, Ok(DataType::FixedSizeBinary(bytes))) = &types {
            identify(&mut operation.left, *bytes)?;
        }
        let is_text = |of: &Result<DataType, _>| of.as_ref().is_ok_and(|of| !of.is_nested());
        if operation.op == BinaryOperator::StringConcat && is_text(&types.0) && is_text(&types.1) {
            let bounded = bounded::concatenation(operation.left, operation.right);
            return Ok(PlannerResult::Planned(bounded));
        }
        Ok(PlannerResult::Original(operation))
    }
}

/// Makes text the identifiers that it is in hex, in each list (`IN`) and range (`BETWEEN`) that an identifier is compared with.
pub(super) fn identify_lists(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let identified = plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        // Columns are called after their expressions, and those above know them by these names.
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let identified = expression.transform_up(|part| identify_list(part, &schema))?;
            Ok(identified.update_data(|identified| name.restore(identified)))
        })
    });
    identified.data()
}

fn identify_list(
    expression: Expr,
    schema: &DFSchema,
) -> Result<Transformed<Expr>, DataFusionError> {
    match expression {
        Expr::InList(mut list) => {
            let of = list.expr.get_type(schema);
            let Ok(DataType::FixedSizeBinary(bytes)) = of else {
                return Ok(Transformed::no(Expr::InList(list)));
            };
            for item in &mut list.list {
                identify(item, bytes)?;
            }
            Ok(Transformed::yes(Expr::InList(list)))
        }
        Expr::Between(mut range) => {
            let of = range.expr.get_type(schema);
            let Ok(DataType::FixedSizeBinary(bytes)) = of else {
                return Ok(Transformed::no(Expr::Between(range)));
            };
            identify(&mut range.low, bytes)?;
            identify(&mut range.high, bytes)?;
            Ok(Transformed::yes(Expr::Between(range)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Makes text the identifier of `bytes` bytes that it is in hex.
fn identify(expression: &mut Expr, bytes: i32) -> Result<(), DataFusionError> {
    let Expr::Literal(literal, _) = expression else {
        return Ok(());
    };
    let Some(Some(text)) = literal.try_as_str() else {
        return Ok(());
    };
    let Some(id) = from_hex(text).filter(|id| id.len() as i32 == bytes) else {
        let digits = bytes * 2;
        return Err(DataFusionError::Plan(format!(
            "`{text}` is no identifier: it must have {digits} hexadecimal digits"
        )));
    };
    *literal = ScalarValue::FixedSizeBinary(bytes, Some(id));
    Ok(())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
