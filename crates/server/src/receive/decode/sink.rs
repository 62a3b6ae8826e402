//! Where decoded items become rows, whichever way they came: what is valid is kept, what is not is counted with the first
//! reason and place.

use std::sync::Arc;

use radiosonde_core::sampling::Threshold;
use radiosonde_store::{
    Rows,
    row::{LogRow, PointKind, PointRow, SampleRow, SpanRow},
};

pub(super) use super::id::Id;
pub(crate) use super::reason::Reason;
use super::{
    Encoding, Signal,
    attributes::{Attributes, Source, find_text},
    names::TRACE_STATE,
    place,
    remote_write::Written,
    rules::{Ruled, Rules},
    wire::Malformed,
};

/// Most rows that one request may become: as many as the store makes a segment of.
pub(super) const ROWS_MAX: usize = 262_144;
/// Most bytes of attributes and other text that the rows of a request may have together. Text that is in the request once
/// may be in many rows, so the limit on the request's size alone does not bound them.
pub(super) const ROWS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How far a time may be from now.
pub(super) const YEARS_MAX: i64 = 10;
const NS_PER_YEAR: i64 = 365 * 24 * 60 * 60 * 1_000_000_000;
/// OpenTelemetry's severity number of an error.
const SEVERITY_ERROR: i8 = 17;
const SEVERITY_MAX: i64 = 24;

/// A request is refused whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not what it should be; what it is instead.
    Malformed(String),
    /// It would become more rows, or more bytes of them, than one may.
    TooMuch(&'static str),
}

impl From<Malformed> for Unreadable {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Malformed(why.to_owned())
    }
}

/// A span as it was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpanItem<'a> {
    pub(super) trace_id: Id<16>,
    pub(super) span_id: Id<8>,
    pub(super) parent_span_id: Id<8>,
    pub(super) name: &'a str,
    pub(super) kind: i64,
    pub(super) start_unix_ns: u64,
    pub(super) end_unix_ns: u64,
    pub(super) status: i64,
    pub(super) status_message: &'a str,
    pub(super) links: &'a str,
}

/// A log as it was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogItem<'a> {
    pub(super) time_unix_ns: u64,
    pub(super) observed_unix_ns: u64,
    pub(super) trace_id: Id<16>,
    pub(super) span_id: Id<8>,
    pub(super) severity: i64,
    pub(super) severity_text: &'a str,
    pub(super) event_name: &'a str,
    pub(super) body: &'a str,
}

/// Something that happened within a span, as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanEvent<'a> {
    pub(super) place: Place,
    pub(super) time_unix_ns: u64,
    pub(super) name: &'a str,
}

/// The span that was kept last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    start_unix_ns: i64,
}

/// A reading as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointItem<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: PointKind,
    pub(super) start_unix_ns: u64,
    pub(super) time_unix_ns: u64,
    pub(super) value: Result<f64, Reason>,
    pub(super) count: u64,
    pub(super) distribution: &'a str,
    pub(super) exemplars: &'a str,
}

/// How many rows of each table there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) spans: u64,
    pub(crate) logs: u64,
    pub(crate) points: u64,
    /// Samples of profiles.
    pub(crate) samples: u64,
    /// Profiles that were kept, which is no table.
    pub(crate) profiles: u64,
    /// What remote write asks to be told.
    pub(crate) written: Written,
}

/// Items that were not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// How many.
    pub(crate) items: u64,
    /// Why the first was not, and where in the request it is.
    pub(crate) first: Option<(Reason, String)>,
}

/// Takes items, gives rows.
#[derive(Debug)]
pub(super) struct Sink {
    signal: Signal,
    encoding: Encoding,
    now_unix_ns: i64,
    /// Of the item at hand: the numbers of its resource, scope, itself, and of its data point.
    at: [usize; 4],
    rows: Rows,
    bytes: usize,
    counts: Counts,
    rejected: Rejected,
    /// Readings that rules are about, where there are rules.
    ruled: Option<Ruled>,
}

impl Sink {
    pub(super) fn new(signal: Signal, encoding: Encoding, now_unix_ns: i64) -> Self {
        Self {
            signal,
            encoding,
            now_unix_ns,
            at: [0; 4],
            rows: Rows::default(),
            bytes: 0,
            counts: Counts::default(),
            rejected: Rejected::default(),
            ruled: None,
        }
    }

    /// One under these rules.
    pub(super) fn with_rules(self, rules: &Arc<Rules>) -> Self {
        Self {
            ruled: Ruled::new(rules),
            ..self
        }
    }

    pub(super) fn finish(mut self) -> (Rows, Counts, Rejected) {
        if let Some(ruled) = self.ruled.take() {
            let refused = ruled.finish(self.now_unix_ns, &mut self.rows);
            self.counts.points -= refused;
            self.rejected.items += refused;
            if refused > 0 && self.rejected.first.is_none() {
                self.rejected.first = Some((Reason::Series, "a metric with a rule".to_owned()));
            }
        }
        (self.rows, self.counts, self.rejected)
    }

