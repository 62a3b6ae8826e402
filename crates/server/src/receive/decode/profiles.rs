//! Profiles, whichever way they came: tables are looked up, samples become rows.
//!
//! A request has one dictionary, and everything else are places in its tables. Each location and stack is looked up once,
//! when a sample first needs it. A profile is kept whole or not at all: all of its places are looked at before the first
//! row is made.

mod resolve;

use std::{borrow::Cow, ops::Range};

use radiosonde_store::row::{SampleRow, Value};

use self::resolve::Resolved;
use super::{
    attributes::{Attributes, Source},
    names,
    sink::{Id, ROWS_MAX, Reason, Sink, Unreadable},
};

/// Most entries of all tables of a dictionary together, the frames of its stacks among them.
const ENTRIES_MAX: usize = 2_097_152;
/// Most attributes of a profile's samples together.
const PLACES_MAX: usize = 4 * ROWS_MAX;
/// A row costs this part of its stack's bytes: stacks are compared, but kept once.
const STACK_SHARE: usize = 4;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Json(String),
}

impl<'a> Given<'a> {
    /// Puts it among attributes.
    pub(super) fn put(self, attributes: &mut Attributes<'a>, key: Cow<'a, str>) {
        match self {
            Self::Bool(value) => attributes.push(key, Value::Bool(value)),
            Self::Int(value) => attributes.push(key, Value::Int(value)),
            Self::Float(value) => attributes.push(key, Value::Float(value)),
            Self::Text(text) => attributes.push_text(key, text),
            Self::Json(json) => {
                let Ok(()) = attributes.push_json(key, |out| {
                    out.push_str(&json);
                    Ok::<(), std::convert::Infallible>(())
                });
            }
        }
    }
}

/// The text at a place; nothing where it leads nowhere.
pub(super) fn string<'a>(strings: &[Cow<'a, str>], place: u64) -> Cow<'a, str> {
    let found = usize::try_from(place).ok();
    let found = found.and_then(|place| strings.get(place));
    found.cloned().unwrap_or_default()
}

#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    pub(super) file: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Location {
    pub(super) mapping: i64,
    pub(super) address: u64,
    /// Where its lines are, the innermost first.
    pub(super) lines: Range<usize>,
    /// Its attribute `profile.frame.type` is one of these.
    pub(super) attributes: Range<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) function: i64,
    pub(super) line: i64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Function {
    pub(super) name: i64,
    pub(super) system_name: i64,
    pub(super) file: i64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    pub(super) trace_id: Id<16>,
    pub(super) span_id: Id<8>,
}

/// The tables. Places in them are as they were given, and may be anything.
#[derive(Debug, Default)]
pub(super) struct Dictionary<'a> {
    pub(super) strings: Vec<Cow<'a, str>>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) locations: Vec<Location>,
    pub(super) lines: Vec<Line>,
    pub(super) functions: Vec<Function>,
    pub(super) links: Vec<Link>,
    /// The place of a key among the strings, and a value.
    pub(super) attributes: Vec<(i64, Given<'a>)>,
    /// Where the locations of stacks are, the innermost first.
    pub(super) stacks: Vec<Range<usize>>,
    pub(super) stack_locations: Vec<i64>,
    pub(super) location_attributes: Vec<i64>,
    entries: usize,
}

/// What a place in a table leads to.
fn at<T>(table: &[T], place: i64) -> Result<Option<&T>, Reason> {
    match usize::try_from(place).ok().and_then(|at| table.get(at)) {
        // The first of each table stands for none, so a table that is not there has it as well.
        None if place == 0 => Ok(None),
        None => Err(Reason::Index),
        found => Ok(found),
    }
}

impl<'a> Dictionary<'a> {
    /// Counts one more entry of any table.
    #[inline]
    pub(super) fn count(&mut self) -> Result<(), Unreadable> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(Unreadable::TooMuch(
                "its dictionary has more than 2097152 entries",
            ));
        }
        Ok(())
    }

    pub(super) fn text(&self, place: i64) -> Result<&str, Reason> {
        Ok(at(&self.strings, place)?.map_or("", AsRef::as_ref))
    }

    /// Puts an attribute among those of an item.
    fn push(&self, attributes: &mut Attributes<'a>, place: i64) -> Result<(), Reason> {
        let Some((key, value)) = at(&self.attributes, place)? else {
            return Ok(());
        };
        let Some(key) = at(&self.strings, *key)?.cloned() else {
            return Ok(());
        };
        if key.is_empty() {
            return Ok(());
        }
        value.clone().put(attributes, key);
        Ok(())
    }
}

