//! Metrics as requests of Prometheus remote write (prometheus.io/docs/specs/prw/remote_write_spec_2_0, 2.0-rc.4), written
//! straight from a [`Snapshot`].
//!
//! Names and labels are those that a scrape of this process would have given, with `job` and `instance` from the resource
//! (OpenTelemetry specification, Prometheus and OpenMetrics compatibility: Resource Attributes). What is written is 2.0,
//! always: [`first`] makes 1.0 of it where a receiver wants that, so that what waits need not know who will take it.
//!
//! Invariants: labels of a series are sorted, unique and have values; samples of a series have rising times; an exemplar is
//! sent once; a series that is gone gets one stale marker; a request holds either native histograms or other samples, never
//! both, because there are receivers that take no native ones.

mod ended;
mod first;
mod request;

use std::sync::Arc;

use radiosonde_core::{
    metrics::snapshot::{Buckets, Data, Exemplar, Histogram, Number, Series, Snapshot},
    model::{Text, Value},
};

use self::{
    ended::{Form, Last, Written},
    request::{Builder, Meta, Point},
};
use super::openmetrics::{
    ALIASES, Alias,
    buckets::Grid,
    exemplars::Exemplars,
    is_one,
    labels::{Reserved, SortedLabels},
    names::{self, Kind},
    native::Native,
    number,
    shown::{self, View},
    write::{bound, scaled},
};

pub use self::{first::first, request::Request};

/// Samples after which another request is begun, unless configured otherwise: what Prometheus itself sends at once
/// (`max_samples_per_send`).
pub const REQUEST_SAMPLES_MAX_DEFAULT: usize = 2_000;

/// How far the clock may be set back before its word is taken for it: until then samples go on a millisecond apart.
const SET_BACK_MS_MAX: i64 = 60_000;

/// How histograms of exponential buckets are sent. Those of explicit buckets are `_bucket`, `_sum` and `_count` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Histograms {
    /// As native histograms, with their full resolution in one series.
    #[default]
    Native,
    /// As `_bucket`, `_sum` and `_count`, which everything takes.
    Classic,
    /// As both.
    Both,
}

/// How metrics are written, and when a request is full.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How histograms of exponential buckets are sent.
    pub histograms: Histograms,
    /// Under the further names of [`ALIASES`] too.
    pub aliases: bool,
    /// Bytes before compression after which a request is full.
    pub request_bytes_max: usize,
    /// Samples with which a request is full.
    pub request_samples_max: usize,
}

/// Encodes snapshots, one after the other.
#[derive(Debug)]
pub struct Encoder {
    options: Options,
    samples: Builder,
    native: Builder,
    last: Last,
    /// When the last snapshot was read, by its own word and as it was sent.
    read_unix_ns: u64,
    sent_ms: i64,
}

/// What one snapshot's samples have in common.
#[derive(Clone, Copy)]
struct Moment {
    time_ms: i64,
    /// Exemplars up to then were sent.
    after_unix_ns: u64,
}

impl Encoder {
    /// An encoder that has sent nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            samples: Builder::new(false),
            native: Builder::new(true),
            last: Last::default(),
            read_unix_ns: 0,
            sent_ms: 0,
        }
    }

    /// No native histograms any more: classic ones from here on.
    pub fn without_native(&mut self) {
        if self.options.histograms != Histograms::Classic {
            self.options.histograms = Histograms::Classic;
            self.last.forget_native();
        }
    }

    /// Hands every request that `snapshot` makes to `send`.
    pub fn encode(&mut self, snapshot: &Snapshot, mut send: impl FnMut(Request)) {
        let moment = self.moment(snapshot.time_unix_ns);
        let own = own_labels(snapshot);
        self.samples.own_labels(&own);
        self.native.own_labels(&own);
        let aliases: &[Alias] = if self.options.aliases { &ALIASES } else { &[] };
        let mut written = Vec::with_capacity(snapshot.metrics.len());
        let mut writer = Writer {
            options: self.options,
            samples: &mut self.samples,
            native: &mut self.native,
            moment,
            send: &mut send,
        };
        writer.target(snapshot);
        shown::families(snapshot, aliases, Reserved::SENT, |views| {
            for view in views {
                writer.view(view, &mut written);
            }
        });
        self.last.replace(written, |ended, labels| {
            writer.ended(ended, labels);
        });
        self.samples.finish(&mut send);
        self.native.finish(&mut send);
    }

    /// The moment of a snapshot. Two may be read in the same millisecond, and the clock may be set back: receivers refuse
    /// what is not later than the sample before.
    fn moment(&mut self, time_unix_ns: u64) -> Moment {
        let time_ms = (time_unix_ns / 1_000_000) as i64;
        let back_ms = self.sent_ms - time_ms;
        self.sent_ms = if (0..=SET_BACK_MS_MAX).contains(&back_ms) {
            self.sent_ms + 1
        } else {
            time_ms
        };
        let moment = Moment {
            time_ms: self.sent_ms,
            after_unix_ns: self.read_unix_ns,
        };
        self.read_unix_ns = time_unix_ns;
        moment
    }
}

