//! One case, measured in a process of its own.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::shell;

/// What was measured, once for each repetition, in the row's unit.
pub type Samples = Vec<f64>;

/// What cases run.
pub struct Programs {
    pub benches: PathBuf,
    /// Built only where a case runs it.
    pub demo: Option<PathBuf>,
}

/// Runs a case and returns its measures.
pub fn run(programs: &Programs, case: &str) -> Result<Vec<(String, Samples)>> {
    let mut command = shell::tool(&programs.benches);
    command.args(["run", case]);
    command.env("RADIOSONDE_BENCH_SCRATCH", shell::scratch("bench")?);
    if let Some(demo) = &programs.demo {
        command.env("RADIOSONDE_BENCH_DEMO", demo);
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
