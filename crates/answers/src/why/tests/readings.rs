//! CPU readings beside work on other threads: a reading is never denied, and never counted twice.

use super::*;

/// A request of a second on thread 1 that computed for so long, with a span of another thread beside it.
fn beside(cpu_ms: u64, start: u64, end: u64) -> Script {
    let mut s = Script::new(1000);
    let other = s.span(1, "prefetch next page", start, end);
    s.thread(other, 2).cpu(1, cpu_ms);
    s
}

/// How long it computed, in milliseconds.
fn on_cpu(account: &Account) -> u64 {
    let on = account.segments.iter();
    on.filter(|segment| segment.category == Category::OnCpu)
        .map(|segment| segment.duration_ns / MS)
        .sum()
}

fn answer(account: &Account) -> Option<(Cause, Confidence)> {
    match account.verdict {
        Verdict::Cause {
            cause, confidence, ..
        } => Some((cause, confidence)),
        Verdict::CannotTell { .. } => None,
    }
}

#[test]
fn a_thread_that_computed_did_not_wait_for_another_one() {
    let mut shards = Script::new(600);
    for shard in 0..4 {
        let span = shards.span(1, &format!("shard {shard}"), 1, 251 + shard);
        shards.thread(span, 2 + shard as u32);
    }
    shards.cpu(1, 598);

    let mut below = Script::new(1000);
    let work = below.span(1, "work", 5, 995);
    let other = below.span(work, "other", 10, 990);
    below.thread(other, 2).cpu(1, 985);

    for (script, on) in [(beside(999, 5, 995), 999), (shards, 598), (below, 985)] {
        let account = script.account();
        assert!(
            matches!(answer(&account), Some((Cause::Cpu, _))),
            "{account}"
        );
        assert_eq!(on_cpu(&account), on, "{account}");
    }
    let account = beside(999, 5, 995).account();
    assert_eq!(
        answer(&account),
        Some((Cause::Cpu, Confidence::High)),
        "{account}"
    );
}

#[test]
fn a_thread_that_slept_may_have_waited_for_another_one() {
    for cpu_ms in [0, 8, 20] {
        let account = beside(cpu_ms, 5, 990).account();
        assert_eq!(
            answer(&account),
            Some((Cause::Phase, Confidence::High)),
            "{account}"
        );
        assert_eq!(on_cpu(&account), cpu_ms.min(20), "{account}");
    }
    // It computed at first and waited then, or the other way round: either is half of the time.
    let account = beside(500, 0, 1000).account();
    assert_eq!(answer(&account), None, "{account}");
    // Workers in another process hold up a thread that waits for them.
    let mut s = Script::new(1000);
    let get = s.span(1, "GET /documents", 50, 950);
    let served = s.span(get, "GET /documents", 60, 940);
    let render = s.span(served, "render", 61, 939);
    s.kind(get, SpanKind::Client).kind(served, SpanKind::Server);
    s.thread(served, 9).thread(render, 9).cpu(1, 90);
    let account = s.account();
    assert_eq!(
        answer(&account),
        Some((Cause::Phase, Confidence::High)),
        "{account}"
    );
}

#[test]
fn time_beside_overlapping_children_is_not_taken_off_twice() {
    let mut s = Script::new(600);
    for (number, thread) in [(0, 2), (1, 3)] {
        let span = s.span(1, &format!("shard {number}"), 0, 240);
        s.thread(span, thread);
    }
    s.cpu(1, 58);
    let account = s.account();
    assert_eq!(on_cpu(&account), 58, "{account}");
    assert_eq!(cause(&account), Some(Cause::Wait), "{account}");

    // The same on one thread, as tasks that take turns.
    let mut s = Script::new(1000);
    s.span(1, "task a", 0, 600);
    s.span(1, "task b", 0, 600);
    s.cpu(1, 500);
    let account = s.account();
    assert_eq!(on_cpu(&account), 500, "{account}");
}

#[test]
fn what_a_reading_says_is_not_ruled_out() {
    // Wherever the thread computed, beside its own I/O and beside a worker that it may have waited for.
    for cpu_ms in [5, 100, 250, 400, 700, 990] {
        for (start, end) in [(0, 400), (300, 700), (0, 1000), (600, 1000)] {
            let mut s = beside(cpu_ms, start, end);
            s.span(1, "fetch", 0, 300);
            let account = s.account();
            for other in &account.ruled_out {
                assert!(
                    other.category != Category::OnCpu || other.at_most_ns >= cpu_ms * MS,
                    "{cpu_ms} {start} {end}\n{account}"
                );
            }
        }
    }
}

/// Spans of three threads in any shape under a root, each below one that came before it: (parent, start, length,
/// thread, kind of name).
fn shapes() -> impl Strategy<Value = Vec<(u64, u64, u64, u32, usize)>> {
    prop::collection::vec(
        (0_u64..8, 0_u64..120, 0_u64..120, 1_u32..4, 0_usize..4),
        1..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The CPU time of the spans of one reading adds up to no more than the reading; and what it leaves of the root's
    /// own thread is not ruled out.
    #[test]
    fn no_reading_is_counted_beyond_itself_or_ruled_out_below_itself(
        shapes in shapes(), reading in 0_u64..13, cpu_ms in 0_u64..140
    ) {
        let mut s = Script::new(100);
        for (number, (parent, start, length, thread, name)) in shapes.iter().enumerate() {
            let parent = 1 + parent % (number as u64 + 1);
            let name = ["work", "fetch", "sleep", "shard 1"][*name];
            let span = s.span(parent, name, *start, start + length);
            s.thread(span, *thread);
        }
        let reading = 1 + reading % s.spans.len() as u64;
        s.cpu(reading, cpu_ms);
        let account = s.account();
        prop_assert!(on_cpu(&account) <= cpu_ms, "{account}");
        let below_ns = account.ruled_out.iter().filter(|other| other.category == Category::OnCpu);
        for other in below_ns {
            prop_assert!(reading != 1 || other.at_most_ns >= cpu_ms.min(100) * MS, "{account}");
        }
    }
}

#[test]
fn a_reading_of_more_time_than_passed_is_not_used_and_said() {
    for cpu_ns in [u64::MAX, 92 * MS] {
        let mut s = Script::new(100);
        let work = s.span(1, "work", 5, 95);
        s.with(work, CPU_ATTRIBUTE, cpu_ns);
        let account = s.account();
        assert_eq!(on_cpu(&account), 0, "{account}");
        let text = account.to_string();
        assert!(
            text.contains("1 span claimed more CPU time than passed;"),
            "{text}"
        );
        assert!(!text.contains("no span carries"), "{text}");
    }
    // Clocks differ by a little.
    let mut s = Script::new(100);
    let work = s.span(1, "work", 5, 95);
    s.with(work, CPU_ATTRIBUTE, 90 * MS + MS / 2);
    assert_eq!(on_cpu(&s.account()), 90);
}
