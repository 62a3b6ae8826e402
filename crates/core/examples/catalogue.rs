//! Writes `docs/events.md` to standard output: `cargo run -p radiosonde-core --example catalogue > docs/events.md`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(radiosonde_core::catalogue::markdown().as_bytes())
}
