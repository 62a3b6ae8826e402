//! Why items are not kept, in words: what is wrong, and what to do about it.

use super::{attributes::ATTRIBUTES_MAX, rules::SENT_MAX, sink::YEARS_MAX};

/// Why an item was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The trace's identifier is missing, all zero, or no identifier.
    TraceId,
    /// The span's is.
    SpanId,
    /// The parent's is no identifier.
    ParentSpanId,
    /// A time that cannot be.
    Time,
    /// Too many attributes.
    Attributes,
    /// A metric without a name.
    Name,
    /// A reading without a value.
    Value,
    /// A histogram whose counts and bounds do not belong together.
    Buckets,
    /// A place that is in none of a dictionary's tables.
    Index,
    /// A profile of nothing.
    SampleType,
    /// A sample whose values and times do not belong together.
    Sample,
    /// A line that is none of the format.
    Line,
    /// OpenMetrics without its end.
    End,
    /// More series than a rule can add up.
    Series,
    /// A native histogram whose spans and counts do not belong together.
    Spans,
    /// An exemplar whose series has no reading.
    Exemplar,
    /// What is no message of syslog.
    Syslog,
}

impl Reason {
    /// What is wrong.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::TraceId => "its trace id is missing, all zero, or not 16 bytes",
            Self::SpanId => "its span id is missing, all zero, or not 8 bytes",
            Self::ParentSpanId => "its parent span id is not 8 bytes",
            Self::Time => "its time is more than 10 years from now",
            Self::Attributes => "it has more than 4096 attributes",
            Self::Name => "its metric has no name",
            Self::Value => "it has no value",
            Self::Buckets => "its bucket counts are not one more than its bounds",
            Self::Index => "it refers to an entry that its dictionary does not have",
            Self::SampleType => "its sample type has no name",
            Self::Sample => {
                "a sample has neither values nor times, or not as many of the one as of the other"
            }
            Self::Line => "a line is no sample",
            Self::End => "it does not end with `# EOF`, so some of it is missing",
            Self::Series => "rules of metrics add up 200000 series already",
            Self::Spans => "its buckets' spans, counts and schema do not belong together",
            Self::Exemplar => "its series has no sample in the request",
            Self::Syslog => "a message does not begin as syslog's do",
        }
    }

    /// What to do about it.
    pub(crate) const fn mend(self) -> &'static str {
        match self {
            Self::TraceId | Self::SpanId | Self::ParentSpanId => {
                "send identifiers as the SDK makes them: bytes in protobuf, hexadecimal in JSON"
            }
            Self::Time => "send nanoseconds since the Unix epoch, and set the sender's clock",
            Self::Attributes => "send fewer attributes",
            Self::Name => "name the metric",
            Self::Value => "send a value, or the flag that there is none",
            Self::Buckets => "send one count more than bounds, or none of both",
            Self::Index => "send the dictionary that the profile was written with",
            Self::SampleType => "say what is counted, such as cpu in nanoseconds",
            Self::Sample => "send a value for each time, or only one of both",
            Self::Line => {
                "write `name{label=\"value\"} 1` as Prometheus' text format or OpenMetrics have it"
            }
            Self::Series => "leave the label out where it is sent (`sonde cardinality` says how)",
            Self::Spans => {
                "send a count for each bucket of each span, rising, of a schema that there is"
            }
            Self::Exemplar => "send an exemplar together with a sample of its series",
            Self::Syslog => {
                "send `<13>1 2027-01-15T08:00:00Z host app - - - text`, or `<13>Jan 15 08:00:00 host app: text`"
            }
            Self::End => "let the target write all of it, or answer with Prometheus' text format",
        }
    }
}

const _: () = assert!(
    ATTRIBUTES_MAX == 4096 && YEARS_MAX == 10 && SENT_MAX == 200_000,
    "the reasons name them"
);
