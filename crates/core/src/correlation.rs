//! Correlation IDs: the identifiers that callers bring (`x-request-id`), kept beside the trace ID.
//!
//! A record carries a 32-bit handle; the text stays here. The table is a ring: after [`CORRELATIONS_MAX`] newer ones
//! a handle's text is gone and the record shows none, never somebody else's.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// How many recent correlation IDs are remembered.
pub const CORRELATIONS_MAX: usize = 4096;
/// Longest correlation ID kept, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;

#[derive(Debug)]
struct Table {
    /// Handle of the oldest text. Handles start at 1; 0 is none.
    first: u32,
    texts: VecDeque<Arc<str>>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    first: 1,
    texts: VecDeque::new(),
});

/// A handle for `id`, cut to [`CORRELATION_BYTES_MAX`]; 0 for an empty one.
pub(crate) fn handle(id: &str) -> u32 {
    let id = &id[..id.floor_char_boundary(CORRELATION_BYTES_MAX)];
    if id.is_empty() {
        return 0;
    }
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.texts.len() == CORRELATIONS_MAX {
        table.texts.pop_front();
        // 2^32 handles later the oldest could meet a live record; a wrapped handle starts again at 1.
        table.first = table.first.checked_add(1).unwrap_or(1);
    }
    table.texts.push_back(Arc::from(id));
    table.first.wrapping_add(table.texts.len() as u32 - 1)
}

/// The text of `handle`, unless it is 0 or too old.
pub(crate) fn text(handle: u32) -> Option<Arc<str>> {
    if handle == 0 {
        return None;
    }
    let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table
        .texts
        .get(handle.checked_sub(table.first)? as usize)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_its_text_until_it_is_too_old() {
        let first = handle("request-1");
        assert_eq!(text(first).as_deref(), Some("request-1"));
        for _ in 0..CORRELATIONS_MAX {
            handle("later");
        }
        assert_eq!(text(first), None);
        assert_eq!((handle(""), text(0)), (0, None));
    }
}
