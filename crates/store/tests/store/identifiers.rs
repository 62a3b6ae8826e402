//! Identifiers as people write them, in hexadecimal: in comparisons, lists and ranges, whatever table they are in.

use radiosonde_store::{
    Config, Rows, Store,
    query::{Cell, Limits, QueryError},
    row::{LogRow, Origin, SampleRow, SpanRow},
};

fn trace(number: u8) -> [u8; 16] {
    [number; 16]
}

fn span(number: u8) -> [u8; 8] {
    [number; 8]
}

/// A span of each of these traces, of which all but the first have a parent, a log of each but the last, and a sample of each.
fn rows(traces: &[u8]) -> Rows {
    let mut rows = Rows::default();
    let origin = Origin::default();
    for &number in traces {
        let time_unix_ns = i64::from(number);
        rows.span(&SpanRow {
            origin,
            trace_id: trace(number),
            span_id: span(number),
            parent_span_id: (number > 1).then(|| span(number - 1)),
            name: "work",
            kind: "internal",
            status: "unset",
            status_message: "",
            start_unix_ns: time_unix_ns,
            duration_ns: 1,
            links: "",
            attributes: &[],
        });
        rows.log(&LogRow {
            origin,
            time_unix_ns,
            trace_id: (number < 9).then(|| trace(number)),
            span_id: None,
            severity: 9,
            event_name: "",
            body: "a line",
            attributes: &[],
        });
        rows.sample(&SampleRow {
            origin,
            time_unix_ns,
            duration_ns: 0,
            trace_id: Some(trace(number)),
            span_id: Some(span(number)),
            kind: "cpu",
            unit: "nanoseconds",
            value: 1,
            thread: "",
            library: "work",
            function: "work",
            stack: "main\nwork",
            attributes: &[],
        });
    }
    rows
}

/// The number in the first column of every row.
fn numbers(store: &Store, statement: &str) -> Vec<i64> {
    let answer = store.sql(statement, Limits::default());
    let answer = answer.unwrap_or_else(|error| panic!("{statement}: {error}"));
    let number = |row: &Vec<Cell>| match row[0] {
        Cell::Int(number) => number,
        ref other => panic!("{statement}: {other:?}"),
    };
    answer.rows.iter().map(number).collect()
}

/// One that is asked of every table: its time is the number of its trace.
fn asked(store: &Store, condition: &str) -> [Vec<i64>; 3] {
    [
        ("spans", "start_time"),
        ("logs", "time"),
        ("profiles", "time"),
    ]
    .map(|(table, time)| {
        let statement =
            format!("SELECT CAST({time} AS BIGINT) FROM {table} WHERE {condition} ORDER BY 1");
        numbers(store, &statement)
    })
}

fn hex(number: u8, bytes: usize) -> String {
    format!("'{}'", format!("{number:02x}").repeat(bytes))
}

#[test]
fn identifiers_are_compared_with_text_in_lists_and_ranges_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    // Some are in a segment, some in memory.
    store.append(rows(&[1, 2, 0xab])).unwrap();
    store.flush().unwrap();
    store.append(rows(&[3, 9])).unwrap();
    let (one, three, nine) = (hex(1, 16), hex(3, 16), hex(9, 16));
    let all = |numbers: &[i64]| [numbers.to_vec(), numbers.to_vec(), numbers.to_vec()];

    assert_eq!(asked(&store, &format!("trace_id = {three}")), all(&[3]));
    let list = format!("trace_id IN ({one}, {three}, {})", hex(7, 16));
    assert_eq!(asked(&store, &list), all(&[1, 3]));
    // More than DataFusion makes comparisons of, and a null among them.
    let many: Vec<String> = (1..=8).map(|number| hex(number, 16)).collect();
    let many = format!("trace_id IN (NULL, {})", many.join(", "));
    assert_eq!(asked(&store, &many), all(&[1, 2, 3]));
    // A log without a trace is in no list, and in no list's opposite.
    assert_eq!(
        asked(&store, &format!("trace_id NOT IN ({one}, {three})")),
        [vec![2, 9, 171], vec![2], vec![2, 9, 171]]
    );
    assert_eq!(
        asked(
            &store,
            &format!("trace_id BETWEEN {} AND {nine}", hex(2, 16))
        ),
        [vec![2, 3, 9], vec![2, 3], vec![2, 3, 9]]
    );
    let upper = format!("trace_id IN ({})", hex(0xab, 16).to_uppercase());
    assert_eq!(
        asked(&store, &upper),
        [vec![171], vec![], vec![171]],
        "of any case"
    );

    let spans = |condition: &str| {
        numbers(
            &store,
            &format!("SELECT CAST(start_time AS BIGINT) FROM spans s WHERE {condition} ORDER BY 1"),
        )
    };
    assert_eq!(spans(&format!("span_id IN ({})", hex(2, 8))), [2]);
    let parents = format!("s.parent_span_id NOT IN ({}, {})", hex(1, 8), hex(2, 8));
    assert_eq!(spans(&parents), [9, 171]);
}

