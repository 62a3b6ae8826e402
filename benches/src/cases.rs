//! Every bench of recording.

mod alerts;
mod demo;
mod elsewhere;
mod encoded;
mod memory;
mod metrics;
mod off;
mod records;
mod spans;

use radiosonde_bench_harness::Bench;

/// In the order of the table.
pub const BENCHES: &[Bench] = &[
    spans::BENCH,
    encoded::BENCH,
    elsewhere::BENCH,
    records::BENCH,
    metrics::BENCH,
    off::BENCH,
    memory::BENCH,
    alerts::BENCH,
    demo::BENCH,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_names_cases_that_exist_and_cases_have_one_name_each() {
        let faults = radiosonde_bench_harness::faults(super::BENCHES);
        assert!(faults.is_empty(), "{faults:?}");
    }
}
