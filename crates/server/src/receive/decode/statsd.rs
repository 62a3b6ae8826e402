//! StatsD's datagrams, and what Datadog added to them: lines are added up, and become rows every so many seconds.
//!
//! ```text
//! name:value[:value ...]|c|g|ms|h|d|s[|@rate][|#key:value,key]
//! ```
//!
//! Sources: github.com/statsd/statsd, `docs/metric_types.md`; Datadog's "DogStatsD datagram format". Fields that Datadog added
//! since (`c:` a container, `T` a time) are read over; its events and service checks are not taken.
//!
//! Invariant: whatever comes, no more than [`SERIES_MAX`] series of at most [`BUCKETS_MAX`] buckets or [`MEMBERS_MAX`] members
//! each are held; what has no room is counted.

mod line;
mod series;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use radiosonde_store::Rows;

use self::{line::Sample, series::State};
use super::{
    Encoding, Signal,
    attributes::{Attributes, Source},
    readings::{Metric, Points, Scratch},
    rules::Rules,
    sink::{Counts, Rejected, Sink, Unreadable},
};

/// Most series at a time.
pub(crate) const SERIES_MAX: usize = 10_000;
/// Most buckets of a histogram; where values are further apart the buckets get wider.
const BUCKETS_MAX: usize = 320;
/// Most members of a set; further ones are not told apart.
const MEMBERS_MAX: usize = 10_000;
/// The service of those that do not name theirs by the tag `service`.
const SERVICE_DEFAULT: &str = "statsd";
const SCOPE: &str = "sonde::statsd";

/// What became of a datagram's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Lines that were added up.
    pub(crate) kept: u64,
    /// Lines that are none.
    pub(crate) malformed: u64,
    /// Lines for whose series there was no room.
    pub(crate) crowded: u64,
}

/// A series: what it is called, what kind it is, and its tags in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    service: String,
    name: String,
    kind: line::Kind,
    tags: Vec<(String, String)>,
}

/// What has come since the last rows were made.
#[derive(Debug, Default)]
pub(crate) struct Aggregate {
    series: HashMap<Key, State>,
}

impl Aggregate {
    /// Adds up a datagram.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> Taken {
        let mut taken = Taken::default();
        let text = String::from_utf8_lossy(datagram);
        for line in text.split('\n').map(str::trim_ascii) {
            if line.is_empty() {
                continue;
            }
            match line::read(line) {
                Some(sample) if self.add(&sample) => taken.kept += 1,
                Some(_) => taken.crowded += 1,
                None => taken.malformed += 1,
            }
        }
        taken
    }

    fn add(&mut self, sample: &Sample<'_>) -> bool {
        let key = key(sample);
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&key) {
            return false;
        }
        self.series.entry(key).or_default().add(sample);
        true
    }

    /// Makes rows of what came from the one time to the other. A gauge keeps its value for changes to come, for an hour.
    pub(crate) fn finish(
        &mut self,
        from_unix_ns: i64,
        to_unix_ns: i64,
        rules: &Arc<Rules>,
    ) -> Result<(Rows, Counts, Rejected), Unreadable> {
        let sink = Sink::new(Signal::Metrics, Encoding::Exposition, to_unix_ns);
        let mut sink = sink.with_rules(rules);
        let mut scratch = Scratch::default();
        let mut source = Source::default();
        source.set_scope(SCOPE);
        let news = self.series.iter().filter(|(_, state)| state.has_news());
        let mut keys: Vec<&Key> = news.map(|(key, _)| key).collect();
        keys.sort_unstable();
        for key in keys {
            if source.origin().service != key.service {
                let mut resource = Attributes::default();
                resource.push_text(Cow::Borrowed("service.name"), Cow::Borrowed(&key.service));
                source.set_resource(&resource);
            }
            let mut attributes = Attributes::default();
            for (name, value) in &key.tags {
                attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
            }
            scratch.clear();
            let Some(state) = self.series.get(key) else {
                continue;
            };
            let times = (from_unix_ns, to_unix_ns);
            let (reading, kind, temporality) = state.reading(key.kind, times, &mut scratch);
            let metric = Metric {
                name: &key.name,
                unit: key.kind.unit(),
                kind,
                temporality,
            };
            let mut points = Points {
                sink: &mut sink,
                source: &source,
                metric,
            };
            points.take(&reading, &mut attributes, &mut scratch)?;
        }
        self.series.retain(|key, state| state.is_kept(key.kind));
        self.series
            .iter_mut()
            .for_each(|(key, state)| state.begin(key.kind));
        Ok(sink.finish())
    }
}

fn key(sample: &Sample<'_>) -> Key {
    let mut tags: Vec<(String, String)> = Vec::new();
    let mut service = SERVICE_DEFAULT;
    for (name, value) in &sample.tags {
        if *name == "service" && !value.is_empty() {
            service = value;
        } else {
            tags.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    tags.sort_unstable();
    tags.dedup_by(|a, b| a.0 == b.0);
    Key {
        service: service.to_owned(),
        name: sample.name.to_owned(),
        kind: sample.kind,
        tags,
    }
}

#[cfg(test)]
mod tests;
