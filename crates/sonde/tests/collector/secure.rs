//! An encrypted collector with keys, as people start it and ask it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{Collector, serve, sonde};

const VIEWER: &str = "viewer-0123456789abcdef012345678";
const OPERATOR: &str = "operator-0123456789abcdef0123456";

/// An authority's certificate, one that it signed for `localhost`, and its key, as files.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Whom it signs for has another name: one that is its own issuer's counts as signed by itself.
        ca.distinguished_name.push(DnType::CommonName, "authority");
        write("ca.pem", &ca.self_signed(&ca_key).unwrap().pem());
        let (issuer, key) = (Issuer::new(ca, ca_key), KeyPair::generate().unwrap());
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        write("cert.pem", &params.signed_by(&key, &issuer).unwrap().pem());
        write("key.pem", &key.serialize_pem());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["laptop".to_owned()]).unwrap();
        write("mine.pem", &params.signed_by(&key, &issuer).unwrap().pem());
        write("mine.key", &key.serialize_pem());
        let keys = format!(
            "[[key]]\nname = \"grafana\"\nrole = \"viewer\"\nsecret = \"{VIEWER}\"\n\
             [[key]]\nname = \"ci\"\nrole = \"operator\"\nsecret = \"{OPERATOR}\"\n"
        );
        write("keys.toml", &keys);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A collector that speaks TLS.
    fn collector(&self) -> Collector {
        Collector::start_with(&self.path("data"), |command| {
            command.arg("--tls-cert").arg(self.path("cert.pem"));
            command.arg("--tls-key").arg(self.path("key.pem"));
        })
    }

    /// A command that trusts the authority.
    fn ask(&self, collector: &Collector, arguments: &[&str]) -> Command {
        let mut command = sonde(arguments);
        command.env("RADIOSONDE_COLLECTOR", named(&collector.page));
        command.env("RADIOSONDE_TLS_CA", self.path("ca.pem"));
        command
    }
}

