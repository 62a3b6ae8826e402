//! Metrics for Prometheus to read: OpenMetrics 1.0 with exemplars, the classic format 0.0.4, and protobuf with native
//! histograms.
//!
//! OpenTelemetry's names become Prometheus' (OpenTelemetry specification, Prometheus and OpenMetrics compatibility):
//! dots become underscores, the unit becomes a suffix, counters end in `_total`, the resource becomes `target_info`.
//!
//! Exponential histograms are written as classic buckets whose bounds depend on the unit alone,
//! never on the data: `sum by (le)` over series and over processes stays right, and a bucket
//! never appears or goes away. Their full resolution travels in protobuf, beside those buckets, and by OTLP and remote write.
//!
//! Invariants: every metric family is written once, in one piece; a label name stands once in a series; an exemplar lies
//! in its bucket and its labels have at most [`EXEMPLAR_CHARS_MAX`] characters.

pub(in crate::encode) mod buckets;
mod delimited;
pub(in crate::encode) mod exemplars;
pub(in crate::encode) mod labels;
pub(in crate::encode) mod names;
pub(in crate::encode) mod native;
pub(in crate::encode) mod shown;
pub(in crate::encode) mod twins;
pub(in crate::encode) mod write;

use std::sync::LazyLock;

use radiosonde_core::{
    catalogue::METRIC_ALIASES,
    metrics::snapshot::{Data, Exemplar, Histogram, Metric, Number, Series, Snapshot},
    model::Text,
};

use self::{
    buckets::Grid,
    exemplars::Exemplars,
    labels::Reserved,
    names::Family,
    shown::View,
    write::{LabelWriter, float, push_escaped, push_name, scaled},
};

/// Most characters in an exemplar's label names and values together (OpenMetrics 1.0, Exemplars).
pub const EXEMPLAR_CHARS_MAX: usize = 128;

const _: () = assert!("trace_id".len() + 32 + "span_id".len() + 16 <= EXEMPLAR_CHARS_MAX);

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// OpenMetrics 1.0: with units and exemplars.
    OpenMetrics,
    /// Prometheus 0.0.4, which everything reads.
    #[default]
    Prometheus,
    /// `io.prometheus.client.MetricFamily`, each with its length before it: with exemplars, and histograms both as classic
    /// buckets and as native ones.
    Protobuf,
}

impl Format {
    /// The `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// What the reader would rather have, by its `Accept` header (RFC 9110, 12.5.1).
    pub fn negotiate(accept: &str) -> Self {
        let weight = |wanted: &str, parameters: &[&str]| {
            let ranges = accept.split(',').filter_map(|range| {
                let (kind, rest) = range.split_once(';').unwrap_or((range, ""));
                let mut parts = rest.split(';').map(str::trim);
                let has = |&wanted: &&str| parts.clone().any(|part| part == wanted);
                let is_wanted =
                    kind.trim().eq_ignore_ascii_case(wanted) && parameters.iter().all(has);
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
                is_wanted.then(|| weight.unwrap_or(1.0))
            });
            ranges.fold(0.0, f64::max)
        };
        let parameters = [
            "proto=io.prometheus.client.MetricFamily",
            "encoding=delimited",
        ];
        let protobuf = weight("application/vnd.google.protobuf", &parameters);
        let open_metrics = weight("application/openmetrics-text", &[]);
        let text = weight("text/plain", &[]);
        if protobuf > 0.0 && protobuf >= open_metrics.max(text) {
            Self::Protobuf
        } else if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// Another name under which a metric is shown as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The name as shown, without `_total`.
    pub name: Text,
    /// The metric, by its OpenTelemetry name.
    pub of: Text,
    /// What values are multiplied by: 1000 for seconds shown as milliseconds.
    pub times: f64,
}

/// Names that dashboards of the programs before Radiosonde ask for: those of the catalogue that this text can show as
/// they are.
pub static ALIASES: LazyLock<Vec<Alias>> = LazyLock::new(|| {
    let shown = METRIC_ALIASES
        .iter()
        .filter(|alias| !alias.alias.contains('.'));
    shown
        .map(|alias| Alias {
            name: Text::Borrowed(alias.alias.strip_suffix("_total").unwrap_or(alias.alias)),
            of: Text::Borrowed(alias.metric),
            times: alias.times,
        })
        .collect()
});

/// How metrics are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// In which format.
    pub format: Format,
    /// Under which further names: [`ALIASES`], others, or none.
    pub aliases: &'a [Alias],
}

