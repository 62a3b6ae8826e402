//! Small segments become fewer, larger ones, so that a question need not open a file for each minute that was kept.
//!
//! Segments of a level that follow each other in time become one of the next level. A row is written again at most once
//! for each level, of which there are few: each has [`FAN_IN`] times the rows of the one before, up to [`ROWS_MAX`].
//!
//! The new segment takes the place of the old ones in one transaction of the catalogue, so a row is in one file whatever
//! happens; statements that read the old files keep them for as long as they run.

use std::{collections::HashSet, fs::File, sync::Arc, sync::atomic::Ordering::Relaxed};

use arrow::{array::RecordBatch, compute::cast, error::ArrowError};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};

use crate::{
    Config, Segment, WriteError,
    keeper::{Abandoned, catalogue_error},
    merge, segment,
    shared::{Held, Shared},
    table::Table,
};

/// How many segments become one.
const FAN_IN: usize = 8;
/// Most rows of a segment that was made of others: what is held in memory while it is made.
const ROWS_MAX: u64 = 524_288;
/// A segment is at most this part of all that may be kept, in bytes and in time: retention gives up whole files.
const SHARE_MAX: u64 = 16;

/// Makes one segment of several, where there are enough; whether it did. What cannot be read is `refused` from then on.
pub(crate) fn compact(
    shared: &Shared,
    refused: &mut HashSet<i64>,
    abandoned: &mut Abandoned,
) -> Result<bool, WriteError> {
    let Some(old) = chosen(shared, refused) else {
        return Ok(false);
    };
    let ids: Vec<i64> = old.iter().map(|held| held.segment.id).collect();
    let new = match write(shared, &old) {
        Ok(new) => new,
        Err(error @ WriteError::Encode { .. }) => {
            refused.extend(&ids);
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    shared
        .catalogue()
        .replace(&ids, std::slice::from_ref(&new), None)
        .map_err(catalogue_error(shared))
        .inspect_err(|_| abandoned.add(segment::path(&shared.config.folder, new.table, new.id)))?;
    let new = Held::new(&shared.config, new);
    let mut state = shared.lock();
    state
        .segments
        .retain(|held| !ids.contains(&held.segment.id));
    state.segments.push(new);
    drop(state);
    for held in &old {
        held.is_given_up.store(true, Relaxed);
    }
    Ok(true)
}

fn chosen(shared: &Shared, refused: &HashSet<i64>) -> Option<Vec<Arc<Held>>> {
    let held = shared.lock().segments.clone();
    let segments = held.iter().map(|held| &held.segment);
    let ids = choose(
        segments.filter(|segment| !refused.contains(&segment.id)),
        &shared.config,
    )?;
    let found = ids
        .iter()
        .filter_map(|id| held.iter().find(|held| held.segment.id == *id));
    Some(found.map(Arc::clone).collect())
}

/// Which segments become one: the oldest of the lowest level that are enough and not too much together.
fn choose<'a>(segments: impl Iterator<Item = &'a Segment>, config: &Config) -> Option<Vec<i64>> {
    let age_max =
        i64::try_from(config.age_max.as_nanos() / u128::from(SHARE_MAX)).unwrap_or(i64::MAX);
    let mut segments: Vec<&Segment> = segments
        .filter(|segment| segment.rows <= ROWS_MAX / 2)
        .collect();
    segments.sort_by_key(|segment| {
        (
            segment.table,
            segment.level,
            segment.arrived_unix_ns,
            segment.id,
        )
    });
    let fits = |together: &&[&Segment]| {
        let (Some(first), Some(last)) = (together.first(), together.last()) else {
            return false;
        };
        (first.table, first.level) == (last.table, last.level)
            && last.arrived_unix_ns.saturating_sub(first.arrived_unix_ns) <= age_max
            && together.iter().map(|segment| segment.rows).sum::<u64>() <= ROWS_MAX
            && together.iter().map(|segment| segment.bytes).sum::<u64>()
                <= config.bytes_max(first.table) / SHARE_MAX
    };
    let found = segments
        .windows(FAN_IN)
        .filter(fits)
        .min_by_key(|together| together[0].level)?;
    Some(found.iter().map(|segment| segment.id).collect())
}

fn write(shared: &Shared, old: &[Arc<Held>]) -> Result<Segment, WriteError> {
    let first = &old[0].segment;
    let (table, level) = (first.table, first.level);
    let mut batches = Vec::new();
    for held in old {
        let encode = |source| WriteError::Encode {
            path: held.path.clone(),
            source,
        };
        batches.extend(read(held, table).map_err(encode)?);
    }
    let id = shared
        .catalogue()
        .reserve()
        .map_err(catalogue_error(shared))?;
    let config = &shared.config;
    let rows = merge::merged(table, &batches).map_err(|source| WriteError::Encode {
        path: segment::path(&config.folder, table, id),
        source: source.into(),
    })?;
    drop(batches);
    let arrived = old
        .iter()
        .map(|held| held.segment.arrived_unix_ns)
        .max()
        .unwrap_or(0);
    let segment = segment::write(&*config.disk, &config.folder, table, id, &rows, arrived)?;
    Ok(Segment {
        level: level.saturating_add(1),
        ..segment
    })
}

/// A segment's rows, with the types that batches in memory have.
fn read(held: &Held, table: Table) -> Result<Vec<RecordBatch>, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&held.path)?)?.build()?;
    let batches: Result<Vec<_>, ArrowError> = reader.map(|batch| conform(&batch?, table)).collect();
    Ok(batches?)
}

