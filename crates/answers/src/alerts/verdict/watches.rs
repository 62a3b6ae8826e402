//! What watches the values of one rule.

use std::collections::BTreeMap;

use crate::alerts::{Direction, Labels, Point, judge::Watch};

/// Values of one rule that are watched at most: each has a past in memory.
const WATCHES_MAX: usize = 1_000;

/// What watches each value.
#[derive(Debug, Default)]
pub(in crate::alerts) struct Watches {
    watched: BTreeMap<Labels, Watched>,
    /// Values that there was no room for at the last evaluation.
    pub left_out: u64,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    last: Option<Point>,
}

impl Watches {
    /// Where new readings begin: with the one that was seen last of the value that is furthest behind, if that is later than
    /// `begin_unix_ns`. Values that were not read since are given up.
    pub(super) fn begin(&mut self, begin_unix_ns: u64) -> u64 {
        self.left_out = 0;
        self.watched
            .retain(|_, watched| watched.last_unix_ns() > begin_unix_ns);
        let last = self.watched.values().map(Watched::last_unix_ns);
        last.min().unwrap_or(begin_unix_ns)
    }

    /// Shows a value's readings up to now to what watches it.
    pub(super) fn feed(&mut self, labels: &Labels, past: &[Point], direction: Direction) {
        if !self.watched.contains_key(labels) {
            if self.watched.len() >= WATCHES_MAX {
                self.left_out += 1;
                return;
            }
            let watched = Watched {
                watch: Watch::new(direction),
                last: None,
            };
            self.watched.insert(labels.clone(), watched);
        }
        let Some(watched) = self.watched.get_mut(labels) else {
            return;
        };
        for point in past {
            if watched.last_unix_ns() < point.time_unix_ns {
                watched.last = Some(*point);
                watched.watch.observe(*point);
            }
        }
    }

    /// Every value that was read after a time: what it is, and what watches it.
    pub(super) fn since(&self, unix_ns: u64) -> impl Iterator<Item = (&Labels, f64, &Watch)> {
        self.watched.iter().filter_map(move |(labels, watched)| {
            let last = watched.last.filter(|last| last.time_unix_ns > unix_ns)?;
            Some((labels, last.value, &watched.watch))
        })
    }
}

impl Watched {
    fn last_unix_ns(&self) -> u64 {
        self.last.map_or(0, |last| last.time_unix_ns)
    }
}
