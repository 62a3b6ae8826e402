//! Answers from a store with a small system in it: a gateway that calls an engine, as the router gives them.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::{Body, to_bytes};
use http::Request;
use radiosonde_store::{
    Config, Rows as StoreRows,
    row::{LogRow, Origin, PointKind, PointRow, SampleRow, SpanRow, Value as Attribute},
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;

mod cardinality;
mod queues;
mod selections;
mod show;
mod turns;
mod vocabularies;

/// 2026-11-28T00:00:00Z.
const START: i64 = 1_795_824_000_000_000_000;
const MS: i64 = 1_000_000;
const RANGE: &str = "from=2026-11-28T00:00:00Z&to=2026-11-28T00:10:00Z";

pub(super) struct System {
    pub(super) api: Arc<Api>,
    _folder: TempDir,
    _stop: watch::Sender<bool>,
}

impl System {
    pub(super) fn new() -> Self {
        let system = Self::empty();
        system.api.store.append(rows()).unwrap();
        system
    }

    fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let config = Config::new(folder.path());
        let store = Arc::new(Store::open(config.clone()).unwrap());
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 4318));
        let addresses = Addresses {
            otlp_grpc: here,
            otlp_http: here,
            page: here,
            statsd: None,
            syslog: None,
            is_encrypted: false,
        };
        let (stop, stopping) = watch::channel(false);
        let intake = Arc::new(Intake::new(Arc::clone(&store), here, here));
        let dashboards = Arc::new(Dashboards::new(None));
        let api = Api::new(store, config, intake, addresses, dashboards, stopping);
        Self {
            api,
            _folder: folder,
            _stop: stop,
        }
    }

    pub(super) fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let Ok(response) = router(Arc::clone(&self.api)).oneshot(request).await;
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    fn get(&self, address: &str) -> Value {
        let (status, answer) = self.ask(Request::get(address).body(Body::empty()).unwrap());
        assert_eq!(status, StatusCode::OK, "{address}: {answer:#}");
        answer
    }

    fn refused(&self, address: &str) -> (u16, String) {
        let (status, answer) = self.ask(Request::get(address).body(Body::empty()).unwrap());
        let error = &answer["error"];
        assert!(!error["mend"].as_str().unwrap().is_empty());
        (
            status.as_u16(),
            error["message"].as_str().unwrap().to_owned(),
        )
    }
}

