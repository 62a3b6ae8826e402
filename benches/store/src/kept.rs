//! What cases leave for later ones.

use std::{fs, path::PathBuf};

use radiosonde_bench_harness::or_exit;

/// Says where; the driver empties it once, before the first case.
const KEPT: &str = "RADIOSONDE_BENCH_KEPT";

/// The folder called `name` among what is kept, and whether an earlier case made it.
pub fn folder(name: &str) -> (PathBuf, bool) {
    let kept = std::env::var_os(KEPT).ok_or("the driver did not say where");
    let folder = PathBuf::from(or_exit(kept, "keep what cases leave")).join(name);
    let is_there = folder.exists();
    or_exit(
        fs::create_dir_all(&folder),
        "make a folder for what is kept",
    );
    (folder, is_there)
}
