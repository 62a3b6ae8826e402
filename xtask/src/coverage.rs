//! `cargo xtask coverage`: docs/coverage.md says for every requirement row what proves it, and the proof exists.
//!
//! The page's line `Rows: 1-12, 18, A7, N1` names the rows that have been built. Each has one line in a table, whose
//! first cell is the row and whose last cell is its proofs, each in backticks: a test as `path/of/file.rs::function`,
//! which has `#[test]` above it and is not ignored, or stands in an example of a module's documentation; or a command to
//! run, which starts with `cargo `.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail};

use crate::shell;

const PAGE: &str = "docs/coverage.md";

/// Checks the page and every proof it names.
pub fn check() -> Result<()> {
    let text = fs::read_to_string(shell::root().join(PAGE))
        .with_context(|| format!("cannot read {PAGE}"))?;
    let faults = faults(&text, |path| {
        fs::read_to_string(shell::root().join(path)).ok()
    })?;
    if !faults.is_empty() {
        bail!("{PAGE}: {} faults\n{}", faults.len(), faults.join("\n"));
    }
    println!(
        "coverage: every one of {} rows names a proof that exists",
        wanted(&text)?.len()
    );
    Ok(())
}

fn faults(page: &str, read: impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let wanted = wanted(page)?;
    let mut faults = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for (row, proofs) in table(page) {
        *lines.entry(row.clone()).or_default() += 1;
        if !wanted.contains(&row) {
            faults.push(format!(
                "row {row} has a line, and `Rows:` does not name it"
            ));
        }
        if proofs.is_empty() {
            faults.push(format!("row {row} names no proof"));
        }
        faults.extend(
            proofs
                .iter()
                .filter_map(|proof| fault(proof, &read))
                .map(|fault| format!("row {row}: {fault}")),
        );
    }
    for row in &wanted {
        match lines.get(row) {
            Some(1) => {}
            Some(count) => faults.push(format!("row {row} has {count} lines")),
            None => faults.push(format!("row {row} has no line")),
        }
    }
    Ok(faults)
}

/// What is wrong with one proof, if anything.
fn fault(proof: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if proof.starts_with("cargo ") {
        return None;
    }
    let Some((path, function)) = proof.split_once("::") else {
        return Some(format!(
            "`{proof}` is neither `path.rs::test` nor a `cargo ` command"
        ));
    };
    let Some(text) = read(path) else {
        return Some(format!("there is no file {path}"));
    };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let called = format!("fn {function}(");
    let Some(index) = lines.iter().position(|line| line.contains(&called)) else {
        return Some(format!("{path} has no `fn {function}`"));
    };
    // Attributes and comments stand right above. A documentation test has its function in a comment.
    let above = lines[..index]
        .iter()
        .rev()
        .take_while(|line| line.starts_with(['#', '/', ')', ']']) || line.ends_with(','));
    let runs = lines[index].starts_with("//!")
        || above.clone().any(|line| line.starts_with("#[test]"))
            && !above.clone().any(|line| line.starts_with("#[ignore"));
    (!runs).then(|| format!("`fn {function}` of {path} is not a test that runs"))
}

/// Every row that the page's `Rows:` lines name.
fn wanted(page: &str) -> Result<BTreeSet<String>> {
    let mut rows = BTreeSet::new();
    for list in page.lines().filter_map(|line| line.strip_prefix("Rows: ")) {
        for part in list.trim_end_matches('.').split(',').map(str::trim) {
            rows.extend(expand(part)?);
        }
    }
    if rows.is_empty() {
        bail!("{PAGE} has no line `Rows: ...`");
    }
    Ok(rows)
}

/// `7` and `A7` are themselves; `3-5` is three rows.
fn expand(part: &str) -> Result<Vec<String>> {
    let Some((first, last)) = part.split_once('-') else {
        return Ok(vec![part.to_owned()]);
    };
    let bounds = first
        .parse::<u32>()
        .and_then(|first| last.parse::<u32>().map(|last| first..=last));
    let bounds = bounds.with_context(|| format!("{PAGE}: `{part}` is not a range of rows"))?;
    Ok(bounds.map(|row| row.to_string()).collect())
}

/// The rows of every table whose first cell is a requirement's number, each with its proofs.
fn table(page: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .strip_prefix('|')?
            .trim_end()
            .strip_suffix('|')?
            .split('|')
            .map(str::trim)
            .collect();
        let row = cells.first()?;
        let digits = row.strip_prefix(['A', 'N']).unwrap_or(row);
        let is_row = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let proofs = cells
            .last()?
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        is_row.then(|| ((*row).to_owned(), proofs))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: &str = "    #[test]\n    fn works() {}\n\n    /// Helps.\n    fn helps() {}\n\n    #[test]\n    #[ignore = \"slow\"]\n    fn rests() {}\n";

    fn faults_of(page: &str) -> Vec<String> {
        faults(page, |path| (path == "a.rs").then(|| TESTS.to_owned())).unwrap()
    }

    #[test]
    fn a_page_whose_proofs_exist_is_left_alone() {
        let page = "Rows: 1-2, A7.\n\n| row | what | proof |\n|---|---|---|\n| 1 | x | `a.rs::works` |\n| 2 | y | `cargo xtask loom` |\n| A7 | z | `a.rs::works`, `cargo demo` |\n";
        assert_eq!(faults_of(page), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named() {
        let line = |row: &str, proof: &str| format!("Rows: 1\n| {row} | x | {proof} |\n");
        assert_eq!(faults_of("Rows: 1\n"), ["row 1 has no line"]);
        assert_eq!(faults_of(&line("1", "")), ["row 1 names no proof"]);
        assert_eq!(
            faults_of(&line("1", "`b.rs::works`")),
            ["row 1: there is no file b.rs"]
        );
        assert_eq!(
            faults_of(&line("1", "`a.rs::work`")),
            ["row 1: a.rs has no `fn work`"]
        );
        for function in ["helps", "rests"] {
            assert_eq!(
                faults_of(&line("1", &format!("`a.rs::{function}`"))),
                [format!(
                    "row 1: `fn {function}` of a.rs is not a test that runs"
                )]
            );
        }
        assert_eq!(
            faults_of(&line("1", "`works`")),
            ["row 1: `works` is neither `path.rs::test` nor a `cargo ` command"]
        );
        let twice = "Rows: 1\n| 1 | `a.rs::works` |\n| 1 | `a.rs::works` |\n";
        assert_eq!(faults_of(twice), ["row 1 has 2 lines"]);
        let stranger = "Rows: 1\n| 1 | `a.rs::works` |\n| 9 | `a.rs::works` |\n";
        assert_eq!(
            faults_of(stranger),
            ["row 9 has a line, and `Rows:` does not name it"]
        );
    }

    #[test]
    fn a_page_must_say_which_rows_it_covers() {
        assert!(
            faults("nothing", |_| None)
                .unwrap_err()
                .to_string()
                .contains("Rows:")
        );
        assert!(
            faults("Rows: 1-x\n", |_| None)
                .unwrap_err()
                .to_string()
                .contains("`1-x`")
        );
    }
}
