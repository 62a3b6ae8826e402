//! Reading a recording record by record, so that a question about one request does not load all of them.

use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use radiosonde::{
    core::model::Record,
    recording::{Recording, Skipped},
};

/// Hands every record of the recording at `path` to `visit`, in its order, and says what had to be skipped.
pub fn for_each(path: &Path, mut visit: impl FnMut(Record)) -> anyhow::Result<Skipped> {
    let cannot_read = || format!("cannot read {}", path.display());
    match Recording::open(path)? {
        Recording::JsonLines(mut lines) => {
            for record in lines.by_ref() {
                visit(record.with_context(cannot_read)?);
            }
            Ok(lines.into_skipped())
        }
        Recording::Sqlite(mut database) => {
            let mut skipped = Skipped::default();
            database
                .for_each(&mut skipped, visit)
                .with_context(cannot_read)?;
            Ok(skipped)
        }
        _ => anyhow::bail!(
            "{} is a recording of a kind that this build cannot read; use a newer version",
            path.display()
        ),
    }
}

/// The first line that could not be read, and how many there are; nothing where all could.
pub fn skipped_words(skipped: &Skipped) -> Option<String> {
    let first = skipped.first.first()?;
    let more = match skipped.lines - 1 {
        0 => String::new(),
        more => format!(", and {more} more such lines"),
    };
    Some(format!("line {}: {}{more}", first.line, first.reason))
}

/// Says on standard error what had to be skipped.
pub fn warn(path: &Path, skipped: &Skipped) {
    if let Some(words) = skipped_words(skipped) {
        // A warning that cannot be written changes nothing about the answer.
        let _ = writeln!(
            io::stderr(),
            "sonde: skipped {} {words}; the answer leaves them out",
            path.display()
        );
    }
}
