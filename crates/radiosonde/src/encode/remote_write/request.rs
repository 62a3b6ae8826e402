//! One request as it grows: `io.prometheus.write.v2.Request` (prometheus/prometheus, prompb/io/prometheus/write/v2).
//!
//! Invariant: a symbol stands once in a request, and the first one is empty.

use std::collections::HashMap;

use radiosonde_core::{
    hash::FoldState,
    metrics::snapshot::Exemplar,
    model::{Text, Value},
};

use crate::encode::{
    openmetrics::{
        labels::SortedLabels,
        names::Kind,
        native::{Fields, Native},
        shown::View,
        write::hex,
    },
    otlp::wire::{VARINT, Wire, varint_bytes},
};

/// The value that ends a series (Prometheus, model/value/value.go: `StaleNaN`).
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// `Histogram` field numbers.
const NATIVE: Fields = Fields {
    schema: 4,
    zero_threshold: 5,
    zero_count: 6,
    negative: (8, 9),
    positive: (11, 12),
};
/// `Histogram.start_timestamp`, whose number takes two bytes.
pub(super) const START: u64 = 17;

/// A request that is full, or the last of its snapshot.
#[derive(Debug)]
pub struct Request {
    /// How many samples it holds, native histograms among them.
    pub samples: u32,
    /// Whether all of them are native histograms; none is otherwise.
    pub is_native: bool,
    /// The message, not compressed.
    pub body: Vec<u8>,
}

/// What is known of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta<'a> {
    pub(super) kind: Kind,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
}

impl<'a> Meta<'a> {
    pub(super) fn of(view: &'a View<'_>) -> Self {
        Self {
            kind: view.family.kind,
            help: &view.metric.description,
            unit: view.family.unit,
        }
    }

    /// `Metadata.MetricType`.
    const fn kind(self) -> u64 {
        match self.kind {
            Kind::Counter => 1,
            Kind::Gauge => 2,
            Kind::Histogram => 3,
            Kind::Info => 6,
        }
    }
}

/// What a sample says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point<'a> {
    /// A number, by its bits: a marker is a NaN that must not become another one.
    Number(u64),
    /// A histogram and its sum.
    Native(&'a Native, f64),
    /// A native histogram has ended.
    StaleNative,
}

impl Point<'_> {
    /// A series has ended.
    pub(super) const STALE: Self = Self::Number(STALE);

    pub(super) const fn of(value: f64) -> Self {
        Self::Number(value.to_bits())
    }
}

/// What the samples of one label set have in common; the labels themselves are in the [`Builder`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    time_ms: i64,
    start_ms: i64,
    kind: u64,
    help: u32,
    unit: u32,
    /// The symbols `__name__` and `le`.
    name: u32,
    le: u32,
}

/// The texts of a request, each once.
#[derive(Debug)]
struct Symbols {
    known: HashMap<Box<str>, u32, FoldState>,
    written: Wire,
}

impl Symbols {
    fn of(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let next = self.known.len() as u32;
        self.known.insert(text.into(), next);
        self.written.bytes_field(4, text.as_bytes());
        next
    }

    fn clear(&mut self) {
        self.known.clear();
        self.written.clear();
        self.of("");
    }
}

/// A request that grows.
#[derive(Debug)]
pub(super) struct Builder {
    is_native: bool,
    symbols: Symbols,
    series: Wire,
    samples: usize,
    /// Labels that every series has, sorted by name.
    own: Vec<(&'static str, String)>,
    /// The labels of the group at hand, and before how many of them `__name__` and `le` stand.
    labels: Vec<[u32; 2]>,
    name_at: usize,
    le_at: usize,
    /// The labels of the series at hand.
    refs: Vec<u32>,
}

impl Builder {
    pub(super) fn new(is_native: bool) -> Self {
        let mut symbols = Symbols {
            known: HashMap::default(),
            written: Wire::default(),
        };
        symbols.clear();
        Self {
            is_native,
            symbols,
            series: Wire::default(),
            samples: 0,
            own: Vec::new(),
            labels: Vec::new(),
            name_at: 0,
            le_at: 0,
            refs: Vec::new(),
        }
    }