#[test]
fn lists_of_identifiers_are_understood_wherever_a_statement_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(rows(&[1, 2, 3])).unwrap();
    let list = format!("({}, {})", hex(1, 16), hex(3, 16));
    for statement in [
        // Selected under the name that the expression has, and under another one.
        format!("SELECT count(*) FROM (SELECT trace_id IN {list} FROM spans) WHERE true"),
        format!(
            "SELECT count(*) FROM (SELECT trace_id IN {list} AS asked, name FROM spans) GROUP BY name"
        ),
        format!("SELECT count(CASE WHEN trace_id IN {list} THEN 1 END) + 1 FROM spans"),
        format!("SELECT count(*) FILTER (WHERE trace_id IN {list}) + 1 FROM spans"),
        format!(
            "SELECT count(*) + 1 FROM spans s JOIN logs l ON s.trace_id = l.trace_id AND l.trace_id IN {list}"
        ),
        format!(
            "SELECT count(*) + 1 FROM spans s WHERE EXISTS (SELECT 1 FROM logs l WHERE l.trace_id = s.trace_id AND l.trace_id IN {list})"
        ),
        format!(
            "WITH few AS (SELECT trace_id AS id FROM spans) SELECT count(*) + 1 FROM few WHERE id IN {list}"
        ),
        format!(
            "SELECT count(*) + 1 FROM spans WHERE trace_id IN (SELECT trace_id FROM profiles WHERE trace_id IN {list})"
        ),
    ] {
        assert_eq!(numbers(&store, &statement), [3], "{statement}");
    }
    let columns = format!(
        "SELECT trace_id IN {list}, trace_id BETWEEN {} AND {} FROM spans",
        hex(1, 16),
        hex(2, 16)
    );
    let answer = store.sql(&columns, Limits::default()).unwrap();
    assert!(answer.columns[0].name.contains("IN"), "{answer:?}");
    let counted =
        format!("SELECT count(*) AS n, trace_id IN {list} FROM spans GROUP BY 2 ORDER BY 1 DESC");
    assert_eq!(numbers(&store, &counted), [2, 1]);
    let ordered =
        format!("SELECT CAST(start_time AS BIGINT) FROM spans ORDER BY trace_id IN {list}, 1");
    assert_eq!(numbers(&store, &ordered), [2, 1, 3]);
}

#[test]
fn text_that_is_no_identifier_is_a_mistake_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(folder.path())).unwrap();
    store.append(rows(&[1])).unwrap();
    let right = hex(1, 16);
    for (condition, wrong) in [
        (format!("trace_id IN ({right}, 'xyz')"), "xyz"),
        (format!("trace_id NOT IN ({right}, '0af7')"), "0af7"),
        (format!("trace_id BETWEEN {right} AND 'last'"), "last"),
        (format!("span_id IN ({right})"), "16 hexadecimal digits"),
        ("trace_id = 'nobody'".to_owned(), "nobody"),
    ] {
        let statement = format!("SELECT 1 FROM spans WHERE {condition}");
        let error = store.sql(&statement, Limits::default()).unwrap_err();
        let QueryError::Statement(said) = &error else {
            panic!("{statement}: {error:?}");
        };
        assert!(
            said.contains(wrong) && said.contains("hexadecimal"),
            "{said}"
        );
    }
}
