//! What the program needs of a system. On glibc's it is that library alone, of which `libm` and the loader are parts.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::process::Command;

#[test]
fn the_program_needs_the_c_library_alone() {
    // glibc's own loader, so that this needs no tool: `ldd` is a script around it.
    let output = Command::new(env!("CARGO_BIN_EXE_sonde"))
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .expect("the program was built for this test");
    let said = String::from_utf8(output.stdout).expect("a list of libraries");
    let libraries: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.rsplit('/').next())
        .collect();
    assert!(libraries.contains(&"libc.so.6"), "{said}");
    let strange: Vec<_> = libraries
        .into_iter()
        .filter(|name| {
            let stem = name.split('.').next().unwrap_or(name);
            !["libc", "libm", "linux-vdso"].contains(&stem) && !stem.starts_with("ld-linux")
        })
        .collect();
    assert!(strange.is_empty(), "{strange:?}: {said}");
}
