//! Correlation IDs: the identifiers that callers bring (`x-request-id`), kept beside the trace ID.
//!
//! A record carries a 32-bit handle; the text stays here. Equal texts share a handle. When [`CORRELATIONS_MAX`] texts
//! are known the next one takes the place of one that nobody asked for of late, so the ID of a request that goes on
//! recording stays however many come and go meanwhile. A record whose text is gone shows none, never somebody else's,
//! and each such text is counted under [`Lost::NameLimit`].

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::loss::{self, Lost};

/// How many correlation IDs are remembered.
pub const CORRELATIONS_MAX: usize = 4096;
/// Longest correlation ID kept, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;

#[derive(Debug, Default)]
struct Table {
    known: HashMap<u32, Known>,
    handles: HashMap<Arc<str>, u32>,
    /// Every handle, the one that is looked at first when room is needed first.
    queue: VecDeque<u32>,
    /// The last handle given out. Handles start at 1; 0 is none.
    last: u32,
    /// Handles that were asked for when their text was gone, so that each is counted once.
    missed: HashSet<u32>,
}

#[derive(Debug)]
struct Known {
    text: Arc<str>,
    /// Whether anybody asked for it since room was last needed.
    is_used: bool,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    fn handle(&mut self, id: &str) -> u32 {
        if let Some(&handle) = self.handles.get(id) {
            if let Some(known) = self.known.get_mut(&handle) {
                known.is_used = true;
            }
            return handle;
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
        let is_used = false;
        self.known.insert(handle, Known { text, is_used });
        self.queue.push_back(handle);
        self.missed.remove(&handle);
        handle
    }

    /// Forgets the first text that was not used since it was last looked at.
    fn make_room(&mut self) {
        while let Some(handle) = self.queue.pop_front() {
            match self.known.get_mut(&handle) {
                Some(known) if known.is_used => {
                    known.is_used = false;
                    self.queue.push_back(handle);
                }
                _ => {
                    if let Some(known) = self.known.remove(&handle) {
                        self.handles.remove(&known.text);
                    }
                    return;
                }
            }
        }
    }

    fn text(&mut self, handle: u32) -> Option<Arc<str>> {
        if let Some(known) = self.known.get_mut(&handle) {
            known.is_used = true;
            return Some(Arc::clone(&known.text));
        }
        if self.missed.len() >= CORRELATIONS_MAX {
            self.missed.clear();
        }
        if self.missed.insert(handle) {
            loss::count(Lost::NameLimit, 1);
        }
        None
    }
}

/// A handle for `id`, cut to [`CORRELATION_BYTES_MAX`]; 0 for an empty one, and for one with control characters, which
/// no header or environment can carry and which is counted.
pub(crate) fn handle(id: &str) -> u32 {
    let id = &id[..id.floor_char_boundary(CORRELATION_BYTES_MAX)];
    if id.is_empty() {
        return 0;
    }
    if id.chars().any(char::is_control) {
        loss::count(Lost::MalformedContext, 1);
        return 0;
    }
    table().handle(id)
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
        let running = table.handle("a request that goes on");
        let idle = table.handle("a request that ended");
        for lap in 0..4 {
            for n in 0..CORRELATIONS_MAX / 2 {
                table.handle(&format!("{lap}-{n}"));
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
            (table.handles.len(), table.queue.len()),
            (CORRELATIONS_MAX, CORRELATIONS_MAX)
        );
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
