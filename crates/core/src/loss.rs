//! What was not kept, by reason. Every place that refuses or drops telemetry counts it here, so that a user
//! can see each loss with its name; there is no other way to drop.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+) => {
        /// Why a record was not kept.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Lost { $($(#[doc = $doc])+ $variant,)+ }

        impl Lost {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Lost] = &[$(Lost::$variant,)+];

            /// The value of the `error.type` label of `radiosonde.lost`.
            pub const fn label(self) -> &'static str {
                match self { $(Lost::$variant => $label,)+ }
            }

            /// What happened, in a sentence.
            pub const fn description(self) -> &'static str {
                match self { $(Lost::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The thread's lane was full because records came faster than the pump could read them.
    LaneFull = "lane_full",
    /// As many threads as the limit allows were already recording.
    LaneLimit = "lane_limit",
    /// The thread was being torn down and its lane was already given back.
    ThreadExiting = "thread_exiting",
    /// The record was larger than a lane accepts.
    RecordTooLarge = "record_too_large",
    /// A span had more fields than a record holds; the field was left out.
    FieldLimit = "field_limit",
    /// A span was to follow from one that had already ended; the link was left out.
    LinkGone = "link_gone",
    /// A value that was being recorded recorded something itself, several times over.
    TooDeep = "too_deep",
    /// A thread was in more spans at once than are told apart; the innermost were shown as an outer one.
    ContextLimit = "context_limit",
    /// A lane held what no thread of this program can have written.
    Damaged = "damaged",
    /// A thread had more spans open at once than its slab holds.
    SlabFull = "slab_full",
    /// A span was open when recording ended. Where recording begins anew before the span ends, it is recorded after all.
    SpanOpen = "span_open",
    /// An exporter's queue was full.
    QueueFull = "queue_full",
    /// The destination refused the record and said not to try again.
    Rejected = "rejected",
    /// The destination stayed away for longer than retries and spool allow.
    RetryExhausted = "retry_exhausted",
    /// The disk spool reached its cap and its oldest data made room.
    SpoolFull = "spool_full",
    /// The file or database refused the write.
    WriteFailed = "write_failed",
    /// The deadline of a flush or shutdown passed with records still waiting.
    ShutdownDeadline = "shutdown_deadline",
    /// The receiver of an in-process channel is gone.
    ReceiverGone = "receiver_gone",
    /// A bounded in-process channel was full and its oldest record made room.
    ChannelFull = "channel_full",
    /// An exporter panicked or hung and was set aside.
    ExporterFailed = "exporter_failed",
    /// An incoming trace context or baggage was malformed and ignored.
    MalformedContext = "malformed_context",
    /// A metric was asked for with another kind or unit than it already has; those measurements are not shown.
    MetricConflict = "metric_conflict",
    /// A measurement was not a finite number, or negative where the metric only grows.
    InvalidMeasurement = "invalid_measurement",
    /// A table of names had as many entries as its limit, or the name was too long for it.
    NameLimit = "name_limit",
    /// The rows of latency or memory had as many phases, steps, pools or tensors as their limit.
    RowLimit = "row_limit",
    /// The rate limit for repeated log lines held the line back.
    RateLimited = "rate_limited",
}

static COUNTS: [AtomicU64; Lost::ALL.len()] = [const { AtomicU64::new(0) }; Lost::ALL.len()];

/// Counts `records` lost for `reason`.
#[inline]
pub fn count(reason: Lost, records: u64) {
    COUNTS[reason as usize].fetch_add(records, Relaxed);
}

/// How many records were lost for `reason` since the process started.
pub fn total(reason: Lost) -> u64 {
    COUNTS[reason as usize].load(Relaxed)
}

/// Every reason that has lost something, with its count, in the order of [`Lost::ALL`].
pub fn report() -> Vec<(Lost, u64)> {
    Lost::ALL
        .iter()
        .map(|&reason| (reason, total(reason)))
        .filter(|&(_, records)| records > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_counted_under_its_own_reason() {
        let before = total(Lost::SpoolFull);
        count(Lost::SpoolFull, 3);
        assert_eq!(total(Lost::SpoolFull) - before, 3);
        assert!(
            report()
                .iter()
                .any(|&(reason, _)| reason == Lost::SpoolFull)
        );
        assert_eq!(
            Lost::SpoolFull.description(),
            "The disk spool reached its cap and its oldest data made room."
        );
    }

    #[test]
    fn labels_are_distinct() {
        let mut labels: Vec<_> = Lost::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Lost::ALL.len());
    }
}
