use std::{cell::Cell, sync::Arc};

use radiosonde_core::{ValueRef, batch::Parts};
use tracing::{Metadata, callsite::Callsite as _};

use super::*;

thread_local! {
    static DAY: Cell<u64> = const { Cell::new(20_000) };
}

fn day() -> u64 {
    DAY.get()
}

macro_rules! metadata {
    ($target:literal) => {{
        static CALLSITE: tracing::callsite::DefaultCallsite =
            tracing::callsite::DefaultCallsite::new(&METADATA);
        static METADATA: Metadata<'static> = Metadata::new(
            "log",
            $target,
            tracing::Level::INFO,
            None,
            None,
            None,
            tracing::field::FieldSet::new(&["message"], tracing::callsite::Identifier(&CALLSITE)),
            tracing::metadata::Kind::EVENT,
        );
        CALLSITE.metadata()
    }};
}

fn batch(targets: &[(&'static Metadata<'static>, &str)]) -> Batch {
    let mut batch = Batch::new(Arc::default());
    for (metadata, message) in targets {
        let parts = Parts {
            attributes: &[("message", ValueRef::Str(message))],
            ..Parts::default()
        };
        batch.push_log(metadata, None, &parts);
    }
    batch
}

fn one(message: &str) -> Batch {
    batch(&[(metadata!("engine::decode"), message)])
}

fn open(config: &FileConfig, start_unix_s: u64) -> Files {
    Files::open_at(config, start_unix_s, day).unwrap()
}

/// Every file below `folder` with its number of lines, but for lists.
fn tree(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if !name.ends_with(".radiosonde") {
                all.push(format!("{name} {lines}"));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_run_has_a_folder_with_a_file_for_each_crate_and_one_with_everything() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileConfig::new(folder.path());
    let mut files = open(&config, 1_767_225_599);
    let records = [
        (metadata!("engine::decode"), "one"),
        (metadata!("engine"), "two"),
        (metadata!("../../etc"), "three"),
        (metadata!("all::of_it"), "four"),
    ];
    files.export(&batch(&records)).unwrap();
    files.flush().unwrap();
    let run = "run_20251231_235959";
    let expected = [
        format!("{run}/______etc.2024-10-04.jsonl 1"),
        format!("{run}/all.2024-10-04.jsonl 4"),
        format!("{run}/all_.2024-10-04.jsonl 1"),
        format!("{run}/engine.2024-10-04.jsonl 2"),
    ];
    assert_eq!(tree(folder.path()), expected);
    assert_eq!(files.folder(), folder.path().join(run));
    // Another run in the same second.
    let second = open(&config, 1_767_225_599);
    assert_eq!(second.folder(), folder.path().join(format!("{run}_2")));
}

#[test]
fn the_eleventh_run_takes_the_place_of_the_first_and_nothing_else_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = [
        "run_20000101_000000/notes.txt",
        "run_of_the_mill/all.2000-01-01.jsonl",
        "all.2000-01-01.jsonl",
    ];
    for name in foreign {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine\n").unwrap();
    }
    let config = FileConfig::new(folder.path());
    let begin = 20_000 * 86_400;
    let runs = |start: u64| {
        let mut files = open(&config, start);
        files.export(&one("here")).unwrap();
        files.close().unwrap();
        files
    };
    // Still going on.
    let held = runs(begin);
    for start in 1..=11 {
        runs(begin + start);
    }
    let tree_now = tree(folder.path());
    for name in foreign {
        assert!(tree_now.contains(&format!("{name} 1")), "{tree_now:?}");
    }
    let left: Vec<u64> = (0..=11)
        .filter(|start| {
            let name = name::RunName::new(begin + start).to_string();
            folder.path().join(name).exists()
        })
        .collect();
    // Ten are kept, and the one that still goes on.
    assert_eq!(left, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    // Something of somebody else's in a run keeps the folder.
    drop(held);
    let first = folder.path().join(name::RunName::new(begin).to_string());
    fs::write(first.join("core"), "dump\n").unwrap();
    runs(begin + 12);
    assert!(first.join("core").exists());
    assert!(!first.join("all.2024-10-04.jsonl").exists());
    assert!(
        !folder
            .path()
            .join(name::RunName::new(begin + 2).to_string())
            .exists()
    );
}

#[test]
fn each_day_has_files_of_its_own_and_thirty_days_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    // Somebody else's, however much it looks like ours.
    fs::write(folder.path().join("other.2024-10-04.jsonl"), "mine\n").unwrap();
    let config = FileConfig {
        rotation: Rotation::Daily,
        ..FileConfig::new(folder.path())
    };
    DAY.set(20_000);
    let mut files = open(&config, 0);
    for day in 20_000..20_031 {
        DAY.set(day);
        files.export(&one("today")).unwrap();
    }
    files.close().unwrap();
    let tree_now = tree(folder.path());
    // Of the first of 31 days there is nothing left.
    assert_eq!(tree_now.len(), 2 * 30 + 1, "{tree_now:?}");
    assert!(tree_now.contains(&"other.2024-10-04.jsonl 1".to_owned()));
    assert!(!tree_now.contains(&"all.2024-10-04.jsonl 1".to_owned()));
    assert!(tree_now.contains(&"all.2024-10-05.jsonl 1".to_owned()));
    // A later run adds to the files of its day, and knows what the one before it made.
    let mut files = open(&config, 0);
    files.export(&one("again")).unwrap();
    files.close().unwrap();
    assert!(tree(folder.path()).contains(&"all.2024-11-03.jsonl 2".to_owned()));
    DAY.set(21_000);
    let files = open(&config, 0);
    drop(files);
    let expected = ["all.2027-07-01.jsonl 0", "other.2024-10-04.jsonl 1"];
    assert_eq!(tree(folder.path()), expected);
}

