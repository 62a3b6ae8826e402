//! A collector that leaves nothing behind, and what a collector is told.

use std::{fs, path::PathBuf};

use super::*;

/// A collector in memory, in a home of its own that must stay empty; `None` where there is no file system in memory.
fn start(home: &Path) -> Option<Collector> {
    let mut command = serve();
    command
        .arg("--memory")
        .current_dir(home)
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .env("TMPDIR", home);
    if !cfg!(target_os = "linux") || !Path::new("/dev/shm").is_dir() {
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(
            said.contains("--memory needs memory as a file system"),
            "{said}"
        );
        let mut err = std::io::stderr();
        writeln!(err, "SKIPPED: there is no /dev/shm").unwrap();
        return None;
    }
    Some(Collector::started(command))
}

/// Where it says that it keeps what it has.
fn kept(collector: &Collector) -> PathBuf {
    let mut answer = ureq::get(format!("{}/api/v1/status", collector.page))
        .call()
        .unwrap();
    let status: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    let folder = PathBuf::from(status["store"]["folder"].as_str().unwrap());
    assert!(folder.starts_with("/dev/shm") && folder.join("lock").is_file());
    assert!(status["store"]["bytes_max"].as_u64() <= Some(256 << 20));
    folder.parent().unwrap().to_owned()
}

/// The files that a process has open, but devices, pipes, sockets and its own folder.
fn open_elsewhere(collector: &Collector, folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{}/fd", collector.child.id())).unwrap();
    // The standard streams are whatever the test was started with.
    let is_own = |file: &PathBuf| !["0", "1", "2"].iter().any(|stream| file.ends_with(stream));
    let files = files
        .map(|entry| entry.unwrap().path())
        .filter(is_own)
        .filter_map(|file| fs::read_link(file).ok());
    let is_elsewhere = |file: &PathBuf| {
        file.is_absolute()
            && !file.starts_with(folder)
            && !file.starts_with("/dev/null")
            && !file.starts_with("/dev/pts")
    };
    files.filter(is_elsewhere).collect()
}

#[test]
fn in_memory_everything_is_answered_and_nothing_is_left() {
    let home = TempDir::new().unwrap();
    let Some(mut collector) = start(home.path()) else {
        return;
    };
    for (path, body) in request() {
        collector.send(path, &body);
    }
    assert!(
        collector
            .text(&["show", TRACE])
            .contains("generate [engine]")
    );
    let sorted = collector.json(&[
        "query",
        "SELECT name, count(*) FROM spans GROUP BY 1 ORDER BY 1",
    ]);
    assert_eq!(sorted["rows"].as_array().unwrap().len(), 2);
    let folder = kept(&collector);
    assert_eq!(open_elsewhere(&collector, &folder), Vec::<PathBuf>::new());
    collector.signal("-TERM");
    assert_eq!(collector.child.wait().unwrap().code(), Some(0));
    assert!(!folder.exists());

    // Nobody can clear away after a kill but the next one.
    let mut killed = start(home.path()).unwrap();
    let left = kept(&killed);
    killed.signal("-9");
    killed.child.wait().unwrap();
    assert!(left.exists());
    let next = start(home.path()).unwrap();
    let beside = start(home.path()).unwrap();
    assert!(!left.exists() && kept(&next) != kept(&beside));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_in_memory_is_refused() {
    let refused = serve()
        .args(["--memory", "--max-size", "4096TiB"])
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && said.contains("--m"),
        "{said}"
    );
    let little = serve()
        .args(["--data", "a", "--max-size", "8MiB"])
        .output()
        .unwrap();
    let said = String::from_utf8(little.stderr).unwrap();
    assert!(
        little.status.code() == Some(1) && said.contains("--max-size") && said.contains("16"),
        "{said}"
    );
    let both = serve().args(["--memory", "--data", "a"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn what_a_collector_is_told_is_said_with_who_says_it() {
    let token = "0123456789abcdef0123456789abcdef";
    let output = sonde(&["config", "--max-age", "90m", "--format", "json"])
        .env("RADIOSONDE_DATA_DIR", "/data/telemetry")
        .env("RADIOSONDE_TOKEN", token)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !said.contains(token), "{said}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    let settings = answer["settings"].as_array().unwrap();
    let of = |name: &str, value: &str| {
        let setting = settings
            .iter()
            .find(|setting| setting[name] == value)
            .unwrap();
        [setting["value"].clone(), setting["source"].clone()]
    };
    assert_eq!(of("option", "--data"), ["/data/telemetry", "environment"]);
    assert_eq!(of("option", "--max-age"), ["90m", "command_line"]);
    assert_eq!(of("option", "--max-size"), ["2GiB", "default"]);
    assert_eq!(
        of("variable", "RADIOSONDE_TOKEN"),
        ["set, and not shown", "environment"]
    );
    let weak = sonde(&["config"])
        .env("RADIOSONDE_TOKEN", "short")
        .output()
        .unwrap();
    assert_eq!(weak.status.code(), Some(1));
}
