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
