//! Events and metrics whose names are known only when the program runs.
//!
//! Where the name is known when the program is written, [`event!`](crate::event!) and [`metrics`](crate::metrics) cost
//! less. Invariant: the names that are kept are bounded in number and length; an event with a new name beyond the bounds
//! is recorded as `custom.other` with its name as a field, and counted under [`Lost::NameLimit`].

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

use crate::{
    Event, catalogue,
    event::{Descriptor, EventValue},
    filter, lane,
    loss::{self, Lost},
    metrics,
    model::Severity,
    record::record_named,
};

/// Most names of custom events that are kept.
pub const NAMES_MAX: usize = 1000;

/// Longest name of a custom event that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

static NAMES: LazyLock<RwLock<HashMap<&'static str, &'static Descriptor>>> =
    LazyLock::new(RwLock::default);

/// An event whose name came too late to be kept, or is too long.
static OTHER: Descriptor = Descriptor::ad_hoc("custom.other", Severity::Info, &[]);

/// A metric whose name is known only at run time was set.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "custom.metric")]
pub struct CustomMetric<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
}

/// Records an event with a name and properties that are known only at run time.
///
/// ```
/// use radiosonde_core::custom_event;
/// let name = format!("checkout.{}", "paid");
/// custom_event(&name, &[("items", &3_u32), ("currency", &"EUR")]);
/// ```
pub fn custom_event(name: &str, properties: &[(&str, &dyn EventValue)]) {
    if !super::__private::RECORDING
        || !lane::recording()
        || !filter::allows(Descriptor::TARGET_DEFAULT, Severity::Info.into())
    {
        return;
    }
    if let Some(descriptor) = descriptor(name) {
        record_named(descriptor, properties);
    } else {
        loss::count(Lost::NameLimit, 1);
        let mut properties = properties.to_vec();
        properties.push(("custom.name", &name));
        record_named(&OTHER, &properties);
    }
}

/// Sets the gauge of this name, and records that it was set as a [`CustomMetric`] under the current span.
pub fn custom_metric(name: &str, value: f64) {
    metrics::gauge(name.to_owned()).handle().set(value);
    crate::record!(CustomMetric { name, value });
}

/// The description of the event of this name, made when it is first seen.
fn descriptor(name: &str) -> Option<&'static Descriptor> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let known = NAMES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(descriptor) = known.get(name) {
        return Some(descriptor);
    }
    drop(known);
    let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(descriptor) = names.get(name) {
        return Some(descriptor);
    }
    if names.len() == NAMES_MAX {
        return None;
    }
    // Kept for good, because records point to it: at most `NAMES_MAX` of `NAME_BYTES_MAX`.
    let name: &'static str = Box::leak(name.into());
    let descriptor: &'static Descriptor =
        Box::leak(Box::new(Descriptor::ad_hoc(name, Severity::Info, &[])));
    names.insert(name, descriptor);
    drop(names);
    catalogue::register_descriptor(descriptor);
    Some(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_bounded() {
        let first = descriptor("test.custom").map(std::ptr::from_ref);
        assert!(first.is_some());
        assert_eq!(descriptor("test.custom").map(std::ptr::from_ref), first);
        assert_eq!(
            catalogue::find("test.custom").map(std::ptr::from_ref),
            first
        );
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert!(descriptor(&longest).is_some());
        assert_eq!(descriptor(&format!("{longest}n")), None);
        assert_eq!(catalogue::find(&format!("{longest}n")).map(|_| ()), None);
        for number in 0..2 * NAMES_MAX {
            descriptor(&format!("test.many.{number}"));
        }
        assert_eq!(descriptor("test.too.many"), None);
        assert_eq!(descriptor("test.custom").map(std::ptr::from_ref), first);
    }
}
