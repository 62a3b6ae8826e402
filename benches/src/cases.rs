//! Every bench of the project.

mod demo;
mod elsewhere;
mod encoded;
mod memory;
mod metrics;
mod off;
mod records;
mod spans;

use crate::{Bench, Case};

/// In the order of the table.
pub const BENCHES: &[Bench] = &[
    spans::BENCH,
    encoded::BENCH,
    elsewhere::BENCH,
    records::BENCH,
    metrics::BENCH,
    off::BENCH,
    memory::BENCH,
    demo::BENCH,
];

/// The case of that name.
pub fn find(name: &str) -> Option<&'static Case> {
    BENCHES
        .iter()
        .flat_map(|bench| bench.cases)
        .find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_names_cases_that_exist() {
        for row in BENCHES.iter().flat_map(|bench| bench.rows) {
            for case in row.cases() {
                assert!(find(case).is_some(), "`{}` names `{case}`", row.what());
            }
        }
    }

    #[test]
    fn cases_have_one_name_each() {
        let names: Vec<&str> = BENCHES
            .iter()
            .flat_map(|bench| bench.cases)
            .map(|case| case.name)
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
