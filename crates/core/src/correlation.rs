//! Correlation IDs: the identifiers that callers bring (`x-request-id`), kept beside the trace ID.
//!
//! A record carries a 32-bit handle; the text stays here. Equal texts share a handle. When [`CORRELATIONS_MAX`] texts
//! are known the next one takes the place of the one that was used longest ago, of those that nobody holds. A
//! [`FullContext`](crate::propagation::FullContext) and what is attached hold theirs ([`Held`]), so the ID of a request
//! that goes on stays however many come and go meanwhile; only where all that are known are held is one of theirs
//! forgotten. A record whose text is gone shows none, never somebody else's, and each such text is counted under
//! [`Lost::NameLimit`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::loss::{self, Lost};

/// How many correlation IDs are remembered.
pub const CORRELATIONS_MAX: usize = 4096;
/// Longest correlation ID kept, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;

/// A use is written down unless the last one was no longer ago than this many others.
const RECENT: u64 = CORRELATIONS_MAX as u64 / 16;

/// Keeps a text from being forgotten while this or a clone of it lives.
#[derive(Clone, Debug)]
pub(crate) struct Held(Arc<Holder>);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

#[derive(Debug)]
struct Holder {
    handle: u32,
    text: Arc<str>,
    table: &'static Table,
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Without waiting: in the child of a fork, whoever has the lock may be a thread that is not there.
        match self.table.0.try_lock() {
            Ok(mut known) => known.released(self.handle),
            Err(TryLockError::Poisoned(known)) => known.into_inner().released(self.handle),
            Err(TryLockError::WouldBlock) => self.table.1.store(true, Relaxed),
        }
    }
}

/// The texts, and whether one was released while they were locked.
#[derive(Debug, Default)]
struct Table(Mutex<Texts>, AtomicBool);

#[derive(Debug, Default)]
struct Texts {
    known: HashMap<u32, Known>,
    handles: HashMap<Arc<str>, u32>,
    /// The handles that nobody holds by their last use, the one that was used longest ago first.
    free: BTreeMap<u64, u32>,
    /// The same for those that somebody holds.
    held: BTreeMap<u64, u32>,
    /// The number of the last use.
    last_use: u64,
    /// The last handle given out. Handles start at 1; 0 is none.
    last: u32,
    /// Handles that were asked for when their text was gone, so that each is counted once.
    missed: HashSet<u32>,
}

#[derive(Debug)]
struct Known {
    text: Arc<str>,
    holder: Weak<Holder>,
    last_use: u64,
    /// Which of the two lists it is in.
    is_held: bool,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::default);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Texts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, id: &str) -> u32 {
        self.lock().handle(id, &self.1)
    }

    fn keep(&'static self, id: &str) -> Option<(u32, Held)> {
        let mut texts = self.lock();
        let handle = texts.handle(id, &self.1);
        Some((handle, texts.hold(handle, self)?))
    }

    /// The text of `handle`, which stays while what is given is held.
    fn hold(&'static self, handle: u32) -> Option<Held> {
        self.lock().hold(handle, self)
    }

    fn text(&self, handle: u32) -> Option<Arc<str>> {
        self.lock().text(handle)
    }
}

impl Texts {
    fn handle(&mut self, id: &str, unnoticed: &AtomicBool) -> u32 {
        if let Some(&handle) = self.handles.get(id) {
            self.touch(handle, None);
            return handle;
        }
        if self.known.len() >= CORRELATIONS_MAX {
            self.make_room(unnoticed);
        }
        self.add(id)
    }

    fn add(&mut self, id: &str) -> u32 {
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
        self.free.insert(self.last_use, handle);
        let known = Known {
            text,
            holder: Weak::new(),
            last_use: self.last_use,
            is_held: false,
        };
        self.known.insert(handle, known);
        self.missed.remove(&handle);
        handle
    }

    /// Notes a use of `handle`, and whether it is held from now on where that is said; gives what is known of it.
    fn touch(&mut self, handle: u32, is_held: Option<bool>) -> Option<&mut Known> {
        let known = self.known.get_mut(&handle)?;
        let is_held = is_held.unwrap_or(known.is_held);
        if is_held != known.is_held || self.last_use - known.last_use > RECENT {
            let lists = [&mut self.free, &mut self.held];
            lists[usize::from(known.is_held)].remove(&known.last_use);
            self.last_use += 1;
            (known.last_use, known.is_held) = (self.last_use, is_held);
            let lists = [&mut self.free, &mut self.held];
            lists[usize::from(is_held)].insert(self.last_use, handle);
        }
        Some(known)
    }

    /// The text of `handle`, which is used now.
    fn used(&mut self, handle: u32) -> Option<Arc<str>> {
        Some(Arc::clone(&self.touch(handle, None)?.text))
    }

    fn hold(&mut self, handle: u32, table: &'static Table) -> Option<Held> {
        let known = self.touch(handle, Some(true))?;
        let holder = known.holder.upgrade().unwrap_or_else(|| {
            let text = Arc::clone(&known.text);
            let holder = Arc::new(Holder {
                handle,
                text,
                table,
            });
            known.holder = Arc::downgrade(&holder);
            holder
        });
        Some(Held(holder))
    }

    /// A holder of `handle` is gone; there may be another one since.
    fn released(&mut self, handle: u32) {
        let is_free = |known: &Known| known.is_held && known.holder.strong_count() == 0;
        if self.known.get(&handle).is_some_and(is_free) {
            self.touch(handle, Some(false));
        }
    }

