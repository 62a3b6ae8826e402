//! One case, measured in a process of its own.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{packages, shell};

/// What was measured, once for each repetition, in the row's unit.
pub type Samples = Vec<f64>;

/// A program of benches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// What recording costs.
    Recording,
    /// The store and the server: cases, and rows, whose names begin with `store` or `serve`.
    Store,
}

impl Suite {
    /// Whose case, or row, has this name.
    fn of(name: &str) -> Self {
        if name.starts_with("store") || name.starts_with("serve") {
            Self::Store
        } else {
            Self::Recording
        }
    }

    /// Those in which a user who asked for `only` expects rows.
    pub fn asked_for(only: Option<&str>) -> Vec<Self> {
        only.map_or_else(
            || vec![Self::Recording, Self::Store],
            |name| vec![Self::of(name)],
        )
    }

    /// Builds it, and says where it is.
    pub fn build(self) -> Result<PathBuf> {
        // Optimised over all packages at once, DataFusion takes hours, and users do not have it so.
        let (package, profile) = match self {
            Self::Recording => (packages::BENCHES, "--profile=bench"),
            Self::Store => (packages::STORE_BENCHES, "--release"),
        };
        let build = &mut shell::cargo();
        build.args(["build", "--bins", "--locked", "--package", package, profile]);
        super::one_program(build, package)
    }
}

/// What cases run, as far as it is built: only what a case needs is.
#[derive(Debug, Default)]
pub struct Programs {
    pub suites: BTreeMap<Suite, PathBuf>,
    pub demo: Option<PathBuf>,
    pub sonde: Option<PathBuf>,
    /// What a case leaves for later ones.
    pub kept: PathBuf,
}

/// Runs a case and returns its measures.
pub fn run(programs: &Programs, case: &str) -> Result<Vec<(String, Samples)>> {
    let suite = programs.suites.get(&Suite::of(case));
    let mut command = shell::tool(suite.context("its program is not built")?);
    command.args(["run", case]);
    command.env("RADIOSONDE_BENCH_SCRATCH", shell::scratch("bench")?);
    command.env("RADIOSONDE_BENCH_KEPT", &programs.kept);
    for (name, program) in [
        ("RADIOSONDE_BENCH_DEMO", &programs.demo),
        ("RADIOSONDE_BENCH_SONDE", &programs.sonde),
    ] {
        if let Some(program) = program {
            command.env(name, program);
        }
    }
    parse(&shell::output(&mut command)?)
}

fn parse(text: &str) -> Result<Vec<(String, Samples)>> {
    let mut measures = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("samples\t") else {
            println!("    {line}");
            continue;
        };
        let (measure, samples) = rest
            .split_once('\t')
            .with_context(|| format!("no samples in: {line}"))?;
        let samples: Samples = samples
            .split(',')
            .map(|sample| {
                sample
                    .parse::<f64>()
                    .with_context(|| format!("`{sample}` is no number in: {line}"))
            })
            .collect::<Result<_>>()?;
        ensure!(
            samples.iter().all(|sample| sample.is_finite()),
            "a sample is not finite in: {line}"
        );
        measures.push((measure.to_owned(), samples));
    }
    ensure!(!measures.is_empty(), "it printed no samples");
    Ok(measures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_notes_are_not() {
        let measures = parse("warming up\nsamples\tcaller\t1,2.5\nsamples\tcpu\t7\n").unwrap();
        assert_eq!(
            measures,
            [
                ("caller".to_owned(), vec![1.0, 2.5]),
                ("cpu".to_owned(), vec![7.0])
            ]
        );
    }

    #[test]
    fn a_case_that_measured_nothing_is_refused() {
        for bad in [
            "",
            "note\n",
            "samples\tcaller\n",
            "samples\tcaller\t\n",
            "samples\tcaller\t1,x\n",
            "samples\tcaller\tNaN\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
