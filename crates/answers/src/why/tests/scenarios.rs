//! Scripted causes, each told apart from the others, and what must not be told.

use super::*;

fn queue_bound() -> Script {
    let mut s = Script::new(1000);
    s.span(1, "queue", 0, 812);
    let generate = s.span(1, "generate", 812, 998);
    s.span(generate, "prefill", 812, 900);
    s.span(generate, "decode", 901, 998);
    s.warn(1, 500, "the queue holds 40 requests");
    s
}

fn cpu_bound() -> Script {
    let mut s = Script::new(300);
    let work = s.span(1, "attention", 5, 200);
    s.cpu(work, 190);
    let work = s.span(1, "mlp", 200, 295);
    s.cpu(work, 94).cpu(1, 288);
    s
}

fn io_bound() -> Script {
    let mut s = Script::new(500);
    s.span(1, "parse", 0, 20);
    let get = s.span(1, "GET /documents", 20, 460);
    s.kind(get, SpanKind::Client)
        .with(get, "http.request.method", "GET");
    let served = s.span(get, "GET /documents", 60, 100);
    s.kind(served, SpanKind::Server);
    s.span(1, "answer", 460, 498);
    s
}

fn gpu_bound() -> Script {
    let mut s = Script::new(200);
    let forward = s.span(1, "forward", 10, 190);
    for block in 0..6 {
        let end = 40 + block * 30;
        s.event(
            forward,
            "GpuOpCompleted",
            end,
            vec![
                ("op_name", "attention".into()),
                ("backend", "simulated".into()),
                ("duration_us", (28_000_u64).into()),
            ],
        );
    }
    s
}

/// A GPU operation of 100 ms with a kernel in it, reported in the shapes of the design notes.
fn gpu_kernel() -> Script {
    let mut s = Script::new(120);
    let kernel = |parent: &'static str| {
        vec![
            ("parent_op_name", parent.into()),
            ("internal_kernel_name", "sgemm".into()),
            ("duration_us", 80_000_u64.into()),
        ]
    };
    s.event(1, "InternalKernelCompleted", 100, kernel("matmul"));
    let op = vec![
        ("op_name", "matmul".into()),
        ("duration_us", 100_000_u64.into()),
    ];
    s.event(1, "GpuOpCompleted", 100, op);
    s
}

fn gpu_wait() -> Script {
    let mut s = Script::new(200);
    s.span(1, "gpu.op", 0, 30);
    s.span(1, "gpu.wait", 30, 180);
    s.span(1, "decode", 180, 198);
    s
}

fn transfer() -> Script {
    let mut s = Script::new(100);
    s.span(1, "gpu.memcpy_h2d", 2, 90);
    s.span(1, "gpu.op", 90, 99);
    s
}

fn serialization() -> Script {
    let mut s = Script::new(100);
    s.span(1, "serialize request", 0, 45);
    s.span(1, "execute", 45, 60);
    s.span(1, "deserialize response", 60, 99);
    s
}

fn python() -> Script {
    let mut s = Script::new(400);
    let call = s.span(1, "infer", 2, 398);
    let ns = |ms: u64| Value::from(ms * MS);
    s.event(
        call,
        "CallCompleted",
        397,
        vec![
            ("function", "torch.nn.functional.softmax".into()),
            ("duration_ns", ns(390)),
            ("queue_ns", ns(20)),
            ("serialize_ns", ns(10)),
            ("execute_ns", ns(340)),
            ("deserialize_ns", ns(15)),
        ],
    );
    s
}

fn lock_wait() -> Script {
    let mut s = Script::new(100);
    s.span(1, "lookup", 0, 10);
    let update = s.span(1, "update", 10, 99);
    s.span(update, "cache.lock", 12, 95);
    s.span(update, "write", 95, 98);
    s
}

fn one_slow_shard() -> Script {
    let mut s = Script::new(500);
    for shard in 0..8 {
        let end = if shard == 5 { 480 } else { 40 + shard };
        s.span(1, &format!("shard {shard}"), 5, end);
    }
    s.span(1, "merge", 480, 498);
    s
}

fn many_small_queries() -> Script {
    let mut s = Script::new(650);
    let list = s.span(1, "list orders", 5, 640);
    for row in 0..60 {
        let query = s.span(list, "SELECT customer", 10 + row * 10, 19 + row * 10);
        s.kind(query, SpanKind::Client)
            .with(query, "db.system.name", "postgresql");
    }
    s
}

