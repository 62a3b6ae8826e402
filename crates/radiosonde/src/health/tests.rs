//! Names, bounds, and checks that run: on time, too long, and never again.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Runs when it is asked to, and as long as it likes.
fn on_demand() -> CheckOptions {
    CheckOptions {
        interval: LONG * 60,
        timeout: LONG,
        ..CheckOptions::default()
    }
}

fn seen(health: &Health, name: &str) -> (Status, String) {
    let checks = health.report().checks;
    let check = checks.into_iter().find(|check| check.name == name).unwrap();
    (check.status, check.message)
}

/// Waits for what other threads bring about.
fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_name_stands_once_and_the_worst_check_decides() {
    let health = Health::new();
    assert_eq!(health.status(), Status::Healthy);
    let worst = [
        ("model", Status::Healthy, Status::Healthy),
        ("device", Status::Unknown, Status::Unknown),
        ("collector", Status::Degraded, Status::Degraded),
        ("disk", Status::Critical, Status::Critical),
        ("disk", Status::Healthy, Status::Degraded),
        ("collector", Status::Healthy, Status::Unknown),
    ];
    for (name, status, expected) in worst {
        assert!(health.update(name, status, ""));
        assert_eq!(health.status(), expected, "{name}");
    }
    health.remove("device");
    let report = health.report();
    assert_eq!(report.status, Status::Healthy);
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|check| check.name.as_ref())
        .collect();
    assert_eq!(names, ["model", "collector", "disk"]);
}

#[test]
fn checks_and_their_texts_are_bounded() {
    let health = Health::new();
    assert!(health.update(
        "é".repeat(TEXT_BYTES_MAX),
        Status::Healthy,
        "é".repeat(TEXT_BYTES_MAX)
    ));
    let check = health.report().checks.remove(0);
    assert!(check.name.len() <= TEXT_BYTES_MAX && check.message.len() <= TEXT_BYTES_MAX);
    for index in 1..CHECKS_MAX {
        assert!(health.update(index.to_string(), Status::Healthy, ""));
    }
    assert!(!health.update("one more", Status::Critical, ""));
    let refused = health.check("one more", on_demand(), || ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "health check \"one more\": there are 256 already; remove one, or look at several things in one"
    );
    assert!(health.update("1", Status::Critical, ""));
    assert_eq!(health.status(), Status::Critical);
}

#[test]
fn a_check_says_how_it_is_by_what_it_returns() {
    let health = Health::new();
    let options = on_demand;
    health.check("nothing", options(), || ()).unwrap();
    health.check("no", options(), || false).unwrap();
    health
        .check("status", options(), || Status::Degraded)
        .unwrap();
    let fails = || "x".parse::<u8>();
    health.check("fails", options(), fails).unwrap();
    let secret = || Outcome::new(Status::Degraded, "postgres://ann:hunter2@db/app is slow");
    health.check("secret", options(), secret).unwrap();
    let panics = || -> Status { panic!("no such device") };
    health.check("panics", options(), panics).unwrap();
    let absent = || Outcome::absent("no device");
    health.check("absent", options(), absent).unwrap();
    assert!(health.run_now(LONG));
    for (name, status, message) in [
        ("nothing", Status::Healthy, ""),
        ("no", Status::Critical, ""),
        ("status", Status::Degraded, ""),
        ("fails", Status::Critical, "invalid digit found in string"),
        ("panics", Status::Critical, "panicked: no such device"),
        ("absent", Status::Unknown, "no device"),
    ] {
        assert_eq!(seen(&health, name), (status, message.to_owned()), "{name}");
    }
    let (_, shown) = seen(&health, "secret");
    assert!(
        !shown.contains("hunter2") && shown.ends_with("is slow"),
        "{shown}"
    );
    for name in ["no", "status", "fails", "panics", "secret"] {
        health.remove(name);
    }
    assert_eq!(
        health.status(),
        Status::Healthy,
        "what is absent has no part"
    );
}

