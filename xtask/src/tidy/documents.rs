//! Documents each have one job, a length that fits it, and links and places that are there.

use super::{Finding, Source};

/// Documents with a bound on their lines, by path.
const LINES_MAX: [(&str, usize); 2] = [("README.md", 150), ("ARCHITECTURE.md", 200)];

/// The document that says where things are, in code spans.
const MAP: &str = "ARCHITECTURE.md";

pub fn check(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if let Some((_, most)) = LINES_MAX
        .iter()
        .find(|(path, most)| *path == source.path && lines > *most)
    {
        findings.push(source.finding(
            0,
            "document-length",
            format!("has {lines} lines, at most {most}"),
        ));
    }
    let mut in_code = false;
    for (index, line) in source.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in links(line) {
            if !exists(&from_root(&source.path, target)) {
                findings.push(source.finding(
                    index + 1,
                    "link",
                    format!("`{target}` leads nowhere"),
                ));
            }
        }
        let places = places(line).filter(|_| source.path == MAP);
        for place in places.filter(|place| !in_full(place).iter().any(|path| exists(path))) {
            findings.push(source.finding(
                index + 1,
                "place",
                format!("`{place}` is neither a file nor a folder, of the tree or of a crate"),
            ));
        }
    }
    findings
}

/// What stands in backticks and is written as a path of the tree.
fn places(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|code| {
        code.contains('/') && !code.starts_with('/') && !code.contains([' ', ':', '<'])
    })
}

/// The paths that one may be short for: `core/lane.rs` is `crates/core/src/lane.rs`.
fn in_full(place: &str) -> [String; 3] {
    let (folder, inside) = place.split_once('/').unwrap_or((place, ""));
    [
        place.to_owned(),
        format!("crates/{place}"),
        format!("crates/{folder}/src/{inside}"),
    ]
}

/// Targets of the line's Markdown links that name a file of this tree, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| {
        let target = line[at + 2..].split(')').next()?;
        let file = target.split('#').next()?;
        (!file.is_empty() && !file.contains("://") && !file.starts_with("mailto:")).then_some(file)
    })
}

/// `target`, as written in the document at `path`, from the workspace's root.
fn from_root(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fired, *};

    #[test]
    fn long_documents_are_seen() {
        assert_eq!(
            fired("README.md", &"a\n".repeat(151)),
            [(0, "document-length")]
        );
        assert_eq!(fired("README.md", &"a\n".repeat(150)), []);
        assert_eq!(
            fired("ARCHITECTURE.md", &"a\n".repeat(201)),
            [(0, "document-length")]
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_seen() {
        let text =
            "[a](docs/no-such-page.md#part) [b](https://example.com/x)\n```\n[c](gone.md)\n```\n";
        assert_eq!(fired("a.md", text), [(1, "link")]);
    }

    #[test]
    fn places_that_are_not_there_are_seen() {
        let text = "`core/lane.rs`, `store/src/log.rs`, `xtask/src/tidy.rs`, `macros/`, `server/api/`\n\
                    `core/no_such_part.rs` beside `/proc`, `a::b/c` and `x / y`\n\
                    ```\n`core/gone.rs`\n```\n";
        assert_eq!(fired(MAP, text), [(2, "place")]);
        assert_eq!(fired("README.md", "`core/no_such_part.rs`\n"), []);
    }

    #[test]
    fn links_are_read_from_where_they_stand() {
        assert_eq!(from_root("docs/a/b.md", "../c.md"), "docs/c.md");
        assert_eq!(from_root("README.md", "./docs/"), "docs");
        assert_eq!(
            links("[x](a.md#y) and ![z](b.svg)").collect::<Vec<_>>(),
            ["a.md", "b.svg"]
        );
    }
}
