//! Statements that would take the process down: nested without end, or making gigabytes of a few bytes.

use radiosonde_store::{
    Config, Store,
    query::{Answer, Cell, Limits, QueryError},
};

use super::broken::logs;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(logs(100)).unwrap();
    (folder, store)
}

fn ask(store: &Store, statement: &str) -> Result<Answer, QueryError> {
    store.sql(statement, Limits::default())
}

/// What is wrong with the statement, which the store must say.
fn mistake(store: &Store, statement: &str) -> String {
    let begin: String = statement.chars().take(80).collect();
    match ask(store, statement) {
        Err(QueryError::Statement(message)) => message,
        other => panic!("{begin}: {other:?}"),
    }
}

/// Queries of which each reads the one before.
fn chain(length: usize, of: impl Fn(&str) -> String) -> String {
    let first = "a0 AS (SELECT body AS c FROM logs)".to_owned();
    let others = (1..length).map(|at| format!("a{at} AS ({})", of(&format!("a{}", at - 1))));
    let names: Vec<String> = [first].into_iter().chain(others).collect();
    format!(
        "WITH {} SELECT count(*) FROM a{}",
        names.join(", "),
        length - 1
    )
}

/// Statements that are `length` deep, each in its own way.
fn deep(length: usize) -> Vec<String> {
    let tables = length.div_ceil(10).max(2);
    let values: Vec<String> = (0..tables)
        .map(|at| format!("(values (1)) v{at}"))
        .collect();
    vec![
        format!("SELECT 1{}", "::int".repeat(length)),
        format!("SELECT {}'b'", "'a'||".repeat(length.div_ceil(20))),
        format!("SELECT {}1", "1+".repeat(length)),
        format!("SELECT {}1", "- ".repeat(length)),
        format!("SELECT {}true", "NOT ".repeat(length)),
        format!("SELECT {}1{}", "(".repeat(length), ")".repeat(length)),
        format!("SELECT 1{}", " IS NULL".repeat(length)),
        vec!["SELECT 1"; tables].join(" UNION ALL "),
        format!(
            "SELECT 1 FROM logs WHERE {}",
            vec!["body='a'"; length / 2].join(" AND ")
        ),
        format!("SELECT count(*) FROM {}", values.join(",")),
        format!("SELECT attributes{} FROM logs", "['a']".repeat(length)),
        chain(tables, |before| format!("SELECT * FROM {before}")),
        format!(
            "SELECT 1 FROM {}logs{}",
            "(SELECT * FROM ".repeat(tables),
            ")".repeat(tables)
        ),
        format!("SELECT CASE {} END", "WHEN true THEN 1 ".repeat(length / 2)),
    ]
}

#[test]
fn no_statement_is_too_deep_for_the_stack() {
    let (_folder, store) = store();
    // Without the bound on their length: what remains are the others.
    let limits = Limits {
        statement_bytes_max: usize::MAX,
        ..Limits::default()
    };
    for length in [250, 500, 5000, 100_000] {
        for statement in deep(length) {
            // An answer or a mistake. Where the stack is too small, the process ends here.
            let _ = store.sql(&statement, limits);
        }
    }
    let long = mistake(&store, &format!("SELECT '{}'", "a".repeat(20_000)));
    assert!(long.contains("16384"), "{long}");
    assert!(mistake(&store, &deep(3000)[0]).contains("too much at once"));
    let doubled = chain(14, |of| format!("SELECT x.c FROM {of} x, {of} y"));
    assert!(mistake(&store, &doubled).contains("tables"));
    assert_eq!(ask(&store, "SELECT 1").unwrap().rows, [[Cell::Int(1)]]);
}

#[test]
fn little_does_not_become_much() {
    let (_folder, store) = store();
    let more = (0..4).fold("body".to_owned(), |of, _| {
        format!("replace({of}, 'a', '{}')", "a".repeat(64))
    });
    let doubled = (1..12).map(|at| format!("a{at} AS (SELECT c || c AS c FROM a{})", at - 1));
    let doubled = doubled.collect::<Vec<_>>().join(", ");
    for statement in [
        "SELECT repeat('x', 2000000000)".to_owned(),
        "SELECT lpad('x', 1000000000)".to_owned(),
        "SELECT rpad('x', 1000000000)".to_owned(),
        "SELECT array_repeat(1, 2000000000)".to_owned(),
        "SELECT list_repeat(1, 2000000000)".to_owned(),
        "SELECT array_resize([1], 2000000000)".to_owned(),
        "SELECT range(1, 2000000000)".to_owned(),
        "SELECT generate_series(1, 2000000000)".to_owned(),
        "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)')".to_owned(),
        "SELECT string_agg(body, ',') OVER (ORDER BY time) FROM logs".to_owned(),
        format!("SELECT length({more}) FROM logs"),
        format!(
            "SELECT regexp_replace('{}', '', '{}', 'g')",
            "a".repeat(7000),
            "a".repeat(7000)
        ),
        format!(
            "WITH a0 AS (SELECT concat(body, '{}') AS c FROM logs), {doubled} SELECT length(c) FROM a11",
            "a".repeat(1000)
        ),
    ] {
        mistake(&store, &statement);
    }
}

#[test]
fn what_makes_text_makes_it_as_ever() {
    let (_folder, store) = store();
    let statement = "SELECT body || '!' || 'x', body || '!' AS joined, concat(body, '-', 'b'), replace(body, 'line', 'row'), \
                     regexp_replace(body, 'l(.)', '\\1l'), concat_ws('-', 'a', body), make_array(1, 2)[2], \
                     count(*) FROM logs GROUP BY body || '!', body";
    let answer = ask(&store, statement).unwrap();
    let text = |text: &str| Cell::Text(text.to_owned());
    assert_eq!(
        answer.rows,
        [[
            text("a line!x"),
            text("a line!"),
            text("a line-b"),
            text("a row"),
            text("a ilne"),
            text("a-a line"),
            Cell::Int(2),
            Cell::Int(100),
        ]]
    );
    assert_eq!(answer.columns[1].name, "joined");
}

#[test]
fn an_answer_is_bounded_in_bytes() {
    let (_folder, store) = store();
    let limits = Limits {
        answer_bytes_max: 1000,
        ..Limits::default()
    };
    let answer = store.sql("SELECT body FROM logs", limits).unwrap();
    assert!(answer.is_truncated && (10..100).contains(&answer.rows.len()));
    let all = ask(&store, "SELECT body FROM logs").unwrap();
    assert!(!all.is_truncated && all.rows.len() == 100);
    let large = format!(
        "SELECT '{}' FROM generate_series(1, 9000)",
        "x".repeat(15_000)
    );
    let answer = ask(&store, &large).unwrap();
    assert!(answer.is_truncated && answer.rows.len() < 5000);
}

#[test]
fn mistakes_that_are_found_late_are_the_statements() {
    let (_folder, store) = store();
    for (statement, says) in [
        ("SELECT 1/0", "zero"),
        ("SELECT 1 / (severity - severity) FROM logs", "zero"),
        ("SELECT CAST(body AS INT) FROM logs", "a line"),
        ("SELECT body::timestamp FROM logs", "a line"),
        ("SELECT regexp_match(body, '(((') FROM logs", "reg"),
    ] {
        let said = mistake(&store, statement).to_lowercase();
        assert!(said.contains(says), "{statement}: {said}");
    }
}
