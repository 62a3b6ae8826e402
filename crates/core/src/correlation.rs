//! Correlation IDs: the identifiers that callers bring (`x-request-id`), kept beside the trace ID.
//!
//! A record carries a 32-bit handle; the text stays here. Equal texts share a handle. When [`CORRELATIONS_MAX`] texts
//! are known the next one takes the place of the one that was used longest ago, of those that nobody holds. A
//! [`FullContext`](crate::propagation::FullContext) and what is attached hold theirs, so the ID of a request that goes
//! on stays however many come and go meanwhile; only where more than that are under way at once is one of theirs
//! forgotten. A record whose text is gone shows none, never somebody else's, and each such text is counted under
//! [`Lost::NameLimit`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::loss::{self, Lost};

/// How many correlation IDs are remembered.
pub const CORRELATIONS_MAX: usize = 4096;
/// Longest correlation ID kept, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;

/// A use is written down unless the last one was no longer ago than this many others.
const RECENT: u64 = CORRELATIONS_MAX as u64 / 16;

#[derive(Debug, Default)]
struct Table {
    known: HashMap<u32, Known>,
    handles: HashMap<Arc<str>, u32>,
    /// Every handle by its last use, the one that was used longest ago first.
    uses: BTreeMap<u64, u32>,
    /// The number of the last use.
    last_use: u64,
    /// The last handle given out. Handles start at 1; 0 is none.
    last: u32,
    /// How many texts are forgotten without a look at who holds them, after a look at all of them found none that is
    /// free: so that each text costs little however many are held.
    unlooked: usize,
    /// Handles that were asked for when their text was gone, so that each is counted once.
    missed: HashSet<u32>,
}

#[derive(Debug)]
struct Known {
    text: Arc<str>,
    last_use: u64,
}

impl Known {
    fn is_held(&self) -> bool {
        // The table itself has two.
        Arc::strong_count(&self.text) > 2
    }
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    fn keep(&mut self, id: &str) -> (u32, Arc<str>) {
        if let Some(&handle) = self.handles.get(id)
            && let Some(text) = self.used(handle)
        {
            return (handle, text);
        }
        if self.known.len() >= CORRELATIONS_MAX {
            self.make_room();
        }
        // 2^32 handles later one could meet a live record; one that is known is passed over.
        let handle = loop {
            self.last = self.last.wrapping_add(1).max(1);
            if !self.known.contains_key(&self.last) {
                break self.last;
            }
        };
        let text: Arc<str> = Arc::from(id);
        self.handles.insert(Arc::clone(&text), handle);
        self.last_use += 1;
        self.uses.insert(self.last_use, handle);
        let known = Known {
            text: Arc::clone(&text),
            last_use: self.last_use,
        };
        self.known.insert(handle, known);
        self.missed.remove(&handle);
        (handle, text)
    }

    /// The text of `handle`, which is used now.
    fn used(&mut self, handle: u32) -> Option<Arc<str>> {
        let known = self.known.get_mut(&handle)?;
        if self.last_use - known.last_use > RECENT {
            self.uses.remove(&known.last_use);
            self.last_use += 1;
            known.last_use = self.last_use;
            self.uses.insert(self.last_use, handle);
        }
        Some(Arc::clone(&known.text))
    }

    /// Forgets the text that was used longest ago, of those that nobody holds.
    fn make_room(&mut self) {
        if self.unlooked > 0 {
            self.unlooked -= 1;
            return self.forget_oldest();
        }
        for _ in 0..self.known.len() {
            let Some(handle) = self.uses.first_key_value().map(|(_, &handle)| handle) else {
                return;
            };
            if self.known.get(&handle).is_none_or(|known| !known.is_held()) {
                return self.forget_oldest();
            }
            // Who holds it uses it.
            self.used(handle);
        }
        self.unlooked = CORRELATIONS_MAX / 4;
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        let oldest = self.uses.pop_first();
        if let Some(known) = oldest.and_then(|(_, handle)| self.known.remove(&handle)) {
            self.handles.remove(&known.text);
        }
    }

