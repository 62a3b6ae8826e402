//! TLS on every port, as clients meet it: their own certificates, plain requests at encrypted ports and the other way round,
//! and handshakes that never end.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use radiosonde_server::{
    Config, Server, StartError,
    tls::{Tls, TlsFiles},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use ureq::tls::{ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::{
    grpc::export_at,
    server::{Running, traces},
};

/// An authority, and the files of what it signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    certificate: String,
    key: String,
    /// The SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` has it, but in small letters.
    pub fingerprint: String,
}

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Whom it signs for, and another authority, have another name: one that is its own issuer's counts as signed by itself.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            folder: TempDir::new().unwrap(),
        }
    }

    fn signed(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(certificate.der());
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            fingerprint: pairs.join(":"),
        }
    }

    pub fn client(&self) -> Pair {
        self.signed(&["gpu-7"], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What a server needs that is called `localhost`; with `clients`, one that asks for certificates of that authority.
    pub fn tls(&self, clients: Option<&Self>) -> Tls {
        let own = self.signed(
            &["localhost", "127.0.0.1"],
            ExtendedKeyUsagePurpose::ServerAuth,
        );
        Tls::read(&TlsFiles {
            certificate: self.file("cert.pem", &own.certificate),
            key: self.file("key.pem", &own.key),
            client_ca: clients.map(|clients| self.file("clients.pem", &clients.pem)),
        })
        .unwrap()
    }

    /// A client of HTTP that trusts this authority alone, and shows a certificate where it has one.
    pub fn agent(&self, client: Option<&Pair>) -> ureq::Agent {
        let root = ureq::tls::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let client = client.map(|pair| {
            let own = ureq::tls::Certificate::from_pem(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKey::from_pem(pair.key.as_bytes()).unwrap();
            ClientCert::new_with_certs(&[own], key)
        });
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[root]))
            .client_cert(client)
            .build();
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .build()
            .into()
    }

    fn endpoint(&self, address: SocketAddr) -> Endpoint {
        let trusted = Certificate::from_pem(&self.pem);
        Endpoint::from_shared(format!("https://localhost:{}", address.port()))
            .unwrap()
            .tls_config(ClientTlsConfig::new().ca_certificate(trusted))
            .unwrap()
    }
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("https://localhost:{}{path}", address.port())
}

/// The answer's status and JSON.
pub fn get(agent: &ureq::Agent, url: &str) -> Result<(u16, Value), ureq::Error> {
    let mut answer = agent.get(url).call()?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string()?;
    Ok((status, serde_json::from_str(&body).unwrap_or_default()))
}

