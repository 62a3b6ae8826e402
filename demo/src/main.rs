//! A real language model, observed end to end.
//!
//! `cargo demo` fetches SmolLM2-135M-Instruct (once), lets two workers answer a handful of requests with it on
//! the CPU, reports what happened, and shows it on a page. Read on in this order: [`serve`] is the program being observed,
//! [`model`] its forward pass, [`observe`] the one place where radiosonde is joined, [`report`] the result, [`page`] what
//! comes after it.
//!
//! stdout carries the result alone: the answers and the report, or with `--format json` one JSON document.
//! Everything else goes to stderr.

#![forbid(unsafe_code)]

mod cli;
mod cost;
mod cpu;
mod engine;
mod fetch;
mod generate;
mod model;
mod observe;
mod page;
mod queue;
mod report;
mod rng;
mod sample;
mod serve;
mod threads;
mod tokenizer;
mod view;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use radiosonde_answers::units::Count;

use cli::{Args, Format, Recording};
use engine::Loaded;
use report::Report;
use serve::{Load, Outcome};
use view::{Ticker, Transcript};

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = threads::restart_with_one_thread_per_operation() {
        say(&format!(
            "cannot start anew with one thread per operation ({error}): the model may run slower"
        ));
    }
    let recorded = recorded(&args);
    let outcome = run(&args, recorded.as_deref()).and_then(|report| {
        if let Some(lines) = &recorded {
            page::show(lines)?;
        }
        Ok(report)
    });
    if let Some(lines) = recorded.filter(|_| args.out.is_none()) {
        // It has been shown, or there is nobody to show it to.
        let _ = fs::remove_file(lines);
    }
    match outcome {
        Ok(report) if report.totals.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Who reads it has read enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Where the recording is that the page shows afterwards, if it is to be shown.
fn recorded(args: &Args) -> Option<PathBuf> {
    let is_shown = !args.once && args.format == Format::Text && args.recording == Recording::On;
    let folder = args.out.clone();
    is_shown.then(|| match folder {
        Some(folder) => folder.join(observe::LINES),
        None => std::env::temp_dir().join(format!("radiosonde-demo-{}.jsonl", std::process::id())),
    })
}

fn run(args: &Args, recorded: Option<&Path>) -> anyhow::Result<Report> {
    let alternate = args.recording == Recording::Alternate;
    ensure!(
        !alternate || args.workers == 1 && args.requests >= 2,
        "--recording alternate compares tokens that follow each other, and requests: give it --workers 1 and --requests 2 or more"
    );
    if let Some(folder) = &args.out {
        prepare(folder)?;
    }
    let observation = match args.recording {
        Recording::On | Recording::Alternate => {
            Some(observe::start(args.out.as_deref(), recorded)?)
        }
        Recording::Off => None,
    };
    let loaded = engine::load(args, &mut say)?;
    observe::weights_loaded(&loaded.identity, loaded.engine.model.footprint());
    let load = Load {
        requests: args.requests,
        workers: args.workers,
        tokens_max: args.max_tokens,
        seed: args.seed,
        alternate,
    };
    let start = Instant::now();
    let outcomes = match args.format {
        Format::Text => answer_as_text(&loaded, load)?,
        Format::Json => {
            let mut ticker = Ticker::new(io::stderr(), load.requests);
            serve::run(&loaded.engine, load, |progress| -> anyhow::Result<()> {
                Ok(ticker.on(&progress)?)
            })?
        }
    };
    let wall_seconds = start.elapsed().as_secs_f64();
    let report = Report::new(
        &loaded.identity,
        &loaded.engine.model,
        load,
        outcomes,
        wall_seconds,
        observation.map(observe::Observation::finish),
    );
    publish(args, &report)?;
    Ok(report)
}

/// Runs the requests and shows their answers on stdout as they are generated.
fn answer_as_text(loaded: &Loaded, load: Load) -> anyhow::Result<Vec<Outcome>> {
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "{}: {} for {}\n",
        loaded.identity.label,
        Count(u64::from(load.requests), "request"),
        Count(u64::from(load.workers), "worker")
    )
    .context(STDOUT)?;
    let mut transcript = Transcript::new(stdout);
    serve::run(&loaded.engine, load, |progress| -> anyhow::Result<()> {
        transcript.on(progress).context(STDOUT)
    })
}

/// What is said when the result cannot be shown.
const STDOUT: &str = "cannot write to stdout";

/// Makes the folder of `--out`, and removes the report of an earlier run: this one's recordings replace that one's.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        let place = folder.display();
        format!("cannot create --out {place}; name a folder that exists or can be made")
    })?;
    observe::remove(&folder.join(REPORT))
}

/// The report's file in the folder of `--out`.
const REPORT: &str = "report.json";

/// Writes `report.json` where asked, and the report to stdout.
fn publish(args: &Args, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
    if let Some(folder) = &args.out {
        let path = folder.join(REPORT);
        fs::write(&path, format!("{json}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut stdout = io::stdout();
    match args.format {
        Format::Text => write!(stdout, "{report}"),
        Format::Json => writeln!(stdout, "{json}"),
    }
    .and_then(|()| stdout.flush())
    .context(STDOUT)
}

/// Whether it is only that nobody reads stdout any more, as behind `| head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.to_string() == STDOUT && error.downcast_ref().is_some_and(closed)
}

/// The error with its causes, outermost first. One that its consequence has quoted already is not said again.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

/// A line on stderr. A closed stderr is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_once_with_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read a.gguf: {source}; check it")]
        struct Quoting {
            source: io::Error,
        }
        let source = io::Error::other("the disk is gone");
        let error = anyhow::Error::new(Quoting { source }).context("cannot load the model");
        assert_eq!(
            in_words(&error),
            "cannot load the model: cannot read a.gguf: the disk is gone; check it"
        );
    }
}
