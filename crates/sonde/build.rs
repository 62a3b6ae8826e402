//! Links gcc's unwinder statically, so that the program needs nothing of a system but its C library.
//!
//! Rust's standard library asks for `-lgcc_s`, whatever `-static-libgcc` says. The linker finds that name in a folder of
//! ours first, where it is a script that says: the same unwinder, from gcc's archive.

use std::{env, fs, io, path::PathBuf};

const SCRIPT: &str = "INPUT(-lgcc_eh -lgcc)\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable, value| env::var(variable).is_ok_and(|found| found == value);
    // Elsewhere the unwinder is a part of the system, or in the program already.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        fs::write(folder.join("libgcc_s.so"), SCRIPT)?;
        println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    }
    Ok(())
}