    /// Forgets the text that was used longest ago, of those that nobody holds. Where `unnoticed` says so, some that are
    /// listed as held were released.
    fn make_room(&mut self, unnoticed: &AtomicBool) {
        if self.free.is_empty() && unnoticed.swap(false, Relaxed) {
            let listed: Vec<u32> = self.held.values().copied().collect();
            for handle in listed {
                self.released(handle);
            }
        }
        let oldest = self.free.pop_first().or_else(|| self.held.pop_first());
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

/// `id` as it is kept: cut to [`CORRELATION_BYTES_MAX`]. `None` for an empty one, and for one with control characters,
/// which no header or environment can carry and which is counted.
fn kept(id: &str) -> Option<&str> {
    let id = &id[..id.floor_char_boundary(CORRELATION_BYTES_MAX)];
    if id.is_empty() {
        return None;
    }
    if id.chars().any(char::is_control) {
        loss::count(Lost::MalformedContext, 1);
        return None;
    }
    Some(id)
}

/// A handle for `id`, and the text, which is not forgotten while it is held.
pub(crate) fn keep(id: &str) -> Option<(u32, Held)> {
    TABLE.keep(kept(id)?)
}

/// The handle of [`keep`]; 0 for none.
pub(crate) fn handle(id: &str) -> u32 {
    kept(id).map_or(0, |id| TABLE.handle(id))
}

/// The text of `handle`, not forgotten while it is held, unless it is 0 or was forgotten before.
pub(crate) fn hold(handle: u32) -> Option<Held> {
    if handle == 0 {
        return None;
    }
    TABLE.hold(handle)
}

/// The text of `handle`, unless it is 0 or was forgotten.
pub(crate) fn text(handle: u32) -> Option<Arc<str>> {
    if handle == 0 {
        return None;
    }
    TABLE.text(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> &'static Table {
        Box::leak(Box::default())
    }

    fn text_of(held: &Held) -> &str {
        &held.0.text
    }

    #[test]
    fn a_text_is_known_while_it_is_used_and_forgotten_and_counted_after() {
        let table = table();
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
        assert_bounded(table);
    }

    fn assert_bounded(table: &Table) {
        let texts = table.lock();
        let lengths = [
            texts.known.len(),
            texts.handles.len(),
            texts.free.len() + texts.held.len(),
        ];
        assert_eq!(lengths, [CORRELATIONS_MAX; 3]);
    }

    #[test]
    fn what_is_held_stays_and_what_came_stays_for_a_while() {
        let table = table();
        let (held, holder) = table
            .keep("a request that records nothing for long")
            .unwrap();
        for n in 0..4 * CORRELATIONS_MAX {
            let new = table.handle(&n.to_string());
            // The records of others are read at once, those of one in 64 later.
            if n % 64 != 0 {
                table.text(new);
            } else if let Some(earlier) = n.checked_sub(512) {
                assert!(table.text(new - 512).is_some(), "{earlier} of {n}");
            }
        }
        assert_eq!(table.text(held).as_deref(), Some(text_of(&holder)));
    }

    #[test]
    fn where_all_are_held_the_table_stays_bounded_and_the_next_is_known() {
        let table = table();
        let held: Vec<_> = (0..3 * CORRELATIONS_MAX)
            .map(|n| table.keep(&n.to_string()).unwrap())
            .collect();
        assert_bounded(table);
        let (last, holder) = held.last().unwrap();
        assert_eq!(table.text(*last).as_deref(), Some(text_of(holder)));
        drop(held);
        let (again, holder) = table.keep("after all of them").unwrap();
        for n in 0..CORRELATIONS_MAX {
            table.handle(&format!("then {n}"));
        }
        assert_eq!(table.text(again).as_deref(), Some(text_of(&holder)));
        assert_bounded(table);
    }

    #[test]
    fn what_is_held_stays_after_a_time_in_which_too_many_were() {
        let table = table();
        let mut held: Vec<_> = (0..CORRELATIONS_MAX + 1000)
            .map(|n| table.keep(&n.to_string()).unwrap())
            .collect();
        // The first thousand made room; of those that are known the older half goes on.
        held.truncate(CORRELATIONS_MAX / 2 + 1000);
        for n in 0..2 * CORRELATIONS_MAX {
            table.handle(&format!("then {n}"));
        }
        for (handle, holder) in &held[1000..] {
            assert_eq!(table.text(*handle).as_deref(), Some(text_of(holder)));
        }
        assert_bounded(table);
    }

    #[test]
    fn what_is_released_while_the_texts_are_locked_is_free_all_the_same() {
        let table = table();
        let (stays, holder) = table.keep("stays").unwrap();
        let mut held: Vec<_> = (1..CORRELATIONS_MAX)
            .map(|n| table.keep(&n.to_string()).unwrap())
            .collect();
        {
            let _texts = table.lock();
            held.pop();
        }
        table.handle("takes the place of the one that was released");
        assert_eq!(table.text(stays).as_deref(), Some(text_of(&holder)));
        assert!(held.iter().all(|(handle, _)| table.text(*handle).is_some()));
    }

    #[test]
    fn a_text_is_held_until_the_last_of_those_who_hold_it_is_gone() {
        let table = table();
        let (handle, first) = table.keep("twice").unwrap();
        let second = table.hold(handle).unwrap();
        let third = second.clone();
        let churn = || {
            for n in 0..CORRELATIONS_MAX {
                table.handle(&n.to_string());
            }
            table.text(handle).is_some()
        };
        for holder in [first, second] {
            drop(holder);
            assert!(churn());
        }
        drop(third);
        assert!(!churn());
        assert_eq!(table.hold(handle), None);
    }

    #[test]
    fn equal_texts_share_a_handle() {
        let first = handle("request-1");
        for _ in 0..2 * CORRELATIONS_MAX {
            handle("one and the same");
        }
        assert_eq!(text(first).as_deref(), Some("request-1"));
        assert_eq!(handle("request-1"), first);
        assert_eq!((handle(""), text(0), hold(0)), (0, None, None));
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
