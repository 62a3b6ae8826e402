//! Functions that make much of little, with bounds.
//!
//! DataFusion counts what operators keep, and not what a function makes of a batch of rows. What would make any amount of a few
//! bytes and is of no use for telemetry is not offered; what people need is called with as many rows at a time as cannot make
//! too much, and refuses what would.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray as _},
    compute::concat,
    datatypes::{DataType, FieldRef},
};
use datafusion::{
    common::{ScalarValue, config::ConfigOptions, tree_node::TreeNodeRecursion},
    error::DataFusionError,
    execution::SessionStateBuilder,
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

/// Most bytes of a text that a function makes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes that a function makes of a batch of rows.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Functions that are not offered: they make any amount of a number.
const LEFT_OUT: [&str; 7] = [
    "array_repeat",
    "array_resize",
    "generate_series",
    "lpad",
    "range",
    "repeat",
    "rpad",
];

/// Functions whose values are longer than their arguments, or as long as all of them.
const GROWING: [&str; 23] = [
    "array_append",
    "array_concat",
    "array_prepend",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_to_string",
    "array_union",
    "arrays_zip",
    "concat",
    "concat_ws",
    "flatten",
    "make_array",
    "map",
    "named_struct",
    "overlay",
    "regexp_match",
    "regexp_replace",
    "replace",
    "string_to_array",
    "struct",
    "to_char",
    "translate",
];

/// Aggregates that keep all that they are given.
const LISTS: [&str; 2] = ["array_agg", "string_agg"];

/// Puts bounds on the functions that statements may call.
pub(super) fn bound(state: &mut SessionStateBuilder) {
    // Those that call others for each part of a list.
    *state.higher_order_functions() = None;
    if let Some(functions) = state.scalar_functions() {
        functions.retain(|function| !LEFT_OUT.contains(&function.name()));
        for function in functions {
            if GROWING.contains(&function.name()) {
                let bounded = Bounded(Arc::clone(function));
                *function = Arc::new(ScalarUDF::new_from_impl(bounded));
            }
        }
    }
}

/// `left || right`, of which no value is too long.
pub(super) fn concatenation(left: Expr, right: Expr) -> Expr {
    let text = BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right));
    let bounded = Within {
        signature: Signature::any(1, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(bounded).call(vec![Expr::BinaryExpr(text)])
}

/// Refuses lists that would be made again for each row: all of them together are as the square of the rows.
pub(super) fn check_windows(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Window(window) = node else {
            return Ok(TreeNodeRecursion::Continue);
        };
        for expression in &window.window_expr {
            let mut expression = expression;
            while let Expr::Alias(alias) = expression {
                expression = &alias.expr;
            }
            if let Expr::WindowFunction(function) = expression
                && LISTS.contains(&function.fun.name())
            {
                return Err(DataFusionError::Plan(format!(
                    "`{}` with OVER would make its list again for each row; use it with GROUP BY",
                    function.fun.name()
                )));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn too_long(name: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "`{name}` would make more than {} MiB of one value, or more than {} MiB of some rows; shorten its arguments first, \
         with `left(text, 1000)`",
        VALUE_BYTES_MAX >> 20,
        BATCH_BYTES_MAX >> 20
    ))
}

/// Refuses text that is too long, or too much together.
fn check(name: &str, value: &ColumnarValue) -> Result<(), DataFusionError> {
    let (longest, bytes) = match value {
        ColumnarValue::Array(array) => (longest(array.as_ref()), bytes_of(array.as_ref())),
        ColumnarValue::Scalar(value) => match value.try_as_str() {
            Some(Some(text)) => (text.len(), text.len()),
            _ => (0, value.size()),
        },
    };
    if longest > VALUE_BYTES_MAX || bytes > BATCH_BYTES_MAX {
        return Err(too_long(name));
    }
    Ok(())
}

/// Bytes of the longest text of an array; none where it is of something else.
fn longest(array: &dyn Array) -> usize {
    lengths(array).map_or(0, |lengths| lengths.max().unwrap_or(0))
}

/// Bytes of the values of an array: of those that it shows, where it is a part of another.
fn bytes_of(array: &dyn Array) -> usize {
    let text: Option<usize> = lengths(array).map(Iterator::sum);
    text.unwrap_or_else(|| {
        array
            .to_data()
            .get_slice_memory_size()
            .unwrap_or_else(|_| array.get_array_memory_size())
    })
}

/// Bytes of each text of an array; `None` where it is of something else.
fn lengths(array: &dyn Array) -> Option<Box<dyn Iterator<Item = usize> + '_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().value_offsets();
            Box::new(offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize))
        }
        DataType::LargeUtf8 => {
            let offsets = array.as_string::<i64>().value_offsets();
            Box::new(offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize))
        }
        // The length is what a view begins with.
        DataType::Utf8View => Box::new(
            array
                .as_string_view()
                .views()
                .iter()
                .map(|view| *view as u32 as usize),
        ),
        _ => return None,
    })
}

