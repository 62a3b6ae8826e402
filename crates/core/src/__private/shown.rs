//! How a value becomes a span's field: with its type where `tracing` knows the type, else as `Debug` shows it, else
//! not at all.
//!
//! `(&&&Shown(&value)).__rs_shown()` chooses by how often the receiver must be dereferenced: method lookup tries the impl
//! on the most references first, and passes over one whose bound does not hold.

use std::fmt::Debug;

use tracing::field::{DebugValue, Empty, Value, debug};

/// A value to be shown.
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Shows what `tracing` has a type for.
pub trait AsValue {
    /// A value of `tracing`.
    type Shown;
    /// The value itself.
    fn __rs_shown(&self) -> Self::Shown;
}

/// Shows what has `Debug`.
pub trait AsDebug {
    /// A value of `tracing`.
    type Shown;
    /// The value through `Debug`.
    fn __rs_shown(&self) -> Self::Shown;
}

/// Shows nothing.
pub trait AsNothing {
    /// An empty field.
    fn __rs_shown(&self) -> Empty;
}

impl<'a, T: Value + ?Sized> AsValue for &&Shown<'a, T> {
    type Shown = &'a T;
    #[inline]
    fn __rs_shown(&self) -> &'a T {
        self.0
    }
}

impl<'a, T: Debug + ?Sized> AsDebug for &Shown<'a, T> {
    type Shown = DebugValue<&'a T>;
    #[inline]
    fn __rs_shown(&self) -> Self::Shown {
        debug(self.0)
    }
}

impl<T: ?Sized> AsNothing for Shown<'_, T> {
    #[inline]
    fn __rs_shown(&self) -> Empty {
        Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_way_to_show_a_value_is_chosen() {
        struct Secret;
        fn typed<T: Value + ?Sized>(_: &T) -> &'static str {
            "typed"
        }
        fn shown<T: Debug>(value: &DebugValue<T>) -> String {
            format!("{value:?}")
        }
        fn generic<T: Debug>(value: &T) -> String {
            shown(&crate::__shown!(*value))
        }
        let list = vec![1];
        assert_eq!(typed::<u64>(crate::__shown!(3_u64)), "typed");
        assert_eq!(typed::<&str>(crate::__shown!("text")), "typed");
        assert_eq!(shown(&crate::__shown!(list)), "[1]");
        assert_eq!(generic(&1), "1");
        let Empty = crate::__shown!(Secret);
    }
}