fn conform(batch: &RecordBatch, table: Table) -> Result<RecordBatch, ArrowError> {
    let own = table.columns();
    let (schema, columns) = (batch.schema(), batch.columns());
    let mut fields = Vec::with_capacity(columns.len());
    let mut conformed = Vec::with_capacity(columns.len());
    for (field, column) in schema.fields().iter().zip(columns) {
        if let Some(own) = own.iter().find(|own| own.name() == field.name()) {
            conformed.push(cast(column, own.data_type())?);
            fields.push(Arc::clone(own));
        } else {
            conformed.push(Arc::clone(column));
            fields.push(Arc::clone(field));
        }
    }
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), conformed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn segment(id: i64, level: u8, rows: u64) -> Segment {
        Segment {
            id,
            table: Table::Spans,
            rows,
            bytes: rows * 30,
            first_unix_ns: 0,
            last_unix_ns: 0,
            arrived_unix_ns: id * MINUTE,
            level,
            attributes: Arc::from([]),
        }
    }

    fn chosen(segments: &[Segment]) -> Option<Vec<i64>> {
        choose(segments.iter(), &Config::new("unused"))
    }

    #[test]
    fn enough_of_a_level_become_one() {
        let mut segments: Vec<_> = (0..7).map(|id| segment(id, 0, 1000)).collect();
        assert_eq!(chosen(&segments), None);
        segments.push(segment(7, 1, 1000));
        assert_eq!(chosen(&segments), None);
        segments.push(segment(8, 0, 1000));
        assert_eq!(chosen(&segments), Some(vec![0, 1, 2, 3, 4, 5, 6, 8]));
    }

    #[test]
    fn what_is_large_stays_as_it_is() {
        let segments: Vec<_> = (0..20).map(|id| segment(id, 0, 262_145)).collect();
        assert_eq!(chosen(&segments), None);
        let segments: Vec<_> = (0..20).map(|id| segment(id, 0, 100_000)).collect();
        assert_eq!(chosen(&segments), None);
    }

    #[test]
    fn a_segment_is_a_small_part_of_what_is_kept() {
        let segments: Vec<_> = (0..8).map(|id| segment(id, 0, 1000)).collect();
        let config = |size_bytes_max, age_max| Config {
            size_bytes_max,
            age_max,
            ..Config::new("unused")
        };
        let day = Duration::from_hours(24);
        assert!(choose(segments.iter(), &config(16 * 240_000, day)).is_some());
        assert_eq!(choose(segments.iter(), &config(16 * 239_999, day)), None);
        assert_eq!(
            choose(segments.iter(), &config(u64::MAX, Duration::from_hours(1))),
            None
        );
    }
}
