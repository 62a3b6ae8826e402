//! What expanded macros name. Not part of the public interface: it changes with the macros, in the same release.

pub use ::core;
pub use serde;
pub use tracing;

mod gate;
mod shown;

pub use gate::{Gate, Probe};
pub use shown::{AsDebug, AsNothing, AsValue, Shown};

pub use crate::{
    event::{
        Descriptor, Encoder, Event, EventValue, FieldAlias, FieldDescriptor, FieldKind, FieldType,
        FromField, ReadError, ReadEvent, Role, Source, WholeMicros, deserialize, read_field,
        serialize,
    },
    model::Severity,
    record::{record, record_values},
};
