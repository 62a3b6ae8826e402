//! `sonde query --follow`: what a statement answers to what arrives, until somebody ends it (docs/api.md, "Streams").

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, Write as _},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    cli::{Format, query::QueryArguments},
    collector::Collector,
    text::{self, list, member},
};

/// Widest a column is made for what comes below it.
const WIDTH_MAX: usize = 60;

/// Writes rows as they come, until the reader or the collector goes away.
pub(super) fn follow(statement: &str, arguments: &QueryArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let mut shown = Shown {
        format: arguments.format,
        columns: Vec::new(),
    };
    for line in collector.follow(statement)?.lines() {
        let away = "the collector went away; begin again when it is back: what arrives meanwhile is kept, and not said here";
        let line = line.context(away)?;
        let said: Value =
            serde_json::from_str(&line).context("the collector's answer is no JSON")?;
        let (out, err) = shown.say(&said)?;
        // A terminal that is gone does not end what follows.
        let _ = io::stderr().lock().write_all(err.as_bytes());
        let mut standard = io::stdout().lock();
        let written = standard
            .write_all(out.as_bytes())
            .and_then(|()| standard.flush());
        if written.is_err() {
            break;
        }
    }
    Ok(String::new())
}

/// What was shown so far.
struct Shown {
    format: Format,
    /// Names, and how wide each was so far.
    columns: Vec<(String, usize)>,
}

impl Shown {
    /// What standard output gets of what was said, and what standard error.
    fn say(&mut self, said: &Value) -> anyhow::Result<(String, String)> {
        let mut out = String::new();
        let mut err = String::new();
        if let Some(row) = said.get("row") {
            out = match self.format {
                Format::Json => format!("{row}\n"),
                Format::Text => self.line(|name| cell(&row[name])),
            };
        } else if said.get("columns").is_some() {
            let names = list(said, "columns").iter();
            let names = names.map(|column| member(column, "name"));
            self.columns = names.map(|name| (name, 0)).collect();
            if self.format == Format::Text {
                out = self.line(str::to_owned);
            }
        } else if let Some(left_out) = said.get("left_out") {
            let rows = &left_out["rows"];
            let many = if rows.is_null() {
                "some".to_owned()
            } else {
                rows.to_string()
            };
            let because = member(left_out, "because");
            err = format!("sonde: {many} rows were left out: {because}\n");
        } else if let Some(error) = said.get("error") {
            bail!("{}; {}", member(error, "message"), member(error, "mend"));
        }
        Ok((out, err))
    }

    /// A line with what each column has, below what was shown of it before.
    fn line(&mut self, of: impl Fn(&str) -> String) -> String {
        let mut line = String::new();
        for (name, width) in &mut self.columns {
            let cell = text::plain(&of(name));
            *width = (*width).max(cell.chars().count().min(WIDTH_MAX));
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:<width$}  ", width = *width);
        }
        let mut line = line.trim_end().to_owned();
        line.push('\n');
        line
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_stand_below_each_other_and_what_is_left_out_is_said_beside_them() {
        let mut shown = Shown {
            format: Format::Text,
            columns: Vec::new(),
        };
        let said = [
            json!({"columns": [{"name": "service", "type": "text"}, {"name": "n", "type": "integer"}]}),
            json!({"row": {"service": "engine-of-many", "n": 1}}),
            json!({"quiet": "2026-11-28T00:00:00Z"}),
            json!({"left_out": {"rows": 7, "because": "more arrived than was read"}}),
            json!({"row": {"service": "a\u{1b}[2J", "n": null}}),
        ];
        let all: Vec<_> = said.iter().map(|said| shown.say(said).unwrap()).collect();
        let (out, err): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        assert_eq!(
            out.concat(),
            "service  n\nengine-of-many  1\na[2J\n".replace("a[2J", &text::plain("a\u{1b}[2J"))
        );
        assert_eq!(
            err.concat(),
            "sonde: 7 rows were left out: more arrived than was read\n"
        );
        let error = json!({"error": {"message": "it failed", "mend": "try again"}});
        assert_eq!(
            shown.say(&error).unwrap_err().to_string(),
            "it failed; try again"
        );
    }
}
