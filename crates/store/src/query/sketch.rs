//! Quantiles of many groups at once: `quantile(sketch(duration), 0.95)`, and `quantile(merge(durations), 0.95)` of sketches that
//! are there already.
//!
//! DataFusion's own `approx_percentile_cont` takes six times as long where groups are many
//! (measured in the design of this store), and does its work again for each quantile; a [`Sketch`] is made once.
//!
//! `sketch(duration, weight)` counts each number as often as its weight says.

use std::{mem::size_of, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array,
    },
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::DataFusionError,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
    scalar::ScalarValue,
};

use crate::sketch::{self, Sketch, UNITS};

/// The aggregate `sketch(number)`, or `sketch(number, weight)`.
pub(super) fn aggregate() -> AggregateUDF {
    let arguments = [1, 2].map(TypeSignature::Any).to_vec();
    AggregateUDF::from(SketchFunction {
        of: Of::Numbers,
        signature: Signature::one_of(arguments, Volatility::Immutable),
    })
}

/// The aggregate `merge(sketch)`.
pub(super) fn merge_aggregate() -> AggregateUDF {
    AggregateUDF::from(SketchFunction {
        of: Of::Sketches,
        signature: Signature::any(1, Volatility::Immutable),
    })
}

/// The function `quantile(sketch, share)`.
pub(super) fn quantile_function() -> ScalarUDF {
    ScalarUDF::from(QuantileFunction {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

/// What an aggregate makes a sketch of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Numbers,
    Sketches,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchFunction {
    of: Of,
    signature: Signature,
}

impl AggregateUDFImpl for SketchFunction {
    fn name(&self) -> &'static str {
        match self.of {
            Of::Numbers => "sketch",
            Of::Sketches => "merge",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        let is_sketch = matches!(arguments, [DataType::Binary | DataType::Null]);
        if self.of == Of::Sketches && !is_sketch {
            return Err(DataFusionError::Plan(
                "merge takes sketches: quantile(merge(durations), 0.95); of numbers they are made by sketch(duration)"
                    .to_owned(),
            ));
        }
        Ok(DataType::Binary)
    }

    fn accumulator(
        &self,
        _arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>, DataFusionError> {
        Ok(Box::new(One {
            of: self.of,
            sketch: Sketch::default(),
        }))
    }

    fn state_fields(
        &self,
        arguments: StateFieldsArgs<'_>,
    ) -> Result<Vec<FieldRef>, DataFusionError> {
        let name = format!("{}[sketch]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
        Ok(Box::new(Groups::new(self.of)))
    }
}

/// The sketch of rows that are not grouped.
#[derive(Debug)]
struct One {
    of: Of,
    sketch: Sketch,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        match self.of {
            Of::Numbers => numbers(values, |_, bucket, count| self.sketch.add(bucket, count)),
            Of::Sketches => self.merge_batch(values),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        let is_there = !self.sketch.is_empty();
        Ok(ScalarValue::Binary(is_there.then(|| {
            let mut bytes = Vec::new();
            self.sketch.write(&mut bytes);
            bytes
        })))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        let states = cast(&states[0], &DataType::Binary)?;
        let states: &BinaryArray = states.as_binary();
        states
            .iter()
            .flatten()
            .for_each(|state| self.sketch.merge(state));
        Ok(())
    }
}

/// What a group has. Most groups of a long time are of one sketch, which need not be taken apart.
#[derive(Debug, Default)]
struct Group {
    only: Option<Box<[u8]>>,
    counts: Sketch,
}

impl Group {
    fn counts(&mut self) -> &mut Sketch {
        if let Some(only) = self.only.take() {
            self.counts.merge(&only);
        }
        &mut self.counts
    }

    fn merge(&mut self, sketch: &[u8]) {
        if self.only.is_none() && self.counts.is_empty() {
            self.only = Some(sketch.into());
        } else {
            self.counts().merge(sketch);
        }
    }

    fn size(&self) -> usize {
        self.counts.size() + self.only.as_ref().map_or(0, |only| only.len())
    }
}

/// A sketch for each group.
#[derive(Debug)]
struct Groups {
    of: Of,
    each: Vec<Group>,
    /// Memory of their buckets.
    bytes: usize,
}

impl Groups {
    const fn new(of: Of) -> Self {
        Self {
            of,
            each: Vec::new(),
            bytes: 0,
        }
    }

    fn change(&mut self, group: usize, change: impl FnOnce(&mut Group)) {
        let group = &mut self.each[group];
        let before = group.size();
        change(group);
        self.bytes = self.bytes + group.size() - before;
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let groups = emit_to.take_needed(&mut self.each);
        let mut builder = BinaryBuilder::with_capacity(groups.len(), self.bytes);
        let mut bytes = Vec::new();
        for group in &groups {
            self.bytes -= group.size();
            match &group.only {
                Some(only) => builder.append_value(only),
                None if group.counts.is_empty() => builder.append_null(),
                None => {
                    bytes.clear();
                    group.counts.write(&mut bytes);
                    builder.append_value(&bytes);
                }
            }
        }
        Arc::new(builder.finish())
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<(), DataFusionError> {
        self.each.resize_with(total, Group::default);
        let is_taken =
            |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        match self.of {
            Of::Numbers => numbers(values, |row, bucket, count| {
                if is_taken(row) {
                    self.change(groups[row], |group| group.counts().add(bucket, count));
                }
            }),
            Of::Sketches => self.merge_rows(&values[0], groups, is_taken),
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef, DataFusionError> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>, DataFusionError> {
        Ok(vec![self.emit(emit_to)])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> Result<(), DataFusionError> {
        self.each.resize_with(total, Group::default);
        self.merge_rows(&states[0], groups, |_| true)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>, DataFusionError> {
        if self.of == Of::Sketches && filter.is_none() {
            return Ok(vec![cast(&values[0], &DataType::Binary)?]);
        }
        let rows: Vec<usize> = (0..values[0].len()).collect();
        let mut each = Self::new(self.of);
        each.update_batch(values, &rows, filter, rows.len())?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.each.capacity() * size_of::<Group>() + self.bytes
    }
}

impl Groups {
    /// Adds sketches to those of their groups.
    fn merge_rows(
        &mut self,
        sketches: &ArrayRef,
        groups: &[usize],
        is_taken: impl Fn(usize) -> bool,
    ) -> Result<(), DataFusionError> {
        let sketches = cast(sketches, &DataType::Binary)?;
        let sketches: &BinaryArray = sketches.as_binary();
        for (row, sketch) in sketches.iter().enumerate() {
            if let Some(sketch) = sketch.filter(|_| is_taken(row)) {
                self.change(groups[row], |group| group.merge(sketch));
            }
        }
        Ok(())
    }
}

/// Calls `take` with each number's row, bucket and how often it counts: `values` are numbers, and weights where they have any.
fn numbers(
    values: &[ArrayRef],
    mut take: impl FnMut(usize, u32, u64),
) -> Result<(), DataFusionError> {
    let numbers = cast(&values[0], &DataType::Float64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let weights = values
        .get(1)
        .map(|weights| cast(weights, &DataType::Float64));
    let weights = weights.transpose()?;
    let weights = weights.as_ref().map(AsArray::as_primitive::<Float64Type>);
    for (row, number) in numbers.iter().enumerate() {
        let count = weights.map_or(UNITS, |weights| units(weights, row));
        if let Some(bucket) = number.and_then(sketch::bucket).filter(|_| count > 0) {
            take(row, bucket, count);
        }
    }
    Ok(())
}

/// A row's weight; none for what is no weight.
fn units(weights: &Float64Array, row: usize) -> u64 {
    if weights.is_valid(row) {
        sketch::units(weights.value(row))
    } else {
        0
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct QuantileFunction {
    signature: Signature,
}

impl ScalarUDFImpl for QuantileFunction {
    fn name(&self) -> &'static str {
        "quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> Result<ColumnarValue, DataFusionError> {
        let wrong = || {
            DataFusionError::Plan(
                "quantile takes a sketch and a share from 0 to 1: quantile(sketch(duration), 0.95)"
                    .to_owned(),
            )
        };
        let [sketch, share] = arguments.args.as_slice() else {
            return Err(wrong());
        };
        let ColumnarValue::Scalar(share) = share else {
            return Err(wrong());
        };
        let ScalarValue::Float64(Some(share)) = share.cast_to(&DataType::Float64)? else {
            return Err(wrong());
        };
        let sketches = sketch.to_array(arguments.number_rows)?;
        let sketches: &BinaryArray = sketches.as_binary_opt().ok_or_else(wrong)?;
        let quantiles: Float64Array = sketches
            .iter()
            .map(|sketch| sketch::quantile(sketch?, share))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(quantiles)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a sketch.
    fn told(accumulator: &mut One) -> Vec<u8> {
        match accumulator.evaluate().unwrap() {
            ScalarValue::Binary(Some(bytes)) => bytes,
            other => panic!("a sketch is bytes, not {other}"),
        }
    }

    fn one(of: Of) -> One {
        One {
            of,
            sketch: Sketch::default(),
        }
    }

    #[test]
    fn a_number_counts_as_often_as_its_weight_says() {
        let numbers_and_weights: [ArrayRef; 2] = [
            Arc::new(Float64Array::from(vec![1.0, 100.0, 7.0, 7.0])),
            Arc::new(Float64Array::from(vec![
                Some(8.5),
                Some(1.5),
                None,
                Some(f64::NAN),
            ])),
        ];
        let mut weighted = one(Of::Numbers);
        weighted.update_batch(&numbers_and_weights).unwrap();
        let bytes = told(&mut weighted);
        let near = |share: f64, expected: f64| {
            let told = sketch::quantile(&bytes, share).unwrap();
            assert!((told / expected - 1.0).abs() < 0.01, "{share}: {told}");
        };
        near(0.84, 1.0);
        near(0.86, 100.0);
    }

    #[test]
    fn sketches_that_are_merged_are_those_of_all_numbers() {
        let of = |numbers: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(numbers)) };
        let mut all = one(Of::Numbers);
        all.update_batch(&[of(vec![1.0, 2.0, 300.0, 300.0])])
            .unwrap();
        let mut halves = Groups::new(Of::Numbers);
        halves
            .update_batch(&[of(vec![1.0, 2.0, 300.0, 300.0])], &[0, 1, 1, 0], None, 3)
            .unwrap();
        // The third group has nothing.
        let halves = halves.evaluate(EmitTo::All).unwrap();
        assert_eq!((halves.len(), halves.null_count()), (3, 1));
        let mut merged = one(Of::Sketches);
        merged.update_batch(&[Arc::clone(&halves)]).unwrap();
        assert_eq!(told(&mut merged), told(&mut all));
        let mut groups = Groups::new(Of::Sketches);
        let is_taken = BooleanArray::from(vec![true, false, true]);
        groups
            .update_batch(&[Arc::clone(&halves)], &[0, 0, 1], Some(&is_taken), 2)
            .unwrap();
        groups.merge_batch(&[halves], &[1, 0, 0], 2).unwrap();
        let groups = groups.evaluate(EmitTo::All).unwrap();
        let groups: &BinaryArray = groups.as_binary();
        assert_eq!(groups.value(0), told(&mut all));
        assert_eq!(
            sketch::quantile(groups.value(1), 0.0),
            sketch::quantile(groups.value(0), 0.0)
        );
    }
}