/// `instance` and `job`, as far as the resource says them.
fn own_labels(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let text = |name| {
        let mut attributes = snapshot.resource.attributes.iter();
        let (_, value) = attributes.find(|(known, _)| known == name)?;
        Some(value.to_string()).filter(|value| !value.is_empty())
    };
    let job = text("service.name").map(|service| match text("service.namespace") {
        Some(namespace) => format!("{namespace}/{service}"),
        None => service,
    });
    let labels = [("instance", text("service.instance.id")), ("job", job)];
    let labels = labels
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    labels.collect()
}

/// Writes the samples of one snapshot.
struct Writer<'e, 's> {
    options: Options,
    samples: &'e mut Builder,
    native: &'e mut Builder,
    moment: Moment,
    send: &'s mut dyn FnMut(Request),
}

impl Writer<'_, '_> {
    /// The request for numbers, with room for `samples` more.
    fn numbers_with(&mut self, samples: usize) -> &mut Builder {
        make_room(self.samples, self.options, samples, self.send);
        self.samples
    }

    /// The request for native histograms, with room for one more.
    fn native_with_one(&mut self) -> &mut Builder {
        make_room(self.native, self.options, 1, self.send);
        self.native
    }

    /// The resource, as a series that queries can join.
    fn target(&mut self, snapshot: &Snapshot) {
        let attributes = &snapshot.resource.attributes;
        if attributes.is_empty() {
            return;
        }
        let meta = Meta {
            kind: Kind::Info,
            help: names::TARGET_HELP,
            unit: "",
        };
        let mut sorted = SortedLabels::reserving(Reserved::SENT.of_numbers());
        let time_ms = self.moment.time_ms;
        let builder = self.numbers_with(1);
        let group = builder.group(&mut sorted, attributes, meta, time_ms, 0);
        builder.sample(&group, "target_info", Point::of(1.0), &[]);
    }

    fn view(&mut self, view: &View<'_>, written: &mut Vec<Written>) {
        let mut sorted = SortedLabels::reserving(view.reserved);
        match &view.metric.data {
            Data::Counter(all) => {
                let name = format!("{}_total", view.family.name);
                self.numbers(&mut sorted, view, all, (&name, true));
                written.push(Written::new(view, name, Form::Number, all));
            }
            Data::UpDownCounter(all) | Data::Gauge(all) => {
                let name = view.family.name.clone();
                self.numbers(&mut sorted, view, all, (&name, false));
                written.push(Written::new(view, name, Form::Number, all));
            }
            Data::Histogram(all) => self.histograms(&mut sorted, view, all, written),
        }
    }

    fn numbers(
        &mut self,
        sorted: &mut SortedLabels,
        view: &View<'_>,
        all: &[Series<Number>],
        (name, has_start): (&str, bool),
    ) {
        for (_, series) in (0..).zip(all).filter(|&(place, _)| view.shows(place)) {
            let Moment {
                time_ms,
                after_unix_ns,
            } = self.moment;
            let start_ms = if has_start {
                ms(series.start_unix_ns)
            } else {
                0
            };
            let builder = self.numbers_with(1);
            let meta = Meta::of(view);
            let group = builder.group(sorted, &series.labels, meta, time_ms, start_ms);
            let fresh = series
                .exemplars
                .iter()
                .find(|exemplar| has_start && exemplar.time_unix_ns > after_unix_ns);
            let exemplars = fresh.map(|exemplar| scale(exemplar, view.times));
            let value = Point::of(number(series.value, view.times));
            builder.sample(&group, name, value, exemplars.as_slice());
        }
    }

    fn histograms(
        &mut self,
        sorted: &mut SortedLabels,
        view: &View<'_>,
        all: &[Series<Histogram>],
        written: &mut Vec<Written>,
    ) {
        let Some(first) = all.first() else { return };
        let is_exponential = matches!(first.value.buckets, Buckets::Exponential { .. });
        // No schema has the bounds of values that are multiplied.
        let may_be_native = is_exponential && is_one(view.times);
        let (native, mut classic) = match self.options.histograms {
            _ if !may_be_native => (false, true),
            Histograms::Native => (true, false),
            Histograms::Classic => (false, true),
            Histograms::Both => (true, true),
        };
        let grid = Grid::new(&first.value.buckets, &view.metric.unit);
        let bounds = grid.bounds().map(|high| {
            let mut text = Vec::new();
            bound(&mut text, high, view.times, true);
            String::from_utf8_lossy(&text).into_owned()
        });
        let bounds: Arc<[String]> = bounds.collect();
        for (_, series) in (0..).zip(all).filter(|&(place, _)| view.shows(place)) {
            let fresh = series
                .exemplars
                .iter()
                .filter(|exemplar| exemplar.time_unix_ns > self.moment.after_unix_ns);
            let fresh: Vec<Exemplar> = fresh.cloned().collect();
            if native {
                match Native::of(&series.value.buckets) {
                    Some(native) => self.native(sorted, view, series, (native, fresh.clone())),
                    // Wider than any schema.
                    None => classic = true,
                }
            }
            if classic {
                self.classic(sorted, view, series, (&grid, &bounds, &fresh));
            }
        }
        let name = &view.family.name;
        if native {
            written.push(Written::new(view, name.clone(), Form::Native, all));
        }
        if classic {
            written.push(Written::new(view, name.clone(), Form::Classic(bounds), all));
        }
    }