fn gaps_between_spans() -> Script {
    let mut s = Script::new(1000);
    for (number, name) in ["validate", "tokenize", "plan", "generate", "format"]
        .into_iter()
        .enumerate()
    {
        let start = 5 + number as u64 * 230;
        s.span(1, name, start, start + 30);
    }
    s
}

fn cold_start() -> Script {
    let mut s = Script::new(5000);
    s.span(1, "queue", 0, 100);
    let load = s.span(1, "prepare", 100, 4300);
    s.with(load, PHASE_ATTRIBUTE, "startup");
    s.span(load, "read header", 100, 200);
    s.span(load, "map weights", 200, 4200);
    s.span(1, "generate", 4300, 4990);
    s
}

/// Only the collector's events: no spans beside the request.
fn slow_sampling() -> Script {
    let mut s = Script::new(100);
    let mut phase = |path: &'static str, end: u64, ms: u64| {
        s.event(
            1,
            "LatencyEvent",
            end,
            vec![
                ("path", path.into()),
                ("step", 7_u64.into()),
                ("duration_ns", (ms * MS).into()),
            ],
        );
    };
    phase("embedding", 4, 3);
    phase("forward/block 0/sdpa", 9, 4);
    phase("forward/block 0", 15, 10);
    phase("forward/block 1", 25, 10);
    phase("forward", 26, 21);
    phase("output", 30, 4);
    phase("sampling", 99, 69);
    s
}

/// Four passes over 24 blocks; one block is slow in one of them.
fn one_block_once() -> Script {
    blocks(|pass, block| if (pass, block) == (2, 17) { 300 } else { 2 })
}

/// Four passes over 24 blocks; one block is slow in all of them.
fn one_block_always() -> Script {
    blocks(|_, block| if block == 17 { 60 } else { 2 })
}

fn blocks(ms: impl Fn(u64, u64) -> u64) -> Script {
    let total: u64 = (0..4)
        .flat_map(|pass| (0..24).map(move |block| (pass, block)))
        .map(|(pass, block)| ms(pass, block))
        .sum();
    let mut s = Script::new(total + 10);
    let mut at = 1;
    for pass in 0..4 {
        let length: u64 = (0..24).map(|block| ms(pass, block)).sum();
        let forward = s.span(1, "forward", at, at + length);
        for block in 0..24 {
            let span = s.span(forward, "block", at, at + ms(pass, block));
            s.with(span, "index", block);
            at += ms(pass, block);
        }
        at += 1;
    }
    s
}

fn blocked_off_cpu() -> Script {
    let mut s = Script::new(200);
    let step = s.span(1, "step", 2, 198);
    s.cpu(step, 9).cpu(1, 11);
    s
}

#[test]
fn every_scripted_cause_is_named() {
    let scripts: [(Script, Cause, Confidence); 17] = [
        (queue_bound(), Cause::Queue, Confidence::High),
        (cpu_bound(), Cause::Cpu, Confidence::High),
        (io_bound(), Cause::Io, Confidence::High),
        (gpu_bound(), Cause::Gpu, Confidence::High),
        (gpu_wait(), Cause::GpuWait, Confidence::High),
        (transfer(), Cause::Transfer, Confidence::High),
        (serialization(), Cause::Serialization, Confidence::High),
        (python(), Cause::Python, Confidence::High),
        (lock_wait(), Cause::Lock, Confidence::High),
        (one_slow_shard(), Cause::Outlier, Confidence::High),
        (many_small_queries(), Cause::ManyCalls, Confidence::High),
        (gaps_between_spans(), Cause::Gaps, Confidence::Medium),
        (cold_start(), Cause::ColdStart, Confidence::High),
        (slow_sampling(), Cause::Phase, Confidence::High),
        (one_block_once(), Cause::Outlier, Confidence::Medium),
        (one_block_always(), Cause::Outlier, Confidence::Medium),
        (blocked_off_cpu(), Cause::Wait, Confidence::High),
    ];
    for (script, expected, sure) in scripts {
        let account = script.account();
        let Verdict::Cause {
            cause,
            confidence,
            ref evidence,
            ..
        } = account.verdict
        else {
            panic!("{expected:?}\n{account}");
        };
        assert_eq!((cause, confidence), (expected, sure), "{account}");
        assert!(!evidence.is_empty(), "{account}");
    }
}

