//! Radiosonde beside your program: what it is doing, now and last week.
//!
//! `sonde serve` is the collector; the other commands ask it, or a recording. What a command has to say goes to standard
//! output; warnings and errors go to standard error, an error with what to do about it.
//!
//! Exit codes: 0 when there is an answer, 1 when there is none (no collector answers, a file cannot be read or does not
//! hold what was asked for) or a check failed, 2 when the command line is wrong; `sonde run` ends as the program that it ran.

#![forbid(unsafe_code)]

mod alerts;
mod ask;
mod bench;
mod cardinality;
mod catalog;
mod cli;
mod collector;
mod compare;
mod config;
mod doctor;
mod export;
mod flame;
mod import;
mod logs;
mod mcp;
mod queue;
mod recording;
mod run;
mod semconv;
mod serve;
mod show;
mod text;
mod top;
mod trace;
mod why;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command, queue::Semconv};

fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    let outcome = match command.unwrap_or(Command::Serve(serve)) {
        Command::Run(arguments) => run::run(&arguments),
        Command::Doctor(arguments) => {
            doctor::run(&arguments).and_then(|(text, code)| print(&text).map(|()| code))
        }
        Command::Bench { what } => {
            bench::run(&what).and_then(|(text, code)| print(&text).map(|()| code))
        }
        command => answer(command)
            .and_then(|text| print(&text))
            .map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be gone as well; there is nobody left to tell.
            let _ = writeln!(io::stderr(), "sonde: {}", words(&error));
            ExitCode::FAILURE
        }
    }
}

/// What standard output gets.
fn answer(command: Command) -> anyhow::Result<String> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Run(_) | Command::Doctor(_) | Command::Bench { .. } => Ok(String::new()),
        Command::Why(arguments) => why::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Traces(arguments) => ask::traces(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Metrics(arguments) => ask::metrics(&arguments),
        Command::Flame(arguments) => flame::run(&arguments),
        Command::Queue(arguments) => queue::run(&arguments),
        Command::Alerts(arguments) => alerts::run(&arguments),
        Command::Semconv {
            what: Semconv::Report(arguments),
        } => semconv::report(&arguments),
        Command::Cardinality(arguments) => cardinality::run(&arguments),
        Command::Query(arguments) => ask::query(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Record(arguments) => top::record(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Mcp(arguments) => mcp::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Catalog(arguments) => catalog::run(&arguments),
        Command::Completions { shell } => written(|out| {
            clap_complete::generate(shell, &mut Cli::command(), "sonde", out);
            Ok(())
        }),
        Command::Man => written(|out| clap_mangen::Man::new(Cli::command()).render(out)),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> anyhow::Result<String> {
    let mut out = Vec::new();
    write(&mut out)?;
    Ok(String::from_utf8(out)?)
}

/// The error and what caused it, each said once: many errors quote their cause themselves.
fn words(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |mut text, cause| {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            text
        })
}

/// Writes to standard output. A reader that has seen enough and went away, as `head` does, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}
