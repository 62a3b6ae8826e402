//! How many packages our crates bring to whoever links them.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::{packages, shell};

/// One bound on a number of packages.
pub struct Bound {
    pub what: &'static str,
    package: &'static str,
    /// Arguments of `cargo tree` that select what is counted.
    tree: &'static [&'static str],
    pub packages_max: usize,
}

pub const BOUNDS: [Bound; 2] = [
    Bound {
        what: "direct dependencies of radiosonde-core",
        package: packages::CORE,
        tree: &["--depth=1"],
        packages_max: 5,
    },
    Bound {
        what: "packages in radiosonde with default features",
        package: packages::LIBRARY,
        tree: &[],
        packages_max: 100,
    },
];

impl Bound {
    /// The packages counted: everything that is linked into a program, or runs while it is built; not the package
    /// itself.
    pub fn packages(&self) -> Result<BTreeSet<String>> {
        let mut command = shell::cargo();
        command.args([
            "tree",
            "--locked",
            "--package",
            self.package,
            "--edges=normal,build",
            "--prefix=none",
            "--format={p}",
        ]);
        let tree = shell::output(command.args(self.tree))?;
        Ok(tree.lines().skip(1).filter_map(name_and_version).collect())
    }
}

/// `name v1.2.3` of a line of `cargo tree`, without where it comes from and without `(*)`.
fn name_and_version(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

/// Fails when a bound is passed, and names the packages.
pub fn check() -> Result<()> {
    let mut passed = Vec::new();
    for bound in &BOUNDS {
        let packages = bound.packages()?;
        println!(
            "{}: {} of at most {}",
            bound.what,
            packages.len(),
            bound.packages_max
        );
        if packages.len() > bound.packages_max {
            let names: Vec<String> = packages.into_iter().collect();
            passed.push(format!("too many {}: {}", bound.what, names.join(", ")));
        }
    }
    if !passed.is_empty() {
        bail!("{}", passed.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_counted_once() {
        let tree = "libc v0.2.1\nserde v1.0.0 (*)\nradiosonde-macros v0.1.0 (proc-macro) (a/b)\nlibc v0.2.1 (*)\n\n";
        let names: BTreeSet<String> = tree.lines().filter_map(name_and_version).collect();
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["libc v0.2.1", "radiosonde-macros v0.1.0", "serde v1.0.0"]
        );
    }

    #[test]
    fn core_brings_no_runtime_no_network_and_no_tls() {
        let all = Bound {
            what: "packages in radiosonde-core",
            package: packages::CORE,
            tree: &[],
            packages_max: 0,
        };
        let names: BTreeSet<String> = all
            .packages()
            .unwrap()
            .iter()
            .filter_map(|package| package.split(' ').next().map(str::to_owned))
            .collect();
        assert!(names.contains("tracing-core"), "{names:?}");
        let heavy = [
            "tokio",
            "tonic",
            "hyper",
            "h2",
            "http",
            "reqwest",
            "ureq",
            "rustls",
            "ring",
            "openssl",
            "prost",
            "async-std",
            "smol",
            "mio",
            "futures",
            "tracing-subscriber",
            "opentelemetry",
        ];
        let found: Vec<_> = names
            .iter()
            .filter(|name| {
                heavy.iter().any(|heavy| {
                    name.strip_prefix(heavy)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                })
            })
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn core_is_counted() {
        let direct = BOUNDS[0].packages().unwrap();
        assert!(
            direct.iter().any(|name| name.starts_with("tracing-core ")),
            "{direct:?}"
        );
    }
}
