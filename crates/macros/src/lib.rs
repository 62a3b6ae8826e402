//! Attribute and derive macros of Radiosonde: `#[derive(Event)]` and `#[instrument]`.
//!
//! Each macro parses tokens into a model, checks every rule on the model, and expands it; the expansion names
//! nothing but one hidden runtime module, so that what the caller has in scope cannot change its meaning. An
//! error points at the token that is wrong.
//!
//! Every macro exists twice: the plain one expands to paths of `radiosonde-core` and is re-exported there, the one
//! with `_from_radiosonde` in its name expands to paths of `radiosonde` and is re-exported there under the
//! plain name. So a crate needs only the one of the two that it depends on.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;

mod event;

/// Writes the `Event` implementation, and JSON in both directions, of a struct.
///
/// See the documentation of the `Event` trait for the attributes.
#[proc_macro_derive(Event, attributes(event, label, measure))]
pub fn derive_event(item: TokenStream) -> TokenStream {
    event::derive(item.into(), &quote!(::radiosonde_core)).into()
}

#[doc(hidden)]
#[proc_macro_derive(EventFromRadiosonde, attributes(event, label, measure))]
pub fn derive_event_from_radiosonde(item: TokenStream) -> TokenStream {
    event::derive(item.into(), &quote!(::radiosonde)).into()
}
