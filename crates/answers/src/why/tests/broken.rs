//! Traces that are not as they should be: the account still tiles, says what it left out, and never panics.

use super::*;

fn words(account: &Account) -> String {
    account
        .not_assessed
        .iter()
        .map(|unknown| format!("{}: {}\n", unknown.what, unknown.because))
        .skip(2)
        .collect()
}

fn share_of(account: &Account, label: &str) -> u64 {
    account
        .segments
        .iter()
        .filter(|segment| segment.label == label)
        .map(|segment| segment.duration_ns / MS)
        .sum()
}

#[test]
fn a_child_that_outlives_its_parent_has_no_part_in_its_time() {
    let mut s = Script::new(100);
    s.span(1, "work", 0, 60);
    s.span(1, "background", 10, 900);
    let account = s.account();
    assert_eq!(
        (share_of(&account, "work"), share_of(&account, "background")),
        (60, 0)
    );
    insta::assert_snapshot!(words(&account), @r"work that went on: 1 span ended after the span around it, which may not have waited for it; its time is not in the account (`background` by 800.0 ms)");
}

#[test]
fn what_ended_later_is_the_first_suspect_where_it_may_have_been_waited_for() {
    let mut reply_then_cleanup = Script::new(150);
    reply_then_cleanup.span(1, "compute answer", 0, 180);

    let mut in_a_handler = Script::new(150);
    let handler = in_a_handler.span(1, "handle", 0, 150);
    in_a_handler.span(handler, "compute answer", 1, 180);

    let mut between = Script::new(1000);
    for start in [0, 300, 600, 990] {
        between.span(1, "part", start, start + 10);
    }
    between.span(1, "compute answer", 5, 1100);

    for script in [&reply_then_cleanup, &in_a_handler, &between] {
        let account = script.account();
        let text = account.to_string().replace("\n ", "");
        assert_eq!(cause(&account), None, "{account}");
        assert!(
            text.contains("the first suspect is `compute answer`"),
            "{account}"
        );
        for denial in [
            "nothing inside",
            "nothing was recorded",
            "cannot have waited",
            "no more than",
        ] {
            assert!(!text.contains(denial), "{denial}: {account}");
        }
    }
    let account = reply_then_cleanup.account();
    let Verdict::CannotTell { because } = &account.verdict else {
        panic!("{account}");
    };
    insta::assert_snapshot!(because, @"150.0 ms of 150.0 ms (100.0 %) is accounted for by nothing that was waited for with certainty; the first suspect is `compute answer`, which went on for 150.0 ms of `request` and ended 30.0 ms after it: it may have been waited for until it had sent its result");
    insta::assert_snapshot!(account.findings[0].words, @"the longest time that nothing accounts for is 150.0 ms of `request`, beside `compute answer`");

    // Too short to be why.
    let mut late = Script::new(1000);
    late.span(1, "log", 990, 1100);
    let account = late.account();
    assert!(!account.to_string().contains("suspect"), "{account}");
}