    /// Says where in the request the next item is.
    #[inline]
    pub(super) const fn at(&mut self, resource: usize, scope: usize, item: usize) {
        self.at = [resource, scope, item, 0];
    }

    /// Says which data point of the metric is next.
    pub(super) const fn at_point(&mut self, point: usize) {
        self.at[3] = point;
    }

    /// Counts an item that is not kept.
    pub(super) fn reject(&mut self, reason: Reason) {
        self.rejected.items += 1;
        if self.rejected.first.is_none() {
            let place = place::of(self.encoding, self.signal, self.at);
            self.rejected.first = Some((reason, place));
        }
    }

    /// Makes room for a row with so many bytes of text.
    #[inline]
    fn reserve(&mut self, bytes: usize) -> Result<(), Unreadable> {
        if self.rows.len() + self.ruled.as_ref().map_or(0, Ruled::len) >= ROWS_MAX {
            return Err(Unreadable::TooMuch("it has more than 262144 records"));
        }
        self.reserve_bytes(bytes)
    }

    /// Makes room for text that rows will share.
    pub(super) fn reserve_bytes(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.bytes += bytes;
        if self.bytes > ROWS_BYTES_MAX {
            return Err(Unreadable::TooMuch("its records take more than 256 MiB"));
        }
        Ok(())
    }

    /// How many readings were kept.
    pub(super) const fn points(&self) -> u64 {
        self.counts.points
    }

    /// What remote write is told.
    pub(super) const fn written(&mut self) -> &mut Written {
        &mut self.counts.written
    }

    /// When the request came.
    pub(super) const fn now_unix_ns(&self) -> i64 {
        self.now_unix_ns
    }

    /// Takes a sample of a profile, which has so many bytes of text.
    pub(super) fn sample(&mut self, row: &SampleRow<'_>, bytes: usize) -> Result<(), Unreadable> {
        self.reserve(bytes)?;
        self.rows.sample(row);
        self.counts.samples += 1;
        Ok(())
    }

    /// Counts a profile whose samples were taken.
    pub(super) const fn kept_profile(&mut self) {
        self.counts.profiles += 1;
    }

