//! `sonde export prometheus-rules` as a user runs it.

use std::{fs, path::Path, process::Command};

use radiosonde_answers::alerts::{
    Engine,
    defaults::{Defaults, rules},
    prometheus::{self, PrometheusFile},
};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn sonde(out: &str) -> std::io::Result<(bool, String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_sonde"))
        .args(["export", "prometheus-rules", "--out", out])
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

#[test]
fn the_rules_are_those_of_the_repository_and_our_engine_loads_them() -> TestResult {
    let (is_well, text, said) = sonde("-")?;
    assert!(is_well, "{said}");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/prometheus/radiosonde.rules.yml");
    assert_eq!(
        text,
        fs::read_to_string(committed)?,
        "run `cargo xtask generate`"
    );
    let (loaded, remarks) = prometheus::read(&PrometheusFile::from_yaml(&text)?);
    assert!(remarks.is_empty(), "{remarks:?}");
    let names = |rules: &[radiosonde_answers::alerts::Rule]| -> Vec<String> {
        let mut names: Vec<_> = rules.iter().map(|rule| rule.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&loaded), names(&rules(&Defaults::default())));
    assert!(Engine::new(loaded).is_ok());
    Ok(())
}

#[test]
fn a_prometheus_takes_them() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("radiosonde.rules.yml");
    let (is_well, said, error) = sonde(&path.display().to_string())?;
    assert!(is_well, "{error}");
    assert!(said.contains("rule_files"), "{said}");
    let checked = Command::new("promtool")
        .arg("check")
        .arg("rules")
        .arg(&path)
        .output();
    let Ok(checked) = checked else {
        eprintln!("SKIPPED: no promtool on this machine; it comes with Prometheus");
        return Ok(());
    };
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    let error = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{text}{error}");
    let count = rules(&Defaults::default()).len();
    assert!(text.contains(&format!("{count} rules found")), "{text}");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_named() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("none/rules.yml");
    let (is_well, _, said) = sonde(&path.display().to_string())?;
    assert!(!is_well);
    assert!(
        said.contains("cannot write") && said.contains("rules.yml"),
        "{said}"
    );
    Ok(())
}
