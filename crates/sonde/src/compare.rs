//! `sonde compare`: what is different between two sides of anything that a collector has.

use crate::{
    cli::{Format, compare::CompareArguments},
    collector::{Collector, Parameters},
    text,
};

/// What standard output gets.
pub fn run(arguments: &CompareArguments) -> anyhow::Result<String> {
    let answer = Collector::new(&arguments.collector)?.get("compare", &parameters(arguments))?;
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => text::member(&answer, "text"),
    })
}

fn parameters(arguments: &CompareArguments) -> Parameters<'_> {
    let mut parameters = Parameters::new();
    let is_alone = arguments.second.is_none();
    if let Some(first) = &arguments.first {
        let name = match (is_trace(first), is_alone) {
            // It is what the others are a measure of.
            (true, true) => "b_trace",
            (true, false) => "a_trace",
            (false, true) => "q",
            (false, false) => "a",
        };
        parameters.push((name, first));
    }
    if let Some(second) = &arguments.second {
        parameters.push((if is_trace(second) { "b_trace" } else { "b" }, second));
    }
    for (names, pair) in [
        (["a_version", "b_version"], &arguments.versions),
        (["a_service", "b_service"], &arguments.services),
        (["a_operation", "b_operation"], &arguments.operations),
        (["a_name", "b_name"], &arguments.names),
    ] {
        let values = pair.iter().flatten().map(String::as_str);
        parameters.extend(names.into_iter().zip(values));
    }
    for (name, value) in [
        ("at", &arguments.at),
        ("service", &arguments.service),
        ("operation", &arguments.operation),
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("a_from", &arguments.a_from),
        ("a_to", &arguments.a_to),
        ("b_from", &arguments.b_from),
        ("b_to", &arguments.b_to),
    ] {
        parameters.extend(value.as_deref().map(|value| (name, value)));
    }
    parameters
}

/// Whether this is a trace's identifier; anything else is a filter.
fn is_trace(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    digits.clone().count() == 32 && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    const TRACE: &str = "0af76519-16cd-43dd-8448-eb211c80319c";

    fn asked(arguments: &[&str]) -> Option<String> {
        let line = ["sonde", "compare"].iter().chain(arguments);
        let cli = Cli::try_parse_from(line).ok()?;
        let Some(Command::Compare(arguments)) = cli.command else {
            panic!("another command");
        };
        let pairs: Vec<String> = parameters(&arguments)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some(pairs.join(" "))
    }

    #[test]
    fn sides_are_traces_filters_versions_or_times() {
        for (arguments, expected) in [
            (
                &[TRACE, "model = a"][..],
                format!("a_trace={TRACE} b=model = a"),
            ),
            (&[TRACE], format!("b_trace={TRACE}")),
            (
                &["--versions", "1.4", "1.5", "--service", "x"],
                "a_version=1.4 b_version=1.5 service=x".to_owned(),
            ),
            (
                &["model = a", "--at", "-10m", "--from", "-1h"],
                "q=model = a at=-10m from=-1h".to_owned(),
            ),
            (
                &["a", "b", "--names", "old", "new"],
                "a=a b=b a_name=old b_name=new".to_owned(),
            ),
        ] {
            assert_eq!(asked(arguments).as_deref(), Some(expected.as_str()));
        }
    }

    #[test]
    fn without_two_sides_the_command_line_is_wrong() {
        for arguments in [
            &[][..],
            &["--service", "x"],
            &["--from", "-1h"],
            &["--versions", "1.4"],
            &["--at", "-1m", "--b-from", "-2m"],
            &["--services", "a", "b", "--service", "c"],
        ] {
            assert_eq!(asked(arguments), None, "{arguments:?}");
        }
    }
}
