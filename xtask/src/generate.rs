//! Files that are written by a program and committed, so that people read them without building anything.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{packages, shell};

/// A file, and the example of ours that writes it to standard output.
struct Generated {
    path: &'static str,
    package: &'static str,
    example: &'static str,
}

const GENERATED: [Generated; 1] = [Generated {
    path: "docs/events.md",
    package: packages::CORE,
    example: "catalogue",
}];

/// Writes every generated file, or (`check`) fails when one is not what would be written.
pub fn generate(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for file in &GENERATED {
        let text = content(file)?;
        let path = shell::root().join(file.path);
        let current = fs::read_to_string(&path).unwrap_or_default();
        if current == text {
            println!("{}: current", file.path);
        } else if check {
            stale.push(format!("{}{}", file.path, difference(&current, &text)));
        } else {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{}: written", file.path);
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

fn content(file: &Generated) -> Result<String> {
    // Built as the tests are built, so that nothing is compiled again with other features.
    let build = &mut shell::cargo();
    let build = packages::select_all(build.args(["build", "--example", file.example]))?;
    let programs = packages::build_programs(build, file.package)?;
    let program = programs
        .iter()
        .find(|program| program.name == file.example)
        .with_context(|| format!("{} has no example `{}`", file.package, file.example))?;
    shell::output(&mut shell::tool(&program.path))
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
