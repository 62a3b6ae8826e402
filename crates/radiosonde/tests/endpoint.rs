//! The HTTP endpoint inside the process, over real sockets: what it serves, whom it refuses, and what it survives.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde::{
    core::{
        metrics::snapshot::{Data, Metric, Number, Series, Snapshot},
        model::Resource,
    },
    endpoint::{
        CONNECTIONS_MAX, Endpoint, EndpointConfig, EndpointError, HEAD_BYTES_MAX, SCRAPES_MAX,
    },
    health::{Health, Status},
};

fn snapshot() -> Snapshot {
    let series = Series {
        labels: Arc::new([("operation".into(), "matmul".into())]),
        start_unix_ns: 1,
        value: Number::U64(42),
        exemplars: vec![],
    };
    let metric = Metric {
        name: "gpu.operation.count".into(),
        description: "Operations.".into(),
        unit: "{operation}".into(),
        data: Data::Counter(vec![series]),
    };
    Snapshot {
        resource: Arc::new(Resource::default()),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics: vec![metric],
    }
}

fn start(config: EndpointConfig, health: &Health) -> Endpoint {
    Endpoint::start(config, health.clone(), snapshot).unwrap()
}

/// The status and the whole answer.
fn send(endpoint: &Endpoint, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(endpoint.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The answer to a request that is too large comes before its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

fn get(endpoint: &Endpoint, path: &str) -> (u16, String) {
    send(
        endpoint,
        &format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            endpoint.address()
        ),
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let endpoint = start(EndpointConfig::default(), &Health::new());
    let (status, plain) = get(&endpoint, "/metrics");
    assert_eq!(status, 200);
    assert!(
        plain.contains("Content-Type: text/plain; version=0.0.4"),
        "{plain}"
    );
    assert!(
        plain.contains("gpu_operation_count_total{") && plain.contains("} 42"),
        "{plain}"
    );
    assert!(plain.contains("metal_operations_total{"), "{plain}");
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let (_, open) = send(
        &endpoint,
        &format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n\r\n"),
    );
    assert!(
        open.contains("Content-Type: application/openmetrics-text; version=1.0.0"),
        "{open}"
    );
    assert!(open.ends_with("# EOF\n"), "{open}");
    let length: usize = open
        .split("Content-Length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(length, body(&open).len());
    let (status, head) = send(
        &endpoint,
        "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert_eq!((status, body(&head)), (200, ""));
}

#[test]
fn a_critical_check_flips_readiness_and_health_but_not_liveness() {
    let health = Health::new();
    let endpoint = start(EndpointConfig::default(), &health);
    let answers = || ["/health", "/readyz", "/livez"].map(|path| get(&endpoint, path).0);
    assert_eq!(answers(), [200, 200, 200]);
    health.update("collector", Status::Degraded, "slow");
    assert_eq!(answers(), [200, 200, 200]);
    health.update("disk", Status::Critical, "full");
    assert_eq!(answers(), [503, 503, 200]);
    let (_, answer) = get(&endpoint, "/health");
    let report: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(report["status"], "critical");
    assert_eq!(
        report["checks"],
        serde_json::json!([
            {"name": "collector", "status": "degraded", "message": "slow"},
            {"name": "disk", "status": "critical", "message": "full"},
        ])
    );
    assert!(
        report["timestamp"].as_str().unwrap().ends_with('Z'),
        "{report}"
    );
    assert_eq!(
        body(&get(&endpoint, "/readyz").1),
        r#"{"status":"critical"}"#
    );
    assert_eq!(body(&get(&endpoint, "/livez").1), r#"{"status":"healthy"}"#);
    // What is shown is what decides, so the two are readiness's.
    let shown = |path| {
        let (_, answer) = get(&endpoint, path);
        let shown: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
        let checks = shown["checks"].as_array().unwrap().len();
        (shown["status"].as_str().unwrap().to_owned(), checks)
    };
    assert_eq!(shown("/livez?verbose"), ("healthy".to_owned(), 0));
    assert_eq!(shown("/readyz?verbose"), ("critical".to_owned(), 2));
}

#[test]
fn other_machines_need_a_token_or_nothing_starts() {
    let anywhere = EndpointConfig {
        address: "0.0.0.0:0".parse().unwrap(),
        ..EndpointConfig::default()
    };
    let error = Endpoint::start(anywhere.clone(), Health::new(), snapshot).unwrap_err();
    assert!(
        matches!(error, EndpointError::TokenNeeded { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("set one or listen on 127.0.0.1"),
        "{error}"
    );
    let config = EndpointConfig {
        token: Some("s3cret".to_owned()),
        ..anywhere
    };
    assert!(!format!("{config:?}").contains("s3cret"));
    let endpoint = start(config, &Health::new());
    let with = |authorization: &str| {
        let request =
            format!("GET /livez HTTP/1.1\r\nHost: metrics.example\r\n{authorization}\r\n\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", endpoint.address().port())).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(with("Authorization: Bearer s3cret"), 200);
    for wrong in [
        "X: y",
        "Authorization: Bearer s3cre",
        "Authorization: Bearer s3crett",
        "Authorization: Basic s3cret",
        "Authorization: Bearer",
    ] {
        assert_eq!(with(wrong), 401, "{wrong}");
    }
}

#[test]
fn a_name_that_points_here_is_not_this_machine() {
    let endpoint = start(EndpointConfig::default(), &Health::new());
    let with_host = |host: &str| {
        send(
            &endpoint,
            &format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        )
        .0
    };
    for host in [
        "localhost",
        "LocalHost:9464",
        "127.0.0.1:1",
        "[::1]:1",
        "[::1]",
    ] {
        assert_eq!(with_host(host), 200, "{host}");
    }
    assert_eq!(with_host("rebound.example:80"), 403);
}

#[test]
fn a_target_may_be_a_whole_address_whose_host_stands_before_the_header() {
    let endpoint = start(EndpointConfig::default(), &Health::new());
    let asked_for = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        send(&endpoint, &request).0
    };
    assert_eq!(
        asked_for("http://127.0.0.1:1/livez", "rebound.example"),
        200
    );
    assert_eq!(
        asked_for("HTTP://localhost/livez?verbose", "localhost"),
        200
    );
    assert_eq!(asked_for("http://rebound.example/livez", "localhost"), 403);
    assert_eq!(asked_for("http://ann@localhost/livez", "localhost"), 403);
    assert_eq!(asked_for("http://localhost", "localhost"), 404);
    assert_eq!(asked_for("http:///livez", "localhost"), 404);
}

#[test]
fn what_is_no_request_is_refused() {
    let endpoint = start(EndpointConfig::default(), &Health::new());
    let (status, answer) = get(&endpoint, "/elsewhere");
    assert_eq!(
        (status, body(&answer)),
        (
            404,
            "there are /metrics, /health, /livez, /readyz and /startupz\n"
        )
    );
    assert_eq!(
        send(
            &endpoint,
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        .0,
        405
    );
    assert_eq!(send(&endpoint, "\u{0}\u{1}\u{2}\r\n\r\n").0, 400);
    assert_eq!(send(&endpoint, &"X: y\r\n".repeat(2)).0, 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2 * HEAD_BYTES_MAX));
    assert_eq!(send(&endpoint, &long).0, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    assert_eq!(send(&endpoint, &many).0, 431);
    let body = "x".repeat(1 << 20);
    let sent = format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n{body}");
    assert_eq!(send(&endpoint, &sent).0, 405);
    assert_eq!(get(&endpoint, "/livez").0, 200);
}

#[test]
fn callers_that_hang_take_their_places_only() {
    let endpoint = start(EndpointConfig::default(), &Health::new());
    let hanging: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| TcpStream::connect(endpoint.address()).unwrap())
        .collect();
    let until = Instant::now() + Duration::from_secs(5);
    while get(&endpoint, "/livez").0 != 503 {
        assert!(Instant::now() < until, "the limit does not hold");
        thread::sleep(Duration::from_millis(10));
    }
    drop(hanging);
    while get(&endpoint, "/livez").0 != 200 {
        assert!(
            Instant::now() < until + Duration::from_secs(5),
            "places are not given back"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let address = endpoint.address();
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_source_of_metrics_that_hangs_holds_up_scrapes_and_nothing_else() {
    let (release, hangs) = mpsc::channel::<()>();
    let hangs = Mutex::new(hangs);
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let hanging = move || {
        counted.fetch_add(1, Relaxed);
        // Until the sender is gone.
        let _ = hangs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        snapshot()
    };
    let endpoint = Endpoint::start(EndpointConfig::default(), Health::new(), hanging).unwrap();
    let scrapes: Vec<_> = (0..CONNECTIONS_MAX + SCRAPES_MAX)
        .map(|_| {
            let address = endpoint.address();
            let mut stream = TcpStream::connect(address).unwrap();
            let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Once every request has been read, no place of a connection is taken.
    let until = Instant::now() + Duration::from_secs(20);
    while get(&endpoint, "/livez").0 != 200 {
        assert!(Instant::now() < until, "probes wait for scrapes");
        thread::sleep(Duration::from_millis(1));
    }
    // The one that reads the source waits; others are told at once.
    let waits = |scrape: &TcpStream| {
        scrape.set_nonblocking(true).unwrap();
        let waits = scrape.peek(&mut [0]).is_err();
        scrape.set_nonblocking(false).unwrap();
        waits
    };
    assert!(scrapes.iter().any(waits), "all are answered already");
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(get(&endpoint, path).0, 200, "{path}");
    }
    for mut stream in scrapes {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    assert_eq!(reads.load(Relaxed), 1);
    drop(release);
    let until = Instant::now() + Duration::from_secs(20);
    while get(&endpoint, "/metrics").0 != 200 {
        assert!(Instant::now() < until, "it does not come back");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What only system calls can bring about.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::os::fd::AsRawFd as _;

    use super::*;

    /// As much text as sockets do not hold.
    fn large() -> Snapshot {
        let mut large = snapshot();
        let series = |number: u64| Series {
            labels: Arc::new([("number".into(), number.into())]),
            start_unix_ns: 1,
            value: Number::U64(number),
            exemplars: vec![],
        };
        large.metrics[0].data = Data::Counter((0..30_000).map(series).collect());
        large
    }

    #[test]
    fn what_a_caller_sends_after_its_request_costs_it_nothing_of_the_answer() {
        let config = EndpointConfig::default();
        let endpoint = Endpoint::start(config, Health::new(), large).unwrap();
        let mut stream = TcpStream::connect(endpoint.address()).unwrap();
        // What the caller does not take at once waits at the endpoint's end.
        let bytes: libc::c_int = 1 << 16;
        // SAFETY: the socket is open, and `bytes` lives for as long as the call and has the length that is said.
        let set = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        assert_eq!(set, 0);
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // More than is read of a request at once.
        stream.write_all(request.repeat(100).as_bytes()).unwrap();
        let mut head = [0; 512];
        stream.read_exact(&mut head).unwrap();
        let head = String::from_utf8_lossy(&head).into_owned();
        let (head, begun) = head.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut got = begun.len();
        let mut part = vec![0; 1 << 14];
        let mut has_waited = false;
        loop {
            // A megabyte before the end the endpoint gets the time to hand over the rest and close.
            if length - got < 1 << 20 && !has_waited {
                thread::sleep(Duration::from_millis(100));
                has_waited = true;
            }
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(read) => got += read,
                Err(error) => panic!("{error} after {got} of {length} bytes"),
            }
        }
        assert_eq!(got, length);
    }

    extern "C" fn pass_over(_: libc::c_int) {}

    /// The numbers of the threads that serve.
    fn serving() -> Vec<libc::pid_t> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let is_ours = |task: &std::path::Path| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "radiosonde-http\n")
        };
        let number = |task: std::path::PathBuf| task.file_name()?.to_str()?.parse().ok();
        tasks
            .map(|task| task.unwrap().path())
            .filter(|task| is_ours(task))
            .filter_map(number)
            .collect()
    }

    #[test]
    fn a_signal_that_the_program_handles_ends_no_request() {
        let endpoint = start(EndpointConfig::default(), &Health::new());
        // SAFETY: the handler does nothing.
        let before =
            unsafe { libc::signal(libc::SIGUSR1, pass_over as *const () as libc::sighandler_t) };
        assert_ne!(before, libc::SIG_ERR);
        let mut stream = TcpStream::connect(endpoint.address()).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while serving().len() < 2 {
            assert!(Instant::now() < until, "nobody serves");
            thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..20 {
            for thread in serving() {
                // SAFETY: it takes numbers; a thread that is gone by now is an error that nobody needs.
                unsafe {
                    libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1);
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        stream.write_all(b"Host: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
