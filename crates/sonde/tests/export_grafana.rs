//! `sonde export grafana` as a user runs it.

use std::{fs, path::Path, process::Command};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn sonde(arguments: &[&str]) -> std::io::Result<(bool, String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_sonde"))
        .arg("export")
        .args(arguments)
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

#[test]
fn the_files_are_those_of_the_repository() -> TestResult {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("new/folder");
    let (written, said, _) = sonde(&["grafana", "--out", &out.display().to_string()])?;
    assert!(written, "{said}");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/grafana");
    let mut files = 0;
    for entry in fs::read_dir(committed)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        assert_eq!(
            fs::read_to_string(out.join(&name))?,
            fs::read_to_string(entry.path())?,
            "{name}: run `cargo xtask generate`"
        );
        assert!(said.contains(&name), "{said}");
        files += 1;
    }
    assert_eq!(fs::read_dir(out)?.count(), files);
    let (_, all, _) = sonde(&["grafana", "--out", "-"])?;
    let all: Vec<serde_json::Value> = serde_json::from_str(&all)?;
    assert_eq!(all.len(), files);
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_made_is_named() -> TestResult {
    let file = tempfile::NamedTempFile::new()?;
    let folder = file.path().join("folder");
    let (written, _, said) = sonde(&["grafana", "--out", &folder.display().to_string()])?;
    assert!(!written);
    assert!(
        said.contains("cannot make") && said.contains("folder"),
        "{said}"
    );
    Ok(())
}
