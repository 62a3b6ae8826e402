//! Who is let in, by what it shows and where it comes to.

use std::net::Ipv4Addr;

use axum::{
    body::Body,
    http::{HeaderName, header::HOST},
};

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const VIEWER: &str = "viewer-0123456789abcdef01234567";
const SENDER: &str = "sender-0123456789abcdef01234567";
const CERTIFICATE: Fingerprint = [7; 32];

fn keys() -> Vec<Key> {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    let text = format!(
        "[[key]]\nname = \"grafana\"\nrole = \"viewer\"\nsecret = \"{VIEWER}\"\n\
         [[key]]\nname = \"gpu-7\"\nrole = \"ingest\"\nsecret = \"{SENDER}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut keys = Key::read(&file).unwrap();
    keys.push(Token::new(TOKEN).unwrap().into());
    keys
}

fn certificate_key() -> Key {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    let text = format!(
        "[[key]]\nname = \"gpu-8\"\nrole = \"ingest\"\ncertificate_sha256 = \"{}\"\n",
        hexadecimal(&CERTIFICATE)
    );
    std::fs::write(&file, text).unwrap();
    Key::read(&file).unwrap().remove(0)
}

/// A gate with these keys, and the folder of its store, which goes with it.
fn gate(port: Port, is_local: bool, keys: Vec<Key>) -> (Gate, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().unwrap();
    let config = radiosonde_store::Config::new(folder.path());
    let store = Arc::new(radiosonde_store::Store::open(config).unwrap());
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let gate = Gate {
        port,
        is_local,
        keys: keys.into(),
        intake: Arc::new(Intake::new(store, here, here)),
        audit: None,
    };
    (gate, folder)
}

fn request(method: Method, uri: &str, headers: &[(HeaderName, &str)], link: Link) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(name.clone(), value.parse().unwrap());
    }
    request.extensions_mut().insert(link);
    request
}

/// Who it was and with what status it was refused; no status where it was let in.
fn outcome(gate: &Gate, request: &Request) -> (String, Option<u16>) {
    match gate.verdict(request) {
        Verdict::Pass(identity) => (identity.name, None),
        Verdict::Welcome(identity, response) => (identity.name, Some(response.status().as_u16())),
        Verdict::Refuse(identity, problem) => {
            let name = identity.map_or("nobody".to_owned(), |identity| identity.name);
            (name, Some(problem.into_response().status().as_u16()))
        }
    }
}

/// The outcome of a request that shows a secret in its header.
fn shown(gate: &Gate, method: Method, uri: &str, secret: &str) -> (String, Option<u16>) {
    let bearer = format!("Bearer {secret}");
    let headers = [(AUTHORIZATION, bearer.as_str())];
    outcome(gate, &request(method, uri, &headers, Link::default()))
}

fn passes(name: &str) -> (String, Option<u16>) {
    (name.to_owned(), None)
}

fn refused(name: &str, status: u16) -> (String, Option<u16>) {
    (name.to_owned(), Some(status))
}

#[test]
fn a_secret_is_shown_in_a_header_or_a_cookie() {
    let (gate, _folder) = gate(Port::Page, false, keys());
    let by = |name: HeaderName, value: &str| {
        let request = request(
            Method::GET,
            "/api/v1/status",
            &[(name, value)],
            Link::default(),
        );
        outcome(&gate, &request)
    };
    assert_eq!(
        by(AUTHORIZATION, &format!("Bearer {TOKEN}")),
        passes("token")
    );
    assert_eq!(
        by(AUTHORIZATION, &format!("bearer  {TOKEN}")),
        passes("token")
    );
    assert_eq!(
        by(COOKIE, &format!("theme=dark; radiosonde_token={VIEWER}")),
        passes("grafana")
    );
    for (name, value) in [
        (AUTHORIZATION, TOKEN.to_owned()),
        (
            AUTHORIZATION,
            "Bearer 0123456789abcdef0123456789abcdee".to_owned(),
        ),
        (COOKIE, format!("radiosonde_token={TOKEN}0")),
    ] {
        assert_eq!(by(name, &value), refused("nobody", 401), "{value}");
    }
}