/// The same by the name that the certificate has.
fn named(address: &str) -> String {
    address.replace("127.0.0.1", "localhost")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// A profile of one stack.
fn profile(folder: &Path) -> PathBuf {
    let file = folder.join("stacks.folded");
    std::fs::write(&file, "main;work 3\n").unwrap();
    file
}

#[test]
fn an_encrypted_collector_is_asked_and_sent_to() {
    let files = Files::new();
    let collector = files.collector();
    assert!(collector.page.starts_with("https://") && collector.otlp_http.starts_with("https://"));
    let doctor = files.ask(&collector, &["doctor"]).output().unwrap();
    assert!(doctor.status.success(), "{}", said(&doctor));
    let file = profile(files.folder.path());
    let import = files
        .ask(&collector, &["import", "--service", "shop"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(import.status.success(), "{}", said(&import));
    let run = files
        .ask(
            &collector,
            &[
                "run",
                "--",
                "sh",
                "-c",
                "echo $OTEL_EXPORTER_OTLP_CERTIFICATE",
            ],
        )
        .output()
        .unwrap();
    assert!(
        run.status.success() && said(&run).contains("ca.pem"),
        "{}",
        said(&run)
    );
    let count = files
        .ask(
            &collector,
            &[
                "query",
                "SELECT count(*) FROM logs WHERE body LIKE '%ca.pem%'",
            ],
        )
        .output()
        .unwrap();
    assert!(said(&count).contains('1'), "{}", said(&count));
}

#[test]
fn why_there_is_no_encrypted_connection_is_said() {
    let files = Files::new();
    let collector = files.collector();
    let ask = |address: &str, ca: Option<&Path>| {
        let mut command = sonde(&["traces", "--collector", address]);
        command.args(ca.map(|ca| format!("--tls-ca={}", ca.display())));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        said(&output)
    };
    let (page, ca) = (named(&collector.page), files.path("ca.pem"));
    let plain = page.replace("https", "http");
    for (address, ca, expected) in [
        (page.as_str(), None, "--tls-ca"),
        (&collector.page, Some(ca.as_path()), "subjectAltName"),
        (&plain, None, "https://"),
        (&plain, Some(&ca), "call it https://"),
        (
            &page,
            Some(Path::new("no/such.pem")),
            "no/such.pem cannot be read",
        ),
    ] {
        let said = ask(address, ca);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let open = Collector::start(&files.path("open"));
    let encrypted = named(&open.page).replace("http", "https");
    let said = ask(&encrypted, Some(&ca));
    assert!(said.contains("it speaks plain HTTP"), "{said}");
}

#[test]
fn a_certificate_of_clients_and_keys_open_a_collector() {
    let files = Files::new();
    let local = "127.0.0.1:0";
    let mut command = sonde(&["serve", "--otlp-grpc", local, "--otlp-http", local]);
    command.args(["--page", "0.0.0.0:0"]);
    for (option, file) in [
        ("--data", "data"),
        ("--tls-cert", "cert.pem"),
        ("--tls-key", "key.pem"),
        ("--tls-client-ca", "ca.pem"),
        ("--keys", "keys.toml"),
    ] {
        command.arg(option).arg(files.path(file));
    }
    let collector = Collector::started(command);
    let port = collector.page.rsplit(':').next().unwrap().to_owned();
    let page = format!("https://localhost:{port}");
    let ask = |arguments: &[&str], secret: Option<&str>, shows: bool| {
        let mut command = files.ask(&collector, arguments);
        command.env("RADIOSONDE_COLLECTOR", &page);
        if let Some(secret) = secret {
            command.env("RADIOSONDE_TOKEN", secret);
        }
        if shows {
            command.env("RADIOSONDE_TLS_CLIENT_CERT", files.path("mine.pem"));
            command.env("RADIOSONDE_TLS_CLIENT_KEY", files.path("mine.key"));
        }
        command.output().unwrap()
    };
    let nobody = ask(&["doctor"], None, false);
    assert!(
        said(&nobody).contains("--tls-client-cert"),
        "{}",
        said(&nobody)
    );
    assert!(ask(&["doctor"], None, true).status.success());
    let file = profile(files.folder.path());
    let import = ["import", file.to_str().unwrap()];
    let viewer = ask(&import, Some(VIEWER), true);
    assert!(
        said(&viewer).contains("`grafana` is there as viewer"),
        "{}",
        said(&viewer)
    );
    let operator = ask(&import, Some(OPERATOR), true);
    assert!(operator.status.success(), "{}", said(&operator));
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_starts() {
    let files = Files::new();
    let start = |arguments: &[(&str, &str)]| {
        let mut command = serve();
        command.arg("--data").arg(files.path("never"));
        for (option, file) in arguments {
            command.arg(option).arg(files.path(file));
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!files.path("never").exists());
        said(&output)
    };
    let (cert, key) = (("--tls-cert", "cert.pem"), ("--tls-key", "key.pem"));
    for (arguments, expected) in [
        (&[cert][..], "--tls-key"),
        (&[key], "--tls-cert"),
        (&[("--tls-client-ca", "ca.pem")], "--tls-cert and --tls-key"),
        (
            &[cert, ("--tls-key", "mine.key")],
            "mine.key is not that of",
        ),
        (
            &[("--tls-cert", "keys.toml"), key],
            "keys.toml holds no certificate",
        ),
        (
            &[cert, key, ("--keys", "cert.pem")],
            "cert.pem is wrong in line 1",
        ),
    ] {
        let said = start(arguments);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let config = sonde(&["config", "--tls-cert"])
        .arg(files.path("cert.pem"))
        .env("RADIOSONDE_DATA_DIR", files.path("data"))
        .env("RADIOSONDE_TLS_KEY", files.path("key.pem"))
        .env("RADIOSONDE_KEYS", files.path("keys.toml"))
        .output()
        .unwrap();
    let said = said(&config);
    assert!(
        config.status.success() && said.contains("RADIOSONDE_KEYS"),
        "{said}"
    );
    assert!(
        said.contains("keys.toml") && !said.contains(VIEWER),
        "{said}"
    );
}

/// Another library than the one that the collector has, where there is one.
#[test]
fn openssl_shakes_hands_too() {
    let files = Files::new();
    let collector = files.collector();
    let address = named(collector.otlp_http.trim_start_matches("https://"));
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-servername", "localhost"]);
    command.args(["-alpn", "h2", "-verify_return_error", "-CAfile"]);
    command.arg(files.path("ca.pem")).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        return;
    };
    let said = said(&output);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(said.contains("ALPN protocol: h2"), "{said}");
}
