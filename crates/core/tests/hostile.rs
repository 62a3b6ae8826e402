//! Values that record, panic or never end while they are recorded, and programs that ask for more than there is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use radiosonde_core::{
    Silence, WhenFull,
    batch::Batch,
    context,
    filter::{self, Filter},
    loss::{self, Lost},
    model::{Log, Record, Value},
    pump::{self, Consumer, Pump},
    silence,
    subscriber::Subscriber,
    when_full,
};
use tracing::{
    field::{Empty, debug},
    info, info_span,
};

struct Keep(Arc<Mutex<Vec<Record>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.0
            .lock()
            .unwrap()
            .extend(batch.records().map(|record| record.to_record()));
    }
}

/// One recording at a time: there is one pump a process, and one count of losses.
struct Recording {
    pump: Pump,
    records: Arc<Mutex<Vec<Record>>>,
    lost: Vec<(Lost, u64)>,
    _turn: MutexGuard<'static, ()>,
}

fn recording() -> Recording {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    let records = Arc::new(Mutex::new(Vec::new()));
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(Keep(Arc::clone(&records)))];
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers,
    });
    Recording {
        pump: pump.unwrap(),
        records,
        lost: loss::report(),
        _turn: turn,
    }
}

impl Recording {
    /// What came, by name or message and attributes, in the order of its times.
    fn shown(&self) -> Vec<String> {
        assert!(self.pump.flush(Duration::from_secs(10)));
        let mut records = std::mem::take(&mut *self.records.lock().unwrap());
        records.sort_by_key(|record| match record {
            Record::Span(span) => span.end_unix_ns,
            Record::Log(log) => log.time_unix_ns,
            Record::Event(event) => event.time_unix_ns,
        });
        records.iter().map(show).collect()
    }

    /// What was lost since the recording started.
    fn lost(&self) -> Vec<(Lost, u64)> {
        let before = |reason| {
            let found = self.lost.iter().find(|(lost, _)| *lost == reason);
            found.map_or(0, |(_, count)| *count)
        };
        let now = loss::report().into_iter();
        now.map(|(reason, count)| (reason, count - before(reason)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

fn show(record: &Record) -> String {
    let (name, attributes) = match record {
        Record::Span(span) => (span.name.to_string(), &span.attributes),
        Record::Log(Log {
            message,
            attributes,
            ..
        }) => (message.to_string(), attributes),
        Record::Event(event) => return event.type_name.to_string(),
    };
    attributes.iter().fold(name, |shown, (name, value)| {
        let value = match value {
            Value::Str(text) if text.len() > 60 => format!("{} bytes", text.len()),
            Value::Str(text) => text.to_string(),
            value => format!("{value:?}"),
        };
        format!("{shown} {name}={value}")
    })
}

/// Records what it is told to, gives the pump the time to read that, and then shows itself.
struct Chatty<F: Fn()>(F, &'static str);

impl<F: Fn()> fmt::Debug for Chatty<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)();
        thread::sleep(Duration::from_millis(20));
        f.write_str(self.1)
    }
}

#[test]
fn a_value_that_logs_while_it_is_logged_loses_neither_log() {
    let recording = recording();
    let long =
        "longer than the log outside, so that the end of that one comes before the end of this";
    let short = Chatty(|| info!(long, "inner"), "short");
    info!(before = 1, value = ?short, after = 2, "outer");
    let long = Chatty(
        || info!("inner"),
        "goes on behind the end of the log that it made inside",
    );
    info!(before = 1, value = ?long, after = 2, "outer");
    info!("last");
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "outer before=I64(1) value=short after=I64(2)",
        "inner long=85 bytes",
        "outer before=I64(1) value=goes on behind the end of the log that it made inside after=I64(2)",
        "inner",
        "last",
    ]
    "#);
    assert_eq!(recording.lost(), []);
}

#[test]
fn text_that_looks_like_a_frame_stays_text() {
    let recording = recording();
    // The words of a log whose callsite is at 0x4141414141414140, behind eight bytes to skip.
    let forged = "padpadpa\u{2}\0\0\0\u{9}\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        @AAAAAAA\0\0\0\0\0\0\0\0";
    info!(value = ?Chatty(|| info!("x"), forged));
    info!("after");
    let shown = recording.shown();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!((&*shown[1], &*shown[2]), ("x", "after"));
    assert_eq!(recording.lost(), []);
}

#[test]
fn a_value_may_open_spans_while_it_is_logged_or_opens_one() {
    let recording = recording();
    let long = "y".repeat(600);
    let spans = || {
        let outer = info_span!("outer", long).entered();
        info_span!("inner", n = 1).in_scope(|| ());
        outer.record("long", 7);
    };
    info!(value = ?Chatty(spans, "shown"), "log");
    drop(info_span!("span", value = ?Chatty(spans, "shown"), n = 2));
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "log value=shown",
        "inner n=I64(1)",
        "outer long=I64(7)",
        "inner n=I64(1)",
        "outer long=I64(7)",
        "span value=shown n=I64(2)",
    ]
    "#);
    assert_eq!(recording.lost(), []);
}

