//! Profiles, from a profiler's file or request to the answer which library is the bottleneck.

use std::{fs, process::Command};

use super::*;

const SITE: &str = "/venv/lib/python3.11/site-packages";

/// A profile of a script that computes with torch for 60 ms, reads JSON for 30 and uses numpy for 10, sampled every millisecond;
/// what torch did belongs to a span.
pub(super) fn request() -> Value {
    let strings = [
        "",
        "cpu",
        "nanoseconds",
        "main",
        "/srv/train.py",
        "matmul",
        &format!("{SITE}/torch/functional.py"),
        "decode",
        "/usr/lib/python3.11/json/decoder.py",
        "dot",
        &format!("{SITE}/numpy/linalg.py"),
        "memcpy",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "thread.name",
    ];
    let function =
        |name: usize, file: usize| json!({"nameStrindex": name, "filenameStrindex": file});
    let location = |function: usize, mapping: usize| json!({"mappingIndex": mapping, "lines": [{"functionIndex": function, "line": "7"}]});
    let start = now_ns() - 1_000_000_000;
    let sample = |stack: usize, link: usize, from: u64, until: u64| {
        let times: Vec<String> = (from..until)
            .map(|ms| (start + ms * 1_000_000).to_string())
            .collect();
        let values = vec!["1000000"; times.len()];
        json!({"stackIndex": stack, "linkIndex": link, "attributeIndices": [1], "values": values, "timestampsUnixNano": times})
    };
    let profile = json!({
        "sampleType": {"typeStrindex": 1, "unitStrindex": 2},
        "timeUnixNano": start.to_string(), "durationNano": "100000000",
        "samples": [sample(1, 1, 0, 60), sample(2, 0, 60, 90), sample(3, 0, 90, 100)],
    });
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "trainer"}}]});
    json!({
        "resourceProfiles": [{"resource": resource, "scopeProfiles": [{"scope": {"name": "sampler"}, "profiles": [profile]}]}],
        "dictionary": {
            "stringTable": strings,
            "functionTable": [{}, function(3, 4), function(5, 6), function(7, 8), function(9, 10), function(11, 0)],
            "mappingTable": [{}, {"filenameStrindex": 12}],
            "locationTable": [{}, location(1, 0), location(2, 0), location(3, 0), location(4, 0), location(5, 1)],
            "stackTable": [{}, {"locationIndices": [5, 2, 1]}, {"locationIndices": [3, 1]}, {"locationIndices": [5, 4, 1]}],
            "linkTable": [{}, {"traceId": TRACE, "spanId": "b7ad6b7169203331"}],
            "attributeTable": [{}, {"keyStrindex": 13, "value": {"stringValue": "worker-1"}}],
        },
    })
}

/// The libraries by what is charged to them, in milliseconds.
fn ranked(collector: &Collector, more: &[&str]) -> Vec<(String, i64)> {
    let arguments: Vec<&str> = ["flame"].into_iter().chain(more.iter().copied()).collect();
    let answer = collector.json(&arguments);
    let rows = answer["libraries"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let charged = row["charged"].as_i64().unwrap() / 1_000_000;
            (row["library"].as_str().unwrap().to_owned(), charged)
        })
        .filter(|(_, charged)| *charged > 0)
        .collect()
}

fn expected(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter()
        .map(|(library, ms)| ((*library).to_owned(), *ms))
        .collect()
}

