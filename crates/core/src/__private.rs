//! What expanded macros name. Not part of the public interface: it changes with the macros, in the same release.

pub use ::core;
pub use serde;
pub use tracing;

use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

mod call;
mod gate;
mod shown;

pub use call::{CallSite, Ended, Guard, Outcome, call, call_future, guard, never, path_of};
pub use gate::{Gate, Probe};
pub use shown::Shown;

pub use crate::{
    COMPILED_IN,
    event::{
        Descriptor, Encoder, Event, EventValue, FieldAlias, FieldDescriptor, FieldKind, FieldType,
        FromField, ReadError, ReadEvent, Role, Source, WholeMicros, deserialize, read_field,
        serialize,
    },
    model::Severity,
    record::{record, record_values},
};

/// Enters a span. A path where a method would be, because the caller may have one of that name for everything.
#[inline]
pub fn entered(span: tracing::Span) -> tracing::span::EnteredSpan {
    span.entered()
}

/// Whether the feature `recording` and `tracing`'s compile-time maximum level leave anything in the program.
pub(crate) const RECORDING: bool =
    crate::COMPILED_IN && !matches!(STATIC_MAX_LEVEL, LevelFilter::OFF);

/// The ways to show a value, without names that could meet the caller's. A glob import of them is used as soon as
/// one of them is.
pub mod show {
    pub use super::shown::{AsDebug as _, AsNothing as _, AsValue as _};
}

/// The ways to ask a result for its error, in the same manner.
pub mod outcome {
    pub use super::call::{Fallible as _, Infallible as _};
}