/// Waits until something was refused for a reason with `part` in it, which is noted when the other end has learnt of it.
fn until_refused(agent: &ureq::Agent, page: &str, part: &str) {
    for _ in 0..200 {
        if refusals(agent, page).iter().any(|said| said.contains(part)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{part}: {:?}", refusals(agent, page));
}

/// The reasons of what was refused, as `sonde doctor` has them.
fn refusals(agent: &ureq::Agent, page: &str) -> Vec<String> {
    let (_, doctor) = get(agent, page).unwrap();
    let refusals = doctor["refusals"].as_array().unwrap();
    let words = |refusal: &Value| format!("{}: {}", refusal["protocol"], refusal["reason"]);
    refusals.iter().map(words).collect()
}

#[test]
fn every_port_is_encrypted() {
    let authority = Authority::new();
    let running = Running::start_with(|config| config.tls = Some(authority.tls(None)));
    let (agent, addresses) = (authority.agent(None), running.server.addresses());
    let (status, answer) = get(&agent, &url(addresses.page, "/api/v1/status")).unwrap();
    assert_eq!(status, 200);
    for name in ["page", "otlp_http", "otlp_grpc"] {
        let listening = answer["listening"][name].as_str().unwrap();
        assert!(listening.starts_with("https://127.0.0.1:"), "{listening}");
    }
    let answer = agent
        .post(url(addresses.otlp_http, "/v1/traces"))
        .content_type("application/x-protobuf")
        .send(traces("http", 1, &[]).encode_to_vec())
        .unwrap();
    assert_eq!(answer.status(), 200);
    let endpoint = authority.endpoint(addresses.otlp_grpc);
    let answer = export_at(&endpoint, None, traces("grpc", 1, &[])).unwrap();
    assert_eq!(answer, ExportTraceServiceResponse::default());
    assert_eq!(
        running.ask("SELECT name FROM spans ORDER BY 1"),
        "grpc\nhttp"
    );
    // Who trusts others is told by its own library, and `doctor` tells of it here.
    let stranger = Authority::new().agent(None);
    let error = get(&stranger, &url(addresses.page, "/api/v1/status")).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    until_refused(&agent, &url(addresses.page, "/api/v1/doctor"), "\"tls\"");
}

#[test]
fn who_speaks_plainly_to_an_encrypted_port_is_told() {
    let authority = Authority::new();
    let running = Running::start_with(|config| config.tls = Some(authority.tls(None)));
    let (agent, addresses) = (authority.agent(None), running.server.addresses());
    for address in [addresses.page, addresses.otlp_http, addresses.otlp_grpc] {
        let (status, answer) = get(&agent, &format!("http://{address}/v1/traces")).unwrap();
        let error = &answer["error"];
        assert_eq!(status, 400, "{answer}");
        assert!(error["message"].as_str().unwrap().contains("speaks TLS"));
        assert!(error["mend"].as_str().unwrap().contains("https://"));
    }
    let endpoint = Endpoint::from_shared(running.grpc()).unwrap();
    let status = export_at(&endpoint, None, traces("plain", 1, &[])).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("https://"), "{status:?}");
    let refusals = refusals(&agent, &url(addresses.page, "/api/v1/doctor"));
    let said = "\"grpc\": \"this port speaks TLS, and the request is plain HTTP\"";
    assert!(
        refusals.iter().any(|refusal| refusal == said),
        "{refusals:?}"
    );
    assert_eq!(running.ask("SELECT count(*) FROM spans"), "0");
}

#[test]
fn who_speaks_tls_to_a_plain_port_is_told() {
    let (authority, running) = (Authority::new(), Running::start());
    let address = running.server.addresses().otlp_http;
    let error = get(&authority.agent(None), &url(address, "/v1/traces")).unwrap_err();
    assert!(error.to_string().contains("InvalidContentType"), "{error}");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[22, 3, 1, 0, 5]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(
        said.starts_with("HTTP/1.1 400") && said.contains("--tls-cert"),
        "{said}"
    );
    let page = format!("http://{}/api/v1/doctor", running.server.addresses().page);
    let refusals = refusals(&authority.agent(None), &page);
    assert_eq!(
        refusals,
        ["\"tls\": \"the client speaks TLS, and this port does not\""]
    );
}

#[test]
fn handshakes_that_never_end_keep_nobody_waiting() {
    let authority = Authority::new();
    let running = Running::start_with(|config| config.tls = Some(authority.tls(None)));
    let address = running.server.addresses().page;
    let begun: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            // The half say nothing, and the others begin what they do not end.
            if number % 2 == 0 {
                stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
            }
            stream
        })
        .collect();
    let mut garbage = TcpStream::connect(address).unwrap();
    garbage.write_all(&[22, 255, 255, 255, 255, 0, 0]).unwrap();
    let (status, _) = get(&authority.agent(None), &url(address, "/api/v1/status")).unwrap();
    assert_eq!(status, 200);
    // And none of them keeps the server from stopping.
    drop(running);
    drop(begun);
}

#[test]
fn beyond_this_machine_a_certificate_is_asked_for_and_is_enough() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let running = Running::start_with(|config| {
        config.page = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        config.tls = Some(authority.tls(Some(&clients)));
    });
    let addresses = running.server.addresses();
    let (own, other) = (clients.client(), Authority::new().client());
    let status = |agent: &ureq::Agent, address| get(agent, &url(address, "/api/v1/status"));
    assert_eq!(
        status(&authority.agent(Some(&own)), addresses.page)
            .unwrap()
            .0,
        200
    );
    let none = status(&authority.agent(None), addresses.page).unwrap_err();
    assert!(none.to_string().contains("CertificateRequired"), "{none}");
    assert!(status(&authority.agent(Some(&other)), addresses.page).is_err());
    // What only this machine reaches asks nobody.
    let answer = authority
        .agent(None)
        .post(url(addresses.otlp_http, "/v1/traces"))
        .content_type("application/x-protobuf")
        .send(traces("here", 1, &[]).encode_to_vec())
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn without_an_authority_of_clients_encryption_keeps_nobody_out() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let mut config = Config::new(folder.path());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.otlp_grpc, config.otlp_http) = (any, any);
    config.page = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    config.tls = Some(authority.tls(None));
    let error = Server::start(config).unwrap_err();
    assert!(matches!(error, StartError::Unprotected(_)), "{error}");
}
