//! Rules about lines: words that mark unfinished work, and paths that exist on one machine only.

use super::{Finding, Source};

/// Words by which people say "later". They are put together here so that this file does not break its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimplemen", "ted!"),
    concat!("db", "g!"),
];

/// First parts of paths that name somebody's machine.
const MACHINES: [&str; 3] = ["work", "farm", "root"];

/// Extensions of files that people write.
const WRITTEN: [&str; 6] = ["rs", "toml", "md", "sh", "py", "yml"];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.extension() == Some("lock") || source.is_fixture() {
        return findings;
    }
    let is_source = source
        .extension()
        .is_some_and(|name| WRITTEN.contains(&name))
        || source.path == ".ci/run";
    for (index, line) in source.text.lines().enumerate() {
        let number = index + 1;
        if is_source && let Some(word) = UNFINISHED.into_iter().find(|word| has_word(line, word)) {
            let message = format!("`{word}`: do it, or write down in docs/ what is missing");
            findings.push(source.finding(number, "unfinished", message));
        }
        if source.is_rust()
            && comment(line).is_some_and(|comment| has_word(comment, concat!("for", " now")))
        {
            findings.push(source.finding(
                number,
                "unfinished",
                "a comment promises a later version: say what is true",
            ));
        }
        if let Some(path) = machine_path(line) {
            let message = format!("`{path}` exists on one machine only");
            findings.push(source.finding(number, "machine-path", message));
        }
    }
    let too_long = source.is_rust()
        && !source.is_test()
        && source.lines_before_tests().count() > super::rust::FILE_LINES_MAX;
    if too_long {
        let message = format!(
            "{} lines before its tests, at most {}: split it by idea",
            source.lines_before_tests().count(),
            super::rust::FILE_LINES_MAX
        );
        findings.push(source.finding(0, "file-length", message));
    }
    findings
}

/// Whether `word` stands in `line` with no letter, digit or underscore directly around it.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word.ends_with('!') || !after.is_some_and(is_part))
    })
}

/// What follows `//` on a line, if anything does.
fn comment(line: &str) -> Option<&str> {
    line.split_once("//").map(|(_, comment)| comment)
}

/// A path under a machine's own folders: a whole path from the root of the file system, not part of a longer one.
fn machine_path(line: &str) -> Option<&str> {
    let rest_from = |at: usize| {
        let rest = &line[at..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)))
            .unwrap_or(rest.len());
        &rest[..end]
    };
    line.match_indices('/')
        .map(|(at, _)| (at, rest_from(at)))
        .find_map(|(at, path)| {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "_.*-}>)".contains(c)) {
                return None;
            }
            let mut parts = path[1..].split('/');
            let (first, second) = (parts.next()?, parts.next()?);
            let is_home = first == "home" && second.starts_with(|c: char| c.is_ascii_lowercase());
            (MACHINES.contains(&first) || is_home).then_some(path)
        })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fired, *};

    #[test]
    fn unfinished_work_is_seen() {
        for word in UNFINISHED {
            let text = format!("//! Doc.\n// {word} the rest\n");
            assert_eq!(
                fired("crates/core/src/a.rs", &text),
                [(2, "unfinished")],
                "{word}"
            );
        }
        let later = format!("//! Doc.\n// Good enough {}.\n", concat!("for", " now"));
        assert_eq!(fired("crates/core/src/a.rs", &later), [(2, "unfinished")]);
        assert_eq!(
            fired("docs/a.md", &format!("a {} here\n", UNFINISHED[0])),
            [(1, "unfinished")]
        );
    }

    #[test]
    fn words_inside_words_are_not_meant() {
        let text = format!(
            "//! Doc.\n/// A {}S list.\npub struct My{};\n",
            UNFINISHED[0], "Todo"
        );
        assert_eq!(fired("crates/core/src/a.rs", &text), []);
    }

    #[test]
    fn machine_paths_are_seen() {
        for folder in ["work/x", "root/", "farm/a", "home/ann"] {
            let text = format!("see \"/{folder}\" there\n");
            assert_eq!(fired("docs/a.md", &text), [(1, "machine-path")], "{folder}");
            assert_eq!(
                fired("docs/a.txt", &text),
                [(1, "machine-path")],
                "{folder}"
            );
        }
        assert_eq!(
            fired(
                "docs/a.md",
                "crates/work/x, $HOME/work/x, /home/$USER and a/root/b\n"
            ),
            []
        );
    }

    #[test]
    fn a_long_file_is_seen_and_its_tests_do_not_count() {
        let long = format!("//! Doc.\n{}", "// x\n".repeat(500));
        assert_eq!(fired("crates/core/src/a.rs", &long), [(0, "file-length")]);
        let tests = format!(
            "//! Doc.\n{}#[cfg(test)]\nmod tests {{}}\n{0}",
            "// x\n".repeat(499)
        );
        assert_eq!(fired("crates/core/src/a.rs", &tests), []);
        assert_eq!(fired("crates/core/tests/a.rs", &long), []);
    }
}
