//! Writes the files of `examples/grafana/` into the folder that is named: `cargo run -p radiosonde --example dashboards --
//! examples/grafana`.

use std::{env, fs, io, path::PathBuf};

use radiosonde::{core::events::BUILT_IN, dashboards};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("name the folder"))?;
    for dashboard in dashboards::grafana(BUILT_IN) {
        fs::write(folder.join(dashboard.file), dashboard.json)?;
    }
    Ok(())
}
