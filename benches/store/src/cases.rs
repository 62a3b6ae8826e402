//! Every bench of the store and the server.

mod ingest;
mod query;
mod serve;

use radiosonde_bench_harness::Bench;

/// In the order of the table. Ingest is first: queries ask what it leaves.
pub const BENCHES: &[Bench] = &[ingest::BENCH, query::BENCH, serve::BENCH];

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_names_cases_that_exist_and_cases_have_one_name_each() {
        let faults = radiosonde_bench_harness::faults(super::BENCHES);
        assert!(faults.is_empty(), "{faults:?}");
    }
}