fn origin(service: &'static str) -> Origin<'static> {
    let resource = match service {
        "gateway" => r#"{"service.name":"gateway","host.name":"a"}"#,
        _ => r#"{"service.name":"engine","host.name":"b"}"#,
    };
    Origin {
        service,
        resource,
        scope: "tests",
    }
}

/// Four requests, 100 ms apart, of 50, 60, 70 and 80 ms; the last one fails.
fn rows() -> StoreRows {
    let mut rows = StoreRows::default();
    for request in 0..4_u8 {
        let (start, duration) = (
            START + i64::from(request) * 100 * MS,
            (50 + i64::from(request) * 10) * MS,
        );
        let is_last = request == 3;
        let trace_id = [request + 1; 16];
        let root = SpanRow {
            origin: origin("gateway"),
            trace_id,
            span_id: [1; 8],
            parent_span_id: None,
            name: "POST /generate",
            kind: "server",
            status: if is_last { "error" } else { "unset" },
            status_message: if is_last { "out of memory" } else { "" },
            start_unix_ns: start,
            duration_ns: duration,
            links: "",
            attributes: &[("http.route", Attribute::Text("/generate"))],
        };
        rows.span(&root);
        rows.span(&SpanRow {
            origin: origin("engine"),
            span_id: [2; 8],
            parent_span_id: Some([1; 8]),
            name: "forward",
            kind: "server",
            status: "unset",
            status_message: "",
            start_unix_ns: start + 10 * MS,
            duration_ns: duration - 20 * MS,
            attributes: &[
                ("gpu.op", Attribute::Text("softmax")),
                ("gen_ai.usage.output_tokens", Attribute::Int(10)),
                ("batch", Attribute::Int(request.into())),
            ],
            ..root
        });
        rows.log(&LogRow {
            origin: origin("engine"),
            time_unix_ns: start + 5 * MS,
            trace_id: Some(trace_id),
            span_id: Some([2; 8]),
            severity: if is_last { 17 } else { 9 },
            event_name: "",
            body: if is_last {
                "It's out of memory"
            } else {
                "begun"
            },
            attributes: &[("n", Attribute::Int(request.into()))],
        });
    }
    requests(&mut rows);
    samples(&mut rows);
    rows
}

/// A sample every millisecond for 100 ms of a program that computes with torch for 60 of them, reads JSON for 30 and uses numpy
/// for 10. Those of torch are in the first request. And what it had allocated.
fn samples(rows: &mut StoreRows) {
    let stacks = [
        (
            60,
            "torch",
            "mm",
            "main\t/srv/app.py\nmm\t/venv/lib/python3.11/site-packages/torch/functional.py\nmemcpy\t\t\t/lib/libc.so.6",
        ),
        (
            90,
            "json",
            "scan",
            "main\t/srv/app.py\nscan\t/usr/lib/python3.11/json/scanner.py",
        ),
        (
            100,
            "numpy",
            "dot",
            "main\t/srv/app.py\ndot\t/venv/lib/python3.11/site-packages/numpy/linalg.py",
        ),
    ];
    for ms in 0..100 {
        let (_, library, function, stack) =
            stacks.into_iter().find(|(until, ..)| ms < *until).unwrap();
        let is_torch = library == "torch";
        let row = SampleRow {
            origin: origin("engine"),
            time_unix_ns: START + ms * MS,
            duration_ns: 100 * MS,
            trace_id: is_torch.then_some([1; 16]),
            span_id: is_torch.then_some([2; 8]),
            kind: "cpu",
            unit: "nanoseconds",
            value: MS,
            thread: if is_torch { "worker" } else { "main" },
            library,
            function,
            stack,
            attributes: &[],
        };
        rows.sample(&row);
        rows.sample(&SampleRow {
            kind: "alloc_space",
            unit: "bytes",
            value: 10,
            ..row
        });
    }
}

/// A counter of requests, read every ten seconds.
fn requests(rows: &mut StoreRows) {
    for step in 0..3 {
        rows.point(&PointRow {
            origin: origin("engine"),
            name: "requests",
            unit: "{request}",
            kind: PointKind::Counter,
            time_unix_ns: START + step * 10_000 * MS,
            start_unix_ns: START - 1,
            value: (step * 20) as f64,
            count: 0,
            distribution: "",
            exemplars: if step == 1 { EXEMPLAR } else { "" },
            attributes: &[("device", Attribute::Text("cuda:0"))],
        });
    }
}

const EXEMPLAR: &str = r#"[{"time_unix_nano":1795824005000000000,"value":3,"trace_id":"01010101010101010101010101010101","span_id":"0101010101010101"}]"#;

#[test]
fn the_overview_counts_requests_errors_and_tokens() {
    let answer = System::new().get(&format!("/api/v1/overview?{RANGE}&buckets=10"));
    assert_eq!(answer["step_ms"], 60_000.0);
    assert_eq!(answer["series"]["requests"][0], 8);
    assert_eq!(answer["series"]["errors"][0], 1);
    assert_eq!(answer["series"]["requests"][1], 0);
    assert_eq!(answer["series"]["tokens_output"][0], 40.0);
    let services = answer["services"].as_array().unwrap();
    let counts: Vec<_> = services
        .iter()
        .map(|it| {
            (
                it["service"].as_str().unwrap(),
                it["requests"].as_i64(),
                it["logs"].as_i64(),
            )
        })
        .collect();
    assert_eq!(
        counts,
        [("engine", Some(4), Some(4)), ("gateway", Some(4), Some(0))]
    );
    assert_eq!(answer["operations"][0]["name"], "POST /generate");
    assert_eq!(answer["operations"][0]["total_ns"], 260e6);
}

#[test]
fn traces_are_listed_by_time_or_duration_and_found_by_any_of_their_spans() {
    let system = System::new();
    let ids = |query: &str| -> Vec<u8> {
        let answer = system.get(&format!("/api/v1/traces?{RANGE}&{query}"));
        let traces = answer["traces"].as_array().unwrap().clone();
        traces
            .iter()
            .map(|trace| u8::from_str_radix(&trace["trace_id"].as_str().unwrap()[..2], 16).unwrap())
            .collect()
    };
    assert_eq!(ids(""), [4, 3, 2, 1]);
    assert_eq!(ids("order=slowest&limit=2"), [4, 3]);
    // The engine's span, below the one that the list shows, is longer than 35 ms in three of them.
    assert_eq!(
        ids("q=gpu.op%20%3D%20softmax%20and%20duration%20%3E%2035ms"),
        [4, 3, 2]
    );
    assert_eq!(
        ids("q=batch%20%3E%3D%202%20and%20not%20batch%20%3D%203"),
        [3]
    );
    assert_eq!(ids("q=status%20%3D%20error"), [4]);
    assert_eq!(ids("service=engine&q=generate"), Vec::<u8>::new());
    let answer = system.get(&format!("/api/v1/traces?{RANGE}&limit=1"));
    let trace = &answer["traces"][0];
    assert_eq!(
        (
            answer["more"].as_bool(),
            trace["spans"].as_i64(),
            trace["errors"].as_i64()
        ),
        (Some(true), Some(2), Some(1))
    );
    assert_eq!(
        (trace["name"].as_str(), trace["service"].as_str()),
        (Some("POST /generate"), Some("gateway"))
    );
    assert_eq!(trace["services"], serde_json::json!(["engine", "gateway"]));
    assert_eq!(trace["start_unix_ns"], (START + 300 * MS).to_string());
    assert_eq!(trace["duration_ns"], 80 * MS);
}

#[test]
fn a_trace_has_its_spans_logs_and_resources_and_an_account() {
    let system = System::new();
    let id = "04".repeat(16);
    let answer = system.get(&format!("/api/v1/traces/{id}"));
    let spans = answer["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(
        (
            spans[1]["offset_ns"].as_i64(),
            spans[1]["parent_span_id"].as_str()
        ),
        (Some(10 * MS), Some("0101010101010101"))
    );
    assert_eq!(spans[1]["attributes"]["gpu.op"], "softmax");
    assert_eq!(
        answer["resources"][spans[1]["resource"].as_u64().unwrap() as usize]["host.name"],
        "b"
    );
    assert_eq!(spans[0]["status_message"], "out of memory");
    assert_eq!(
        (
            answer["logs"][0]["offset_ns"].as_i64(),
            answer["logs"][0]["severity_text"].as_str()
        ),
        (Some(5 * MS), Some("ERROR"))
    );
    let why = system.get(&format!("/api/v1/traces/{id}/why"));
    assert_eq!(why["interval"]["duration_ns"], 80 * MS);
    assert!(why["text"].as_str().unwrap().contains("80"), "{why:#}");
}

#[test]
fn logs_are_found_by_text_severity_and_trace() {
    let system = System::new();
    let bodies = |query: &str| -> Vec<String> {
        let answer = system.get(&format!("/api/v1/logs?{RANGE}&{query}"));
        answer["logs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|log| log["body"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(bodies("").len(), 4);
    assert_eq!(bodies("q=IT%27S"), ["It's out of memory"]);
    assert_eq!(bodies("severity=error"), ["It's out of memory"]);
    assert_eq!(bodies(&format!("trace_id={}", "01".repeat(16))), ["begun"]);
    assert_eq!(bodies("limit=1").len(), 1);
}

#[test]
fn a_counter_is_shown_as_its_rate_with_exemplars() {
    let system = System::new();
    let list = system.get(&format!("/api/v1/metrics?{RANGE}"));
    assert_eq!(
        (
            list["metrics"][0]["name"].as_str(),
            list["metrics"][0]["series"].as_i64()
        ),
        (Some("requests"), Some(1))
    );
    let answer = system.get(&format!("/api/v1/metrics/requests?{RANGE}&buckets=60"));
    let series = &answer["series"][0];
    assert_eq!(series["attributes"]["device"], "cuda:0");
    assert_eq!(
        series["points"][0],
        serde_json::json!([1_795_824_010_000.0, 2.0])
    );
    assert_eq!(answer["exemplars"][0]["trace_id"], "01".repeat(16));
}

#[test]
fn the_workers_page_has_queues_memory_calls_and_errors() {
    let system = System::new();
    let mut rows = StoreRows::default();
    for step in 0..70 {
        for (name, value, device) in [
            ("worker.pool.queue.depth", step as f64, "a"),
            ("hw.gpu.memory.usage", 1e9 + step as f64, "a"),
            ("hw.gpu.memory.usage", 2e9, "b"),
        ] {
            rows.point(&PointRow {
                origin: origin("engine"),
                name,
                unit: "1",
                kind: PointKind::Gauge,
                time_unix_ns: START + step * 1000 * MS,
                start_unix_ns: 0,
                value,
                count: 0,
                distribution: "",
                exemplars: "",
                attributes: &[("hw.id", Attribute::Text(device))],
            });
        }
    }
    rows.log(&LogRow {
        origin: origin("engine"),
        time_unix_ns: START,
        trace_id: Some([9; 16]),
        span_id: None,
        severity: 9,
        event_name: "worker.call",
        body: "",
        attributes: &[
            ("library", Attribute::Text("torch")),
            ("function", Attribute::Text("forward")),
            ("duration_ns", Attribute::Int(5)),
            ("result", Attribute::Text("ok")),
        ],
    });
    system.api.store.append(rows).unwrap();
    let answer = system.get(&format!("/api/v1/workers?{RANGE}"));
    let queue = &answer["queues"][0];
    assert_eq!(
        (queue["queue"].as_str(), queue["depth"].as_f64()),
        (Some("worker.pool.queue.depth"), Some(69.0))
    );
    let memory = answer["memory"].as_array().unwrap();
    assert_eq!(memory.len(), 2);
    let points = memory[0]["points"].as_array().unwrap();
    assert_eq!(
        (points.len(), points[59][1].as_f64()),
        (60, Some(1e9 + 69.0))
    );
    let call = &answer["calls"][0];
    assert_eq!(
        (
            call["library"].as_str(),
            call["duration_ns"].as_f64(),
            call["status"].as_str()
        ),
        (Some("torch"), Some(5.0), Some("ok"))
    );
    let error = &answer["errors"][0];
    assert_eq!(
        (error["message"].as_str(), error["trace_id"].as_str()),
        (Some("It's out of memory"), Some("04".repeat(16).as_str()))
    );
}

#[test]
fn an_engine_shows_its_rows_from_the_events_it_sent() {
    let system = System::new();
    let mut rows = StoreRows::default();
    for (path, duration) in [("forward/block 0", 30), ("forward", 50)] {
        rows.log(&LogRow {
            origin: origin("engine"),
            time_unix_ns: START,
            trace_id: None,
            span_id: None,
            severity: 5,
            event_name: "model.phase",
            body: "",
            attributes: &[
                ("radiosonde.event.type", Attribute::Text("LatencyEvent")),
                ("path", Attribute::Text(path)),
                ("step", Attribute::Int(1)),
                ("duration_ns", Attribute::Int(duration)),
            ],
        });
    }
    system.api.store.append(rows).unwrap();
    let answer = system.get(&format!("/api/v1/engines?{RANGE}"));
    let latency = answer["engines"][0]["latency"].as_array().unwrap();
    let rows: Vec<_> = latency
        .iter()
        .map(|row| {
            (
                row["path"].as_str().unwrap(),
                row["last_ns"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("forward", 50),
            ("forward/block 0", 30),
            ("forward/gap", 20)
        ]
    );
}

#[test]
fn the_map_has_who_calls_whom() {
    let answer = System::new().get(&format!("/api/v1/map?{RANGE}"));
    assert_eq!(answer["nodes"].as_array().unwrap().len(), 2);
    let edge = &answer["edges"][0];
    assert_eq!(
        (
            edge["from"].as_str(),
            edge["to"].as_str(),
            edge["calls"].as_i64()
        ),
        (Some("gateway"), Some("engine"), Some(4))
    );
}

#[test]
fn statements_are_answered_and_what_writes_is_refused() {
    let system = System::new();
    let ask = |statement: &str| {
        let body = serde_json::json!({ "statement": statement }).to_string();
        let request = Request::post("/api/v1/sql").header("content-type", "application/json");
        system.ask(request.body(Body::from(body)).unwrap())
    };
    let (status, answer) =
        ask("SELECT count(*) AS n, max(duration) AS d, min(trace_id) AS t FROM spans");
    assert_eq!(status, StatusCode::OK);
    let types: Vec<_> = answer["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["integer", "integer", "id"]);
    assert_eq!(
        answer["rows"][0],
        serde_json::json!([8, 80 * MS, "01".repeat(16)])
    );
    let (status, answer) = ask("DROP TABLE spans");
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer:#}");
    // Found only where it runs, and a mistake all the same.
    let (status, answer) = ask("SELECT CAST(name AS INT) FROM spans");
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer:#}");
    let request = Request::post("/api/v1/sql")
        .body(Body::from("SELECT 1"))
        .unwrap();
    assert_eq!(system.ask(request).0, StatusCode::BAD_REQUEST);
}

#[test]
fn what_is_wrong_with_a_question_is_said() {
    let system = System::new();
    for (address, status, words) in [
        ("/api/v1/traces/xyz", 400, "no trace ID"),
        (
            "/api/v1/traces/ffffffffffffffffffffffffffffffff",
            404,
            "is not here",
        ),
        ("/api/v1/traces?order=best", 400, "no order"),
        ("/api/v1/traces?q=duration%3Esoon", 400, "no duration"),
        ("/api/v1/logs?severity=loud", 400, "no severity"),
        ("/api/v1/logs?since=-1h", 400, "since"),
        ("/api/v1/metrics/nothing", 404, "no readings"),
        ("/api/v1/everything", 404, "/api/v1/everything"),
        ("/api/v1/sql", 405, "nothing at /api/v1/sql is asked by GET"),
    ] {
        let (found, message) = system.refused(address);
        assert!(
            found == status && message.contains(words),
            "{address}: {found} {message}"
        );
    }
}

#[test]
fn the_status_says_what_there_is() {
    let answer = System::new().get("/api/v1/status");
    assert_eq!(answer["store"]["rows_in_memory"], 215);
    assert_eq!(answer["received"]["spans"], 0);
    assert_eq!(answer["listening"]["otlp_http"], "http://127.0.0.1:4318");
}

#[test]
fn a_flame_graph_ranks_libraries_and_functions() {
    let system = System::new();
    let answer = system.get(&format!("/api/v1/flame?{RANGE}"));
    assert_eq!(
        (answer["type"].as_str(), answer["unit"].as_str()),
        (Some("cpu"), Some("nanoseconds"))
    );
    assert_eq!(
        (
            answer["total"].as_i64(),
            answer["samples"].as_i64(),
            answer["stacks"].as_i64()
        ),
        (Some(100 * MS), Some(100), Some(3))
    );
    let ranked: Vec<_> = answer["libraries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["library"].as_str().unwrap(),
                row["charged"].as_i64().unwrap() / MS,
                row["own"].as_i64().unwrap() / MS,
            )
        })
        .collect();
    assert_eq!(
        ranked[..3],
        [("torch", 60, 0), ("json", 30, 30), ("numpy", 10, 10)]
    );
    assert_eq!(answer["functions"][0]["function"], "memcpy");
    let nodes = &answer["nodes"];
    assert_eq!(nodes["parent"], serde_json::json!([0, 0, 1, 2, 1, 1]));
    assert_eq!(nodes["total"][1], 100 * MS);
    assert!(nodes["b_total"].is_null() && answer["b_total"].is_null());
    let types: Vec<_> = answer["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["alloc_space", "cpu"]);
    let few = system.get(&format!("/api/v1/flame?{RANGE}&nodes=3&type=alloc_space"));
    assert_eq!(
        (
            few["left_out"].as_i64(),
            few["more"].as_bool(),
            few["total"].as_i64()
        ),
        (Some(3), Some(true), Some(1000))
    );
}

#[test]
fn samples_are_chosen_by_trace_span_thread_and_text() {
    let system = System::new();
    let total = |query: &str| {
        system.get(&format!("/api/v1/flame?{RANGE}&{query}"))["total"]
            .as_i64()
            .unwrap()
            / MS
    };
    let trace = "01".repeat(16);
    assert_eq!(total(&format!("trace_id={trace}")), 60);
    assert_eq!(
        total(&format!("trace_id={trace}&span_id=0202020202020202")),
        60
    );
    assert_eq!(
        total(&format!("trace_id={trace}&span_id=0303030303030303")),
        0
    );
    assert_eq!(total("thread=main"), 40);
    assert_eq!(total("q=SCAN"), 30);
    assert_eq!(total("service=gateway"), 0);
    assert_eq!(total("type=wall"), 0);
    assert_eq!(system.refused("/api/v1/flame?trace_id=xyz").0, 400);
    assert_eq!(system.refused("/api/v1/flame?colour=red").0, 400);
}

#[test]
fn two_flame_graphs_are_laid_over_each_other() {
    let system = System::new();
    let answer = system.get(&format!(
        "/api/v1/flame?{RANGE}&a_to=2026-11-28T00:00:00.080Z&b_from=2026-11-28T00:00:00.080Z"
    ));
    assert_eq!(
        (answer["total"].as_i64(), answer["b_total"].as_i64()),
        (Some(80 * MS), Some(20 * MS))
    );
    let of = |library: &str| {
        let row = answer["libraries"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["library"] == library)
            .unwrap()
            .clone();
        (
            row["charged"].as_i64().unwrap() / MS,
            row["b_charged"].as_i64().unwrap() / MS,
        )
    };
    assert_eq!(
        [of("torch"), of("json"), of("numpy")],
        [(60, 0), (20, 10), (0, 10)]
    );
    assert_eq!(answer["nodes"]["b_total"][0], 20 * MS);
}
