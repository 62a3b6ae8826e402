//! Dashboards as files: each `*.toml` of a folder is one (docs/dashboards.md).
//!
//! The folder is read anew whenever somebody asks: it is small, and what is shown is then what is written, without watching
//! anything.
//!
//! Invariants: a file that is wrong takes no other with it, and says what is wrong with it instead; what is read is bounded.

mod file;

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// Most dashboards; the others are left out, and that is said.
const FILES_MAX: usize = 100;
/// Most entries of the folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where dashboards are.
#[derive(Debug)]
pub(crate) struct Dashboards {
    folder: Option<PathBuf>,
}

/// All dashboards.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// By name.
    pub(crate) dashboards: Vec<Dashboard>,
    /// Files beyond the bound.
    pub(crate) left_out: usize,
    /// What is wrong with the folder itself.
    pub(crate) mistake: Option<Mistake>,
}

/// A dashboard. One with mistakes has no panels.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Dashboard {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) panels: Vec<Panel>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A part of a dashboard.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// Columns that it takes of twelve.
    pub(crate) width: u8,
    pub(crate) promql: Option<String>,
    pub(crate) sql: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) unit: Option<String>,
}

/// What a panel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A query in PromQL over time.
    Lines,
    /// What a query in PromQL is now.
    Number,
    /// Rows of PromQL or SQL.
    Table,
    /// Words.
    Text,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mistake {
    pub(crate) file: String,
    pub(crate) line: Option<usize>,
    /// The setting, such as `panels[2].width`; empty where it is the file itself.
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) mend: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ", `{}`", self.key)?;
        }
        write!(f, ": {}; {}", self.message, self.mend)
    }
}

impl Mistake {
    /// Of a file or folder as a whole.
    fn of_file(file: &str, message: impl Into<String>, mend: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            key: String::new(),
            message: message.into(),
            mend: mend.to_owned(),
        }
    }
}

impl Dashboards {
    pub(crate) const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// All dashboards as they are now.
    pub(crate) fn list(&self) -> Listing {
        let Some(folder) = &self.folder else {
            return Listing::default();
        };
        let names = match names(folder) {
            Ok(names) => names,
            Err(error) => {
                let message = format!("the folder of dashboards cannot be read: {error}");
                let mend = "make it readable, or name another folder with --dashboards";
                let mistake = Mistake::of_file(&folder.to_string_lossy(), message, mend);
                return Listing {
                    mistake: Some(mistake),
                    ..Listing::default()
                };
            }
        };
        Listing {
            left_out: names.len().saturating_sub(FILES_MAX),
            dashboards: names
                .iter()
                .take(FILES_MAX)
                .map(|name| read(folder, name))
                .collect(),
            mistake: None,
        }
    }

    /// The dashboard in the file `name.toml`, as it is now.
    pub(crate) fn one(&self, name: &str) -> Option<Dashboard> {
        let folder = self.folder.as_ref()?;
        // Whatever is listed has an answer here too, if only with what is wrong with it: pipes, folders, links to nothing. A
        // name that could be a way out of the folder is never a path: it is looked for among those that there are.
        let is_there = if is_plain(name) {
            fs::symlink_metadata(folder.join(format!("{name}.toml"))).is_ok()
        } else {
            names(folder).is_ok_and(|names| names.iter().any(|known| known == name))
        };
        is_there.then(|| read(folder, name))
    }

    /// Everything that is wrong now, a line each.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let Listing {
            dashboards,
            left_out,
            mistake,
        } = self.list();
        let of_files = dashboards
            .into_iter()
            .flat_map(|dashboard| dashboard.mistakes);
        let mut all: Vec<String> = mistake
            .into_iter()
            .chain(of_files)
            .map(|mistake| mistake.to_string())
            .collect();
        if left_out > 0 {
            all.push(format!(
                "{left_out} dashboards are left out: at most {FILES_MAX} are shown; move some of them to another folder"
            ));
        }
        all
    }
}

/// The names of the files in `folder` that are dashboards, in order.
fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // Hidden ones are what editors have not finished writing.
        if let Some(name) = name.strip_suffix(".toml")
            && !name.starts_with('.')
            && !name.is_empty()
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Names are parts of addresses.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 100 && name.bytes().all(is_plain)
}

fn read(folder: &Path, name: &str) -> Dashboard {
    let file = format!("{name}.toml");
    let refuse = |message: String, mend: &str| Dashboard {
        name: name.to_owned(),
        title: name.to_owned(),
        description: String::new(),
        panels: Vec::new(),
        mistakes: vec![Mistake::of_file(&file, message, mend)],
    };
    if !is_plain(name) {
        return refuse(
            "its name cannot be a part of an address".to_owned(),
            "name it with letters, digits, `-` and `_` alone, at most 100",
        );
    }
    match text(&folder.join(&file)) {
        Ok(text) => file::parse(name, &file, &text),
        Err(error) => refuse(
            format!("cannot be read: {error}"),
            "make it a readable file of UTF-8 text of at most 64 KiB",
        ),
    }
}

fn text(path: &Path) -> std::io::Result<String> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    // Read to the limit rather than trusted: it may grow meanwhile.
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it has more than 64 KiB"));
    }
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests;
