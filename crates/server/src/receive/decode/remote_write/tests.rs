use prost::Message as _;

use super::{
    super::{
        Encoding, Signal, Told, decode,
        sink::Reason,
        tests::{Kept, NOW, check_damaged},
    },
    Form, Written,
};

const NOW_MS: i64 = NOW / 1_000_000;
/// Prometheus' mark of a series that has ended.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// prometheus, `prompb/types.proto` and `prompb/io/prometheus/write/v2/types.proto`, encoded by prost.
mod prompb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "4")]
        pub(super) histograms: Vec<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
        #[prost(int64, tag = "3")]
        pub(super) start_timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(super) count_int: u64,
        #[prost(double, tag = "3")]
        pub(super) sum: f64,
        #[prost(sint32, tag = "4")]
        pub(super) schema: i32,
        #[prost(double, tag = "5")]
        pub(super) zero_threshold: f64,
        #[prost(uint64, tag = "6")]
        pub(super) zero_count_int: u64,
        #[prost(message, repeated, tag = "8")]
        pub(super) negative_spans: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "9")]
        pub(super) negative_deltas: Vec<i64>,
        #[prost(message, repeated, tag = "11")]
        pub(super) positive_spans: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "12")]
        pub(super) positive_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "13")]
        pub(super) positive_counts: Vec<f64>,
        #[prost(int64, tag = "15")]
        pub(super) timestamp: i64,
        #[prost(double, repeated, tag = "16")]
        pub(super) custom_values: Vec<f64>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct BucketSpan {
        #[prost(sint32, tag = "1")]
        pub(super) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(super) length: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        pub(super) symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub(super) timeseries: Vec<TimeSeries2>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries2 {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) histograms: Vec<Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub(super) exemplars: Vec<Exemplar2>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar2 {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }
}

