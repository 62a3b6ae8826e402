//! Real programs that send as others than OpenTelemetry do: rsyslog, Prometheus, and libraries for Python. Skipped, and said to be,
//! where they are not and cannot be installed.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    sdk::python_with,
    server::Running,
    syslog::{listening, wait_for},
};

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program, or says that it is not there.
fn run(name: &str, arguments: &[&str]) -> Option<Program> {
    let child = Command::new(name)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child
        .map(Program)
        .map_err(|error| skipped(name, &error))
        .ok()
}

fn skipped(name: &str, why: &dyn std::fmt::Display) {
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {name} cannot be run, so that nothing real was sent: {why}"
    );
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// rsyslog forwards lines of a file in each of its ways: RFC 5424 counted and by lines over TCP, and its own older form over UDP.
#[test]
fn rsyslog_forwards_over_udp_and_tcp() {
    let (running, address) = listening();
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    let (host, port) = (address.ip(), address.port());
    let target = format!("type=\"omfwd\" target=\"{host}\" port=\"{port}\"");
    let configuration = format!(
        "global(workDirectory=\"{path}\")\nmodule(load=\"imfile\" PollingInterval=\"1\")\n\
         input(type=\"imfile\" File=\"{path}/lines\" Tag=\"shop:\" Severity=\"error\" Facility=\"local3\")\n\
         action({target} protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\")\n\
         action({target} protocol=\"tcp\" template=\"RSYSLOG_SyslogProtocol23Format\")\n\
         action({target} protocol=\"udp\" template=\"RSYSLOG_TraditionalForwardFormat\")\n"
    );
    let file = folder.path().join("r.conf");
    fs::write(&file, configuration).unwrap();
    fs::write(folder.path().join("lines"), "no money\nlow on stock\n").unwrap();
    let process = folder.path().join("pid");
    let arguments = [
        "-n",
        "-f",
        file.to_str().unwrap(),
        "-i",
        process.to_str().unwrap(),
    ];
    let Some(_rsyslog) = run("rsyslogd", &arguments) else {
        return;
    };
    wait_for(&running, 6);
    assert_eq!(
        running.ask("SELECT service, severity, attributes['syslog.facility'], body, count(*) FROM logs GROUP BY 1, 2, 3, 4 ORDER BY 4"),
        "shop | 17 | local3 | low on stock | 3\nshop | 17 | local3 | no money | 3"
    );
}

/// Prometheus scrapes itself, and writes what it finds to us. Its first batch comes within half a minute.
#[test]
fn prometheus_writes_its_samples() {
    let running = Running::start();
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let url = running.http("/api/v1/write");
    let configuration = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: itself\n    static_configs:\n      - targets: ['127.0.0.1:{port}']\n\
         remote_write:\n  - url: {url}\n    queue_config:\n      batch_send_deadline: 1s\n"
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, configuration).unwrap();
    let data = folder.path().join("data");
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(_prometheus) = run("prometheus", &arguments) else {
        return;
    };
    let up = "SELECT DISTINCT service, kind, value FROM points WHERE name = 'up' AND value = 1";
    let began = Instant::now();
    while running.ask(up).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing came");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(running.ask(up), "itself | gauge | 1.0");
    let totals = "SELECT DISTINCT kind FROM points WHERE name LIKE '%_total'";
    assert_eq!(running.ask(totals), "counter");
}

/// Sends with a library, and gives what was received.
fn python(kind: &str) -> Option<Running> {
    let mut python = python_with("requirements-others.txt", "python-others", "others.py")?;
    let running = Running::start();
    let endpoint = if kind.ends_with("grpc") {
        running.grpc()
    } else {
        running.http("")
    };
    let sent = python.args([kind, &endpoint]).output().unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success(), "{said}");
    Some(running)
}

const SPANS: &str = "SELECT service, name, kind, status, status_message, attributes['tokens'], parent_span_id IS NULL FROM spans \
                     ORDER BY start_time";

#[test]
fn jaegers_exporters_for_python_send_over_http_and_grpc() {
    for kind in ["jaeger-thrift", "jaeger-grpc"] {
        let Some(running) = python(kind) else {
            return;
        };
        assert_eq!(
            running.ask(SPANS),
            format!(
                "{kind} | root | server | unset |  | 7 | true\n{kind} | child | internal | error | declined | - | false"
            )
        );
        assert_eq!(
            running.ask("SELECT l.event_name, l.attributes['attempt'], s.name, s.scope FROM logs l JOIN spans s ON l.span_id = s.span_id"),
            "retry | 2 | child | shop"
        );
    }
}

#[test]
fn datadogs_tracer_for_python_sends_its_traces() {
    let Some(running) = python("datadog") else {
        return;
    };
    assert_eq!(
        running.ask(SPANS),
        "datadog | root | server | unset |  | 7.0 | true\ndatadog | child | internal | error | declined | - | false"
    );
    let same = "SELECT count(DISTINCT trace_id) FROM spans";
    assert_eq!(running.ask(same), "1");
}

#[test]
fn a_handler_for_loki_sends_its_lines() {
    let Some(running) = python("loki") else {
        return;
    };
    assert_eq!(
        running.ask("SELECT service, severity, body FROM logs"),
        "loki | 17 | low on stock"
    );
}
