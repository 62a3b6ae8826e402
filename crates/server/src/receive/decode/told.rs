//! What forms that do not say it themselves are told by the address they are sent to.

use std::borrow::Cow;

use super::attributes::{Attributes, Source};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Told {
    /// Whose it is.
    pub(in super::super) service: Option<String>,
    /// What is counted, and in which unit.
    pub(in super::super) kind: Option<String>,
    pub(in super::super) unit: Option<String>,
}

/// What produces what follows.
pub(super) fn source<'a>(told: &'a Told, attributes: &mut Attributes<'a>) -> Source {
    attributes.clear();
    if let Some(service) = &told.service {
        attributes.push_text(Cow::Borrowed("service.name"), Cow::Borrowed(service));
    }
    let mut source = Source::default();
    source.set_resource(attributes);
    source
}
