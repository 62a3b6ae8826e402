//! A receiver reads every line of what is sent to it.

use std::{net::UdpSocket, sync::Arc, time::Duration};

use radiosonde_core::{
    metrics::snapshot::Buckets,
    model::{Text, Value},
};

use super::*;

fn receiver(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    let patience = Some(Duration::from_secs(10));
    socket.set_read_timeout(patience).unwrap();
    socket
}

fn exporter(dialect: Dialect, receiver: &UdpSocket) -> Statsd {
    let config = StatsdConfig {
        endpoint: receiver.local_addr().unwrap().to_string(),
        ..StatsdConfig::new(dialect)
    };
    Statsd::new(&config).unwrap()
}

fn datagram(receiver: &UdpSocket) -> String {
    let mut bytes = vec![0; 65_536];
    let length = receiver.recv(&mut bytes).unwrap();
    assert!(length <= DATAGRAM_BYTES_MAX, "{length} bytes");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn labels(pairs: &[(&'static str, &'static str)]) -> Labels {
    let pair = |&(name, value): &(&'static str, &'static str)| {
        (Text::Borrowed(name), Value::Str(value.into()))
    };
    pairs.iter().map(pair).collect()
}

fn series<T>(labels: Labels, value: T) -> Series<T> {
    Series {
        labels,
        start_unix_ns: 1,
        value,
        exemplars: Vec::new(),
    }
}

fn metric(name: &'static str, data: Data) -> Metric {
    Metric {
        name: name.into(),
        description: "".into(),
        unit: "".into(),
        data,
    }
}

fn snapshot(metrics: Vec<Metric>) -> Snapshot {
    let attributes = [("service.name", "engine"), ("service.version", "1.2")];
    let attribute = |(name, value): (&'static str, &'static str)| (name.into(), Value::from(value));
    Snapshot {
        resource: Arc::new(Resource {
            attributes: attributes.into_iter().map(attribute).collect(),
        }),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics,
    }
}

fn counter(value: Number) -> Snapshot {
    let hit = labels(&[("hit", "true"), ("bank.name", "L1|a,b")]);
    snapshot(vec![metric(
        "cache.access",
        Data::Counter(vec![series(hit, value)]),
    )])
}

fn histogram(counts: [u64; 3], sum: f64) -> Histogram {
    Histogram {
        count: counts.iter().sum(),
        sum,
        min: Some(0.25),
        max: Some(3.0),
        buckets: Buckets::Explicit {
            bounds: [1.0, 2.0].into(),
            counts: counts.to_vec(),
        },
    }
}

#[test]
fn a_counter_goes_out_as_what_it_grew_by() {
    let receiver = receiver("127.0.0.1:0");
    let mut statsd = exporter(Dialect::Dogstatsd, &receiver);
    let line = "|c|#service:engine,version:1.2,hit:true,bank.name:L1_a_b";
    statsd
        .export_metrics(&counter(Number::U64(u64::MAX - 3)))
        .unwrap();
    let whole = format!("cache.access:18446744073709551612{line}");
    assert_eq!(datagram(&receiver), whole);
    // Nothing grew: nothing is sent. The next datagram is that of what grew by three.
    for total in [u64::MAX - 3, u64::MAX] {
        statsd.export_metrics(&counter(Number::U64(total))).unwrap();
    }
    assert_eq!(datagram(&receiver), format!("cache.access:3{line}"));
    // It began anew.
    let mut reset = counter(Number::U64(5));
    if let Data::Counter(all) = &mut reset.metrics[0].data {
        all[0].start_unix_ns = 9;
    }
    statsd.export_metrics(&reset).unwrap();
    assert_eq!(datagram(&receiver), format!("cache.access:5{line}"));
}

#[test]
fn without_tags_labels_are_levels_of_the_name_and_a_negative_gauge_is_set_by_way_of_zero() {
    let place = match UdpSocket::bind("[::1]:0") {
        Ok(_) => "[::1]:0",
        Err(error) => {
            eprintln!("SKIPPED: IPv6, which this machine does not have: {error}");
            "127.0.0.1:0"
        }
    };
    let receiver = receiver(place);
    let mut statsd = exporter(Dialect::Statsd, &receiver);
    statsd.config.prefix = "lab.".to_owned();
    let gauge = |value| Data::Gauge(vec![series(labels(&[("gpu", "0.a b")]), value)]);
    let metrics = vec![
        metric("temperature", gauge(Number::F64(-2.5))),
        metric("broken", gauge(Number::F64(f64::NAN))),
        metric("power:w", gauge(Number::I64(7))),
        metric(
            "queued",
            Data::UpDownCounter(vec![series(labels(&[]), Number::F64(-0.0))]),
        ),
    ];
    statsd.export_metrics(&snapshot(metrics)).unwrap();
    let expected = "lab.temperature.gpu.0_a_b:0|g\nlab.temperature.gpu.0_a_b:-2.5|g\n\
                    lab.power_w.gpu.0_a_b:7|g\nlab.queued:0|g";
    assert_eq!(datagram(&receiver), expected);
}

#[test]
fn a_histogram_is_its_count_its_sum_and_what_lies_between_since_the_last() {
    let receiver = receiver("127.0.0.1:0");
    let mut statsd = exporter(Dialect::Statsd, &receiver);
    let all = |value| {
        let data = Data::Histogram(vec![series(labels(&[]), value)]);
        snapshot(vec![metric("step", data)])
    };
    statsd
        .export_metrics(&all(histogram([0, 0, 4], 10.0)))
        .unwrap();
    let first =
        "step.count:4|c\nstep.sum:10|c\nstep.p50:2.5|g\nstep.p95:3|g\nstep.p99:3|g\nstep.max:3|g";
    assert_eq!(datagram(&receiver), first);
    // What was slow before is no part of it.
    statsd
        .export_metrics(&all(histogram([2, 0, 4], 11.0)))
        .unwrap();
    let second =
        "step.count:2|c\nstep.sum:1|c\nstep.p50:0.625|g\nstep.p95:1|g\nstep.p99:1|g\nstep.max:1|g";
    assert_eq!(datagram(&receiver), second);
}

#[test]
fn no_datagram_is_too_long_and_a_line_that_is_is_counted() {
    let receiver = receiver("127.0.0.1:0");
    let mut statsd = exporter(Dialect::Dogstatsd, &receiver);
    let long: &'static str = Box::leak("x".repeat(1000).into_boxed_str());
    let many = |index: u64| {
        let text = Value::Str(format!("worker {index} of many").into());
        let labels: Labels = [(Text::Borrowed("worker"), text)].into();
        series(labels, Number::U64(index))
    };
    let wide: Labels = (0..9)
        .map(|index| (format!("label{index}").into(), Value::Str(long.into())))
        .collect();
    let metrics = vec![
        metric("busy", Data::Gauge((0..200).map(many).collect())),
        metric("wide", Data::Gauge(vec![series(wide, Number::U64(1))])),
    ];
    let lost = loss::total(Lost::RecordTooLarge);
    let error = statsd.export_metrics(&snapshot(metrics)).unwrap_err();
    assert!(error.to_string().contains("longer than 1432"), "{error}");
    assert!(loss::total(Lost::RecordTooLarge) > lost);
    let mut lines = Vec::new();
    while lines.len() < 200 {
        lines.extend(datagram(&receiver).lines().map(str::to_owned));
    }
    for (index, line) in lines.iter().enumerate() {
        let expected =
            format!("busy:{index}|g|#service:engine,version:1.2,worker:worker {index} of many");
        assert_eq!(*line, expected);
    }
}

#[cfg(unix)]
#[test]
fn what_a_counter_grew_by_while_the_agent_was_away_comes_once_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.socket");
    let config = StatsdConfig {
        endpoint: format!("unix://{}", path.display()),
        ..StatsdConfig::new(Dialect::Dogstatsd)
    };
    let mut statsd = Statsd::new(&config).unwrap();
    let error = statsd
        .export_metrics(&counter(Number::F64(1.5)))
        .unwrap_err();
    assert!(error.to_string().contains("come again"), "{error}");
    for (total, grown) in [(4.0, "4"), (4.25, "0.25")] {
        // An agent that was started anew has another socket.
        let _ = std::fs::remove_file(&path);
        let agent = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        statsd.export_metrics(&counter(Number::F64(total))).unwrap();
        let mut bytes = [0; 2000];
        let length = agent.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let begin = format!("cache.access:{grown}|c|#service:engine");
        assert!(text.starts_with(&begin), "{text}");
    }
}

