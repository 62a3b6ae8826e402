//! Probes over real sockets: from the endpoint inside the process, and from a server of the program's own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::Router;
use radiosonde::{
    core::{metrics::snapshot::Snapshot, model::Resource},
    endpoint::{Endpoint, EndpointConfig},
    health::{Affects, CheckOptions, Health, HealthService, Patience, Probe, Status},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const LONG: Duration = Duration::from_secs(60);

fn no_metrics() -> Snapshot {
    Snapshot {
        resource: Arc::new(Resource::default()),
        start_unix_ns: 1,
        time_unix_ns: 2,
        metrics: vec![],
    }
}

fn start(config: EndpointConfig, health: &Health) -> Endpoint {
    Endpoint::start(config, health.clone(), no_metrics).unwrap()
}

/// The status, the headers and the body.
fn request(address: SocketAddr, method: &str, target: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, target: &str) -> (u16, Value) {
    let (status, _, body) = request(address, "GET", target);
    let shown = serde_json::from_str(&body).unwrap_or_else(|_| body.clone().into());
    (status, shown)
}

/// A check that runs when it is asked to, and whether what it looks at works.
fn switched(health: &Health, name: &'static str, affects: Affects, works: bool) -> Arc<AtomicBool> {
    let works = Arc::new(AtomicBool::new(works));
    let looks = Arc::clone(&works);
    let options = CheckOptions {
        interval: LONG * 60,
        timeout: LONG,
        affects,
        patience: Patience::NONE,
        ..CheckOptions::default()
    };
    let check = move || {
        looks
            .load(Relaxed)
            .then_some(())
            .ok_or("connection refused")
    };
    health.check(name, options, check).unwrap();
    works
}

#[test]
fn a_dependency_that_fails_flips_readiness_and_not_liveness() {
    let health = Health::new();
    let endpoint = start(EndpointConfig::default(), &health);
    let probes = || {
        assert!(health.run_now(LONG));
        Probe::ALL.map(|probe| get(endpoint.address(), probe.path()).0)
    };
    let database = switched(&health, "database", Affects::READINESS, true);
    let deadlock = switched(&health, "deadlock", Affects::LIVENESS, true);
    assert_eq!(probes(), [200, 200, 200, 200]);
    database.store(false, Relaxed);
    assert_eq!(probes(), [503, 200, 503, 200]);
    database.store(true, Relaxed);
    deadlock.store(false, Relaxed);
    assert_eq!(probes(), [503, 503, 200, 200]);
    deadlock.store(true, Relaxed);
    assert_eq!(probes(), [200, 200, 200, 200]);
}

#[test]
fn the_startup_fails_until_its_checks_have_passed_once() {
    let health = Health::new();
    let endpoint = start(EndpointConfig::default(), &health);
    let model = switched(
        &health,
        "model",
        Affects::STARTUP.and(Affects::READINESS),
        false,
    );
    let probes = |works| {
        model.store(works, Relaxed);
        assert!(health.run_now(LONG));
        ["/startupz", "/readyz", "/livez"].map(|path| get(endpoint.address(), path).0)
    };
    assert_eq!(probes(false), [503, 503, 200]);
    assert_eq!(probes(true), [200, 200, 200]);
    // What was begun is not begun anew.
    assert_eq!(probes(false), [200, 503, 200]);
}

#[test]
fn verbose_shows_what_decides_and_what_is_excluded_has_no_part() {
    let health = Health::new();
    let endpoint = start(EndpointConfig::default(), &health);
    let address = endpoint.address();
    let database = switched(&health, "the database", Affects::READINESS, true);
    switched(&health, "deadlock", Affects::LIVENESS, true);
    health.update("cache", Status::Degraded, "cold");
    database.store(false, Relaxed);
    assert!(health.run_now(LONG));
    assert_eq!(
        get(address, "/readyz"),
        (503, json!({"status": "critical"}))
    );
    let (status, mut shown) = get(address, "/readyz?verbose");
    assert_eq!(status, 503);
    for check in shown["checks"].as_array_mut().unwrap() {
        let looked = check.as_object_mut().unwrap().remove("looked").unwrap();
        assert!(looked.as_str().unwrap().ends_with('Z'), "{looked}");
        let took = check.as_object_mut().unwrap().remove("duration_ms");
        assert!(took.is_none_or(|took| took.as_f64().unwrap() >= 0.0));
    }
    let readiness = json!(["readiness"]);
    assert_eq!(
        shown["checks"],
        json!([
            {"name": "the database", "status": "critical", "message": "connection refused", "affects": readiness},
            {"name": "cache", "status": "degraded", "message": "cold", "affects": readiness},
        ])
    );
    for excluding in ["the%20database", "the+database"] {
        let target = format!("/readyz?exclude={excluding}&exclude=no%zz");
        assert_eq!(
            get(address, &target),
            (
                200,
                json!({"status": "degraded", "excluded": ["the database"], "not_found": ["no%zz"]})
            )
        );
    }
    // `/health` has every check, without what only those who ask for more want to know.
    let (status, shown) = get(address, "/health?exclude=the+database");
    assert_eq!((status, &shown["status"]), (200, &json!("degraded")));
    assert_eq!(
        shown["checks"],
        json!([
            {"name": "deadlock", "status": "healthy", "message": ""},
            {"name": "cache", "status": "degraded", "message": "cold"},
        ])
    );
    let (status, head, body) = request(address, "HEAD", "/health");
    assert_eq!((status, body.as_str()), (503, ""));
    assert!(head.contains("content-type: application/json"), "{head}");
}

#[test]
fn health_fails_from_where_it_is_said_to() {
    let health = Health::new();
    health.update("cache", Status::Degraded, "cold");
    let answers = |health_fails_from| {
        let config = EndpointConfig {
            health_fails_from,
            ..EndpointConfig::default()
        };
        let endpoint = start(config, &health);
        ["/health", "/readyz"].map(|path| get(endpoint.address(), path).0)
    };
    assert_eq!(answers(Status::Critical), [200, 200]);
    assert_eq!(answers(Status::Degraded), [503, 200]);
    assert_eq!(answers(Status::Unknown), [503, 200]);
}

/// Serves `app` on a port of its own until the process ends.
fn serve(app: Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    address
}

#[test]
fn an_axum_server_answers_probes_on_paths_of_its_own() {
    let health = Health::new();
    let service = HealthService::new(health.clone());
    let app = Router::new()
        .route("/", axum::routing::get(async || "hello"))
        .route_service("/readyz", service.clone())
        .route_service("/ping", service.clone().answering(Probe::Liveness))
        .nest_service("/internal", service.fails_from(Status::Degraded));
    let address = serve(app);
    let database = switched(&health, "database", Affects::READINESS, true);
    database.store(false, Relaxed);
    assert!(health.run_now(LONG));
    assert_eq!(get(address, "/"), (200, "hello".into()));
    assert_eq!(
        get(address, "/readyz"),
        (503, json!({"status": "critical"}))
    );
    assert_eq!(get(address, "/ping"), (200, json!({"status": "healthy"})));
    let (status, shown) = get(address, "/internal/health?exclude=database&verbose");
    assert_eq!((status, &shown["checks"]), (200, &json!([])));
    health.update("cache", Status::Degraded, "cold");
    let (status, _) = get(address, "/internal/health?exclude=database");
    assert_eq!(status, 503);
    assert_eq!(get(address, "/internal/startupz").0, 200);
    let (status, missing) = get(address, "/internal/elsewhere");
    assert_eq!(
        (status, missing),
        (
            404,
            "there are /health, /livez, /readyz, /startupz\n".into()
        )
    );
    let (status, head, _) = request(address, "POST", "/internal/livez");
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    let (status, head, body) = request(address, "HEAD", "/readyz");
    assert_eq!((status, body.as_str()), (503, ""));
    assert!(head.contains("cache-control: no-store"), "{head}");
}

#[tokio::test]
async fn any_body_of_a_request_will_do() {
    let service = HealthService::new(Health::new());
    let request = http::Request::builder().uri("/livez").body(()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), r#"{"status":"healthy"}"#);
}