/// A profile as it was given.
#[derive(Debug, Default)]
pub(super) struct ProfileItem {
    /// What is counted and in which unit, as places among the strings; also of the period.
    pub(super) kind: i64,
    pub(super) unit: i64,
    pub(super) period_kind: i64,
    pub(super) period_unit: i64,
    pub(super) period: i64,
    pub(super) time_unix_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) dropped_attributes: u64,
    pub(super) attributes: Vec<i64>,
    pub(super) samples: Vec<SampleItem>,
    /// Those of samples, one after the other.
    pub(super) sample_attributes: Vec<i64>,
    pub(super) values: Vec<i64>,
    pub(super) times: Vec<u64>,
}

/// A sample as it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct SampleItem {
    pub(super) stack: i64,
    pub(super) link: i64,
    pub(super) attributes: Range<usize>,
    pub(super) values: Range<usize>,
    pub(super) times: Range<usize>,
}

impl ProfileItem {
    /// Begins with the next profile.
    pub(super) fn clear(&mut self) {
        let mut empty = std::mem::take(self);
        empty.attributes.clear();
        empty.samples.clear();
        empty.sample_attributes.clear();
        empty.values.clear();
        empty.times.clear();
        *self = Self {
            attributes: empty.attributes,
            samples: empty.samples,
            sample_attributes: empty.sample_attributes,
            values: empty.values,
            times: empty.times,
            ..Self::default()
        };
    }

    /// Takes the next sample, whose attributes, values and times are those since the one before.
    pub(super) fn push(&mut self, stack: i64, link: i64) -> Result<(), Unreadable> {
        let last = self.samples.last();
        let start = last.map_or([0; 3], |last| {
            [last.attributes.end, last.values.end, last.times.end]
        });
        self.samples.push(SampleItem {
            stack,
            link,
            attributes: start[0]..self.sample_attributes.len(),
            values: start[1]..self.values.len(),
            times: start[2]..self.times.len(),
        });
        if self.samples.len() > ROWS_MAX {
            return Err(Unreadable::TooMuch("it has more than 262144 records"));
        }
        Ok(())
    }
}

/// Appends to a list that is not longer than it may be: what is beyond would be refused anyway.
pub(super) fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() <= PLACES_MAX {
        list.push(item);
    }
}

/// Takes profiles whose places lead into one dictionary.
#[derive(Debug)]
pub(super) struct Profiles<'a> {
    dictionary: Dictionary<'a>,
    resolved: Resolved,
}

/// What a profile counts, and where its samples are in time.
struct Header<'d> {
    kind: &'d str,
    unit: &'d str,
    /// What a sample without a value stands for.
    each: i64,
    time_unix_ns: i64,
    duration_ns: i64,
}

impl<'a> Profiles<'a> {
    pub(super) fn new(dictionary: Dictionary<'a>) -> Self {
        Self {
            dictionary,
            resolved: Resolved::default(),
        }
    }

    /// Takes a profile.
    pub(super) fn take(
        &mut self,
        sink: &mut Sink,
        source: &Source,
        item: &ProfileItem,
        attributes: &mut Attributes<'a>,
    ) -> Result<(), Unreadable> {
        if item.values.len().max(item.times.len()) > ROWS_MAX {
            return Err(Unreadable::TooMuch("it has more than 262144 records"));
        }
        if item.attributes.len().max(item.sample_attributes.len()) > PLACES_MAX {
            return Err(Unreadable::TooMuch(
                "a profile has more than 1048576 attributes",
            ));
        }
        for sample in &item.samples {
            self.resolved.stack(&self.dictionary, sample.stack, sink)?;
        }
        match self.check(sink, item, attributes) {
            Ok(header) => {
                for sample in &item.samples {
                    self.rows(sink, source, &header, item, sample, attributes)?;
                }
                sink.kept_profile();
            }
            Err(reason) => sink.reject(reason),
        }
        Ok(())
    }

