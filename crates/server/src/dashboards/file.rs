//! One file: TOML into a dashboard, or everything that is wrong with it, each at its line.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{Dashboard, Kind, Mistake, Panel};
use crate::promql;

/// Most panels of a dashboard.
const PANELS_MAX: usize = 40;
/// Columns that a dashboard is wide.
const COLUMNS: i64 = 12;

const KEYS: [&str; 3] = ["title", "description", "panels"];
const PANEL_KEYS: [&str; 7] = ["title", "kind", "width", "promql", "sql", "text", "unit"];

/// Reads a dashboard.
pub(super) fn parse(name: &str, file: &str, text: &str) -> Dashboard {
    let mut reader = Reader {
        file,
        text,
        mistakes: Vec::new(),
    };
    let mut dashboard = Dashboard {
        name: name.to_owned(),
        title: name.to_owned(),
        description: String::new(),
        panels: Vec::new(),
        mistakes: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => reader.dashboard(table.get_ref(), &mut dashboard),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!("is not TOML: {}", error.message());
            reader.note(at, "", message, "write it as https://toml.io says");
        }
    }
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    if !reader.mistakes.is_empty() {
        dashboard.panels.clear();
        dashboard.mistakes = reader.mistakes;
    }
    dashboard
}

/// Reads settings, and notes what is wrong with them.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: Vec<Mistake>,
}

/// A table of a file: where it is, and what its settings are called.
#[derive(Clone, Copy)]
struct Place<'t> {
    table: &'t DeTable<'t>,
    /// Where it begins.
    at: usize,
    /// What its settings' names begin with.
    prefix: &'t str,
}

impl<'t> Place<'t> {
    fn get(self, key: &str) -> Option<(&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
        self.table.get_key_value(key)
    }

    /// Where a setting is, or else the table.
    fn at(self, key: &str) -> usize {
        self.get(key).map_or(self.at, |(key, _)| key.span().start)
    }

