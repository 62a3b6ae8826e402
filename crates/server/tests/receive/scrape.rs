//! Targets that are scraped: small HTTP servers that show what vLLM, Triton and DCGM's exporter document.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_server::ScrapeTarget;
use serde_json::Value;

use super::server::Running;

/// Longest wait for what is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers each request by `answer`, which is given how many came before. The thread ends with the test.
fn target(answer: impl Fn(u64) -> String + Send + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let answer = answer(count.fetch_add(1, Relaxed));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

fn response(kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn scraping(targets: &[String]) -> Running {
    let targets: Vec<ScrapeTarget> = targets
        .iter()
        .map(|target| target.parse().unwrap())
        .collect();
    Running::start_with(|config| config.scrape = targets)
}

fn get(running: &Running, path: &str) -> Value {
    let url = format!("http://{}/api/v1/{path}", running.server.addresses().page);
    let mut response = ureq::get(&url).call().unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// As vLLM's documentation lists its metrics, with the names and labels of its `loggers.py`: by the `n`th time that it is
/// asked, 10 n requests are done, of which each waited 2 s.
fn vllm(n: u64) -> String {
    let done = 10 * n;
    let labels = r#"engine="0",model_name="llama""#;
    let histogram = |name: &str, sum: f64| {
        format!(
            "# HELP vllm:{name} Histogram.\n# TYPE vllm:{name} histogram\n\
             vllm:{name}_bucket{{{labels},le=\"0.5\"}} 0\nvllm:{name}_bucket{{{labels},le=\"2.5\"}} {done}\n\
             vllm:{name}_bucket{{{labels},le=\"+Inf\"}} {done}\nvllm:{name}_count{{{labels}}} {done}\nvllm:{name}_sum{{{labels}}} {sum}\n"
        )
    };
    let wait = done as f64 * 2.0;
    let text = format!(
        "# HELP vllm:num_requests_running Number of requests in model execution batches.\n\
         # TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{{labels}}} 8.0\n\
         # TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{{{labels}}} 20.0\n\
         # TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{{{labels}}} 0.85\n\
         # TYPE vllm:request_success_total counter\n\
         vllm:request_success_total{{{labels},finished_reason=\"stop\"}} {done}.0\n\
         # TYPE vllm:request_success_created gauge\n\
         vllm:request_success_created{{{labels},finished_reason=\"stop\"}} 1.7e+09\n\
         # TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{{{labels}}} {}.0\n{}{}{}{}",
        done * 100,
        histogram("request_queue_time_seconds", wait),
        histogram("request_prefill_time_seconds", wait / 4.0),
        histogram("request_decode_time_seconds", wait / 2.0),
        histogram("time_to_first_token_seconds", wait * 1.25),
    );
    response(PROMETHEUS, &text)
}

/// Phases have their canonical names, and last as long as [`vllm`] says.
fn has_phases_of_vllm(running: &Running) {
    for (name, seconds) in [
        ("radiosonde.gen_ai.prefill.duration", 0.5),
        ("radiosonde.gen_ai.decode.duration", 1.0),
        ("gen_ai.server.time_to_first_token", 2.5),
    ] {
        let metric = get(running, &format!("metrics/{name}"));
        assert_eq!(
            (&metric["kind"], &metric["unit"]),
            (&"histogram".into(), &"s".into())
        );
        let points = metric["series"][0]["points"].as_array().unwrap();
        let (count, sum) = (
            points[0][1].as_f64().unwrap(),
            points[0][2].as_f64().unwrap(),
        );
        assert!(
            count > 0.0 && (sum / count - seconds).abs() < 1e-6,
            "{name}: {metric}"
        );
    }
}

/// What Prometheus' API of the server answers to a query, now.
fn promql(running: &Running, query: &str) -> Value {
    let page = running.server.addresses().page;
    let mut response = ureq::get(format!("http://{page}/prometheus/api/v1/query"))
        .query("query", query)
        .config()
        .http_status_as_error(false)
        .build()
        .call()
        .unwrap();
    let answer = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn the_dashboard_for_inference_answers_for_a_scraped_vllm() {
    let (url, asked) = target(vllm);
    let target: ScrapeTarget = format!("{url},job=vllm,interval=1s").parse().unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/dashboards");
    let running = Running::start_with(|config| {
        config.scrape = vec![target];
        config.dashboards = Some(examples.into());
    });
    wait_until("four scrapes", || asked.load(Relaxed) >= 5);
    let board = get(&running, "dashboards/inference");
    assert_eq!(board["mistakes"], Value::Array(Vec::new()));
    assert_eq!(running.server.dashboard_mistakes(), [""; 0]);
    let mut answered = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        if let Some(query) = panel["promql"].as_str() {
            let answer = promql(&running, query);
            assert_eq!(answer["status"], "success", "{title}: {answer}");
            let result = answer["data"]["result"].as_array().unwrap();
            let is_number = |element: &Value| element["value"][1] != "NaN";
            if result.iter().any(is_number) {
                answered.push(title);
            }
        }
        if let Some(statement) = panel["sql"].as_str() {
            let statement = statement.replace("$from", "now() - interval '1 hour'");
            running.ask(&statement.replace("$to", "now()"));
        }
    }
    for title in [
        "Tokens generated a second",
        "Requests a second",
        "First token, 95 % within",
        "Requests that wait",
        "Tokens a second, in and out",
        "Waiting before work begins, 95 % within",
        "KV cache in use",
    ] {
        assert!(answered.contains(&title), "{title} of {answered:?}");
    }
}

#[test]
fn vllm_is_scraped_and_its_queue_cache_and_phases_are_shown() {
    let (url, asked) = target(vllm);
    let running = scraping(&[format!("{url},job=vllm,interval=1s")]);
    wait_until("four scrapes", || asked.load(Relaxed) >= 5);
    let queues = get(&running, "queues?from=-1m");
    let queue = &queues["queues"][0];
    assert_eq!(
        (&queue["service"], &queue["queue"]),
        (&"vllm".into(), &"llama".into())
    );
    assert_eq!(queue["depth"]["now"], 20.0);
    let in_service = queue["in_service_mean"].as_f64().unwrap();
    assert!((in_service - 8.0).abs() < 1e-6, "{in_service}");
    assert_eq!(queue["wait"]["mean_ns"], 2_000_000_000_u64);
    assert!(
        queue["service_rate"]["per_s"].as_f64() > Some(0.0)
            && queue["arrival"]["per_s"].as_f64() > Some(0.0)
    );
    has_phases_of_vllm(&running);
    let cache = get(&running, "metrics/radiosonde.gen_ai.kv_cache.utilization");
    assert_eq!(cache["series"][0]["points"][0][1], 0.85);
    let tokens = get(&running, "metrics/radiosonde.gen_ai.output_tokens");
    assert!(tokens["series"][0]["points"][0][1].as_f64() > Some(0.0));
    // As they came, with where they came from; not when counters began, which nobody asks for.
    let rows = running.ask(
        "SELECT DISTINCT service, scope, resource['service.instance.id'] FROM points WHERE name = 'vllm:num_requests_running'",
    );
    assert_eq!(
        rows,
        format!(
            "vllm | sonde::scrape | {}",
            &url["http://".len()..url.len() - "/metrics".len()]
        )
    );
    assert_eq!(
        running.ask("SELECT count(*) FROM points WHERE name LIKE '%created'"),
        "0"
    );
    assert_eq!(
        running.ask("SELECT DISTINCT value FROM points WHERE name = 'up'"),
        "1.0"
    );
    let speaks = get(&running, "semconv");
    assert_eq!(
        speaks["services"][0]["vocabularies"][0]["vocabulary"],
        "vLLM"
    );
    let doctor = get(&running, "doctor");
    assert_eq!(
        (&doctor["scrapes"][0]["is_up"], &doctor["scrapes"][0]["job"]),
        (&true.into(), &"vllm".into())
    );
    assert_eq!(doctor["senders"][0]["protocol"], "scrape");
}

#[test]
fn triton_and_dcgm_have_canonical_names_and_units() {
    let triton = |n: u64| {
        let done = 10 * n;
        let labels = r#"model="resnet",version="1""#;
        response(
            PROMETHEUS,
            &format!(
                "# TYPE nv_inference_pending_request_count gauge\nnv_inference_pending_request_count{{{labels}}} 4\n\
             # TYPE nv_inference_request_success counter\nnv_inference_request_success{{gpu_uuid=\"GPU-1\",{labels}}} {done}\n\
             # TYPE nv_inference_queue_duration_us counter\nnv_inference_queue_duration_us{{gpu_uuid=\"GPU-1\",{labels}}} {}\n",
                done * 250_000
            ),
        )
    };
    let dcgm = |_| {
        let labels =
            r#"gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H200",Hostname="a""#;
        response(
            PROMETHEUS,
            &format!(
                "# TYPE DCGM_FI_DEV_FB_USED gauge\nDCGM_FI_DEV_FB_USED{{{labels}}} 1024\n\
             # TYPE DCGM_FI_DEV_GPU_UTIL gauge\nDCGM_FI_DEV_GPU_UTIL{{{labels}}} 37\n"
            ),
        )
    };
    let ((triton, asked), (dcgm, dcgm_asked)) = (target(triton), target(dcgm));
    let running = scraping(&[
        format!("{triton},job=triton,interval=1s"),
        format!("{dcgm},job=dcgm,interval=1s"),
    ]);
    wait_until("scrapes", || {
        asked.load(Relaxed) >= 4 && dcgm_asked.load(Relaxed) >= 2
    });
    let queues = get(&running, "queues?from=-1m");
    let queue = &queues["queues"][0];
    assert_eq!(
        (&queue["service"], &queue["depth"]["now"]),
        (&"triton".into(), &4.0.into())
    );
    assert_eq!(queue["wait"]["mean_ns"], 250_000_000);
    let last =
        |name: &str| get(&running, &format!("metrics/{name}"))["series"][0]["points"][0][1].clone();
    assert_eq!(
        (last("hw.gpu.memory.usage"), last("hw.gpu.utilization")),
        ((1024.0 * 1_048_576.0).into(), 0.37.into())
    );
    let workers = get(&running, "workers");
    assert_eq!(workers["memory"][0]["points"][0][1], 1024.0 * 1_048_576.0);
}

#[test]
fn openmetrics_has_exemplars_starts_and_what_the_target_says_of_itself() {
    let text = "# TYPE target info\ntarget_info{host_name=\"node-1\"} 1\n\
        # TYPE requests counter\n# UNIT requests requests\n\
        requests_total{path=\"/a \\\"b\\\"\"} 17 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\",who=\"me\"} 1 1800000000.5\n\
        requests_created{path=\"/a \\\"b\\\"\"} 1700000000.5\n\
        # TYPE wait_seconds summary\nwait_seconds{quantile=\"0.5\"} 0.25\nwait_seconds_sum 3\nwait_seconds_count 4\n# EOF\n";
    let (url, asked) = target(move |_| {
        response(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        )
    });
    let running = scraping(&[format!("{url},job=shop,interval=1s")]);
    wait_until("two scrapes", || asked.load(Relaxed) >= 2);
    let row = running.ask(
        "SELECT DISTINCT kind, value, attributes['path'], resource['host_name'], CAST(start_time AS BIGINT), exemplars \
         FROM points WHERE name = 'requests_total'",
    );
    assert_eq!(
        row,
        "counter | 17.0 | /a \"b\" | node-1 | 1700000000500000000 | [{\"time_unix_nano\":1800000000500000000,\"value\":1.0,\
         \"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"span_id\":\"b7ad6b7169203331\",\"attributes\":{\"who\":\"me\"}}]"
    );
    let quantiles = running.ask(
        "SELECT DISTINCT name, kind, value, unit FROM points WHERE name LIKE 'wait_seconds%' ORDER BY name",
    );
    assert_eq!(
        quantiles,
        "wait_seconds | gauge | 0.25 | s\nwait_seconds_count | counter | 4.0 | \nwait_seconds_sum | counter | 3.0 | s"
    );
}

#[test]
fn a_target_that_fails_is_down_for_a_reason() {
    let page = "<html><body>Not here</body></html>";
    // Not one that was free a moment ago: another test may have it by now.
    let refused = "127.0.0.1:1";
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\na 1\n";
    let targets = [
        (
            "html",
            target(move |_| response("text/html", page)).0,
            "nothing in it is a sample",
        ),
        (
            "missing",
            target(|_| {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    .to_owned()
            })
            .0,
            "404",
        ),
        (
            "elsewhere",
            target(|_| elsewhere.to_owned()).0,
            "redirects are not followed",
        ),
        ("huge", target(|_| huge.to_owned()).0, "bytes"),
        (
            "refused",
            format!("http://{refused}/metrics"),
            "nothing listens there",
        ),
        (
            "silent",
            format!("http://{}/metrics", silent.local_addr().unwrap()),
            "did not answer in time",
        ),
    ];
    let written: Vec<String> = targets
        .iter()
        .map(|(job, url, _)| format!("{url},job={job},interval=1s"))
        .collect();
    let running = scraping(&written);
    wait_until("all are tried", || {
        let doctor = get(&running, "doctor");
        doctor["scrapes"]
            .as_array()
            .is_some_and(|scrapes| scrapes.len() == targets.len())
    });
    let doctor = get(&running, "doctor");
    for (job, _, words) in &targets {
        let scrapes = doctor["scrapes"].as_array().unwrap();
        let scrape = scrapes.iter().find(|scrape| scrape["job"] == *job).unwrap();
        assert_eq!(scrape["is_up"], false, "{job}");
        assert!(
            scrape["error"].as_str().unwrap().contains(words),
            "{job}: {scrape}"
        );
        let up = running.ask(&format!(
            "SELECT DISTINCT value FROM points WHERE name = 'up' AND service = '{job}'"
        ));
        assert_eq!(up, "0.0", "{job}");
    }
    assert!(doctor["refusals"].as_array().unwrap().len() >= targets.len());
}
