//! Real programs to send to, on ports of this machine, which end with the test.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A program that answers on a port.
pub struct Peer {
    process: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether `program` is there; says so loudly where it is not.
pub fn is_installed(program: &str, package: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {program} is not installed (apt-get install {package})"
        );
    }
    found
}

/// Prometheus, which takes remote write and scrapes `target` where there is one.
pub fn prometheus(program: &str, features: &str, target: Option<u16>) -> Option<Peer> {
    if !is_installed(program, "prometheus") {
        return None;
    }
    let targets = target.map_or_else(String::new, |port| format!("'127.0.0.1:{port}'"));
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: radiosonde\n  static_configs: [{{targets: [{targets}]}}]\n"
    );
    let peer = start(program, "/-/ready", |folder, port| {
        let path = folder.join("prometheus.yml");
        std::fs::write(&path, &config).unwrap();
        vec![
            format!("--config.file={}", path.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-remote-write-receiver".to_owned(),
            format!("--enable-feature={features}"),
        ]
    });
    Some(peer)
}

pub fn pushgateway() -> Option<Peer> {
    if !is_installed("prometheus-pushgateway", "prometheus-pushgateway") {
        return None;
    }
    Some(start("prometheus-pushgateway", "/-/ready", |_, port| {
        vec![format!("--web.listen-address=127.0.0.1:{port}")]
    }))
}

pub fn victoria_metrics() -> Option<Peer> {
    if !is_installed("victoria-metrics", "victoria-metrics") {
        return None;
    }
    Some(start("victoria-metrics", "/health", |folder, port| {
        vec![
            format!("-storageDataPath={}", folder.join("data").display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
        ]
    }))
}

fn start(program: &str, ready: &str, arguments: impl Fn(&Path, u16) -> Vec<String>) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let process = Command::new(program)
        .args(arguments(folder.path(), port))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer {
        process,
        port,
        _folder: folder,
    };
    peer.ask(ready, |answer| answer.contains(" 200 "));
    peer
}

impl Peer {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The whole answer to GET.
    pub fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Asks until the answer is as wanted, which it must be within a minute.
    pub fn ask(&self, path: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let answer = self.get(path).unwrap_or_default();
            if is_wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The result of a query, as soon as it has one.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let answer = self.ask(&path, |answer| !result(answer).is_empty());
        result(&answer)
    }

    /// The result of a query as it is now.
    pub fn query_now(&self, query: &str) -> Vec<Value> {
        result(
            &self
                .get(&format!("/api/v1/query?query={}", encoded(query)))
                .unwrap(),
        )
    }

    /// The value of a query with one result.
    pub fn value(&self, query: &str) -> f64 {
        let result = self.query(query);
        assert_eq!(result.len(), 1, "{query}: {result:?}");
        let value = result[0]["value"][1].as_str();
        value
            .unwrap_or_else(|| panic!("{query}: {result:?}"))
            .parse()
            .unwrap()
    }

    /// Whether exemplars of `query` lead to `trace`, as soon as there are any.
    pub fn has_exemplar(&self, query: &str, trace: &str) -> String {
        let path = format!(
            "/api/v1/query_exemplars?query={}&start=0&end=9999999999",
            encoded(query)
        );
        self.ask(&path, |answer| answer.contains(trace))
    }
}

fn result(answer: &str) -> Vec<Value> {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}
