use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn picture(rows: &[MemoryRow]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let bytes = row
            .bytes
            .map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let _ = writeln!(
            text,
            "{:<26}{bytes:>8} {}{}",
            format!("{}{}", "  ".repeat(row.depth), row.label),
            row.provenance,
            row.detail
                .as_ref()
                .map_or_else(String::new, |detail| format!(": {detail}"))
        );
        text
    })
}

fn measured(bytes: u64) -> Reading<u64> {
    Reading::measured(bytes)
}

fn tensor(name: &'static str) -> Change<'static> {
    Change::Tensor {
        device: HOST.into(),
        model: "m.gguf".into(),
        tensor: name.into(),
        bytes: 3000,
    }
}

#[test]
fn the_ledger_reads_as_rows() {
    let mut ledger = Ledger::default();
    for (time, change) in (1..).zip([
        Change::Baseline {
            resident_bytes: measured(1000),
        },
        Change::Resident {
            resident_bytes: measured(9000),
        },
        tensor("blk.0.w"),
        tensor("blk.1.w"),
        Change::Pool {
            device: HOST.into(),
            pool: "tensors".into(),
            reserved_bytes: Some(800),
            used_bytes: 300,
        },
        Change::Allocated {
            device: HOST.into(),
            pool: "tensors".into(),
            bytes: 64,
        },
        Change::Released {
            device: HOST.into(),
            pool: "tensors".into(),
            bytes: 16,
        },
        Change::Allocated {
            device: "cuda:0".into(),
            pool: "scratch".into(),
            bytes: 500,
        },
        Change::KvCache {
            device: HOST.into(),
            bytes: 100,
            tokens: 10,
        },
        Change::KvCache {
            device: HOST.into(),
            bytes: 130,
            tokens: 13,
        },
        Change::PhaseDelta {
            phase: "forward/block 10".into(),
            device: HOST.into(),
            delta_bytes: 10,
        },
        Change::PhaseDelta {
            phase: "forward/block 2".into(),
            device: HOST.into(),
            delta_bytes: 48,
        },
        Change::PhaseDelta {
            phase: "forward/block 2".into(),
            device: HOST.into(),
            delta_bytes: -8,
        },
    ]) {
        ledger.apply(time, change);
    }
    insta::assert_snapshot!(picture(&build_memory_rows(&ledger)), @r"
    host                          9000 measured
      baseline                    1000 measured
      weights m.gguf              6000 estimated: the sum of the tensors that were told, as if every one were resident
      pool tensors                 800 measured
      KV cache                     130 measured
      unattributed                1070 derived
    pools on cpu                   800 derived
      tensors                      800 measured
        reserved                   800 measured
        used                       348 measured
      outstanding                   48 derived
    pools on cuda:0                500 derived
      scratch                      500 derived
        reserved                     - unsupported: the allocator does not say what it reserved
        used                       500 derived
      outstanding                  500 derived
    KV cache on cpu                130 measured: 13 tokens
      per token                     10 derived: grew by 130 B over 13 tokens
    weights on cpu                6000 derived
      m.gguf                      6000 derived: 2 tensors
        blk                       6000 derived: 2 tensors
          0.w                     3000 derived
          1.w                     3000 derived
    phases on cpu                    - unsupported: phases overlap: inner ones are part of those around them
      forward                        - unsupported: the phase has not ended yet
        block 2                     -8 measured: largest 48 B, 40 B in all of 2 steps
        block 10                    10 measured: largest 10 B, 10 B in all of 1 step
    ");
}

#[test]
fn what_is_inside_of_a_phase_stands_right_below_it() {
    let mut ledger = Ledger::default();
    for (time, phase) in (1..).zip([
        "forward pass",
        "forward/block 0",
        "forward",
        "forward-only/block 0",
    ]) {
        let change = Change::PhaseDelta {
            phase: phase.into(),
            device: HOST.into(),
            delta_bytes: 1,
        };
        ledger.apply(time, change);
    }
    let rows = build_memory_rows(&ledger);
    let phases: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.path.strip_prefix("phases on cpu/"))
        .collect();
    let expected = [
        "forward",
        "forward/block 0",
        "forward pass",
        "forward-only",
        "forward-only/block 0",
    ];
    assert_eq!(phases, expected);
}

#[test]
fn weights_that_are_not_all_known_say_what_is_missing_and_still_tile() {
    let file = |first: &'static str, bytes| Change::Weights {
        device: HOST.into(),
        model: "m.gguf".into(),
        first_tensor: first.into(),
        bytes,
    };
    let mut ledger = Ledger::default();
    for change in [file("blk.0.w", 6000), tensor("blk.0.w"), tensor("blk.1.w")] {
        ledger.apply(1, change);
    }
    let whole = picture(&build_memory_rows(&ledger));
    assert!(!whole.contains("incomplete"), "{whole}");
    // Another file of the same model, and the first one read again.
    for change in [
        file("blk.2.w", 4000),
        tensor("blk.2.w"),
        file("blk.0.w", 6000),
    ] {
        ledger.apply(2, change);
    }
    insta::assert_snapshot!(picture(&build_memory_rows(&ledger)), @r"
    host                             - unsupported: the resident set was not measured
      baseline                       - unsupported: the baseline was not measured
      weights m.gguf             10000 estimated: from the file's header, as if every tensor were resident
      unattributed                   - unsupported: without the resident set there is nothing to subtract from
    weights on cpu               10000 derived
      m.gguf                     10000 derived: incomplete: 8.8 KiB of 9.8 KiB in 3 tensors
        blk                       9000 derived: 3 tensors
          0.w                     3000 derived
          1.w                     3000 derived
          2.w                     3000 derived
        not itemized              1000 derived: in the file's header, but the tensors were lost on the way or exceed the limit
    ");
}

#[test]
fn tensors_beyond_the_limit_are_a_row_and_not_missing_from_the_sum() {
    let mut ledger = Ledger::default();
    let tensors = TENSORS_MAX as u64 + 5;
    ledger.apply(
        1,
        Change::Weights {
            device: HOST.into(),
            model: "m".into(),
            first_tensor: "0".into(),
            bytes: tensors * 2,
        },
    );
    for number in 0..tensors {
        ledger.apply(
            1,
            Change::Tensor {
                device: HOST.into(),
                model: "m".into(),
                tensor: number.to_string().into(),
                bytes: 2,
            },
        );
    }
    let rows = build_memory_rows(&ledger);
    let bytes = |path: &str| {
        let row = rows.iter().find(|row| row.path == path);
        row.and_then(|row| row.bytes)
    };
    assert_eq!(ledger.refused(), 5);
    assert_eq!(bytes("weights on cpu/m/not itemized"), Some(10));
    assert_eq!(bytes("weights on cpu/m"), Some(tensors as i64 * 2));
    assert_eq!(bytes("host/weights m"), Some(tensors as i64 * 2));
}

#[test]
fn more_attributed_than_resident_is_shown_as_over_attribution() {
    let mut ledger = Ledger::default();
    ledger.apply(
        1,
        Change::Baseline {
            resident_bytes: measured(700),
        },
    );
    ledger.apply(
        1,
        Change::Resident {
            resident_bytes: measured(1000),
        },
    );
    ledger.apply(
        1,
        Change::KvCache {
            device: HOST.into(),
            bytes: 450,
            tokens: 1,
        },
    );
    let rows = build_memory_rows(&ledger);
    assert!(!rows.iter().any(|row| row.label == "unattributed"));
    let over = rows
        .iter()
        .find(|row| row.label == "over-attributed")
        .unwrap();
    assert_eq!((over.bytes, over.share), (Some(150), Some(0.15)));
}

#[test]
fn what_was_not_measured_is_unsupported_and_not_zero() {
    let rows = build_memory_rows(&Ledger::default());
    insta::assert_snapshot!(picture(&rows), @r"
    host                             - unsupported: the resident set was not measured
      baseline                       - unsupported: the baseline was not measured
      unattributed                   - unsupported: without the resident set there is nothing to subtract from
    ");
    assert!(
        rows.iter()
            .all(|row| row.bytes.is_none() && row.share.is_none())
    );
}

#[test]
fn more_released_than_allocated_is_flagged() {
    let mut ledger = Ledger::default();
    ledger.apply(
        1,
        Change::Released {
            device: "cuda:0".into(),
            pool: "p".into(),
            bytes: 5,
        },
    );
    assert_eq!(ledger.outstanding_bytes("cuda:0"), -5);
    let rows = build_memory_rows(&ledger);
    let row = rows.iter().find(|row| row.label == "outstanding").unwrap();
    assert_eq!(
        row.detail.as_deref(),
        Some("more was released than allocated")
    );
}

#[test]
fn a_full_ledger_refuses_and_counts() {
    let mut ledger = Ledger::default();
    for number in 0..=ENTRIES_MAX {
        ledger.apply(
            1,
            Change::Allocated {
                device: HOST.into(),
                pool: number.to_string().into(),
                bytes: 1,
            },
        );
    }
    ledger.apply(
        1,
        Change::Allocated {
            device: HOST.into(),
            pool: "0".into(),
            bytes: 1,
        },
    );
    assert_eq!(
        (ledger.refused(), ledger.outstanding_bytes(HOST)),
        (1, ENTRIES_MAX as i64 + 1)
    );
}

fn changes() -> impl Strategy<Value = Vec<Change<'static>>> {
    let device = prop::sample::select(vec![HOST, "cuda:0"]);
    let pool = prop::sample::select(vec!["a", "b"]);
    let bytes = 0_u64..1_000_000;
    let change = (0_u8..7, device, pool, bytes.clone(), bytes).prop_map(
        |(kind, device, pool, bytes, other)| {
            let (device, pool) = (Cow::Borrowed(device), Cow::Borrowed(pool));
            match kind {
                0 => Change::Allocated {
                    device,
                    pool,
                    bytes,
                },
                1 => Change::Released {
                    device,
                    pool,
                    bytes,
                },
                2 => Change::Pool {
                    device,
                    pool,
                    reserved_bytes: (other % 2 == 0).then_some(bytes),
                    used_bytes: other,
                },
                3 => Change::KvCache {
                    device,
                    bytes,
                    tokens: other,
                },
                4 => Change::Baseline {
                    resident_bytes: measured(bytes),
                },
                5 => Change::PhaseDelta {
                    phase: pool,
                    device,
                    delta_bytes: bytes as i64 - 500_000,
                },
                _ => Change::Resident {
                    resident_bytes: measured(bytes),
                },
            }
        },
    );
    prop::collection::vec(change, 0..40)
}

/// Readings of two workers that share a device's caches, and what each lane holds of them.
#[test]
fn a_cache_grows_by_what_it_grew_and_not_by_the_order_in_which_threads_are_read() {
    let kv = |tokens: u64| Change::KvCache {
        device: HOST.into(),
        bytes: tokens * 100,
        tokens,
    };
    let mut ledger = Ledger::default();
    // One lane: every other reading; then the other lane.
    for lane in [1, 0] {
        for time in (lane..200).step_by(2) {
            ledger.apply(time, kv(time));
        }
    }
    let rows = build_memory_rows(&ledger);
    let detail = |path: &str| {
        let row = rows.iter().find(|row| row.path == path);
        row.and_then(|row| row.detail.clone()).unwrap()
    };
    assert_eq!(detail("KV cache on cpu"), "199 tokens");
    assert_eq!(
        detail("KV cache on cpu/per token"),
        "grew by 19.4 KiB over 199 tokens"
    );
    assert_eq!(ledger.refused(), 0);
    ledger.apply(200, kv(0));
    let rows = build_memory_rows(&ledger);
    let row = rows
        .iter()
        .find(|row| row.path == "KV cache on cpu")
        .unwrap();
    assert_eq!(
        row.detail.as_deref(),
        Some("0 tokens, at most 19.4 KiB at once")
    );
}

#[test]
fn what_is_kept_to_be_put_in_order_is_bounded_and_what_comes_later_is_counted() {
    let kv = |tokens: u64| Change::KvCache {
        device: HOST.into(),
        bytes: tokens * 3,
        tokens,
    };
    let mut ledger = Ledger::default();
    let last = timed::RECENT_MAX as u64 * 3;
    for time in 1..=last {
        ledger.apply(time, kv(time));
        let (device, pool) = (Cow::Borrowed(HOST), Cow::Borrowed("p"));
        let bytes = 1;
        ledger.apply(
            time,
            Change::Allocated {
                device,
                pool,
                bytes,
            },
        );
    }
    let grown = ledger.caches[HOST].grown();
    assert_eq!((grown.bytes, grown.tokens), (last * 3, last));
    ledger.apply(1, kv(1));
    ledger.apply(
        1,
        Change::Pool {
            device: HOST.into(),
            pool: "p".into(),
            reserved_bytes: None,
            used_bytes: 5,
        },
    );
    assert_eq!(
        (ledger.refused(), ledger.outstanding_bytes(HOST)),
        (2, last as i64)
    );
    assert_eq!(ledger.caches[HOST].latest().tokens, last);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Threads are read one after the other, each in its own order: the rows are those of the order of time.
    #[test]
    fn any_interleaving_of_threads_gives_the_rows_of_the_order_of_time(
        changes in changes(),
        threads in prop::collection::vec(0_usize..3, 40),
        turns in prop::collection::vec(0_usize..3, 40),
    ) {
        let changes: Vec<_> = (1_u64..).zip(changes).collect();
        let mut by_time = Ledger::default();
        let mut lanes: [std::collections::VecDeque<_>; 3] = Default::default();
        for ((time, change), thread) in changes.into_iter().zip(threads) {
            by_time.apply(time, change.clone());
            lanes[thread].push_back((time, change));
        }
        let mut by_thread = Ledger::default();
        let rest = (0..3).flat_map(|lane| [lane; 40]);
        for lane in turns.into_iter().chain(rest) {
            if let Some((time, change)) = lanes[lane].pop_front() {
                by_thread.apply(time, change);
            }
        }
        prop_assert_eq!(build_memory_rows(&by_thread), build_memory_rows(&by_time));
    }

    #[test]
    fn host_rows_tile_the_resident_set(changes in changes()) {
        let mut ledger = Ledger::default();
        for (time, change) in (1..).zip(changes) {
            ledger.apply(time, change);
        }
        let rows = build_memory_rows(&ledger);
        if let Some(resident) = rows[0].bytes {
            let parts: i64 = rows[1..]
                .iter()
                .take_while(|row| row.path.starts_with("host/"))
                .map(|row| if row.label == "over-attributed" { -row.bytes.unwrap() } else { row.bytes.unwrap_or(0) })
                .sum();
            prop_assert_eq!(parts, resident);
        }
    }
}
