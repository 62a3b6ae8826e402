//! Spans added up by minute and operation: how many there were, how many failed, how long they took.
//!
//! What is asked of a day by minute and operation reads these rows instead of all spans. A generation's are made of all its
//! spans when it becomes segments, before sampling leaves any out, and what is in memory is added up when it is asked for: so
//! each span that was taken counts once, and as often as its sender says. Late spans make another row of a minute; rows of
//! the same operation become one where segments are compacted, and whoever reads adds up what is left.
//!
//! Invariant: however many names there are, a generation has at most [`OPERATIONS_MAX`] rows, and those of [`OTHERS`], a few
//! for each minute.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray, BinaryBuilder, BooleanArray, DictionaryArray, Float64Array,
        Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    },
    datatypes::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, Schema},
    error::ArrowError,
};
use radiosonde_core::hash::FoldState;

use crate::{
    read::column,
    sketch::{self, Sketch},
    table::{Table, WEIGHT},
};

/// Most operations of a generation that have rows of their own; each minute counts anew. A generation has some 262,144 spans.
const OPERATIONS_MAX: usize = 65_536;
/// What service, scope and name are in the table `operations` of all those for which there was no row of their own.
pub const OTHERS: &str = "(others)";

pub(crate) const MINUTE_NS: i64 = 60_000_000_000;

/// The rows of operations that `batches` of spans add up to.
pub(crate) fn of_spans(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let mut rollup = Rollup::new(OPERATIONS_MAX);
    for batch in batches {
        rollup.add_spans(batch)?;
    }
    rollup.finish()
}

/// The rows of operations in `batches`, each operation of a minute once.
pub(crate) fn of_rollups(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let mut rollup = Rollup::new(usize::MAX);
    for batch in batches {
        rollup.add_rollups(batch)?;
    }
    rollup.finish()
}

/// An operation in a minute; texts are numbers of [`Texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    minute_unix_ns: i64,
    service: u32,
    name: u32,
    scope: u32,
    kind: u32,
    is_root: bool,
}

/// What is known of it.
#[derive(Debug)]
struct Sums {
    count: f64,
    errors: f64,
    duration_sum: f64,
    duration_max: i64,
    durations: Sketch,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            count: 0.0,
            errors: 0.0,
            duration_sum: 0.0,
            duration_max: i64::MIN,
            durations: Sketch::default(),
        }
    }
}

#[derive(Debug)]
struct Rollup<'b> {
    texts: Texts<'b>,
    others: u32,
    operations_max: usize,
    places: HashMap<Key, usize, FoldState>,
    rows: Vec<(Key, Sums)>,
}

impl<'b> Rollup<'b> {
    fn new(operations_max: usize) -> Self {
        let mut texts = Texts::default();
        Self {
            others: texts.number(OTHERS),
            texts,
            operations_max,
            places: HashMap::default(),
            rows: Vec::new(),
        }
    }

    fn add_spans(&mut self, batch: &'b RecordBatch) -> Result<(), ArrowError> {
        let labels = Labels::new(&mut self.texts, batch)?;
        let status = dictionary(batch, "status")?;
        let failed: Vec<bool> = texts_of(status)?
            .iter()
            .map(|text| text == Some("error"))
            .collect();
        let starts = values::<Int64Type>(batch, "start_time")?;
        let durations = values::<Int64Type>(batch, "duration")?;
        let parents = column(batch, "parent_span_id")?;
        // What was kept before there was sampling has no weights.
        let weights = batch.column_by_name(WEIGHT);
        let weights = weights.and_then(|weights| weights.as_primitive_opt::<Float64Type>());
        for row in 0..batch.num_rows() {
            let minute = starts.value(row).div_euclid(MINUTE_NS);
            let key = labels.key(row, minute.saturating_mul(MINUTE_NS), parents.is_null(row));
            let weight = weights.map_or(1.0, |weights| weights.value(row));
            let duration_ns = durations.value(row);
            let sums = self.sums(key);
            sums.count += weight;
            let status = status.keys().value(row) as usize;
            if failed.get(status).copied().unwrap_or(false) {
                sums.errors += weight;
            }
            sums.duration_sum += duration_ns as f64 * weight;
            sums.duration_max = sums.duration_max.max(duration_ns);
            if let Some(bucket) = sketch::bucket(duration_ns as f64) {
                sums.durations.add(bucket, sketch::units(weight));
            }
        }
        Ok(())
    }

