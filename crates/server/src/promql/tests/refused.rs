//! What is refused says where, why and what to do; bounds are said by name; nothing panics.

use std::time::Duration;

use super::{
    super::*,
    fixture::{Held, START_S},
};

// The body asks for it by this name.
use crate::promql;

#[path = "../../../../../fuzz/bodies/promql.rs"]
mod body;

const MINUTES: Reach = Reach::Range {
    start_ms: START_S * 1000,
    end_ms: (START_S + 3600) * 1000,
    step_ms: 60_000,
};

fn refusal(text: &str, limits: Limits) -> String {
    let answer = parse(text).and_then(|query| evaluate(&Held::fixture(), &query, MINUTES, limits));
    answer.unwrap_err().to_string()
}

#[test]
fn a_refusal_names_the_place_and_the_mend() {
    for (text, words) in [
        (
            "sum(up",
            "line 1, column 7: the end stands where `,` was expected",
        ),
        (
            "up{\n  job=api}",
            "line 2, column 7: `api` stands where a text in quotes was expected",
        ),
        (
            "rate(up)",
            "argument 1 of `rate` takes a range vector, not an instant vector; give a range: up[5m]",
        ),
        (
            "mad_over_time(up[5m])",
            "`mad_over_time` is not known; it is not supported here",
        ),
        ("RATE(up[5m])", "small letters"),
        ("1 == 2", "write `== bool`"),
        ("{}", "accepts every series"),
        ("up ! 1", "column 4: `!` means nothing here"),
        ("", "there is no query"),
    ] {
        let said = refusal(text, Limits::default());
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn every_bound_is_said_with_what_to_do() {
    let limits = Limits::default();
    for (limits, text, words) in [
        (
            Limits {
                points_max: 10,
                ..limits
            },
            "up",
            "more than 10 readings in memory; ask for a shorter time",
        ),
        (
            Limits {
                points_max: 400,
                ..limits
            },
            "sum_over_time(vector(1)[1h:1s])",
            "more than 400 readings",
        ),
        (
            Limits {
                series_max: 3,
                ..limits
            },
            "up",
            "more than 3 series; match more labels",
        ),
        (
            Limits {
                steps_max: 60,
                ..limits
            },
            "up",
            "1 to 60 steps, not 61; give a longer step",
        ),
        (
            Limits {
                timeout: Duration::ZERO,
                ..limits
            },
            "up",
            "longer than 0 s",
        ),
    ] {
        let said = refusal(text, limits);
        assert!(said.contains(words), "{text}: {said}");
    }
    let deep = format!("{}up{}", "(".repeat(100), ")".repeat(100));
    assert!(refusal(&deep, limits).contains("nests at most 64 deep"));
    let long = vec!["1"; 300].join("+");
    assert!(refusal(&long, limits).contains("at most 250 operators"));
    assert!(refusal(&"a".repeat(70_000), limits).contains("at most 65536 bytes"));
}

/// Text that a query makes of itself is bounded, however little the query is.
#[test]
fn labels_that_are_made_are_bounded() {
    let mut doubled =
        r#"label_replace(vector(1),"a","xxxxxxxxxxxxxxxxxxxxxxx","","(.*)")"#.to_owned();
    for _ in 0..20 {
        doubled = format!(r#"label_replace({doubled},"a","$1$1$1$1","a","(.*)")"#);
    }
    let said = refusal(&doubled, Limits::default());
    let words = "`label_replace` would make a value of `a` of more than 16 KiB";
    assert!(said.contains(words), "{said}");
    let mut joined = r#"label_replace(vector(1),"a","xxxxxxxx","","(.*)")"#.to_owned();
    for _ in 0..20 {
        joined = format!(r#"label_join({joined},"a","","a","a","a","a")"#);
    }
    let said = refusal(&joined, Limits::default());
    let words = "`label_join` would make a value of `a` of more than 16 KiB";
    assert!(said.contains(words), "{said}");
    // Another text at each step, each of less than a label may have: together they count as readings.
    let long = "$1".repeat(500);
    let many = format!(
        r#"count_over_time(label_replace(count_values("a", vector(time())),"a","{long}","a","(.*)")[30d:1s])"#
    );
    let limits = Limits {
        points_max: 100_000,
        ..Limits::default()
    };
    let said = refusal(&many, limits);
    assert!(said.contains("more than 100000 readings"), "{said}");
}

/// One text may be in the labels of many series, each of which is written out.
#[test]
fn labels_of_an_answer_are_bounded() {
    let long = "x".repeat(16_000);
    let text = format!(r#"label_replace(up,"a","{long}","","(.*)")"#);
    let limits = Limits {
        points_max: 2000,
        ..Limits::default()
    };
    let query = parse(&text).unwrap();
    let at = Reach::Instant((START_S + 1800) * 1000);
    let said = evaluate(&Held::fixture(), &query, at, limits).unwrap_err();
    assert!(
        said.to_string().contains("more than 2000 readings"),
        "{said}"
    );
}

/// The same text at each step takes room once.
#[test]
fn labels_that_are_made_again_cost_nothing() {
    let long = "x".repeat(10_000);
    let text =
        format!(r#"count_over_time(label_replace(vector(1),"a","{long}","","(.*)")[1h:1s])"#);
    let limits = Limits {
        points_max: 20_000,
        ..Limits::default()
    };
    let query = parse(&text).unwrap();
    assert!(evaluate(&Held::fixture(), &query, MINUTES, limits).is_ok());
}

/// As deep and as long as may be: whoever walks an expression calls itself, and must have room for it.
#[test]
fn the_largest_query_fits_on_a_small_stack() {
    let inner = format!("{}up{}", "abs(".repeat(61), ")".repeat(61));
    let long = vec![inner.as_str(); 100].join("+");
    let query = parse(&long).unwrap();
    let walk = move || {
        evaluate(
            &Held::fixture(),
            &query,
            Reach::Instant(0),
            Limits::default(),
        )
        .is_ok()
    };
    // That of a thread of Tokio's for what blocks.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    assert!(thread.spawn(walk).unwrap().join().unwrap());
}

/// The seeds of the fuzz target and what is near them, and all golden queries.
#[test]
fn fuzz_seeds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/promql");
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    let golden = include_str!("../../../tests/promql/queries.txt");
    let golden = golden.lines().filter(|line| !line.starts_with('#'));
    let golden = golden.filter_map(|line| line.split_once(' '));
    seeds.extend(golden.map(|(_, text)| text.as_bytes().to_vec()));
    for seed in seeds {
        body::run(&seed);
        for at in 0..seed.len().min(120) {
            body::run(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 7);
            body::run(&changed);
            changed.remove(at);
            body::run(&changed);
        }
    }
}
