//! Keys with roles on real ports, and what is kept of who came.

use std::path::PathBuf;

use prost::Message as _;
use radiosonde_server::{
    Config, Server, StartError,
    access::{Key, Token},
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Code, transport::Endpoint};

use super::{
    grpc::export_at,
    server::{Running, traces},
    tls::{Authority, get},
};

const ADMIN: &str = "admin-0123456789abcdef0123456789";
const VIEWER: &str = "viewer-0123456789abcdef012345678";
const SENDER: &str = "sender-0123456789abcdef012345678";

/// Keys as a file has them.
fn keys(text: &str) -> Vec<Key> {
    let folder = TempDir::new().unwrap();
    let file: PathBuf = folder.path().join("keys.toml");
    std::fs::write(&file, text).unwrap();
    Key::read(&file).unwrap()
}

fn guarded() -> Running {
    Running::start_with(|config| {
        config.token = Some(Token::new(ADMIN).unwrap());
        config.keys = keys(&format!(
            "[[key]]\nname = \"grafana\"\nrole = \"viewer\"\nsecret = \"{VIEWER}\"\n\
             [[key]]\nname = \"gpu-7\"\nrole = \"ingest\"\nsecret = \"{SENDER}\"\n"
        ));
    })
}

/// HTTP's status of a question with this secret, and what is wrong.
fn ask(running: &Running, path: &str, secret: &str) -> (u16, String) {
    let url = format!("http://{}{path}", running.server.addresses().page);
    let request = ureq::get(url).header("authorization", format!("Bearer {secret}"));
    let request = request.config().http_status_as_error(false).build();
    let mut answer = request.call().unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let message = body["error"]["message"].as_str().unwrap_or_default();
    (answer.status().as_u16(), message.to_owned())
}

fn post(running: &Running, secret: &str) -> u16 {
    let request = ureq::post(running.http("/v1/traces"))
        .header("authorization", format!("Bearer {secret}"))
        .content_type("application/x-protobuf");
    let request = request.config().http_status_as_error(false).build();
    let answer = request.send(traces("http", 1, &[]).encode_to_vec());
    answer.unwrap().status().as_u16()
}

