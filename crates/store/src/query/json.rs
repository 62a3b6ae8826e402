//! Attributes in JSON: of a row, all of them; of a column, those of its rows that are elsewhere.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, StringBuilder,
        StringViewArray, StringViewBuilder,
    },
    compute::{cast, is_not_null, kernels::zip::zip},
    datatypes::DataType,
};
use datafusion::{
    common::DataFusionError,
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    merge,
    table::{ATTRIBUTE_PREFIX, REST},
};

/// The value of `key` in the object that `json` is: text without quotes, anything else as JSON. The last one where the
/// key is there twice; `None` where it is not there, or null.
pub(super) fn find<'a>(json: &'a str, key: &str) -> Option<Cow<'a, str>> {
    // Most objects do not have the key, and that is told without taking them apart.
    if !json.contains(key) && !json.contains('\\') {
        return None;
    }
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_str(json);
    let visitor = Entries {
        key,
        found: &mut found,
    };
    serde::Deserializer::deserialize_map(&mut reader, visitor).ok()?;
    let raw = found?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'a>>(raw)
            .ok()
            .map(|text| text.0),
        b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Entries<'k, 'f, 'a> {
    key: &'k str,
    found: &'f mut Option<&'a RawValue>,
}

impl<'a> serde::de::Visitor<'a> for Entries<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key::<Text<'a>>()? {
            if key == self.key {
                *self.found = Some(map.next_value()?);
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// All attributes of each row, as JSON objects; null where a row has none.
pub(super) fn whole(batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
    let rest = rest(batch)?;
    let columns: Vec<(&str, ArrayRef)> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, column)| Some((field.name().strip_prefix(ATTRIBUTE_PREFIX)?, column)))
        .map(|(name, column)| Ok((name, plain(column)?)))
        .collect::<Result<_, DataFusionError>>()?;
    let columns: Vec<(&str, &ArrayRef)> = columns
        .iter()
        .map(|(name, column)| (*name, column))
        .collect();
    let mut out = StringViewBuilder::with_capacity(batch.num_rows());
    let mut json = String::new();
    for row in 0..batch.num_rows() {
        json.clear();
        let rest = rest.is_valid(row).then(|| rest.value(row));
        merge::push_object(&mut json, &columns, rest, row);
        out.append_option((!json.is_empty()).then_some(&json));
    }
    Ok(Arc::new(out.finish()))
}

/// Text as batches in memory have it.
fn plain(column: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    Ok(match column.data_type() {
        DataType::Utf8View => cast(column, &DataType::Utf8)?,
        _ => Arc::clone(column),
    })
}

fn rest(batch: &RecordBatch) -> Result<StringArray, DataFusionError> {
    let rest = batch
        .column_by_name(REST)
        .ok_or_else(|| DataFusionError::Internal(format!("a batch has no column {REST}")))?;
    Ok(plain(rest)?.as_string::<i32>().clone())
}

/// The attribute's column `own`, with the values of rows that have theirs in the rest.
pub(super) fn completed(
    batch: &RecordBatch,
    key: &str,
    own: ArrayRef,
) -> Result<ArrayRef, DataFusionError> {
    complete(&rest(batch)?, key, own)
}

/// See [`completed`].
pub(super) fn complete(
    rest: &StringArray,
    key: &str,
    own: ArrayRef,
) -> Result<ArrayRef, DataFusionError> {
    if rest.null_count() == rest.len() {
        return Ok(own);
    }
    let mut any = false;
    let mut found = StringBuilder::new();
    for json in rest {
        let value = json.and_then(|json| find(json, key));
        any |= value.is_some();
        found.append_option(value);
    }
    if !any {
        return Ok(own);
    }
    let found: ArrayRef = Arc::new(found.finish());
    let is_found = is_not_null(&found)?;
    // What is of another type than the column has is null there.
    let found = cast(&found, own.data_type())?;
    Ok(zip(&is_found, &found, &own)?)
}

/// The name of [`value_function`].
pub(super) const VALUE_FUNCTION: &str = "json_value";

/// `json_value(object, key)`: the value of a key in a JSON object, as text.
pub(super) fn value_function() -> ScalarUDF {
    ScalarUDF::from(ValueFunction {
        signature: Signature::string(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueFunction {
    signature: Signature,
}

impl ScalarUDFImpl for ValueFunction {
    fn name(&self) -> &'static str {
        VALUE_FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts: Result<Vec<ArrayRef>, _> = arrays
            .iter()
            .map(|array| cast(array, &DataType::Utf8View))
            .collect();
        let texts = texts?;
        let [json, keys] = &texts[..] else {
            return Err(DataFusionError::Plan(
                "json_value takes an object and a key".to_owned(),
            ));
        };
        let pairs = json.as_string_view().iter().zip(keys.as_string_view());
        let found: StringViewArray = pairs.map(|(json, key)| find(json?, key?)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
