//! `cargo xtask tidy`: the house rules that neither rustfmt nor clippy can see.
//!
//! Each rule is a function from one file to findings, has a name that is printed with every finding, and has a test
//! in which it fires. Rules that need Rust's structure read it from `syn`; the others read lines.

mod documents;
mod functions;
mod manifest;
mod rust;
mod text;
mod unsafety;

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::shell;

/// One file of the tree, as git sees it: tracked, or new and not ignored.
pub struct Source {
    /// Relative to the workspace's root, with `/` between folders.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn is_rust(&self) -> bool {
        self.extension() == Some("rs")
    }

    pub fn extension(&self) -> Option<&str> {
        Path::new(&self.path).extension()?.to_str()
    }

    /// A program that a compile-fail test feeds to the compiler: it may be wrong in any way.
    pub fn is_fixture(&self) -> bool {
        let Some(inside) = self.path.strip_prefix("tests/ui/") else {
            return false;
        };
        let is_test_file = inside
            .strip_prefix("tests/")
            .is_some_and(|name| !name.contains('/'));
        !inside.starts_with("src/") && !is_test_file && inside != "build.rs"
    }

    /// An integration test, or a module's tests in a file of their own: all of it is test code.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// The lines before the first `#[cfg(test)]` that stands at the start of a line.
    pub fn lines_before_tests(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
    }

    fn finding(&self, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            rule,
            message: message.into(),
        }
    }
}

/// One place where one rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    /// Counted from 1; 0 when the file as a whole is meant.
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            message,
        } = self;
        if *line == 0 {
            write!(out, "{path}: [{rule}] {message}")
        } else {
            write!(out, "{path}:{line}: [{rule}] {message}")
        }
    }
}

/// Checks the whole tree, prints every finding, and fails when there is one.
pub fn tidy() -> Result<()> {
    let sources = sources()?;
    let findings: Vec<Finding> = sources
        .iter()
        .flat_map(|source| check(source, &sources))
        .collect();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "tidy: {} findings in {} files; CONTRIBUTING.md has the rules",
            findings.len(),
            sources.len()
        );
    }
    println!("tidy: {} files, nothing to say", sources.len());
    Ok(())
}

fn check(source: &Source, all: &[Source]) -> Vec<Finding> {
    let mut findings = text::check(source);
    if source.is_rust() && !source.is_fixture() {
        findings.extend(rust::check(source));
    }
    if source.extension() == Some("md") {
        findings.extend(documents::check(source, |target| exists(target, all)));
    }
    if source.path.ends_with("Cargo.toml") {
        findings.extend(manifest::check(source));
    }
    findings
}

/// Whether a link's target, relative to the root, is a file of the tree or a folder with one in it.
fn exists(target: &str, all: &[Source]) -> bool {
    let folder = format!("{}/", target.trim_end_matches('/'));
    all.iter()
        .any(|source| source.path == target || source.path.starts_with(&folder))
        || shell::root().join(target).exists()
}

/// Every text file that git tracks or would track.
fn sources() -> Result<Vec<Source>> {
    let listed = shell::output(shell::tool("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut sources = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let full = shell::root().join(path);
        if !full.is_file() {
            continue; // deleted and not yet committed, or a link to a folder
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {}", full.display()))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            sources.push(Source {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the rules that fire, with their lines, in the order found.
    pub fn fired(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&source, &[])
            .into_iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    #[test]
    fn a_good_file_is_left_alone() {
        let good = "//! Adds.\n\n/// The sum.\npub fn add(a: u64, b: u64) -> u64 {\n    a + b\n}\n";
        assert_eq!(fired("crates/core/src/add.rs", good), []);
    }

    #[test]
    fn fixtures_of_compile_fail_tests_may_be_wrong() {
        assert_eq!(
            fired("tests/ui/fail/no_name.rs", "fn main() { let = }\n"),
            []
        );
        assert_eq!(
            fired("tests/ui/tests/compile.rs", "fn main() { let = }\n"),
            [(0, "parses")]
        );
    }

    #[test]
    fn findings_say_where() {
        let source = Source {
            path: "a.rs".into(),
            text: String::new(),
        };
        assert_eq!(
            source.finding(3, "rule", "why").to_string(),
            "a.rs:3: [rule] why"
        );
        assert_eq!(
            source.finding(0, "rule", "why").to_string(),
            "a.rs: [rule] why"
        );
    }
}