/// A request of a second with one span of this name in it, which computed for so many of its 980 ms.
fn one_span(name: &str, cpu_ms: u64) -> Script {
    let mut s = Script::new(1000);
    let span = s.span(1, name, 10, 990);
    s.cpu(span, cpu_ms);
    s
}

#[test]
fn a_cpu_reading_has_more_weight_than_what_a_name_a_convention_or_a_parent_says() {
    let mut client = one_span("GET /x", 979);
    client.kind(2, SpanKind::Client);

    let mut database = one_span("SELECT", 979);
    database.with(2, "db.system.name", "sqlite");

    let mut inside_of_fetch = Script::new(1000);
    let fetch = inside_of_fetch.span(1, "fetch", 10, 990);
    let parse = inside_of_fetch.span(fetch, "parse", 20, 980);
    inside_of_fetch.cpu(parse, 960);

    let mut deep_inside = Script::new(1000);
    let fetch = deep_inside.span(1, "fetch", 10, 990);
    let body = deep_inside.span(fetch, "body", 15, 985);
    let parse = deep_inside.span(body, "parse", 20, 980);
    deep_inside.cpu(parse, 960).cpu(1, 970);

    let mut device = one_span("tokenize", 979);
    device.with(1, "gpu.device", "cuda:0");

    let mut said = one_span("rest", 979);
    said.with(2, PHASE_ATTRIBUTE, "off_cpu");

    let mut said_around = Script::new(1000);
    let outer = said_around.span(1, "outer", 0, 1000);
    let inner = said_around.span(outer, "inner", 10, 990);
    said_around
        .with(outer, PHASE_ATTRIBUTE, "io")
        .cpu(inner, 979);

    let scripts = [
        one_span("fetch", 979),
        one_span("wait", 979),
        one_span("queue", 979),
        one_span("cache.lock", 979),
        one_span("gpu.prepare", 979),
        one_span("transfer", 979),
        client,
        database,
        inside_of_fetch,
        deep_inside,
        device,
        said,
        said_around,
    ];
    for script in scripts {
        let account = script.account();
        let Verdict::Cause {
            cause, confidence, ..
        } = account.verdict
        else {
            panic!("{account}");
        };
        assert_eq!(
            (cause, confidence),
            (Cause::Cpu, Confidence::High),
            "{account}"
        );
    }
}

#[test]
fn a_reading_that_fits_into_nothing_else_was_spent_in_what_looks_like_a_wait() {
    let mut s = Script::new(1000);
    s.span(1, "fetch", 10, 990);
    s.cpu(1, 979);
    let account = s.account();
    assert_eq!(cause(&account), Some(Cause::Cpu), "{account}");
    assert!(
        matches!(account.verdict, Verdict::Cause { confidence, .. } if confidence == Confidence::Medium),
        "{account}"
    );

    let mut s = Script::new(1000);
    s.span(1, "fetch", 10, 990);
    s.cpu(1, 20);
    assert_eq!(cause(&s.account()), Some(Cause::Io), "{}", s.account());
}

#[test]
fn what_did_not_run_is_what_its_name_says_only_where_that_waits() {
    let said = |kind: &'static str, cpu_ms| {
        let mut said = one_span("handshake", cpu_ms);
        said.with(2, PHASE_ATTRIBUTE, kind);
        said
    };
    for (script, expected) in [
        (one_span("fetch", 5), Cause::Io),
        (one_span("queue", 0), Cause::Queue),
        (one_span("gpu.op", 1), Cause::Gpu),
        (one_span("serialize reply", 979), Cause::Serialization),
        (one_span("serialize reply", 1), Cause::Wait),
        (one_span("model.load", 979), Cause::ColdStart),
        // The program knows better than its processor time what it was doing.
        (said("io", 500), Cause::Io),
        (said("startup", 979), Cause::ColdStart),
        // A thread that waits for a GPU may spin.
        (said("gpu_wait", 979), Cause::GpuWait),
        // But it did not wait for anything else while it computed.
        (said("io", 979), Cause::Cpu),
        (said("queue", 979), Cause::Cpu),
        (said("lock", 979), Cause::Cpu),
    ] {
        let account = script.account();
        assert_eq!(cause(&account), Some(expected), "{account}");
    }
}

