//! For programs that already have a `tracing_subscriber` registry: layers that write the same records.
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! let subscriber = tracing_subscriber::registry().with(radiosonde::layer::records());
//! ```
//!
//! What it costs: the registry itself, which keeps every span in a shared table with counted references, takes about
//! three times what a whole span costs through `radiosonde::init`, and each span here also allocates for its fields.
//! Records, trees, context and what exporters see are the same. Where nothing else needs the registry, prefer `init`.
//!
//! Both layers follow the process's [`filter`] and only that one: they see what it admits
//! whatever other layers' own filters say, and hide nothing from other layers. A global `EnvFilter` in the same
//! registry still decides for all.

use std::sync::OnceLock;

use radiosonde_core::{
    filter,
    foreign::{self, OpenSpan, Place, Recorded},
};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::WeakDispatch,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    filter::Filtered,
    layer::{Context, Filter, Layer},
    registry::LookupSpan,
};

/// A layer that records every span and log that the process's filter admits.
pub fn records<S>() -> Filtered<RecordLayer, ProcessFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    RecordLayer::new().with_filter(ProcessFilter { target: None })
}

/// A layer that records only what has the target `metrics` or one below it, as far as the process's filter admits. Beside
/// [`records`] in one registry it is of no use: what it sees is recorded already, and a log then twice.
pub fn metrics<S>() -> Filtered<RecordLayer, ProcessFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    RecordLayer::new().with_filter(ProcessFilter {
        target: Some("metrics"),
    })
}

/// Writes spans and events of a registry as records. Made by [`records`] and [`metrics`].
#[derive(Debug)]
pub struct RecordLayer {
    /// The subscriber that it is part of, for a look at spans that a filter hides from it.
    subscriber: OnceLock<WeakDispatch>,
}

impl RecordLayer {
    /// A layer without a filter: it records whatever reaches it. For a filter of your own.
    pub const fn new() -> Self {
        Self {
            subscriber: OnceLock::new(),
        }
    }

    /// Where the explicit parent `id` is; for one that a filter hides, where the nearest span around it is that is
    /// recorded.
    fn parent<S>(&self, id: &Id, context: &Context<'_, S>) -> Option<Place>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        place(id, context).or_else(|| {
            let subscriber = self.subscriber.get()?.upgrade()?;
            let span = subscriber.downcast_ref::<S>()?.span(id)?;
            span.scope()
                .find_map(|span| span.extensions().get::<OpenSpan>().map(OpenSpan::place))
        })
    }
}

impl Default for RecordLayer {
    fn default() -> Self {
        Self::new()
    }
}

fn place<S>(id: &Id, context: &Context<'_, S>) -> Option<Place>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = context.span(id)?;
    let extensions = span.extensions();
    extensions.get::<OpenSpan>().map(OpenSpan::place)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RecordLayer {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // The first is the one that it is part of; a layer cannot be moved to another.
        let _ = self.subscriber.set(subscriber.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = attributes.parent().and_then(|id| self.parent(id, &context));
        let open = OpenSpan::start(attributes, parent);
        if let (Some(open), Some(span)) = (open, context.span(id)) {
            let mut extensions = span.extensions_mut();
            // Another layer of ours in the same registry may record the span already.
            if extensions.get_mut::<OpenSpan>().is_none() {
                extensions.insert(open);
            }
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Formatted first, because a value that records something may meet the same lock.
        let recorded = Recorded::new(values);
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<OpenSpan>()
        {
            open.add(&recorded);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        // One after the other, because two spans that follow each other must not lock each other.
        if let Some(cause) = place(follows, &context)
            && let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<OpenSpan>()
        {
            open.follows(cause);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = event.parent().and_then(|id| self.parent(id, &context));
        foreign::event(event, span);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions().get::<OpenSpan>()
        {
            open.enter(id.into_u64());
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        OpenSpan::leave(id.into_u64());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(open) = span.extensions_mut().remove::<OpenSpan>()
        {
            open.finish();
        }
    }
}

/// The process's filter as a filter for one layer, which sees the changes made by
/// [`filter::set`].
#[derive(Debug)]
pub struct ProcessFilter {
    /// What targets have to begin with, if anything.
    target: Option<&'static str>,
}

impl ProcessFilter {
    fn covers(&self, metadata: &Metadata<'_>) -> bool {
        self.target.is_none_or(|target| {
            let rest = metadata.target().strip_prefix(target);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || rest.starts_with('.')
            })
        })
    }
}

impl<S: Subscriber> Filter<S> for ProcessFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.covers(metadata) && filter::enabled(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.covers(metadata) {
            filter::interest(metadata)
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter::max_level_hint())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if filter::watches_spans() {
            filter::span_created(attributes, id);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if filter::watches_spans() {
            filter::span_recorded(id, values);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if filter::watches_spans() {
            filter::span_entered(id);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if filter::watches_spans() {
            filter::span_exited(id);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if filter::watches_spans() {
            filter::span_closed(&id);
        }
    }
}