    fn check(
        &self,
        sink: &Sink,
        item: &ProfileItem,
        attributes: &mut Attributes<'a>,
    ) -> Result<Header<'_>, Reason> {
        let header = self.header(sink, item)?;
        for sample in &item.samples {
            if self.resolved.get(sample.stack).is_none() {
                return Err(Reason::Index);
            }
            let link = at(&self.dictionary.links, sample.link)?
                .copied()
                .unwrap_or_default();
            if link.trace_id == Id::Wrong {
                return Err(Reason::TraceId);
            }
            if link.span_id == Id::Wrong {
                return Err(Reason::SpanId);
            }
            let (values, times) = (sample.values.len(), sample.times.len());
            if values.max(times) == 0 || (values != times && values.min(times) > 0) {
                return Err(Reason::Sample);
            }
            let times = item.times[sample.times.clone()].iter();
            if times.into_iter().any(|time| sink.time(*time).is_none()) {
                return Err(Reason::Time);
            }
            self.attributes(item, sample, attributes)?;
            if attributes.has_too_many() {
                return Err(Reason::Attributes);
            }
        }
        Ok(header)
    }

    fn header(&self, sink: &Sink, item: &ProfileItem) -> Result<Header<'_>, Reason> {
        let text = |place| self.dictionary.text(place);
        let (kind, unit) = (text(item.kind)?, text(item.unit)?);
        let (period_kind, period_unit) = (text(item.period_kind)?, text(item.period_unit)?);
        if kind.is_empty() {
            return Err(Reason::SampleType);
        }
        let time_unix_ns = match item.time_unix_ns {
            0 => sink.now_unix_ns(),
            time => sink.time(time).ok_or(Reason::Time)?,
        };
        // Moments at which a stack was seen, one for each period: that is time.
        let is_moments = item.values.is_empty() && unit == "count";
        let is_timed = is_moments
            && item.period > 0
            && period_unit == "nanoseconds"
            && !period_kind.is_empty();
        let (kind, unit, each) = if is_timed {
            (period_kind, period_unit, item.period)
        } else {
            (kind, unit, 1)
        };
        Ok(Header {
            kind,
            unit,
            each,
            time_unix_ns,
            duration_ns: i64::try_from(item.duration_ns).unwrap_or(i64::MAX),
        })
    }

    fn attributes(
        &self,
        item: &ProfileItem,
        sample: &SampleItem,
        attributes: &mut Attributes<'a>,
    ) -> Result<(), Reason> {
        attributes.clear();
        let own = &item.sample_attributes[sample.attributes.clone()];
        for place in item.attributes.iter().chain(own) {
            self.dictionary.push(attributes, *place)?;
        }
        if item.dropped_attributes > 0 {
            let count = Value::Int(item.dropped_attributes.cast_signed());
            attributes.push(Cow::Borrowed(names::DROPPED_ATTRIBUTES), count);
        }
        Ok(())
    }

    /// Makes the rows of a sample: one for each moment.
    fn rows(
        &self,
        sink: &mut Sink,
        source: &Source,
        header: &Header<'_>,
        item: &ProfileItem,
        sample: &SampleItem,
        attributes: &mut Attributes<'a>,
    ) -> Result<(), Unreadable> {
        // What cannot be looked up is known by now.
        let _ = self.attributes(item, sample, attributes);
        let Some(stack) = self.resolved.get(sample.stack) else {
            return Ok(());
        };
        let link = at(&self.dictionary.links, sample.link).ok().flatten();
        let link = link.copied().unwrap_or_default();
        let entries = attributes.all();
        let thread = thread(&entries);
        let values = &item.values[sample.values.clone()];
        let times = &item.times[sample.times.clone()];
        for moment in 0..values.len().max(times.len()) {
            let time = times.get(moment).and_then(|time| sink.time(*time));
            let row = SampleRow {
                origin: source.origin(),
                time_unix_ns: time.unwrap_or(header.time_unix_ns),
                duration_ns: header.duration_ns,
                trace_id: link.trace_id.get(),
                span_id: link.span_id.get().filter(|_| link.trace_id.get().is_some()),
                kind: header.kind,
                unit: header.unit,
                value: values.get(moment).copied().unwrap_or(header.each),
                thread: &thread,
                library: &stack.library,
                function: &stack.function,
                stack: &stack.text,
                attributes: &entries,
            };
            sink.sample(&row, attributes.bytes() + stack.text.len() / STACK_SHARE)?;
        }
        Ok(())
    }
}

/// The thread's name, or its number where it has none.
fn thread<'b>(entries: &[(&str, Value<'b>)]) -> Cow<'b, str> {
    let find = |wanted: &str| {
        let found = entries.iter().rev().find(|(key, _)| *key == wanted)?;
        match found.1 {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Int(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    };
    find("thread.name")
        .filter(|name| !name.is_empty())
        .or_else(|| find("thread.id"))
        .unwrap_or_default()
}
