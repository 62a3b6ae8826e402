//! Packages share one lint table, one set of versions and one set of metadata, and have few features.

use toml::{Table, Value};

use super::{Finding, Source};

/// Features a package may have, `default` not counted.
const FEATURES_MAX: usize = 8;

/// What every package takes from the workspace.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub fn check(source: &Source) -> Vec<Finding> {
    let manifest = match source.text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![source.finding(0, "manifest", format!("is not TOML: {error}"))],
    };
    // The root has no package, and a package with its own `[workspace]` (fuzz/) has nothing to take from ours.
    let Some(package) = manifest
        .get("package")
        .filter(|_| !manifest.contains_key("workspace"))
    else {
        return Vec::new();
    };
    let mut messages = Vec::new();
    for key in INHERITED
        .into_iter()
        .filter(|key| !is_inherited(package.get(*key)))
    {
        messages.push(format!("`package.{key}` is not `{key}.workspace = true`"));
    }
    if !is_inherited(manifest.get("lints")) {
        messages.push("has no `[lints] workspace = true`".to_owned());
    }
    for (name, _) in dependencies(&manifest).filter(|(_, dependency)| has_version(dependency)) {
        messages.push(format!(
            "the version of `{name}` belongs in the root's `[workspace.dependencies]`"
        ));
    }
    let features = manifest
        .get("features")
        .and_then(Value::as_table)
        .map_or(0, |features| {
            features.keys().filter(|name| *name != "default").count()
        });
    if features > FEATURES_MAX {
        messages.push(format!("has {features} features, at most {FEATURES_MAX}"));
    }
    messages
        .into_iter()
        .map(|message| source.finding(0, "manifest", message))
        .collect()
}

fn is_inherited(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

fn has_version(dependency: &Value) -> bool {
    dependency.is_str() || dependency.get("version").is_some()
}

/// Every dependency of the package, for every target.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| {
            DEPENDENCY_TABLES
                .into_iter()
                .filter_map(|kind| table.get(kind))
        })
        .filter_map(Value::as_table)
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::super::tests::fired;

    const GOOD: &str = "
        [package]
        name = 'a'
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        [lints]
        workspace = true
    ";

    #[test]
    fn a_good_manifest_is_left_alone() {
        assert_eq!(fired("crates/a/Cargo.toml", GOOD), []);
        assert_eq!(fired("Cargo.toml", "[workspace]\nmembers = []\n"), []);
        assert_eq!(
            fired("fuzz/Cargo.toml", "[workspace]\n[package]\nname = 'fuzz'\n"),
            []
        );
    }

    #[test]
    fn each_departure_is_seen() {
        let own_version = GOOD.replace(
            "version.workspace = true\n        edition",
            "version = '1.0.0'\n        edition",
        );
        assert_eq!(
            fired("crates/a/Cargo.toml", &own_version),
            [(0, "manifest")]
        );
        let no_lints = GOOD.replace("[lints]", "[other]");
        assert_eq!(fired("crates/a/Cargo.toml", &no_lints), [(0, "manifest")]);
        let versions = format!(
            "{GOOD}\n[dependencies]\nb = '1'\nc.workspace = true\n[target.'cfg(loom)'.dev-dependencies]\nloom = {{ version = '1' }}\n"
        );
        assert_eq!(
            fired("crates/a/Cargo.toml", &versions),
            [(0, "manifest"), (0, "manifest")]
        );
        let features = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].join(" = []\n") + " = []\n";
        assert_eq!(
            fired(
                "crates/a/Cargo.toml",
                &format!("{GOOD}\n[features]\ndefault = []\n{features}")
            ),
            [(0, "manifest")]
        );
    }
}
