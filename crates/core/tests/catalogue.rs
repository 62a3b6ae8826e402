//! `docs/events.md` is what the event types say.

use std::{fs, path::Path};

#[test]
fn the_committed_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == radiosonde_core::catalogue::markdown(),
        "{} is stale: run `cargo run -p radiosonde-core --example catalogue > docs/events.md`",
        path.display()
    );
}
