//! `ExportTraceServiceRequest`.

use std::borrow::Cow;

use radiosonde_store::row::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        attributes::{Attributes, Source},
        names,
        parts::{self, LinkItem},
        sink::{Place, Sink, SpanEvent, SpanItem, Unreadable},
    },
    items, list,
    scalars::{Enum, Integer, Text, id_of, text_of, unsigned_of},
    values,
};

/// What the names of enums begin with, and those of their values.
const KIND_PREFIX: &str = "SPAN_KIND_";
const KINDS: [&str; 6] = [
    "UNSPECIFIED",
    "INTERNAL",
    "SERVER",
    "CLIENT",
    "PRODUCER",
    "CONSUMER",
];
const STATUS_PREFIX: &str = "STATUS_CODE_";
const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a span, which is an object")]
#[expect(
    clippy::struct_field_names,
    reason = "fields have the names that OTLP gives them"
)]
struct Span<'a> {
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    trace_state: Option<Text<'a>>,
    #[serde(borrow, default)]
    parent_span_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    kind: Option<Enum>,
    #[serde(default)]
    start_time_unix_nano: Option<Integer>,
    #[serde(default)]
    end_time_unix_nano: Option<Integer>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    dropped_attributes_count: Option<Integer>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
    #[serde(default)]
    dropped_events_count: Option<Integer>,
    #[serde(borrow, default)]
    links: Option<&'a RawValue>,
    #[serde(default)]
    dropped_links_count: Option<Integer>,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(default)]
    code: Option<Enum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a link, which is an object")]
struct Link<'a> {
    #[serde(borrow, default)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a span's event, which is an object"
)]
struct Event<'a> {
    #[serde(default)]
    time_unix_nano: Option<Integer>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

pub(super) fn read<'a>(groups: Option<&'a RawValue>, sink: &mut Sink) -> Result<(), Unreadable> {
    let mut attributes = Attributes::default();
    let mut links = String::new();
    items(groups, sink, |sink, source, given: Span<'a>| {
        let events = given.events;
        let Some(place) = span(sink, source, given, &mut attributes, &mut links)? else {
            return Ok(());
        };
        list(events, |_, given: Event<'a>| {
            event(sink, source, place, &given, &mut attributes)
        })
    })
}

/// Takes a span; says where it is, if it was kept.
fn span<'a>(
    sink: &mut Sink,
    source: &Source,
    span: Span<'a>,
    attributes: &mut Attributes<'a>,
    links: &mut String,
) -> Result<Option<Place>, Unreadable> {
    attributes.clear();
    values::take(attributes, span.attributes)?;
    links.clear();
    list(span.links, |_, given: Link<'a>| link(links, &given))?;
    parts::close_list(links);
    if let Some(Text(state)) = span.trace_state
        && !state.is_empty()
    {
        attributes.push_text(Cow::Borrowed(names::TRACE_STATE), state);
    }
    let dropped = [
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
    ];
    for (name, count) in names::DROPPED.into_iter().zip(dropped) {
        match count.map_or(0, Integer::signed) {
            0 => {}
            count => attributes.push(Cow::Borrowed(name), Value::Int(count)),
        }
    }
    if source.is_ours() {
        attributes.rename_level();
    }
    let status = span.status.as_ref();
    let item = SpanItem {
        trace_id: id_of(span.trace_id.as_ref()),
        span_id: id_of(span.span_id.as_ref()),
        parent_span_id: id_of(span.parent_span_id.as_ref()),
        name: text_of(span.name.as_ref()),
        kind: Enum::number(span.kind.as_ref(), KIND_PREFIX, &KINDS),
        start_unix_ns: unsigned_of(span.start_time_unix_nano),
        end_unix_ns: unsigned_of(span.end_time_unix_nano),
        status: Enum::number(
            status.and_then(|status| status.code.as_ref()),
            STATUS_PREFIX,
            &STATUSES,
        ),
        status_message: text_of(status.and_then(|status| status.message.as_ref())),
        links,
    };
    sink.span(source, &item, attributes)
}

fn link(links: &mut String, link: &Link<'_>) -> Result<(), Unreadable> {
    let item = LinkItem {
        trace_id: id_of(link.trace_id.as_ref()),
        span_id: id_of(link.span_id.as_ref()),
    };
    let attributes = link.attributes.filter(|list| values::has_any(list));
    let attributes = attributes.map(|list| move |out: &mut String| values::object(out, list));
    parts::push_link(links, &item, attributes)
}

fn event<'a>(
    sink: &mut Sink,
    source: &Source,
    place: Place,
    event: &Event<'a>,
    attributes: &mut Attributes<'a>,
) -> Result<(), Unreadable> {
    attributes.clear();
    values::take(attributes, event.attributes)?;
    let item = SpanEvent {
        place,
        time_unix_ns: unsigned_of(event.time_unix_nano),
        name: text_of(event.name.as_ref()),
    };
    sink.span_event(source, &item, attributes)
}
