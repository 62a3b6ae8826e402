//! What the programs of `cargo xtask bench` share: rows, cases, and how they tell the driver.
//!
//! `rows` prints what is promised, one JSON object a line; `run CASE` measures one case in this process and prints its
//! samples. `xtask/src/bench.rs` describes both. A bench is a file under a program's `cases/` with its rows and its
//! cases, ours and the peers'.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "standard output is how the driver is told"
)]

pub mod machine;
pub mod row;

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
    process::ExitCode,
};

use crate::row::Row;

/// One thing to measure, alone in its process because most libraries can be set up only once.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is measured and by whom, for instance `counter.radiosonde`.
    pub name: &'static str,
    /// Measures, and tells what by [`print()`].
    pub run: fn(),
}

/// Rows that belong together, and the cases that they name.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// In the order of the table.
    pub rows: &'static [Row],
    /// Each with a name that no other case of the program has.
    pub cases: &'static [Case],
}

/// The whole of a program of benches: does what the driver asks for in the arguments.
pub fn main(benches: &[Bench]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["rows"] => {
            for row in benches.iter().flat_map(|bench| bench.rows) {
                println!("{}", row.json());
            }
            ExitCode::SUCCESS
        }
        ["run", name] => match find(benches, name) {
            Some(case) => {
                (case.run)();
                ExitCode::SUCCESS
            }
            None => usage(benches, &format!("there is no case `{name}`")),
        },
        _ => usage(benches, "say `rows` or `run CASE`"),
    }
}

fn find(benches: &[Bench], name: &str) -> Option<Case> {
    let mut cases = benches.iter().flat_map(|bench| bench.cases);
    cases.find(|case| case.name == name).copied()
}

fn usage(benches: &[Bench], fault: &str) -> ExitCode {
    eprintln!("{fault}; cases:");
    for case in benches.iter().flat_map(|bench| bench.cases) {
        eprintln!("  {}", case.name);
    }
    ExitCode::FAILURE
}

/// What is wrong with a program's benches: rows that name a case which is not there, and cases that share a name.
pub fn faults(benches: &[Bench]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in benches.iter().flat_map(|bench| bench.rows) {
        for case in row.cases() {
            if find(benches, case).is_none() {
                faults.push(format!("`{}` names `{case}`, which is not there", row.what));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for case in benches.iter().flat_map(|bench| bench.cases) {
        if !seen.insert(case.name) {
            faults.push(format!("two cases are called `{}`", case.name));
        }
    }
    faults
}

/// Tells the driver the samples of one measure.
pub fn print(measure: &str, samples: &[f64]) {
    let mut line = format!("samples\t{measure}\t");
    for (index, sample) in samples.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(line, "{comma}{sample:.4}"); // writing to a String cannot fail
    }
    println!("{line}");
}

/// Says something to whoever watches; the driver passes it on.
pub fn note(text: impl Display) {
    println!("{text}");
}

/// The value, or the end of the process: the driver reports the case as failed.
pub fn or_exit<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("cannot {what}: {error}");
        std::process::exit(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[Row] = &[
        Row::beside("a", "a.ours:x", "a.peer:x", "them", None),
        Row::at_most("b", "b.ours:x", 1.0, "ms"),
    ];

    #[test]
    fn cases_that_are_missing_or_there_twice_are_faults() {
        const A: Case = Case {
            name: "a.ours",
            run: || {},
        };
        const B: Case = Case {
            name: "b.ours",
            run: || {},
        };
        let benches = |cases| {
            faults(&[Bench { rows: ROWS, cases }])
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(benches(&[A, B]), ["`a` names `a.peer`, which is not there"]);
        assert_eq!(
            benches(&[A, A, B]),
            [
                "`a` names `a.peer`, which is not there",
                "two cases are called `a.ours`"
            ]
        );
    }
}
