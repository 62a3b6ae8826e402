//! The complaint threads about alerts as a table: what happens, and what people get to see. Numbers are those of issues of
//! prometheus/alertmanager.

use std::fmt::Write;

use super::world::{SECOND_NS, START_UNIX_NS, World, plan};
use crate::alerts::{Labels, Phase};

/// One receiver, the defaults.
const PLAIN: &str = r#"
    route.receiver = "team"
    receivers.team = { kind = "webhook", url = "http://hook/" }
"#;

/// The same, with what a case adds.
fn with(more: &str) -> String {
    format!("{PLAIN}\n{more}")
}

fn assert_told(config: &str, timeline: &str, expected: &str) -> World {
    let mut world = World::new(plan(config));
    world.run(timeline);
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(world.lines, expected, "\n{}", world.lines.join("\n"));
    world
}

/// Two collectors see the same, and one of them is enough.
const COLLECTORS: &str = r#"
    inhibit = [{ source = ['collector="a"'], target = ['collector="b"'], equal = ["alertname"] }]
"#;

#[test]
fn ten_firings_in_twenty_minutes_are_one_notification_and_a_digest_3048() {
    let mut timeline = String::new();
    for round in 0..10 {
        writeln!(
            timeline,
            "{:02}:00 fire slow\n{:02}:00 resolve slow",
            2 * round,
            2 * round + 1
        )
        .unwrap();
        if round == 4 {
            timeline.push_str("09:30 show\n");
        }
    }
    timeline.push_str("600:00 end");
    let world = assert_told(
        PLAIN,
        &timeline,
        "00:30 team: new: *slow firing
        09:30 team: held slow: flapping, 5 times, until 14:00
        24:00 team: digest: *slow resolved (10 times in 1140 s)",
    );
    assert_eq!(
        (world.router.counts().sent, world.router.counts().digests),
        (2, 1)
    );
}

#[test]
fn an_alert_that_fires_every_twenty_minutes_for_a_day_is_told_of_ten_times_not_144_3048() {
    let mut world = World::new(plan(PLAIN));
    for round in 0..72 {
        world.run(&format!(
            "{}:00 fire slow\n{}:00 resolve slow",
            20 * round,
            20 * round + 10
        ));
    }
    world.run("1500:00 end");
    assert_eq!(
        world.lines[..4].join("\n"),
        "00:30 team: new: *slow firing\n10:30 team: resolved: *slow resolved\n20:30 team: new: *slow firing (2 times in 1200 s)\n30:30 team: resolved: *slow resolved (2 times in 1800 s)"
    );
    assert!(
        world.lines[4..].iter().all(|line| line.contains("digest")),
        "{:?}",
        world.lines
    );
    assert_eq!(world.lines.len(), 10, "{}", world.lines.join("\n"));
    assert!(world.believed["team"].is_empty());
}

#[test]
fn a_real_outage_after_flapping_is_told_within_the_bound() {
    assert_told(
        PLAIN,
        "00:00 fire slow
        01:00 resolve slow
        02:00 fire slow
        03:00 resolve slow
        04:00 fire slow
        05:00 resolve slow
        30:00 fire slow
        100:00 end",
        "00:30 team: new: *slow firing
        10:00 team: digest: *slow resolved (3 times in 300 s)
        35:00 team: digest: *slow firing",
    );
}

#[test]
fn what_is_silenced_after_it_was_told_is_told_to_be_resolved_226() {
    assert_told(
        PLAIN,
        r#"00:00 fire slow
        02:00 silence alertname="slow"
        02:00 show
        10:00 resolve slow
        90:00 end"#,
        "00:30 team: new: *slow firing
        02:00 team: held slow: silenced by silence-1 until 62:00
        10:30 team: resolved: *slow resolved",
    );
}

#[test]
fn what_was_silenced_from_the_start_is_never_told_unless_it_outlives_the_silence() {
    assert_told(
        &with("route.group_by = ['...']"),
        r#"00:00 silence alertname="slow"
        01:00 fire slow service=a
        01:00 fire slow service=b
        10:00 resolve slow service=a
        70:00 end"#,
        "60:30 team: new: *slow/b firing",
    );
    assert_told(
        PLAIN,
        r#"00:00 silence alertname="slow"
        01:00 fire slow
        05:00 expire silence-1
        70:00 end"#,
        "05:30 team: new: *slow firing",
    );
}

