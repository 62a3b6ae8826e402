//! The tables in ClickHouse: what they are made by, and whether those that are there are such.
//!
//! Columns are called as statements call them, and have the types of segments: 64-bit integers for times, fixed strings for
//! identifiers. Attributes are JSON in one column. Three more say who wrote a row, in which generation, and when it arrived.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow::datatypes::{DataType, Field};

use super::{
    ClickHouseError,
    client::{Client, quoted, text_literal},
};
use crate::{
    catalogue::AttributeType,
    table::{REST, Table},
};

/// The column of attributes. All of them are in it, so it is no rest.
const ATTRIBUTES: &str = "attributes";
/// The table that says which attributes had a column when they were written.
const ATTRIBUTES_TABLE: &str = "attribute_columns";
/// Most attributes that are read of it.
const ATTRIBUTES_MAX: usize = 10_000;
/// The columns that say where a row is from, in their order.
pub(super) const ORIGIN: [(&str, &str); 3] = [
    ("writer", "Int64"),
    ("generation", "Int64"),
    ("arrived", "DateTime('UTC')"),
];
/// How many blocks ClickHouse remembers not to take again: a day of some collectors.
const REMEMBERED_BLOCKS: u32 = 10_000;
/// How much longer operations are kept than the spans that they are of: ClickHouse gives up a part some time after the last row of it
/// is too old, and who finds spans of a time is to find their operations.
const OPERATIONS_LONGER: Duration = Duration::from_hours(48);
/// Rows of so long lie together, in the order of what is looked for.
const TOGETHER_NS: u64 = 600_000_000_000;

/// A table of the database, as statements name it.
pub(super) fn name(database: &str, table: &str) -> String {
    format!("{}.{}", quoted(database), quoted(table))
}

/// What a column of batches is called here.
pub(crate) fn column_name(name: &str) -> &str {
    if name == REST { ATTRIBUTES } else { name }
}

/// The columns of a table that batches have, with ClickHouse's types.
fn columns(table: Table) -> Vec<(String, String)> {
    let column = |field: &Arc<Field>| {
        let (kind, is_label) = match field.data_type() {
            DataType::Boolean => ("Bool".to_owned(), false),
            DataType::Dictionary(..) => ("String".to_owned(), true),
            DataType::FixedSizeBinary(bytes) => (format!("FixedString({bytes})"), false),
            number if number.is_numeric() => (number.to_string(), false),
            _ => ("String".to_owned(), false),
        };
        let kind = if field.is_nullable() {
            format!("Nullable({kind})")
        } else {
            kind
        };
        let kind = if is_label {
            format!("LowCardinality({kind})")
        } else {
            kind
        };
        (column_name(field.name()).to_owned(), kind)
    };
    table.columns().iter().map(column).collect()
}

/// The statement that makes a table whose rows are kept for `age` after they arrived.
fn create(database: &str, table: Table, age: Duration) -> String {
    let time = table.time_column();
    let own = columns(table);
    let has_trace = own.iter().any(|(name, _)| name == "trace_id");
    let origin = ORIGIN.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let mut lines: Vec<String> = own
        .iter()
        .chain(&origin)
        .map(|(name, kind)| {
            let codec = if name == time { "Delta, ZSTD" } else { "ZSTD" };
            format!("{} {kind} CODEC({codec})", quoted(name))
        })
        .collect();
    lines.push(format!(
        "{} DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano({}, 'UTC')",
        quoted(&format!("{time}_utc")),
        quoted(time)
    ));
    lines.push(format!("INDEX by_time {} TYPE minmax", quoted(time)));
    if has_trace {
        lines.push("INDEX by_trace trace_id TYPE bloom_filter(0.01)".to_owned());
    }
    let age = match table {
        Table::Operations => age + OPERATIONS_LONGER,
        _ => age,
    };
    let together = format!("intDiv({}, {TOGETHER_NS})", quoted(time));
    let order = match table {
        Table::Spans => format!("{together}, trace_id, {}", quoted(time)),
        Table::Points => format!("name, series, {}", quoted(time)),
        _ => format!("{together}, service, {}", quoted(time)),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  {}\n) ENGINE = MergeTree PARTITION BY toYYYYMMDD(arrived) ORDER BY ({order}) \
         TTL arrived + toIntervalSecond({}) SETTINGS non_replicated_deduplication_window = {REMEMBERED_BLOCKS}, \
         ttl_only_drop_parts = 1",
        name(database, table.name()),
        lines.join(",\n  "),
        seconds(age)
    )
}

