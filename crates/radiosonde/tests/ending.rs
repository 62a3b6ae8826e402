//! What is delivered when a process ends: real child processes that return, panic, abort or are killed.
//!
//! Each child is this test binary again, running [`child`] with a scenario.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde::{
    core::{
        events::ResourceCacheAccess,
        handlers,
        metrics::{self, snapshot::Snapshot},
    },
    encode::openmetrics,
};
use tracing::{info, info_span, warn};

const SHORT: Duration = Duration::from_secs(2);
const SCENARIO: &str = "ENDING_SCENARIO";
const FOLDER: &str = "ENDING_FOLDER";
/// Set where a child is to export by itself before it exits.
const EXPORTS: &str = "ENDING_EXPORTS";
const LINES: usize = 5_000;
const ACCESSES: u64 = 10;
const ROUNDS: usize = 100;

/// Not a test by itself: what the children run.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn child() {
    let scenario = std::env::var(SCENARIO).unwrap();
    let file = PathBuf::from(std::env::var(FOLDER).unwrap()).join("events.jsonl");
    let builder = radiosonde::builder()
        .console(false)
        .discover(false)
        .json_lines(file);
    match scenario.as_str() {
        "return" => {
            let _guard = builder.init().unwrap();
            log();
        }
        "exit without dropping" => {
            let guard = builder.init().unwrap();
            log();
            assert!(guard.flush(Duration::from_secs(10)));
            std::process::exit(7);
        }
        "panic and abort" => {
            let _guard = builder.init().unwrap();
            log();
            let panicked = thread::spawn(|| {
                let _span = info_span!("doomed").entered();
                panic!("no such model");
            });
            assert!(panicked.join().is_err());
            std::process::abort();
        }
        "panic where nothing can unwind" => {
            let _guard = builder.init().unwrap();
            assert!(std::panic::catch_unwind(|| panic!("caught")).is_err());
            log();
            callback();
        }
        "rows" => {
            let _guard = builder.init().unwrap();
            let step = radiosonde::latency::Collector::install();
            drop(step.phase("forward"));
            drop(step);
            thread::sleep(Duration::from_millis(2_600));
        }
        "by environment" => {
            let _guard = radiosonde::init().unwrap();
            record_everything();
        }
        "measured at the end" => {
            let guard = builder.exporter(Accesses).init().unwrap();
            access();
            if std::env::var_os(EXPORTS).is_some() {
                assert!(guard.export_now(Duration::from_secs(10)));
                std::process::exit(0);
            }
        }
        "another subscriber" => beside_another_subscriber(builder),
        "failed init" => {
            let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = taken.local_addr().unwrap().to_string();
            assert!(builder.http(address).init().is_err());
            let mine = tracing::subscriber::set_global_default(tracing_subscriber::registry());
            assert!(mine.is_ok(), "the subscriber was taken");
        }
        other => signalled(other, builder),
    }
}

/// An `init` that cannot handle the signals, because the process may open no file just then.
#[cfg(target_os = "linux")]
fn without_room(scenario: &str, builder: radiosonde::Builder) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives for as long as the call.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(read, 0);
    let files = |most: libc::rlim_t| {
        let limit = libc::rlimit {
            rlim_cur: most,
            ..limit
        };
        // SAFETY: `limit` lives for as long as the call.
        let written = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        assert_eq!(written, 0);
    };
    files(3);
    let failed = builder_without_file().handle_signals(true).init();
    files(limit.rlim_cur);
    let Err(error) = failed else {
        panic!("they are handled")
    };
    assert!(
        matches!(error, radiosonde::InitError::Signals(_)),
        "{error}"
    );
    let again = (scenario == "no room for a signal at first")
        .then(|| builder.handle_signals(true).init().unwrap());
    log();
    wait_to_be_ended();
    drop(again);
}

/// As C calls a function of the program.
extern "C" fn callback() {
    panic!("in a callback");
}