#[test]
fn an_inhibited_alert_is_not_told_to_be_resolved_891() {
    for order in [
        "a\n10:01 resolve down collector=b",
        "b\n10:01 resolve down collector=a",
    ] {
        assert_told(
            &with(COLLECTORS),
            &format!(
                "00:00 fire down collector=b
                00:05 fire down collector=a
                01:00 show
                10:00 resolve down collector={order}
                90:00 end"
            ),
            if order.starts_with('a') {
                "00:35 team: new: *down/a firing
                01:00 team: held down/b: inhibited by rule 0, by down
                10:30 team: resolved: *down/a resolved"
            } else {
                "00:35 team: new: *down/a firing
                01:00 team: held down/b: inhibited by rule 0, by down
                10:31 team: resolved: *down/a resolved"
            },
        );
    }
}

#[test]
fn what_was_told_and_is_inhibited_later_is_told_to_be_resolved_2754() {
    assert_told(
        &with(
            "route.group_by = ['...']
            inhibit = [{ source = ['severity=critical'], target = ['severity=warning'], equal = ['service'] }]",
        ),
        "00:00 fire slow service=a severity=warning
        01:00 fire down service=a severity=critical
        05:00 resolve slow service=a severity=warning
        15:00 resolve down service=a severity=critical
        90:00 end",
        "00:30 team: new: *slow/a firing
        01:30 team: new: *down/a firing
        05:30 team: resolved: *slow/a resolved
        15:30 team: resolved: *down/a resolved",
    );
}

#[test]
fn nothing_is_resolved_that_was_not_told_to_fire_878() {
    let world = assert_told(PLAIN, "00:00 fire slow\n00:20 resolve slow\n90:00 end", "");
    assert_eq!(world.router.counts().unheard, 1);
    assert!(world.router.held(world.now).is_empty());
}

#[test]
fn what_fires_again_is_told_again_to_those_who_want_no_resolutions_1063() {
    let config = r#"
        route = { receiver = "team", flap_firings = 0 }
        receivers.team = { kind = "webhook", url = "http://hook/", send_resolved = false }
    "#;
    assert_told(
        config,
        "00:00 fire slow
        05:00 resolve slow
        10:00 fire slow
        15:00 resolve slow
        20:00 fire slow
        30:00 end",
        "00:30 team: new: *slow firing
        10:30 team: new: *slow firing
        20:30 team: new: *slow firing",
    );
}

#[test]
fn an_inhibited_alert_stays_inhibited_over_a_restart_4064() {
    assert_told(
        &with(COLLECTORS),
        "00:00 fire down collector=b
        00:05 fire down collector=a
        60:00 restart
        60:00 fire down collector=b
        60:20 fire down collector=a
        120:00 forget
        120:00 fire down collector=b
        120:20 fire down collector=a
        180:00 end",
        // Without its memory it says once more what it does not know to have said, and still not what is inhibited.
        "00:35 team: new: *down/a firing
        120:50 team: new: *down/a firing",
    );
}

#[test]
fn a_route_can_be_asked_about_any_time_3889() {
    let plan = plan(&with(
        "route.routes = [{ receiver = 'team', matchers = ['severity!=critical'], mute_times = ['nights'] }]
        mute_times = [{ name = 'nights', spans = [{ times = ['22:00-24:00', '00:00-06:00'] }] }]",
    ));
    let muted = |severity: &str, hour: u64| {
        let labels = Labels::from([("severity".to_owned(), severity.to_owned())]);
        let taken = plan.explain(&labels, START_UNIX_NS + hour * 3_600 * SECOND_NS);
        assert_eq!(taken.len(), 1);
        taken[0].muted_by.clone()
    };
    assert_eq!(muted("warning", 5).as_deref(), Some("nights"));
    assert_eq!(muted("warning", 6), None);
    assert_eq!(muted("critical", 5), None);
}

