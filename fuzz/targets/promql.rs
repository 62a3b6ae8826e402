//! Queries in PromQL: the body says what holds for any text.

#![no_main]

#[path = "../../crates/server/src"]
mod server {
    #[expect(
        dead_code,
        unused_imports,
        reason = "what only the API needs is not called here"
    )]
    pub(crate) mod promql;
}

use server::promql;

#[path = "../bodies/promql.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