/// What a signal ends.
fn signalled(scenario: &str, builder: radiosonde::Builder) {
    match scenario {
        "wait for a signal" => {
            let _guard = builder.handle_signals(true).init().unwrap();
            log();
            wait_to_be_ended();
        }
        "hang in a signal" => {
            let _guard = builder
                .handle_signals(true)
                .shutdown_timeout(Duration::from_millis(300))
                .exporter(Hangs)
                .init()
                .unwrap();
            log();
            wait_to_be_ended();
        }
        "a handler hangs, signal" => {
            let _guard = builder
                .handle_signals(true)
                .shutdown_timeout(SHORT)
                .init()
                .unwrap();
            handlers::attach("hangs", &["*"], |_| thread::sleep(Duration::from_mins(2))).unwrap();
            access();
            wait_to_be_ended();
        }
        "a full disk, signal" => {
            let builder = builder.handle_signals(true).json_lines("/dev/full");
            let guard = builder.init().unwrap();
            log();
            // What went wrong is said once a minute, and by the signal it was said just now.
            assert!(!guard.flush(Duration::from_secs(20)));
            wait_to_be_ended();
        }
        #[cfg(target_os = "linux")]
        "a signal in the child of a fork" => {
            let _guard = builder.handle_signals(true).init().unwrap();
            for signal in [libc::SIGTERM, libc::SIGINT] {
                assert_eq!(end_forked(signal), signal);
            }
            log();
        }
        #[cfg(target_os = "linux")]
        "no room for a signal" | "no room for a signal at first" => {
            without_room(scenario, builder);
        }
        other => failing(other, builder),
    }
}

fn beside_another_subscriber(builder: radiosonde::Builder) {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    let file = Path::new("never.jsonl");
    let Err(error) = radiosonde::builder()
        .discover(false)
        .json_lines(file)
        .init()
    else {
        panic!("taken over")
    };
    assert!(error.to_string().contains("keep_subscriber()"), "{error}");
    assert!(!file.exists(), "something was started");
    drop(builder.keep_subscriber().init().unwrap());
}

thread_local! {
    static GUARD: RefCell<Option<radiosonde::Guard>> = const { RefCell::new(None) };
}

/// Code of the program that fails or hangs while everything is delivered.
fn failing(scenario: &str, builder: radiosonde::Builder) {
    match scenario {
        "a source panics, return" => {
            let guard = builder.init().unwrap();
            metrics::global().add_source(|_| panic!("the device is gone"));
            log();
            assert!(guard.shutdown(Duration::from_secs(20)));
            assert!(builder_without_file().init().is_ok(), "it is over");
        }
        "a source panics, signal" => {
            let _guard = builder.handle_signals(true).init().unwrap();
            metrics::global().add_source(|_| panic!("the device is gone"));
            log();
            wait_to_be_ended();
        }
        "a source hangs, return" => {
            let guard = builder.shutdown_timeout(SHORT).init().unwrap();
            metrics::global().add_source(|_| thread::sleep(Duration::from_mins(2)));
            log();
            assert!(!guard.export_now(SHORT));
            drop(guard);
        }
        "a source hangs, signal" => {
            let _guard = builder
                .handle_signals(true)
                .shutdown_timeout(SHORT)
                .init()
                .unwrap();
            metrics::global().add_source(|_| thread::sleep(Duration::from_mins(2)));
            log();
            wait_to_be_ended();
        }
        "a collector hangs" => {
            let ran = Arc::new(AtomicU64::new(0));
            let runs = Arc::clone(&ran);
            let every = Duration::from_millis(10);
            let guard = builder
                .shutdown_timeout(Duration::from_secs(4))
                .collector("stuck", every, || thread::sleep(Duration::from_mins(2)))
                .collector("sound", every, move || {
                    runs.fetch_add(1, Relaxed);
                })
                .init()
                .unwrap();
            while ran.load(Relaxed) < 3 {
                thread::sleep(Duration::from_millis(1));
            }
            log();
            drop(guard);
        }
        "a guard that a thread holds until it ends" => {
            let hold = || {
                GUARD.set(Some(builder.init().unwrap()));
                log();
            };
            thread::scope(|scope| scope.spawn(hold).join().unwrap());
        }
        "a guard that the main thread holds until it ends" => {
            GUARD.set(Some(builder.init().unwrap()));
            log();
        }
        other => panic!("no scenario {other:?}"),
    }
}

