//! Quantiles of many groups at once: `quantile(sketch(duration), 0.95)`.
//!
//! A sketch counts values by logarithmic buckets: the exponent of a number and the upper six bits of its fraction, which
//! are the upper bits of its representation (IEEE 754). A bucket is at most 1/64 wide, and a quantile is the middle of the
//! bucket that holds it, so it is off by 0.8 % at most. Sketches merge by adding, so that what was asked of
//! parts holds for the whole. DataFusion's own `approx_percentile_cont` takes six times as long where groups are many
//! (measured in the design of this store), and does its work again for each quantile; `sketch` is made once.
//!
//! `sketch(duration, weight)` counts each number as often as its weight says, in [`UNITS`] of a count.

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

/// Bits of a number's representation below those that tell its bucket: the fraction's 52 but for six.
const SHIFT: u32 = 46;
/// Bytes of a bucket in a sketch: its place, and how many it holds.
const ENTRY: usize = size_of::<u32>() + size_of::<u64>();

/// Into how many parts a count of one is divided, so that weights need not be whole.
const UNITS: f64 = 1024.0;

/// The aggregate `sketch(number)`, or `sketch(number, weight)`.
pub(super) fn aggregate() -> AggregateUDF {
    let arguments = [1, 2].map(TypeSignature::Any).to_vec();
    AggregateUDF::from(SketchFunction {
        signature: Signature::one_of(arguments, Volatility::Immutable),
    })
}

