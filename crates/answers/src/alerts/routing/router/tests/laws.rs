//! What holds whatever happens, and what a change of the configuration leaves.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::{SECOND_NS, World, alert, plan};
use crate::alerts::{
    Phase,
    routing::{GROUPS_MAX, Outcome, Router, StateError},
};

const CONFIG: &str = r#"
    route = { receiver = "team", routes = [
        { receiver = "pager", matchers = ["severity=critical"], continue = true, group_wait = "5s", group_interval = "60s", repeat_interval = "30m" },
        { receiver = "team", flap_firings = 2, flap_window = "20m" },
    ] }
    receivers.team = { kind = "webhook", url = "http://hook/" }
    receivers.pager = { kind = "webhook", url = "http://hook/" }
    inhibit = [{ source = ["severity=critical"], target = ["severity=warning"], equal = ["service"] }]
"#;

const ALERTS: [&str; 5] = [
    "slow service=a severity=warning",
    "slow service=b severity=warning",
    "down service=a severity=critical",
    "down service=b severity=critical",
    "full disk=c",
];

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Fire(usize),
    Resolve(usize),
    Wait(u64),
    Silence(&'static str, u64),
    Down(&'static str),
    Up,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let receiver = prop_oneof![Just("team"), Just("pager")];
    prop_oneof![
        4 => (0..ALERTS.len()).prop_map(Event::Fire),
        4 => (0..ALERTS.len()).prop_map(Event::Resolve),
        6 => (1_u64..700).prop_map(Event::Wait),
        1 => (prop_oneof![Just("service=a"), Just("alertname=full")], 60_u64..3_000).prop_map(|(matcher, seconds)| Event::Silence(matcher, seconds)),
        1 => receiver.prop_map(Event::Down),
        1 => Just(Event::Up),
        1 => Just(Event::Restart),
    ]
}

impl World {
    fn happen(&mut self, event: &Event, firing: &mut BTreeSet<usize>) {
        match event {
            Event::Fire(index) => {
                firing.insert(*index);
                self.take(ALERTS[*index], Phase::Firing);
            }
            Event::Resolve(index) => {
                firing.remove(index);
                self.take(ALERTS[*index], Phase::Resolved);
            }
            Event::Wait(seconds) => self.until(self.now + seconds * SECOND_NS),
            Event::Silence(matcher, seconds) => drop(self.silence(matcher, seconds * SECOND_NS)),
            Event::Down(receiver) => self.down.extend([(*receiver).to_owned()]),
            Event::Up => self.down.clear(),
            Event::Restart => self.restart(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// `World` itself refuses a resolution of what was never told. Here: no two notifications of a group within its
    /// interval; and once all is quiet, everybody believes what is true.
    #[test]
    fn receivers_end_up_believing_what_is_true_and_are_not_told_too_often(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(plan(CONFIG));
        let mut firing = BTreeSet::new();
        for event in &events {
            world.happen(event, &mut firing);
        }
        world.down.clear();
        world.until(world.now + 6 * 3_600 * SECOND_NS);
        for ((receiver, group), times) in &world.arrived {
            let least_s = if receiver == "pager" { 60 } else { 300 };
            prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= least_s * SECOND_NS), "{} {}: {:?}", receiver, group, world.lines);
        }
        let fires = |name: &str| firing.iter().any(|&index| ALERTS[index].starts_with(name));
        let believes = |receiver: &str, name: &str| world.believed.get(receiver).is_some_and(|names| names.contains(name));
        for (name, words) in [("down/a", "down service=a"), ("down/b", "down service=b")] {
            prop_assert_eq!(believes("pager", name), fires(words), "{}: {:?}", name, world.lines);
            prop_assert_eq!(believes("team", name), fires(words), "{}: {:?}", name, world.lines);
        }
        prop_assert_eq!(believes("team", "full/c"), fires("full"), "{:?}", world.lines);
        for (name, words, source) in [("slow/a", "slow service=a", "down service=a"), ("slow/b", "slow service=b", "down service=b")] {
            // What is inhibited may have been told before it was.
            if !fires(words) || !fires(source) {
                prop_assert_eq!(believes("team", name), fires(words), "{}: {:?}", name, world.lines);
            }
        }
    }

    #[test]
    fn a_restart_after_every_step_changes_nothing(events in prop::collection::vec(event(), 1..40)) {
        let (mut steady, mut restarted) = (World::new(plan(CONFIG)), World::new(plan(CONFIG)));
        let mut firing = BTreeSet::new();
        for event in events.iter().filter(|event| !matches!(event, Event::Restart)) {
            steady.happen(event, &mut firing);
            restarted.happen(event, &mut firing);
            restarted.restart();
        }
        for world in [&mut steady, &mut restarted] {
            world.until(world.now + 5 * 3_600 * SECOND_NS);
        }
        prop_assert_eq!(steady.lines, restarted.lines);
        prop_assert_eq!(steady.router.counts(), restarted.router.counts());
    }
}

#[test]
fn a_notification_nobody_answers_for_is_made_anew() {
    let mut world = World::new(plan(CONFIG));
    world.take("full disk=c", Phase::Firing);
    let first = world.router.advance(world.now + 30 * SECOND_NS);
    assert_eq!(first.len(), 1);
    assert_eq!(
        world.router.advance(world.now + 600 * SECOND_NS).len(),
        0,
        "it is on its way"
    );
    let due = world.router.next_due().unwrap();
    assert_eq!(due, world.now + 630 * SECOND_NS);
    assert!(world.router.advance(due).is_empty());
    assert_eq!(
        world.router.failing()[0].because,
        "nobody said whether it arrived"
    );
    let again = world.router.advance(due + 5 * SECOND_NS);
    assert_eq!((again.len(), again[0].alerts.len()), (1, 1));
    assert!(
        !world
            .router
            .answered(first[0].id, Outcome::Delivered, due + 5 * SECOND_NS),
        "too late"
    );
    assert!(
        world
            .router
            .answered(again[0].id, Outcome::Delivered, due + 6 * SECOND_NS)
    );
    // A restart while one is on its way sends it again.
    world.take("full disk=c", Phase::Resolved);
    let resolved = world.router.advance(due + 900 * SECOND_NS);
    assert_eq!(resolved.len(), 1);
    world.restart();
    assert_eq!(world.router.advance(due + 900 * SECOND_NS).len(), 1);
}

#[test]
fn a_receiver_that_refuses_or_asks_for_time_is_left_alone() {
    let mut world = World::new(plan(CONFIG));
    world.take("full disk=c", Phase::Firing);
    let start = world.now + 30 * SECOND_NS;
    let sent = world.router.advance(start);
    let busy = Outcome::Failed {
        because: "429".to_owned(),
        retry_after_ms: Some(120_000),
    };
    world.router.answered(sent[0].id, busy, start);
    assert_eq!(world.router.next_due(), Some(start + 120 * SECOND_NS));
    let sent = world.router.advance(start + 120 * SECOND_NS);
    world.router.answered(
        sent[0].id,
        Outcome::Refused {
            because: "404".to_owned(),
        },
        start + 120 * SECOND_NS,
    );
    assert_eq!(world.router.next_due(), Some(start + 1_020 * SECOND_NS));
    let counts = world.router.counts();
    assert_eq!(
        (counts.sent, counts.failed, counts.refused, counts.delivered),
        (2, 1, 1, 0)
    );
}

#[test]
fn with_another_configuration_receivers_keep_what_they_were_told() {
    let mut world = World::new(plan(CONFIG));
    for words in ALERTS {
        world.take(words, Phase::Firing);
    }
    world.until(world.now + 60 * SECOND_NS);
    let before = world.lines.len();
    let other = r#"
        route = { receiver = "team", group_by = ["service"] }
        receivers.team = { kind = "webhook", url = "http://hook/" }
    "#;
    world.router = Router::restore(plan(other), world.router.save()).unwrap();
    world.until(world.now + 3_600 * SECOND_NS);
    // Nothing of what `team` knew is told again; what was inhibited no longer is.
    let told = world.lines[before..].join("\n");
    assert!(
        told.contains("changed: *slow/a firing, down/a firing")
            && told.contains("changed: *slow/b firing, down/b firing"),
        "{told}"
    );
    assert!(!told.contains("full"), "{told}");
    // The pager heard of two, and is no more.
    assert_eq!(world.router.counts().orphaned, 2);
    world.take("full disk=c", Phase::Resolved);
    world.until(world.now + 3_600 * SECOND_NS);
    assert!(
        world
            .lines
            .last()
            .unwrap()
            .ends_with("team: resolved: *full/c resolved")
    );
}

#[test]
fn what_no_longer_fires_after_a_start_is_resolved() {
    let mut world = World::new(plan(CONFIG));
    world.take(ALERTS[4], Phase::Firing);
    world.take(ALERTS[3], Phase::Firing);
    world.until(world.now + 60 * SECOND_NS);
    world.restart();
    let firing = BTreeSet::from([alert(ALERTS[3], Phase::Firing, 0).fingerprint()]);
    world.router.reconcile(&firing, world.now);
    world.until(world.now + 3_600 * SECOND_NS);
    assert!(world.believed["pager"].contains("down/b"));
    assert_eq!(
        world.believed["team"],
        BTreeSet::from(["down/b".to_owned()])
    );
}

#[test]
fn what_has_no_room_is_counted_and_what_is_over_makes_some() {
    let mut world = World::new(plan(
        "route = { receiver = 'team', group_by = ['...'] }\nreceivers.team = { kind = 'webhook', url = 'http://hook/' }",
    ));
    for number in 0..GROUPS_MAX + 5 {
        world.take(&format!("down pod={number}"), Phase::Firing);
    }
    assert_eq!(world.router.counts().no_room, 5);
    world.take("down pod=0", Phase::Resolved);
    world.now += SECOND_NS;
    world.take("down pod=x", Phase::Firing);
    assert_eq!(world.router.counts().no_room, 5);
    world.take("down pod=y", Phase::Firing);
    assert_eq!(world.router.counts().no_room, 6);
}

#[test]
fn a_state_of_another_version_is_refused() {
    let world = World::new(plan(CONFIG));
    let text = serde_json::to_string(&world.router.save())
        .unwrap()
        .replacen("\"version\":1", "\"version\":9", 1);
    let refused = Router::restore(plan(CONFIG), serde_json::from_str(&text).unwrap());
    assert_eq!(refused.err(), Some(StateError::Version(9)));
}
