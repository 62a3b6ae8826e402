//! The list of event types: the built-in ones in the order of the documentation, then the users' own in the order in
//! which they were first seen.
//!
//! Invariant: no two events share a name, and no alias is another event's name or alias. A user's event whose name is
//! taken is still recorded; it only has no row of its own here.

use std::{
    fmt,
    sync::{PoisonError, RwLock},
};

use crate::{
    event::{Descriptor, Event, FieldDescriptor, Role},
    events::BUILT_IN,
    loss::{self, Lost},
};

mod markdown;
mod metric_alias;

pub use markdown::markdown;
pub use metric_alias::{METRIC_ALIASES, MetricAlias};

/// Most event types of users that are kept.
pub const REGISTERED_MAX: usize = 4096;

static REGISTERED: RwLock<Vec<&'static Descriptor>> = RwLock::new(Vec::new());

/// Why an event type is not in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another event answers to one of its names.
    NameTaken {
        /// The name.
        name: &'static str,
        /// The type that has it.
        by: &'static str,
    },
    /// There are [`REGISTERED_MAX`] users' event types already.
    Full,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken { name, by } => write!(
                f,
                "the event name `{name}` already belongs to `{by}`; choose another in #[event(name = ...)]"
            ),
            Self::Full => write!(
                f,
                "the catalogue holds {REGISTERED_MAX} event types already; give variants of an event a label instead of a type each"
            ),
        }
    }
}

impl std::error::Error for RegisterError {}

/// Adds `E` to the catalogue. `record!` does so on first use; call this at start to have every event listed before
/// anything happens, or to hear of a name that is taken.
pub fn register<E: Event>() -> Result<(), RegisterError> {
    add(E::DESCRIPTOR)
}

/// Adds an event that was seen for the first time.
pub(crate) fn register_descriptor(descriptor: &'static Descriptor) {
    if add(descriptor) == Err(RegisterError::Full) {
        loss::count(Lost::NameLimit, 1);
    }
}

fn add(descriptor: &'static Descriptor) -> Result<(), RegisterError> {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    for &other in BUILT_IN.iter().chain(registered.iter()) {
        if *other == *descriptor {
            return Ok(());
        }
        if let Some(name) = names(descriptor).find(|name| other.answers_to(name)) {
            return Err(RegisterError::NameTaken {
                name,
                by: other.type_name,
            });
        }
    }
    if registered.len() == REGISTERED_MAX {
        return Err(RegisterError::Full);
    }
    registered.push(descriptor);
    Ok(())
}

fn names(descriptor: &'static Descriptor) -> impl Iterator<Item = &'static str> {
    [descriptor.name, descriptor.type_name]
        .into_iter()
        .chain(descriptor.aliases.iter().copied())
}

/// Every event type, in order.
pub fn all() -> Vec<&'static Descriptor> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    BUILT_IN.iter().chain(registered.iter()).copied().collect()
}

/// The event type that has this name, type name or alias.
pub fn find(name: &str) -> Option<&'static Descriptor> {
    all().into_iter().find(|event| event.answers_to(name))
}

/// The metrics that an event feeds: name, kind (`counter`, `gauge` or `histogram`), unit.
pub fn metrics(
    event: &'static Descriptor,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let count = event.count.map(|name| (name, "counter", "{event}"));
    let measured = event
        .fields
        .iter()
        .filter_map(|field| Some((metric(field)?, kind(field)?, field.unit)));
    count.into_iter().chain(measured)
}

fn metric(field: &FieldDescriptor) -> Option<&'static str> {
    match field.role {
        Role::Counter { metric } | Role::Gauge { metric } | Role::Histogram { metric, .. } => {
            Some(metric)
        }
        Role::Label | Role::Attribute => None,
    }
}

const fn kind(field: &FieldDescriptor) -> Option<&'static str> {
    match field.role {
        Role::Counter { .. } => Some("counter"),
        Role::Gauge { .. } => Some("gauge"),
        Role::Histogram { .. } => Some("histogram"),
        Role::Label | Role::Attribute => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_name_belongs_to_one_event() {
        let mut owners = BTreeMap::new();
        for event in BUILT_IN {
            let mut own: Vec<_> = names(event).collect();
            own.dedup();
            for name in own {
                let other = owners.insert(name, event.type_name);
                assert_eq!(other, None, "`{name}` of {}", event.type_name);
                assert_eq!(find(name), Some(*event));
            }
        }
        assert_eq!(find("no.such.event"), None);
    }

    #[test]
    fn metrics_of_one_name_agree_on_kind_and_unit() {
        let mut seen = BTreeMap::new();
        for (name, kind, unit) in BUILT_IN.iter().flat_map(|event| metrics(event)) {
            let before = *seen.entry(name).or_insert((kind, unit));
            assert_eq!(before, (kind, unit), "{name}");
        }
    }

    /// A test.
    #[derive(crate::Event)]
    #[event(name = "test.registered", alias("test_registered"))]
    struct Registered {
        /// A field.
        field: u64,
    }

    /// A test whose alias is a built-in name.
    #[derive(crate::Event)]
    #[event(name = "test.conflict", alias("gpu.op"))]
    struct Conflict;

    #[test]
    fn a_users_event_is_listed_after_ours_and_a_taken_name_is_refused() {
        register::<Registered>().unwrap();
        register::<Registered>().unwrap();
        let listed = all();
        assert_eq!(listed[..BUILT_IN.len()], *BUILT_IN);
        let times = listed
            .iter()
            .filter(|event| event.name == "test.registered")
            .count();
        assert_eq!(times, 1);
        assert_eq!(
            find("test_registered").map(|event| event.type_name),
            Some("Registered")
        );
        assert_eq!(
            register::<Conflict>().unwrap_err().to_string(),
            "the event name `gpu.op` already belongs to `GpuOpCompleted`; choose another in #[event(name = ...)]"
        );
    }
}
