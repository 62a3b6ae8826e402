//! `cargo xtask bench`: every bench of the project beside its peers, as one table.
//!
//! The programs of `benches/` know the cases and the rows; this driver decides what runs when, and computes. Both
//! speak lines on standard output:
//!
//! - `PROGRAM rows` prints one JSON object a line, a [`Row`]: what is measured, by which case's measure on
//!   our side and on the peer's, and what must hold.
//! - `PROGRAM run CASE` measures one case in a process of its own and prints, for each thing that it
//!   measured, `samples`, the measure's name and its samples with commas between, separated by tabs:
//!   `samples<TAB>caller<TAB>41.2,40.9,43.0`. Other lines are notes and are passed on.
//!
//! A row names a measure as `CASE:MEASURE`. Several rows may share a case: it runs once a round. Rounds are interleaved,
//! ours and the peers' by turns, and the samples of all rounds are pooled, so that a machine that is busy for a while
//! is busy for both.

mod case;
mod row;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use self::{
    case::{Programs, Samples, Suite},
    row::Row,
    table::{Line, Measured},
};
use crate::{dependencies, packages, shell};

/// Builds and runs the benches, prints the table, and writes it as JSON where asked.
///
/// Wall time is no gate: a row that does not hold is shown, and is not a failure. A case that fails is one.
pub fn bench(only: Option<&str>, json: Option<&Path>, rounds: u32) -> Result<()> {
    let (programs, rows) = prepare(only)?;
    let (samples, failures) = measure(&programs, &rows, rounds);
    let mut lines: Vec<Line> = rows.iter().map(|row| Line::new(row, &samples)).collect();
    lines.extend(dependency_lines(only)?);
    ensure!(
        !lines.is_empty(),
        "no bench starts with `{}`",
        only.unwrap_or_default()
    );
    print!("\n{}\n{}", table::machine(), table::markdown(&lines));
    if let Some(path) = json {
        fs::write(path, table::json(&lines)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten: {}", path.display());
    }
    if !failures.is_empty() {
        bail!("{} cases failed:\n{}", failures.len(), failures.join("\n"));
    }
    Ok(())
}

/// Builds what the rows that are asked for need, and returns them.
fn prepare(only: Option<&str>) -> Result<(Programs, Vec<Row>)> {
    let mut programs = Programs {
        kept: shell::scratch("bench-kept")?,
        ..Programs::default()
    };
    let mut rows = Vec::new();
    for suite in Suite::asked_for(only) {
        let program = suite.build()?;
        let all = row::parse(&shell::output(shell::tool(&program).arg("rows"))?)?;
        rows.extend(all.into_iter().filter(|row| row.is_named(only)));
        programs.suites.insert(suite, program);
    }
    let is_needed = |prefix: &str| cases(&rows).iter().any(|case| case.starts_with(prefix));
    if is_needed("demo.") {
        programs.demo = Some(packages::build_demo()?);
    }
    if is_needed("serve.") {
        let build = &mut shell::cargo();
        build.args([
            "build",
            "--release",
            "--locked",
            "--package",
            packages::PROGRAM,
        ]);
        programs.sonde = Some(one_program(build, packages::PROGRAM)?);
    }
    Ok((programs, rows))
}

/// The only program that a build makes of `package`.
fn one_program(build: &mut Command, package: &str) -> Result<PathBuf> {
    let mut programs = packages::build_programs(build, package)?;
    match programs.len() {
        1 => Ok(programs.remove(0).path),
        count => bail!("{package} has {count} programs, and must have one"),
    }
}

/// Runs every case of the rows in each round, and returns the pooled samples by `CASE:MEASURE`, and what failed.
fn measure(
    programs: &Programs,
    rows: &[Row],
    rounds: u32,
) -> (BTreeMap<String, Samples>, Vec<String>) {
    let mut pooled: BTreeMap<String, Samples> = BTreeMap::new();
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let cases = cases(rows);
    for round in 1..=rounds {
        for (index, case) in cases
            .iter()
            .enumerate()
            .filter(|(_, case)| !failures.contains_key(**case))
            .collect::<Vec<_>>()
        {
            println!(
                "[round {round} of {rounds}, case {} of {}] {case}",
                index + 1,
                cases.len()
            );
            match case::run(programs, case) {
                Ok(measures) => {
                    for (measure, samples) in measures {
                        pooled
                            .entry(format!("{case}:{measure}"))
                            .or_default()
                            .extend(samples);
                    }
                }
                Err(error) => drop(failures.insert((*case).to_owned(), format!("{error:#}"))),
            }
        }
    }
    for (name, error) in &failures {
        println!("case {name} failed: {error}");
    }
    (
        pooled,
        failures
            .into_iter()
            .map(|(case, error)| format!("{case}: {error}"))
            .collect(),
    )
}

/// The cases that the rows need, each once, in the order in which rows name them.
fn cases(rows: &[Row]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    rows.iter()
        .flat_map(|row| std::iter::once(row.ours.as_str()).chain(row.peer.as_deref()))
        .filter_map(|measure| measure.split_once(':').map(|(case, _)| case))
        .filter(|case| seen.insert(*case))
        .collect()
}

/// The rows that cargo answers.
fn dependency_lines(only: Option<&str>) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    if !Suite::asked_for(only).contains(&Suite::Recording) {
        return Ok(lines);
    }
    for bound in dependencies::BOUNDS
        .iter()
        .filter(|bound| only.is_none_or(|prefix| bound.what.starts_with(prefix)))
    {
        let count = bound.packages()?.len() as f64;
        lines.push(Line::counted(
            bound.what,
            "packages",
            Measured::exact(count),
            bound.packages_max as f64,
        ));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that speaks the protocol: two cases that measure, and one that fails.
    const PROGRAM: &str = "#!/bin/sh
case \"$1 $2\" in
'run ours') printf 'samples\\tcaller\\t4,2,3\\nsamples\\tcpu\\t9\\n' ;;
'run peer') printf 'a note\\nsamples\\tcaller\\t10,8\\n' ;;
*) exit 3 ;;
esac
";

    fn programs(folder: &Path) -> Programs {
        let benches = folder.join("benches");
        fs::write(&benches, PROGRAM).unwrap();
        fs::set_permissions(&benches, fs::Permissions::from_mode(0o755)).unwrap();
        Programs {
            suites: BTreeMap::from([(Suite::Recording, benches)]),
            ..Programs::default()
        }
    }

    #[test]
    fn rounds_are_pooled_and_failures_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let rows = row::parse(
            r#"{"what":"span","unit":"ns","ours":"ours:caller","peer":"peer:caller","peer_name":"them","limit":0.5}
               {"what":"span, CPU","unit":"ns","ours":"ours:cpu","peer":"broken:cpu","peer_name":"them","limit":0.5}"#,
        )
        .unwrap();
        assert_eq!(cases(&rows), ["ours", "peer", "broken"]);
        let (samples, failures) = measure(&programs(folder.path()), &rows, 2);
        assert_eq!(samples["ours:caller"], [4.0, 2.0, 3.0, 4.0, 2.0, 3.0]);
        assert_eq!(samples["peer:caller"], [10.0, 8.0, 10.0, 8.0]);
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("broken: "), "{failures:?}");
        let lines: Vec<Line> = rows.iter().map(|row| Line::new(row, &samples)).collect();
        insta::assert_snapshot!(table::markdown(&lines), @"
        | what | ours, min / median | peer | peer's, min / median | ratio | at most | holds |
        |---|---:|---|---:|---:|---:|---|
        | span | 2.00 / 3.00 ns | them | 8.00 / 9.00 ns | 0.333 | 0.500 | yes |
        | span, CPU | 9.00 / 9.00 ns | them | failed | - | 0.500 | **no** |

        rows: 2, not holding: 1
        ");
        let json: serde_json::Value = serde_json::from_str(&table::json(&lines).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                {
                    "what": "span", "ours": 3.0, "peer": 9.0, "peer_name": "them", "unit": "ns",
                    "ratio": 3.0 / 9.0, "limit": 0.5, "holds": true
                },
                {
                    "what": "span, CPU", "ours": 9.0, "peer": null, "peer_name": "them", "unit": "ns",
                    "ratio": null, "limit": 0.5, "holds": false
                },
            ])
        );
    }

    #[test]
    fn dependencies_are_rows_too() {
        let lines = dependency_lines(Some("direct")).unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].holds());
    }
}