/// What a metric's samples are called in this text, without what a histogram's have after it: for who writes queries.
/// `gpu.operation.count` is `gpu_operation_count_total`, `gpu.operation.duration` in `s` is `gpu_operation_duration_seconds`.
pub fn sample_name(metric: &Metric) -> String {
    let family = Family::of(metric);
    family.name + family.kind.sample_suffix()
}

/// What a label is called in this text: `error.type` is `error_type`. In a histogram, `le` would be `exported_le`.
pub fn label_name(name: &str) -> String {
    String::from_utf8_lossy(&write::label_name(name, &[])).into_owned()
}

/// Appends a snapshot to `out`.
pub fn encode(snapshot: &Snapshot, options: Options<'_>, out: &mut Vec<u8>) {
    if options.format == Format::Protobuf {
        return delimited::encode(snapshot, options.aliases, out);
    }
    // Most series are a line of about this length.
    out.reserve(shown::lines(snapshot) * 80);
    let mut encoder = Encoder {
        format: options.format,
        out,
    };
    encoder.target(snapshot);
    shown::families(snapshot, options.aliases, Reserved::PAGE, |views| {
        encoder.family(views);
    });
    if options.format == Format::OpenMetrics {
        encoder.out.extend_from_slice(b"# EOF\n");
    }
}

struct Encoder<'o> {
    format: Format,
    out: &'o mut Vec<u8>,
}

