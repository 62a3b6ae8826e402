//! A collector that thousands of slow clients hold, that is asked for more than it has time for, and that is killed meanwhile.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs, io,
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::*;

pub(super) fn skipped(why: &str) {
    let mut err = io::stderr();
    writeln!(err, "SKIPPED: {why}").unwrap();
}

/// What came of a request that was sent.
pub(super) struct Sent {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) text: String,
}

pub(super) fn post(url: &str, body: &str) -> Sent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let request = agent.post(url).content_type("application/json");
    let mut answer = request.send(body).unwrap();
    let retry_after = answer.headers().get("retry-after");
    Sent {
        status: answer.status().as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        text: answer.body_mut().read_to_string().unwrap(),
    }
}

/// A request with a log of `bytes` bytes that hardly become smaller when they are compressed.
fn log(number: u64, bytes: usize) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = format!("{number:08} ");
    while body.len() < bytes {
        // xorshift64, which is random enough for a compressor.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(body, "{state:016x}").unwrap();
    }
    let record = json!({"timeUnixNano": now_ns().to_string(), "severityNumber": 9, "body": {"stringValue": body}});
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string()
}

/// Sends logs, and knows which of them were acknowledged.
#[derive(Default)]
pub(super) struct Sender {
    number: u64,
    pub(super) kept: BTreeSet<u64>,
}

impl Sender {
    pub(super) fn send(&mut self, collector: &Collector, bytes: usize) -> Result<(), Sent> {
        self.number += 1;
        let url = format!("{}/v1/logs", collector.otlp_http);
        let sent = post(&url, &log(self.number, bytes));
        if sent.status != 200 {
            return Err(sent);
        }
        self.kept.insert(self.number);
        Ok(())
    }

    /// Sends what must be taken.
    pub(super) fn must_send(&mut self, collector: &Collector, bytes: usize) {
        let sent = self.send(collector, bytes);
        sent.unwrap_or_else(|sent| panic!("{} {}", sent.status, sent.text));
    }
}

/// The numbers of the logs that are there, each of which must be there once.
pub(super) fn logs(collector: &Collector) -> BTreeSet<u64> {
    let statement = "SELECT CAST(substr(body, 1, 8) AS BIGINT) FROM logs ORDER BY 1";
    let answer = collector.json(&["query", statement]);
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(answer["more"], false, "there are more than an answer has");
    let numbers = rows.iter().map(|row| row[0].as_u64().unwrap());
    let found: BTreeSet<u64> = numbers.collect();
    assert_eq!(found.len(), rows.len(), "{answer}");
    found
}

/// How the child below is told whom to hold, and with how many connections each.
const HELD: &str = "SONDE_TEST_HELD";
const HOLDERS: &str = "SONDE_TEST_HOLDERS";

#[test]
#[ignore = "the slow clients that tests below start"]
fn holds_many_connections_and_says_a_byte_now_and_then() {
    let addresses = env::var(HELD).unwrap();
    let count: usize = env::var(HOLDERS).unwrap().parse().unwrap();
    let mut held = Vec::new();
    for address in addresses.split(',') {
        let address: SocketAddr = address.parse().unwrap();
        for number in 0..count {
            if number % 50 == 0 {
                // Whoever accepts them is to keep up: who is not accepted waits for a second.
                thread::sleep(Duration::from_millis(5));
            }
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1))
            else {
                // More than wait to be accepted.
                continue;
            };
            // A third says nothing, a third could be of HTTP/2, a third is in the middle of a request.
            let begin = ["", "PRI * HT", "POST /v1/traces HTTP/1.1\r\n"][number % 3];
            stream.write_all(begin.as_bytes()).unwrap();
            held.push((stream, begin));
        }
    }
    let mut out = io::stdout();
    writeln!(out, "holding {}", held.len()).unwrap();
    loop {
        thread::sleep(Duration::from_secs(1));
        // Who was closed meanwhile does not come back: that is another client's place.
        held.retain_mut(|(stream, begin)| begin.len() < 9 || stream.write_all(b"x").is_ok());
    }
}

/// Slow clients, until this is dropped.
struct Slow {
    child: Child,
    held: usize,
}

