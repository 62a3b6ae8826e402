//! The file that `sonde record` writes and `sonde top --replay` reads: JSON lines, of which the first says what the file is and
//! every other one is a poll of the collector, with those answers that are not as they were in the poll before.
//!
//! Invariants: of a file that is read an index is in memory, and of its answers those alone that are shown; what is damaged is
//! refused with its line, and nothing that a file holds makes a panic.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::state::TABS;

/// The version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;
/// Longest line that is read: all answers of a poll at their largest.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Most polls of a file: eleven days of one a second.
pub const POLLS_MAX: usize = 1_000_000;
/// Most traces of which the accounts are found again.
pub const ACCOUNTS_MAX: usize = 10_000;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub sonde_session: u64,
    /// The version of the program that wrote it.
    pub sonde: String,
    /// When the first poll began.
    pub started_unix_ms: u64,
    /// How often was asked.
    pub every_ms: u64,
    /// How much of the past was looked at, each time.
    pub window: String,
}

impl Header {
    pub fn new(started_unix_ms: u64, every_ms: u64, window: &str) -> Self {
        Self {
            sonde_session: VERSION,
            sonde: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms,
            every_ms,
            window: window.to_owned(),
        }
    }
}

/// Any other line: what came when.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// Milliseconds since the first poll began.
    pub at_ms: u64,
    /// Answers that are not as in the poll before, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Value>,
    /// Accounts of traces, each once in a file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, String>,
    /// Answers that were too large to be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A poll without its answers, which are only looked whether they are JSON.
#[expect(
    clippy::zero_sized_map_values,
    reason = "a set is read from a list, and this is an object"
)]
#[derive(Deserialize)]
struct Outline {
    at_ms: u64,
    #[serde(default)]
    answers: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    accounts: BTreeMap<String, String>,
    #[serde(default, rename = "left_out")]
    _left_out: Vec<String>,
    #[serde(default, rename = "failed")]
    _failed: Option<String>,
}

/// A file that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    /// Makes the file, which must not be there.
    pub fn create(path: &Path, header: &Header) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!(
                    "{} is there already; name another file, or remove it",
                    path.display()
                )
            }
            _ => anyhow::Error::new(error).context(format!(
                "cannot make {}; name a file in a folder that you may write",
                path.display()
            )),
        })?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            bytes: 0,
        };
        writer.line(serde_json::to_string(header)?)?;
        Ok(writer)
    }

    /// How long the file is.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a poll, unless the file would be longer than `bytes_max` with it; says how long it is.
    pub fn poll(&mut self, poll: &Poll, bytes_max: u64) -> anyhow::Result<Option<u64>> {
        let text = serde_json::to_string(poll)?;
        let length = text.len() as u64 + 1;
        if self.bytes.saturating_add(length) > bytes_max {
            return Ok(None);
        }
        self.line(text)?;
        Ok(Some(length))
    }

    /// In one write, so that a program that is killed leaves at most the last line in parts.
    fn line(&mut self, mut text: String) -> anyhow::Result<()> {
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| {
            format!(
                "cannot write {}; what is in it can be replayed",
                self.path.display()
            )
        })?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

/// Where a poll is in the file.
#[derive(Debug)]
struct Place {
    at_ms: u64,
    offset: u64,
    bytes: usize,
    /// In which poll the answer of each tab is; `None` where none has come yet.
    answers: [Option<u32>; TABS.len()],
}

/// A file that is read.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    /// At least one.
    places: Vec<Place>,
    /// In which poll the account of a trace is.
    accounts: HashMap<String, u32>,
    /// Bytes at the end that are no whole line.
    cut_bytes: usize,
}