    /// Takes a span. Where it is kept, its events may follow.
    pub(super) fn span(
        &mut self,
        source: &Source,
        span: &SpanItem<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<Option<Place>, Unreadable> {
        let checked = self.check_span(span, attributes);
        let (place, duration_ns) = match checked {
            Ok(checked) => checked,
            Err(reason) => {
                self.reject(reason);
                return Ok(None);
            }
        };
        self.reserve(attributes.bytes() + span.status_message.len() + span.links.len())?;
        let entries = attributes.all();
        let row = SpanRow {
            origin: source.origin(),
            trace_id: place.trace_id,
            span_id: place.span_id,
            parent_span_id: span.parent_span_id.get(),
            name: span.name,
            kind: kind(span.kind),
            status: status(span.status),
            status_message: span.status_message,
            start_unix_ns: place.start_unix_ns,
            duration_ns,
            links: span.links,
            attributes: &entries,
        };
        // Whoever kept it by chance says by which.
        let threshold = find_text(&entries, TRACE_STATE).and_then(Threshold::from_trace_state);
        self.rows
            .sampled_span(&row, threshold.map_or(1.0, Threshold::adjusted_count));
        self.counts.spans += 1;
        Ok(Some(place))
    }

    /// Where a span is, and how long it took.
    #[inline]
    fn check_span(
        &self,
        span: &SpanItem<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<(Place, i64), Reason> {
        let trace_id = span.trace_id.get().ok_or(Reason::TraceId)?;
        let span_id = span.span_id.get().ok_or(Reason::SpanId)?;
        if span.parent_span_id == Id::Wrong {
            return Err(Reason::ParentSpanId);
        }
        if attributes.has_too_many() {
            return Err(Reason::Attributes);
        }
        let start_unix_ns = self.time(span.start_unix_ns).ok_or(Reason::Time)?;
        // One that ends before it starts was timed by a clock that was set meanwhile.
        let end = span.end_unix_ns.max(span.start_unix_ns);
        let end_unix_ns = self.time(end).ok_or(Reason::Time)?;
        let place = Place {
            trace_id,
            span_id,
            start_unix_ns,
        };
        Ok((place, end_unix_ns - start_unix_ns))
    }

    /// A time that can be.
    #[inline]
    pub(super) fn time(&self, unix_ns: u64) -> Option<i64> {
        let time = i64::try_from(unix_ns).ok()?;
        let distance = time.abs_diff(self.now_unix_ns);
        (distance <= YEARS_MAX as u64 * NS_PER_YEAR as u64).then_some(time)
    }

    /// Takes what happened within a span. An event without a time that can be has that of the span's start.
    pub(super) fn span_event(
        &mut self,
        source: &Source,
        event: &SpanEvent<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<(), Unreadable> {
        self.reserve(attributes.bytes())?;
        let entries = attributes.all();
        let place = event.place;
        // OpenTelemetry semantic conventions, exceptions.
        let is_exception = event.name == "exception";
        let message = find_text(&entries, "exception.message").filter(|_| is_exception);
        self.rows.log(&LogRow {
            origin: source.origin(),
            time_unix_ns: self.time(event.time_unix_ns).unwrap_or(place.start_unix_ns),
            trace_id: Some(place.trace_id),
            span_id: Some(place.span_id),
            severity: if is_exception { SEVERITY_ERROR } else { 0 },
            event_name: event.name,
            body: message.unwrap_or_default(),
            attributes: &entries,
        });
        self.counts.logs += 1;
        Ok(())
    }

    /// Takes a log or event. Without a time it has that of its observation, or of its arrival.
    pub(super) fn log(
        &mut self,
        source: &Source,
        log: &LogItem<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<(), Unreadable> {
        if attributes.has_too_many() {
            self.reject(Reason::Attributes);
            return Ok(());
        }
        let given = [log.time_unix_ns, log.observed_unix_ns];
        let given = given.into_iter().find(|time| *time != 0);
        let Some(time_unix_ns) = given.map_or(Some(self.now_unix_ns), |time| self.time(time))
        else {
            self.reject(Reason::Time);
            return Ok(());
        };
        self.reserve(attributes.bytes() + log.body.len())?;
        self.rows.log(&LogRow {
            origin: source.origin(),
            time_unix_ns,
            trace_id: log.trace_id.get(),
            span_id: log.span_id.get(),
            severity: severity(log.severity, log.severity_text),
            event_name: log.event_name,
            body: log.body,
            attributes: &attributes.all(),
        });
        self.counts.logs += 1;
        Ok(())
    }

    /// Takes a reading, and says whether it was kept. Without a time it has that of its arrival.
    pub(super) fn point(
        &mut self,
        source: &Source,
        point: &PointItem<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<bool, Unreadable> {
        let time_unix_ns = match point.time_unix_ns {
            0 => Some(self.now_unix_ns),
            time => self.time(time),
        };
        let checked = if point.name.is_empty() {
            Err(Reason::Name)
        } else if attributes.has_too_many() {
            Err(Reason::Attributes)
        } else {
            point
                .value
                .and_then(|value| Ok((value, time_unix_ns.ok_or(Reason::Time)?)))
        };
        let (value, time_unix_ns) = match checked {
            Ok(checked) => checked,
            Err(reason) => {
                self.reject(reason);
                return Ok(false);
            }
        };
        self.reserve(attributes.bytes() + point.distribution.len() + point.exemplars.len())?;
        // A start that cannot be is one that is not known.
        let start_unix_ns = self.time(point.start_unix_ns).unwrap_or(0);
        self.counts.points += 1;
        let reading = (start_unix_ns, time_unix_ns, value);
        if let Some(ruled) = &mut self.ruled
            && ruled.take((source, point), reading, &attributes.all())
        {
            return Ok(true);
        }
        self.rows.point(&PointRow {
            origin: source.origin(),
            name: point.name,
            unit: point.unit,
            kind: point.kind,
            time_unix_ns,
            start_unix_ns,
            value,
            count: i64::try_from(point.count).unwrap_or(i64::MAX),
            distribution: point.distribution,
            exemplars: point.exemplars,
            attributes: &attributes.all(),
        });
        Ok(true)
    }
}

/// `SpanKind` (opentelemetry/proto/trace/v1/trace.proto).
const fn kind(number: i64) -> &'static str {
    match number {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

/// `Status.StatusCode` of the same file.
const fn status(number: i64) -> &'static str {
    match number {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

/// Names that sources give severities which give no number: those of OpenTelemetry's logs data model, and of other systems
/// in its appendix B.
const SEVERITIES: [(&str, i8); 14] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("information", 9),
    ("notice", 10),
    ("warn", 13),
    ("warning", 13),
    ("error", SEVERITY_ERROR),
    ("err", SEVERITY_ERROR),
    ("critical", 18),
    ("crit", 18),
    ("alert", 19),
    ("fatal", 21),
    ("emergency", 21),
];

/// The severity by number, or by name where there is no number; 0 for none.
fn severity(number: i64, name: &str) -> i8 {
    if (1..=SEVERITY_MAX).contains(&number) {
        return number as i8;
    }
    let named = SEVERITIES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map_or(0, |(_, number)| *number)
}