#[test]
fn the_library_that_is_the_bottleneck_is_told_and_after_kill_9() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path());
    collector.send("/v1development/profiles", &request());
    for (path, body) in super::request() {
        collector.send(path, &body);
    }
    let all = expected(&[("torch", 60), ("json", 30), ("numpy", 10)]);
    let check = |collector: &Collector| {
        assert_eq!(ranked(collector, &[]), all);
        assert_eq!(
            ranked(collector, &["--trace", TRACE]),
            expected(&[("torch", 60)])
        );
        assert_eq!(ranked(collector, &["decode"]), expected(&[("json", 30)]));
        let text = collector.text(&["flame", "--by", "library"]);
        let first = text.lines().nth(3).unwrap();
        assert!(
            first.contains("60.0 %") && first.ends_with("torch"),
            "{text}"
        );
        let tree = collector.text(&["flame", "--service", "trainer"]);
        assert!(tree.contains("main") && tree.contains("matmul"), "{tree}");
        let stacks = collector.text(&["flame", "--by", "folded"]);
        assert!(stacks.contains("main;matmul;memcpy 60000000\n"), "{stacks}");
        let trace = collector.text(&["trace", TRACE]);
        assert!(
            trace.contains("generate [engine]") && trace.contains("torch"),
            "{trace}"
        );
        let statement = "SELECT library, thread, sum(value) AS ns FROM profiles GROUP BY 1, 2 ORDER BY ns DESC LIMIT 1";
        let sql = collector.text(&["query", statement]);
        assert!(sql.contains("torch    worker-1  60000000"), "{sql}");
    };
    check(&collector);
    assert!(collector.text(&["doctor"]).contains("profiles"));
    collector.signal("-9");
    collector.child.wait().unwrap();
    check(&Collector::start(folder.path()));
}

#[test]
fn what_is_exported_is_the_same_profile_where_it_is_imported() {
    let (folder, other_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let collector = Collector::start(folder.path());
    collector.send("/v1development/profiles", &request());
    let zip = folder.path().join("session.zip");
    let zip = zip.to_str().unwrap();
    assert!(
        collector
            .text(&["export", zip])
            .contains("100 samples of profiles")
    );
    let other = Collector::start(other_folder.path());
    let imported = other.json(&["import", zip]);
    assert_eq!(
        (imported["profiles"].as_u64(), imported["refused"].as_u64()),
        (Some(1), Some(0))
    );
    let rows = "SELECT time, duration, trace_id, span_id, type, unit, value, thread, library, function, stack, service, scope, attributes \
                FROM profiles ORDER BY time";
    let kept = collector.json(&["query", rows]);
    assert_eq!(kept["rows"].as_array().unwrap().len(), 100);
    assert_eq!(other.json(&["query", rows])["rows"], kept["rows"]);
}

/// What perf, py-spy and flamegraph.pl exchange, and a profile against another.
#[test]
fn folded_stacks_are_imported_and_compared() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(&folder.path().join("data"));
    for (name, stacks) in [
        ("old", "main;parse 30\nmain;run 70\n"),
        ("new", "main;parse 5\nmain;run 95\n"),
    ] {
        let file = folder.path().join(format!("{name}.folded"));
        fs::write(&file, stacks).unwrap();
        let imported = collector.text(&["import", file.to_str().unwrap()]);
        assert!(imported.contains("1 profiles"), "{imported}");
    }
    let text = collector.text(&["flame", "--service", "new", "--against-service", "old"]);
    assert!(
        text.contains("5.0 %  30.0 %  -25.0") && text.contains("95.0 %  70.0 %  +25.0"),
        "{text}"
    );
    let nothing = collector.text(&["flame", "--service", "unknown"]);
    assert!(nothing.contains("sonde import profile.pb.gz"), "{nothing}");
    let broken = folder.path().join("broken.pb");
    fs::write(&broken, b"\x0a\x02\x08").unwrap();
    let refused = collector.ask(&["import", broken.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && said.contains("cannot be read"),
        "{said}"
    );
}

/// A real profiler of Python, where there is one: a program that encodes JSON for all of its time.
#[test]
fn py_spy_is_understood() {
    let script = "import json, time\nend = time.time() + 1.5\nwhile time.time() < end:\n    json.dumps({str(n): [n] * 20 for n in range(2000)}, indent=1)\n";
    let folder = TempDir::new().unwrap();
    let (file, program) = (
        folder.path().join("stacks.folded"),
        folder.path().join("program.py"),
    );
    fs::write(&program, script).unwrap();
    let recorded = Command::new("py-spy")
        .args(["record", "--format", "raw", "--output"])
        .arg(&file)
        .args(["--", "python3"])
        .arg(&program)
        .output();
    if !recorded.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no py-spy that may look at a program (pip install py-spy)");
        return;
    }
    let collector = Collector::start(&folder.path().join("data"));
    collector.text(&["import", file.to_str().unwrap(), "--service", "script"]);
    let answer = collector.json(&["flame"]);
    assert_eq!(
        answer["libraries"][0]["library"], "json",
        "{:#}",
        answer["libraries"]
    );
}
