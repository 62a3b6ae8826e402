//! What was planted is found, and what was not is not claimed.

use super::*;

const NAMES: [&str; 2] = ["fast", "slow"];

/// A request that parses, generates for about so long, and answers.
fn generates(world: &mut World, random: &mut Random, ms: u64) -> (u64, u64) {
    let (parse, generate, answer) = (
        random.about(5 * MS),
        random.about(ms * MS),
        random.about(8 * MS),
    );
    let root = world.request("POST /generate", parse + generate + answer + 2 * MS);
    world.child(root, "parse", parse);
    let child = world.child(root, "generate", generate);
    world.child(root, "answer", answer);
    (root, child)
}

#[test]
fn a_slow_child_is_found() {
    let mut random = Random(1);
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    for _ in 0..60 {
        generates(&mut fast, &mut random, 50);
    }
    for _ in 0..40 {
        generates(&mut slow, &mut random, 120);
    }
    let comparison = compared(NAMES, &fast, &slow);
    assert_eq!(named(&comparison), Some((Change::Slower, "generate")));
    let Verdict::Contributor {
        confidence,
        path,
        longer,
        node,
        evidence,
        share,
        ..
    } = &comparison.verdict
    else {
        panic!("nothing named");
    };
    assert_eq!(*confidence, Confidence::High);
    assert_eq!(path, &["POST /generate", "generate"]);
    assert_eq!((longer.as_str(), evidence.len()), ("slow", 3));
    assert!(*share > 0.9);
    assert_eq!(comparison.tree.nodes[0].id, *node);
    assert_eq!(comparison.tree.nodes[0].label, "generate");
    // Which side comes first changes signs and nothing else.
    let swapped = compared(["slow", "fast"], &slow, &fast);
    assert_eq!(named(&swapped), Some((Change::Slower, "generate")));
    assert_eq!(
        swapped.difference.unwrap().mean_ns,
        -comparison.difference.unwrap().mean_ns
    );
}

#[test]
fn a_slow_part_of_many_spans_is_found() {
    let mut random = Random(2);
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    for (world, ms) in [(&mut fast, 4), (&mut slow, 12)] {
        for _ in 0..30 {
            let blocks: Vec<u64> = (0..6).map(|_| random.about(ms * MS)).collect();
            let sum = blocks.iter().sum();
            let root = world.request("request", sum + 3 * MS);
            let forward = world.inside(root, "forward", sum);
            for (block, ns) in blocks.into_iter().enumerate() {
                world.child(
                    forward,
                    &format!("kernel {}", "abcdef".split_at(block).1),
                    ns,
                );
            }
        }
    }
    let comparison = compared(NAMES, &fast, &slow);
    assert_eq!(named(&comparison), Some((Change::Slower, "forward")));
}

#[test]
fn calls_that_became_many_are_found() {
    let mut random = Random(3);
    let (mut before, mut after) = (World::new(0), World::new(1 << 32));
    for (world, calls) in [(&mut before, 1), (&mut after, 40)] {
        for _ in 0..20 {
            let each: Vec<u64> = (0..calls).map(|_| random.about(2 * MS)).collect();
            let root = world.request("GET /users/7", each.iter().sum::<u64>() + 10 * MS);
            for (number, ns) in each.into_iter().enumerate() {
                // A driver's span inside of each call is not where the change is.
                let call = world.inside(root, &format!("SELECT user {number}"), ns);
                world.child(call, "round trip", ns);
            }
        }
    }
    let comparison = compared(["before", "after"], &before, &after);
    assert_eq!(
        named(&comparison),
        Some((Change::MoreCalls, "SELECT user *"))
    );
    let select = |node: &&Node| node.label == "SELECT user *";
    let node = comparison.tree.nodes.iter().find(select).unwrap();
    assert_eq!(node.presence, Presence::Both);
    assert!((node.first.calls_per_request - 1.0).abs() < 1e-9);
    assert!((node.second.calls_per_request - 40.0).abs() < 1e-9);
}

