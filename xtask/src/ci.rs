//! `cargo xtask ci`: all that must pass before a change lands.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{
    coverage, dependencies, generate, lanes, packages, page, shell, smoke, test, tidy, unified,
};

struct Step {
    name: &'static str,
    about: &'static str,
    work: fn() -> Result<()>,
}

/// In order of what a failure costs to find: seconds first, minutes last.
const STEPS: [Step; 14] = [
    Step {
        name: "fmt",
        about: "rustfmt changes nothing",
        work: fmt,
    },
    Step {
        name: "tidy",
        about: "the house rules",
        work: tidy::tidy,
    },
    Step {
        name: "typos",
        about: "spelling",
        work: typos,
    },
    Step {
        name: "deny",
        about: "licences, sources and banned packages",
        work: deny,
    },
    Step {
        name: "dependencies",
        about: "how many packages our crates bring, and that the largest is built once",
        work: || dependencies::check().and_then(|()| unified::check()),
    },
    Step {
        name: "coverage",
        about: "docs/coverage.md names tests that exist",
        work: coverage::check,
    },
    Step {
        name: "clippy",
        about: "clippy has nothing to say",
        work: clippy,
    },
    Step {
        name: "test",
        about: "every test",
        work: || test::test(&[]),
    },
    Step {
        name: "doc",
        about: "the documentation builds without a warning",
        work: doc,
    },
    Step {
        name: "generated",
        about: "generated files are current",
        work: || generate::generate(true),
    },
    Step {
        name: "examples",
        about: "every example runs",
        work: smoke::examples,
    },
    Step {
        name: "demo",
        about: "the demo runs with the tiny model and writes what it says",
        work: smoke::demo,
    },
    Step {
        name: "page",
        about: "the built page is current, and works in a browser on a real collector",
        work: page::check,
    },
    Step {
        name: "loom",
        about: "lanes and slab under every interleaving",
        work: lanes::loom,
    },
];

/// Runs the named steps, or all of them, and prints how long each took.
pub fn ci(names: &[String], list: bool) -> Result<()> {
    if list {
        for step in &STEPS {
            println!("{:14}{}", step.name, step.about);
        }
        return Ok(());
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| STEPS.iter().all(|step| step.name != name.as_str()))
    {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!(
            "there is no step `{unknown}`; there are: {}",
            known.join(", ")
        );
    }
    let mut times = Vec::new();
    for step in STEPS
        .iter()
        .filter(|step| names.is_empty() || names.iter().any(|name| name == step.name))
    {
        println!("\n==> {}: {}", step.name, step.about);
        let started = Instant::now();
        let outcome = (step.work)();
        let took = started.elapsed();
        outcome.with_context(|| {
            format!(
                "step `{0}` failed after {1}; repeat it with: cargo xtask ci {0}",
                step.name,
                seconds(took)
            )
        })?;
        println!("<== {}: {}", step.name, seconds(took));
        times.push((step.name, took));
    }
    println!("\nci: all {} steps passed", times.len());
    for (name, took) in &times {
        println!("  {name:14}{:>9}", seconds(*took));
    }
    println!(
        "  {:14}{:>9}",
        "together",
        seconds(times.iter().map(|(_, took)| *took).sum())
    );
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn fmt() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn typos() -> Result<()> {
    if !shell::works(shell::tool("typos").arg("--version")) {
        bail!("`typos` is not installed: pip install typos, or: cargo install typos-cli --locked");
    }
    shell::run(&mut shell::tool("typos"))
}

fn deny() -> Result<()> {
    if !shell::works(shell::tool("cargo-deny").arg("--version")) {
        bail!(
            "`cargo-deny` is not installed: cargo install cargo-deny --locked --debug --no-default-features"
        );
    }
    // Advisories need a database from a host that the gate cannot reach; deny.toml says so too.
    shell::run(shell::tool("cargo-deny").args([
        "--locked",
        "--log-level=error",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn clippy() -> Result<()> {
    shell::run(packages::select_all(shell::cargo().arg("clippy"))?.args([
        "--lib",
        "--bins",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ]))?;
    // In a test `unwrap` says where it could not go on, and helpers of tests are not an interface.
    let tests = [
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
        "-A",
        "clippy::unwrap_used",
        "-A",
        "clippy::expect_used",
        "-A",
        "missing_docs",
    ];
    shell::run(packages::select_all(shell::cargo().arg("clippy"))?.args(tests))?;
    for package in [packages::DISABLED, packages::BENCHES] {
        shell::run(
            shell::cargo()
                .args(["clippy", "--locked", "--package", package])
                .args(tests),
        )?;
    }
    // A workspace of its own, so that its targets do not rot between two runs of the fuzz lane.
    shell::run(shell::cargo().args([
        "clippy",
        "--manifest-path=fuzz/Cargo.toml",
        "--",
        "-D",
        "warnings",
    ]))
}

fn doc() -> Result<()> {
    shell::run(
        packages::select_all(shell::cargo().args(["doc", "--no-deps"]))?
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_answered_with_the_known_ones() {
        let error = ci(&["lint".to_owned()], false).unwrap_err().to_string();
        assert!(
            error.contains("`lint`") && error.contains("clippy"),
            "{error}"
        );
    }

    #[test]
    fn steps_have_one_name_each() {
        let mut names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
