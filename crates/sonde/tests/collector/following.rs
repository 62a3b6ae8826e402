//! What shows itself: files that somebody changes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::sonde;

const DASHBOARD: &str =
    "title = \"One\"\n[[panels]]\ntitle = \"Depth\"\nkind = \"number\"\npromql = \"queue_depth\"\n";

#[test]
fn dashboards_are_what_their_files_say_now_and_mistakes_are_said() {
    let folder = TempDir::new().unwrap();
    let boards = TempDir::new().unwrap();
    fs::write(boards.path().join("one.toml"), DASHBOARD).unwrap();
    let free = "127.0.0.1:0";
    let mut child = sonde(&[
        "serve",
        "--otlp-grpc",
        free,
        "--otlp-http",
        free,
        "--page",
        free,
    ])
    .arg("--data")
    .arg(folder.path())
    .arg("--dashboards")
    .arg(boards.path())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = |what: &str| {
        let mut lines = lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(what)).unwrap()
    };
    let page = said(" page ").split_whitespace().last().unwrap().to_owned();
    let get = |path: &str| -> Value {
        let mut response = ureq::get(format!("{page}/api/v1/{path}")).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    };
    assert_eq!(get("dashboards/one")["panels"][0]["promql"], "queue_depth");
    let changed = DASHBOARD.replace("One", "Two").replace("number", "numbers");
    fs::write(boards.path().join("one.toml"), changed).unwrap();
    assert_eq!(
        said("dashboard"),
        "sonde: dashboard one.toml line 4, `panels[1].kind`: there is no kind `numbers`; write kind = \"lines\", \"number\", \"table\" or \"text\""
    );
    let board = get("dashboards/one");
    assert_eq!(
        (&board["title"], &board["mistakes"][0]["line"]),
        (&json!("Two"), &json!(4))
    );
    assert_eq!(get("dashboards")["dashboards"][0]["panels"], 0);
    child.kill().unwrap();
    child.wait().unwrap();
}
