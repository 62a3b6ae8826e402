//! Which packages, programs and features the workspace has, and which of them one build takes together.
//!
//! Cargo unifies features over the packages of one build, and candle costs minutes: so clippy, tests, examples and the
//! demo's smoke run all ask for the same packages with the same features.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell;

/// Builds every peer that we measure against: only `cargo xtask bench` does that.
pub const BENCHES: &str = "radiosonde-benches";
/// Measures the store and the server; its peers are Python packages.
pub const STORE_BENCHES: &str = "radiosonde-store-benches";
/// Has recording compiled out, so its features must not meet those of the others.
pub const DISABLED: &str = "radiosonde-disabled";
pub const DEMO: &str = "radiosonde-demo";
pub const PROGRAM: &str = "sonde";
pub const EXAMPLES: &str = "radiosonde-examples";
pub const LIBRARY: &str = "radiosonde";
pub const CORE: &str = "radiosonde-core";
pub const ANSWERS: &str = "radiosonde-answers";
pub const STORE: &str = "radiosonde-store";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    features: std::collections::BTreeMap<String, Vec<String>>,
}

/// The features of a package of the workspace, without `default`, in the order of their names.
pub fn features(package: &str) -> Result<Vec<String>> {
    let text = shell::output(shell::cargo().args([
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--locked",
    ]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("`cargo metadata` wrote something unknown")?;
    let package = metadata
        .packages
        .into_iter()
        .find(|candidate| candidate.name == package)
        .with_context(|| format!("the workspace has no package `{package}`"))?;
    Ok(package
        .features
        .into_keys()
        .filter(|name| name != "default")
        .collect())
}

/// Adds the packages that are built together, with every feature of the library.
pub fn select_all(command: &mut Command) -> Result<&mut Command> {
    command.args([
        "--workspace",
        "--exclude",
        BENCHES,
        "--exclude",
        DISABLED,
        "--locked",
    ]);
    let features: Vec<String> = features(LIBRARY)?
        .into_iter()
        .map(|name| format!("{LIBRARY}/{name}"))
        .collect();
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    Ok(command)
}

#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
    #[serde(default)]
    package_id: String,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// A program that a build made.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

/// Runs a `cargo build` and returns the programs of `package` among what it made.
pub fn build_programs(build: &mut Command, package: &str) -> Result<Vec<Program>> {
    println!("$ {}", shell::line(build));
    let messages = shell::output(build.arg("--message-format=json-render-diagnostics"))?;
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("cargo wrote an unknown message: {line}"))?;
        if let Message {
            target: Some(target),
            executable: Some(path),
            package_id,
        } = message
            && is_of(&package_id, package)
        {
            programs.push(Program {
                name: target.name,
                path,
            });
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// Builds the demo, as the other commands do, and says where it is.
pub fn build_demo() -> Result<PathBuf> {
    let programs = build_programs(select_all(shell::cargo().args(["build", "--bins"]))?, DEMO)?;
    let program = programs.into_iter().next();
    Ok(program
        .with_context(|| format!("{DEMO} has no program"))?
        .path)
}

/// Whether a package id (`path+file:///a/b#name@1.0.0`, or `…/name#1.0.0` when the folder has the name) is of `package`.
fn is_of(package_id: &str, package: &str) -> bool {
    let Some((place, version)) = package_id.rsplit_once('#') else {
        return false;
    };
    match version.split_once('@') {
        Some((name, _)) => name == package,
        None => place.rsplit('/').next() == Some(package),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_ids_have_two_forms() {
        assert!(is_of(
            "path+file:///a/demo#radiosonde-demo@0.1.0",
            "radiosonde-demo"
        ));
        assert!(is_of("path+file:///a/radiosonde#0.1.0", "radiosonde"));
        assert!(!is_of("path+file:///a/radiosonde#0.1.0", "sonde"));
        assert!(!is_of("path+file:///a/demo#radiosonde-demo@0.1.0", "demo"));
    }

    #[test]
    fn the_library_is_found_and_a_stranger_is_not() {
        assert!(features(LIBRARY).is_ok());
        assert!(
            features("no-such-package")
                .unwrap_err()
                .to_string()
                .contains("no-such-package")
        );
    }
}