    fn native(
        &mut self,
        sorted: &mut SortedLabels,
        view: &View<'_>,
        series: &Series<Histogram>,
        (native, mut exemplars): (Native, Vec<Exemplar>),
    ) {
        let (time_ms, start_ms) = (self.moment.time_ms, ms(series.start_unix_ns));
        let builder = self.native_with_one();
        let group = builder.group(sorted, &series.labels, Meta::of(view), time_ms, start_ms);
        exemplars.sort_by_key(|exemplar| exemplar.time_unix_ns);
        let point = Point::Native(&native, series.value.sum);
        builder.sample(&group, &view.family.name, point, &exemplars);
    }

    fn classic(
        &mut self,
        sorted: &mut SortedLabels,
        view: &View<'_>,
        series: &Series<Histogram>,
        (grid, bounds, fresh): (&Grid, &[String], &[Exemplar]),
    ) {
        let (time_ms, start_ms) = (self.moment.time_ms, ms(series.start_unix_ns));
        let builder = self.numbers_with(bounds.len() + 2);
        let group = builder.group(sorted, &series.labels, Meta::of(view), time_ms, start_ms);
        let shown = Exemplars::new(fresh);
        let name = builder.name(&view.family.name, "_bucket");
        let mut low = f64::NEG_INFINITY;
        for (le, (high, below)) in bounds.iter().zip(grid.cumulative(&series.value.buckets)) {
            let exemplar = shown
                .within(low, high)
                .map(|found| scale(found, view.times));
            let value = Point::of(below as f64);
            builder.bucket(&group, (name, le), value, exemplar.as_slice());
            low = high;
        }
        let sum = scaled(series.value.sum, view.times);
        for (suffix, value) in [("_sum", sum), ("_count", series.value.count as f64)] {
            let name = builder.name(&view.family.name, suffix);
            builder.named(&group, name, Point::of(value), &[]);
        }
    }

    /// Says of a series that it has ended.
    fn ended(&mut self, ended: &Written, labels: &[(Text, Value)]) {
        let meta = Meta {
            kind: ended.kind,
            help: "",
            unit: "",
        };
        let mut sorted = SortedLabels::reserving(ended.reserved);
        let time_ms = self.moment.time_ms;
        let builder = match &ended.form {
            Form::Native => self.native_with_one(),
            Form::Number => self.numbers_with(1),
            Form::Classic(bounds) => self.numbers_with(bounds.len() + 2),
        };
        let group = builder.group(&mut sorted, labels, meta, time_ms, 0);
        match &ended.form {
            Form::Number => builder.sample(&group, &ended.name, Point::STALE, &[]),
            Form::Native => builder.sample(&group, &ended.name, Point::StaleNative, &[]),
            Form::Classic(bounds) => {
                let name = builder.name(&ended.name, "_bucket");
                for le in &**bounds {
                    builder.bucket(&group, (name, le), Point::STALE, &[]);
                }
                for suffix in ["_sum", "_count"] {
                    let name = builder.name(&ended.name, suffix);
                    builder.named(&group, name, Point::STALE, &[]);
                }
            }
        }
    }
}

/// Ends the request of `builder` where `samples` more would be too many.
fn make_room(
    builder: &mut Builder,
    options: Options,
    samples: usize,
    send: &mut dyn FnMut(Request),
) {
    let is_full = builder.len() >= options.request_bytes_max
        || builder.samples() + samples > options.request_samples_max;
    if is_full {
        builder.finish(send);
    }
}

/// The exemplar as it stands beside values that are multiplied.
fn scale(exemplar: &Exemplar, times: f64) -> Exemplar {
    Exemplar {
        value: scaled(exemplar.value, times),
        ..exemplar.clone()
    }
}

/// Milliseconds, as remote write counts time; zero is no time.
const fn ms(unix_ns: u64) -> i64 {
    (unix_ns / 1_000_000) as i64
}