#[test]
fn one_alert_that_says_enough_stands_for_thousands_3932() {
    let mut world = World::new(plan(&with(
        "route.group_by = ['...']
        inhibit = [{ source = ['alertname=cluster_down'], target = ['alertname=pod_down'], equal = ['cluster'] }]",
    )));
    for pod in 0..5_000 {
        world.take(&format!("pod_down cluster=x pod={pod}"), Phase::Firing);
    }
    world.take("cluster_down cluster=x", Phase::Firing);
    world.take("pod_down cluster=y pod=0", Phase::Firing);
    world.run("60:00 end");
    assert_eq!(
        world.lines,
        [
            "00:30 team: new: *cluster_down/x firing",
            "00:30 team: new: *pod_down/y/0 firing"
        ]
    );
    assert_eq!(world.router.held(world.now).len(), 5_000);
}

#[test]
fn a_group_says_what_changed_and_what_goes_on_1403() {
    assert_told(
        PLAIN,
        "00:00 fire down service=1
        00:10 fire down service=3
        15:00 resolve down service=3
        21:00 fire down service=3
        21:10 fire down service=2
        300:00 resolve down service=1
        300:00 resolve down service=2
        300:00 resolve down service=3
        400:00 end",
        "00:30 team: new: *down/1 firing, *down/3 firing
        15:30 team: changed: *down/3 resolved, down/1 firing
        21:30 team: changed: *down/2 firing, *down/3 firing (2 times in 1250 s), down/1 firing
        261:30 team: repeat: down/1 firing, down/2 firing, down/3 firing
        300:30 team: resolved: *down/1 resolved, *down/2 resolved, *down/3 resolved",
    );
}

#[test]
fn what_is_muted_is_told_afterwards() {
    let nights = "route.routes = [{ mute_times = ['nights'] }]
        mute_times = [{ name = 'nights', spans = [{ times = ['00:00-06:00'] }] }]";
    assert_told(
        &with(nights),
        "00:00 fire slow service=a
        01:00 fire slow service=b
        02:00 show
        100:00 resolve slow service=b
        370:00 end",
        "02:00 team: held slow/a: muted by nights
        02:00 team: held slow/b: muted by nights
        360:00 team: new: *slow/a firing",
    );
}

#[test]
fn what_does_not_arrive_is_tried_again_until_it_is_out_of_date() {
    assert_told(
        PLAIN,
        "00:00 down team
        00:00 fire slow
        00:40 show
        01:00 up team
        10:00 down team
        11:00 resolve slow
        12:30 fire slow
        20:00 up team
        30:00 end",
        "00:30 team: new: *slow firing (does not arrive)
        00:35 team: new: *slow firing (does not arrive)
        00:40 team: held slow: failed 2 times (down) until 00:45
        00:45 team: new: *slow firing (does not arrive)
        01:05 team: new: *slow firing
        11:30 team: resolved: *slow resolved (does not arrive)
        11:35 team: resolved: *slow resolved (does not arrive)
        11:45 team: resolved: *slow resolved (does not arrive)
        12:05 team: resolved: *slow resolved (does not arrive)",
    );
}

#[test]
fn what_is_left_out_is_counted_and_not_resolved_by_name() {
    let world = assert_told(
        r#"
        route.receiver = "team"
        receivers.team = { kind = "webhook", url = "http://hook/", alerts_max = 2 }
        "#,
        "00:00 fire down pod=1
        00:00 fire down pod=2
        00:00 fire down pod=3 severity=critical
        10:00 resolve down pod=2
        20:00 resolve down pod=1
        20:00 resolve down pod=3 severity=critical
        60:00 end",
        "00:30 team: new: *down/3 firing, *down/1 firing, 1 left out
        10:30 team: changed: down/3 firing, down/1 firing, 1 left out
        20:30 team: resolved: *down/3 resolved, *down/1 resolved",
    );
    assert_eq!(world.router.counts().left_out, 2);
}

#[test]
fn routes_share_out_alerts_and_each_receiver_is_told_for_itself() {
    assert_told(
        r#"
        route = { receiver = "team", routes = [
            { receiver = "pager", matchers = ["severity=critical"], continue = true, group_wait = "1s" },
            { matchers = ["service=~a|b"], group_by = ["service"] },
        ] }
        receivers.team = { kind = "webhook", url = "http://hook/" }
        receivers.pager = { kind = "webhook", url = "http://hook/" }
        "#,
        "00:00 fire slow service=a severity=critical
        00:00 fire down service=a
        00:00 fire slow service=c severity=critical
        05:00 end",
        "00:01 pager: new: *slow/a firing, *slow/c firing
        00:30 team: new: *slow/a firing, *down/a firing",
    );
}