#[test]
fn a_single_bad_look_is_told_and_not_shown() {
    let health = Health::new();
    let is_there = Arc::new(AtomicBool::new(true));
    let looks = Arc::clone(&is_there);
    let options = on_demand();
    let check = move || looks.load(Relaxed).then_some(()).ok_or("refused");
    health.check("database", options, check).unwrap();
    let look = |there| {
        is_there.store(there, Relaxed);
        assert!(health.run_now(LONG));
        seen(&health, "database")
    };
    let healthy = || (Status::Healthy, String::new());
    assert_eq!(look(true), healthy());
    let told = "the last look was critical: refused".to_owned();
    assert_eq!(look(false), (Status::Healthy, told));
    assert_eq!(look(true), healthy());
    look(false);
    assert_eq!(look(false), (Status::Critical, "refused".to_owned()));
    let told = "the last look was healthy".to_owned();
    assert_eq!(look(true), (Status::Critical, told));
    assert_eq!(look(true), healthy());
}

#[test]
fn a_check_that_hangs_is_critical_holds_up_no_other_and_is_not_run_again() {
    let health = Health::new();
    let (release, hangs) = mpsc::channel::<()>();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let options = CheckOptions {
        interval: INTERVAL_MIN,
        timeout: Duration::from_millis(20),
        ..CheckOptions::default()
    };
    let hanging = move || {
        counted.fetch_add(1, Relaxed);
        // Until the sender is gone.
        let _ = hangs.recv();
    };
    health.check("hangs", options, hanging).unwrap();
    assert!(!health.passes(Probe::Readiness), "nobody has looked yet");
    let others = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&others);
    let other = move || {
        counted.fetch_add(1, Relaxed);
    };
    let patient = CheckOptions {
        timeout: LONG,
        ..options
    };
    health.check("other", patient, other).unwrap();
    until(|| seen(&health, "hangs").0 == Status::Critical);
    let told = "did not answer within 20ms".to_owned();
    assert_eq!(seen(&health, "hangs").1, told);
    assert!(!health.passes(Probe::Readiness) && health.passes(Probe::Liveness));
    // Many intervals later it was still begun once, and the other one was run in each of them.
    let before = others.load(Relaxed);
    until(|| others.load(Relaxed) > before + 5);
    assert_eq!(runs.load(Relaxed), 1);
    assert_eq!(seen(&health, "other").0, Status::Healthy);
    assert!(health.run_now(LONG), "nobody waits for what hangs");
    drop(release);
    until(|| seen(&health, "hangs").0 == Status::Healthy);
    assert!(runs.load(Relaxed) > 1);
}

#[test]
fn the_startup_is_over_once_each_of_its_checks_has_passed_and_stays_so() {
    let health = Health::new();
    assert!(health.passes(Probe::Startup), "nothing is to be waited for");
    let is_loaded = Arc::new(AtomicBool::new(false));
    let looks = Arc::clone(&is_loaded);
    let options = CheckOptions {
        affects: Affects::STARTUP,
        ..on_demand()
    };
    let check = move || looks.load(Relaxed);
    health.check("model", options, check).unwrap();
    assert!(health.run_now(LONG));
    let passes = || Probe::ALL.map(|probe| health.passes(probe));
    assert_eq!(passes(), [false, true, true, false]);
    is_loaded.store(true, Relaxed);
    // One good look is not enough to be shown.
    assert!(health.run_now(LONG));
    assert!(!health.passes(Probe::Startup));
    assert!(health.run_now(LONG));
    assert_eq!(passes(), [true; 4]);
    is_loaded.store(false, Relaxed);
    assert!(health.run_now(LONG) && health.run_now(LONG));
    assert_eq!(passes(), [false, true, true, true]);
}

#[test]
fn checks_end_with_the_last_of_those_who_have_a_part_in_them() {
    struct Gone(mpsc::Sender<()>);

    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    let (sender, gone) = mpsc::channel();
    let holding = || {
        let held = Gone(sender.clone());
        move || {
            let _ = &held;
        }
    };
    let health = Health::new();
    health.check("held", on_demand(), holding()).unwrap();
    assert!(health.run_now(LONG) && gone.try_recv().is_err());
    // A check that takes its place ends it.
    health.check("held", on_demand(), || ()).unwrap();
    gone.recv_timeout(LONG).unwrap();
    health.check("held", on_demand(), holding()).unwrap();
    drop(health.clone());
    assert!(health.run_now(LONG) && gone.try_recv().is_err());
    drop(health);
    gone.recv_timeout(LONG).unwrap();
}
