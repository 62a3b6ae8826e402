//! Files that are written by a program and committed, so that people read them without building anything.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{packages, shell};

/// What an example of ours writes.
struct Generated {
    package: &'static str,
    example: &'static str,
    to: To,
}

/// Where it goes.
enum To {
    /// What standard output gets is this file.
    File(&'static str),
    /// The example is told a folder and writes files into it; this one has those and no others.
    Folder(&'static str),
}

const GENERATED: [Generated; 3] = [
    Generated {
        package: packages::CORE,
        example: "catalogue",
        to: To::File("docs/events.md"),
    },
    Generated {
        package: packages::LIBRARY,
        example: "dashboards",
        to: To::Folder("examples/grafana"),
    },
    Generated {
        package: packages::ANSWERS,
        example: "prometheus_rules",
        to: To::File("examples/prometheus/radiosonde.rules.yml"),
    },
];

/// Writes every generated file, or (`check`) fails when one is not what would be written.
pub fn generate(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for generated in &GENERATED {
        for (name, text) in generated.files()? {
            let path = shell::root().join(&name);
            let current = fs::read_to_string(&path).ok();
            match text {
                text if current == text => println!("{name}: current"),
                text if check => stale.push(format!(
                    "{name}{}",
                    difference(&current.unwrap_or_default(), &text.unwrap_or_default())
                )),
                Some(text) => {
                    fs::write(&path, text)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                    println!("{name}: written");
                }
                None => {
                    fs::remove_file(&path)
                        .with_context(|| format!("cannot remove {}", path.display()))?;
                    println!("{name}: removed");
                }
            }
        }
    }
    if !stale.is_empty() {
        bail!(
            "not current, run `cargo xtask generate`:\n{}",
            stale.join("\n")
        );
    }
    Ok(())
}

impl Generated {
    /// Files from the root of the repository, with what they should have; without, where there should be no such file.
    fn files(&self) -> Result<BTreeMap<String, Option<String>>> {
        let program = self.program()?;
        let folder = match self.to {
            To::File(path) => {
                let text = shell::output(&mut shell::tool(&program))?;
                return Ok(BTreeMap::from([(path.to_owned(), Some(text))]));
            }
            To::Folder(folder) => folder,
        };
        let scratch = shell::scratch(self.example)?;
        shell::output(shell::tool(&program).arg(&scratch))?;
        let mut files = BTreeMap::new();
        for name in names(&shell::root().join(folder))? {
            files.insert(format!("{folder}/{name}"), None);
        }
        for name in names(&scratch)? {
            let text = fs::read_to_string(scratch.join(&name))
                .with_context(|| format!("cannot read what {} wrote to {name}", self.example))?;
            files.insert(format!("{folder}/{name}"), Some(text));
        }
        Ok(files)
    }

    fn program(&self) -> Result<PathBuf> {
        // Built as the tests are built, so that nothing is compiled again with other features.
        let build = &mut shell::cargo();
        let build = packages::select_all(build.args(["build", "--example", self.example]))?;
        let programs = packages::build_programs(build, self.package)?;
        let program = programs
            .into_iter()
            .find(|program| program.name == self.example)
            .with_context(|| format!("{} has no example `{}`", self.package, self.example))?;
        Ok(program.path)
    }
}

/// The names of a folder's files.
fn names(folder: &Path) -> Result<Vec<String>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    fs::read_dir(folder)
        .with_context(cannot_read)?
        .map(|entry| {
            let entry = entry.with_context(cannot_read)?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// The first line in which the two differ, for a message.
fn difference(committed: &str, generated: &str) -> String {
    let (mut committed, mut generated) = (committed.lines(), generated.lines());
    for number in 1.. {
        match (committed.next(), generated.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                return format!(
                    ":{number}: committed {:?}, generated {:?}",
                    old.unwrap_or_default(),
                    new.unwrap_or_default()
                );
            }
        }
    }
    ": differs in its last line's end".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_shown_where_it_differs() {
        assert_eq!(
            difference("a\nb\n", "a\nc\n"),
            ":2: committed \"b\", generated \"c\""
        );
        assert_eq!(
            difference("a\n", "a\nb\n"),
            ":2: committed \"\", generated \"b\""
        );
        assert_eq!(difference("a", "a\n"), ": differs in its last line's end");
    }
}