    fn add_rollups(&mut self, batch: &'b RecordBatch) -> Result<(), ArrowError> {
        let labels = Labels::new(&mut self.texts, batch)?;
        let minutes = values::<Int64Type>(batch, "minute")?;
        let is_root = column(batch, "is_root")?.as_boolean();
        let count = values::<Float64Type>(batch, "count")?;
        let errors = values::<Float64Type>(batch, "errors")?;
        let duration_sum = values::<Float64Type>(batch, "duration_sum")?;
        let duration_max = values::<Int64Type>(batch, "duration_max")?;
        let durations = column(batch, "durations")?.as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let key = labels.key(row, minutes.value(row), is_root.value(row));
            let sums = self.sums(key);
            sums.count += count.value(row);
            sums.errors += errors.value(row);
            sums.duration_sum += duration_sum.value(row);
            sums.duration_max = sums.duration_max.max(duration_max.value(row));
            sums.durations.merge(durations.value(row));
        }
        Ok(())
    }

    /// What is known of an operation, or of all others where there are too many.
    fn sums(&mut self, key: Key) -> &mut Sums {
        let known = self.places.get(&key).copied();
        let place = known.unwrap_or_else(|| {
            let others = self.others;
            let key = if self.rows.len() < self.operations_max {
                key
            } else {
                Key {
                    service: others,
                    name: others,
                    scope: others,
                    ..key
                }
            };
            *self.places.entry(key).or_insert_with(|| {
                self.rows.push((key, Sums::default()));
                self.rows.len() - 1
            })
        });
        &mut self.rows[place].1
    }

    /// The rows, by minute, service and name.
    fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let values = self.number_by_text();
        self.rows.sort_unstable_by_key(|(key, _)| *key);
        let rows = &self.rows;
        let label = |of: fn(&Key) -> u32| -> Result<ArrayRef, ArrowError> {
            // A batch has far fewer texts than an `i32` has numbers.
            let keys = rows.iter().map(|(key, _)| of(key) as i32);
            let keys = Int32Array::from_iter_values(keys);
            let labels = DictionaryArray::try_new(keys, Arc::clone(&values) as ArrayRef)?;
            Ok(Arc::new(labels))
        };
        let number = |of: fn(&Sums) -> f64| -> ArrayRef {
            let numbers = rows.iter().map(|(_, sums)| of(sums));
            Arc::new(Float64Array::from_iter_values(numbers))
        };
        let minutes = rows.iter().map(|(key, _)| key.minute_unix_ns);
        let is_root: BooleanArray = rows.iter().map(|(key, _)| Some(key.is_root)).collect();
        let longest = rows.iter().map(|(_, sums)| sums.duration_max);
        let mut durations = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for (_, sums) in rows {
            bytes.clear();
            sums.durations.write(&mut bytes);
            durations.append_value(&bytes);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(minutes)),
            label(|key| key.service)?,
            label(|key| key.scope)?,
            label(|key| key.name)?,
            label(|key| key.kind)?,
            Arc::new(is_root),
            number(|sums| sums.count),
            number(|sums| sums.errors),
            number(|sums| sums.duration_sum),
            Arc::new(Int64Array::from_iter_values(longest)),
            Arc::new(durations.finish()),
        ];
        let schema = Arc::new(Schema::new(Table::Operations.columns()));
        RecordBatch::try_new(schema, columns)
    }

    /// Numbers texts in their order, those that rows have and no others; what is left is what each number stands for.
    fn number_by_text(&mut self) -> Arc<StringArray> {
        const UNUSED: u32 = u32::MAX;
        let mut numbers = vec![UNUSED; self.texts.all.len()];
        for (key, _) in &self.rows {
            for text in [key.service, key.name, key.scope, key.kind] {
                numbers[text as usize] = 0;
            }
        }
        let texts = self.texts.all.iter().copied().enumerate();
        let mut used: Vec<(&str, usize)> = texts
            .filter(|(at, _)| numbers[*at] != UNUSED)
            .map(|(at, text)| (text, at))
            .collect();
        used.sort_unstable();
        for (number, (_, at)) in used.iter().enumerate() {
            numbers[*at] = number as u32;
        }
        for (key, _) in &mut self.rows {
            for text in [
                &mut key.service,
                &mut key.name,
                &mut key.scope,
                &mut key.kind,
            ] {
                *text = numbers[*text as usize];
            }
        }
        let texts = used.iter().map(|(text, _)| text);
        Arc::new(StringArray::from_iter_values(texts))
    }
}