impl Slow {
    /// `count` at each port. `None`, and a word about it, where so many connections may not be open.
    fn holding(collector: &Collector, count: usize) -> Option<Self> {
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let addresses =
            [&collector.page, &collector.otlp_http, &collector.otlp_grpc].map(|url| address(url));
        let mut child = limited(
            env::current_exe().unwrap().to_str().unwrap(),
            count * 3 + 100,
        )
        .args([
            "faults::holds_many_connections_and_says_a_byte_now_and_then",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(HELD, addresses.join(","))
        .env(HOLDERS, count.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let holds = lines.find_map(|line| {
            let line = line.unwrap();
            // Behind the test's name, where the runner says that first.
            line.split_once("holding ")?.1.parse().ok()
        });
        // What it says later is read, so that it can go on saying it.
        thread::spawn(move || lines.for_each(drop));
        let Some(held) = holds else {
            let _ = child.wait();
            skipped("so many files may not be open here (ulimit -n)");
            return None;
        };
        Some(Self { child, held })
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that may have so many files open.
fn limited(program: &str, files: usize) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -n {files} && exec \"$0\" \"$@\""),
        program,
    ]);
    command
}

/// `sonde serve` that may have so many files open.
fn serve_with_files(files: usize, folder: &Path) -> Command {
    let own = serve();
    let mut command = limited(SONDE, files);
    command.args(own.get_args()).arg("--data").arg(folder);
    for (name, value) in own.get_envs() {
        assert!(value.is_none(), "what is set has to be passed on");
        command.env_remove(name);
    }
    command
}

/// Memory that a process has, in bytes.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

#[test]
fn two_thousand_slow_clients_at_each_port_are_not_noticed_by_another() {
    const COUNT: usize = 2000;
    if !cfg!(target_os = "linux") {
        skipped("/proc is Linux's");
        return;
    }
    let may = limited("true", COUNT * 3 + 1000).status();
    if !may.is_ok_and(|status| status.success()) {
        skipped("so many files may not be open here (ulimit -n)");
        return;
    }
    let folder = TempDir::new().unwrap();
    let command = serve_with_files(COUNT * 3 + 1000, folder.path());
    let collector = Collector::started(command);
    let mut sender = Sender::default();
    sender.must_send(&collector, 100);
    let before = resident(collector.child.id());
    let Some(slow) = Slow::holding(&collector, COUNT) else {
        return;
    };
    assert!(slow.held > COUNT * 5 / 2, "{}", slow.held);
    for _ in 0..20 {
        sender.must_send(&collector, 100);
        assert_eq!(logs(&collector), sender.kept);
    }
    let more = resident(collector.child.id()).saturating_sub(before);
    let bound = (COUNT * 3 * 32 * 1024) as u64;
    assert!(more < bound, "{} KiB for each", more / 3072 / COUNT as u64);
    drop(slow);
}

/// How many files a process has open.
fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Processor time that a process has used, in hundredths of a second.
fn processor_time(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind its name, which may have anything in it: the 14th and 15th of all fields.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().unwrap();
    number(11) + number(12)
}

#[test]
fn a_collector_that_may_open_no_more_files_waits_until_it_may() {
    if !cfg!(target_os = "linux") {
        skipped("/proc is Linux's");
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut sender = Sender::default();
    let at_rest = {
        let collector = Collector::start(folder.path());
        sender.must_send(&collector, 100);
        assert_eq!(logs(&collector), sender.kept);
        open_files(collector.child.id())
    };
    // Fewer than the fewest connections that each of its ports has.
    let collector = Collector::started(serve_with_files(at_rest + 12, folder.path()));
    let Some(slow) = Slow::holding(&collector, 20) else {
        return;
    };
    let process = collector.child.id();
    while open_files(process) < at_rest + 12 {
        thread::sleep(Duration::from_millis(20));
    }
    let before = processor_time(process);
    thread::sleep(Duration::from_secs(1));
    let used = processor_time(process) - before;
    assert!(
        used < 60,
        "it used {used} hundredths of a second of one second"
    );
    drop(slow);
    sender.must_send(&collector, 100);
    assert_eq!(logs(&collector), sender.kept);
}

#[test]
fn a_collector_with_few_files_serves_those_it_has_and_goes_on() {
    if !cfg!(target_os = "linux") {
        skipped("/proc is Linux's");
        return;
    }
    let folder = TempDir::new().unwrap();
    let collector = Collector::started(serve_with_files(300, folder.path()));
    // Clients that were there before keep their connections.
    let agent = ureq::Agent::new_with_defaults();
    let (logs_url, sql_url) = (
        format!("{}/v1/logs", collector.otlp_http),
        format!("{}/api/v1/sql", collector.page),
    );
    let statement = json!({"statement": "SELECT count(*) FROM logs"}).to_string();
    let said = |url: &str, body: &str| {
        let request = agent.post(url).content_type("application/json");
        // A connection is used again when all of the answer was read.
        let mut answer = request.send(body).unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let exchange = |number: u64| {
        assert_eq!(said(&logs_url, &log(number, 100)), "{}");
        let answer: Value = serde_json::from_str(&said(&sql_url, &statement)).unwrap();
        assert_eq!(answer["rows"], json!([[number]]), "{answer}");
    };
    exchange(1);
    let Some(slow) = Slow::holding(&collector, 60) else {
        return;
    };
    for number in 2..10 {
        exchange(number);
    }
    drop(slow);
    // Their places are free again, for anybody.
    assert_eq!(
        collector.text(&["query", "SELECT count(*) AS n FROM logs"]),
        "n\n9\n"
    );
}

/// Sends logs from `first` on until that fails, and says which were acknowledged; `said` hears of each.
fn sends_until_it_fails(url: &str, first: u64, said: &mpsc::Sender<()>) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for number in first.. {
        let request = ureq::post(url).content_type("application/json");
        match request.send(log(number, 100)) {
            Ok(answer) if answer.status() == 200 => acknowledged.push(number),
            _ => break,
        }
        // Nobody hears it when all have sent enough.
        let _ = said.send(());
    }
    acknowledged
}

#[test]
fn a_collector_that_is_killed_while_many_send_keeps_what_it_acknowledged() {
    let folder = TempDir::new().unwrap();
    let mut kept = BTreeSet::new();
    for round in 0..4_u64 {
        let mut collector = Collector::start(folder.path());
        let url = format!("{}/v1/logs", collector.otlp_http);
        let (said, heard) = mpsc::channel();
        let sending: Vec<_> = (0..4)
            .map(|sender| {
                let (url, said) = (url.clone(), said.clone());
                let first = (round * 4 + sender) * 1_000_000;
                thread::spawn(move || sends_until_it_fails(&url, first, &said))
            })
            .collect();
        // Somewhere in the middle, each time somewhere else.
        for _ in 0..=round * 37 {
            heard.recv().unwrap();
        }
        collector.signal("-9");
        collector.child.wait().unwrap();
        for one in sending {
            kept.extend(one.join().unwrap());
        }
        let collector = Collector::start(folder.path());
        let found = logs(&collector);
        assert!(
            kept.is_subset(&found),
            "{:?}",
            kept.difference(&found).collect::<Vec<_>>()
        );
        assert!(found.len() <= kept.len() + 4 * (round as usize + 1));
    }
}

#[test]
fn statements_that_take_long_leave_room_for_the_other_answers() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    for (path, body) in request() {
        collector.send(path, &body);
    }
    let endless = json!({"statement": "SELECT count(*) FROM generate_series(1, 1000000000000)"});
    let url = format!("{}/api/v1/sql", collector.page);
    let (begun, begins) = mpsc::channel();
    let asking: Vec<_> = (0..40)
        .map(|_| {
            let (url, body, begun) = (url.clone(), endless.to_string(), begun.clone());
            thread::spawn(move || {
                begun.send(()).unwrap();
                // The collector is gone before there is an answer, or there is none in time.
                let _ = ureq::post(url).content_type("application/json").send(body);
            })
        })
        .collect();
    assert_eq!(begins.iter().take(40).count(), 40);
    for _ in 0..3 {
        let traces = collector.json(&["traces"]);
        assert_eq!(traces["traces"][0]["trace_id"], TRACE);
        let status = ureq::get(format!("{}/api/v1/status", collector.page)).call();
        assert_eq!(status.unwrap().status(), 200);
        for (path, body) in request() {
            collector.send(path, &body);
        }
    }
    collector.signal("-9");
    collector.child.wait().unwrap();
    for one in asking {
        one.join().unwrap();
    }
}
