//! Queues as they are reported in the wild: by events, by readings of engines, by spans of messages.

use super::*;

const S: i64 = 1000 * MS;
const QUEUES: &str = "/api/v1/queues?from=2026-11-28T00:00:00Z&to=2026-11-28T00:10:00Z";

fn event(
    rows: &mut StoreRows,
    time: i64,
    name: &str,
    trace: u8,
    attributes: &[(&str, Attribute<'_>)],
) {
    rows.log(&LogRow {
        origin: origin("engine"),
        time_unix_ns: time,
        trace_id: Some([trace; 16]),
        span_id: Some([1; 8]),
        severity: 9,
        event_name: name,
        body: "",
        attributes,
    });
}

/// Every second an item comes, waits 2 s and is worked on for 1 s; the last of `worker-b` never ends.
fn reported_items(rows: &mut StoreRows) {
    for at in 0..60_i64 {
        let (item, came) = (format!("item-{at:02}"), START + at * S);
        let item = [
            ("queue", Attribute::Text("orders")),
            ("item", Attribute::Text(&item)),
        ];
        let worker = if at == 40 { "worker-b" } else { "worker-a" };
        let with = |more: &[(&'static str, Attribute<'static>)]| -> Vec<(&str, Attribute<'_>)> {
            item.iter().chain(more).copied().collect()
        };
        event(
            rows,
            came,
            "queue.enqueued",
            7,
            &with(&[("capacity", Attribute::Int(50))]),
        );
        if at >= 57 {
            continue;
        }
        event(
            rows,
            came + 2 * S,
            "queue.started",
            8,
            &with(&[
                ("worker", Attribute::Text(worker)),
                ("waited_ns", Attribute::Int(2 * S)),
            ]),
        );
        if at != 40 {
            event(
                rows,
                came + 3 * S,
                "queue.finished",
                8,
                &with(&[
                    ("worker", Attribute::Text(worker)),
                    ("result", Attribute::Text("ok")),
                    ("worked_ns", Attribute::Int(S)),
                ]),
            );
        }
    }
}

fn queue<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let queues = answer["queues"].as_array().unwrap();
    let found = queues.iter().find(|queue| queue["queue"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {answer:#}"))
}

#[test]
fn a_queue_that_reports_its_items_is_answered_in_full() {
    let system = System::new();
    let mut rows = StoreRows::default();
    reported_items(&mut rows);
    system.api.store.append(rows).unwrap();
    let answer = system.get(&format!("{QUEUES}&service=engine"));
    let orders = queue(&answer, "orders");
    assert_eq!(
        (&orders["depth"]["now"], &orders["depth"]["source"]),
        (&3.0.into(), &"items".into())
    );
    assert_eq!(
        (&orders["capacity"], &orders["workers"]),
        (&50.0.into(), &2.0.into())
    );
    assert_eq!(orders["wait"]["mean_ns"], 2 * S);
    assert_eq!(orders["work_mean_ns"], S);
    let ahead = orders["ahead"].as_array().unwrap();
    let items: Vec<_> = ahead
        .iter()
        .map(|it| it["item"].as_str().unwrap())
        .collect();
    assert_eq!(items, ["item-57", "item-58", "item-59"]);
    assert_eq!(ahead[0]["trace_id"], "07".repeat(16));
    assert_eq!(orders["oldest"]["trace_id"], "07".repeat(16));
    assert_eq!(orders["stuck"][0]["worker"], "worker-b");
    assert!(
        answer["text"]
            .as_str()
            .unwrap()
            .contains("worker worker-b, at item-40,")
    );
}

/// What a scrape of vLLM leaves, every five seconds for ten minutes: two requests a second come and are done, each waits 3 s.
fn vllm(rows: &mut StoreRows) {
    for step in 0..120_i64 {
        let time_unix_ns = START + step * 5 * S;
        let done = (step * 10) as f64;
        let readings = [
            ("vllm:num_requests_waiting", PointKind::Gauge, 6.0, 0, ""),
            ("vllm:num_requests_running", PointKind::Gauge, 8.0, 0, ""),
            (
                "vllm:kv_cache_usage_perc",
                PointKind::Gauge,
                0.2 + 0.004 * step as f64,
                0,
                "",
            ),
            (
                "vllm:request_success_total",
                PointKind::Counter,
                done * 0.9,
                0,
                "stop",
            ),
            (
                "vllm:request_success_total",
                PointKind::Counter,
                done * 0.1,
                0,
                "length",
            ),
            (
                "vllm:request_queue_time_seconds",
                PointKind::Histogram,
                done * 3.0,
                step * 10,
                "",
            ),
        ];
        for (name, kind, value, count, reason) in readings {
            let model = ("model_name", Attribute::Text("llama"));
            let reason_given = ("finished_reason", Attribute::Text(reason));
            let attributes = if reason.is_empty() {
                vec![model]
            } else {
                vec![model, reason_given]
            };
            rows.point(&PointRow {
                origin: origin("engine"),
                name,
                unit: "",
                kind,
                time_unix_ns,
                start_unix_ns: 0,
                value,
                count,
                distribution: "",
                exemplars: "",
                attributes: &attributes,
            });
        }
    }
}

#[test]
fn an_engines_readings_answer_for_its_queue() {
    let system = System::new();
    let mut rows = StoreRows::default();
    vllm(&mut rows);
    system.api.store.append(rows).unwrap();
    let answer = system.get(QUEUES);
    let llama = queue(&answer, "llama");
    assert_eq!(llama["depth"]["mean"], 6.0);
    assert_eq!(llama["in_service_mean"], 8.0);
    let rate = |name: &str| llama[name]["per_s"].as_f64().unwrap();
    assert!((rate("service_rate") - 2.0).abs() < 1e-6 && (rate("arrival") - 2.0).abs() < 1e-6);
    let little = &llama["little"];
    assert_eq!(
        (&little["kind"], &little["holds"]),
        (&"assessed".into(), &true.into())
    );
    assert!((little["lambda_w"].as_f64().unwrap() - 6.0).abs() < 0.1);
    // The cache fills by 0.0008 a second from 0.676 on.
    let cache = &llama["saturation"][0];
    assert_eq!(
        (&cache["what"], &cache["limit"]),
        (
            &"radiosonde.gen_ai.kv_cache.utilization".into(),
            &1.0.into()
        )
    );
    let in_s = cache["in_s"].as_f64().unwrap();
    assert!((in_s - 405.0).abs() < 10.0, "{in_s}");
}

#[test]
fn a_queue_that_is_young_is_read_as_closely_as_one_that_is_old() {
    let system = System::new();
    let mut rows = StoreRows::default();
    for at in 0..60_i64 {
        rows.point(&PointRow {
            origin: origin("engine"),
            name: "queue.depth",
            unit: "",
            kind: PointKind::Gauge,
            time_unix_ns: START + at * S,
            start_unix_ns: 0,
            value: at as f64,
            count: 0,
            distribution: "",
            exemplars: "",
            attributes: &[("queue", Attribute::Text("young"))],
        });
    }
    system.api.store.append(rows).unwrap();
    let answer = system.get("/api/v1/queues?from=2026-11-27T00:00:00Z&to=2026-11-29T00:00:00Z");
    let young = queue(&answer, "young");
    assert_eq!(young["depth"]["now"], 59.0);
    let mean = young["depth"]["mean"].as_f64().unwrap();
    assert!((mean - 29.5).abs() <= 0.5, "{mean}");
}

#[test]
fn messages_wait_from_their_producer_to_their_consumer() {
    let system = System::new();
    let mut rows = StoreRows::default();
    for at in 0..5_u8 {
        let sent = START + i64::from(at) * S;
        let span = |kind: &'static str, id: u8, parent: Option<u8>, start: i64| SpanRow {
            origin: origin(if kind == "producer" {
                "gateway"
            } else {
                "engine"
            }),
            trace_id: [at + 1; 16],
            span_id: [id; 8],
            parent_span_id: parent.map(|id| [id; 8]),
            name: "message",
            kind,
            status: "unset",
            status_message: "",
            start_unix_ns: start,
            duration_ns: 100 * MS,
            links: "",
            attributes: &[("messaging.destination.name", Attribute::Text("jobs"))],
        };
        rows.span(&span("producer", 10 + at, None, sent));
        // The last is not consumed.
        if at < 4 {
            rows.span(&span("consumer", 20 + at, Some(10 + at), sent + 600 * MS));
        }
        // Nobody is known to consume these.
        rows.span(&SpanRow {
            attributes: &[("messaging.destination.name", Attribute::Text("elsewhere"))],
            ..span("producer", 30 + at, None, sent)
        });
    }
    system.api.store.append(rows).unwrap();
    let answer = system.get(QUEUES);
    let jobs = queue(&answer, "jobs");
    assert_eq!(
        (&jobs["service"], &jobs["wait"]["mean_ns"]),
        (&"engine".into(), &(500 * MS).into())
    );
    let ahead = jobs["ahead"].as_array().unwrap();
    assert_eq!(
        (ahead.len(), ahead[0]["trace_id"].as_str()),
        (1, Some("05".repeat(16).as_str()))
    );
    assert_eq!(answer["queues"].as_array().unwrap().len(), 1);
}

#[test]
fn without_queues_there_is_nothing_to_say() {
    let answer = System::new().get(QUEUES);
    assert_eq!(
        (&answer["queues"], &answer["text"]),
        (&serde_json::json!([]), &"".into())
    );
}
