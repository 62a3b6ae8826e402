//! Row files of a program that has a model and measures nothing itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use radiosonde::{
    config::{Config, Format, RawConfig},
    exporter::rows::RowFile,
    memory,
};
use radiosonde_answers::memory::MemoryRow;

/// The rows of the last line of the file that ends like this.
fn last_rows(folder: &Path, end: &str) -> Option<Vec<MemoryRow>> {
    let files = fs::read_dir(folder).unwrap();
    let file = files
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(end))?;
    let text = fs::read_to_string(file).unwrap();
    let whole = text.rsplit_once('\n')?.0;
    Some(serde_json::from_str(whole.lines().last()?).unwrap())
}

#[test]
fn the_rows_of_memory_tile_the_resident_set_although_the_program_never_measures_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[metrics_log]\nenabled = true\ninterval = \"20ms\"\ndirectory = {:?}\n",
        folder.path()
    );
    let raw = RawConfig::parse(Format::Toml, &text, Path::new("radiosonde.toml")).unwrap();
    let guard = radiosonde::builder()
        .config(Config::new(raw).unwrap())
        .console(false)
        .discover(false)
        .system_interval(Duration::from_millis(20))
        .init()
        .unwrap();
    let host = memory::Collector::new(memory::HOST);
    host.kv_cache(4096, 1);
    let bytes = |rows: &[MemoryRow], path: &str| {
        let row = rows.iter().find(|row| row.path == path)?;
        row.bytes
    };
    let start = Instant::now();
    let rows = loop {
        assert!(start.elapsed() < Duration::from_secs(20), "no such rows");
        let rows = last_rows(folder.path(), "-memory.jsonl").unwrap_or_default();
        if bytes(&rows, "host/KV cache").is_some() && bytes(&rows, "host").is_some() {
            break rows;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let measured = |path: &str| bytes(&rows, path).unwrap();
    assert!(measured("host") > 1 << 20 && measured("host/baseline") > 1 << 20);
    // Memory that was given back since the baseline shows as attributed twice.
    let rest = bytes(&rows, "host/unattributed")
        .or_else(|| bytes(&rows, "host/over-attributed").map(|excess| -excess));
    assert_eq!(
        measured("host/baseline") + measured("host/KV cache") + rest.unwrap(),
        measured("host")
    );
    drop(guard);
}

const FOLDER: &str = "RADIOSONDE_TEST_ROW_FOLDER";

/// The child, whose files may grow to 32 KiB: writes lines of 10 kB until one does not fit, and a short one after it.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let [_, mut file] = RowFile::create(folder.as_ref(), 0, ["latency", "memory"]).unwrap();
    let rows = vec!["x".repeat(1000); 10];
    let written = (0..10).filter(|_| file.append(&rows).is_ok()).count();
    assert_eq!(written, 3);
    file.append(&rows[..1]).unwrap();
}

#[cfg(unix)]
#[test]
fn a_line_that_does_not_fit_on_the_disk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // A limit on the size of files stands for a full disk; the shell ignores its signal for the child too.
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact child",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    let path = folder.path().join(RowFile::name(0, "memory"));
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<usize> = text
        .lines()
        .map(|line| serde_json::from_str::<Vec<String>>(line).unwrap().len())
        .collect();
    assert_eq!(rows, [10, 10, 10, 1]);
}