/// A function with bounds.
#[derive(PartialEq, Eq, Hash)]
struct Bounded(Arc<ScalarUDF>);

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Bounded {
    /// The most bytes that the function can make of its arguments.
    fn most(&self, args: &ScalarFunctionArgs) -> usize {
        let is_one = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let sizes = args.args.iter().map(|arg| match arg {
            ColumnarValue::Array(array) => bytes_of(array.as_ref()),
            ColumnarValue::Scalar(value) => size_of_value(value).saturating_mul(rows),
        });
        let all = sizes.fold(rows, usize::saturating_add);
        let longest = |at: usize| args.args.get(at).map_or(0, longest_argument);
        let times = match self.0.name() {
            // At most one for each byte and one more.
            "replace" | "array_replace" | "array_replace_all" | "array_replace_n" => {
                longest(2).saturating_add(1)
            }
            // Where it names what it found, that comes as often as it is named.
            "regexp_replace" => longest(2).saturating_add(1).saturating_mul(2),
            "array_to_string" => longest(1).saturating_add(longest(2)).saturating_add(16),
            "concat_ws" => args.args.len(),
            "translate" => 4,
            "to_char" | "string_to_array" | "make_array" | "map" | "regexp_match" => 16,
            _ => 1,
        };
        all.saturating_mul(times)
    }

    /// Calls the function with all rows, or with halves of them.
    fn call(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let rows = args.number_rows;
        let has_rows = args
            .args
            .iter()
            .any(|arg| matches!(arg, ColumnarValue::Array(_)));
        let most = self.most(&args);
        // What can become larger may well not; a single value is not made in parts.
        if most <= BATCH_BYTES_MAX {
            let made = self.0.inner().invoke_with_args(args)?;
            check(self.0.name(), &made)?;
            return Ok(made);
        }
        if !has_rows || rows < 2 {
            return Err(too_long(self.0.name()));
        }
        let half = rows / 2;
        let mut parts: Vec<ArrayRef> = Vec::with_capacity(2);
        for (from, rows) in [(0, half), (half, rows - half)] {
            let made = self.call(part(&args, from, rows))?;
            parts.push(made.into_array(rows)?);
        }
        let bytes = parts.iter().map(|part| bytes_of(part.as_ref()));
        if bytes.sum::<usize>() > BATCH_BYTES_MAX {
            return Err(too_long(self.0.name()));
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

/// The arguments of some of the rows.
fn part(args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
    let of_rows = args.args.iter().map(|arg| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    });
    ScalarFunctionArgs {
        args: of_rows.collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: rows,
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}

fn size_of_value(value: &ScalarValue) -> usize {
    match value.try_as_str() {
        Some(text) => text.map_or(0, str::len),
        None => value.size(),
    }
}

fn longest_argument(argument: &ColumnarValue) -> usize {
    match argument {
        ColumnarValue::Array(array) if lengths(array.as_ref()).is_some() => longest(array.as_ref()),
        ColumnarValue::Array(array) => bytes_of(array.as_ref()),
        ColumnarValue::Scalar(value) => size_of_value(value),
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String, DataFusionError> {
        self.0.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        self.0.inner().return_type(types)
    }

    fn return_field_from_args(
        &self,
        args: ReturnFieldArgs<'_>,
    ) -> Result<FieldRef, DataFusionError> {
        self.0.inner().return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        self.0.inner().coerce_types(types)
    }

    /// Not where the function becomes another: what that makes is not looked at.
    fn simplify(
        &self,
        args: Vec<Expr>,
        _: &SimplifyContext,
    ) -> Result<ExprSimplifyResult, DataFusionError> {
        Ok(ExprSimplifyResult::Original(args))
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.0.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self(Arc::new(updated))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        self.call(args)
    }
}

/// Its argument, where that is not too long.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Within {
    signature: Signature,
}

impl ScalarUDFImpl for Within {
    fn name(&self) -> &'static str {
        "||"
    }

    /// What it stands around is what people wrote.
    fn schema_name(&self, args: &[Expr]) -> Result<String, DataFusionError> {
        let names: Vec<String> = args
            .iter()
            .map(|arg| arg.schema_name().to_string())
            .collect();
        Ok(names.join(", "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        types
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Plan("`||` has no arguments".to_owned()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let value = args.args.into_iter().next();
        let value = value
            .ok_or_else(|| DataFusionError::Internal("a text to be bounded has gone".to_owned()))?;
        check(self.name(), &value)?;
        Ok(value)
    }
}
