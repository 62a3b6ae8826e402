//! Each program in `fail/` is refused with the message beside it; each in `pass/` compiles and runs.
//! `TRYBUILD=overwrite cargo test -p radiosonde-ui` writes the messages anew.

#[test]
fn programs_are_refused_or_run() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/fail/*.rs");
    cases.pass("tests/pass/*.rs");
}