#[test]
fn a_call_where_the_cache_missed_is_found() {
    let (mut hit, mut miss) = (World::new(0), World::new(1 << 32));
    for (world, misses) in [(&mut hit, false), (&mut miss, true)] {
        for _ in 0..12 {
            let root = world.request("GET /item", if misses { 60 * MS } else { 10 * MS });
            world.child(root, "cache.get", 2 * MS);
            if misses {
                world.child(root, "SELECT item", 50 * MS);
            } else {
                world.child(root, "decode", MS);
            }
        }
    }
    let comparison = compared(["hit", "miss"], &hit, &miss);
    assert_eq!(
        named(&comparison),
        Some((Change::OneSideOnly, "SELECT item"))
    );
    let presence = |label: &str| {
        let node = comparison
            .tree
            .nodes
            .iter()
            .find(|node| node.label == label);
        node.unwrap().presence
    };
    assert_eq!(presence("SELECT item"), Presence::Added);
    assert_eq!(presence("decode"), Presence::Removed);
    assert_eq!(presence("cache.get"), Presence::Both);
    let words: Vec<_> = comparison
        .findings
        .iter()
        .map(|finding| finding.words.as_str())
        .collect();
    assert_eq!(
        words,
        ["`decode` below `GET /item` is on `hit` only: 1 call a request, 1.0 ms of its time"]
    );
}

#[test]
fn time_of_a_span_itself_is_found() {
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    for (world, ms) in [(&mut fast, 20), (&mut slow, 90)] {
        let root = world.request("request", ms * MS);
        world.child(root, "parse", 5 * MS);
        world.child(root, "answer", 5 * MS);
    }
    let comparison = compared(NAMES, &fast, &slow);
    assert_eq!(named(&comparison), Some((Change::OwnTime, "request")));
}

/// Both sides have 30 attributes whose values have nothing to do with the side, and the slow one has a device.
#[test]
fn a_planted_attribute_among_thirty_is_the_first() {
    const KEYS: [&str; 30] = [
        "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4",
        "b5", "b6", "b7", "b8", "b9", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9",
    ];
    for seed in 0..20 {
        let mut random = Random(seed);
        let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
        for (world, requests, percent) in [(&mut fast, 100, 3), (&mut slow, 60, 98)] {
            for _ in 0..requests {
                let (root, child) = generates(world, &mut random, 50);
                for (number, key) in KEYS.into_iter().enumerate() {
                    let value = random.below(2 + number as u64);
                    if number % 2 == 0 {
                        world.with(root, key, format!("v{value}"));
                    } else {
                        world.with(child, key, value);
                    }
                }
                let device = if random.percent(percent) {
                    "cuda:1"
                } else {
                    "cuda:0"
                };
                world.with(child, "device", device);
                let id = random.next();
                world.with(root, "enduser.session", format!("{id:x}"));
                world.with(root, "request.id", id);
                world.with(root, "prompt_tokens", random.below(4000));
                world.with(
                    root,
                    "ttft.duration",
                    random.below(if percent > 50 { 9 } else { 2 }),
                );
            }
        }
        let comparison = compared(NAMES, &fast, &slow);
        let first = &comparison.lifts[0];
        assert_eq!(
            (first.key.as_str(), first.value.as_str()),
            ("device", "cuda:1"),
            "{seed}"
        );
        assert!(
            first.chance < 1e-6 && first.at_least > 0.7,
            "{seed}: {first:?}"
        );
        assert!(
            first.lift.is_none_or(|lift| lift > 5.0),
            "{seed}: {first:?}"
        );
        assert_eq!(first.evidence.len(), 3);
        let words = "% of `slow` have device=cuda:1";
        assert!(first.words.contains(words), "{}", first.words);
        let others = comparison.lifts.iter().filter(|lift| lift.key != "device");
        assert_eq!(others.count(), 0, "{seed}");
    }
}

#[test]
fn large_numbers_are_found_by_their_range_and_warnings_by_their_text() {
    let mut random = Random(5);
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    for (world, from) in [(&mut fast, 64), (&mut slow, 2048)] {
        for number in 0..40 {
            let (root, _) = generates(world, &mut random, 50);
            world.with(root, "prompt_tokens", from + random.below(from));
            if from > 64 {
                world.warn(root, &format!("evicted {number} blocks"));
            }
        }
    }
    let comparison = compared(NAMES, &fast, &slow);
    let words: Vec<_> = comparison
        .lifts
        .iter()
        .map(|lift| lift.words.as_str())
        .collect();
    assert_eq!(
        words,
        [
            "100.0 % of `slow` have prompt_tokens=2048..4096, none of `fast` has",
            "100.0 % of `slow` warn `evicted * blocks`, none of `fast` does",
            "100.0 % of `fast` have prompt_tokens=64..128, none of `slow` has",
        ]
    );
}

