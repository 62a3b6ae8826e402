//! Attributes under which is kept what OTLP has fields of its own for and the store has no column for. Names are those of
//! OpenTelemetry (specification, mapping to non-OTLP formats), or ours where it has none.

/// The level of a span, as the store has it.
pub(super) const LEVEL: &str = "radiosonde.level";
/// The trace state of W3C that a span had.
pub(super) const TRACE_STATE: &str = "w3c.tracestate";
/// How many attributes the sender dropped.
pub(super) const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
/// How many attributes, events and links of a span the sender dropped.
pub(super) const DROPPED: [&str; 3] = [
    DROPPED_ATTRIBUTES,
    "otel.dropped_events_count",
    "otel.dropped_links_count",
];
/// What a reading counts since: [`DELTA`], or all since its start where it is not there.
pub(super) const TEMPORALITY: &str = "radiosonde.temporality";
/// Since the reading before.
pub(super) const DELTA: &str = "delta";
/// The quantile that a reading of a summary is.
pub(super) const QUANTILE: &str = "quantile";
/// Added to a summary's name for how many were measured.
pub(super) const COUNT_SUFFIX: &str = "_count";
/// Added to a summary's name for the sum of what was measured.
pub(super) const SUM_SUFFIX: &str = "_sum";