    fn text(&mut self, handle: u32) -> Option<Arc<str>> {
        let text = self.used(handle);
        if text.is_none() {
            if self.missed.len() >= CORRELATIONS_MAX {
                self.missed.clear();
            }
            if self.missed.insert(handle) {
                loss::count(Lost::NameLimit, 1);
            }
        }
        text
    }
}

/// A handle for `id`, cut to [`CORRELATION_BYTES_MAX`], and the text, which is not forgotten while it is held. `None`
/// for an empty one, and for one with control characters, which no header or environment can carry and which is counted.
pub(crate) fn keep(id: &str) -> Option<(u32, Arc<str>)> {
    let id = &id[..id.floor_char_boundary(CORRELATION_BYTES_MAX)];
    if id.is_empty() {
        return None;
    }
    if id.chars().any(char::is_control) {
        loss::count(Lost::MalformedContext, 1);
        return None;
    }
    Some(table().keep(id))
}

/// The handle of [`keep`]; 0 for none.
pub(crate) fn handle(id: &str) -> u32 {
    keep(id).map_or(0, |(handle, _)| handle)
}

/// The text of `handle`, unless it is 0 or was forgotten.
pub(crate) fn text(handle: u32) -> Option<Arc<str>> {
    if handle == 0 {
        return None;
    }
    table().text(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_while_it_is_used_and_forgotten_and_counted_after() {
        let mut table = Table::default();
        let (running, _) = table.keep("a request that goes on");
        let (idle, _) = table.keep("a request that ended");
        for lap in 0..4 {
            for n in 0..CORRELATIONS_MAX / 2 {
                table.keep(&format!("{lap}-{n}"));
            }
            assert_eq!(
                table.text(running).as_deref(),
                Some("a request that goes on")
            );
        }
        let before = loss::total(Lost::NameLimit);
        assert_eq!((table.text(idle), table.text(idle)), (None, None));
        assert!(loss::total(Lost::NameLimit) > before);
        assert_eq!(table.known.len(), CORRELATIONS_MAX);
        assert_eq!(
            (table.handles.len(), table.uses.len()),
            (CORRELATIONS_MAX, CORRELATIONS_MAX)
        );
    }

    #[test]
    fn what_is_held_stays_and_what_came_stays_for_a_while() {
        let mut table = Table::default();
        let (held, text) = table.keep("a request that records nothing for long");
        for n in 0..4 * CORRELATIONS_MAX {
            let (new, _) = table.keep(&n.to_string());
            // The records of others are read at once, those of one in 64 later.
            if n % 64 != 0 {
                table.text(new);
            } else if let Some(earlier) = n.checked_sub(512) {
                assert!(table.text(new - 512).is_some(), "{earlier} of {n}");
            }
        }
        assert_eq!(table.text(held), Some(text));
    }

    #[test]
    fn where_all_are_held_the_table_stays_bounded_and_the_next_is_known() {
        let mut table = Table::default();
        let held: Vec<_> = (0..3 * CORRELATIONS_MAX)
            .map(|n| table.keep(&n.to_string()))
            .collect();
        assert_eq!(table.known.len(), CORRELATIONS_MAX);
        let (last, text) = held.last().unwrap();
        assert_eq!(table.text(*last).as_ref(), Some(text));
        drop(held);
        let (again, text) = table.keep("after all of them");
        for n in 0..CORRELATIONS_MAX {
            table.keep(&format!("then {n}"));
        }
        assert_eq!(table.text(again), Some(text));
    }

    #[test]
    fn equal_texts_share_a_handle() {
        let first = handle("request-1");
        for _ in 0..2 * CORRELATIONS_MAX {
            handle("one and the same");
        }
        assert_eq!(text(first).as_deref(), Some("request-1"));
        assert_eq!(handle("request-1"), first);
        assert_eq!((handle(""), text(0)), (0, None));
    }

    #[test]
    fn a_text_that_nothing_can_carry_has_no_handle() {
        let before = loss::total(Lost::MalformedContext);
        for id in ["a\0b", "a\nb", "\u{7f}"] {
            assert_eq!(handle(id), 0);
        }
        assert!(loss::total(Lost::MalformedContext) >= before + 3);
    }
}