#[test]
fn what_names_a_side_comes_after_what_may_explain() {
    let mut random = Random(6);
    let (mut before, mut after) = (World::new(0), World::new(1 << 32));
    for (world, version, percent) in [(&mut before, "1.2", 5), (&mut after, "1.3", 70)] {
        world.resources = vec![resource(&[
            ("service.name", "api"),
            ("service.version", version),
        ])];
        for _ in 0..50 {
            let (root, _) = generates(world, &mut random, 50);
            if random.percent(percent) {
                world.with(root, "feature.beam", true);
            }
        }
    }
    let comparison = compared(["before", "after"], &before, &after);
    let keys: Vec<_> = comparison
        .lifts
        .iter()
        .map(|lift| (lift.key.as_str(), lift.names_a_side))
        .collect();
    assert_eq!(
        keys,
        [
            ("feature.beam", false),
            ("service.version", true),
            ("service.version", true)
        ]
    );
    // The durations are alike, whatever the attributes say.
    assert!(because(&comparison).starts_with("the durations do not differ by more than chance"));
}

/// Sides that are alike: 400 comparisons, of which 1 in 100 may say of either that it is not so.
#[test]
fn sides_that_are_alike_are_said_to_differ_at_most_at_the_stated_rate() {
    const KEYS: [&str; 10] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];
    const COMPARISONS: u64 = 400;
    let (mut attributes, mut durations, mut shapes) = (0, 0, 0);
    for seed in 0..COMPARISONS {
        let mut random = Random(seed);
        let mut worlds = [World::new(0), World::new(1 << 32)];
        for world in &mut worlds {
            let requests = 8 + random.below(40);
            for _ in 0..requests {
                // A few take far longer, as in life.
                let ms = if random.percent(5) { 800 } else { 50 };
                let (root, child) = generates(world, &mut random, ms);
                for key in KEYS {
                    let value = random.below(4);
                    world.with(root, key, value);
                }
                if random.percent(30) {
                    world.child(child, "retry", MS);
                }
            }
        }
        let comparison = compared(["a", "b"], &worlds[0], &worlds[1]);
        attributes += u64::from(!comparison.lifts.is_empty());
        durations += u64::from(named(&comparison).is_some());
        shapes += u64::from(!comparison.findings.is_empty());
    }
    // Four are expected at most; ten or more would happen in fewer than 1 of 100 such runs.
    assert!(attributes < 10, "{attributes} of {COMPARISONS}");
    assert!(durations < 10, "{durations} of {COMPARISONS}");
    assert!(shapes < 10, "{shapes} of {COMPARISONS}");
}

#[test]
fn other_requests_are_not_slower_ones() {
    let (mut before, mut after) = (World::new(0), World::new(1 << 32));
    for (world, long) in [(&mut before, 4), (&mut after, 30)] {
        for number in 0..40 {
            if number < long {
                let root = world.request("POST /generate", 500 * MS);
                world.child(root, "generate", 480 * MS);
            } else {
                let root = world.request("GET /health", 2 * MS);
                world.child(root, "check", MS);
            }
        }
    }
    let comparison = compared(["before", "after"], &before, &after);
    assert_eq!(named(&comparison), Some((Change::Mix, "POST /generate")));
    assert_eq!(
        comparison.tree.mix_difference_ns,
        comparison.difference.unwrap().mean_ns
    );
}