#[test]
fn a_value_that_records_itself_ends() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(value = ?self, "inner");
            f.write_str("endless")
        }
    }
    let recording = recording();
    info!(value = ?Endless, "outer");
    info!("last");
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "outer value=endless",
        "inner value=endless",
        "inner value=endless",
        "inner value=endless",
        "last",
    ]
    "#);
    assert_eq!(recording.lost(), [(Lost::TooDeep, 1)]);
}

#[test]
fn a_long_value_that_opens_spans_with_long_values_neither_hangs_nor_comes_twice() {
    let recording = recording();
    let (long, inner) = ("z".repeat(600), "y".repeat(600));
    let value = Chatty(|| drop(info_span!("inner", inner)), long.leak());
    let span = info_span!("outer", ?value, late = Empty);
    span.record("late", debug(&value));
    drop(span);
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "inner inner=600 bytes",
        "inner inner=600 bytes",
        "outer value=600 bytes late=600 bytes",
    ]
    "#);
    assert_eq!(recording.lost(), []);
}

#[test]
fn a_value_may_record_on_the_very_span_it_is_recorded_on() {
    let recording = recording();
    let span = info_span!("span", value = Empty, inner = Empty, again = Empty);
    let record = || {
        span.record("inner", "a text of the value's own");
    };
    span.record("value", debug(Chatty(record, "shown")));
    span.record("again", 3);
    drop(span);
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "span inner=a text of the value's own value=shown again=I64(3)",
    ]
    "#);
    assert_eq!(recording.lost(), []);
}

/// Writes what would be a field of its own, were it read as words, and panics.
struct HalfWay;

impl fmt::Debug for HalfWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The head of a number of key 1, and the number.
        f.write_str("\u{3}\u{1}\0\0\0\0\0\0AAAAAAAA")?;
        std::panic::resume_unwind(Box::new(()))
    }
}

#[test]
fn a_value_may_record_on_a_span_that_the_filter_follows_by_that_value() {
    let recording = recording();
    filter::set("info,[request{user=ann}]=debug".parse().unwrap());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let span = info_span!("request", user = Empty, tries = Empty);
        let same = span.clone();
        let records = move || {
            same.record("tries", 3);
        };
        span.record("user", debug(Chatty(records, "ann")));
        span.in_scope(|| tracing::debug!("inside"));
        drop(span);
        done.send(()).unwrap();
    });
    let ended = is_done.recv_timeout(Duration::from_secs(20));
    filter::set(Filter::default());
    assert!(ended.is_ok(), "it waits for itself");
    let shown = recording.shown();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[0], "inside");
    assert!(
        shown[1].starts_with("request ") && shown[1].contains("user=ann"),
        "{shown:?}"
    );
}

#[test]
fn what_is_inside_of_a_span_that_is_not_recorded_is_not_enabled_by_another_one() {
    let recording = recording();
    filter::set("info,[followed]=debug".parse().unwrap());
    // Nothing is recorded where the thread is silent.
    thread::spawn(|| {
        let silence = silence();
        let followed = info_span!("followed");
        let other = info_span!("other");
        drop(silence);
        other.in_scope(|| tracing::debug!("not in what is followed"));
        drop((followed, other));
    })
    .join()
    .unwrap();
    filter::set(Filter::default());
    assert_eq!(recording.shown(), [""; 0]);
}

#[test]
fn a_value_that_panics_half_way_forges_no_field() {
    let recording = recording();
    let big = "b".repeat(600);
    for big in ["small", &big] {
        let span = info_span!("span", big, admin = Empty, value = Empty, after = Empty);
        let record = || {
            span.record("value", debug(HalfWay));
        };
        assert!(catch_unwind(AssertUnwindSafe(record)).is_err());
        span.record("after", 5);
    }
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "span big=small after=I64(5)",
        "span big=600 bytes after=I64(5)",
    ]
    "#);
}

#[test]
fn values_that_panic_leave_every_slot_to_later_spans() {
    let recording = recording();
    let text = "t".repeat(600);
    for _ in 0..70_000 {
        let open = || info_span!("never", text, value = ?HalfWay);
        assert!(catch_unwind(AssertUnwindSafe(open)).is_err());
    }
    drop(info_span!("after"));
    assert_eq!(recording.shown(), ["after"]);
    assert_eq!(recording.lost(), []);
}

/// Logs when it is dropped.
struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        info!("too late");
    }
}

thread_local! {
    /// Dropped in the reverse of the order in which a thread first uses them.
    static LAST_WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
    static SILENT: RefCell<Option<Silence>> = const { RefCell::new(None) };
}

#[test]
fn a_silence_that_outlives_what_its_thread_records_into_does_not_bring_that_back() {
    let recording = recording();
    let ending = thread::spawn(|| {
        LAST_WORDS.set(Some(LastWords));
        SILENT.set(None);
        info!("in time");
        SILENT.set(Some(silence()));
    });
    ending.join().unwrap();
    assert_eq!(recording.shown(), ["in time"]);
    assert_eq!(recording.lost(), [(Lost::ThreadExiting, 1)]);
}

