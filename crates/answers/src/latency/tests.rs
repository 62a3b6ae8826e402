use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn step(window: &mut Window, step: u64, phases: &[(&str, u64)]) {
    for &(path, duration_ns) in phases {
        window.record(Phase {
            step,
            path,
            duration_ns,
        });
    }
}

fn table(rows: &[LatencyRow]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(
            text,
            "{:<22} {:>5} {:>5} {:>5} {:>5} {:>2} {:.3}",
            format!("{}{}", "  ".repeat(row.depth), row.label),
            row.last_ns,
            row.avg_ns,
            row.p50_ns,
            row.p99_ns,
            row.count,
            row.share
        );
        text
    })
}

#[test]
fn blocks_and_gap_add_up_to_forward_and_stand_in_natural_order() {
    let mut window = Window::default();
    for number in 0..4 {
        step(
            &mut window,
            number,
            &[
                ("sampling", 5),
                ("embedding", 10),
                ("forward/block 10", 30),
                ("forward/block 2/mlp", 20 + number),
                ("forward/block 2/attention", 12),
                ("forward/block 2", 40 + number),
                ("forward", 100),
                ("output", 8),
            ],
        );
    }
    insta::assert_snapshot!(table(&build_latency_rows(&window)), @r"
    embedding                 10    10    10    10  4 0.081
    forward                  100   100   100   100  4 0.813
      block 2                 43    41    41    43  4 0.337
        attention             12    12    12    12  4 0.098
        mlp                   23    21    21    23  4 0.175
        gap                    8     8     8     8  4 0.065
      block 10                30    30    30    30  4 0.244
      gap                     27    28    28    30  4 0.232
    output                     8     8     8     8  4 0.065
    sampling                   5     5     5     5  4 0.041
    ");
}

#[test]
fn steps_of_several_workers_do_not_mix() {
    let mut window = Window::default();
    step(&mut window, 1, &[("forward/block 0", 60)]);
    step(&mut window, 2, &[("forward/block 0", 7), ("forward", 10)]);
    step(&mut window, 1, &[("forward", 100)]);
    let rows = build_latency_rows(&window);
    let gap = rows.iter().find(|row| row.kind == RowKind::Gap).unwrap();
    assert_eq!((gap.last_ns, gap.sum_ns), (40, 43));
    assert_eq!(
        rows.iter()
            .filter(|row| row.kind == RowKind::Overlap)
            .count(),
        0
    );
}

#[test]
fn phases_that_run_at_once_show_their_overlap_instead_of_a_negative_gap() {
    let mut window = Window::default();
    step(
        &mut window,
        1,
        &[("forward/a", 60), ("forward/b", 70), ("forward", 100)],
    );
    let rows = build_latency_rows(&window);
    let of = |kind| rows.iter().find(|row| row.kind == kind).unwrap().last_ns;
    assert_eq!((of(RowKind::Gap), of(RowKind::Overlap)), (0, 30));
}

#[test]
fn a_phase_that_stopped_running_leaves_the_window_with_its_last_step() {
    let mut window = Window::new(2);
    step(&mut window, 1, &[("forward/warmup", 1), ("forward", 2)]);
    for number in 2..4 {
        step(&mut window, number, &[("forward", 2)]);
    }
    assert_eq!(build_latency_rows(&window).len(), 1);
}

#[test]
fn an_inner_phase_that_was_not_reported_is_the_sum_of_its_own() {
    let mut window = Window::default();
    step(
        &mut window,
        1,
        &[
            ("forward/block 1/a/b/c", 4),
            ("forward/block 1/a/d", 3),
            ("forward", 9),
        ],
    );
    let rows = build_latency_rows(&window);
    let sum = |path| rows.iter().find(|row| row.path == path).unwrap().sum_ns;
    assert_eq!(
        (
            sum("forward/block 1"),
            sum("forward/block 1/a"),
            sum("forward/block 1/a/b"),
            sum("forward/gap")
        ),
        (7, 7, 4, 2)
    );
}

#[test]
fn memory_stays_bounded_and_what_is_refused_is_counted() {
    let mut window = Window::new(1);
    for step in 0..1000 {
        window.record(Phase {
            step,
            path: "forward/never closed",
            duration_ns: 1,
        });
    }
    assert_eq!(window.pending.len(), PENDING_STEPS_MAX);
    assert_eq!(window.refused().steps, 1000 - PENDING_STEPS_MAX as u64);
    for number in 0..PATHS_MAX as u64 + 10 {
        window.record(Phase {
            step: 0,
            path: &format!("phase {number}"),
            duration_ns: 1,
        });
    }
    window.record(Phase {
        step: 0,
        path: "a//b",
        duration_ns: 1,
    });
    window.record(Phase {
        step: 0,
        path: "a/b/c/d/e/f/g/h/i",
        duration_ns: 1,
    });
    let room = ROOM as u64;
    assert_eq!(
        (window.paths.len(), window.refused().phases),
        (PATHS_MAX - ROOM + 10, room + 2)
    );
    for _ in 0..=PENDING_PHASES_MAX {
        window.record(Phase {
            step: 7,
            path: "forward/x",
            duration_ns: 1,
        });
    }
    assert_eq!(window.refused().phases, room + 3);
}

#[test]
fn paths_that_left_the_window_make_room_for_new_ones() {
    let mut window = Window::new(2);
    for number in 0..PATHS_MAX as u64 * 2 {
        let inner = format!("forward/request {number}");
        step(&mut window, number, &[(&inner, 3), ("forward", 5)]);
    }
    let labels: Vec<_> = build_latency_rows(&window)
        .into_iter()
        .map(|row| row.label)
        .collect();
    assert_eq!(labels, ["forward", "request 8190", "request 8191", "gap"]);
    assert_eq!(window.refused(), Refused::default());
}

#[test]
fn of_root_phases_the_newest_are_shown_and_what_is_given_up_for_them_is_counted() {
    let mut window = Window::default();
    step(&mut window, 1, &[("forward/a", 1), ("forward", 2)]);
    for number in 0..PATHS_MAX as u64 * 2 {
        let root = format!("request {number}");
        let inner = format!("{root}/read");
        step(&mut window, number + 2, &[(&inner, 1), (&root, 2)]);
        if number % 100 == 0 {
            step(&mut window, number + 2, &[("forward", 2)]);
        }
        assert!(window.paths.len() <= PATHS_MAX && window.closed.len() <= PATHS_MAX);
    }
    let rows = build_latency_rows(&window);
    let shown = |path: &str| rows.iter().any(|row| row.path == path);
    assert!(shown("forward") && shown("request 8191/read") && !shown("request 0"));
    let paths = PATHS_MAX as u64 * 4 + 2;
    assert_eq!(
        window.refused().phases,
        paths - window.paths.len() as u64,
        "every path is shown or counted"
    );
}

#[test]
fn more_paths_than_fit_in_one_window_are_refused_and_counted() {
    let mut window = Window::default();
    for number in 0..PATHS_MAX as u64 + 9 {
        let inner = format!("forward/request {number}");
        step(&mut window, number, &[(&inner, 3), ("forward", 5)]);
        window.steps_max = usize::MAX;
    }
    assert_eq!(window.refused().phases, 10);
}

#[test]
fn no_phases_give_no_rows() {
    assert_eq!(build_latency_rows(&Window::default()), []);
}

/// One step: durations of blocks (each with its phases' durations) and what forward took beyond them.
type Step = (Vec<(Vec<u64>, u64)>, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let block = (prop::collection::vec(0_u64..50, 0..3), 0_u64..20);
    prop::collection::vec((prop::collection::vec(block, 0..12), 0_u64..40), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows against statistics computed from the whole history without a window's bookkeeping.
    #[test]
    fn rows_equal_a_naive_computation(history in steps(), steps_max in 1_usize..6) {
        let mut window = Window::new(steps_max);
        let mut naive: BTreeMap<String, Vec<(usize, u64)>> = BTreeMap::new();
        for (number, (blocks, rest)) in history.iter().enumerate() {
            let mut forward = *rest;
            for (index, (phases, own)) in blocks.iter().enumerate() {
                let mut block = *own;
                for (phase, ns) in phases.iter().enumerate() {
                    block += ns;
                    let path = format!("forward/block {index}/phase {phase}");
                    window.record(Phase { step: number as u64, path: &path, duration_ns: *ns });
                    naive.entry(path).or_default().push((number, *ns));
                }
                if !phases.is_empty() {
                    naive.entry(format!("forward/block {index}/gap")).or_default().push((number, *own));
                }
                let path = format!("forward/block {index}");
                window.record(Phase { step: number as u64, path: &path, duration_ns: block });
                naive.entry(path).or_default().push((number, block));
                forward += block;
            }
            window.record(Phase { step: number as u64, path: "forward", duration_ns: forward });
            naive.entry("forward".to_owned()).or_default().push((number, forward));
        }
        let oldest = history.len().saturating_sub(steps_max);
        let rows = build_latency_rows(&window);
        for row in rows.iter().filter(|row| row.kind == RowKind::Phase) {
            let mut values: Vec<u64> = naive[&row.path].iter().filter(|(number, _)| *number >= oldest).map(|(_, ns)| *ns).collect();
            prop_assert_eq!(row.last_ns, *values.last().unwrap());
            prop_assert_eq!(row.count, values.len() as u64);
            prop_assert_eq!(row.sum_ns, values.iter().sum::<u64>());
            values.sort_unstable();
            let at_most = |value| values.iter().filter(|v| **v <= value).count() * 100;
            prop_assert!(at_most(row.p50_ns) >= values.len() * 50 && values.contains(&row.p50_ns));
            prop_assert!(row.p50_ns == 0 || at_most(row.p50_ns - 1) < values.len() * 50);
            prop_assert!(at_most(row.p99_ns) >= values.len() * 99 && values.contains(&row.p99_ns));
        }
        let in_window = naive.iter().filter(|(path, values)| !path.ends_with("gap") && values.iter().any(|(n, _)| *n >= oldest)).count();
        prop_assert_eq!(rows.iter().filter(|row| row.kind == RowKind::Phase).count(), in_window);
        // Every level tiles.
        for parent in rows.iter().filter(|row| row.kind == RowKind::Phase) {
            let children: Vec<_> = rows.iter().filter(|row| row.depth == parent.depth + 1 && row.path.strip_prefix(&parent.path).is_some_and(|rest| rest.starts_with('/'))).collect();
            if !children.is_empty() {
                let signed = |row: &&LatencyRow| if row.kind == RowKind::Overlap { -(row.sum_ns as i64) } else { row.sum_ns as i64 };
                prop_assert_eq!(children.iter().map(signed).sum::<i64>(), parent.sum_ns as i64);
            }
        }
    }
}
