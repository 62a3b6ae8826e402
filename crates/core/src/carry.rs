//! Context across threads and tasks: captured where work is started, attached where it runs.
//!
//! ```
//! use radiosonde_core::carry::{carry, FutureExt as _};
//!
//! std::thread::spawn(carry(|| { /* spans opened here are children of the span that was current outside */ }));
//! let task = async { /* the same, on whichever thread polls it */ }.in_current_context();
//! # drop(task);
//! ```

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use crate::propagation::FullContext;

/// A closure that runs `work` in the context of the thread that called `carry`: for `std::thread::spawn`, thread pools
/// and callbacks.
pub fn carry<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let context = FullContext::current();
    move || {
        let _scope = context.attach();
        work()
    }
}

/// Runs futures in a context.
pub trait FutureExt: Future + Sized {
    /// The same future, with `context` attached whenever it is polled.
    fn with_context(self, context: impl Into<FullContext>) -> impl Future<Output = Self::Output> {
        let context = context.into();
        async move {
            let mut future = pin!(self);
            poll_fn(|task| {
                let _scope = context.attach();
                future.as_mut().poll(task)
            })
            .await
        }
    }

    /// The same future, in the context of the thread that called this.
    fn in_current_context(self) -> impl Future<Output = Self::Output> {
        self.with_context(FullContext::current())
    }
}

impl<F: Future> FutureExt for F {}
