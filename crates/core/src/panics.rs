//! Code of users that panics: what it said, and how what it leaves behind is dropped.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text")
}

/// What `call` returns; `None` where it panics.
pub fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(drop_caught)
        .ok()
}

/// Drops what a user's code made, whose destructor may panic too: a handler, or what a panic carried.
pub fn drop_caught<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // So may the destructor of what this one carries, and so on.
        mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(Endless));
        }
    }

    #[test]
    fn a_destructor_that_panics_with_another_such_value_is_survived() {
        drop_caught(Endless);
        let panic = catch_unwind(|| std::panic::resume_unwind(Box::new(Endless)));
        drop_caught(panic);
    }
}
