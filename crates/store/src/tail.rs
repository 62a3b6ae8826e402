//! Rows as they arrive, for those who follow: what was appended since they began, each row once, whatever its time is.
//!
//! Invariants: whoever reads slowly costs at most [`BYTES_MAX`], or one batch; what finds no room is left out and counted; those
//! who append never wait for those who read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arrow::array::RecordBatch;

use crate::table::Table;

/// Most memory of what waits to be read.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Everybody who follows.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<Vec<Weak<Queue>>>);

/// What waits for one of them.
#[derive(Debug)]
pub(crate) struct Queue {
    tables: Vec<Table>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    bytes: usize,
    left_out: u64,
}

#[derive(Debug)]
struct Batch {
    table: Table,
    rows: RecordBatch,
    /// Memory that is held until the last of its rows is read.
    bytes: usize,
}

/// What arrived.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) batches: Vec<(Table, RecordBatch)>,
    /// Rows that found no room since the last time.
    pub(crate) left_out: u64,
    /// There is more.
    pub(crate) more: bool,
}

impl Tails {
    /// Follows `tables` from here on, until it is dropped.
    pub(crate) fn open(&self, tables: Vec<Table>) -> Arc<Queue> {
        let queue = Arc::new(Queue {
            tables,
            waiting: Mutex::default(),
        });
        self.lock().push(Arc::downgrade(&queue));
        queue
    }

    /// Hands on what was appended.
    pub(crate) fn push(&self, batches: &[(Table, RecordBatch)]) {
        self.lock().retain(|tail| {
            let queue = tail.upgrade();
            queue.is_some_and(|queue| {
                queue.push(batches);
                true
            })
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&self, batches: &[(Table, RecordBatch)]) {
        let mut waiting = self.lock();
        let wanted = batches
            .iter()
            .filter(|(table, rows)| self.tables.contains(table) && rows.num_rows() > 0);
        for (table, rows) in wanted {
            let bytes = rows.get_array_memory_size();
            // One that is larger than all of the room is taken alone.
            if waiting.bytes > 0 && waiting.bytes + bytes > BYTES_MAX {
                waiting.left_out += rows.num_rows() as u64;
                continue;
            }
            waiting.bytes += bytes;
            waiting.batches.push_back(Batch {
                table: *table,
                rows: rows.clone(),
                bytes,
            });
        }
    }

    /// The oldest rows that wait, at most `rows_max`.
    pub(crate) fn take(&self, rows_max: usize) -> Taken {
        let mut waiting = self.lock();
        let mut taken = Taken {
            left_out: std::mem::take(&mut waiting.left_out),
            ..Taken::default()
        };
        let mut room = rows_max;
        while room > 0
            && let Some(mut batch) = waiting.batches.pop_front()
        {
            let rows = batch.rows.num_rows();
            if rows > room {
                taken.batches.push((batch.table, batch.rows.slice(0, room)));
                batch.rows = batch.rows.slice(room, rows - room);
                waiting.batches.push_front(batch);
                break;
            }
            room -= rows;
            waiting.bytes -= batch.bytes;
            taken.batches.push((batch.table, batch.rows));
        }
        taken.more = !waiting.batches.is_empty();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use arrow::{
        array::{ArrayRef, Int64Array},
        datatypes::Int64Type,
    };

    use super::*;

    fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    fn numbers(taken: &Taken) -> Vec<i64> {
        let rows = |(_, rows): &(Table, RecordBatch)| {
            rows.column(0).as_primitive::<Int64Type>().values().to_vec()
        };
        taken.batches.iter().flat_map(rows).collect()
    }

    #[test]
    fn rows_come_once_and_in_order_however_many_are_taken() {
        let tails = Tails::default();
        let queue = tails.open(vec![Table::Logs]);
        tails.push(&[(Table::Logs, batch(0..5)), (Table::Spans, batch(90..99))]);
        tails.push(&[(Table::Logs, batch(5..7))]);
        let first = queue.take(3);
        assert_eq!((numbers(&first), first.more), (vec![0, 1, 2], true));
        let second = queue.take(10);
        assert_eq!((numbers(&second), second.more), (vec![3, 4, 5, 6], false));
        assert_eq!(queue.lock().bytes, 0);
        assert!(queue.take(10).batches.is_empty());
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said_once() {
        let tails = Tails::default();
        let queue = tails.open(vec![Table::Logs]);
        let rows = (BYTES_MAX / 8 / 2) as i64 + 10;
        for _ in 0..3 {
            tails.push(&[(Table::Logs, batch(0..rows))]);
        }
        assert!(queue.lock().bytes <= BYTES_MAX);
        let taken = queue.take(usize::MAX);
        assert_eq!(taken.left_out, 2 * rows as u64);
        assert_eq!(queue.take(1).left_out, 0);
        let large = BYTES_MAX as i64 / 8 + 1;
        tails.push(&[(Table::Logs, batch(0..large))]);
        assert_eq!(numbers(&queue.take(usize::MAX)).len() as i64, large);
    }

    #[test]
    fn who_went_away_is_forgotten() {
        let tails = Tails::default();
        drop(tails.open(vec![Table::Logs]));
        tails.push(&[(Table::Logs, batch(0..1))]);
        assert!(tails.lock().is_empty());
    }
}
