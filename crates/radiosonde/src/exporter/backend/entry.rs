//! Logs and events as one thing, for backends that know only entries of a log, and what is kept of a resource.

use std::sync::Arc;

use radiosonde_core::{
    ValueRef,
    batch::{Batch, EventRef, LogRef, PlaceRef, RecordRef},
    event::Descriptor,
    model::{Resource, Severity, Value},
};

use crate::redact::Redaction;

/// A log or an event.
#[derive(Clone, Copy)]
pub(in crate::exporter) enum Entry<'a> {
    Log(LogRef<'a>),
    Event(EventRef<'a>),
}

impl<'a> Entry<'a> {
    /// The logs and events of `batch`, in order.
    pub(in crate::exporter) fn all(batch: &'a Batch) -> impl Iterator<Item = Self> {
        batch.records().filter_map(|record| match record {
            RecordRef::Log(log) => Some(Self::Log(log)),
            RecordRef::Event(event) => Some(Self::Event(event)),
            RecordRef::Span(_) => None,
        })
    }

    pub(in crate::exporter) fn time_unix_ns(self) -> u64 {
        match self {
            Self::Log(log) => log.time_unix_ns(),
            Self::Event(event) => event.time_unix_ns(),
        }
    }

    pub(in crate::exporter) fn severity(self) -> Severity {
        match self {
            Self::Log(log) => Severity::from(*log.metadata().level()),
            Self::Event(event) => event.descriptor().severity,
        }
    }

    /// The severity as most backends spell it: in lower case.
    pub(in crate::exporter) fn level(self) -> &'static str {
        match self.severity() {
            Severity::Trace => "trace",
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Warn => "warn",
            Severity::Error => "error",
        }
    }

    pub(in crate::exporter) fn target(self) -> &'a str {
        match self {
            Self::Log(log) => log.target(),
            Self::Event(event) => event.descriptor().target,
        }
    }

    /// What an event is; `None` for a log.
    pub(in crate::exporter) fn event(self) -> Option<&'static Descriptor> {
        match self {
            Self::Log(_) => None,
            Self::Event(event) => Some(event.descriptor()),
        }
    }

    /// What a log says. An event says its name, and the rest in its fields.
    pub(in crate::exporter) fn message(self) -> &'a str {
        match self {
            Self::Log(log) => log.message(),
            Self::Event(event) => event.descriptor().name,
        }
    }

    pub(in crate::exporter) fn thread(self) -> u32 {
        match self {
            Self::Log(log) => log.thread(),
            Self::Event(event) => event.thread(),
        }
    }

    pub(in crate::exporter) fn correlation_id(self) -> Option<Arc<str>> {
        match self {
            Self::Log(log) => log.correlation_id(),
            Self::Event(event) => event.correlation_id(),
        }
    }

    pub(in crate::exporter) fn place(self) -> Option<PlaceRef> {
        match self {
            Self::Log(log) => log.place(),
            Self::Event(event) => event.place(),
        }
    }

    /// Hands every attribute or field to `visit`.
    pub(in crate::exporter) fn attributes(self, mut visit: impl FnMut(&'a str, ValueRef<'a>)) {
        match self {
            Self::Log(log) => log
                .attributes()
                .for_each(|(name, value)| visit(name, value)),
            Self::Event(event) => event.fields().for_each(|(name, value)| visit(name, value)),
        }
    }

    /// The attribute `name`, where it is text.
    pub(in crate::exporter) fn text(self, name: &str) -> Option<&'a str> {
        let mut found = None;
        self.attributes(|known, value| {
            if known == name
                && let ValueRef::Str(text) = value
            {
                found = Some(text);
            }
        });
        found
    }
}

/// What is made of a resource, kept until another one comes.
#[derive(Debug, Default)]
pub(in crate::exporter) struct OfResource<T> {
    of: Option<Arc<Resource>>,
    made: T,
}

impl<T> OfResource<T> {
    /// What was made last.
    pub(in crate::exporter) const fn made(&self) -> &T {
        &self.made
    }

    /// What `make` makes of `resource`.
    pub(in crate::exporter) fn get(
        &mut self,
        resource: &Arc<Resource>,
        make: impl FnOnce(&Resource) -> T,
    ) -> &T {
        let is_known = |known: &Arc<Resource>| Arc::ptr_eq(known, resource);
        if !self.of.as_ref().is_some_and(is_known) {
            self.made = make(resource);
            self.of = Some(Arc::clone(resource));
        }
        &self.made
    }
}

/// The attribute `name` of `resource` as text without secrets, where it has one.
pub(in crate::exporter) fn resource_text(
    resource: &Resource,
    name: &str,
    redaction: &Redaction,
) -> Option<String> {
    match resource.attribute(name)? {
        Value::Null => None,
        value => {
            let text = value.to_string();
            Some(redaction.text(&text).into_owned())
        }
    }
}