#[test]
fn a_role_decides_what_a_key_opens() {
    let (page, _folder) = gate(Port::Page, false, keys());
    let sql = "/api/v1/sql";
    assert_eq!(
        shown(&page, Method::GET, "/api/v1/traces", VIEWER),
        passes("grafana")
    );
    assert_eq!(shown(&page, Method::POST, sql, VIEWER), passes("grafana"));
    assert_eq!(
        shown(&page, Method::POST, "/prometheus/api/v1/query", VIEWER),
        passes("grafana")
    );
    // There is nothing yet that changes anything; what will be there is not for viewers, unless somebody says so.
    let change = "/api/v1/alerts/7/silence";
    assert_eq!(
        shown(&page, Method::POST, change, VIEWER),
        refused("grafana", 403)
    );
    assert_eq!(shown(&page, Method::POST, change, TOKEN), passes("token"));
    assert_eq!(
        shown(&page, Method::GET, "/", SENDER),
        refused("gpu-7", 403)
    );
    for port in [Port::OtlpGrpc, Port::OtlpHttp] {
        let (otlp, _folder) = gate(port, false, keys());
        let traces = "/v1/traces";
        assert_eq!(shown(&otlp, Method::POST, traces, SENDER), passes("gpu-7"));
        assert_eq!(shown(&otlp, Method::POST, traces, TOKEN), passes("token"));
        assert_eq!(
            shown(&otlp, Method::POST, traces, VIEWER),
            refused("grafana", 403)
        );
        assert_eq!(
            shown(&otlp, Method::POST, traces, "other"),
            refused("nobody", 401)
        );
    }
}

#[test]
fn a_certificate_counts_as_access_and_may_have_a_role() {
    let link = Link {
        is_encrypted: true,
        certificate: Some(CERTIFICATE),
    };
    let other = Link {
        certificate: Some([8; 32]),
        ..link
    };
    let ask = |gate: &Gate, link| {
        let request = request(Method::GET, "/api/v1/status", &[], link);
        outcome(gate, &request)
    };
    let (any, _folder) = gate(Port::Page, false, Vec::new());
    let name = format!("certificate {}", "07".repeat(32));
    assert_eq!(ask(&any, link), passes(&name));
    assert_eq!(ask(&any, Link::default()), refused("nobody", 401));
    let (named, _folder) = gate(Port::Page, false, vec![certificate_key()]);
    assert_eq!(ask(&named, link), refused("gpu-8", 403));
    assert_eq!(ask(&named, other), refused("nobody", 403));
    let (otlp, _folder) = gate(Port::OtlpGrpc, false, vec![certificate_key()]);
    assert_eq!(ask(&otlp, link), passes("gpu-8"));
    // Keys that are certificates ask nobody on this machine for a secret.
    let (local, _folder) = gate(Port::Page, true, vec![certificate_key()]);
    assert_eq!(ask(&local, Link::default()), passes("loopback"));
    let (local, _folder) = gate(Port::Page, true, keys());
    assert_eq!(ask(&local, Link::default()), refused("nobody", 401));
}

#[test]
fn this_machine_needs_nothing_where_it_is_called_by_an_address() {
    let (gate, _folder) = gate(Port::Page, true, Vec::new());
    let called = |host: &str| {
        let headers = [(HOST, host)];
        outcome(&gate, &request(Method::GET, "/", &headers, Link::default()))
    };
    assert_eq!(called("127.0.0.1:4319"), passes("loopback"));
    assert_eq!(called("rebound.example"), refused("nobody", 403));
}