/// Waits until an answer is as expected, which it is when records were written.
fn until(running: &Running, statement: &str, expected: &str) {
    for _ in 0..200 {
        if running.ask(statement) == expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(running.ask(statement), expected);
}

#[test]
fn a_key_opens_what_its_role_is_for() {
    let running = guarded();
    let (status, traces_path) = ("/api/v1/status", "/api/v1/traces");
    assert_eq!(ask(&running, status, ADMIN).0, 200);
    assert_eq!(ask(&running, traces_path, VIEWER).0, 200);
    let (refused, message) = ask(&running, status, SENDER);
    assert_eq!(refused, 403);
    assert_eq!(message, "`gpu-7` is there as ingest, which may not read");
    assert_eq!(ask(&running, status, "other").0, 401);
    let posted = [ADMIN, SENDER, VIEWER, "other"].map(|secret| post(&running, secret));
    assert_eq!(posted, [200, 200, 403, 401]);
    let export = |secret| {
        let endpoint = Endpoint::from_shared(running.grpc()).unwrap();
        export_at(&endpoint, secret, traces("grpc", 1, &[]))
    };
    assert!(export(Some(SENDER)).is_ok());
    let viewer = export(Some(VIEWER)).unwrap_err();
    assert_eq!(viewer.code(), Code::PermissionDenied);
    assert!(
        viewer.message().contains("`grafana` is there as viewer"),
        "{viewer:?}"
    );
    let nobody = export(None).unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    assert!(
        nobody.message().contains("Authorization: Bearer"),
        "{nobody:?}"
    );
    assert_eq!(running.ask("SELECT count(*) FROM spans"), "3");
}

#[test]
fn who_came_is_an_event_that_is_read_back() {
    let running = guarded();
    ask(&running, "/api/v1/traces?q=secret", VIEWER);
    ask(&running, "/api/v1/status", "other");
    ask(&running, "/", VIEWER);
    let statement = "SELECT attributes['access.by'], attributes['access.role'], attributes['access.outcome'], \
                     attributes['http.request.method'], attributes['url.path'], attributes['http.response.status_code'], \
                     attributes['client.address'] FROM logs WHERE service = 'sonde' AND event_name = 'sonde.access' ORDER BY 1";
    until(
        &running,
        statement,
        "grafana | viewer | allowed | GET | /api/v1/traces | 200 | 127.0.0.1\n\
         nobody | - | refused | GET | /api/v1/status | 401 | 127.0.0.1",
    );
}

/// What was counted is written when the server stops, and the next one on the folder has it.
#[test]
fn those_who_send_are_counted() {
    let folder = TempDir::new().unwrap();
    let config = || {
        let mut config = Config::new(folder.path());
        let any = "127.0.0.1:0".parse().unwrap();
        (config.otlp_grpc, config.otlp_http, config.page) = (any, any, any);
        config.token = Some(Token::new(ADMIN).unwrap());
        config
    };
    let server = Server::start(config()).unwrap();
    let url = format!("http://{}/v1/traces", server.addresses().otlp_http);
    for secret in [ADMIN, ADMIN, "other"] {
        let request = ureq::post(&url)
            .header("authorization", format!("Bearer {secret}"))
            .content_type("application/x-protobuf");
        let request = request.config().http_status_as_error(false).build();
        request
            .send(traces("http", 1, &[]).encode_to_vec())
            .unwrap();
    }
    drop(server);
    let server = Server::start(config()).unwrap();
    let statement = "SELECT attributes['access.by'], attributes['access.port'], attributes['access.outcome'], \
                     attributes['access.requests'] FROM logs ORDER BY 1";
    let answer = server
        .store()
        .sql(statement, radiosonde_store::query::Limits::default())
        .unwrap();
    let said = format!("{:?}", answer.rows);
    assert_eq!(answer.rows.len(), 2, "{said}");
    for part in ["nobody", "token", "otlp_http", "Int(2)", "Int(1)"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn nothing_is_kept_of_this_machine_where_it_needs_no_key() {
    let running = Running::start();
    ask(&running, "/api/v1/status", "whatever");
    let folder_has = running.ask("SELECT count(*) FROM logs");
    assert_eq!(folder_has, "0");
}

#[test]
fn a_certificate_may_be_a_key() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (own, other) = (clients.client(), clients.client());
    let running = Running::start_with(|config| {
        config.page = "0.0.0.0:0".parse().unwrap();
        config.tls = Some(authority.tls(Some(&clients)));
        config.keys = keys(&format!(
            "[[key]]\nname = \"laptop\"\nrole = \"viewer\"\ncertificate_sha256 = \"{}\"\n",
            own.fingerprint
        ));
    });
    let port = running.server.addresses().page.port();
    let url = format!("https://localhost:{port}/api/v1/status");
    assert_eq!(get(&authority.agent(Some(&own)), &url).unwrap().0, 200);
    let (status, refused) = get(&authority.agent(Some(&other)), &url).unwrap();
    assert_eq!(status, 403);
    let mend = refused["error"]["mend"].as_str().unwrap();
    assert!(mend.contains(&other.fingerprint.replace(':', "")), "{mend}");
    until(
        &running,
        "SELECT attributes['access.by'], attributes['access.outcome'] FROM logs WHERE event_name = 'sonde.access' ORDER BY 1",
        "laptop | allowed\nnobody | refused",
    );
}

#[test]
fn keys_that_would_let_in_the_wrong_ones_are_refused() {
    let start = |change: &dyn Fn(&mut Config)| {
        let folder = TempDir::new().unwrap();
        let mut config = Config::new(folder.path());
        let any = "127.0.0.1:0".parse().unwrap();
        (config.otlp_grpc, config.otlp_http, config.page) = (any, any, any);
        change(&mut config);
        Server::start(config).unwrap_err()
    };
    let digest = "ab".repeat(32);
    let unasked = start(&|config| {
        config.keys = keys(&format!(
            "[[key]]\nname = \"a\"\nrole = \"viewer\"\ncertificate_sha256 = \"{digest}\"\n"
        ));
    });
    assert!(
        matches!(unasked, StartError::CertificateUnasked(_)),
        "{unasked}"
    );
    let shared = start(&|config| {
        config.token = Some(Token::new(VIEWER).unwrap());
        config.keys = keys(&format!(
            "[[key]]\nname = \"a\"\nrole = \"viewer\"\nsecret = \"{VIEWER}\"\n"
        ));
    });
    assert!(matches!(shared, StartError::TokenOfAnother(_)), "{shared}");
}
