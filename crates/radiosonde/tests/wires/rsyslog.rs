//! rsyslog reads what we send, over each of the ways that it has.

use std::{fs, path::Path};

use radiosonde::exporter::{Exporter as _, syslog};

use crate::{
    peers::{self, Peer, find, free_port},
    records::{deliver, export, logs},
    syslog::config,
};

fn rsyslogd() -> Option<std::path::PathBuf> {
    find(
        "rsyslogd",
        "RSYSLOGD",
        "apt-get install rsyslog rsyslog-gnutls",
    )
}

/// Starts one with `inputs` that writes every field it read to the file `out` in `folder`.
fn start(program: &Path, folder: &Path, global: &str, inputs: &str) -> Peer {
    let (config, out) = (folder.join("rsyslog.conf"), folder.join("out"));
    let text = format!(
        "global(workDirectory=\"{place}\" maxMessageSize=\"64k\" {global})\n{inputs}\n\
         template(name=\"all\" type=\"string\" string=\"%protocol-version%|%pri%|%timestamp:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%|%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{out}\" template=\"all\")\n",
        place = folder.display(),
        out = out.display(),
    );
    fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let pid = folder.join("pid");
    // One that was killed leaves it behind.
    let _ = fs::remove_file(&pid);
    let pid = pid.display().to_string();
    Peer::start(program, &["-n", "-f", &config, "-i", &pid])
}

fn lines(folder: &Path, count: usize) -> Vec<String> {
    let text = peers::read_until(&folder.join("out"), |text| text.lines().count() >= count);
    text.replace(" \u{feff}", "")
        .replace('\u{feff}', "")
        .lines()
        .map(str::to_owned)
        .collect()
}

const EXPECTED: &str = "1|11|2025-12-31T23:59:59.123456Z|box|my_engine|42|engine::decode|\
    [otel@32473 trace_id=\"00000000000000010000000000000002\" span_id=\"0000000000000003\"]\
    [attributes@32473 quoted=\"a \\\"b\\\" \\\\c\\]\" token=\"[redacted\\]\"]|";

#[test]
fn rsyslog_reads_every_field_over_tcp_also_after_it_was_away() {
    let Some(program) = rsyslogd() else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let inputs = format!(
        "module(load=\"imtcp\") input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"
    );
    let mut exporter = syslog::start(&config(format!("tcp://127.0.0.1:{port}"))).unwrap();
    export(&mut exporter, &logs(&["before it is there"]));
    let peer = start(&program, folder.path(), "", &inputs);
    deliver(&mut exporter);
    let long = format!("grün {}", "x".repeat(7000));
    export(&mut exporter, &logs(&[&*long, "second"]));
    deliver(&mut exporter);
    let read = lines(folder.path(), 3);
    assert_eq!(read[0], format!("{EXPECTED}before it is there"));
    assert_eq!(read[1], format!("{EXPECTED}{long}"));
    assert_eq!(read[2], format!("{EXPECTED}second"));
    drop(peer);
    export(&mut exporter, &logs(&["while it is away"]));
    let _ = exporter.flush();
    let _peer = start(&program, folder.path(), "", &inputs);
    deliver(&mut exporter);
    let is_there = |text: &str| text.ends_with("while it is away\n");
    peers::read_until(&folder.path().join("out"), is_there);
}

#[test]
fn rsyslog_reads_every_field_over_udp() {
    let Some(program) = rsyslogd() else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let inputs = format!(
        "module(load=\"imudp\") input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")"
    );
    let _peer = start(&program, folder.path(), "", &inputs);
    let mut exporter = syslog::start(&config(format!("udp://127.0.0.1:{port}"))).unwrap();
    let out = folder.path().join("out");
    // What is sent before it listens is lost, which is how UDP is.
    let mut sent = 0;
    while !out.is_file() {
        sent += 1;
        assert!(sent < 3000, "rsyslog does not start");
        export(&mut exporter, &logs(&["datagram"]));
        let _ = exporter.flush();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let read = lines(folder.path(), 1);
    assert_eq!(read[0], format!("{EXPECTED}datagram"));
}

#[test]
fn rsyslog_reads_every_field_over_tls_and_knows_us_by_our_certificate() {
    let Some(program) = rsyslogd() else { return };
    let driver = "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so";
    if cfg!(target_arch = "x86_64") && !Path::new(driver).exists() {
        eprintln!("SKIPPED: rsyslog has no TLS here; apt-get install rsyslog-gnutls");
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let path = |name: &str| folder.path().join(name);
    let issuer = authority(&path("ca.pem"));
    identity(
        &issuer,
        "localhost",
        &path("server.pem"),
        &path("server.key"),
    );
    identity(
        &issuer,
        "engine.example",
        &path("client.pem"),
        &path("client.key"),
    );
    let global = format!(
        "DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"{}\" DefaultNetstreamDriverCertFile=\"{}\" DefaultNetstreamDriverKeyFile=\"{}\"",
        path("ca.pem").display(),
        path("server.pem").display(),
        path("server.key").display()
    );
    let inputs = format!(
        "module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.Authmode=\"x509/name\" PermittedPeer=[\"engine.example\"])\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"
    );
    let mut config = config(format!("tls://localhost:{port}"));
    config.ca_certificate = Some(path("ca.pem"));
    config.client_certificate = Some((path("client.pem"), path("client.key")));
    let mut exporter = syslog::start(&config).unwrap();
    let _peer = start(&program, folder.path(), &global, &inputs);
    export(&mut exporter, &logs(&["first"]));
    deliver(&mut exporter);
    export(&mut exporter, &logs(&["second"]));
    deliver(&mut exporter);
    let read = lines(folder.path(), 2);
    assert_eq!(
        read,
        ["first", "second"].map(|text| format!("{EXPECTED}{text}"))
    );
    // One whom we do not know gets nothing.
    let other = folder.path().join("other.pem");
    authority(&other);
    config.ca_certificate = Some(other);
    let mut exporter = syslog::start(&config).unwrap();
    export(&mut exporter, &logs(&["secret"]));
    let error = exporter.flush().unwrap_err().to_string();
    assert!(error.contains("1 records wait"), "{error}");
}

type Issuer = rcgen::Issuer<'static, rcgen::KeyPair>;

fn authority(file: &Path) -> Issuer {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(file, ca.self_signed(&key).unwrap().pem()).unwrap();
    rcgen::Issuer::new(ca, key)
}

fn identity(issuer: &Issuer, name: &str, file: &Path, key_file: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    fs::write(file, certificate.pem()).unwrap();
    fs::write(key_file, key.serialize_pem()).unwrap();
}
