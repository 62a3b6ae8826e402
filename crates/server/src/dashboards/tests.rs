//! What a folder of files becomes.

use super::*;

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Dashboards) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let dashboards = Dashboards::new(Some(folder.path().to_owned()));
    (folder, dashboards)
}

const GOOD: &str = r#"
title = "Requests"

[[panels]]
title = "Rate"
kind = "lines"
promql = "sum(rate(requests_total[5m]))"
unit = "{request}/s"

[[panels]]
title = "Slowest"
kind = "table"
width = 12
sql = "SELECT name FROM spans"

[[panels]]
kind = "text"
text = "Ask the team."
"#;

#[test]
fn a_file_is_a_dashboard_with_defaults_for_widths() {
    let (_folder, dashboards) = folder(&[
        ("requests.toml", GOOD),
        ("notes.txt", "x"),
        (".draft.toml", "x"),
    ]);
    let listing = dashboards.list();
    assert_eq!(listing.dashboards.len(), 1);
    let dashboard = &listing.dashboards[0];
    assert_eq!(
        (&*dashboard.name, &*dashboard.title),
        ("requests", "Requests")
    );
    assert!(dashboard.mistakes.is_empty());
    let panels: Vec<_> = dashboard
        .panels
        .iter()
        .map(|panel| (panel.kind, panel.width))
        .collect();
    assert_eq!(
        panels,
        [(Kind::Lines, 6), (Kind::Table, 12), (Kind::Text, 12)]
    );
    assert_eq!(dashboards.one("requests").as_ref(), Some(dashboard));
}

#[test]
fn every_mistake_is_said_with_file_line_setting_and_mend() {
    let bad = r#"titel = "Requests"

[[panels]]
title = "Rate"
kind = "lines"
widht = 3
promql = "sum(rate(requests_total[5m])"

[[panels]]
title = "Slowest"
kind = "tabel"

[[panels]]
title = ""
kind = "number"
width = 13
sql = "SELECT 1"
"#;
    let (_folder, dashboards) = folder(&[("bad.toml", bad), ("good.toml", GOOD)]);
    insta::assert_snapshot!(dashboards.mistakes().join("\n"), @r#"
    bad.toml line 1, `titel`: there is no such setting; remove it, or write one of `title`, `description`, `panels`
    bad.toml line 1, `title`: is missing; write title = "..." at the top
    bad.toml line 6, `panels[1].widht`: there is no such setting; remove it, or write one of `title`, `kind`, `width`, `promql`, `sql`, `text`, `unit`
    bad.toml line 7, `panels[1].promql`: is no PromQL: line 1, column 29: the end stands where `,` was expected; docs/promql.md says what is understood
    bad.toml line 11, `panels[2].kind`: there is no kind `tabel`; write kind = "lines", "number", "table" or "text"
    bad.toml line 13, `panels[3].promql`: a panel of kind `number` has one; give it one of `promql`
    bad.toml line 14, `panels[3].title`: is empty; write something, or remove it
    bad.toml line 16, `panels[3].width`: is no width; write a whole number of columns, from 1 to 12, which is all of the page
    bad.toml line 17, `panels[3].sql`: is nothing that a panel of kind `number` has; remove it; this kind has `promql`
    "#);
    let listing = dashboards.list();
    assert!(listing.dashboards[0].panels.is_empty());
    assert_eq!(
        listing.dashboards[1].panels.len(),
        3,
        "the other one is not harmed"
    );
}

#[test]
fn what_is_no_dashboard_says_why() {
    let large = "#".repeat(70_000);
    let files = [
        ("a.toml", "title = "),
        ("b.toml", "title = 3"),
        ("c.toml", "title = 'c'\npanels = 3"),
        ("d.toml", "title = 'd'\npanels = [3]"),
        ("e f.toml", GOOD),
        ("g.toml", &large),
    ];
    let (_folder, dashboards) = folder(&files);
    insta::assert_snapshot!(dashboards.mistakes().join("\n"), @r#"
    a.toml line 1: is not TOML: string values must be quoted, expected literal string; write it as https://toml.io says
    b.toml line 1, `title`: is no text; put it between quotation marks
    b.toml line 1, `panels`: there are none; add one: [[panels]], then title = "...", kind = "lines" and promql = "..."
    c.toml line 2, `panels`: is no list of tables; begin each panel with [[panels]]
    d.toml line 2, `panels[1]`: is no table; begin each panel with [[panels]]
    e f.toml: its name cannot be a part of an address; name it with letters, digits, `-` and `_` alone, at most 100
    g.toml: cannot be read: it has more than 64 KiB; make it a readable file of UTF-8 text of at most 64 KiB
    "#);
}

#[test]
fn a_change_is_seen_at_once_and_a_folder_that_is_gone_is_said() {
    let (folder, dashboards) = folder(&[("a.toml", GOOD)]);
    fs::write(
        folder.path().join("a.toml"),
        GOOD.replace("Requests", "Changed"),
    )
    .unwrap();
    assert_eq!(dashboards.one("a").unwrap().title, "Changed");
    fs::remove_file(folder.path().join("a.toml")).unwrap();
    assert_eq!(dashboards.one("a"), None);
    drop(folder);
    let said = dashboards.mistakes().join("\n");
    assert!(
        said.contains("the folder of dashboards cannot be read"),
        "{said}"
    );
}

/// Whatever the list has, one dashboard has too.
#[test]
fn what_is_listed_as_wrong_is_wrong_alone_as_well() {
    let (folder, dashboards) = folder(&[("a b.toml", GOOD), ("c.toml", "title = 3")]);
    fs::create_dir(folder.path().join("d.toml")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folder.path().join("e.toml")).unwrap();
    let listing = dashboards.list();
    assert!(listing.dashboards.len() >= 3);
    for dashboard in listing.dashboards {
        assert!(!dashboard.mistakes.is_empty(), "{}", dashboard.name);
        let alone = dashboards.one(&dashboard.name);
        assert_eq!(alone, Some(dashboard));
    }
}

#[test]
fn a_name_leads_nowhere_else() {
    let (folder, _) = folder(&[("a.toml", GOOD)]);
    fs::create_dir(folder.path().join("inner")).unwrap();
    let dashboards = Dashboards::new(Some(folder.path().join("inner")));
    for name in ["../a", "..", "", "/etc/passwd", "a/../../a"] {
        assert_eq!(dashboards.one(name), None, "{name}");
    }
    assert_eq!(Dashboards::new(None).list(), Listing::default());
}

#[test]
fn more_than_are_shown_are_counted() {
    let (folder, dashboards) = folder(&[]);
    for number in 0..FILES_MAX + 3 {
        fs::write(folder.path().join(format!("{number}.toml")), GOOD).unwrap();
    }
    let listing = dashboards.list();
    assert_eq!((listing.dashboards.len(), listing.left_out), (FILES_MAX, 3));
}