/// Sends `signal` to the child of a fork, and says which one ended it.
#[cfg(target_os = "linux")]
fn end_forked(signal: i32) -> i32 {
    // SAFETY: the child calls two functions that a signal handler may call too, and never returns.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: they take a number or nothing. The alarm ends a child that lives on.
        unsafe {
            libc::alarm(20);
            loop {
                libc::pause();
            }
        }
    }
    assert!(child > 0, "there is no child");
    let mut status = 0;
    // SAFETY: `status` lives for as long as the calls, and the child was not waited for before.
    unsafe {
        assert_eq!(libc::kill(child, signal), 0);
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    libc::WTERMSIG(status)
}

fn wait_to_be_ended() {
    std::io::stdout().write_all(b"\nready\n").unwrap();
    thread::sleep(Duration::from_mins(2));
}

fn log() {
    for line in 0..LINES {
        info!(line, "work");
    }
}

/// Each round is a span, two logs and an event.
fn record_everything() {
    for round in 0..ROUNDS as u64 {
        let _span = info_span!("round", round).entered();
        info!(round, "an ordinary line");
        warn!(round, "a line that warns");
        radiosonde::memory::Collector::new("cpu").kv_cache(round, round);
    }
}

fn builder_without_file() -> radiosonde::Builder {
    radiosonde::builder().console(false).discover(false)
}

struct Hangs;

impl radiosonde::exporter::Exporter for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    fn export(
        &mut self,
        _: &radiosonde::core::batch::Batch,
    ) -> Result<(), radiosonde::exporter::ExportError> {
        thread::sleep(Duration::from_mins(2));
        Ok(())
    }
}

fn access() {
    for access in 0..ACCESSES {
        radiosonde::core::record(&ResourceCacheAccess {
            cache_key: "pipeline",
            hit: access < 7,
            bytes: 4096,
        });
    }
}

/// Writes on standard output what the metrics say of [`access`].
struct Accesses;

impl radiosonde::exporter::Exporter for Accesses {
    fn name(&self) -> &'static str {
        "accesses"
    }

    fn export(
        &mut self,
        _: &radiosonde::core::batch::Batch,
    ) -> Result<(), radiosonde::exporter::ExportError> {
        Ok(())
    }

    fn export_metrics(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<(), radiosonde::exporter::ExportError> {
        let mut text = Vec::new();
        openmetrics::encode(snapshot, openmetrics::Options::default(), &mut text);
        let text = String::from_utf8(text).unwrap();
        let told = text.lines().filter(|line| line.starts_with("gpu_cache"));
        let told: Vec<&str> = told.collect();
        let told = format!("{}\n", told.join("\n"));
        std::io::stdout().write_all(told.as_bytes()).unwrap();
        Ok(())
    }
}

fn command(scenario: &str, folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .current_dir(folder)
        .env(SCENARIO, scenario)
        .env(FOLDER, folder)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn start(scenario: &str, folder: &Path, variables: &[(&str, &str)]) -> Child {
    command(scenario, folder, variables).spawn().unwrap()
}

fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

fn work_lines(folder: &Path) -> usize {
    let is_work = |line: &&String| line.contains("\"work\"");
    lines(folder).iter().filter(is_work).count()
}

/// Waits until the child is ready, ends it by `signal`, and says how it ended.
fn kill(child: &mut Child, signal: &str) -> ExitStatus {
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        out.any(|line| line.unwrap() == "ready"),
        "the child never got ready"
    );
    let killed = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    end(child)
}