#[test]
fn a_span_that_is_recorded_on_without_end_keeps_its_last_values() {
    let recording = recording();
    let span = info_span!(
        "training",
        run = 7,
        step = Empty,
        loss = Empty,
        phase = Empty
    );
    let phases = ["warm-up", "a phase with a name of some length"];
    for step in 0..100_000_u64 {
        span.record("step", step);
        span.record("phase", phases[step as usize % 2]);
        thread::scope(|scope| {
            if step % 10_000 == 0 {
                scope.spawn(|| span.record("loss", step as f64).id());
            }
        });
    }
    drop(span);
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "training run=I64(7) loss=F64(90000.0) step=U64(99999) phase=a phase with a name of some length",
    ]
    "#);
    assert_eq!(recording.lost(), []);
}

#[test]
fn a_span_with_more_fields_than_a_record_holds_comes_without_the_last() {
    let recording = recording();
    let text = "x".repeat(32 * 1024);
    let t = text.as_str();
    drop(info_span!(
        "span",
        a = t,
        b = t,
        c = t,
        d = t,
        e = t,
        f = t,
        g = t,
        h = t,
        i = t,
        j = t,
        k = t,
        l = t,
        m = t,
        n = t,
        o = t,
        p = t,
        q = t
    ));
    insta::assert_debug_snapshot!(recording.shown(), @r#"
    [
        "span a=32768 bytes b=32768 bytes c=32768 bytes d=32768 bytes e=32768 bytes f=32768 bytes g=32768 bytes h=32768 bytes i=32768 bytes j=32768 bytes k=32768 bytes l=32768 bytes m=32768 bytes n=32768 bytes o=32768 bytes",
    ]
    "#);
    assert_eq!(recording.lost(), [(Lost::FieldLimit, 2)]);
}

#[test]
fn a_value_that_panics_leaves_room_for_others() {
    let recording = recording();
    let caught = catch_unwind(|| {
        info!(value = ?Chatty(|| std::panic::resume_unwind(Box::new(())), ""), "never");
    });
    assert!(caught.is_err());
    info!("after");
    assert_eq!(recording.shown(), ["after"]);
    assert_eq!(recording.lost(), []);
}

#[test]
fn however_deep_a_recursion_every_span_has_the_right_parent() {
    fn descend(depth: u64) {
        let _span = info_span!("level", depth).entered();
        if depth < 600 {
            descend(depth + 1);
        }
        info!(depth, "back");
    }
    let recording = recording();
    descend(1);
    // The same on one thread without order: the outermost is left first.
    let mut entered: VecDeque<_> = (0..600).map(|_| info_span!("held").entered()).collect();
    while let Some(outermost) = entered.pop_front() {
        drop(outermost);
    }
    assert_eq!(context::current(), None);

    assert!(recording.pump.flush(Duration::from_secs(10)));
    let records = std::mem::take(&mut *recording.records.lock().unwrap());
    let mut ids = HashMap::new();
    for record in &records {
        if let Record::Span(span) = record
            && let Some(&Value::U64(depth)) = span.attribute("depth")
        {
            ids.insert(depth, (span.span_id, span.parent_id));
        }
    }
    assert_eq!(ids.len(), 600);
    for depth in 2..=600 {
        assert_eq!(ids[&depth].1, Some(ids[&(depth - 1)].0), "level {depth}");
    }
    for record in &records {
        if let Record::Log(log) = record {
            let Some((_, Value::U64(depth))) = log.attributes.first() else {
                panic!("{log:?}")
            };
            assert_eq!(log.place.as_ref().unwrap().span_id, ids[depth].0);
        }
    }
}

/// Writes logs faster than they can be read, told to wait.
#[test]
fn who_waits_for_room_loses_nothing() {
    const LOGS: usize = 2_000;
    let recording = recording();
    when_full(WhenFull::Wait);
    let text = "y".repeat(16_000);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..LOGS).for_each(|_| info!(text, "many")));
        }
    });
    when_full(WhenFull::Refuse);
    assert_eq!(recording.lost(), []);
    assert_eq!(recording.shown().len(), 2 * LOGS);
}

#[test]
fn a_record_that_is_too_large_is_refused_as_such_at_once() {
    let recording = recording();
    when_full(WhenFull::Wait);
    let text = "x".repeat(32 * 1024);
    let t = text.as_str();
    info!("small");
    info!(
        a = t,
        b = t,
        c = t,
        d = t,
        e = t,
        f = t,
        g = t,
        h = t,
        i = t,
        j = t,
        k = t,
        l = t,
        m = t,
        n = t,
        o = t,
        p = t,
        q = t,
        "1"
    );
    when_full(WhenFull::Refuse);
    assert_eq!(recording.shown(), ["small"]);
    assert_eq!(recording.lost(), [(Lost::RecordTooLarge, 1)]);
}