/// Each text once, and its number.
#[derive(Debug, Default)]
struct Texts<'b> {
    all: Vec<&'b str>,
    numbers: HashMap<&'b str, u32, FoldState>,
}

impl<'b> Texts<'b> {
    fn number(&mut self, text: &'b str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.all.push(text);
            (self.all.len() - 1) as u32
        })
    }
}

/// What names the operations of a batch.
struct Labels<'b> {
    service: Label<'b>,
    name: Label<'b>,
    scope: Label<'b>,
    kind: Label<'b>,
}

/// A column of text that repeats: for each row a place, and for each place the number of a text.
struct Label<'b> {
    places: &'b [i32],
    numbers: Vec<u32>,
}

impl<'b> Labels<'b> {
    fn new(texts: &mut Texts<'b>, batch: &'b RecordBatch) -> Result<Self, ArrowError> {
        let mut label = |name: &str| -> Result<Label<'b>, ArrowError> {
            let labels = dictionary(batch, name)?;
            let all = texts_of(labels)?.iter();
            Ok(Label {
                places: labels.keys().values(),
                numbers: all
                    .map(|text| texts.number(text.unwrap_or_default()))
                    .collect(),
            })
        };
        Ok(Self {
            service: label("service")?,
            name: label("name")?,
            scope: label("scope")?,
            kind: label("kind")?,
        })
    }

    fn key(&self, row: usize, minute_unix_ns: i64, is_root: bool) -> Key {
        Key {
            minute_unix_ns,
            service: self.service.at(row),
            name: self.name.at(row),
            scope: self.scope.at(row),
            kind: self.kind.at(row),
            is_root,
        }
    }
}

impl Label<'_> {
    fn at(&self, row: usize) -> u32 {
        self.numbers[self.places[row] as usize]
    }
}

fn dictionary<'b>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b DictionaryArray<Int32Type>, ArrowError> {
    column(batch, name)?
        .as_dictionary_opt()
        .ok_or_else(|| unexpected(name))
}

fn texts_of(labels: &DictionaryArray<Int32Type>) -> Result<&StringArray, ArrowError> {
    let texts = labels.values().as_string_opt();
    texts.ok_or_else(|| unexpected("of labels"))
}

fn values<'b, T: ArrowPrimitiveType>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b PrimitiveArray<T>, ArrowError> {
    column(batch, name)?
        .as_primitive_opt()
        .ok_or_else(|| unexpected(name))
}

