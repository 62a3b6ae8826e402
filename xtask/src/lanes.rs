//! The slow lanes: what proves the most, and takes longer than the gate has.

use std::fs;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::{packages, shell, test::has_nextest};

/// Every interleaving with more switches than this between threads is left out, as loom's authors advise.
const LOOM_PREEMPTIONS_MAX: &str = "3";

/// Runs the tests of core whose name has `loom`, compiled with `--cfg loom`.
pub fn loom() -> Result<()> {
    let mut command = shell::cargo();
    // Without documentation tests and with a runner that fails when it finds no test.
    command.args(if has_nextest() {
        ["nextest", "run"].as_slice()
    } else {
        ["test"].as_slice()
    });
    command.args(["--package", packages::CORE, "--lib", "--locked", "loom"]);
    // The models are small: the compiler's time counts, not theirs.
    command.args(["--config", "profile.dev.package.'*'.opt-level=1"]);
    command
        .env("RUSTFLAGS", "--cfg loom")
        .env("LOOM_MAX_PREEMPTIONS", LOOM_PREEMPTIONS_MAX);
    command.env("CARGO_TARGET_DIR", shell::target().join("loom"));
    shell::run(&mut command)
}

/// Runs core's tests in Miri, those that are slow there left out by their own `cfg(miri)`.
pub fn miri() -> Result<()> {
    if !shell::works(shell::cargo_of("nightly").args(["miri", "--version"])) {
        bail!("Miri is not installed: rustup toolchain install nightly --component miri rust-src");
    }
    let mut command = shell::cargo_of("nightly");
    command.args([
        "miri",
        "test",
        "--package",
        packages::CORE,
        "--lib",
        "--locked",
    ]);
    // Tests read the clock and environment, which isolation forbids; frames hold exposed addresses of statics.
    command.env(
        "MIRIFLAGS",
        "-Zmiri-disable-isolation -Zmiri-permissive-provenance",
    );
    command
        .env("CARGO_TARGET_DIR", shell::target().join("miri"))
        .env("PROPTEST_CASES", "4");
    shell::run(&mut command)
}

/// Records a million events a second into slow receivers and a file, for `seconds` all together, and 10,000 a second while a
/// destination stalls for `seconds`, and holds what arrived against what was recorded.
pub fn soak(seconds: u64) -> Result<()> {
    let seconds = seconds.to_string();
    let mut command = shell::cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        packages::LIBRARY,
        "--features",
        "backends",
        "--test",
        "outage",
        "--",
        "--nocapture",
    ]);
    shell::run(command.env("OUTAGE_SECONDS", &seconds))?;
    let mut command = shell::cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        packages::LIBRARY,
        "--test",
        "soak",
        "--",
        "--nocapture",
    ]);
    shell::run(command.env("SOAK_SECONDS", seconds))
}

/// Kills a process that appends to a store at so many random moments, and holds what it acknowledged against what is kept.
pub fn kill(points: u64) -> Result<()> {
    let mut command = shell::cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        packages::STORE,
        "--test",
        "store",
        "--",
        "kill::nothing_acknowledged_is_lost_and_nothing_is_there_twice",
        "--exact",
        "--nocapture",
    ]);
    shell::run(command.env("RADIOSONDE_KILL_POINTS", points.to_string()))?;
    println!("kill: {points} moments, nothing acknowledged lost, nothing there twice");
    Ok(())
}

/// Checks the library with no feature, with every few of its features, and with all of them.
pub fn powerset(depth: usize) -> Result<()> {
    let features = packages::features(packages::LIBRARY)?;
    let mut sets = subsets(&features, depth);
    if !sets.contains(&features) {
        sets.push(features);
    }
    let count = sets.len();
    for (index, set) in sets.iter().enumerate() {
        println!("[{} of {count}] {{{}}}", index + 1, set.join(" "));
        let mut command = shell::cargo();
        command.args([
            "clippy",
            "--quiet",
            "--locked",
            "--package",
            packages::LIBRARY,
            "--no-default-features",
        ]);
        shell::run(command.args(["--features", &set.join(","), "--", "-D", "warnings"]))?;
    }
    println!("powerset: {count} sets of features, none with a warning");
    Ok(())
}

/// Every subset of at most `depth` items, smaller ones first within each item's turn.
fn subsets(items: &[String], depth: usize) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    for item in items {
        let larger: Vec<Vec<String>> = sets
            .iter()
            .filter(|set| set.len() < depth)
            .map(|set| [set.as_slice(), std::slice::from_ref(item)].concat())
            .collect();
        sets.extend(larger);
    }
    sets
}

/// Runs one fuzz target, or all, each for so many seconds.
pub fn fuzz(target: Option<&str>, seconds: u64) -> Result<()> {
    if !shell::works(shell::cargo_of("nightly").args(["fuzz", "--version"])) {
        bail!(
            "cargo-fuzz is not installed: rustup toolchain install nightly && cargo install cargo-fuzz --locked"
        );
    }
    let targets = match target {
        Some(target) => vec![target.to_owned()],
        None => fuzz_targets()?,
    };
    for target in &targets {
        let mut command = shell::cargo_of("nightly");
        command.args(["fuzz", "run", target]);
        // libFuzzer keeps what it finds in the first folder and starts from both.
        let seeds = format!("fuzz/seeds/{target}");
        if shell::root().join(&seeds).is_dir() {
            let corpus = format!("fuzz/corpus/{target}");
            fs::create_dir_all(shell::root().join(&corpus))?;
            command.args([corpus, seeds]);
        }
        command.args(["--", &format!("-max_total_time={seconds}")]);
        shell::run(&mut command)?;
    }
    println!(
        "fuzz: {} targets, {seconds} s each, no finding",
        targets.len()
    );
    Ok(())
}

fn fuzz_targets() -> Result<Vec<String>> {
    let path = shell::root().join("fuzz/Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    targets_in(&text)
}

fn targets_in(manifest: &str) -> Result<Vec<String>> {
    let manifest: Table = manifest.parse().context("fuzz/Cargo.toml is not TOML")?;
    let programs = manifest
        .get("bin")
        .and_then(Value::as_array)
        .context("fuzz/Cargo.toml has no `[[bin]]`")?;
    Ok(programs
        .iter()
        .filter_map(|program| program.get("name")?.as_str())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_up_to_a_size() {
        let items = ["a", "b", "c"].map(str::to_owned);
        let sets = |depth| {
            subsets(&items, depth)
                .iter()
                .map(|set| set.concat())
                .collect::<Vec<_>>()
        };
        assert_eq!(sets(0), [""]);
        assert_eq!(sets(1), ["", "a", "b", "c"]);
        assert_eq!(sets(2), ["", "a", "b", "ab", "c", "ac", "bc"]);
        assert_eq!(sets(9).len(), 8);
    }

    #[test]
    fn fuzz_targets_are_the_programs_of_their_manifest() {
        let manifest =
            "[package]\nname = 'fuzz'\n[[bin]]\nname = 'baggage'\n[[bin]]\nname = 'traceparent'\n";
        assert_eq!(targets_in(manifest).unwrap(), ["baggage", "traceparent"]);
        assert!(targets_in("[package]\nname = 'fuzz'\n").is_err());
    }
}