#[test]
fn a_place_that_is_none_is_told() {
    for endpoint in [
        "127.0.0.1",
        "http://127.0.0.1:8125",
        "unix://relative",
        "host:0",
    ] {
        let config = StatsdConfig {
            endpoint: endpoint.to_owned(),
            ..StatsdConfig::new(Dialect::Statsd)
        };
        let error = Statsd::new(&config).unwrap_err();
        assert!(error.contains(endpoint), "{error}");
    }
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn growth_adds_up_to_the_total(steps in prop::collection::vec(0_u64..1000, 1..20)) {
            let mut since = Since::default();
            let (mut total, mut sum) = (0, 0);
            for (index, step) in steps.iter().enumerate() {
                total += step;
                since.begin();
                let now = series(labels(&[]), Number::U64(total));
                let Number::U64(grown) = since.number("a", &now) else { panic!() };
                // Every third datagram is not taken.
                if index % 3 != 2 {
                    sum += grown;
                    since.commit("a".to_owned(), Last::number(&now));
                }
                since.end();
            }
            let now = series(labels(&[]), Number::U64(total));
            let Number::U64(rest) = since.number("a", &now) else { panic!() };
            prop_assert_eq!(sum + rest, total);
        }

        #[test]
        fn text_of_labels_makes_no_lines_and_no_tags_of_its_own(text in "\\PC{0,40}|[|#,:\n ]{0,40}") {
            let all: Labels = [(Text::Owned(text.clone()), Value::Str(text.into()))].into();
            for dialect in [Dialect::Statsd, Dialect::Dogstatsd] {
                let config = StatsdConfig::new(dialect);
                let line = Name::new(&config, "a", &all, &[]).gauge("", &Number::U64(1)).unwrap().text;
                prop_assert!(!line.contains('\n'), "{}", line);
                let begin = line.split(":1|g").next().unwrap();
                prop_assert!(!begin.contains(['|', '#', ':', ',']), "{}", line);
            }
        }
    }
}
