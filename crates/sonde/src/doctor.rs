//! `sonde doctor`: what a collector says of what arrived, or whether the destinations of a program are reached.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use radiosonde::{
    config::RawConfig,
    exporter::probe::{self, Check, Destination, Verdict},
};
use serde_json::{Value, json};

use crate::{
    ask,
    cli::{DoctorArguments, Format},
    text,
};

/// What standard output gets, and how the command ends.
pub fn run(arguments: &DoctorArguments) -> anyhow::Result<(String, ExitCode)> {
    let Some(path) = &arguments.config else {
        return Ok((ask::doctor(arguments)?, ExitCode::SUCCESS));
    };
    let file = RawConfig::read(path)?;
    let raw = file.overlaid_by(RawConfig::from_environment(std::env::vars_os()));
    let destinations = probe::run(raw)?;
    let code = if destinations.iter().all(Destination::is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    let text = match arguments.format {
        Format::Json => text::json(
            &json!({ "destinations": destinations.iter().map(shown).collect::<Vec<_>>() }),
        ),
        Format::Text => words(path, &destinations),
    };
    Ok((text, code))
}

const fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    }
}

fn shown(destination: &Destination) -> Value {
    let check = |check: &Check| {
        json!({"check": check.check, "endpoint": check.endpoint, "outcome": name(check.verdict),
            "words": check.words, "mend": check.mend})
    };
    json!({"name": destination.name, "kind": destination.kind,
        "checks": destination.checks.iter().map(check).collect::<Vec<_>>()})
}

fn words(path: &Path, destinations: &[Destination]) -> String {
    if destinations.is_empty() {
        return format!(
            "{}: names no destination beyond this machine. Write [otlp] endpoint = \"http://HOST:4318\", or [[exporters]].\n",
            path.display()
        );
    }
    let mut out = String::new();
    for destination in destinations {
        // Writing to a string does not fail.
        let _ = if destination.name == destination.kind {
            writeln!(out, "{}", text::plain(&destination.name))
        } else {
            let name = text::plain(&destination.name);
            writeln!(out, "{name} ({})", destination.kind)
        };
        let mut endpoint = None;
        for check in &destination.checks {
            if check.endpoint.is_some() && endpoint != check.endpoint.as_ref() {
                endpoint = check.endpoint.as_ref();
                let at = text::plain(endpoint.map_or("", String::as_str));
                let _ = writeln!(out, "  {at}");
            }
            out.push_str(&line(check));
        }
    }
    out
}

/// One check, and what to do about it.
fn line(check: &Check) -> String {
    let outcome = match check.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "?",
    };
    let mut line = format!(
        "  {outcome:<4}  {:<9}  {}\n",
        check.check,
        text::plain(&check.words)
    );
    if let Some(mend) = &check.mend {
        let _ = writeln!(line, "{:19}{}", "", text::plain(mend));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_passes_or_fails_with_its_mend() {
        let check = |check, verdict, words: &str, mend: Option<&str>| Check {
            check,
            endpoint: Some("http://a:9411/api/v2/spans".to_owned()),
            verdict,
            words: words.to_owned(),
            mend: mend.map(str::to_owned),
        };
        let destination = Destination {
            name: "traces of the team".to_owned(),
            kind: "zipkin",
            checks: vec![
                check("traces", Verdict::Pass, "a span was accepted", None),
                check("read back", Verdict::Unknown, "not read back", None),
                check("clock", Verdict::Fail, "behind\u{1b}", Some("set it")),
            ],
        };
        let path = Path::new("radiosonde.toml");
        assert_eq!(
            words(path, std::slice::from_ref(&destination)),
            "traces of the team (zipkin)\n  \
               http://a:9411/api/v2/spans\n  \
               pass  traces     a span was accepted\n  \
               ?     read back  not read back\n  \
               FAIL  clock      behind \n                   \
                                set it\n"
        );
        assert_eq!(shown(&destination)["checks"][2]["outcome"], "fail");
        assert!(words(path, &[]).contains("names no destination"));
    }
}