#[test]
fn a_file_that_is_full_is_followed_by_another_part_of_the_day() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileConfig {
        rotation: Rotation::Daily,
        per_target: false,
        format: Format::Human,
        file_bytes_max: 120,
        ..FileConfig::new(folder.path())
    };
    DAY.set(20_000);
    for _ in 0..2 {
        let mut files = open(&config, 0);
        for index in 0..4 {
            files
                .export(&one(&format!("line {index} of four")))
                .unwrap();
        }
        files.close().unwrap();
    }
    // Two lines fit, and the second run finds two parts that are full.
    let begin = "all.2024-10-04";
    let expected = [
        format!("{begin}.2.log 2"),
        format!("{begin}.3.log 2"),
        format!("{begin}.4.log 2"),
        format!("{begin}.log 2"),
    ];
    assert_eq!(tree(folder.path()), expected);
}

#[test]
fn of_too_many_targets_the_further_ones_are_in_the_file_with_everything_and_that_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileConfig {
        rotation: Rotation::Daily,
        ..FileConfig::new(folder.path())
    };
    DAY.set(20_000);
    let mut files = open(&config, 0);
    for index in 0..TARGETS_MAX {
        files.open_target(&format!("target{index}")).unwrap();
    }
    let records = [
        (metadata!("one_more"), "one"),
        (metadata!("target7::inner"), "two"),
    ];
    let error = files.export(&batch(&records)).unwrap_err();
    assert!(
        error.to_string().contains("one_more and further ones"),
        "{error}"
    );
    files.export(&batch(&records)).unwrap();
    files.close().unwrap();
    let tree_now = tree(folder.path());
    assert!(tree_now.contains(&"all.2024-10-04.jsonl 4".to_owned()));
    // Those that have a file are in it all the same.
    assert!(tree_now.contains(&"target7.2024-10-04.jsonl 2".to_owned()));
    assert_eq!(tree_now.len(), TARGETS_MAX + 1);
}

#[test]
fn a_folder_that_may_not_be_written_is_told_with_a_mend() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let config = FileConfig::new(folder.path().join("file"));
    let error = Files::open(&config).unwrap_err().to_string();
    assert!(
        error.contains("name a folder that you may write"),
        "{error}"
    );
}

mod laws {
    use proptest::prelude::*;

    use super::super::name::{FileName, RunName, of_target};
    use super::Format;

    proptest! {
        #[test]
        fn names_are_read_as_they_are_written(target in "\\PC{0,130}", day in 0_u64..100_000, part in 1_u32..1000) {
            let begin = of_target(&target);
            let mut name = FileName::new(&begin, day, Format::Json);
            name.part = part;
            let text = name.to_string();
            prop_assert!(!text.contains('/') && text.len() < 200);
            prop_assert_eq!(FileName::read(&text), Some(name));
        }

        #[test]
        fn runs_are_read_as_they_are_written(start in 0_u64..200_000_000_000, number in 1_u32..1000) {
            let mut name = RunName::new(start);
            name.number = number;
            prop_assert_eq!(RunName::read(&name.to_string()), Some(name));
        }

        #[test]
        fn no_text_is_read_as_a_name_that_is_written_otherwise(text in "(run_)?[0-9a-z_.-]{0,30}") {
            if let Some(name) = FileName::read(&text) {
                prop_assert_eq!(name.to_string(), text.clone());
            }
            if let Some(name) = RunName::read(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
