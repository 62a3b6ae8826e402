//! Radiosonde beside your program: what it is doing, now and last week.
//!
//! `sonde why FILE` says where the time of a recorded request went, and why. What a command has to say goes to standard
//! output; warnings and errors go to standard error, an error with what to do about it.
//!
//! Exit codes: 0 when there is an answer, 1 when there is none (the file cannot be read or does not hold what was
//! asked for), 2 when the command line is wrong.

#![forbid(unsafe_code)]

mod cli;
mod recording;
mod why;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Why(arguments) => why::run(&arguments),
    };
    match outcome.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be gone as well; there is nobody left to tell.
            let _ = writeln!(io::stderr(), "sonde: {}", words(&error));
            ExitCode::FAILURE
        }
    }
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