fn unexpected(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the column {name} of a batch has another type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Rows,
        row::{Origin, SpanRow},
    };

    const ORIGIN: Origin<'static> = Origin {
        service: "engine",
        resource: "{}",
        scope: "model",
    };

    fn span(name: &str, number: u64) -> SpanRow<'_> {
        SpanRow {
            origin: ORIGIN,
            trace_id: [1; 16],
            span_id: (number + 1).to_be_bytes(),
            parent_span_id: Some([1; 8]),
            name,
            kind: "internal",
            status: "unset",
            status_message: "",
            start_unix_ns: 0,
            duration_ns: 100,
            links: "",
            attributes: &[],
        }
    }

    fn batch(rows: Rows) -> RecordBatch {
        rows.finish().unwrap().remove(0).1
    }

    fn texts(rows: &RecordBatch, name: &str) -> Vec<String> {
        let plain = crate::read::plain(rows, name).unwrap();
        plain.iter().map(|text| text.unwrap().to_owned()).collect()
    }

    /// The numbers of a column in tenths, which are whole here.
    fn tenths(rows: &RecordBatch, name: &str) -> Vec<i64> {
        let numbers = values::<Float64Type>(rows, name).unwrap().values();
        numbers
            .iter()
            .map(|number| (number * 10.0).round() as i64)
            .collect()
    }

    #[test]
    fn spans_of_an_operation_and_minute_are_one_row_and_late_ones_are_added() {
        let mut rows = Rows::default();
        rows.span(&span("decode", 0));
        let failed = SpanRow {
            status: "error",
            duration_ns: 300,
            ..span("decode", 1)
        };
        rows.sampled_span(&failed, 2.5);
        rows.span(&SpanRow {
            parent_span_id: None,
            start_unix_ns: -1,
            ..span("decode", 2)
        });
        rows.span(&span("attend", 3));
        let first = of_spans(&[batch(rows)]).unwrap();
        let minutes = values::<Int64Type>(&first, "minute").unwrap();
        assert_eq!(minutes.values().to_vec(), [-MINUTE_NS, 0, 0]);
        assert_eq!(texts(&first, "name"), ["decode", "attend", "decode"]);
        assert_eq!(tenths(&first, "count"), [10, 10, 35]);
        assert_eq!(tenths(&first, "errors"), [0, 0, 25]);
        assert_eq!(tenths(&first, "duration_sum"), [1_000, 1_000, 8_500]);
        let mut rows = Rows::default();
        rows.span(&SpanRow {
            duration_ns: 700,
            ..span("decode", 4)
        });
        let late = of_spans(&[batch(rows)]).unwrap();
        let both = of_rollups(&[first, late]).unwrap();
        assert_eq!(tenths(&both, "count"), [10, 10, 45]);
        let longest = values::<Int64Type>(&both, "duration_max").unwrap();
        assert_eq!(longest.values().to_vec(), [100, 100, 700]);
        let sketches = column(&both, "durations").unwrap().as_binary::<i32>();
        let near = |share: f64, expected: f64| {
            let told = sketch::quantile(sketches.value(2), share).unwrap();
            assert!((told / expected - 1.0).abs() < 0.01, "{share}: {told}");
        };
        near(0.2, 100.0);
        near(0.7, 300.0);
        near(0.9, 700.0);
    }

    #[test]
    fn names_without_end_are_told_as_others() {
        let mut rows = Rows::default();
        for number in 0..1_000 {
            // One of the names comes again.
            let path = if number % 10 == 0 { 1 } else { number };
            rows.span(&SpanRow {
                start_unix_ns: number as i64 % 2 * MINUTE_NS,
                ..span(&format!("GET /{path}"), number)
            });
        }
        let spans = batch(rows);
        let mut rollup = Rollup::new(10);
        rollup.add_spans(&spans).unwrap();
        let told = rollup.finish().unwrap();
        assert_eq!(told.num_rows(), 10 + 2, "and one of others for each minute");
        let (names, counts) = (texts(&told, "name"), tenths(&told, "count"));
        let count_of = |name: &str| -> i64 {
            let of_name = names.iter().zip(&counts).filter(|(of, _)| *of == name);
            of_name.map(|(_, count)| count / 10).sum()
        };
        assert_eq!(count_of("GET /1"), 101);
        assert_eq!(count_of(OTHERS), 1_000 - 101 - 8);
        assert_eq!(counts.iter().sum::<i64>(), 10_000);
        let services = texts(&told, "service");
        let mut both = names.iter().zip(&services);
        assert!(both.all(|(name, service)| (name == OTHERS) == (service == OTHERS)));
    }
}
