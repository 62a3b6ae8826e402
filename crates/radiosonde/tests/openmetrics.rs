//! Prometheus text: as people read it, as `promtool` checks it, and as a Prometheus server scrapes it. The last two
//! need Debian's `prometheus` package and say so when it is not there.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use radiosonde::{
    core::{
        context::{Context, SAMPLED},
        ids::{SpanId, TraceId},
        loss::{self, Lost},
        metrics::{
            Registry,
            snapshot::{Buckets, Data, Exemplar, Histogram, Metric, Number, Series, Snapshot},
        },
        model::{Resource, Value},
        pump::{self, Pump},
    },
    encode::openmetrics::{ALIASES, Format, Options, encode},
};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn text(snapshot: &Snapshot, options: Options<'_>) -> String {
    let mut out = Vec::new();
    encode(snapshot, options, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn exemplar(value: f64, trace: u128, failed: bool) -> Option<Exemplar> {
    Some(Exemplar {
        value,
        time_unix_ns: 1_520_879_607_789_000_000,
        trace_id: TraceId::new(trace)?,
        span_id: SpanId::new(0xb7ad)?,
        failed,
    })
}

fn series<T>(
    labels: &[(&'static str, &'static str)],
    value: T,
    exemplars: impl IntoIterator<Item = Option<Exemplar>>,
) -> Series<T> {
    Series {
        labels: labels
            .iter()
            .map(|&(name, value)| (name.into(), Value::from(value)))
            .collect(),
        start_unix_ns: 0,
        value,
        exemplars: exemplars.into_iter().flatten().collect(),
    }
}

fn metric(name: &'static str, description: &'static str, unit: &'static str, data: Data) -> Metric {
    Metric {
        name: name.into(),
        description: description.into(),
        unit: unit.into(),
        data,
    }
}

fn snapshot(metrics: Vec<Metric>) -> Snapshot {
    let attributes = vec![
        ("service.name".into(), Value::from("demo")),
        ("host.name".into(), Value::from("a\"b")),
    ];
    Snapshot {
        resource: Arc::new(Resource { attributes }),
        start_unix_ns: 0,
        time_unix_ns: 0,
        metrics,
    }
}

fn call_durations() -> Metric {
    let histogram = Histogram {
        count: 5,
        sum: 6.18,
        min: Some(0.01),
        max: Some(6.0),
        buckets: Buckets::Explicit {
            bounds: [0.01, 0.05, 5.0].into(),
            counts: vec![1, 2, 1, 1],
        },
    };
    let exemplars = [
        exemplar(0.02, 1, true),
        exemplar(0.03, 2, false),
        exemplar(6.0, 3, false),
        exemplar(5.5, 4, true),
    ];
    let data = Data::Histogram(vec![series(&[("library", "numpy")], histogram, exemplars)]);
    metric("worker.call.duration", "A call to a worker.", "s", data)
}

#[test]
fn openmetrics_has_units_exemplars_and_an_end() {
    let operations = Data::Counter(vec![
        series(
            &[("operation", "gemm")],
            Number::U64(7),
            [exemplar(1.0, 9, false)],
        ),
        series(&[], Number::F64(0.25), []),
    ]);
    let snapshot = snapshot(vec![
        metric(
            "gpu.operation.count",
            "Operations,\nended.",
            "{operation}",
            operations,
        ),
        metric(
            "hw.gpu.memory.usage",
            "",
            "By",
            Data::UpDownCounter(vec![series(&[("hw.id", "0")], Number::I64(-5), [])]),
        ),
        metric(
            "hw.gpu.utilization",
            "Busy share.",
            "1",
            Data::Gauge(vec![series(&[], Number::F64(0.97), [])]),
        ),
        call_durations(),
    ]);
    let options = Options {
        format: Format::OpenMetrics,
        aliases: &[],
    };
    insta::assert_snapshot!(text(&snapshot, options), @r##"
    # TYPE target info
    # HELP target What produces these metrics.
    target_info{service_name="demo",host_name="a\"b"} 1
    # TYPE gpu_operation_count counter
    # HELP gpu_operation_count Operations,\nended.
    gpu_operation_count_total{operation="gemm"} 7 # {trace_id="00000000000000000000000000000009",span_id="000000000000b7ad"} 1 1520879607.789
    gpu_operation_count_total 0.25
    # TYPE hw_gpu_memory_usage_bytes gauge
    # UNIT hw_gpu_memory_usage_bytes bytes
    hw_gpu_memory_usage_bytes{hw_id="0"} -5
    # TYPE hw_gpu_utilization_ratio gauge
    # UNIT hw_gpu_utilization_ratio ratio
    # HELP hw_gpu_utilization_ratio Busy share.
    hw_gpu_utilization_ratio 0.97
    # TYPE worker_call_duration_seconds histogram
    # UNIT worker_call_duration_seconds seconds
    # HELP worker_call_duration_seconds A call to a worker.
    worker_call_duration_seconds_bucket{library="numpy",le="0.01"} 1
    worker_call_duration_seconds_bucket{library="numpy",le="0.05"} 3 # {trace_id="00000000000000000000000000000001",span_id="000000000000b7ad"} 0.02 1520879607.789
    worker_call_duration_seconds_bucket{library="numpy",le="5.0"} 4
    worker_call_duration_seconds_bucket{library="numpy",le="+Inf"} 5 # {trace_id="00000000000000000000000000000003",span_id="000000000000b7ad"} 6 1520879607.789
    worker_call_duration_seconds_sum{library="numpy"} 6.18
    worker_call_duration_seconds_count{library="numpy"} 5
    # EOF
    "##);
}

#[test]
fn the_classic_format_shows_aliases_with_exact_bounds() {
    let utilization = Data::Gauge(vec![series(&[], Number::F64(0.07), [])]);
    let snapshot = snapshot(vec![
        metric("hw.gpu.utilization", "Busy share.", "1", utilization),
        call_durations(),
    ]);
    let options = Options {
        format: Format::Prometheus,
        aliases: &ALIASES,
    };
    insta::assert_snapshot!(text(&snapshot, options), @r##"
    # TYPE target_info gauge
    # HELP target_info What produces these metrics.
    target_info{service_name="demo",host_name="a\"b"} 1
    # TYPE hw_gpu_utilization_ratio gauge
    # HELP hw_gpu_utilization_ratio Busy share.
    hw_gpu_utilization_ratio 0.07
    # TYPE metal_gpu_utilization_percent gauge
    # HELP metal_gpu_utilization_percent Busy share.
    metal_gpu_utilization_percent 7
    # TYPE snakepit_call_duration_ms histogram
    # HELP snakepit_call_duration_ms A call to a worker.
    snakepit_call_duration_ms_bucket{library="numpy",le="10"} 1
    snakepit_call_duration_ms_bucket{library="numpy",le="50"} 3
    snakepit_call_duration_ms_bucket{library="numpy",le="5000"} 4
    snakepit_call_duration_ms_bucket{library="numpy",le="+Inf"} 5
    snakepit_call_duration_ms_sum{library="numpy"} 6180
    snakepit_call_duration_ms_count{library="numpy"} 5
    # TYPE worker_call_duration_seconds histogram
    # HELP worker_call_duration_seconds A call to a worker.
    worker_call_duration_seconds_bucket{library="numpy",le="0.01"} 1
    worker_call_duration_seconds_bucket{library="numpy",le="0.05"} 3
    worker_call_duration_seconds_bucket{library="numpy",le="5"} 4
    worker_call_duration_seconds_bucket{library="numpy",le="+Inf"} 5
    worker_call_duration_seconds_sum{library="numpy"} 6.18
    worker_call_duration_seconds_count{library="numpy"} 5
    "##);
}

#[test]
fn metrics_whose_names_become_the_same_are_one_family() {
    let counter = |value| Data::Counter(vec![series(&[("from", value)], Number::U64(1), [])]);
    let snapshot = Snapshot {
        resource: Arc::default(),
        ..snapshot(vec![
            metric("a.b", "First.", "", counter("dots")),
            metric("a_b", "Second.", "", counter("underscores")),
            metric(
                "a/b",
                "Other kind.",
                "",
                Data::Gauge(vec![series(&[], Number::U64(1), [])]),
            ),
        ])
    };
    let options = Options::default();
    insta::assert_snapshot!(text(&snapshot, options), @r##"
    # TYPE a_b_total counter
    # HELP a_b_total First.
    a_b_total{from="dots"} 1
    a_b_total{from="underscores"} 1
    "##);
}

#[test]
fn a_name_or_series_that_is_taken_is_refused_and_counted() {
    let one = |labels: &[(&'static str, &'static str)]| vec![series(labels, Number::U64(1), [])];
    let snapshot = snapshot(vec![
        metric("jobs", "", "", Data::Counter(one(&[]))),
        // A sample's name of the counter above.
        metric("jobs.total", "", "", Data::Gauge(one(&[]))),
        metric("x.y", "", "", Data::Gauge(one(&[("a", "1")]))),
        // The same series to Prometheus.
        metric("x_y", "", "", Data::Gauge(one(&[("a", "1")]))),
        metric("target.info", "", "", Data::Gauge(one(&[]))),
    ]);
    let before = loss::total(Lost::MetricConflict);
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let options = Options {
            format,
            aliases: &[],
        };
        let text = text(&snapshot, options);
        let samples: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("target_info{"))
            .collect();
        assert_eq!(samples, ["jobs_total 1", "x_y{a=\"1\"} 1"]);
    }
    assert!(loss::total(Lost::MetricConflict) - before >= 6);
}

#[test]
fn series_of_one_metric_that_become_the_same_are_refused_and_counted() {
    let registry = Registry::new();
    let counter = registry.counter("calls").build();
    let histogram = registry.histogram("size").bounds(&[]).build();
    let sets: [&[(&str, &str)]; 6] = [
        &[("a.b", "x")],
        &[("a_b", "x")],
        &[("a_b", "y")],
        &[("c", "")],
        &[],
        &[("c", ""), ("d", "z")],
    ];
    for labels in sets {
        counter.with(labels).add(1);
        histogram.with(labels).record(1.0);
    }
    let before = loss::total(Lost::MetricConflict);
    let text = text(&registry.snapshot(&Arc::default()), Options::default());
    let samples = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(samples("calls_total"), 4, "{text}");
    assert_eq!(samples("size_sum"), 4, "{text}");
    assert!(loss::total(Lost::MetricConflict) - before >= 4);
}

#[test]
fn series_that_become_the_same_by_the_names_that_they_get_are_refused() {
    let registry = Registry::new();
    let histogram = registry.histogram("size").bounds(&[]).build();
    let counter = registry.counter("calls").build();
    for name in ["le", "exported_le"] {
        histogram.with(&[(name, "x")]).record(1.0);
        counter.with(&[(name, "x")]).add(1);
    }
    // Other names are in another order.
    let gauge = registry.gauge("level").build();
    gauge.with(&[("a.x", "1"), ("a_b", "2")]).set(1.0);
    gauge.with(&[("a_b", "2"), ("a_x", "1")]).set(2.0);
    let text = text(&registry.snapshot(&Arc::default()), Options::default());
    let samples = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(samples("size_sum"), 1, "{text}");
    assert_eq!(samples("calls_total"), 2, "{text}");
    assert_eq!(samples("level{"), 1, "{text}");
}

#[test]
fn a_measurement_below_zero_leaves_no_sum_that_falls() {
    let registry = Registry::new();
    registry.histogram("change").handle().record(-1.0);
    let mut out = Vec::new();
    let options = Options {
        format: Format::OpenMetrics,
        aliases: &[],
    };
    encode(&registry.snapshot(&Arc::default()), options, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("change_bucket{le=\"+Inf\"} 1"), "{text}");
    assert!(
        !text.contains("change_sum") && !text.contains("change_count"),
        "{text}"
    );
}

#[test]
fn a_reader_gets_what_it_would_rather_have() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::negotiate(prometheus), Format::OpenMetrics);
    assert_eq!(
        Format::negotiate("text/plain, application/openmetrics-text;q=0.5"),
        Format::Prometheus
    );
    for accept in ["", "*/*", "application/openmetrics-text;q=0", ";;q=,,"] {
        assert_eq!(Format::negotiate(accept), Format::Prometheus, "{accept}");
    }
}

/// Metrics of every kind, as a program makes them.
fn registry() -> Registry {
    let registry = Registry::new();
    let operations = registry
        .counter("gpu.operation.count")
        .unit("{operation}")
        .description("Operations that ended.")
        .build();
    let duration = registry
        .histogram("gpu.operation.duration")
        .unit("s")
        .description("How long operations took.")
        .build();
    for (operation, base) in [("gemm", 0.002), ("softmax \"fast\"\\\n", 0.0001)] {
        let labels = [("gpu.operation", operation)];
        for n in 1..=100_u64 {
            operations.with(&labels).add(1);
            duration.with(&labels).record(base * n as f64);
        }
    }
    let calls = registry
        .histogram("worker.call.duration")
        .unit("s")
        .description("A call to a worker.")
        .bounds(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
        .handle();
    calls.record(0.2);
    registry
        .gauge("hw.gpu.utilization")
        .unit("1")
        .description("Busy share.")
        .with(&[("hw.id", "0")])
        .set(0.5);
    registry
        .up_down_counter("worker.queue.length")
        .unit("{request}")
        .description("Requests that wait.")
        .handle()
        .add(-1);
    registry
        .up_down_counter("process.thread.count")
        .unit("{thread}")
        .description("Threads.")
        .with(&[("__name__", "a name that is Prometheus' own")])
        .add(7);
    registry
}

fn resource() -> Arc<Resource> {
    let attributes = vec![("service.name".into(), Value::from("demo"))];
    Arc::new(Resource { attributes })
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {program} is not installed (apt-get install prometheus)"
        );
    }
    found
}

