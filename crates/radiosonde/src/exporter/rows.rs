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

    /// Makes the file in `folder`. Rows of a program that started in the same second are appended to.
    pub fn create(folder: &Path, start_unix_ns: u64, kind: &str) -> Result<Self, ExportError> {
        let path = folder.join(Self::name(start_unix_ns, kind));
        match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                line: Vec::new(),
            }),
            Err(source) => Err(ExportError::Write {
                path,
                source,
                mend: "start the program in a folder that you may write, or turn row files off",
                records: 0,
            }),
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

    #[test]
    fn each_line_is_the_array_of_rows_at_one_moment() {
        #[derive(Serialize)]
        struct Row {
            name: &'static str,
            mean_ms: f64,
        }
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            RowFile::create(folder.path(), 1_767_225_599_000_000_000, "latency").unwrap();
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
        let error = RowFile::create(Path::new("/nonexistent/folder"), 0, "memory").unwrap_err();
        assert!(error.to_string().contains("-memory.jsonl"), "{error}");
        assert!(
            error.to_string().contains("folder that you may write"),
            "{error}"
        );
    }
}
