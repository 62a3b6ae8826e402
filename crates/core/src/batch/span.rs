//! Spans of a batch, read by reference.

use std::borrow::Cow;

use tracing_core::Metadata;

use super::{
    frame::{END_WORD, FieldKey, Frame, TIME_WORD},
    owned,
};
use crate::{
    fields::{KEY_LINK, ValueRef},
    ids::{SpanId, TraceId},
    model::{Link, Severity, Span, SpanKind, Status},
};

/// A span in a batch. See [`Span`] for what each part means.
#[derive(Clone, Copy)]
pub struct SpanRef<'a>(pub(super) Frame<'a>);

/// What a span's `otel.*` fields say in place of its static description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides<'a> {
    /// `otel.name`: the name to show.
    pub name: Option<&'a str>,
    /// `otel.kind`.
    pub kind: Option<SpanKind>,
    /// `otel.status_code`: `true` for `OK`, `false` for `ERROR`.
    pub ok: Option<bool>,
    /// `otel.status_message` (also `otel.status_description`).
    pub message: Option<&'a str>,
}

impl<'a> SpanRef<'a> {
    /// The handle of the caller's own request identifier; 0 where none was given.
    pub(crate) fn correlation(&self) -> u32 {
        self.0.correlation()
    }

    /// The trace it belongs to.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id().unwrap_or(TraceId::MAX)
    }

    /// Its own identifier.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.0.0[3]).unwrap_or(SpanId::MAX)
    }

    /// The span that started it, unless it is a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        SpanId::new(self.0.0[4])
    }

    /// Start, in nanoseconds since the Unix epoch.
    pub fn start_unix_ns(&self) -> u64 {
        self.0.0[TIME_WORD]
    }

    /// End, in nanoseconds since the Unix epoch.
    pub fn end_unix_ns(&self) -> u64 {
        self.0.0[END_WORD].max(self.start_unix_ns())
    }

    /// Name, target, level and source location as written at the callsite.
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.0.metadata()
    }

    /// The name to show: `otel.name` where it was recorded, else the callsite's.
    pub fn name(&self) -> &'a str {
        self.overrides().name.unwrap_or(self.metadata().name())
    }

    /// Attributes in order, without the `otel.*` fields that [`overrides`](Self::overrides) reads. A field recorded
    /// twice appears once, with its last value.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        self.0
            .attributes()
            .filter(|(name, _)| !(name.starts_with("otel.") && is_override(name)))
    }

    /// Hands every field to `visit`, `otel.*` ones and links included: the fast way for encoders, which know each
    /// callsite's names already. A field recorded twice appears once, with its last value.
    #[inline]
    pub fn visit_fields(&self, visit: impl FnMut(FieldKey<'a>, ValueRef<'a>)) {
        self.0.visit(visit);
    }

    /// How many words its fields take, which is at least one each: for encoders that make room beforehand.
    pub fn field_words(&self) -> usize {
        self.0.field_words()
    }

    /// What `otel.*` fields say about name, kind and status.
    pub fn overrides(&self) -> Overrides<'a> {
        let mut overrides = Overrides::default();
        if !self
            .metadata()
            .fields()
            .iter()
            .any(|field| field.name().starts_with("otel."))
        {
            return overrides;
        }
        for (name, value) in self.0.attributes() {
            let ValueRef::Str(text) = value else { continue };
            match name {
                "otel.name" => overrides.name = Some(text),
                "otel.kind" => overrides.kind = SpanKind::from_text(text),
                "otel.status_code" => overrides.ok = Some(text.eq_ignore_ascii_case("ok")),
                "otel.status_message" | "otel.status_description" => overrides.message = Some(text),
                _ => {}
            }
        }
        overrides
    }

    /// Spans that this one follows from.
    pub fn links(&self) -> impl Iterator<Item = Link> + use<'a> {
        self.0
            .raw_fields()
            .filter_map(|field| match (field.key, field.value) {
                (KEY_LINK, ValueRef::U64s(&[high, low, span])) => Some(Link {
                    trace_id: TraceId::from_words(high, low)?,
                    span_id: SpanId::new(span)?,
                }),
                _ => None,
            })
    }

    /// A copy that owns everything.
    pub fn to_span(&self) -> Span {
        let overrides = self.overrides();
        let metadata = self.metadata();
        Span {
            trace_id: self.trace_id(),
            span_id: self.span_id(),
            parent_id: self.parent_id(),
            name: overrides
                .name
                .map_or(Cow::Borrowed(metadata.name()), |name| {
                    Cow::Owned(name.to_owned())
                }),
            target: Cow::Borrowed(metadata.target()),
            start_unix_ns: self.start_unix_ns(),
            end_unix_ns: self.end_unix_ns(),
            severity: Severity::from(*metadata.level()),
            kind: overrides.kind.unwrap_or_default(),
            status: match overrides.ok {
                None => Status::Unset,
                Some(true) => Status::Ok,
                Some(false) => {
                    Status::Error(Cow::Owned(overrides.message.unwrap_or_default().to_owned()))
                }
            },
            thread: self.thread(),
            correlation_id: self
                .correlation_id()
                .map(|id| Cow::Owned(id.as_ref().to_owned())),
            attributes: owned(self.attributes()),
            links: self.links().collect(),
        }
    }
}

/// Whether a span's field of this name is read by [`SpanRef::overrides`] and is no attribute.
pub fn is_override(name: &str) -> bool {
    matches!(
        name,
        "otel.name"
            | "otel.kind"
            | "otel.status_code"
            | "otel.status_message"
            | "otel.status_description"
    )
}