impl Session {
    /// Reads all of it once, to know where what is.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| {
            format!(
                "cannot open {}; name a file that `sonde record` wrote",
                path.display()
            )
        })?;
        let mut reader = Lines {
            path,
            file: BufReader::new(file),
            number: 0,
            offset: 0,
            line: Vec::new(),
        };
        let header = header(&mut reader)?;
        let mut places: Vec<Place> = Vec::new();
        let mut accounts = HashMap::new();
        let mut cut_bytes = 0;
        while reader.next()? {
            let outline = match serde_json::from_slice::<Outline>(&reader.line) {
                Ok(outline) => outline,
                Err(_) if reader.is_cut() => {
                    cut_bytes = reader.line.len();
                    break;
                }
                Err(error) => bail!(reader.damaged(&error.to_string())),
            };
            let before = places.last();
            if before.is_some_and(|before| before.at_ms > outline.at_ms) {
                bail!(reader.damaged("it was before the poll above it"));
            }
            if places.len() == POLLS_MAX {
                bail!(reader.damaged(&format!("there are more than {POLLS_MAX} polls")));
            }
            let number = places.len() as u32;
            let mut answers = before.map_or([None; TABS.len()], |before| before.answers);
            for (tab, answer) in TABS.iter().zip(&mut answers) {
                if outline.answers.contains_key(tab.answer) {
                    *answer = Some(number);
                }
            }
            for id in outline.accounts.into_keys() {
                if accounts.len() < ACCOUNTS_MAX {
                    accounts.insert(id, number);
                }
            }
            places.push(Place {
                at_ms: outline.at_ms,
                offset: reader.offset - reader.line.len() as u64,
                bytes: reader.line.len(),
                answers,
            });
        }
        if places.is_empty() {
            bail!(
                "{}: there is no poll in it; record for longer",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_owned(),
            file: reader.file,
            header,
            places,
            accounts,
            cut_bytes,
        })
    }

    /// How many polls there are: at least one.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// When a poll was, in milliseconds since the first one began.
    pub fn at_ms(&self, poll: usize) -> u64 {
        self.places[poll].at_ms
    }

    /// When a poll was, in milliseconds since the Unix epoch.
    pub fn time_unix_ms(&self, poll: usize) -> u64 {
        self.header.started_unix_ms.saturating_add(self.at_ms(poll))
    }

    /// In which poll each tab's answer is that is shown at `poll`.
    pub fn answers(&self, poll: usize) -> [Option<u32>; TABS.len()] {
        self.places[poll].answers
    }

    /// In which poll the account of a trace is, where there is one.
    pub fn account(&self, trace: &str) -> Option<u32> {
        self.accounts.get(trace).copied()
    }

    /// What is to be known of its end, if anything.
    pub fn warning(&self) -> Option<String> {
        (self.cut_bytes > 0).then(|| {
            format!(
                "{}:{}: the last line was being written when the recording ended; its {} bytes are left out",
                self.path.display(),
                self.places.len() + 2,
                self.cut_bytes
            )
        })
    }

    /// Reads a poll.
    pub fn poll(&mut self, poll: usize) -> anyhow::Result<Poll> {
        let Place { offset, bytes, .. } = self.places[poll];
        let mut line = vec![0; bytes];
        let read = self
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(&mut line));
        read.with_context(|| format!("{} was changed while it was replayed", self.path.display()))?;
        serde_json::from_slice(&line)
            .map_err(|error| damaged(&self.path, poll + 2, &error.to_string()))
    }
}

