//! `sonde semconv report`: which names each service uses, and what they are called here.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    cli::{Format, queue::SemconvArguments},
    collector::Collector,
    text::{self, Side, list, member, table},
};

/// `sonde semconv report`.
pub fn report(arguments: &SemconvArguments) -> anyhow::Result<String> {
    let mut parameters = arguments.range.parameters();
    parameters.extend(
        arguments
            .service
            .as_deref()
            .map(|service| ("service", service)),
    );
    let answer = Collector::new(&arguments.collector)?.get("semconv", &parameters)?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => words(&answer),
    })
}

fn words(answer: &Value) -> String {
    let services = list(answer, "services");
    if services.is_empty() {
        return "Nothing was received in this time. `sonde doctor` says what arrived; --from asks further back.\n".to_owned();
    }
    let mut out = String::new();
    for service in services {
        let unknown = member(service, "unknown");
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{}: {unknown} names that no vocabulary has",
            text::plain(&member(service, "service"))
        );
        for vocabulary in list(service, "vocabularies") {
            let canonical = if vocabulary["is_canonical"] == true {
                ", whose names are those asked for here"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "\n  {} ({}){canonical}",
                member(vocabulary, "vocabulary"),
                member(vocabulary, "version")
            );
            out.push_str(&names(list(vocabulary, "names")));
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "Attributes are those of the newest {} spans and logs.",
        member(answer, "sample")
    );
    out
}

fn names(names: &[Value]) -> String {
    let row = |said: &Value| {
        ["kind", "name", "canonical", "count"]
            .map(|column| member(said, column))
            .to_vec()
    };
    let headings = [
        ("kind", Side::Left),
        ("sent as", Side::Left),
        ("asked for as", Side::Left),
        ("seen", Side::Left),
    ];
    let table = table(&headings, &names.iter().map(row).collect::<Vec<_>>());
    let mut indented = String::with_capacity(table.len() * 2);
    for line in table.lines() {
        indented.extend(["    ", line, "\n"]);
    }
    indented
}
