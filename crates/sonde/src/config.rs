//! `sonde config`: what `sonde serve` would do with the same options here, and who says so.

use clap::{Arg, CommandFactory as _};
use radiosonde::redact::Redaction;
use serde_json::{Value, json};

use crate::{
    cli::{Cli, Format, config::ConfigArguments},
    serve::settings::{Settings, Shown, Source},
    text::{self, Side, table},
};

/// What the token is for; it has no option, so that no list of processes shows it.
const TOKEN_MEANING: &str = "What everybody who sends or asks has to show, unless it shows a key; with one of both, or certificates of clients, other machines may reach it";

/// What standard output gets.
pub fn run(arguments: &ConfigArguments) -> anyhow::Result<String> {
    let rows = rows(&Settings::new(&arguments.serve)?);
    Ok(match arguments.format {
        Format::Json => {
            text::json(&json!({"settings": rows.iter().map(Row::json).collect::<Vec<_>>()}))
        }
        Format::Text => words(&rows),
    })
}

/// A setting with what it means.
struct Row {
    option: Option<String>,
    shown: Shown,
    meaning: String,
}

/// Every option of `sonde serve` by the definition of the command line, and the token.
fn rows(settings: &Settings) -> Vec<Row> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    let options = serve.into_iter().flat_map(clap::Command::get_arguments);
    let row = |option: &Arg| {
        let help = option.get_help().map(ToString::to_string);
        Some(Row {
            option: option.get_long().map(|name| format!("--{name}")),
            shown: settings.shown(option.get_id().as_str())?,
            // What follows in brackets are the variable and the default, which are told already.
            meaning: help.unwrap_or_default().split(" [").next()?.to_owned(),
        })
    };
    let token = Row {
        option: None,
        shown: settings.token(),
        meaning: TOKEN_MEANING.to_owned(),
    };
    options.filter_map(row).chain([token]).map(clean).collect()
}

/// Addresses may have credentials in them, which are shown to nobody.
fn clean(mut row: Row) -> Row {
    let value = row.shown.value.take();
    row.shown.value = value.map(|value| Redaction::default().text(&value).into_owned());
    row
}

impl Row {
    fn json(&self) -> Value {
        let (source, _) = words_of(self.shown.source);
        json!({
            "option": self.option,
            "variable": self.shown.variable,
            "value": self.shown.value,
            "source": source,
            "meaning": self.meaning,
        })
    }
}

/// Where a value is from, for programs and for people.
const fn words_of(source: Source) -> (&'static str, &'static str) {
    match source {
        Source::Default => ("default", "default"),
        Source::Environment(variable) => ("environment", variable),
        Source::CommandLine => ("command_line", "command line"),
    }
}

fn words(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let (_, from) = words_of(row.shown.source);
        let variable = row.shown.variable.unwrap_or_default();
        vec![
            row.option.clone().unwrap_or_default(),
            variable.to_owned(),
            row.shown.value.clone().unwrap_or_else(|| "none".to_owned()),
            from.to_owned(),
            row.meaning.clone(),
        ]
    };
    let headings = [
        ("option", Side::Left),
        ("environment", Side::Left),
        ("value", Side::Left),
        ("from", Side::Left),
        ("what", Side::Left),
    ];
    table(&headings, &rows.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Command;

    fn shown(line: &str) -> Vec<Row> {
        let Cli {
            command: Some(Command::Config(arguments)),
            ..
        } = Cli::try_parse_from(line.split(' ')).unwrap()
        else {
            panic!("{line}");
        };
        rows(&Settings::new(&arguments.serve).unwrap())
    }

    #[test]
    fn every_option_of_serve_is_shown() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let options = serve
            .get_arguments()
            .filter(|option| option.get_id() != "help");
        let options: Vec<_> = options
            .filter_map(Arg::get_long)
            .map(|name| format!("--{name}"))
            .collect();
        let shown: Vec<_> = shown("sonde config --data a")
            .into_iter()
            .filter_map(|row| row.option)
            .collect();
        assert_eq!(shown, options);
    }

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        let rows = shown(
            "sonde config --data a --scrape http://127.0.0.1:8000/metrics?token=SEKRET60,job=vllm",
        );
        let json = rows.iter().map(Row::json).collect::<Value>().to_string();
        for text in [words(&rows), json.clone()] {
            assert!(!text.contains("SEKRET60"), "{text}");
        }
        assert!(json.contains("token=[redacted],job=vllm"), "{json}");
    }

    #[test]
    fn what_is_shown_can_be_said_on_the_command_line() {
        let first = shown(
            "sonde config --data a --otlp-grpc 127.0.0.1:1 --otlp-http [::1]:2 --page 127.0.0.1:3 --statsd --syslog --max-size 1500MB \
             --max-age 90m --sample 5% --sample-slow 500ms --sample-rare 3 --sample-wait 30s \
             --scrape http://127.0.0.1:8000/metrics,job=vllm,interval=5s",
        );
        let mut words = vec!["sonde", "config"];
        for row in first
            .iter()
            .filter(|row| row.shown.source == Source::CommandLine)
        {
            words.extend([
                row.option.as_deref().unwrap(),
                row.shown.value.as_deref().unwrap(),
            ]);
        }
        let line = words.join(" ");
        let second = shown(&line);
        let values = |rows: &[Row]| rows.iter().map(|row| row.shown.clone()).collect::<Vec<_>>();
        assert_eq!(values(&first), values(&second));
        assert!(
            line.contains("--max-size 1500000000 --max-age 90m"),
            "{line}"
        );
    }
}