impl Encoder<'_> {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn is_open(&self) -> bool {
        self.format == Format::OpenMetrics
    }

    fn family(&mut self, views: &[View<'_>]) {
        let [first, ..] = views else { return };
        self.head(&first.family, &first.metric.description);
        views.iter().for_each(|view| self.series(view));
    }

    /// What a family is. OpenMetrics names a counter's family without `_total`, the classic format with it.
    fn head(&mut self, family: &Family, description: &str) {
        let suffix = if self.is_open() {
            ""
        } else {
            family.kind.sample_suffix()
        };
        for (keyword, value) in [
            ("# TYPE ", family.kind.word(self.is_open())),
            ("# UNIT ", if self.is_open() { family.unit } else { "" }),
        ] {
            if !value.is_empty() {
                self.push(keyword);
                self.push(&family.name);
                self.push(suffix);
                self.push(" ");
                self.push(value);
                self.push("\n");
            }
        }
        if !description.is_empty() {
            self.push("# HELP ");
            self.push(&family.name);
            self.push(suffix);
            self.push(" ");
            push_escaped(self.out, description, self.format == Format::OpenMetrics);
            self.push("\n");
        }
    }

    /// The resource, as a series that queries can join.
    fn target(&mut self, snapshot: &Snapshot) {
        let attributes = &snapshot.resource.attributes;
        if attributes.is_empty() {
            return;
        }
        self.head(&names::target(), names::TARGET_HELP);
        self.push("target_info");
        LabelWriter::default().push(self.out, attributes);
        self.push(" 1\n");
    }

    fn series(&mut self, view: &View<'_>) {
        let exposed = format!("{}{}", view.family.name, view.family.kind.sample_suffix());
        let mut labels = LabelWriter::reserving(view.reserved);
        match &view.metric.data {
            Data::Counter(series) => {
                for (_, series) in (0..).zip(series).filter(|&(place, _)| view.shows(place)) {
                    let exemplar = series.exemplars.first();
                    self.number(&exposed, &mut labels, series, view.times);
                    self.end(exemplar, view.times);
                }
            }
            Data::UpDownCounter(series) | Data::Gauge(series) => {
                for (_, series) in (0..).zip(series).filter(|&(place, _)| view.shows(place)) {
                    self.number(&exposed, &mut labels, series, view.times);
                    self.out.push(b'\n');
                }
            }
            Data::Histogram(series) => {
                let Some(first) = series.first() else { return };
                let grid = Grid::new(&first.value.buckets, &view.metric.unit);
                let names =
                    HistogramNames::new(&view.family.name, &grid, view.times, self.is_open());
                for (_, series) in (0..).zip(series).filter(|&(place, _)| view.shows(place)) {
                    let mut shown = Vec::with_capacity(64);
                    labels.push(&mut shown, &series.labels);
                    self.histogram(&names, &shown, series, (&grid, view.times));
                }
            }
        }
    }

    fn number(
        &mut self,
        name: &str,
        labels: &mut LabelWriter,
        series: &Series<Number>,
        times: f64,
    ) {
        self.push(name);
        labels.push(self.out, &series.labels);
        self.out.push(b' ');
        match series.value {
            Number::U64(value) if is_one(times) => write::u64(self.out, value),
            Number::I64(value) if is_one(times) => write::i64(self.out, value),
            value => float(self.out, self::number(value, times)),
        }
    }

    fn histogram(
        &mut self,
        names: &HistogramNames,
        labels: &[u8],
        series: &Series<Histogram>,
        (grid, times): (&Grid, f64),
    ) {
        let opened = labels.strip_suffix(b"}").unwrap_or(b"{");
        let separator: &[u8] = if opened == b"{" { b"" } else { b"," };
        let shown = Exemplars::new(&series.exemplars);
        let mut low = f64::NEG_INFINITY;
        for (le, (high, below)) in names
            .bounds
            .iter()
            .zip(grid.cumulative(&series.value.buckets))
        {
            for part in [names.bucket.as_bytes(), opened, separator, le.as_bytes()] {
                self.out.extend_from_slice(part);
            }
            write::u64(self.out, below);
            self.end(shown.within(low, high), times);
            low = high;
        }
        // OpenMetrics 1.0, Histogram: no sum, and then no count, where measurements may be below zero.
        if self.is_open() && (grid.is_negative() || buckets::has_negative(&series.value)) {
            return;
        }
        for (name, value) in [(&names.sum, None), (&names.count, Some(series.value.count))] {
            self.out.extend_from_slice(name.as_bytes());
            if separator == b"," {
                self.out.extend_from_slice(labels);
            }
            self.out.push(b' ');
            match value {
                Some(count) => write::u64(self.out, count),
                None => float(self.out, scaled(series.value.sum, times)),
            }
            self.out.push(b'\n');
        }
    }

    /// Ends a sample's line, with its exemplar where the format has them.
    fn end(&mut self, exemplar: Option<&Exemplar>, times: f64) {
        if let Some(exemplar) = exemplar
            && self.format == Format::OpenMetrics
        {
            write::exemplar(self.out, exemplar, times);
        }
        self.out.push(b'\n');
    }
}

/// What is shown of `value` where values are multiplied by `times`.
pub(in crate::encode) fn number(value: Number, times: f64) -> f64 {
    let value = match value {
        Number::U64(value) => value as f64,
        Number::I64(value) => value as f64,
        Number::F64(value) => value,
    };
    scaled(value, times)
}

/// Whether an alias shows values as they are.
#[expect(clippy::float_cmp, reason = "the factor is a constant, not a result")]
pub(in crate::encode) fn is_one(times: f64) -> bool {
    times == 1.0
}

/// The parts of a histogram's lines that are the same for every series.
struct HistogramNames {
    bucket: String,
    sum: String,
    count: String,
    /// `le="0.5"} ` and so on.
    bounds: Vec<String>,
}

impl HistogramNames {
    fn new(name: &str, grid: &Grid, times: f64, is_open: bool) -> Self {
        let bounds = grid.bounds().map(|bound| {
            let mut text = Vec::new();
            text.extend_from_slice(b"le=\"");
            write::bound(&mut text, bound, times, is_open);
            text.extend_from_slice(b"\"} ");
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            bucket: format!("{name}_bucket"),
            sum: format!("{name}_sum"),
            count: format!("{name}_count"),
            bounds: bounds.collect(),
        }
    }
}