    /// Sets the labels that every series has.
    pub(super) fn own_labels(&mut self, own: &[(&'static str, String)]) {
        self.own = own.to_vec();
    }

    /// Bytes of the request so far.
    pub(super) fn len(&self) -> usize {
        self.symbols.written.len() + self.series.len()
    }

    /// Samples of the request so far.
    pub(super) const fn samples(&self) -> usize {
        self.samples
    }

    /// Hands the request to `send`, unless there is nothing in it, and begins another one. Groups and names of before mean
    /// nothing in that.
    pub(super) fn finish(&mut self, send: &mut dyn FnMut(Request)) {
        if self.samples > 0 {
            let body = [self.symbols.written.written(), self.series.written()].concat();
            send(Request {
                samples: self.samples as u32,
                is_native: self.is_native,
                body,
            });
        }
        self.symbols.clear();
        self.series.clear();
        self.samples = 0;
    }

    /// Begins the samples of one label set.
    pub(super) fn group(
        &mut self,
        sorted: &mut SortedLabels,
        labels: &[(Text, Value)],
        meta: Meta<'_>,
        time_ms: i64,
        start_ms: i64,
    ) -> Group {
        let (symbols, refs) = (&mut self.symbols, &mut self.labels);
        let (mut name_at, mut le_at) = (0, 0);
        refs.clear();
        let mut add = |name: &str, value: &str| {
            name_at += usize::from(name < "__name__");
            le_at += usize::from(name < "le");
            refs.push([symbols.of(name), symbols.of(value)]);
        };
        let mut own = self.own.iter().peekable();
        sorted.each(labels, &mut |name, value| {
            while let Some((name, value)) = own.next_if(|(own, _)| *own < name) {
                add(name, value);
            }
            add(name, value);
        });
        own.for_each(|(name, value)| add(name, value));
        (self.name_at, self.le_at) = (name_at, le_at);
        Group {
            time_ms,
            start_ms,
            kind: meta.kind(),
            help: self.symbols.of(meta.help),
            unit: self.symbols.of(meta.unit),
            name: self.symbols.of("__name__"),
            le: self.symbols.of("le"),
        }
    }

    /// The symbol of a name that many samples have.
    pub(super) fn name(&mut self, family: &str, suffix: &str) -> u32 {
        self.symbols.of(&format!("{family}{suffix}"))
    }

    /// Adds a sample of the series `name`.
    pub(super) fn sample(
        &mut self,
        group: &Group,
        name: &str,
        point: Point<'_>,
        exemplars: &[Exemplar],
    ) {
        let name = self.symbols.of(name);
        self.named(group, name, point, exemplars);
    }

    /// The same by the symbol of the name.
    pub(super) fn named(
        &mut self,
        group: &Group,
        name: u32,
        point: Point<'_>,
        exemplars: &[Exemplar],
    ) {
        self.series(group, (name, None), point, exemplars);
    }

    /// Adds a sample of a bucket: the symbol of its name, and its bound.
    pub(super) fn bucket(
        &mut self,
        group: &Group,
        (name, le): (u32, &str),
        point: Point<'_>,
        exemplars: &[Exemplar],
    ) {
        let le = self.symbols.of(le);
        self.series(group, (name, Some(le)), point, exemplars);
    }

    fn series(
        &mut self,
        group: &Group,
        (name, le): (u32, Option<u32>),
        point: Point<'_>,
        exemplars: &[Exemplar],
    ) {
        self.refs.clear();
        let (before, rest) = self.labels.split_at(self.name_at);
        let (between, after) = rest.split_at(self.le_at - self.name_at);
        self.refs.extend(before.as_flattened());
        self.refs.extend([group.name, name]);
        self.refs.extend(between.as_flattened());
        if let Some(le) = le {
            self.refs.extend([group.le, le]);
        }
        self.refs.extend(after.as_flattened());
        let wire = &mut self.series;
        let series = wire.open(5, 1);
        refs(wire, &self.refs);
        write_point(wire, group, point);
        for exemplar in exemplars {
            write_exemplar(wire, &mut self.symbols, exemplar);
        }
        let meta = wire.open(5, 1);
        wire.varint_field(1, group.kind);
        wire.varint_field(3, group.help.into());
        wire.varint_field(4, group.unit.into());
        wire.close(meta);
        wire.close(series);
        self.samples += 1;
    }
}

/// Labels, by their symbols.
fn refs(wire: &mut Wire, refs: &[u32]) {
    let sizes = refs.iter().map(|&symbol| varint_bytes(symbol.into()));
    wire.length_field(1, sizes.sum());
    refs.iter().for_each(|&symbol| wire.varint(symbol.into()));
}

fn write_point(wire: &mut Wire, group: &Group, point: Point<'_>) {
    let time = group.time_ms as u64;
    let start = group.start_ms as u64;
    let (native, sum) = match point {
        Point::Number(bits) => {
            let sample = wire.open(2, 1);
            wire.fixed64_field(1, bits);
            wire.varint_field(2, time);
            if start > 0 {
                wire.varint_field(3, start);
            }
            return wire.close(sample);
        }
        Point::Native(native, sum) => (native, sum.to_bits()),
        Point::StaleNative => (&Native::EMPTY, STALE),
    };
    let histogram = wire.open(3, 2);
    wire.varint_field(1, native.count);
    wire.fixed64_field(3, sum);
    native.write(wire, NATIVE);
    wire.varint_field(15, time);
    if start > 0 {
        wire.varint(START << 3 | u64::from(VARINT));
        wire.varint(start);
    }
    wire.close(histogram);
}

fn write_exemplar(wire: &mut Wire, symbols: &mut Symbols, exemplar: &Exemplar) {
    let mut text = |bytes: &[u8]| {
        let mut text = Vec::with_capacity(32);
        hex(&mut text, bytes);
        symbols.of(&String::from_utf8_lossy(&text))
    };
    let span_id = text(&exemplar.span_id.to_bytes());
    let trace_id = text(&exemplar.trace_id.to_bytes());
    let labels = [
        symbols.of("span_id"),
        span_id,
        symbols.of("trace_id"),
        trace_id,
    ];
    let open = wire.open(4, 1);
    refs(wire, &labels);
    wire.double_field(2, exemplar.value);
    wire.varint_field(3, exemplar.time_unix_ns / 1_000_000);
    wire.close(open);
}