#[test]
fn promtool_finds_nothing_to_complain_about() -> TestResult {
    if !is_installed("promtool") {
        return Ok(());
    }
    let text = text(&registry().snapshot(&resource()), Options::default());
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool
        .stdin
        .take()
        .ok_or("no standard input")?
        .write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
    Ok(())
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn trace(bits: u128) -> Context {
    // Threads have a context only while a pump runs.
    static PUMP: OnceLock<Pump> = OnceLock::new();
    PUMP.get_or_init(|| {
        let config = pump::Config {
            resource: Arc::default(),
            consumers: Vec::new(),
        };
        pump::start(config).unwrap()
    });
    Context::remote(
        TraceId::new(bits).unwrap(),
        SpanId::new(7).unwrap(),
        SAMPLED,
    )
}

/// Answers every scrape with the registry's text, in the format that is asked for.
fn serve(registry: Registry) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(&registry, stream);
        }
    });
    Ok(port)
}

fn answer(registry: &Registry, mut stream: TcpStream) -> std::io::Result<()> {
    let mut accept = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("accept")
        {
            value.clone_into(&mut accept);
        }
    }
    let format = Format::negotiate(&accept);
    let options = Options {
        format,
        aliases: &ALIASES,
    };
    let body = text(&registry.snapshot(&resource()), options);
    let (content_type, length) = (format.content_type(), body.len());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Stops the server when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_prometheus(folder: &Path, target: u16, port: u16) -> std::io::Result<Server> {
    let config = folder.join("prometheus.yml");
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: radiosonde\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        ),
    )?;
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=exemplar-storage")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Server(child))
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Asks until the answer has what is wanted.
fn ask(port: u16, path: &str, wanted: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = get(port, path).unwrap_or_default();
        if answer.contains(wanted) || Instant::now() > deadline {
            assert!(answer.contains(wanted), "{path}: no {wanted} in {answer}");
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn prometheus_scrapes_reads_exemplars_back_and_answers_a_quantile() -> TestResult {
    if !is_installed("prometheus") {
        return Ok(());
    }
    let registry = registry();
    {
        let _context = trace(0xfeed).attach();
        registry
            .histogram("gpu.operation.duration")
            .with(&[("gpu.operation", "gemm")])
            .record(0.75);
        registry
            .counter("gpu.operation.count")
            .with(&[("gpu.operation", "gemm")])
            .add(1);
    }
    let target = serve(registry)?;
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _server = start_prometheus(folder.path(), target, port)?;
    let trace = "0000000000000000000000000000feed";
    for name in [
        "gpu_operation_duration_seconds_bucket",
        "gpu_operation_count_total",
        "metal_operation_duration_ms_bucket",
    ] {
        let path = format!("/api/v1/query_exemplars?query={name}&start=0&end=9999999999");
        ask(port, &path, trace);
    }
    for (query, wanted) in [
        ("metal_operations_total", "\"101\""),
        ("metal_gpu_utilization_percent", "\"50\""),
        ("target_info", "\"service_name\":\"demo\""),
        ("worker_call_duration_seconds_bucket{le=\"0.25\"}", "\"1\""),
        (
            "gpu_operation_count_total{gpu_operation=\"softmax \\\"fast\\\"\\\\\\n\"}",
            "\"100\"",
        ),
    ] {
        ask(
            port,
            &format!("/api/v1/query?query={}", encoded(query)),
            wanted,
        );
    }
    // 101 values from 2 to 200 ms and one of 750: the median is near 0.1 s, between the bounds 0.0625 and 0.125.
    let quantile =
        "histogram_quantile(0.5,gpu_operation_duration_seconds_bucket{gpu_operation=\"gemm\"})";
    let answer = ask(
        port,
        &format!("/api/v1/query?query={}", encoded(quantile)),
        "\"value\":",
    );
    let value = answer.rsplit("\"value\":").next().unwrap_or_default();
    let value: f64 = value.split('"').nth(1).ok_or("no value")?.parse()?;
    assert!((0.0625..0.125).contains(&value), "{value}");
    Ok(())
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}
