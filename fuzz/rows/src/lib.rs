//! The rows that a receiver makes, as the store has them, and what only counts them.

#[path = "../../../crates/store/src/row.rs"]
pub mod row;

use row::{LogRow, PointRow, SampleRow, SpanRow};

/// How many rows were taken.
#[derive(Debug, Default)]
pub struct Rows(usize);

impl Rows {
    /// Takes a span that stands for `weight` of them.
    pub fn sampled_span(&mut self, row: &SpanRow<'_>, weight: f64) {
        assert!(weight >= 1.0 && weight.is_finite());
        self.span(row);
    }

    /// Takes a span.
    pub fn span(&mut self, row: &SpanRow<'_>) {
        assert!(row.trace_id != [0; 16] && row.span_id != [0; 8] && row.duration_ns >= 0);
        self.take(row.links);
    }

    /// Takes a log or event.
    pub fn log(&mut self, row: &LogRow<'_>) {
        assert!((0..=24).contains(&row.severity));
        self.take("");
    }

    /// Takes a reading of a metric.
    pub fn point(&mut self, row: &PointRow<'_>) {
        assert!(!row.name.is_empty());
        self.take(row.exemplars);
    }

    /// Takes a sample of a profile.
    pub fn sample(&mut self, row: &SampleRow<'_>) {
        assert!(!row.kind.is_empty() && !row.library.is_empty());
        assert!(row.stack.lines().count() <= 1025 && row.span_id.is_none_or(|_| row.trace_id.is_some()));
        self.take("");
    }

    fn take(&mut self, list: &str) {
        assert!(list.is_empty() || list.starts_with('[') && list.ends_with(']'));
        self.0 += 1;
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}
