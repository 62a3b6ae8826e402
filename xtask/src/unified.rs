//! Whether a build of one package and a build of all of them want the same of the crates that DataFusion stands on.
//!
//! Cargo builds a crate once for each set of features that is asked of it, and with it everything above. DataFusion takes a
//! quarter of an hour on two processors, so `radiosonde-store` asks for whatever others ask for: this says what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::{packages, shell};

/// What takes so long.
const LARGE: &str = "datafusion";

/// Packages that are built by themselves, by people and by `cargo demo`.
const BY_THEMSELVES: [&str; 3] = ["sonde", "radiosonde-server", "radiosonde-store"];

/// The features of each package, by its name and version.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Fails when a package that is built by itself would have DataFusion built anew.
pub fn check() -> Result<()> {
    let below: BTreeSet<String> = features(&["--package", LARGE], "normal,build")?
        .into_keys()
        .collect();
    let mut selection = shell::cargo();
    packages::select_all(&mut selection)?;
    let selection: Vec<String> = selection
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let selection: Vec<&str> = selection.iter().map(String::as_str).collect();
    let all = features(&selection, "normal,build,dev")?;
    let mut lacking = Vec::new();
    for package in BY_THEMSELVES {
        let alone = features(&["--package", package], "normal,build")?;
        lacking
            .extend(differences(&below, &all, &alone).map(|words| format!("{package}: {words}")));
    }
    if !lacking.is_empty() {
        bail!(
            "DataFusion would be built again for some packages; name these features in crates/store/Cargo.toml:\n{}",
            lacking.join("\n")
        );
    }
    println!(
        "{LARGE} is built once: {} crates below it have the same features everywhere",
        below.len()
    );
    Ok(())
}

/// What the packages `below` lack in one build of what they have in another.
fn differences(
    below: &BTreeSet<String>,
    all: &Features,
    alone: &Features,
) -> impl Iterator<Item = String> {
    below.iter().filter_map(move |package| {
        let (all, alone) = (all.get(package)?, alone.get(package)?);
        let lacking: Vec<&str> = all.difference(alone).map(String::as_str).collect();
        (!lacking.is_empty()).then(|| format!("{package} lacks {}", lacking.join(", ")))
    })
}

fn features(selection: &[&str], edges: &str) -> Result<Features> {
    let mut command = shell::cargo();
    command.args(["tree", "--prefix=none", "--format={p} [{f}]"]);
    command.arg(format!("--edges={edges}"));
    Ok(parse(&shell::output(command.args(selection))?))
}

/// The packages of a tree whose lines are `name v1.2.3 (where from) [feature,feature] (*)`.
fn parse(tree: &str) -> Features {
    let mut features = Features::new();
    for line in tree.lines() {
        let Some((package, rest)) = line.rsplit_once(" [") else {
            continue;
        };
        let named = rest.split(']').next().unwrap_or_default().split(',');
        let named = named.filter(|name| !name.is_empty()).map(str::to_owned);
        features
            .entry(package.to_owned())
            .or_default()
            .extend(named);
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let all = parse(
            "serde v1.0.0 [alloc,std]\nlog v0.4.0 []\nserde v1.0.0 [alloc,std] (*)\nold v1.0.0 [a]\n",
        );
        let alone = parse("serde v1.0.0 [std] (*)\nlog v0.4.0 []\n");
        let below = all.keys().cloned().collect();
        let found: Vec<_> = differences(&below, &all, &alone).collect();
        assert_eq!(found, ["serde v1.0.0 lacks alloc"]);
    }
}
