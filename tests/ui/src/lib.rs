//! Compile-fail tests of the macros.