/// The function `quantile(sketch, share)`.
pub(super) fn quantile_function() -> ScalarUDF {
    ScalarUDF::from(QuantileFunction {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

/// Counts by bucket, the least first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sketch(Vec<(u32, u64)>);

impl Sketch {
    fn add(&mut self, bucket: u32, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (bucket, count)),
        }
    }

    fn merge(&mut self, bytes: &[u8]) {
        for (bucket, count) in entries(bytes) {
            self.add(bucket, count);
        }
    }

    fn write(&self, builder: &mut BinaryBuilder) {
        if self.0.is_empty() {
            builder.append_null();
            return;
        }
        let mut bytes = Vec::with_capacity(self.0.len() * ENTRY);
        for (bucket, count) in &self.0 {
            bytes.extend_from_slice(&bucket.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        builder.append_value(bytes);
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<(u32, u64)>()
    }
}

/// Buckets and counts of a sketch as bytes; what is not whole is left out.
fn entries(bytes: &[u8]) -> impl Iterator<Item = (u32, u64)> + Clone {
    bytes.as_chunks::<ENTRY>().0.iter().map(|entry| {
        let (mut bucket, mut count) = ([0; size_of::<u32>()], [0; size_of::<u64>()]);
        bucket.copy_from_slice(&entry[..size_of::<u32>()]);
        count.copy_from_slice(&entry[size_of::<u32>()..]);
        (u32::from_le_bytes(bucket), u64::from_le_bytes(count))
    })
}

/// The bucket of a number: buckets stand in the order of their numbers. `None` for what is no number.
fn bucket(number: f64) -> Option<u32> {
    let place = ((number + 0.0).to_bits() << 1 >> 1 >> SHIFT) as u32;
    (!number.is_nan()).then(|| {
        if number < 0.0 {
            MIDDLE - 1 - place
        } else {
            MIDDLE + place
        }
    })
}

/// The bucket of zero: as many lie below it as there are of either sign.
const MIDDLE: u32 = 1 << (63 - SHIFT);

/// The number in the middle of a bucket.
fn middle(bucket: u32) -> f64 {
    let (place, sign) = if bucket < MIDDLE {
        (MIDDLE - 1 - bucket, -1.0)
    } else {
        (bucket - MIDDLE, 1.0)
    };
    if place == 0 {
        return 0.0;
    }
    let lower = f64::from_bits(u64::from(place) << SHIFT);
    let upper = f64::from_bits(u64::from(place + 1) << SHIFT);
    // Beyond the last one there is infinity.
    sign * if upper.is_finite() {
        f64::midpoint(lower, upper)
    } else {
        lower
    }
}

/// The quantile of a sketch by the nearest rank.
fn quantile(bytes: &[u8], share: f64) -> Option<f64> {
    let all = entries(bytes).fold(0_u64, |all, (_, count)| all.saturating_add(count));
    let rank = ((share.clamp(0.0, 1.0) * all as f64).ceil() as u64).max(1);
    let mut below = 0_u64;
    entries(bytes)
        .find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        })
        .map(|(bucket, _)| middle(bucket))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchFunction {
    signature: Signature,
}

impl AggregateUDFImpl for SketchFunction {
    fn name(&self) -> &'static str {
        "sketch"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Binary)
    }

    fn accumulator(
        &self,
        _arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>, DataFusionError> {
        Ok(Box::new(One::default()))
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
        Ok(Box::new(Groups::default()))
    }
}

/// The sketch of rows that are not grouped.
#[derive(Debug, Default)]
struct One(Sketch);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<(), DataFusionError> {
        numbers(values, |_, bucket, count| self.0.add(bucket, count))
    }

    fn evaluate(&mut self) -> Result<ScalarValue, DataFusionError> {
        let mut builder = BinaryBuilder::new();
        self.0.write(&mut builder);
        ScalarValue::try_from_array(&builder.finish(), 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>, DataFusionError> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<(), DataFusionError> {
        let states: &BinaryArray = states[0].as_binary();
        states
            .iter()
            .flatten()
            .for_each(|state| self.0.merge(state));
        Ok(())
    }
}

/// A sketch for each group.
#[derive(Debug, Default)]
struct Groups {
    sketches: Vec<Sketch>,
    /// Memory of their buckets.
    bytes: usize,
}

impl Groups {
    fn change(&mut self, group: usize, change: impl FnOnce(&mut Sketch)) {
        let sketch = &mut self.sketches[group];
        let before = sketch.size();
        change(sketch);
        self.bytes += sketch.size() - before;
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let sketches = emit_to.take_needed(&mut self.sketches);
        let mut builder = BinaryBuilder::new();
        for sketch in &sketches {
            self.bytes -= sketch.size();
            sketch.write(&mut builder);
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
        self.sketches.resize_with(total, Sketch::default);
        let is_taken =
            |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        numbers(values, |row, bucket, count| {
            if is_taken(row) {
                self.change(groups[row], |sketch| sketch.add(bucket, count));
            }
        })
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
        self.sketches.resize_with(total, Sketch::default);
        let states: &BinaryArray = states[0].as_binary();
        for (row, state) in states.iter().enumerate() {
            if let Some(state) = state {
                self.change(groups[row], |sketch| sketch.merge(state));
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>, DataFusionError> {
        let rows: Vec<usize> = (0..values[0].len()).collect();
        let mut each = Self::default();
        each.update_batch(values, &rows, filter, rows.len())?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sketches.capacity() * size_of::<Sketch>() + self.bytes
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
        let count = weights.map_or(1, |weights| units(weights, row));
        if let Some(bucket) = number.and_then(bucket).filter(|_| count > 0) {
            take(row, bucket, count);
        }
    }
    Ok(())
}

/// A row's weight in [`UNITS`]; none for what is no weight.
fn units(weights: &Float64Array, row: usize) -> u64 {
    // What is no number becomes zero, and what is too much the most there is.
    if weights.is_valid(row) {
        (weights.value(row) * UNITS).round() as u64
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
            .map(|sketch| quantile(sketch?, share))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(quantiles)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_stand_in_the_order_of_numbers() {
        let numbers = [
            f64::NEG_INFINITY,
            -1e300,
            -2.0,
            -1e-9,
            0.0,
            1e-300,
            0.5,
            1.0,
            1.02,
            1e9,
            f64::INFINITY,
        ];
        let buckets: Vec<_> = numbers
            .iter()
            .map(|number| bucket(*number).unwrap())
            .collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!(bucket(-0.0), bucket(0.0));
        assert_eq!(bucket(f64::NAN), None);
        assert!(middle(bucket(0.0).unwrap()).abs() < f64::MIN_POSITIVE);
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
        let mut weighted = One::default();
        weighted.update_batch(&numbers_and_weights).unwrap();
        let ScalarValue::Binary(Some(bytes)) = weighted.evaluate().unwrap() else {
            panic!("a sketch is bytes");
        };
        let near = |share: f64, expected: f64| {
            let told = quantile(&bytes, share).unwrap();
            assert!((told / expected - 1.0).abs() < 0.01, "{share}: {told}");
        };
        near(0.84, 1.0);
        near(0.86, 100.0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_percent(mut numbers in prop::collection::vec(-1e12_f64..1e12, 1..300), share in 0.0_f64..=1.0) {
            let mut halves = [Sketch::default(), Sketch::default()];
            for (at, number) in numbers.iter().enumerate() {
                halves[at % 2].add(bucket(*number).unwrap(), 1);
            }
            let mut builder = BinaryBuilder::new();
            halves.iter().for_each(|half| half.write(&mut builder));
            let written = builder.finish();
            let mut whole = Sketch::default();
            written.iter().flatten().for_each(|half| whole.merge(half));
            let mut builder = BinaryBuilder::new();
            whole.write(&mut builder);
            let told = quantile(builder.finish().value(0), share).unwrap();
            numbers.sort_by(f64::total_cmp);
            let rank = ((share * numbers.len() as f64).ceil() as usize).max(1) - 1;
            prop_assert!((told - numbers[rank]).abs() <= 0.008 * numbers[rank].abs() + f64::MIN_POSITIVE, "{told} {}", numbers[rank]);
        }
    }
}
