//! OTLP requests as JSON, read into rows item by item: no tree of the whole request is ever made, so that its memory stays
//! in proportion to its bytes.
//!
//! The rules are those of OTLP's JSON encoding: identifiers are hexadecimal, 64-bit integers are text or numbers, enums are
//! numbers (their names are taken too), unknown fields are ignored.

mod logs;
mod metrics;
pub(super) mod plain;
mod profiles;
pub(super) mod scalars;
mod traces;
mod values;

use std::{cell::RefCell, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use self::scalars::Text;
use super::{
    Signal,
    attributes::{Attributes, Source},
    sink::{Sink, Unreadable},
};

/// Reads an `Export*ServiceRequest` into `sink`.
pub(super) fn read(signal: Signal, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let Ok(text) = std::str::from_utf8(request) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let request: Request<'_> = parse(text)?;
    let groups = [
        (Signal::Traces, request.resource_spans),
        (Signal::Logs, request.resource_logs),
        (Signal::Metrics, request.resource_metrics),
        (Signal::Profiles, request.resource_profiles),
    ];
    let own = groups
        .iter()
        .find(|(of, _)| *of == signal)
        .and_then(|(_, group)| *group);
    // Unknown fields are ignored; but what another path takes would be lost without a word.
    let other = groups.iter().find(|(_, group)| group.is_some());
    match (own, other) {
        (None, Some((of, _))) => {
            let path = of.path();
            return Err(Unreadable::Malformed(format!(
                "it holds {}, which {path} takes",
                of.name()
            )));
        }
        (None, None) => return Ok(()),
        (Some(_), _) => {}
    }
    match signal {
        Signal::Traces => traces::read(own, sink),
        Signal::Logs => logs::read(own, sink),
        Signal::Metrics => metrics::read(own, sink),
        Signal::Profiles => profiles::read(own, request.dictionary, sink),
    }
}

/// A request of any signal.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an Export request, which is an object"
)]
struct Request<'a> {
    #[serde(borrow, default)]
    resource_spans: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource_logs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource_metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource_profiles: Option<&'a RawValue>,
    /// Of profiles.
    #[serde(borrow, default)]
    dictionary: Option<&'a RawValue>,
}

/// `ResourceSpans`, `ResourceLogs`, `ResourceMetrics` or `ResourceProfiles`.
#[derive(Deserialize)]
#[serde(expecting = "what one resource sent, which is an object")]
struct ResourceGroup<'a> {
    #[serde(borrow, default)]
    resource: Option<Resource<'a>>,
    #[serde(
        borrow,
        default,
        alias = "scopeSpans",
        alias = "scopeLogs",
        alias = "scopeMetrics",
        alias = "scopeProfiles"
    )]
    scopes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

/// `ScopeSpans`, `ScopeLogs`, `ScopeMetrics` or `ScopeProfiles`.
#[derive(Deserialize)]
#[serde(expecting = "what one scope sent, which is an object")]
struct ScopeGroup<'a> {
    #[serde(borrow, default)]
    scope: Option<Scope<'a>>,
    #[serde(
        borrow,
        default,
        alias = "spans",
        alias = "logRecords",
        alias = "metrics",
        alias = "profiles"
    )]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

/// Hands each item of the groups to `each`, with what produced it.
fn items<'a, T: Deserialize<'a>>(
    groups: Option<&'a RawValue>,
    sink: &mut Sink,
    each: impl FnMut(&mut Sink, &Source, T) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    items_with(groups, sink, values::take, each)
}

/// The same, where `take` takes the attributes of resources.
fn items_with<'a, T: Deserialize<'a>>(
    groups: Option<&'a RawValue>,
    sink: &mut Sink,
    take: impl Fn(&mut Attributes<'a>, Option<&'a RawValue>) -> Result<(), Unreadable>,
    mut each: impl FnMut(&mut Sink, &Source, T) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut source = Source::default();
    list(groups, |resource_at, group: ResourceGroup<'a>| {
        attributes.clear();
        take(
            &mut attributes,
            group.resource.and_then(|resource| resource.attributes),
        )?;
        if attributes.has_too_many() {
            return Err(Unreadable::Malformed(
                "a resource has more than 4096 attributes".to_owned(),
            ));
        }
        source.set_resource(&attributes);
        list(group.scopes, |scope_at, group: ScopeGroup<'a>| {
            let name = group.scope.and_then(|scope| scope.name);
            source.set_scope(name.as_ref().map_or("", Text::as_str));
            list(group.items, |item_at, item: T| {
                sink.at(resource_at, scope_at, item_at);
                each(sink, &source, item)
            })
        })
    })
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> Unreadable {
    Unreadable::Malformed(error.to_string())
}

/// Hands each element of a JSON list and its number to `each`, as soon as it is read. `null` is a list of nothing.
pub(super) fn list<'a, T: Deserialize<'a>>(
    list: Option<&'a RawValue>,
    each: impl FnMut(usize, T) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let Some(list) = list else {
        return Ok(());
    };
    let failed = RefCell::new(None);
    let visitor = ListVisitor {
        each,
        failed: &failed,
        element: PhantomData,
    };
    let mut json = serde_json::Deserializer::from_str(list.get());
    let read = json.deserialize_seq(visitor);
    // What `each` said comes first: the reader only stopped because of it.
    match (failed.into_inner(), read) {
        (Some(failure), _) => Err(failure),
        (None, read) => read.map_err(|error| malformed(&error)),
    }
}

struct ListVisitor<'f, F, T> {
    each: F,
    failed: &'f RefCell<Option<Unreadable>>,
    element: PhantomData<T>,
}

impl<'a, F, T> Visitor<'a> for ListVisitor<'_, F, T>
where
    F: FnMut(usize, T) -> Result<(), Unreadable>,
    T: Deserialize<'a>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut at = 0;
        while let Some(element) = elements.next_element()? {
            if let Err(failure) = (self.each)(at, element) {
                *self.failed.borrow_mut() = Some(failure);
                return Err(A::Error::custom("stopped"));
            }
            at += 1;
        }
        Ok(())
    }
}

/// Hands each member of a JSON object to `each`, as soon as it is read. `null` is an object of nothing.
pub(super) fn members<'a>(
    object: Option<&'a RawValue>,
    each: impl FnMut(Text<'a>, &'a RawValue) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let Some(object) = object else {
        return Ok(());
    };
    let failed = RefCell::new(None);
    let visitor = MembersVisitor {
        each,
        failed: &failed,
    };
    let mut json = serde_json::Deserializer::from_str(object.get());
    let read = json.deserialize_map(visitor);
    match (failed.into_inner(), read) {
        (Some(failure), _) => Err(failure),
        (None, read) => read.map_err(|error| malformed(&error)),
    }
}

struct MembersVisitor<'f, F> {
    each: F,
    failed: &'f RefCell<Option<Unreadable>>,
}

impl<'a, F> Visitor<'a> for MembersVisitor<'_, F>
where
    F: FnMut(Text<'a>, &'a RawValue) -> Result<(), Unreadable>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((key, value)) = members.next_entry()? {
            if let Err(failure) = (self.each)(key, value) {
                *self.failed.borrow_mut() = Some(failure);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
