//! A Prometheus of its own for a test, and something that it can scrape.

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Whether there is a Prometheus; says so where there is none.
pub fn is_installed() -> bool {
    let found = Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: prometheus is not installed (apt-get install prometheus)"
        );
    }
    found
}

/// A running Prometheus, which ends with the test.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// One that scrapes `target` once a second under the name of `job`.
    pub fn start(job: &str, target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: {job}\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        fs::write(&config, text).unwrap();
        // A port that was free a moment ago: Prometheus cannot say which one it chose itself.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self {
            child,
            address,
            _folder: folder,
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while prometheus
            .get("/-/ready")
            .is_none_or(|answer| !answer.contains("200 OK"))
        {
            assert!(Instant::now() < deadline, "prometheus does not start");
            thread::sleep(Duration::from_millis(100));
        }
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// What the query is now.
    pub fn query(&self, query: &str) -> Value {
        self.json(&format!("/api/v1/query?query={}", encoded(query)))
    }

    /// The values of a query's series by one of their labels, sorted.
    pub fn values(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let answer = self.query(query);
        let series = answer["data"]["result"].as_array().unwrap();
        let mut values: Vec<_> = series
            .iter()
            .map(|series| {
                let name = series["metric"][label].as_str().unwrap_or_default();
                let value = series["value"][1].as_str().unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect();
        values.sort_by(|left, right| left.0.cmp(&right.0));
        values
    }

    /// The values of a label of a metric.
    pub fn label_values(&self, label: &str, metric: &str) -> Value {
        self.json(&format!("/api/v1/label/{label}/values?match[]={metric}"))
    }
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut encoded, byte| {
        // Writing to a string does not fail.
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

/// Answers every scrape with a text, which is told how many there have been.
pub fn serve(text: impl Fn(u64) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (scrapes, mut stream) in (1..).zip(listener.incoming().flatten()) {
            let head = BufReader::new(stream.try_clone().unwrap()).lines();
            head.map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let body = text(scrapes);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            // A scraper that went away is asked again.
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}