#[test]
fn what_cannot_be_told_is_not() {
    let one = |numbers: u64, name: &str, children: &[(&str, u64)]| {
        let mut world = World::new(numbers);
        let sum: u64 = children.iter().map(|(_, ms)| ms * MS).sum();
        let root = world.request(name, sum + MS);
        for (name, ms) in children {
            world.child(root, name, ms * MS);
        }
        world
    };
    let fast = one(0, "request", &[("a", 10), ("b", 10), ("c", 10)]);
    let mut few = [World::new(0), World::new(1 << 32)];
    for (side, durations) in [[10, 30, 50], [20, 40, 90]].into_iter().enumerate() {
        for ms in durations {
            few[side].request("request", ms * MS);
        }
    }
    let mut said = Vec::new();
    for (first, second) in [
        (
            &fast,
            &one(1 << 32, "request", &[("a", 40), ("b", 40), ("c", 40)]),
        ),
        (
            &fast,
            &one(1 << 32, "request", &[("a", 10), ("b", 10), ("c", 11)]),
        ),
        (&fast, &fast),
        (&fast, &one(1 << 32, "other", &[("a", 90)])),
        (&few[0], &few[1]),
        (&fast, &World::new(1 << 32)),
    ] {
        said.push(match &compared(NAMES, first, second).verdict {
            Verdict::CannotTell { because } => because.clone(),
            Verdict::Contributor { words, .. } => format!("named: {words}"),
        });
    }
    let mut alone = [World::new(0), World::new(1 << 32)];
    for (world, ms) in alone.iter_mut().zip([10, 90]) {
        world.request("request", ms * MS);
    }
    said.push(because(&compared(NAMES, &alone[0], &alone[1])).to_owned());
    insta::assert_snapshot!(said.join("\n"), @r"
    no part of the 90.0 ms that `slow` takes longer stands out: `a` +30.0 ms, `b` +30.0 ms, `c` +30.0 ms
    the sides took about as long as each other: 31.0 ms and 32.0 ms
    the sides took equally long
    the sides have no operation in common: `fast` has `request`, `slow` has `other`
    the durations of both sides overlap, and 8 requests on each side are needed to tell a difference from chance
    `slow` has no requests
    all of the difference is in `request`, and nothing was recorded inside it; add spans there
    ");
}

#[test]
fn what_too_few_requests_cannot_show_is_said() {
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    for (world, ms) in [(&mut fast, 10), (&mut slow, 90)] {
        let root = world.request("request", (ms + 1) * MS);
        let child = world.child(root, "work", ms * MS);
        world.with(child, "device", ms);
    }
    let comparison = compared(NAMES, &fast, &slow);
    assert!(comparison.lifts.is_empty());
    let said: Vec<_> = comparison
        .not_assessed
        .iter()
        .map(|unknown| format!("{}: {}", unknown.what, unknown.because))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    whether this is usual: `fast` has 1 request; with 8 on each side a difference can be told from chance
    attributes: with 1 request on `fast` none can tell the sides apart by more than chance
    ");
}

/// A kernel that a GPU reports by an event takes part like a span.
#[test]
fn a_slower_kernel_is_found() {
    let kernels = |world: &mut World, attention_us: u64| {
        let root = world.request("forward", (attention_us + 3_000) * 1_000);
        let place = world.place(root);
        let kernel = |name: &'static str, us: u64, end_us: u64| EventRecord {
            time_unix_ns: 1_000 * MS + end_us * 1_000,
            place: Some(place.clone()),
            type_name: Cow::Borrowed("GpuOpCompleted"),
            name: Cow::Borrowed(""),
            severity: Severity::Info,
            thread: 1,
            correlation_id: None,
            data: vec![
                (Cow::Borrowed("op_name"), name.into()),
                (Cow::Borrowed("backend"), "cuda".into()),
                (Cow::Borrowed("duration_us"), us.into()),
            ],
        };
        [
            kernel("attention", attention_us, attention_us),
            kernel("mlp", 2_000, attention_us + 2_500),
        ]
    };
    let (mut fast, mut slow) = (World::new(0), World::new(1 << 32));
    let events = [kernels(&mut fast, 1_000), kernels(&mut slow, 9_000)];
    let (first, second) = (fast.spans(), slow.spans());
    let mut sides = [Side::new("fast", &first), Side::new("slow", &second)];
    sides[0].events = &events[0];
    sides[1].events = &events[1];
    let comparison = compare(&sides[0], &sides[1]);
    assert_tiles(&comparison);
    assert_eq!(named(&comparison), Some((Change::Slower, "gpu attention")));
}