/// How the child ends; one that does not end is a failure.
fn end(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("the child does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn returning_from_main_delivers_everything() {
    let folder = tempfile::tempdir().unwrap();
    let status = start("return", folder.path(), &[]).wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(work_lines(folder.path()), LINES);
}

#[test]
fn a_guard_that_is_dropped_with_its_thread_delivers_everything() {
    for scenario in [
        "a guard that a thread holds until it ends",
        "a guard that the main thread holds until it ends",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let status = end(&mut start(scenario, folder.path(), &[]));
        assert!(status.success(), "{scenario}: {status}");
        assert_eq!(work_lines(folder.path()), LINES, "{scenario}");
    }
}

#[test]
fn what_is_measured_last_is_in_the_last_metrics() {
    for variables in [&[][..], &[(EXPORTS, "1")]] {
        let folder = tempfile::tempdir().unwrap();
        let child = command("measured at the end", folder.path(), variables)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", child.status);
        let said = String::from_utf8(child.stdout).unwrap();
        for line in [
            r#"gpu_cache_access_count_total{cache_key="pipeline",hit="true"} 7"#,
            r#"gpu_cache_access_count_total{cache_key="pipeline",hit="false"} 3"#,
            r#"gpu_cache_bytes_total{cache_key="pipeline",hit="true"} 28672"#,
        ] {
            assert!(said.contains(line), "{line} in {said}");
        }
    }
}

#[test]
fn a_flush_is_enough_for_a_process_that_exits_without_dropping() {
    let folder = tempfile::tempdir().unwrap();
    let status = start("exit without dropping", folder.path(), &[])
        .wait()
        .unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(work_lines(folder.path()), LINES);
}

#[test]
fn a_panic_is_delivered_before_the_process_aborts() {
    let folder = tempfile::tempdir().unwrap();
    let status = start("panic and abort", folder.path(), &[]).wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert_eq!(work_lines(folder.path()), LINES);
    let panic = lines(folder.path())
        .into_iter()
        .find(|line| line.contains("no such model"))
        .expect("the panic is in the file");
    assert!(panic.contains("\"span_name\":\"doomed\""), "{panic}");
}

#[test]
fn a_panic_that_ends_the_process_is_delivered_right_after_one_that_was_caught() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "panic where nothing can unwind";
    let status = start(scenario, folder.path(), &[]).wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert_eq!(work_lines(folder.path()), LINES);
    let text = lines(folder.path()).join("\n");
    assert!(
        text.contains("in a callback"),
        "the panic itself is missing"
    );
}

