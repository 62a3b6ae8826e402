//! Expositions as clients write them, and as they should not be.

use std::fs;

use proptest::prelude::*;
use radiosonde_store::{
    Config, Store,
    query::{Cell, Limits},
};

use super::*;

const NOW: i64 = 1_800_000_000_000_000_000;
const ORIGIN: Origin<'_> = Origin {
    job: "shop",
    instance: "127.0.0.1:80",
};
const SCRAPED: Scraped = Scraped {
    is_up: true,
    duration_s: 0.5,
};

fn read_text(form: Form, text: &str) -> (Rows, Counts, Rejected) {
    read(
        &ORIGIN,
        form,
        text.as_bytes(),
        SCRAPED,
        NOW,
        &Arc::default(),
    )
    .unwrap()
}

/// The rows but those of the scrape itself.
fn rows(form: Form, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(read_text(form, text).0).unwrap();
    let statement = "SELECT name, unit, kind, value, count, distribution, attributes FROM points \
        WHERE name NOT IN ('up', 'scrape_duration_seconds', 'scrape_samples_scraped') ORDER BY name, attributes";
    let answer = store.sql(statement, Limits::default()).unwrap();
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        _ => "-".to_owned(),
    };
    let row = |row: &Vec<Cell>| row.iter().map(cell).collect::<Vec<_>>().join(" | ");
    answer.rows.iter().map(row).collect()
}

/// The example of Prometheus' documentation ("Exposition formats"), with other words.
const PROMETHEUS: &str = r#"
# HELP http_requests_total How many.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1800000000000
http_requests_total{method="post",code="400"}    3 1800000000000
# Quotes, backslashes and line ends.
disk{path="C:\\DIR\\FILE.TXT",error="Cannot find:\n\"FILE.TXT\""} 1.458255915e9

metric_without_time_or_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
# TYPE took_seconds histogram
took_seconds_bucket{le="0.05"} 24054
took_seconds_bucket{le="0.1"} 33444
took_seconds_bucket{le="+Inf"} 144320
took_seconds_sum 53423
took_seconds_count 144320
# TYPE rpc_seconds summary
rpc_seconds{quantile="0.01"} 3102
rpc_seconds{quantile="0.99"} NaN
rpc_seconds_sum 1.7560473e+07
rpc_seconds_count 2693
"#;

#[test]
fn the_older_form_becomes_rows() {
    let rows = rows(Form::Prometheus, PROMETHEUS);
    assert_eq!(
        rows,
        [
            r#"disk |  | gauge | 1458255915 | 0 |  | {"error":"Cannot find:\n\"FILE.TXT\"","path":"C:\\DIR\\FILE.TXT"}"#,
            r#"http_requests_total |  | counter | 1027 | 0 |  | {"code":"200","method":"post"}"#,
            r#"http_requests_total |  | counter | 3 | 0 |  | {"code":"400","method":"post"}"#,
            "metric_without_time_or_labels |  | gauge | 12.47 | 0 |  | -",
            r#"rpc_seconds | s | gauge | 3102 | 0 |  | {"quantile":0.01}"#,
            "rpc_seconds_count |  | counter | 2693 | 0 |  | -",
            "rpc_seconds_sum | s | counter | 17560473 | 0 |  | -",
            r#"took_seconds | s | histogram | 53423 | 144320 | {"bucket_counts":[24054,9390,110876],"explicit_bounds":[0.05,0.1]} | -"#,
        ]
    );
    // The one whose time is before 1970.
    let (_, _, rejected) = read_text(Form::Prometheus, PROMETHEUS);
    assert_eq!(
        rejected,
        Rejected {
            items: 1,
            first: Some((Reason::Line, "line 10".to_owned()))
        }
    );
}

#[test]
fn a_line_that_is_none_costs_itself_alone() {
    for line in [
        "a{b=\"c\" 1",
        "a{b=c} 1",
        "a{=\"c\"} 1",
        "{b=\"c\"} 1",
        "a{\"b\",\"c\"} 1",
        "a",
        "a b",
        "a 1 2 3",
        "a 1 b",
        "a{b=\"c} 1",
        "é 1",
        "a 1 # {x=\"y\"}",
        "a infinity_",
    ] {
        let text = format!("before 1\n{line}\nafter 2\n");
        let (_, counts, rejected) = read_text(Form::Prometheus, &text);
        assert_eq!((counts.points, rejected.items), (2 + 3, 1), "{line}");
        assert_eq!(rejected.first, Some((Reason::Line, "line 2".to_owned())));
    }
}

#[test]
fn newer_names_and_odd_blanks_are_read() {
    let rows = rows(
        Form::OpenMetrics,
        "# TYPE \"http.server.duration\" gauge\n{\"http.server.duration\",a=\"b\"} 1\n a:b  { c = \"d\" , } 2 \r\n# EOF",
    );
    assert_eq!(
        rows,
        [
            r#"a:b |  | gauge | 2 | 0 |  | {"c":"d"}"#,
            r#"http.server.duration |  | gauge | 1 | 0 |  | {"a":"b"}"#,
        ]
    );
}

#[test]
fn openmetrics_without_its_end_is_said_to_be_cut() {
    let (_, counts, rejected) = read_text(Form::OpenMetrics, "a 1\n");
    assert_eq!((counts.points, rejected.first.unwrap().0), (4, Reason::End));
    let (_, counts, rejected) = read_text(Form::OpenMetrics, "a 1\n# EOF\nb 2\n");
    assert_eq!((counts.points, rejected.items), (4, 0));
}

#[test]
fn buckets_that_fall_are_refused_and_the_last_may_be_missing() {
    let histogram = |buckets: &str| format!("# TYPE h histogram\n{buckets}h_count 5\nh_sum 1\n");
    let falling =
        histogram("h_bucket{le=\"1\"} 4\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 5\n");
    assert_eq!(
        read_text(Form::Prometheus, &falling).2.first.unwrap().0,
        Reason::Buckets
    );
    let rows = rows(
        Form::Prometheus,
        &histogram("h_bucket{le=\"2\"} 4\nh_bucket{le=\"1\"} 1\n"),
    );
    assert_eq!(
        rows,
        [r#"h |  | histogram | 1 | 5 | {"bucket_counts":[1,3,1],"explicit_bounds":[1.0,2.0]} | -"#]
    );
}

fn check(text: &[u8]) {
    for form in [Form::Prometheus, Form::OpenMetrics] {
        if let Ok((rows, counts, rejected)) =
            read(&ORIGIN, form, text, SCRAPED, NOW, &Arc::default())
        {
            assert_eq!(rows.len() as u64, counts.points);
            assert_eq!(rejected.items == 0, rejected.first.is_none());
        }
    }
}

/// The seeds of the fuzz target.
#[test]
fn fuzz_seeds() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/exposition");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        seeds += 1;
        check(&seed);
        for at in 0..seed.len().min(800) {
            check(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 7);
            check(&changed);
        }
    }
    assert!(seeds > 0);
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[a-c_{}=\",#\\\\ \n0-9.+EOFTYPE]{0,200}") {
        check(text.as_bytes());
    }
}