    fn called(self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

impl Reader<'_> {
    fn note(&mut self, at: usize, key: &str, message: impl Into<String>, mend: impl Into<String>) {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        self.mistakes.push(Mistake {
            file: self.file.to_owned(),
            line: Some(line),
            key: key.to_owned(),
            message: message.into(),
            mend: mend.into(),
        });
    }

    /// Notes what is wrong with a setting of a table.
    fn wrong(&mut self, place: Place<'_>, key: &str, message: impl Into<String>, mend: &str) {
        self.note(place.at(key), &place.called(key), message, mend);
    }

    fn dashboard(&mut self, table: &DeTable<'_>, into: &mut Dashboard) {
        let place = Place {
            table,
            at: 0,
            prefix: "",
        };
        self.only(place, &KEYS);
        if let Some(title) = self.needed(place, "title", "write title = \"...\" at the top") {
            into.title = title;
        }
        into.description = self.words(place, "description").unwrap_or_default();
        let panels = match place.get("panels").map(|(_, panels)| panels.get_ref()) {
            Some(DeValue::Array(panels)) if !panels.is_empty() => panels,
            Some(DeValue::Array(_)) | None => {
                let mend = "add one: [[panels]], then title = \"...\", kind = \"lines\" and promql = \"...\"";
                return self.wrong(place, "panels", "there are none", mend);
            }
            Some(_) => {
                let mend = "begin each panel with [[panels]]";
                return self.wrong(place, "panels", "is no list of tables", mend);
            }
        };
        if panels.len() > PANELS_MAX {
            let message = format!("has {} panels, more than {PANELS_MAX}", panels.len());
            return self.wrong(place, "panels", message, "divide it into several files");
        }
        for (index, panel) in panels.iter().enumerate() {
            let prefix = format!("panels[{}].", index + 1);
            let at = panel.span().start;
            let DeValue::Table(table) = panel.get_ref() else {
                let mend = "begin each panel with [[panels]]";
                self.note(at, prefix.trim_end_matches('.'), "is no table", mend);
                continue;
            };
            let prefix = &prefix;
            let panel = self.panel(Place { table, at, prefix });
            into.panels.extend(panel);
        }
    }

    fn panel(&mut self, place: Place<'_>) -> Option<Panel> {
        self.only(place, &PANEL_KEYS);
        let kind = self.kind(place)?;
        let (queries, unused): (&[&str], &[&str]) = match kind {
            Kind::Lines | Kind::Number => (&["promql"], &["sql", "text"]),
            Kind::Table => (&["promql", "sql"], &["text", "unit"]),
            Kind::Text => (&["text"], &["promql", "sql", "unit"]),
        };
        for key in unused.iter().filter(|key| place.get(key).is_some()) {
            let message = format!("is nothing that a panel of kind `{}` has", word(kind));
            let mend = format!("remove it; this kind has `{}`", queries.join("` or `"));
            self.wrong(place, key, message, &mend);
        }
        let given = queries.iter().filter(|key| place.get(key).is_some());
        if given.count() != 1 {
            let message = format!("a panel of kind `{}` has one", word(kind));
            let mend = format!("give it one of `{}`", queries.join("`, `"));
            self.wrong(place, queries[0], message, &mend);
        }
        let title = match kind {
            Kind::Text => self.words(place, "title"),
            _ => self.needed(place, "title", "write title = \"...\" into the panel"),
        };
        Some(Panel {
            title: title.unwrap_or_default(),
            kind,
            width: self.width(place, kind),
            promql: self.promql(place),
            sql: self.words(place, "sql"),
            text: self.words(place, "text"),
            unit: self.words(place, "unit"),
        })
    }

    fn kind(&mut self, place: Place<'_>) -> Option<Kind> {
        let mend = "write kind = \"lines\", \"number\", \"table\" or \"text\"";
        let kind = match &*self.needed(place, "kind", mend)? {
            "lines" => Kind::Lines,
            "number" => Kind::Number,
            "table" => Kind::Table,
            "text" => Kind::Text,
            other => {
                self.wrong(place, "kind", format!("there is no kind `{other}`"), mend);
                return None;
            }
        };
        Some(kind)
    }

    fn width(&mut self, place: Place<'_>, kind: Kind) -> u8 {
        let default = match kind {
            Kind::Number => 3,
            Kind::Lines | Kind::Table => 6,
            Kind::Text => 12,
        };
        let Some((_, value)) = place.get("width") else {
            return default;
        };
        let columns = match value.get_ref() {
            DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix()).ok(),
            _ => None,
        };
        let columns = columns.filter(|columns| (1..=COLUMNS).contains(columns));
        if let Some(columns) = columns.and_then(|columns| u8::try_from(columns).ok()) {
            columns
        } else {
            let mend = "write a whole number of columns, from 1 to 12, which is all of the page";
            self.wrong(place, "width", "is no width", mend);
            default
        }
    }

    /// A query, which is read here so that a mistake in it is found where it was written.
    fn promql(&mut self, place: Place<'_>) -> Option<String> {
        let query = self.words(place, "promql")?;
        if let Err(error) = promql::parse(&query) {
            let message = format!("is no PromQL: {}", error.message);
            self.wrong(place, "promql", message, &error.mend);
        }
        Some(query)
    }

    /// Notes every setting that is not one of `keys`.
    fn only(&mut self, place: Place<'_>, keys: &[&str]) {
        for (key, _) in place.table {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let mend = format!("remove it, or write one of `{}`", keys.join("`, `"));
                let called = place.called(name);
                self.note(key.span().start, &called, "there is no such setting", mend);
            }
        }
    }

    /// A setting that is text and not empty.
    fn words(&mut self, place: Place<'_>, key: &str) -> Option<String> {
        let (_, value) = place.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.to_string()),
            DeValue::String(_) => {
                self.wrong(place, key, "is empty", "write something, or remove it");
                None
            }
            _ => {
                self.wrong(place, key, "is no text", "put it between quotation marks");
                None
            }
        }
    }

    /// A setting that has to be there.
    fn needed(&mut self, place: Place<'_>, key: &str, mend: &str) -> Option<String> {
        if place.get(key).is_none() {
            self.wrong(place, key, "is missing", mend);
        }
        self.words(place, key)
    }
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Lines => "lines",
        Kind::Number => "number",
        Kind::Table => "table",
        Kind::Text => "text",
    }
}