/// The lines of a file, counted.
struct Lines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Of the line that was read last, from 1.
    number: usize,
    /// Where it ends.
    offset: u64,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// Reads the next one; false at the end.
    fn next(&mut self) -> anyhow::Result<bool> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.file)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.line);
        let read = read.with_context(|| format!("cannot read {}", self.path.display()))? as u64;
        self.offset += read;
        if read == LINE_BYTES_MAX && self.line.last() != Some(&b'\n') {
            bail!(self.damaged(&format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(read > 0)
    }

    /// Whether the last line has no end.
    fn is_cut(&self) -> bool {
        self.line.last() != Some(&b'\n')
    }

    fn damaged(&self, why: &str) -> anyhow::Error {
        damaged(self.path, self.number, why)
    }
}

fn damaged(path: &Path, number: usize, why: &str) -> anyhow::Error {
    let path = path.display();
    let whole = number - 1;
    anyhow::anyhow!(
        "{path}:{number}: this is no poll of a collector: {why}; what is before it can be replayed: head -n {whole} {path} > mended.jsonl"
    )
}

fn header(lines: &mut Lines<'_>) -> anyhow::Result<Header> {
    let path = lines.path.display();
    let foreign = |why: &str| {
        anyhow::anyhow!(
            "{path}:1: this is no recording of `sonde record`: {why}; recordings of programs are for `sonde why` and `sonde import`"
        )
    };
    if !lines.next()? {
        return Err(foreign("the file is empty"));
    }
    let value: Value =
        serde_json::from_slice(&lines.line).map_err(|_| foreign("the line is no JSON"))?;
    match value["sonde_session"].as_u64() {
        None => Err(foreign("the line has no `sonde_session`")),
        Some(VERSION) => serde_json::from_value(value).map_err(|error| foreign(&error.to_string())),
        Some(other) => bail!(
            "{path}:1: the recording is of version {other}, and this `sonde` reads version {VERSION}; use the `sonde` that wrote it ({})",
            crate::text::member(&value, "sonde")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn written(polls: &[Poll]) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("session.jsonl");
        let mut writer = Writer::create(&path, &Header::new(1000, 1000, "15m")).unwrap();
        for poll in polls {
            assert!(writer.poll(poll, u64::MAX).unwrap().is_some());
        }
        assert_eq!(writer.bytes(), std::fs::metadata(&path).unwrap().len());
        (folder, path)
    }

    fn poll(at_ms: u64, answers: &[(&str, Value)]) -> Poll {
        let answers = answers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Poll {
            at_ms,
            answers: answers.collect(),
            ..Poll::default()
        }
    }

    fn refused(path: &Path) -> String {
        Session::open(path).unwrap_err().to_string()
    }

    #[test]
    fn an_answer_stands_until_another_comes() {
        let (_folder, path) = written(&[
            poll(0, &[("overview", json!({"n": 1})), ("logs", json!({}))]),
            poll(900, &[("of a later version", json!(1))]),
            poll(2000, &[("overview", json!({"n": 2}))]),
        ]);
        let mut session = Session::open(&path).unwrap();
        assert_eq!(session.len(), 3);
        assert_eq!((session.time_unix_ms(2), session.warning()), (3000, None));
        let of = |poll: usize| {
            (
                session.answers(poll)[0],
                session.answers(poll)[2],
                session.answers(poll)[1],
            )
        };
        assert_eq!(
            [of(0), of(1), of(2)],
            [
                (Some(0), Some(0), None),
                (Some(0), Some(0), None),
                (Some(2), Some(0), None)
            ]
        );
        assert_eq!(session.poll(2).unwrap().answers["overview"]["n"], 2);
        assert_eq!(session.poll(0).unwrap().answers["overview"]["n"], 1);
    }

    #[test]
    fn a_last_line_that_was_cut_is_left_out_and_said_and_others_are_refused() {
        let (_folder, path) = written(&[poll(0, &[]), poll(5, &[("logs", json!([1, 2]))])]);
        let whole = std::fs::read(&path).unwrap();
        // Wherever the program was killed.
        let first_ends = whole.len() - b"{\"at_ms\":5,\"answers\":{\"logs\":[1,2]}}\n".len();
        for end in first_ends + 1..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let session = Session::open(&path).unwrap();
            // Without its end of line alone it is whole.
            let is_whole = end == whole.len() - 1;
            assert_eq!(
                (session.len(), session.warning().is_none()),
                (1 + usize::from(is_whole), is_whole)
            );
        }
        std::fs::write(&path, &whole[..first_ends + 9]).unwrap();
        let warning = Session::open(&path).unwrap().warning().unwrap();
        assert!(
            warning.contains("session.jsonl:3: the last line was being written")
                && warning.contains("its 9 bytes"),
            "{warning}"
        );
        for (damage, words) in [
            (
                "{\"at_ms\":\n",
                "jsonl:4: this is no poll of a collector: EOF",
            ),
            ("\n", ":4: "),
            ("{\"answers\":{}}\n", "missing field `at_ms`"),
            ("{\"at_ms\":4}\n", "it was before the poll above it"),
            ("{\"at_ms\":6,\"accounts\":{\"a\":1}}\n", "invalid type"),
            ("\u{0}\u{0}\n", "head -n 3 "),
        ] {
            std::fs::write(
                &path,
                [whole.as_slice(), damage.as_bytes(), b"{\"at_ms\":9}\n"].concat(),
            )
            .unwrap();
            let said = refused(&path);
            assert!(said.contains(words), "{damage:?}: {said}");
        }
    }

    #[test]
    fn what_is_no_session_is_refused_with_what_it_may_be_for() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a");
        for (text, words) in [
            ("", "the file is empty"),
            ("\u{1}", "no JSON"),
            ("[]\n", "no `sonde_session`"),
            ("{\"timestamp\":\"2026\"}\n", "`sonde why`"),
            ("{\"sonde_session\":1}\n", "missing field"),
            (
                "{\"sonde_session\":2,\"sonde\":\"9.9\"}\n",
                "is of version 2, and this `sonde` reads version 1; use the `sonde` that wrote it (9.9)",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = refused(&path);
            assert!(
                said.contains("a:1: ") && said.contains(words),
                "{text}: {said}"
            );
        }
        let (_folder, empty) = written(&[]);
        assert!(refused(&empty).contains("no poll in it"));
        assert!(
            refused(&folder.path().join("b")).contains("name a file that `sonde record` wrote")
        );
    }

    #[test]
    fn a_file_is_never_written_over_and_never_longer_than_it_may_be() {
        let (_folder, path) = written(&[]);
        let header = Header::new(0, 1, "1m");
        let again = Writer::create(&path, &header).unwrap_err().to_string();
        assert!(
            again.contains("is there already; name another file"),
            "{again}"
        );
        let mut writer = Writer::create(&path.with_extension("2"), &header).unwrap();
        let most = writer.bytes() + 20;
        assert_eq!(writer.poll(&poll(7, &[]), most).unwrap(), Some(12));
        assert_eq!(writer.poll(&poll(8, &[]), most).unwrap(), None);
    }
}
