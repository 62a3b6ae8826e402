//! tracing's global subscriber.
use tracing_core::{Callsite as _, Metadata};

pub(crate) fn unknown_metadata() -> &'static Metadata<'static> {
    tracing::callsite!(name: "unknown", kind: tracing::metadata::Kind::EVENT, fields: ).metadata()
}