#[test]
fn equal_events_count_once() {
    let mut s = Script::new(100);
    let kernel = |s: &mut Script, end: u64| {
        let data = vec![
            ("op_name", "matmul".into()),
            ("backend", "simulated".into()),
            ("duration_us", 20_000_u64.into()),
        ];
        s.event(1, "GpuOpCompleted", end, data);
    };
    for end in [30, 60, 90] {
        kernel(&mut s, end);
    }
    s.event(1, "Other", 95, Vec::new());
    s.warn(1, 50, "slow");
    let once = s.account();
    s.spans.extend(s.spans.clone());
    s.events.extend(s.events.clone());
    s.logs.extend(s.logs.clone());
    let twice = s.account();
    assert_eq!(
        (&once.segments, &once.verdict, &once.findings),
        (&twice.segments, &twice.verdict, &twice.findings)
    );
    insta::assert_snapshot!(words(&twice), @r"
    repeated spans: 1 span came again; the longest of each counts
    repeated events: 3 events came again and count once
    ");
}

#[test]
fn what_begins_before_its_parent_is_cut_and_what_lies_outside_is_left_out() {
    let mut s = Script::new(100);
    let late = s.span(1, "late", 50, 90);
    s.span(late, "early", 20, 80);
    s.span(late, "elsewhere", 0, 10);
    let account = s.account();
    assert_eq!(
        (share_of(&account, "early"), share_of(&account, "elsewhere")),
        (30, 0)
    );
    insta::assert_snapshot!(words(&account), @r"
    clocks: 1 span began before the span around it: clocks differ, or it was started elsewhere; the time before is cut (`early` by 30.0 ms)
    spans outside of their parent: 1 span outside of the parent's time: clocks differ, or it was started to run later (`elsewhere` by 40.0 ms)
    ");
}

#[test]
fn spans_without_their_parent_stand_under_the_root_and_rings_are_broken() {
    let mut s = Script::new(100);
    s.span(77, "orphan", 0, 40);
    let a = s.span(1, "a", 50, 80);
    let b = s.span(a, "b", 60, 70);
    s.spans[a as usize - 1].parent_id = Some(id(b));
    s.push(None, "other root", 0, 20);
    let again = s.spans[1].clone();
    s.spans.push(again);
    let account = s.account();
    assert_eq!(
        (share_of(&account, "orphan"), share_of(&account, "b")),
        (40, 10)
    );
    insta::assert_snapshot!(words(&account), @r"
    the place of some spans: 2 spans came without a recorded parent and count directly under the root
    repeated spans: 1 span came again; the longest of each counts
    other roots: this trace has 1 span more without a parent, whose time is not in this one
    ");
}

/// What is left of a request of 900 ms after a kill.
fn killed() -> Script {
    let mut s = Script::new(900);
    s.span(1, "queue", 0, 400);
    let decode = s.span(1, "decode", 400, 795);
    s.span(decode, "block", 400, 790);
    s.span(1, "sampling", 800, 900);
    s.spans.remove(0);
    s
}

#[test]
fn requests_whose_parent_is_in_another_process_are_requests() {
    let mut script = killed();
    for span in &mut script.spans {
        if span.parent_id.is_some() {
            span.name = "request".into();
        }
    }
    let account = script.account();
    assert_eq!(account.interval.duration_ns, 400 * MS);
    assert!(
        account.to_string().starts_with("`request` took 400.0 ms"),
        "{account}"
    );
}

#[test]
fn a_part_of_a_request_that_had_not_ended_is_not_taken_for_it() {
    let account = killed().account();
    assert_eq!(account.interval.duration_ns, 900 * MS);
    assert!(
        account
            .to_string()
            .starts_with("`(not recorded)` took 900.0 ms"),
        "{account}"
    );
    assert_eq!(
        [
            share_of(&account, "queue"),
            share_of(&account, "block"),
            share_of(&account, "sampling")
        ],
        [400, 390, 100]
    );
    let Verdict::CannotTell { because } = &account.verdict else {
        panic!("{account}");
    };
    insta::assert_snapshot!(because, @"the request itself was not recorded: it had not ended, or its record is elsewhere; queue is 44.4 %, but `block` (43.3 %) and the 1.1 % that nothing accounts for could be as much; add spans where the gaps are");
    assert_eq!(words(&account), "");

    let mut long_queue = killed();
    long_queue.spans[0].end_unix_ns += 800 * MS;
    let account = long_queue.account();
    let Verdict::Cause {
        cause: Cause::Queue,
        confidence: Confidence::Medium,
        words,
        ..
    } = &account.verdict
    else {
        panic!("{account}");
    };
    assert!(
        words.starts_with("the request itself was not recorded: it had not ended"),
        "{words}"
    );

    let mut with_complete = killed();
    let mut short = Script::new(20);
    short.span(1, "queue", 0, 15);
    for span in short.spans {
        let trace_id = TraceId::new(TRACE + 1).unwrap();
        with_complete.spans.push(Span { trace_id, ..span });
    }
    let listed: Vec<_> = candidates(&with_complete.spans)
        .into_iter()
        .map(|candidate| (candidate.name, candidate.complete))
        .collect();
    assert_eq!(
        listed,
        [
            ("request".to_owned(), true),
            ("(not recorded)".to_owned(), false)
        ]
    );
    let all = window(&with_complete.telemetry(), 0, u64::MAX).unwrap();
    assert_eq!(all.subject, Subject::Window { requests: 1 });
}

#[test]
fn what_another_process_asked_for_is_a_request_by_itself() {
    let mut s = killed();
    s.kind(1, SpanKind::Server);
    assert!(s.account().to_string().starts_with("`queue` took 400.0 ms"));
    let mut alone = Script::new(50);
    alone.spans[0].parent_id = Some(id(77));
    assert!(
        alone
            .account()
            .to_string()
            .starts_with("`request` took 50.0 ms")
    );
}

#[test]
fn of_children_at_the_same_time_the_one_that_ends_last_counts() {
    let mut s = Script::new(100);
    s.span(1, "a", 0, 60);
    s.span(1, "b", 50, 100);
    s.span(1, "c", 0, 50);
    let account = s.account();
    assert_eq!(
        [
            share_of(&account, "a"),
            share_of(&account, "b"),
            share_of(&account, "c")
        ],
        [50, 50, 0]
    );
}

#[test]
fn a_chain_as_deep_as_it_likes_does_not_exhaust_the_stack() {
    let mut s = Script::new(1000);
    for depth in 0..20_000 {
        s.span(depth + 1, "deeper", 0, 1000);
    }
    assert_eq!(s.account().segments.len(), 1);
}

pub(super) fn spans() -> impl Strategy<Value = Vec<Span>> {
    let time = prop_oneof![8 => 0_u64..50, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let name = prop::sample::select(vec![
        "request",
        "queue",
        "lock",
        "shard 1",
        "shard 2",
        "work",
        "gpu.op",
        "serialize",
        "",
        "a\nb",
    ]);
    let cpu = prop::option::of(prop_oneof![0_u64..60, any::<u64>()]);
    let kind = prop::sample::select(vec![SpanKind::Internal, SpanKind::Server, SpanKind::Client]);
    let span = (
        1_u64..12,
        prop::option::weighted(0.9, 1_u64..14),
        name,
        (time.clone(), time),
        cpu,
        kind,
        0_u32..2,
    );
    let span = span.prop_map(|(number, parent, name, (start, end), cpu, kind, thread)| {
        let mut script = Script::new(0);
        let mut span = script.spans.remove(0);
        span.span_id = id(number);
        span.parent_id = parent.map(id);
        span.name = Cow::Borrowed(name);
        // Also spans that end before they start: a recording may hold anything.
        (span.start_unix_ns, span.end_unix_ns) = (start, end);
        (span.kind, span.thread) = (kind, thread);
        span.attributes = cpu
            .map(|cpu| (Cow::Borrowed(CPU_ATTRIBUTE), Value::U64(cpu)))
            .into_iter()
            .collect();
        span
    });
    prop::collection::vec(span, 1..24)
}

pub(super) fn events() -> impl Strategy<Value = Vec<EventRecord>> {
    let type_name = prop::sample::select(vec![
        "GpuOpCompleted",
        "InternalKernelCompleted",
        "CallCompleted",
        "LatencyEvent",
        "Other",
    ]);
    let path = prop::sample::select(vec![
        "forward",
        "forward/block 1",
        "forward/block 1/sdpa",
        "queue",
        "",
        "/",
    ]);
    let event = (
        type_name,
        path,
        1_u64..12,
        any::<u8>(),
        prop_oneof![0_u64..60, any::<u64>()],
    );
    let event = event.prop_map(|(type_name, path, host, end, duration)| {
        let mut script = Script::new(0);
        script.event(
            1,
            type_name,
            0,
            vec![
                ("path", path.into()),
                ("op_name", path.into()),
                ("internal_kernel_name", path.into()),
                ("step", (duration % 2).into()),
                ("duration_ns", duration.into()),
                ("queue_ns", duration.into()),
                ("execute_ns", 3_u64.into()),
            ],
        );
        let mut event = script.events.remove(0);
        event.time_unix_ns = u64::from(end);
        if let Some(place) = &mut event.place {
            place.span_id = id(host);
        }
        event
    });
    prop::collection::vec(event, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Σ segments + residual = duration for every trace, whatever is in it; and the same words in every order.
    #[test]
    fn every_trace_tiles_and_reads_the_same_in_any_order(spans in spans(), events in events(), seed in any::<u64>()) {
        let telemetry = Telemetry { spans: &spans, logs: &[], events: &events };
        let account = slowest(&telemetry).unwrap();
        assert_tiles(&account);
        prop_assert_eq!(account.interval.duration_ns, account.interval.end_unix_ns - account.interval.start_unix_ns);

        let mut shuffled = spans.clone();
        let mut shuffled_events = events.clone();
        let mut state = seed | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, random(last + 1));
        }
        for last in (1..shuffled_events.len()).rev() {
            shuffled_events.swap(last, random(last + 1));
        }
        let other = slowest(&Telemetry { spans: &shuffled, logs: &[], events: &shuffled_events }).unwrap();
        prop_assert_eq!(account.to_string(), other.to_string());
        prop_assert_eq!(serde_json::to_string(&account).unwrap(), serde_json::to_string(&other).unwrap());

        for candidate in &spans {
            assert_tiles(&span(&telemetry, candidate.trace_id, candidate.span_id).unwrap());
        }
    }
}