fn labels(labels: &[(&str, &str)]) -> Vec<prompb::Label> {
    let label = |(name, value): &(&str, &str)| prompb::Label {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    labels.iter().map(label).collect()
}

fn series(name: &str, more: &[(&str, &str)]) -> prompb::TimeSeries {
    let own = [("__name__", name), ("instance", "a:1"), ("job", "node")];
    prompb::TimeSeries {
        labels: labels(&[&own[..], more].concat()),
        ..prompb::TimeSeries::default()
    }
}

fn sample(value: f64, timestamp: i64) -> prompb::Sample {
    prompb::Sample {
        value,
        timestamp,
        start_timestamp: 0,
    }
}

fn span(offset: i32, length: u32) -> prompb::BucketSpan {
    prompb::BucketSpan { offset, length }
}

/// Of schema 1, with one gap, and of both signs.
fn native() -> prompb::Histogram {
    prompb::Histogram {
        count_int: 9,
        sum: 12.5,
        schema: 1,
        zero_threshold: 0.001,
        zero_count_int: 1,
        negative_spans: vec![span(-2, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![span(1, 2), span(2, 1)],
        positive_deltas: vec![1, 1, 2],
        timestamp: NOW_MS,
        ..prompb::Histogram::default()
    }
}

/// Of bounds of its own: three below the first bound, none between, four above all.
fn custom() -> prompb::Histogram {
    prompb::Histogram {
        count_int: 7,
        sum: 9.0,
        schema: -53,
        positive_spans: vec![span(0, 1), span(1, 1)],
        positive_counts: vec![3.0, 4.0],
        custom_values: vec![0.5, 1.0],
        timestamp: NOW_MS,
        ..prompb::Histogram::default()
    }
}

/// As Prometheus sends them: every sample, exemplar and histogram in an entry of its own.
fn entries() -> Vec<prompb::TimeSeries> {
    let route = [("route", "/pay")];
    let exemplar = prompb::Exemplar {
        labels: labels(&[
            ("trace_id", "0242ac120002abababababababababab"),
            ("user", "7"),
        ]),
        value: 0.5,
        timestamp: NOW_MS,
    };
    vec![
        prompb::TimeSeries {
            exemplars: vec![exemplar.clone()],
            ..series("requests_total", &route)
        },
        prompb::TimeSeries {
            samples: vec![sample(3.0, NOW_MS), sample(4.0, NOW_MS + 5)],
            ..series("requests_total", &route)
        },
        prompb::TimeSeries {
            samples: vec![sample(21.5, NOW_MS), sample(STALE, NOW_MS + 5)],
            ..series("room_celsius", &[])
        },
        prompb::TimeSeries {
            samples: vec![sample(2.0, NOW_MS)],
            ..series("latency_seconds_bucket", &[("le", "0.5")])
        },
        prompb::TimeSeries {
            histograms: vec![native()],
            ..series("latency_seconds", &[])
        },
        prompb::TimeSeries {
            histograms: vec![custom()],
            ..series("size_bytes", &[])
        },
        prompb::TimeSeries {
            exemplars: vec![exemplar],
            ..series("elsewhere_total", &[])
        },
    ]
}

fn first_version() -> Vec<u8> {
    prompb::WriteRequest {
        timeseries: entries(),
    }
    .encode_to_vec()
}

/// The same as version 2.0 has it.
fn second_version() -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut refs = |labels: &[prompb::Label]| {
        let texts = labels.iter().flat_map(|label| [&label.name, &label.value]);
        let place = |text: &String| {
            let known = symbols.iter().position(|symbol| symbol == text);
            known.unwrap_or_else(|| {
                symbols.push(text.clone());
                symbols.len() - 1
            }) as u32
        };
        texts.map(place).collect::<Vec<u32>>()
    };
    let timeseries = entries().into_iter().map(|entry| prompb::TimeSeries2 {
        labels_refs: refs(&entry.labels),
        samples: entry.samples,
        histograms: entry.histograms,
        exemplars: entry
            .exemplars
            .into_iter()
            .map(|exemplar| prompb::Exemplar2 {
                labels_refs: refs(&exemplar.labels),
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
            .collect(),
    });
    let timeseries = timeseries.collect();
    prompb::Request {
        symbols,
        timeseries,
    }
    .encode_to_vec()
}

#[test]
fn samples_histograms_and_exemplars_are_rows_in_both_versions() {
    for (form, request) in [(Form::One, first_version()), (Form::Two, second_version())] {
        let kept = Kept::new(Signal::Metrics, Encoding::RemoteWrite(form), &request);
        let statement = "SELECT name, unit, kind, time, value, count, distribution, exemplars, attributes FROM points ORDER BY name, time";
        assert_eq!(
            kept.ask(statement),
            "latency_seconds | s | histogram | 2027-01-15T08:00:00.000000000Z | 12.5 | 9 | {\"scale\":1,\"zero_count\":1,\
             \"zero_threshold\":0.001,\"positive\":{\"offset\":0,\"bucket_counts\":[1,2,0,0,4]},\
             \"negative\":{\"offset\":-3,\"bucket_counts\":[1]}} | '' | -\n\
             latency_seconds_bucket | '' | gauge | 2027-01-15T08:00:00.000000000Z | 2.0 | 0 | '' | '' | {\"le\":\"0.5\"}\n\
             requests_total | '' | counter | 2027-01-15T08:00:00.000000000Z | 3.0 | 0 | '' | \
             [{\"time_unix_nano\":1800000000000000000,\"value\":0.5,\"trace_id\":\"0242ac120002abababababababababab\",\
             \"attributes\":{\"user\":\"7\"}}] | {\"route\":\"/pay\"}\n\
             requests_total | '' | counter | 2027-01-15T08:00:00.005000000Z | 4.0 | 0 | '' | '' | {\"route\":\"/pay\"}\n\
             room_celsius | Cel | gauge | 2027-01-15T08:00:00.000000000Z | 21.5 | 0 | '' | '' | -\n\
             size_bytes | By | histogram | 2027-01-15T08:00:00.000000000Z | 9.0 | 7 | \
             {\"bucket_counts\":[3,0,4],\"explicit_bounds\":[0.5,1.0]} | '' | -"
        );
        let resource = "SELECT DISTINCT resource, scope FROM points";
        let expected =
            "{\"service.name\":\"node\",\"service.instance.id\":\"a:1\"} | sonde::remote_write";
        assert_eq!(kept.ask(resource), expected);
        let written = Written {
            samples: 5,
            histograms: 2,
            exemplars: 1,
            exemplars_alone: 1,
        };
        assert_eq!((kept.counts.written, kept.rejected.items), (written, 1));
        let (reason, _) = kept.rejected.first.as_ref().unwrap();
        assert_eq!(*reason, Reason::Exemplar);
    }
}

#[test]
fn requests_that_are_damaged_are_answered() {
    check_damaged(Encoding::RemoteWrite(Form::One), &first_version());
    check_damaged(Encoding::RemoteWrite(Form::Two), &second_version());
}

fn reason(histogram: prompb::Histogram) -> Option<Reason> {
    let request = prompb::WriteRequest {
        timeseries: vec![prompb::TimeSeries {
            histograms: vec![histogram],
            ..series("a", &[])
        }],
    };
    let encoding = Encoding::RemoteWrite(Form::One);
    let kept = Kept::new(Signal::Metrics, encoding, &request.encode_to_vec());
    kept.rejected.first.map(|(reason, _)| reason)
}

#[test]
fn a_histogram_whose_spans_lead_nowhere_is_rejected() {
    assert_eq!(reason(native()), None);
    let with = |change: &dyn Fn(&mut prompb::Histogram)| {
        let mut histogram = native();
        change(&mut histogram);
        reason(histogram)
    };
    let wrong = Some(Reason::Spans);
    assert_eq!(with(&|it| it.positive_spans[0].length = u32::MAX), wrong);
    assert_eq!(with(&|it| it.positive_deltas.push(1)), wrong);
    assert_eq!(with(&|it| it.positive_spans[1].offset = -5), wrong);
    assert_eq!(with(&|it| it.schema = -100), wrong);
    assert_eq!(with(&|it| it.schema = -53), wrong);
    // The mark of an end is no reading, and no fault.
    assert_eq!(with(&|it| it.sum = STALE), None);
}

#[test]
fn a_gap_that_is_too_wide_is_refused_before_it_takes_memory() {
    let mut wide = native();
    wide.positive_spans[1].offset = i32::MAX;
    let request = prompb::WriteRequest {
        timeseries: vec![prompb::TimeSeries {
            histograms: vec![wide],
            ..series("a", &[])
        }],
    };
    let encoding = Encoding::RemoteWrite(Form::One);
    let request = request.encode_to_vec();
    let read = decode(Signal::Metrics, encoding, &Told::default(), &request, NOW);
    assert!(read.is_err());
}

#[test]
fn labels_that_lead_beyond_the_table_are_malformed() {
    for labels_refs in [vec![0, 1, 2, 9], vec![1]] {
        let request = prompb::Request {
            symbols: ["", "__name__", "a"].map(str::to_owned).to_vec(),
            timeseries: vec![prompb::TimeSeries2 {
                labels_refs,
                samples: vec![sample(1.0, NOW_MS)],
                ..prompb::TimeSeries2::default()
            }],
        };
        let encoding = Encoding::RemoteWrite(Form::Two);
        let request = request.encode_to_vec();
        let read = decode(Signal::Metrics, encoding, &Told::default(), &request, NOW);
        assert!(read.is_err());
    }
}