#[test]
fn a_declared_wait_that_computed_all_the_time_is_said() {
    let mut s = Script::new(1000);
    let outer = s.span(1, "handshake", 10, 990);
    s.span(outer, "verify", 20, 980);
    s.with(outer, PHASE_ATTRIBUTE, "io").cpu(outer, 970);
    let account = s.account();
    assert_eq!(cause(&account), Some(Cause::Cpu), "{account}");
    let said = "1 span that `radiosonde.phase` calls a wait computed nearly all the time (`handshake` for 970.0 ms)";
    let text = account.to_string();
    // Lines are broken where they are full.
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.join(" ").contains(said), "{text}");
}

#[test]
fn a_declared_wait_may_have_spun() {
    let mut spun = Script::new(1000);
    let lock = spun.span(1, "acquire", 0, 950);
    spun.with(lock, PHASE_ATTRIBUTE, "lock").cpu(lock, 940);
    let account = spun.account();
    let sure = |account: &Account| match account.verdict {
        Verdict::Cause {
            cause, confidence, ..
        } => Some((cause, confidence)),
        Verdict::CannotTell { .. } => None,
    };
    assert_eq!(
        sure(&account),
        Some((Cause::Cpu, Confidence::Medium)),
        "{account}"
    );
    assert!(account.ruled_out.is_empty(), "{account}");

    // A lock that was free at once takes nothing away from what computed for long.
    let mut free = Script::new(1000);
    let lock = free.span(1, "acquire", 0, 1);
    free.with(lock, PHASE_ATTRIBUTE, "lock").cpu(lock, 1);
    let work = free.span(1, "tokenize", 1, 990);
    free.cpu(work, 980);
    let account = free.account();
    assert_eq!(
        sure(&account),
        Some((Cause::Cpu, Confidence::High)),
        "{account}"
    );
}

#[test]
fn what_is_inside_of_a_name_is_not_of_its_kind_unless_the_program_says_so() {
    let inside = |outer: &str, lead: u64, inner: &str| {
        let mut s = Script::new(220);
        let around = s.span(1, outer, 1, 219);
        s.span(around, inner, 1 + lead, 218);
        s
    };
    let mut database = inside("handle", 1, "render");
    database.with(1, "db.system.name", "postgresql");
    let mut client = inside("GET /x", 1, "decode body");
    client.kind(2, SpanKind::Client);
    let mut service = Script::new(220);
    service.spans[0].name = Cow::Borrowed("init");
    service.span(1, "run migrations", 1, 219);
    service.span(1, "read settings", 0, 1);
    for (script, label) in [
        (inside("mutex", 1, "update index"), "update index"),
        (inside("fetch", 10, "decompress"), "decompress"),
        (inside("model.load", 1, "run migrations"), "run migrations"),
        (database, "render"),
        (client, "decode body"),
        (service, "run migrations"),
    ] {
        let account = script.account();
        let named = account.segments.first();
        assert_eq!(
            named.map(|segment| (segment.category, segment.label.as_str())),
            Some((Category::Phase, label)),
            "{account}"
        );
        assert!(
            matches!(cause(&account), None | Some(Cause::Phase)),
            "{account}"
        );
    }
    let mut said = inside("around", 10, "inner");
    said.with(2, PHASE_ATTRIBUTE, "lock");
    let account = said.account();
    assert_eq!(cause(&account), Some(Cause::Lock), "{account}");
}

