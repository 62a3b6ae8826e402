//! What a scrape target answers: Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats") and OpenMetrics 1.0
//! (openmetrics.io, specification). Both are lines; what they mean differs in times, which are milliseconds in the one and
//! seconds in the other, and in what may follow.
//!
//! Ours and not a crate's: those that there are refuse a whole answer for one line that is wrong, or know no exemplars.
//! Here a line that cannot be read costs itself alone and is counted.
//!
//! | in the text | a row |
//! |---|---|
//! | counter | `counter`, under the name of its sample (`_total`) |
//! | gauge, untyped, info, stateset | `gauge` |
//! | histogram, gauge histogram | `histogram` of the family's name |
//! | summary | as that of OTLP: quantiles as gauges, `_count` and `_sum` as counters |
//! | `_created` | the start of what it belongs to |
//! | `target_info` | attributes of the resource, as OpenTelemetry's compatibility specification has it |

mod family;
mod line;

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use radiosonde_store::Rows;

pub(super) use self::family::unit_of;
use self::{
    family::{Family, Type},
    line::{Line, Sample},
};
use super::{
    Encoding, Signal,
    attributes::{Attributes, Source},
    readings::Scratch,
    rules::Rules,
    sink::{Counts, Reason, Rejected, Sink, Unreadable},
};

/// What instrumentation scope readings have.
const SCOPE: &str = "sonde::scrape";

/// Whose answer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// `service.name`.
    pub(crate) job: &'a str,
    /// `service.instance.id`: host and port.
    pub(crate) instance: &'a str,
}

/// Which of the two forms an answer has: its `Content-Type` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Prometheus,
    OpenMetrics,
}

/// What is noted of a scrape besides what it brought, as Prometheus does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scraped {
    /// Whether it answered.
    pub(crate) is_up: bool,
    /// How long that took, in seconds.
    pub(crate) duration_s: f64,
}

/// Makes rows of an answer, and of how it went.
pub(crate) fn read(
    origin: &Origin<'_>,
    form: Form,
    text: &[u8],
    scraped: Scraped,
    now_unix_ns: i64,
    rules: &Arc<Rules>,
) -> Result<(Rows, Counts, Rejected), Unreadable> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(Unreadable::Malformed("it is not UTF-8".to_owned()));
    };
    let mut reader = Reader {
        form,
        sink: Sink::new(Signal::Metrics, Encoding::Exposition, now_unix_ns).with_rules(rules),
        source: source(origin, text),
        family: Family::default(),
        known: HashSet::new(),
        scratch: Scratch::default(),
        samples: 0,
    };
    let mut has_end = form == Form::Prometheus || text.is_empty();
    for (at, line) in text.lines().enumerate() {
        reader.sink.at(0, 0, at + 1);
        match line::read(line, form) {
            Some(Line::Nothing) => {}
            Some(Line::End) => {
                has_end = true;
                break;
            }
            Some(Line::Type(name, kind)) => reader.begin(name, Type::named(kind))?,
            Some(Line::Unit(name, unit)) => reader.family.set_unit(name, unit),
            Some(Line::Sample(sample)) => reader.take(at + 1, sample)?,
            None => reader.sink.reject(Reason::Line),
        }
    }
    reader.end()?;
    if !has_end {
        // Half an answer is no answer: totals that are missing are not told from totals that ended.
        reader.sink.reject(Reason::End);
    }
    reader.note(scraped)?;
    Ok(reader.sink.finish())
}

/// The target as a resource, with what it says of itself in `target_info`.
fn source(origin: &Origin<'_>, text: &str) -> Source {
    let info = text
        .lines()
        .find(|line| line.starts_with("target_info{"))
        .and_then(|line| line::read(line, Form::OpenMetrics));
    let mut attributes = Attributes::default();
    attributes.push_text(Cow::Borrowed("service.name"), Cow::Borrowed(origin.job));
    let instance = Cow::Borrowed(origin.instance);
    attributes.push_text(Cow::Borrowed("service.instance.id"), instance);
    if let Some(Line::Sample(info)) = info {
        for (name, value) in info.labels {
            if name != "service_name" && name != "service_instance_id" {
                attributes.push_text(name, value);
            }
        }
    }
    let mut source = Source::default();
    source.set_resource(&attributes);
    source.set_scope(SCOPE);
    source
}

struct Reader<'a> {
    form: Form,
    sink: Sink,
    source: Source,
    family: Family<'a>,
    /// Families that had totals, whose `_created` may follow as families of their own.
    known: HashSet<&'a str>,
    scratch: Scratch,
    samples: u64,
}

impl<'a> Reader<'a> {
    fn begin(&mut self, name: &'a str, kind: Type) -> Result<(), Unreadable> {
        if self.family.name() == name {
            self.family.set_type(kind);
            return Ok(());
        }
        self.end()?;
        self.family = Family::new(name, kind);
        Ok(())
    }

    /// The family is complete.
    fn end(&mut self) -> Result<(), Unreadable> {
        let family = std::mem::take(&mut self.family);
        if family.has_totals() {
            self.known.insert(family.name());
        }
        family.finish(&mut self.sink, &self.source, &mut self.scratch)
    }

    fn take(&mut self, line: usize, sample: Sample<'a>) -> Result<(), Unreadable> {
        if sample.name == "target_info" || self.is_created(&sample.name) {
            return Ok(());
        }
        self.samples += 1;
        if let Some(sample) = self.family.take(line, sample) {
            // It is of no family that was named: one of its own.
            self.end()?;
            self.family = Family::unnamed(sample.name.clone());
            self.family.take(line, sample);
        }
        Ok(())
    }

    /// Whether it is when a total of another family began, as clients give it in the older form: a gauge nobody asks for.
    fn is_created(&self, name: &str) -> bool {
        let of = name.strip_suffix("_created");
        self.form == Form::Prometheus
            && of.is_some_and(|of| {
                self.known.contains(of) || self.known.contains(format!("{of}_total").as_str())
            })
    }

    fn note(&mut self, scraped: Scraped) -> Result<(), Unreadable> {
        let Scraped { is_up, duration_s } = scraped;
        for (name, unit, value) in [
            ("up", "1", f64::from(u8::from(is_up))),
            ("scrape_duration_seconds", "s", duration_s),
            ("scrape_samples_scraped", "{sample}", self.samples as f64),
        ] {
            let noted = family::gauge(name, unit, value);
            noted.finish(&mut self.sink, &self.source, &mut self.scratch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
