//! Writes `examples/prometheus/radiosonde.rules.yml` to standard output: `cargo run -p radiosonde-answers --example prometheus_rules`.

use std::io::{self, Write as _};

use radiosonde_answers::alerts::{defaults::Defaults, prometheus};

fn main() -> io::Result<()> {
    let text = prometheus::default_rules(&Defaults::default());
    io::stdout().write_all(text.as_bytes())
}
