//! What Prometheus and its kin write to others: `prometheus.WriteRequest` of remote write 1.0 and `io.prometheus.write.v2.Request`
//! of 2.0 (prometheus.io, "Prometheus Remote-Write" 1.0 and 2.0; `prompb/types.proto` and `prompb/io/prometheus/write/v2/types.proto`
//! of github.com/prometheus/prometheus).
//!
//! | theirs | ours |
//! |---|---|
//! | a sample of a series whose name ends with `_total` | `counter` |
//! | any other | `gauge`, also buckets of histograms in parts, which may come in requests of their own |
//! | native histogram | `histogram`, exponential, or with bounds where those are its own |
//! | `job`, `instance` | `service.name`, `service.instance.id` |
//! | an exemplar | one of the first reading of its series in the request |
//! | the mark that a series has ended, and other values that are no numbers | nothing |

mod histogram;

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::{
    attributes::{ATTRIBUTES_MAX, Attributes, Source},
    exposition::unit_of,
    parts::{ExemplarItem, push_exemplar},
    protobuf::{Messages, utf8},
    readings::{Kind, Metric, Number, Points, Reading, Scratch},
    sink::{Id, Reason, Sink, Unreadable},
    text,
    wire::{Field, Malformed, Reader, repeated_varint},
};

const NS_PER_MS: u64 = 1_000_000;
/// `AggregationTemporality.CUMULATIVE`.
const CUMULATIVE: i64 = 2;
/// Most texts of a table: no more than 32 MiB of places of them.
const SYMBOLS_MAX: usize = 2_097_152;
/// Most exemplars of a request, which are kept until their readings come.
const EXEMPLARS_MAX: u64 = 65_536;
const SCOPE: &str = "sonde::remote_write";

/// Of which version a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Series with their labels.
    One,
    /// A table of texts, and series that point into it.
    Two,
}

impl Form {
    /// The fields of a `TimeSeries` that hold exemplars and histograms; samples are in 2 in either version.
    const fn fields(self) -> (u32, u32) {
        match self {
            Self::One => (3, 4),
            Self::Two => (4, 3),
        }
    }

    /// The field of a request that holds series.
    const fn series(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 5,
        }
    }
}

/// What became of a request, as version 2.0 has it told to who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
    /// Exemplars whose series had no reading in the request: they count as not kept.
    pub(crate) exemplars_alone: u64,
}

/// Reads a request into `sink`.
pub(super) fn read(form: Form, request: &[u8], sink: &mut Sink) -> Result<(), Unreadable> {
    let symbols = match form {
        Form::One => Vec::new(),
        Form::Two => symbols(request)?,
    };
    let mut reader = Series {
        form,
        symbols,
        labels: Vec::new(),
        source: Source::default(),
        known: None,
        exemplars: HashMap::new(),
        scratch: Scratch::default(),
    };
    reader.source.set_scope(SCOPE);
    let mut exemplars = 0;
    let mut all = Messages::new(request, form.series());
    while let Some(message) = all.next()? {
        exemplars += reader.note_exemplars(message)?;
        if exemplars > EXEMPLARS_MAX {
            return Err(Unreadable::TooMuch("it has more than 65536 exemplars"));
        }
    }
    let mut all = Messages::new(request, form.series());
    let mut at = 0;
    while let Some(message) = all.next()? {
        sink.at(0, 0, at);
        at += 1;
        reader.keep(message, sink)?;
    }
    for (_, left) in reader.exemplars {
        for _ in 0..left.count {
            sink.reject(Reason::Exemplar);
        }
        sink.written().exemplars_alone += left.count;
    }
    Ok(())
}

/// `Request{symbols=4}`.
fn symbols(request: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    let mut symbols = Vec::new();
    let mut given = Messages::new(request, 4);
    while let Some(symbol) = given.next()? {
        if symbols.len() >= SYMBOLS_MAX {
            return Err(Unreadable::TooMuch("it has more than 2097152 symbols"));
        }
        symbols.push(symbol);
    }
    Ok(symbols)
}

/// Exemplars of a series whose reading has not come yet.
#[derive(Default)]
struct Waiting {
    /// A JSON list without its end.
    list: String,
    count: u64,
}

/// Reads one series after the other.
struct Series<'a> {
    form: Form,
    symbols: Vec<&'a [u8]>,
    /// Of the series at hand, but for its name, job and instance.
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    source: Source,
    /// Whose the source is: job and instance.
    known: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// By the hash of the series' labels.
    exemplars: HashMap<u64, Waiting>,
    scratch: Scratch,
}

