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

/// What had to be skipped.
pub struct Unread {
    skipped: Skipped,
    /// What a record is called in a recording of this kind.
    unit: &'static str,
}

/// Hands every record of the recording at `path` to `visit`, in its order, and says what had to be skipped.
pub fn for_each(path: &Path, mut visit: impl FnMut(Record)) -> anyhow::Result<Unread> {
    let cannot_read = || format!("cannot read {}", path.display());
    match Recording::open(path)? {
        Recording::JsonLines(mut lines) => {
            for record in lines.by_ref() {
                visit(record.with_context(cannot_read)?);
            }
            Ok(Unread {
                skipped: lines.into_skipped(),
                unit: "line",
            })
        }
        Recording::Sqlite(mut database) => {
            let mut skipped = Skipped::default();
            database
                .for_each(&mut skipped, visit)
                .with_context(cannot_read)?;
            Ok(Unread {
                skipped,
                unit: "row",
            })
        }
        _ => anyhow::bail!(
            "{} is a recording of a kind that this build cannot read; use a newer version",
            path.display()
        ),
    }
}

impl Unread {
    /// The first line or row that could not be read, and how many there are; nothing where all could.
    pub fn words(&self) -> Option<String> {
        let Self { skipped, unit } = self;
        let first = skipped.first.first()?;
        let more = match skipped.lines - 1 {
            0 => String::new(),
            1 => format!(", and 1 more such {unit}"),
            more => format!(", and {more} more such {unit}s"),
        };
        Some(format!("{unit} {}: {}{more}", first.line, first.reason))
    }

    /// Says on standard error what had to be skipped.
    pub fn warn(&self, path: &Path) {
        if let Some(words) = self.words() {
            // A warning that cannot be written changes nothing about the answer.
            let _ = writeln!(
                io::stderr(),
                "sonde: skipped {} {words}; the answer leaves them out",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use radiosonde::recording::BadLine;

    use super::*;

    #[test]
    fn what_was_skipped_is_called_what_it_is() {
        let unread = |lines, unit| {
            let first = vec![BadLine {
                line: 7,
                reason: "not an object".to_owned(),
            }];
            let skipped = Skipped { lines, first };
            Unread { skipped, unit }.words()
        };
        let words = [unread(1, "line"), unread(2, "row"), unread(9, "row")];
        assert_eq!(
            words.map(Option::unwrap_or_default),
            [
                "line 7: not an object",
                "row 7: not an object, and 1 more such row",
                "row 7: not an object, and 8 more such rows"
            ]
        );
    }
}
