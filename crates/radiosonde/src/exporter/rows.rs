//! Row files: `<timestamp>-latency.jsonl` and `<timestamp>-memory.jsonl`. Each line is an array of the rows that were
//! on screen at one moment.
//!
//! Invariant: a line that could not be written whole is taken back, so that none is torn.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::ExportError;
use crate::encode::time;

/// Most starts in one folder and second of one process (or of several with the same number, in containers).
const STARTS_MAX: u32 = 1000;

/// One file of rows.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
}

impl RowFile {
    /// The file's name: the start of the program in UTC as `20260131T123456Z`, then `kind`.
    pub fn name(start_unix_ns: u64, kind: &str) -> String {
        let text = time::text(start_unix_ns);
        let compact: String = text[..19]
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        format!("{compact}Z-{kind}.jsonl")
    }

    /// Makes a file of each kind in `folder`. Where one of that name is there already, which is so where programs that
    /// start in the same second share a folder, both have the process before the kind
    /// (`20260131T123456Z-4711-latency.jsonl`), and a number after it where that is taken too.
    pub fn create(
        folder: &Path,
        start_unix_ns: u64,
        kinds: [&str; 2],
    ) -> Result<[Self; 2], ExportError> {
        let process = std::process::id();
        let mut starts = 1;
        loop {
            let before = match starts {
                1 => String::new(),
                2 => format!("{process}-"),
                _ => format!("{process}-{}-", starts - 1),
            };
            let names = kinds.map(|kind| Self::name(start_unix_ns, &format!("{before}{kind}")));
            match Self::create_both(folder, &names) {
                Ok(made) => return Ok(made),
                Err((_, error))
                    if error.kind() == io::ErrorKind::AlreadyExists && starts < STARTS_MAX =>
                {
                    starts += 1;
                }
                Err((path, source)) => {
                    return Err(ExportError::Write {
                        path,
                        source,
                        mend: "start the program in a folder that you may write, or turn row files off",
                        records: 0,
                    });
                }
            }
        }
    }

    /// Makes both files or none of them. Whoever made the first has a right to the second.
    fn create_both(
        folder: &Path,
        [first, second]: &[String; 2],
    ) -> Result<[Self; 2], (PathBuf, io::Error)> {
        let first = Self::create_new(folder.join(first))?;
        match Self::create_new(folder.join(second)) {
            Ok(second) => Ok([first, second]),
            Err(error) => {
                // It is empty; one that stays is only in the way.
                let _ = std::fs::remove_file(&first.path);
                Err(error)
            }
        }
    }

    fn create_new(path: PathBuf) -> Result<Self, (PathBuf, io::Error)> {
        match OpenOptions::new().create_new(true).append(true).open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                line: Vec::new(),
            }),
            Err(error) => Err((path, error)),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line: the array of `rows`, in one write.
    pub fn append<R: Serialize>(&mut self, rows: &[R]) -> Result<(), ExportError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, rows)
            .map_err(io::Error::from)
            .and_then(|()| {
                self.line.push(b'\n');
                self.write_line()
            });
        written.map_err(|source| ExportError::Write {
            path: self.path.clone(),
            mend: super::mend(&source),
            source,
            records: rows.len() as u64,
        })
    }

    /// Appends the line whole or not at all.
    fn write_line(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.write_all(&self.line).inspect_err(|_| {
            // Where that fails too there is nothing left to try.
            let _ = self.file.set_len(length);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(folder: &Path) -> Result<[RowFile; 2], ExportError> {
        RowFile::create(folder, 1_767_225_599_000_000_000, ["latency", "memory"])
    }

    #[test]
    fn starts_in_one_second_and_folder_share_no_file() {
        let folder = tempfile::tempdir().unwrap();
        // Somebody's from before: the first start cannot have both.
        std::fs::write(folder.path().join("20251231T235959Z-memory.jsonl"), "[]\n").unwrap();
        let process = std::process::id();
        for before in [format!("{process}"), format!("{process}-2")] {
            let files = create(folder.path()).unwrap();
            let names = files.map(|file| file.path().file_name().unwrap().to_owned());
            let expected =
                ["latency", "memory"].map(|kind| format!("20251231T235959Z-{before}-{kind}.jsonl"));
            assert_eq!(names, expected.map(std::ffi::OsString::from));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn each_line_is_the_array_of_rows_at_one_moment() {
        #[derive(Serialize)]
        struct Row {
            name: &'static str,
            mean_ms: f64,
        }
        let folder = tempfile::tempdir().unwrap();
        let [mut file, _] = create(folder.path()).unwrap();
        let rows = [
            Row {
                name: "forward",
                mean_ms: 1.5,
            },
            Row {
                name: "sampling",
                mean_ms: 0.25,
            },
        ];
        file.append(&rows).unwrap();
        file.append(&rows[..0]).unwrap();
        assert_eq!(
            file.path().file_name().unwrap(),
            "20251231T235959Z-latency.jsonl"
        );
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(
            text,
            "[{\"name\":\"forward\",\"mean_ms\":1.5},{\"name\":\"sampling\",\"mean_ms\":0.25}]\n[]\n"
        );
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error_with_a_mend() {
        let error = create(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(error.to_string().contains("-latency.jsonl"), "{error}");
        assert!(
            error.to_string().contains("folder that you may write"),
            "{error}"
        );
    }
}
