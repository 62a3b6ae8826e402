//! A global allocator that counts, for the promise that the record path allocates nothing.
//!
//! While nobody counts it costs one relaxed load a call, for us and for the peers alike.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static OF_ALL_THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OF_THIS_THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with its allocations counted while [`count`] runs.
pub struct Counting;

fn note() {
    if IS_COUNTING.load(Relaxed) {
        OF_ALL_THREADS.fetch_add(1, Relaxed);
        // A thread that is being torn down has no counter of its own any more.
        let _ = OF_THIS_THREAD.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator with the arguments that came in; counting neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's contract is the system's.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's contract is the system's.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; every pointer that we gave out is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the caller's contract is the system's.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the caller's contract is the system's.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above; every pointer that we gave out is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often memory was asked for while `work` ran: by this thread, and by all threads together.
pub fn count(work: impl FnOnce()) -> (u64, u64) {
    let before = (OF_THIS_THREAD.get(), OF_ALL_THREADS.load(Relaxed));
    IS_COUNTING.store(true, Relaxed);
    work();
    IS_COUNTING.store(false, Relaxed);
    (
        OF_THIS_THREAD.get() - before.0,
        OF_ALL_THREADS.load(Relaxed) - before.1,
    )
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, thread};

    use super::*;

    #[test]
    fn allocations_are_counted_where_they_happen() {
        let (mine, all) = count(|| {
            drop(black_box(Box::new(1_u64)));
            let other = thread::spawn(|| drop(black_box(vec![0_u8; 64])));
            assert!(other.join().is_ok());
        });
        assert!(mine >= 1 && all > mine, "{mine} of {all}");
        assert_eq!(count(|| assert!(black_box(7_u64) == 7)).0, 0);
    }
}