impl<'a> Series<'a> {
    /// Hands each label in the first field of a message to `take`: `Label{name=1, value=2}` in version 1.0, and in 2.0 pairs of
    /// numbers that are places in the table.
    fn each_label(
        &self,
        message: &'a [u8],
        mut take: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Result<(), Malformed> {
        let mut fields = Reader::new(message);
        let mut name = None;
        let mut is_beyond = false;
        while let Some((number, field)) = fields.field()? {
            match (self.form, field) {
                (Form::One, Field::Bytes(label)) if number == 1 => {
                    let part = |number| Messages::new(label, number).last();
                    take(part(1)?.unwrap_or_default(), part(2)?.unwrap_or_default());
                }
                (Form::Two, field) if number == 1 => repeated_varint(field, |at| {
                    let symbol = usize::try_from(at).ok().and_then(|at| self.symbols.get(at));
                    let symbol = symbol.copied();
                    is_beyond |= symbol.is_none();
                    let symbol = symbol.unwrap_or_default();
                    match name.take() {
                        Some(name) => take(name, symbol),
                        None => name = Some(symbol),
                    }
                })?,
                _ => {}
            }
        }
        if is_beyond || name.is_some() {
            return Err(Malformed("labels are not pairs of places in its table"));
        }
        Ok(())
    }

    fn hash(&self, message: &'a [u8]) -> Result<u64, Malformed> {
        let mut hasher = DefaultHasher::new();
        self.each_label(message, |name, value| (name, value).hash(&mut hasher))?;
        Ok(hasher.finish())
    }

    /// Takes the exemplars of a series, whose reading may be elsewhere in the request; says how many there are.
    fn note_exemplars(&mut self, message: &'a [u8]) -> Result<u64, Malformed> {
        let mut given = Messages::new(message, self.form.fields().0);
        let mut count = 0;
        let mut list = String::new();
        while let Some(exemplar) = given.next()? {
            self.exemplar(exemplar, &mut list)?;
            count += 1;
            if count > EXEMPLARS_MAX {
                return Ok(count);
            }
        }
        if count > 0 {
            let waiting = self.exemplars.entry(self.hash(message)?).or_default();
            // What is a list already begins with a bracket where a comma is to be.
            match list.strip_prefix('[') {
                Some(more) if !waiting.list.is_empty() => {
                    waiting.list.push(',');
                    waiting.list.push_str(more);
                }
                _ => waiting.list.push_str(&list),
            }
            waiting.count += count;
        }
        Ok(count)
    }

    /// `Exemplar{labels=1, value=2, timestamp=3}`, time in milliseconds.
    fn exemplar(&self, message: &'a [u8], list: &mut String) -> Result<(), Malformed> {
        let mut item = ExemplarItem {
            value: Some(0.0),
            ..ExemplarItem::default()
        };
        let mut fields = Reader::new(message);
        while let Some(field) = fields.field()? {
            match field {
                (2, Field::Fixed64(bits)) => item.value = Some(f64::from_bits(bits)),
                (3, Field::Varint(time)) => item.time_unix_ns = nanoseconds(time),
                _ => {}
            }
        }
        let mut others = Attributes::default();
        self.each_label(message, |name, value| match (name, utf8(value)) {
            (b"trace_id", id) => item.trace_id = Id::from_hex(&id),
            (b"span_id", id) => item.span_id = Id::from_hex(&id),
            (name, value) => others.push_text(utf8(name), value),
        })?;
        let write = (others.len() > 0).then_some(|out: &mut String| {
            text::object(out, &others.all());
            Ok(())
        });
        push_exemplar(list, &item, write)
    }

    /// Makes rows of a series.
    fn keep(&mut self, message: &'a [u8], sink: &mut Sink) -> Result<(), Unreadable> {
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        let (mut name, mut job, mut instance) = <(Cow<'_, str>, _, _)>::default();
        self.each_label(message, |label, value| match label {
            b"__name__" => name = utf8(value),
            b"job" => job = utf8(value),
            b"instance" => instance = utf8(value),
            label if labels.len() <= ATTRIBUTES_MAX => labels.push((utf8(label), utf8(value))),
            _ => {}
        })?;
        self.labels = labels;
        self.set_source((job, instance));
        let mut attributes = Attributes::default();
        for (name, value) in &self.labels {
            attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        let waiting = if self.exemplars.is_empty() {
            None
        } else {
            Some(self.hash(message)?)
        };
        let mut waiting = waiting.and_then(|hash| self.exemplars.remove_entry(&hash));
        let readings = Readings {
            name: &name,
            source: &self.source,
            scratch: &mut self.scratch,
            waiting: &mut waiting,
        };
        readings.keep(self.form, message, sink, &mut attributes)?;
        self.exemplars.extend(waiting);
        Ok(())
    }

    fn set_source(&mut self, of: (Cow<'a, str>, Cow<'a, str>)) {
        if self.known.as_ref() == Some(&of) {
            return;
        }
        let mut attributes = Attributes::default();
        for (name, value) in [("service.name", &of.0), ("service.instance.id", &of.1)] {
            if !value.is_empty() {
                attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
            }
        }
        self.source.set_resource(&attributes);
        self.known = Some(of);
    }
}

/// The readings of a series.
struct Readings<'s> {
    name: &'s str,
    source: &'s Source,
    scratch: &'s mut Scratch,
    waiting: &'s mut Option<(u64, Waiting)>,
}

impl Readings<'_> {
    fn keep(
        mut self,
        form: Form,
        message: &[u8],
        sink: &mut Sink,
        attributes: &mut Attributes<'_>,
    ) -> Result<(), Unreadable> {
        let is_monotonic = true;
        let kind = if self.name.ends_with("_total") {
            Kind::Sum { is_monotonic }
        } else {
            Kind::Gauge
        };
        let mut samples = Messages::new(message, 2);
        while let Some(sample) = samples.next()? {
            let reading = sample_of(sample)?;
            let value = reading.number.map_or(0.0, Number::get);
            if value.is_nan() || self.take(kind, &reading, sink, attributes)? {
                sink.written().samples += 1;
            }
        }
        let mut histograms = Messages::new(message, form.fields().1);
        while let Some(given) = histograms.next()? {
            self.scratch.clear();
            let reading = match histogram::read(given, &mut self.scratch.distribution)? {
                Ok(reading) => reading,
                Err(reason) => {
                    sink.reject(reason);
                    continue;
                }
            };
            let is_ended = reading.sum.is_some_and(histogram::is_stale);
            if is_ended || self.take(Kind::Histogram, &reading, sink, attributes)? {
                sink.written().histograms += 1;
            }
        }
        Ok(())
    }

    /// Takes a reading, with the exemplars that wait for one; says whether it was kept.
    fn take(
        &mut self,
        kind: Kind,
        reading: &Reading,
        sink: &mut Sink,
        attributes: &mut Attributes<'_>,
    ) -> Result<bool, Unreadable> {
        if kind != Kind::Histogram {
            self.scratch.clear();
        }
        let waiting = self.waiting.take();
        if let Some((_, waiting)) = &waiting {
            self.scratch.exemplars.push_str(&waiting.list);
        }
        let before = sink.points();
        let mut points = Points {
            sink,
            source: self.source,
            metric: Metric {
                name: self.name,
                unit: unit_of(self.name),
                kind,
                temporality: CUMULATIVE,
            },
        };
        points.take(reading, attributes, self.scratch)?;
        let is_kept = sink.points() > before;
        match waiting {
            Some((_, waiting)) if is_kept => sink.written().exemplars += waiting.count,
            waiting => *self.waiting = waiting,
        }
        Ok(is_kept)
    }
}

/// `Sample{value=1, timestamp=2, start_timestamp=3}`, times in milliseconds.
fn sample_of(message: &[u8]) -> Result<Reading, Malformed> {
    let mut reading = Reading {
        number: Some(Number::Double(0.0)),
        ..Reading::default()
    };
    let mut fields = Reader::new(message);
    while let Some(field) = fields.field()? {
        match field {
            (1, Field::Fixed64(bits)) => {
                reading.number = Some(Number::Double(f64::from_bits(bits)));
            }
            (2, Field::Varint(time)) => reading.time_unix_ns = nanoseconds(time),
            (3, Field::Varint(time)) => reading.start_unix_ns = nanoseconds(time),
            _ => {}
        }
    }
    Ok(reading)
}

/// Of milliseconds, which are signed; what is before 1970 is no time.
fn nanoseconds(milliseconds: u64) -> u64 {
    let milliseconds = u64::try_from(milliseconds.cast_signed()).unwrap_or(0);
    milliseconds.saturating_mul(NS_PER_MS)
}

#[cfg(test)]
mod tests;