#[test]
fn sigterm_and_sigint_deliver_and_then_end_the_process_as_always() {
    for (signal, number) in [("-TERM", 15), ("-INT", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start("wait for a signal", folder.path(), &[]);
        let status = kill(&mut child, signal);
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(work_lines(folder.path()), LINES);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_init_that_cannot_handle_signals_leaves_them_as_they_were_for_the_next_one() {
    for (scenario, delivered) in [
        ("no room for a signal", 0),
        ("no room for a signal at first", LINES),
    ] {
        for (signal, number) in [("-TERM", 15), ("-INT", 2)] {
            let folder = tempfile::tempdir().unwrap();
            let mut child = start(scenario, folder.path(), &[]);
            let status = kill(&mut child, signal);
            assert_eq!(status.signal(), Some(number), "{scenario}: {status}");
            assert_eq!(work_lines(folder.path()), delivered, "{scenario}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_the_process_was_started_to_ignore_is_still_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let child = command("wait for a signal", folder.path(), &[]);
    // As a shell starts what is to run in its background.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"trap "" INT; exec "$0" "$@""#])
        .arg(child.get_program())
        .args(child.get_args())
        .envs(
            child
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    let id = child.id();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.any(|line| line.unwrap() == "ready"));
    for signal in ["-INT", "-TERM"] {
        let killed = Command::new("kill")
            .args([signal, &id.to_string()])
            .status();
        assert!(killed.unwrap().success());
        // Both are handled in the order in which they come.
        thread::sleep(Duration::from_millis(200));
    }
    let status = end(&mut child);
    assert_eq!(status.signal(), Some(15), "{status}");
    assert_eq!(work_lines(folder.path()), LINES);
}

#[cfg(target_os = "linux")]
#[test]
fn lines_that_wait_for_room_when_a_signal_comes_are_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command("a full disk, signal", folder.path(), &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = kill(&mut child, "-TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let lost: usize = said
        .split(" records (write_failed)")
        .filter_map(|before| before.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    assert!(lost >= LINES, "{lost} of {LINES}: {said}");
    assert!(!said.contains("was not done"), "{said}");
}

#[test]
fn what_a_handler_that_hangs_keeps_from_the_exporters_is_said_when_a_signal_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command("a handler hangs, signal", folder.path(), &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = kill(&mut child, "-TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let of_it: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("a handler or consumer did not return: "))
        .collect();
    assert_eq!(of_it.len(), 1, "{said}");
    let lost = of_it[0]
        .split_once("return: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(lost >= Some(ACCESSES), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_child_of_a_fork_and_not_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "a signal in the child of a fork";
    let status = end(&mut start(scenario, folder.path(), &[]));
    assert!(status.success(), "{status}");
    assert_eq!(work_lines(folder.path()), LINES);
}

#[test]
fn an_exporter_that_hangs_does_not_keep_the_process_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start("hang in a signal", folder.path(), &[]);
    let started = Instant::now();
    let status = kill(&mut child, "-TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
    assert!(
        started.elapsed() < Duration::from_mins(1),
        "the deadline was not kept"
    );
    assert_eq!(
        work_lines(folder.path()),
        LINES,
        "the other exporter got everything"
    );
}

#[test]
fn code_of_the_program_that_fails_while_delivering_does_not_keep_the_process_from_ending() {
    for scenario in [
        "a source panics, return",
        "a source hangs, return",
        "a collector hangs",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let status = end(&mut start(scenario, folder.path(), &[]));
        assert!(status.success(), "{scenario}: {status}");
        assert_eq!(work_lines(folder.path()), LINES, "{scenario}");
    }
    for scenario in ["a source panics, signal", "a source hangs, signal"] {
        let folder = tempfile::tempdir().unwrap();
        let status = kill(&mut start(scenario, folder.path(), &[]), "-TERM");
        assert_eq!(status.signal(), Some(15), "{scenario}: {status}");
        assert_eq!(work_lines(folder.path()), LINES, "{scenario}");
    }
}

#[test]
fn an_init_that_fails_leaves_the_subscriber_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let status = end(&mut start("failed init", folder.path(), &[]));
    assert!(status.success(), "{status}");
}

#[test]
fn another_subscriber_is_left_in_place_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let status = start("another subscriber", folder.path(), &[])
        .wait()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn row_files_get_a_line_an_interval() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("METRICS_LOG_ENABLED", "on"),
        ("METRICS_LOG_INTERVAL_SECS", "1"),
    ];
    assert!(
        start("rows", folder.path(), &variables)
            .wait()
            .unwrap()
            .success()
    );
    for kind in ["latency", "memory"] {
        let file = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(&format!("-{kind}.jsonl")))
            .unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.lines().count(), 2, "{kind}: {text}");
        assert!(text.lines().all(|line| line.starts_with('[')), "{text}");
        assert!(kind == "memory" || text.contains("orward"), "{text}");
    }
}

/// How many records the console and the file got from a child that is configured by variables alone.
fn by_environment(folder: &Path, console: &str) -> (usize, usize) {
    let events = folder.join("events.jsonl");
    let mut variables = vec![
        ("RADIOSONDE_OTLP_DISCOVER", "false"),
        ("RADIOSONDE_JSON_LINES_PATH", events.to_str().unwrap()),
        ("RADIOSONDE_CONSOLE_SHOW", console),
    ];
    let database = folder.join("events.sqlite");
    if cfg!(feature = "sqlite") {
        variables.push(("RADIOSONDE_SQLITE_PATH", database.to_str().unwrap()));
    }
    let child = command("by environment", folder, &variables)
        .stderr(Stdio::piped())
        .spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let in_file = lines(folder).len();
    #[cfg(feature = "sqlite")]
    {
        let connection = rusqlite::Connection::open(database).unwrap();
        let count = "SELECT count(*) FROM metric_event";
        let rows: i64 = connection.query_row(count, (), |row| row.get(0)).unwrap();
        assert_eq!(rows as usize, in_file);
    }
    (
        said.lines().filter(|line| line.starts_with('{')).count(),
        in_file,
    )
}

#[test]
fn console_file_and_database_get_the_same_where_the_console_shows_all() {
    let folder = tempfile::tempdir().unwrap();
    let (console, file) = by_environment(folder.path(), "all");
    assert_eq!(console, file);
    assert!(file >= 4 * ROUNDS, "{file}");
}

#[test]
fn the_console_shows_logs_alone_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (console, file) = by_environment(folder.path(), "logs");
    assert!(
        (2 * ROUNDS..3 * ROUNDS).contains(&console),
        "{console} of {file}"
    );
}