fn create_attributes(database: &str, age: Duration) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  `table` LowCardinality(String),\n  `name` String,\n  \
         `type` LowCardinality(String),\n  `arrived` DateTime('UTC')\n) ENGINE = ReplacingMergeTree(arrived) \
         ORDER BY (`table`, `name`, `type`) TTL arrived + toIntervalSecond({})",
        name(database, ATTRIBUTES_TABLE),
        seconds(age)
    )
}

/// What ClickHouse can count: an interval of a time that has 32 bits.
fn seconds(age: Duration) -> u64 {
    age.as_secs().clamp(1, u64::from(u32::MAX) / 4)
}

/// Looks whether the tables that are there are as they should be, and makes the others, with the database.
pub(super) fn prepare(client: &Client, age: Duration) -> Result<(), ClickHouseError> {
    let database = client.database();
    let found = found(client)?;
    for table in Table::ALL {
        if let Some(found) = found.get(table.name()) {
            check(client, table, found)?;
        }
    }
    let tables = Table::ALL.map(Table::name).into_iter();
    let mut tables = tables.chain([ATTRIBUTES_TABLE]);
    if tables.all(|table| found.contains_key(table)) {
        return Ok(());
    }
    let database_made = format!("CREATE DATABASE IF NOT EXISTS {}", quoted(database));
    client.text(&database_made)?;
    for table in Table::ALL {
        client.text(&create(database, table, age))?;
    }
    client.text(&create_attributes(database, age))?;
    Ok(())
}

/// The columns of all tables in the database, with their types.
fn found(client: &Client) -> Result<HashMap<String, HashMap<String, String>>, ClickHouseError> {
    let statement = format!(
        "SELECT table, name, type FROM system.columns WHERE database = {} FORMAT JSONCompactEachRow",
        text_literal(client.database())
    );
    let text = client.text(&statement)?;
    let mut tables: HashMap<String, HashMap<String, String>> = HashMap::new();
    for line in text.lines() {
        let [table, name, kind]: [String; 3] =
            serde_json::from_str(line).map_err(|error| client.broken(&error))?;
        tables.entry(table).or_default().insert(name, kind);
    }
    Ok(tables)
}