#[test]
fn a_browser_keeps_the_secret_that_it_brought() {
    let (gate, _folder) = gate(Port::Page, false, keys());
    let uri = format!("/traces?from=-1h&token={VIEWER}&q=x");
    for (is_encrypted, end) in [(false, "Strict"), (true, "; Secure")] {
        let link = Link {
            is_encrypted,
            certificate: None,
        };
        let request = request(Method::GET, &uri, &[], link);
        let Verdict::Welcome(identity, response) = gate.verdict(&request) else {
            panic!("not welcome");
        };
        assert_eq!(identity.name, "grafana");
        assert_eq!(response.headers()[LOCATION], "/traces?from=-1h&q=x");
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        assert!(
            cookie.starts_with(&format!("radiosonde_token={VIEWER};")) && cookie.ends_with(end),
            "{cookie}"
        );
    }
}

#[test]
fn only_a_browser_that_opens_the_page_is_led_on() {
    let uri = format!("/v1/traces?token={SENDER}");
    for (port, method) in [
        (Port::OtlpHttp, Method::POST),
        (Port::OtlpHttp, Method::GET),
        (Port::OtlpGrpc, Method::POST),
        (Port::Page, Method::POST),
    ] {
        let (gate, _folder) = gate(port, false, keys());
        let request = request(method, &uri, &[], Link::default());
        assert_eq!(outcome(&gate, &request), refused("nobody", 401), "{port:?}");
    }
}

#[tokio::test]
async fn who_is_refused_in_the_middle_of_a_body_hears_it() {
    let (gate, _folder) = gate(Port::OtlpHttp, false, keys());
    let gate = Arc::new(gate);
    let router = axum::Router::new().layer(axum::middleware::from_fn(move |request, next| {
        check(Arc::clone(&gate), request, next)
    }));
    let (read, is_read) = tokio::sync::oneshot::channel();
    let parts = futures::stream::once(async {
        let _ = read.send(());
        Ok::<_, std::convert::Infallible>("a part")
    });
    let mut request = request(Method::POST, "/v1/traces", &[], Link::default());
    *request.body_mut() = Body::from_stream(parts);
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    is_read.await.unwrap();
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_is_noted_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = radiosonde_store::Config::new(folder.path());
    let store = Arc::new(radiosonde_store::Store::open(config).unwrap());
    let audit = Arc::new(Audit::new(Arc::clone(&store)));
    let ask = async |port: Port, uri: &str| {
        let (gate, _folder) = gate(port, false, keys());
        let gate = Arc::new(Gate {
            audit: Some(Arc::clone(&audit)),
            ..gate
        });
        let never = axum::routing::any(std::future::pending::<StatusCode>);
        let router = axum::Router::new()
            .fallback_service(never)
            .layer(axum::middleware::from_fn(move |request, next| {
                check(Arc::clone(&gate), request, next)
            }));
        let bearer = format!("Bearer {TOKEN}");
        let headers = [(AUTHORIZATION, bearer.as_str())];
        let request = request(Method::POST, uri, &headers, Link::default());
        let answer = tower::ServiceExt::oneshot(router, request);
        let patience = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, answer).await.is_err());
    };
    ask(Port::Page, "/api/v1/sql").await;
    ask(Port::OtlpHttp, "/v1/traces").await;
    audit.finish();
    let statement = "SELECT body FROM logs WHERE event_name = 'sonde.access' ORDER BY body";
    let limits = radiosonde_store::query::Limits::default();
    let asked = tokio::task::spawn_blocking(move || store.sql(statement, limits));
    let said = format!("{:?}", asked.await.unwrap().unwrap().rows);
    for expected in [
        "token allowed: POST /api/v1/sql 499",
        "token allowed: 1 x telemetry to otlp_http",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_address_loses_the_secret_it_brought() {
    let uri: Uri = "/traces?from=-1h&token=abc&q=x".parse().unwrap();
    assert_eq!(
        brought(&uri),
        Some(("abc", "/traces?from=-1h&q=x".to_owned()))
    );
    let uri: Uri = "//elsewhere.example/?token=abc".parse().unwrap();
    assert_eq!(brought(&uri).unwrap().1, "/elsewhere.example/");
    let uri: Uri = "/\\elsewhere.example/?token=abc".parse().unwrap();
    assert_eq!(brought(&uri).unwrap().1, "/elsewhere.example/");
    assert_eq!(brought(&"/traces?q=token".parse().unwrap()), None);
}
