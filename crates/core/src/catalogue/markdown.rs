//! `docs/events.md`, written from the descriptions.

use std::fmt::Write as _;

use super::{BUILT_IN, FieldDescriptor, METRIC_ALIASES, Role, kind, metric};
use crate::event::Descriptor;

const HEAD: &str = "\
# Events

Generated from the event types (`cargo run -p radiosonde-core --example catalogue > docs/events.md`); a test compares.
Every event is also accepted under its aliases, and any event of yours has all of this too: `#[derive(Event)]`.
In JSON an event is `{\"type\": ..., \"data\": {...}}` with the type and the field names below.
";

/// The documentation of the built-in events.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for event in BUILT_IN {
        section(&mut page, event);
    }
    page.push_str(
        "\n## Other names for metrics\n\n| name | stands for | times |\n| --- | --- | --- |\n",
    );
    for alias in METRIC_ALIASES {
        row(
            &mut page,
            &[
                &format!("`{}`", alias.alias),
                &format!("`{}`", alias.metric),
                &factor(alias.times),
            ],
        );
    }
    page
}

fn section(page: &mut String, event: &Descriptor) {
    let aliases: Vec<_> = event
        .aliases
        .iter()
        .map(|alias| format!("`{alias}`"))
        .collect();
    let also = if aliases.is_empty() {
        String::new()
    } else {
        format!(", also {}", aliases.join(", "))
    };
    let count = event
        .count
        .map(|count| format!(", counted by `{count}`"))
        .unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## `{}`\n\n{}\n\ntype `{}`, level {}{also}{count}.\n\n",
        event.name,
        event.description,
        event.type_name,
        event.severity.text().to_lowercase(),
    );
    page.push_str("| field | kind | role | meaning |\n| --- | --- | --- | --- |\n");
    for field in event.fields {
        row(
            page,
            &[
                &format!("`{}`", field.name),
                field.field_type.word(),
                &role(field),
                field.description,
            ],
        );
    }
}

fn role(field: &FieldDescriptor) -> String {
    let (Some(kind), Some(metric)) = (kind(field), metric(field)) else {
        return if field.role == Role::Label {
            "label"
        } else {
            ""
        }
        .to_owned();
    };
    let unit = match field.unit {
        "" => String::new(),
        unit => format!(" in `{unit}`"),
    };
    format!("{kind} `{metric}`{unit}")
}

fn row(page: &mut String, cells: &[&str]) {
    for cell in cells {
        page.push_str("| ");
        page.push_str(&cell.replace('|', "\\|"));
        page.push(' ');
    }
    page.push_str("|\n");
}

fn factor(times: f64) -> String {
    if times < 1.0 {
        format!("1/{}", 1.0 / times)
    } else {
        times.to_string()
    }
}