fn check(
    client: &Client,
    table: Table,
    found: &HashMap<String, String>,
) -> Result<(), ClickHouseError> {
    let database = client.database();
    let wrong = |difference: String, mend: String| ClickHouseError::Columns {
        place: client.shown().to_owned(),
        table: table.name().to_owned(),
        difference,
        mend,
    };
    let origin = ORIGIN.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    for (column, kind) in columns(table).into_iter().chain(origin) {
        match found.get(&column) {
            Some(found) if *found == kind => {}
            Some(found) => {
                return Err(wrong(
                    format!("has a column `{column}` of type {found}, and not {kind}"),
                    "name a database of its own, or rename that table".to_owned(),
                ));
            }
            None => {
                let table = name(database, table.name());
                return Err(wrong(
                    format!("has no column `{column}`"),
                    format!(
                        "name a database of its own, or, where another version made the table, run: ALTER TABLE {table} ADD COLUMN {} {kind}",
                        quoted(&column)
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The statement whose body is rows.
pub(super) fn insert(database: &str, table: Table) -> String {
    let own = columns(table).into_iter().map(|(name, _)| name);
    let origin = ORIGIN.map(|(name, _)| name.to_owned());
    let all: Vec<String> = own.chain(origin).map(|name| quoted(&name)).collect();
    format!(
        "INSERT INTO {} ({}) FORMAT ArrowStream",
        name(database, table.name()),
        all.join(", ")
    )
}

pub(super) fn insert_attributes(
    database: &str,
    table: Table,
    attributes: &[(String, AttributeType)],
    arrived: u32,
) -> String {
    let row = |(name, kind): &(String, AttributeType)| {
        format!(
            "({}, {}, {}, {arrived})",
            text_literal(table.name()),
            text_literal(name),
            text_literal(kind.name())
        )
    };
    let rows: Vec<String> = attributes.iter().map(row).collect();
    format!(
        "INSERT INTO {} (`table`, `name`, `type`, `arrived`) VALUES {}",
        name(database, ATTRIBUTES_TABLE),
        rows.join(", ")
    )
}

/// The statement that asks which attributes there are.
pub(super) fn attributes(database: &str) -> String {
    format!(
        "SELECT `table`, `name`, `type` FROM {} GROUP BY `table`, `name`, `type` ORDER BY max(arrived) DESC \
         LIMIT {ATTRIBUTES_MAX} FORMAT JSONCompactEachRow",
        name(database, ATTRIBUTES_TABLE)
    )
}

/// What its answer says; what another version may have written there is left out.
pub(super) fn read_attributes(text: &str) -> Vec<(Table, String, AttributeType)> {
    let read = |line: &str| {
        let [table, name, kind]: [String; 3] = serde_json::from_str(line).ok()?;
        let table = Table::ALL.into_iter().find(|of| of.name() == table)?;
        let kind = AttributeType::ALL
            .into_iter()
            .find(|of| of.name() == kind)?;
        Some((table, name, kind))
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_the_columns_of_segments_and_say_where_rows_are_from() {
        insta::assert_snapshot!(create("tele`metry", Table::Logs, Duration::from_hours(24)), @r"
        CREATE TABLE IF NOT EXISTS `tele\`metry`.`logs` (
          `time` Int64 CODEC(Delta, ZSTD),
          `trace_id` Nullable(FixedString(16)) CODEC(ZSTD),
          `span_id` Nullable(FixedString(8)) CODEC(ZSTD),
          `severity` Int8 CODEC(ZSTD),
          `event_name` LowCardinality(String) CODEC(ZSTD),
          `body` String CODEC(ZSTD),
          `service` LowCardinality(String) CODEC(ZSTD),
          `scope` LowCardinality(String) CODEC(ZSTD),
          `resource` LowCardinality(String) CODEC(ZSTD),
          `attributes` Nullable(String) CODEC(ZSTD),
          `writer` Int64 CODEC(ZSTD),
          `generation` Int64 CODEC(ZSTD),
          `arrived` DateTime('UTC') CODEC(ZSTD),
          `time_utc` DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(`time`, 'UTC'),
          INDEX by_time `time` TYPE minmax,
          INDEX by_trace trace_id TYPE bloom_filter(0.01)
        ) ENGINE = MergeTree PARTITION BY toYYYYMMDD(arrived) ORDER BY (intDiv(`time`, 600000000000), service, `time`) TTL arrived + toIntervalSecond(86400) SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
        ");
        assert_eq!(
            insert("a", Table::Logs),
            "INSERT INTO `a`.`logs` (`time`, `trace_id`, `span_id`, `severity`, `event_name`, `body`, `service`, `scope`, \
             `resource`, `attributes`, `writer`, `generation`, `arrived`) FORMAT ArrowStream"
        );
    }

    #[test]
    fn which_attributes_there_are_comes_back_as_it_was_written() {
        let attributes = [("it's".to_owned(), AttributeType::Int)];
        assert_eq!(
            insert_attributes("a", Table::Spans, &attributes, 7),
            r"INSERT INTO `a`.`attribute_columns` (`table`, `name`, `type`, `arrived`) VALUES ('spans', 'it\'s', 'int', 7)"
        );
        let text = "[\"spans\",\"it's\",\"int\"]\n[\"of another version\",\"a\",\"int\"]\n[\"logs\",\"a\",\"decimal\"]\n";
        assert_eq!(
            read_attributes(text),
            [(Table::Spans, "it's".to_owned(), AttributeType::Int)]
        );
    }
}
