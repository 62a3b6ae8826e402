//! Large and deep: what has to end, and soon.

use super::*;

const SPANS: u64 = 100_000;

#[test]
fn a_trace_may_be_as_deep_as_it_has_spans() {
    let deep = |numbers: u64, last_ns: u64| {
        let mut world = World::new(numbers);
        let mut parent = world.request("step", 10 * SPANS + last_ns);
        for depth in 1..SPANS {
            parent = world.inside(parent, "step", 10 * (SPANS - depth) + last_ns);
        }
        world
    };
    let comparison = compared(["fast", "slow"], &deep(0, 0), &deep(1 << 32, MS));
    assert_eq!(comparison.first.spans, SPANS);
    assert_eq!(comparison.tree.unlisted, SPANS - 500);
    let Verdict::Contributor { node, path, .. } = &comparison.verdict else {
        panic!("{}", because(&comparison));
    };
    let named = comparison
        .tree
        .nodes
        .iter()
        .find(|other| other.id == *node)
        .unwrap();
    assert_eq!((named.depth, path.len()), (SPANS as u32 - 1, 16));
    assert!(!comparison.to_string().is_empty());
}

#[test]
fn rings_end() {
    let mut world = World::new(0);
    for number in 1..=SPANS {
        let parent = if number == 1 { SPANS } else { number - 1 };
        world
            .spans
            .push((0, span(1, number, Some(parent), "ring", (0, MS))));
    }
    let comparison = compared(["a", "b"], &world, &world);
    assert_eq!(comparison.first.spans, SPANS);
    assert_eq!(named(&comparison), None);
}

/// 100,000 spans a side in requests of 20, each span with six attributes.
#[test]
fn many_spans_are_compared() {
    let side = |numbers: u64, ms: u64| {
        let mut random = Random(numbers);
        let mut world = World::new(numbers);
        for _ in 0..SPANS / 20 {
            let root = world.request("request", 2_000 * MS);
            for number in 0..19 {
                let child = world.child(root, &format!("block {number}"), random.about(ms * MS));
                world.with(child, "device", format!("cuda:{}", random.below(4)));
                world.with(child, "layer", number);
                world.with(child, "tokens", random.below(4096));
                world.with(child, "request.id", random.next());
                world.with(child, "session", format!("{:x}", random.next()));
                world.with(child, "cached", random.percent(50));
            }
            let end = world.at;
            world.get(root).end_unix_ns = end;
        }
        world
    };
    let (fast, slow) = (side(0, 10), side(1 << 32, 20));
    let (first, second) = (fast.spans(), slow.spans());
    let started = std::time::Instant::now();
    let comparison = compare(&Side::new("fast", &first), &Side::new("slow", &second));
    println!("{SPANS} spans a side took {:?}", started.elapsed());
    assert_tiles(&comparison);
    assert_eq!(comparison.first.spans, SPANS);
    assert_eq!(named(&comparison), Some((Change::Slower, "block *")));
}

#[test]
fn many_requests_in_one_trace_are_many_requests() {
    let side = |ms: u64| {
        let mut world = World::new(0);
        for number in 0..SPANS / 2 {
            let (root, times) = (2 * number + 1, (number * MS, (number + ms) * MS));
            world
                .spans
                .push((0, span(1, root, Some(SPANS * 9), "request", times)));
            world
                .spans
                .push((0, span(1, root + 1, Some(root), "work", times)));
        }
        world
    };
    let comparison = compared(["fast", "slow"], &side(1), &side(3));
    assert_eq!(comparison.first.durations.unwrap().requests, SPANS / 2);
    assert_eq!(named(&comparison), Some((Change::Slower, "work")));
}
