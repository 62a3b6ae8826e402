//! `cargo xtask test`: every test of the workspace, by one command.
//!
//! The largest run comes last, so that the last lines a reader sees are its summary.

use anyhow::Result;

use crate::{packages, shell};

/// Runs documentation tests, then the tests with recording compiled out, then all others.
///
/// With arguments for the runner only the last is run, because that is where a test's name is looked for.
pub fn test(runner_arguments: &[String]) -> Result<()> {
    if runner_arguments.is_empty() {
        shell::run(packages::select_all(
            shell::cargo().args(["test", "--doc"]),
        )?)?;
        shell::run(runner().args(["--package", packages::DISABLED, "--locked"]))?;
    }
    shell::run(packages::select_all(&mut runner())?.args(runner_arguments))
}

/// `cargo nextest run` where it is installed, else `cargo test` without documentation tests.
fn runner() -> std::process::Command {
    let mut command = shell::cargo();
    if has_nextest() {
        command.args(["nextest", "run"]);
    } else {
        command.args(["test", "--all-targets", "--no-fail-fast"]);
    }
    command
}

pub fn has_nextest() -> bool {
    shell::works(shell::cargo().args(["nextest", "--version"]))
}
