//! What an exporter's fault looks like to people: one line.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::Arc,
};

use radiosonde_core::{
    ValueRef,
    batch::{Batch, Parts},
    clock,
    model::Resource,
};
use tracing::{Callsite as _, Level, Metadata, metadata::Kind};

use super::queue::Fault;

impl Fault {
    /// What happened to the exporter called `name`, and what it cost.
    pub(super) fn message(&self, name: &str) -> String {
        let error = self.error.as_deref().unwrap_or("it does not keep up");
        let mut message = format!("exporter {name}: {error}");
        for (index, (reason, records)) in self.lost.iter().enumerate() {
            let before = if index == 0 {
                "; lost since the last report:"
            } else {
                ","
            };
            // Writing to a string does not fail.
            let _ = write!(message, "{before} {records} records ({})", reason.label());
        }
        message
    }

    fn records(&self) -> u64 {
        self.lost.iter().map(|(_, records)| records).sum()
    }
}

/// The fault as a log record for the other exporters.
pub(super) fn batch(resource: &Arc<Resource>, name: &str, fault: &Fault, message: &str) -> Batch {
    let mut batch = Batch::new(Arc::clone(resource));
    let parts = Parts {
        time_unix_ns: clock::now_unix_ns(),
        attributes: &[
            ("message", ValueRef::Str(message)),
            ("exporter", ValueRef::Str(name)),
            ("lost", ValueRef::U64(fault.records())),
        ],
        ..Parts::default()
    };
    batch.push_log(metadata(), None, &parts);
    batch
}

fn metadata() -> &'static Metadata<'static> {
    tracing::callsite! {
        name: "exporter fault",
        kind: Kind::EVENT,
        target: "radiosonde",
        level: Level::WARN,
        fields: message, exporter, lost
    }
    .metadata()
}

/// Writes the line on standard error. When that is gone too there is nobody left to tell.
pub(super) fn say(message: &str) {
    let _ = writeln!(io::stderr(), "radiosonde: {message}");
}
