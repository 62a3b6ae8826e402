//! What a derived event is, once every rule has been checked.

use proc_macro2::TokenStream;
use syn::{Generics, Ident, Type};

/// An event type.
pub(crate) struct Event {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// Path to the crate that holds the hidden runtime.
    pub(crate) runtime: TokenStream,
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) description: String,
    /// A variant of `Severity`.
    pub(crate) severity: Ident,
    pub(crate) target: String,
    pub(crate) aliases: Vec<String>,
    /// The counter of occurrences.
    pub(crate) count: Option<String>,
    pub(crate) series_max: Option<usize>,
    pub(crate) fields: Vec<Field>,
}

/// A field of the struct.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// The name in JSON and as an attribute.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) role: Role,
    pub(crate) unit: String,
    pub(crate) aliases: Vec<Alias>,
    /// The name under which a duration is written a second time, in whole microseconds.
    pub(crate) micros: Option<String>,
}

/// Another name for a field on input.
pub(crate) struct Alias {
    pub(crate) name: String,
    /// What a value under that name is multiplied by.
    pub(crate) times: u64,
}

pub(crate) enum Role {
    Attribute,
    Label,
    Counter(String),
    Gauge(String),
    Histogram(String, Vec<f64>),
}
