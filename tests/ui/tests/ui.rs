//! Each program in `fail/` is refused with the message beside it.
//! `TRYBUILD=overwrite cargo test -p radiosonde-ui` writes the messages anew.

#[test]
fn programs_are_refused() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/fail/*.rs");
}
