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
mod out;
mod page;
mod queue;
mod report;
mod rng;
mod sample;
mod serve;
mod threads;
mod tokenizer;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use radiosonde_answers::units::Count;

use cli::{Args, Format, Recording};
use engine::Loaded;
use out::Out;
use page::Shown;
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
    match run_and_show(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Who reads it has read enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo to its end. `false` where a request failed, or the recording lacks something.
fn run_and_show(args: &Args) -> anyhow::Result<bool> {
    let alternate = args.recording == Recording::Alternate;
    ensure!(
        !alternate || args.workers == 1 && args.requests >= 2,
        "--recording alternate compares tokens that follow each other, and requests: give it --workers 1 and --requests 2 or more"
    );
    let is_recorded = args.recording != Recording::Off && observe::is_on()?;
    let out = args.out.as_deref().map(Out::open).transpose()?;
    let is_shown = is_recorded && !args.once && args.format == Format::Text;
    let shown = is_shown.then(|| Shown::new(out.as_ref())).transpose()?;
    let report = run(args, is_recorded, out.as_ref(), shown.as_ref())?;
    let is_whole = is_recording_whole(&report);
    if let Some(shown) = &shown {
        shown.show()?;
    }
    Ok(is_whole && report.totals.failed == 0)
}

/// Says what the recording lacks, if anything.
fn is_recording_whole(report: &Report) -> bool {
    let Some(observed) = report.observed.as_ref().filter(|seen| !seen.delivered) else {
        return true;
    };
    let lost = observed.lost.iter().map(|loss| {
        let records = Count(loss.records, "record");
        format!("{records} lost ({})", loss.reason)
    });
    let lost = lost.collect::<Vec<_>>().join(", ");
    let why = match lost.as_str() {
        "" => "not everything was delivered in time",
        lost => lost,
    };
    say(&format!("error: the recording is not complete: {why}"));
    false
}

fn run(
    args: &Args,
    is_recorded: bool,
    out: Option<&Out>,
    shown: Option<&Shown>,
) -> anyhow::Result<Report> {
    let place = engine::find(args, &mut say)?;
    // Put back where the recording or the model cannot begin, once the recording has let go of its files.
    let earlier = out
        .filter(|_| is_recorded)
        .map(Out::set_aside)
        .transpose()?;
    let observation = is_recorded
        .then(|| observe::start(out, shown.and_then(Shown::lines), place.is_random()))
        .transpose()?;
    let loaded = engine::load(&place)?;
    if let Some(earlier) = earlier {
        earlier.replaced();
    }
    observe::weights_loaded(&loaded.identity, loaded.engine.model.footprint());
    let load = Load {
        requests: args.requests,
        workers: args.workers,
        tokens_max: args.max_tokens,
        seed: args.seed,
        alternate: is_recorded && args.recording == Recording::Alternate,
    };
    let start = Instant::now();
    let outcomes = match args.format {
        Format::Text => answer_as_text(&loaded, load)?,
        Format::Json => answer_with_progress(&loaded, load)?,
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
    publish(args.format, out, &report)?;
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

/// Runs the requests and says on stderr when one has ended.
fn answer_with_progress(loaded: &Loaded, load: Load) -> anyhow::Result<Vec<Outcome>> {
    let mut ticker = Ticker::new(io::stderr(), &loaded.identity.label, load.requests);
    serve::run(&loaded.engine, load, |progress| -> anyhow::Result<()> {
        // The result does not depend on who hears of the progress.
        let _ = ticker.on(&progress);
        Ok(())
    })
}

/// What is said when the result cannot be shown.
const STDOUT: &str = "cannot write to stdout";

/// Writes the report to stdout, and `report.json` where asked. Where one of them fails there is still the other.
fn publish(format: Format, out: Option<&Out>, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
    let mut stdout = io::stdout();
    let shown = match format {
        Format::Text => write!(stdout, "{report}"),
        Format::Json => writeln!(stdout, "{json}"),
    }
    .and_then(|()| stdout.flush())
    .context(STDOUT);
    // That nobody reads stdout may be no error; a report that is not in its file always is.
    out.map_or(Ok(()), |out| out.write_report(&json)).and(shown)
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