#[test]
fn what_the_records_do_not_say_is_not_told() {
    let one_span = Script::new(900);

    let mut wrapper = Script::new(900);
    wrapper.span(1, "handle", 1, 899);

    let mut a_drop = Script::new(1000);
    a_drop.span(1, "queue", 0, 20);

    let mut two_alike = Script::new(1000);
    two_alike.span(1, "queue", 0, 490);
    two_alike.span(1, "generate", 490, 990);

    let mut hidden = Script::new(1000);
    hidden.span(1, "queue", 0, 450);
    hidden.span(1, "generate", 700, 950);

    let mut spread = Script::new(1000);
    for (number, name) in ["queue", "tokenize", "prefill", "decode"]
        .into_iter()
        .enumerate()
    {
        spread.span(1, name, number as u64 * 250, number as u64 * 250 + 250);
    }

    let mut one_gap = Script::new(1000);
    one_gap.span(1, "parse", 0, 10);
    one_gap.span(1, "answer", 990, 1000);

    let empty = Script::new(0);

    for script in [
        &one_span, &wrapper, &a_drop, &two_alike, &hidden, &spread, &one_gap, &empty,
    ] {
        let account = script.account();
        assert_eq!(cause(&account), None, "{account}");
    }
    let because: Vec<_> = [&one_span, &wrapper, &two_alike, &hidden, &spread, &empty]
        .into_iter()
        .map(|script| match script.account().verdict {
            Verdict::CannotTell { because } => because,
            Verdict::Cause { words, .. } => words,
        })
        .collect();
    insta::assert_snapshot!(because.join("\n"), @r"
    900.0 ms of 900.0 ms (100.0 %) is accounted for by nothing: its only span says no more than that time passed; add spans to the slow part, or CPU time (`thread.cpu.duration`)
    898.0 ms of 900.0 ms is in `handle`, and nothing was recorded inside it or beside it; add spans there, or CPU time (`thread.cpu.duration`)
    `generate` is 50.0 %, but queue (49.0 %) and the 1.0 % that nothing accounts for could be as much; add spans where the gaps are
    queue is 45.0 %, but `generate` (25.0 %) and the 30.0 % that nothing accounts for could be as much; add spans where the gaps are
    no part of the time stands out: queue 25.0 %, `decode` 25.0 %, `prefill` 25.0 %
    the measured interval is empty
    ");
}

#[test]
fn a_kernel_has_its_part_in_the_operation_around_it() {
    let account = gpu_kernel().account();
    let parts: Vec<_> = account
        .segments
        .iter()
        .map(|segment| {
            (
                segment.category,
                segment.label.as_str(),
                segment.duration_ns / MS,
            )
        })
        .collect();
    assert_eq!(
        parts,
        [
            (Category::GpuBusy, "gpu sgemm", 80),
            (Category::GpuBusy, "gpu matmul", 20)
        ]
    );
    assert_eq!(cause(&account), Some(Cause::Gpu), "{account}");
}

#[test]
fn shares_are_of_whole_times_however_short() {
    let mut s = Script::new(0);
    let start = s.spans[0].start_unix_ns;
    s.spans[0].end_unix_ns = start + 50;
    s.span(1, "queue", 0, 0);
    s.span(1, "work", 0, 0);
    s.spans[1].end_unix_ns = start + 30;
    s.spans[2].start_unix_ns = start + 30;
    s.spans[2].end_unix_ns = start + 50;
    assert_eq!(cause(&s.account()), Some(Cause::Queue), "{}", s.account());
}

#[test]
fn estimates_are_marked_and_a_kind_of_time_goes_by_its_only_name() {
    let mut s = Script::new(300);
    s.span(1, "attention", 0, 100);
    s.span(1, "mlp", 100, 200);
    s.span(1, "queue", 200, 300);
    s.cpu(1, 120);
    insta::assert_snapshot!(s.account(), @r"
    `request` took 300.0 ms (trace 0af7651916cd43dd8448eb211c80319c, 4 spans)

      queue           queue                        ██████████▋                         100.0 ms   33.3 %
      on-CPU          attention                    ██████▍                             ~60.0 ms   20.0 %
      on-CPU          mlp                          ██████▍                             ~60.0 ms   20.0 %
      off-CPU         attention                    ████▎                               ~40.0 ms   13.3 %
      off-CPU         mlp                          ████▎                               ~40.0 ms   13.3 %
      unattributed                                                                         0 ns    0.0 %
      total                                        ████████████████████████████████    300.0 ms  100.0 %
      ~ is an estimate: CPU time that spans share is spread evenly over them

    Why: it computed on the CPU: 120.0 ms (40.0 %) in 2 spans, mostly `attention`. Evidence: span
      0000000000000002 (`attention`, 100.0 ms), 0000000000000003 (`mlp`, 100.0 ms).
    Confidence: medium.
    Ruled out: queue (`queue`) at most 33.3 %, off-CPU at most 26.7 %.
    Not assessed: I/O, locks, GPU, serialization, Python: no record says so; what there was is inside
      the parts above. The attribute `radiosonde.phase` names it.
    ");
}

#[test]
fn a_queue_bound_request_reads_like_this() {
    insta::assert_snapshot!(queue_bound().account(), @r#"
    `request` took 1.000 s (trace 0af7651916cd43dd8448eb211c80319c, 5 spans)

      queue           queue                        █████████████████████████▉          812.0 ms   81.2 %
      phase           decode                       ███                                  97.0 ms    9.7 %
      phase           prefill                      ██▊                                  88.0 ms    8.8 %
      unattributed                                 ▏                                     3.0 ms    0.3 %
      total                                        ████████████████████████████████     1.000 s  100.0 %

    Why: it waited in a queue: 812.0 ms (81.2 %) in `queue`. Evidence: span 0000000000000002 (`queue`,
      812.0 ms).
    Confidence: high.
    Seen: a warning was logged: "the queue holds 40 requests". Evidence: span 0000000000000001
      (`request`, 1.000 s).
    Ruled out: phase (`decode`) at most 10.0 %, phase (`prefill`) at most 9.1 %.
    Not assessed: on-CPU and off-CPU time: no span carries `thread.cpu.duration`; it is recorded on
      request because reading it costs a system call.
    Not assessed: I/O, locks, GPU, serialization, Python: no record says so; what there was is inside
      the parts above or the 0.3 % that nothing accounts for. The attribute `radiosonde.phase` names it.
    "#);
}

#[test]
fn one_block_that_is_slow_every_time_reads_like_this() {
    insta::assert_snapshot!(one_block_always().account(), @r"
    `request` took 434.0 ms (trace 0af7651916cd43dd8448eb211c80319c, 101 spans)

      phase           block *                      ███████████████████████████████▎    424.0 ms   97.7 %
      unattributed                                 ▋                                    10.0 ms    2.3 %
      total                                        ████████████████████████████████    434.0 ms  100.0 %

    Why: `block 17` is slow every time: 240.0 ms over 4 spans, 30.0 times the median of 8.0 ms of the 23
      others. Evidence: span 0000000000000014 (`block 17`, 60.0 ms), 000000000000002d (`block 17`, 60.0
      ms), 0000000000000046 (`block 17`, 60.0 ms).
    Confidence: medium.
    Not assessed: on-CPU and off-CPU time: no span carries `thread.cpu.duration`; it is recorded on
      request because reading it costs a system call.
    Not assessed: queueing, I/O, locks, GPU, serialization, Python: no record says so; what there was is
      inside the parts above or the 2.3 % that nothing accounts for. The attribute `radiosonde.phase`
      names it.
    ");
}

#[test]
fn gaps_read_like_this() {
    insta::assert_snapshot!(gaps_between_spans().account(), @r"
    `request` took 1.000 s (trace 0af7651916cd43dd8448eb211c80319c, 6 spans)

      phase           format                       ▉                                    30.0 ms    3.0 %
      phase           generate                     ▉                                    30.0 ms    3.0 %
      phase           plan                         ▉                                    30.0 ms    3.0 %
      phase           tokenize                     ▉                                    30.0 ms    3.0 %
      phase           validate                     ▉                                    30.0 ms    3.0 %
      unattributed                                 ███████████████████████████▏        850.0 ms   85.0 %
      total                                        ████████████████████████████████     1.000 s  100.0 %

    Why: 800.0 ms (80.0 %) of `request` lies between its 5 spans, where nothing was recorded. Evidence:
      span 0000000000000001 (`request`, 1.000 s).
    Confidence: medium.
    Seen: the longest time that nothing accounts for is 200.0 ms of `request`, between `validate` and
      `tokenize`. Evidence: span 0000000000000001 (`request`, 1.000 s).
    Not assessed: on-CPU and off-CPU time: no span carries `thread.cpu.duration`; it is recorded on
      request because reading it costs a system call.
    Not assessed: queueing, I/O, locks, GPU, serialization, Python: no record says so; what there was is
      inside the parts above or the 85.0 % that nothing accounts for. The attribute `radiosonde.phase`
      names it.
    ");
}

#[test]
fn shards_that_run_at_once_read_like_this() {
    insta::assert_snapshot!(one_slow_shard().account(), @r"
    `request` took 500.0 ms (trace 0af7651916cd43dd8448eb211c80319c, 10 spans)

      phase           shard *                      ██████████████████████████████▍     475.0 ms   95.0 %
      phase           merge                        █▏                                   18.0 ms    3.6 %
      unattributed                                 ▍                                     7.0 ms    1.4 %
      total                                        ████████████████████████████████    500.0 ms  100.0 %

    Why: one `shard 5` of 8 took 475.0 ms, 12.5 times the median of 38.0 ms. Evidence: span
      0000000000000007 (`shard 5`, 475.0 ms).
    Confidence: high.
    Seen: 8 spans `shard *` ran at the same time: 743.0 ms of work of which 475.0 ms held the request
      up. Evidence: span 0000000000000007 (`shard 5`, 475.0 ms), 0000000000000009 (`shard 7`, 42.0 ms),
      0000000000000008 (`shard 6`, 41.0 ms).
    Ruled out: phase (`merge`) at most 5.0 %.
    Not assessed: on-CPU and off-CPU time: no span carries `thread.cpu.duration`; it is recorded on
      request because reading it costs a system call.
    Not assessed: queueing, I/O, locks, GPU, serialization, Python: no record says so; what there was is
      inside the parts above or the 1.4 % that nothing accounts for. The attribute `radiosonde.phase`
      names it.
    ");
}

#[test]
fn cpu_time_splits_what_is_only_named() {
    insta::assert_snapshot!(cpu_bound().account(), @r"
    `request` took 300.0 ms (trace 0af7651916cd43dd8448eb211c80319c, 3 spans)

      on-CPU          attention                    ████████████████████▎               190.0 ms   63.3 %
      on-CPU          mlp                          ██████████                           94.0 ms   31.3 %
      off-CPU         request                      ▋                                     6.0 ms    2.0 %
      off-CPU         attention                    ▌                                     5.0 ms    1.7 %
      on-CPU          request                      ▍                                     4.0 ms    1.3 %
      off-CPU         mlp                          ▏                                     1.0 ms    0.3 %
      unattributed                                                                         0 ns    0.0 %
      total                                        ████████████████████████████████    300.0 ms  100.0 %

    Why: it computed on the CPU: 288.0 ms (96.0 %) in 3 spans, mostly `attention`. Evidence: span
      0000000000000002 (`attention`, 195.0 ms), 0000000000000003 (`mlp`, 95.0 ms), 0000000000000001
      (`request`, 300.0 ms).
    Confidence: high.
    Ruled out: off-CPU at most 4.0 %.
    Not assessed: queueing, I/O, locks, GPU, serialization, Python: no record says so; what there was is
      inside the parts above. The attribute `radiosonde.phase` names it.
    ");
}

#[test]
fn the_json_form_is_stable() {
    let mut s = Script::new(10);
    s.span(1, "queue", 0, 8);
    s.span(1, "work", 8, 9);
    insta::assert_snapshot!(serde_json::to_string_pretty(&s.account()).unwrap(), @r#"
    {
      "schema": 1,
      "subject": {
        "kind": "trace",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "0000000000000001",
        "name": "request"
      },
      "interval": {
        "start_unix_ns": 1000000000000000,
        "end_unix_ns": 1000000010000000,
        "duration_ns": 10000000
      },
      "spans": 3,
      "segments": [
        {
          "category": "queue",
          "label": "queue",
          "duration_ns": 8000000,
          "share": 0.8,
          "spans": 1,
          "total_ns": 8000000,
          "provenance": "measured",
          "evidence": [
            {
              "trace_id": "0af7651916cd43dd8448eb211c80319c",
              "span_id": "0000000000000002",
              "name": "queue",
              "duration_ns": 8000000
            }
          ]
        },
        {
          "category": "phase",
          "label": "work",
          "duration_ns": 1000000,
          "share": 0.1,
          "spans": 1,
          "total_ns": 1000000,
          "provenance": "measured",
          "evidence": [
            {
              "trace_id": "0af7651916cd43dd8448eb211c80319c",
              "span_id": "0000000000000003",
              "name": "work",
              "duration_ns": 1000000
            }
          ]
        }
      ],
      "residual_ns": 1000000,
      "gaps": [
        {
          "inside": {
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "0000000000000001",
            "name": "request",
            "duration_ns": 10000000
          },
          "after": "work",
          "before": null,
          "duration_ns": 1000000
        }
      ],
      "verdict": {
        "kind": "cause",
        "cause": "queue",
        "label": "queue",
        "duration_ns": 8000000,
        "share": 0.8,
        "confidence": "high",
        "words": "it waited in a queue: 8.0 ms (80.0 %) in `queue`",
        "evidence": [
          {
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "0000000000000002",
            "name": "queue",
            "duration_ns": 8000000
          }
        ]
      },
      "findings": [
        {
          "words": "the longest time that nothing accounts for is 1.0 ms of `request`, after `work`",
          "evidence": [
            {
              "trace_id": "0af7651916cd43dd8448eb211c80319c",
              "span_id": "0000000000000001",
              "name": "request",
              "duration_ns": 10000000
            }
          ]
        }
      ],
      "ruled_out": [
        {
          "category": "phase",
          "label": "work",
          "seen_ns": 1000000,
          "at_most_ns": 2000000,
          "at_most_share": 0.2
        }
      ],
      "not_assessed": [
        {
          "what": "on-CPU and off-CPU time",
          "because": "no span carries `thread.cpu.duration`; it is recorded on request because reading it costs a system call"
        },
        {
          "what": "I/O, locks, GPU, serialization, Python",
          "because": "no record says so; what there was is inside the parts above or the 10.0 % that nothing accounts for. The attribute `radiosonde.phase` names it"
        }
      ]
    }
    "#);
}

#[test]
fn a_window_adds_up_its_requests() {
    let mut s = queue_bound();
    for (number, span) in queue_bound().spans.into_iter().enumerate() {
        let trace_id = TraceId::new(TRACE + 1).unwrap();
        s.spans.push(Span {
            trace_id,
            span_id: id(100 + number as u64),
            parent_id: span.parent_id.map(|parent| id(99 + parent.bits())),
            ..span
        });
    }
    let account = window(&s.telemetry(), 0, u64::MAX).unwrap();
    assert_tiles(&account);
    assert_eq!(account.interval.duration_ns, 2000 * MS);
    assert_eq!(cause(&account), Some(Cause::Queue));
    assert_eq!(account.subject, Subject::Window { requests: 2 });
    assert!(window(&s.telemetry(), 0, 5).is_none());
    let part = span(&s.telemetry(), trace_id(), id(3)).unwrap();
    assert_eq!(part.interval.duration_ns, 186 * MS);
    assert!(
        span(&s.telemetry(), trace_id(), id(100)).is_none()
            && trace(&s.telemetry(), TraceId::new(5).unwrap()).is_none()
    );
}

/// Requests of several shapes, each as a trace of its own, with its events.
#[test]
fn a_window_says_of_each_kind_of_time_what_its_requests_say() {
    let mut all = Script::new(0);
    all.spans.clear();
    let shapes = [queue_bound, gpu_bound, slow_sampling, python, lock_wait];
    for number in 0..40_u64 {
        let script = shapes[number as usize % shapes.len()]();
        let trace_id = TraceId::new(TRACE + u128::from(number)).unwrap();
        all.spans.extend(
            script
                .spans
                .into_iter()
                .map(|span| Span { trace_id, ..span }),
        );
        all.events
            .extend(script.events.into_iter().map(|mut event| {
                event.place = event.place.map(|place| Place { trace_id, ..place });
                event
            }));
    }
    // As a recording has them: in no order of traces.
    all.spans
        .sort_by_key(|span| (span.start_unix_ns, span.span_id));
    let telemetry = all.telemetry();
    let times = |accounts: &[Account]| {
        let mut times = std::collections::BTreeMap::new();
        for segment in accounts.iter().flat_map(|account| &account.segments) {
            *times
                .entry((segment.category, segment.label.clone()))
                .or_insert(0) += segment.duration_ns;
        }
        times
    };
    let each: Vec<_> = candidates(&all.spans)
        .iter()
        .map(|candidate| trace(&telemetry, candidate.trace_id).unwrap())
        .collect();
    let whole = window(&telemetry, 0, u64::MAX).unwrap();
    assert_eq!(
        (each.len(), &whole.subject),
        (40, &Subject::Window { requests: 40 })
    );
    assert_eq!(times(&each), times(std::slice::from_ref(&whole)));
    assert_eq!(
        each.iter().map(|account| account.residual_ns).sum::<u64>(),
        whole.residual_ns
    );
}

#[test]
fn what_is_odd_about_several_requests_is_said_once() {
    let mut s = Script::new(100);
    s.span(77, "orphan", 0, 40);
    for span in s.spans.clone() {
        let trace_id = TraceId::new(TRACE + 1).unwrap();
        s.spans.push(Span { trace_id, ..span });
    }
    let account = window(&s.telemetry(), 0, u64::MAX).unwrap();
    let odd: Vec<_> = account.not_assessed[2..]
        .iter()
        .map(|odd| &odd.because)
        .collect();
    assert_eq!(
        odd,
        ["2 spans came without a recorded parent and count directly under the root"]
    );
}
