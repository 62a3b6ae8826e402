//! Nothing sensitive leaves through any exporter, and what one backend is told by its headers no other hears.

use radiosonde::{core::ValueRef, exporter::Exporter};

use crate::{
    faults,
    receiver::{Receiver, Request, Strict},
    records,
};

/// What may never be in a request's bytes.
const SECRETS: [&str; 6] = [
    "hunter2",
    "s3cret-dsn",
    "abc123def456",
    "someone@example.org",
    "AKIAIOSFODNN7EXAMPLE",
    "sw0rdfish",
];

/// What each backend is told and no other.
const KEYS: [(&str, &str); 4] = [
    ("datadog", "K3Y"),
    ("splunk", "T0KEN"),
    ("application_insights", "1KEY"),
    ("custom", "K3Y"),
];

/// Takes anything, and says what each backend waits for.
struct Scanner;

impl Strict for Scanner {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        Ok(match request.path.as_str() {
            path if path.contains("/_bulk") => (200, "{\"errors\":false}".to_owned()),
            _ => (200, "{}".to_owned()),
        })
    }

    fn ids(&self) -> Vec<u64> {
        Vec::new()
    }
}

#[test]
fn no_secret_leaves_through_any_exporter_and_no_key_through_another() {
    let receiver = Receiver::start(Scanner);
    let mut batch = records::empty();
    let attributes = [
        ("password", ValueRef::Str("hunter2")),
        ("dsn", ValueRef::Str("postgres://app:s3cret-dsn@db:5432/x")),
        ("note", ValueRef::Str("Authorization: Bearer abc123def456")),
        ("mail", ValueRef::Str("write to someone@example.org today")),
        ("otel.name", ValueRef::Str("call with AKIAIOSFODNN7EXAMPLE")),
        ("api.key", ValueRef::Str("sw0rdfish")),
        (
            "exception.message",
            ValueRef::Str("login as someone@example.org failed"),
        ),
        ("url.full", ValueRef::Str("https://bo:s3cret-dsn@host/path")),
    ];
    records::push_span(&mut batch, 1, &attributes);
    records::push_log(&mut batch, 2, "Bearer abc123def456 was sent", &attributes);
    records::push_error(&mut batch, 3, "AKIAIOSFODNN7EXAMPLE", &attributes);
    records::push_event(&mut batch, 4, "postgres://app:s3cret-dsn@db/x");
    // All of them live at once, and speak to one receiver.
    let mut backends: Vec<_> = faults::all()
        .into_iter()
        .map(|(name, open, _)| (name, open(format!("{}/{name}", receiver.url()))))
        .collect();
    for (_, backend) in &mut backends {
        backend.export(&batch).unwrap();
        backend.export_metrics(&records::snapshot(10, 5)).unwrap();
    }
    for (_, backend) in &mut backends {
        records::deliver(backend);
    }
    let requests = receiver.requests();
    for (name, _) in &backends {
        let own = |request: &&Request| request.path.starts_with(&format!("/{name}/"));
        let count = requests.iter().filter(own).count();
        assert!(count > 0, "{name} sent nothing");
    }
    for request in &requests {
        let mut bytes = request.plain().unwrap();
        for (name, value) in &request.headers {
            bytes.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        let text = String::from_utf8_lossy(&bytes);
        for secret in SECRETS {
            assert!(
                !text.contains(secret),
                "{secret} in {}: {text}",
                request.path
            );
        }
        for (name, key) in KEYS {
            let is_told = text.contains(key);
            let may_be = KEYS
                .iter()
                .any(|(who, known)| *known == key && request.path.starts_with(&format!("/{who}/")));
            assert!(!is_told || may_be, "the key of {name} in {}", request.path);
        }
    }
}
