//! Random programs of span operations on several threads, compared with a model that knows nothing of lanes.
//!
//! A program is a list of operations, each carried out by one of the threads while the others wait, so that the model
//! can follow; what is random is who opens, enters, leaves, clones, records on and drops which span where.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use proptest::prelude::*;
use radiosonde_core::{
    batch::Batch,
    model::{Record, Resource, Span as Recorded, Value},
    pump::{self, Consumer, Pump},
    subscriber::Subscriber,
};
use tracing::{Span, info_span, span::EnteredSpan};

const THREADS: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    /// Opens a span under the thread's current one.
    Open,
    /// Opens a root.
    OpenRoot,
    /// Opens a span under the span of that handle.
    OpenUnder(usize),
    /// Enters the span of that handle, which takes a handle of its own.
    Enter(usize),
    /// Leaves one of the spans the thread is in, not always the innermost.
    Leave(usize),
    /// Makes another handle.
    Clone(usize),
    /// Records a value; the last one counts.
    Record(usize, u64),
    /// Records text too long for a slot.
    RecordLong(usize),
    /// Links two spans.
    Follow(usize, usize),
    /// Drops a handle.
    Drop(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let at = 0..1000_usize;
    prop_oneof![
        4 => Just(Operation::Open),
        1 => Just(Operation::OpenRoot),
        2 => at.clone().prop_map(Operation::OpenUnder),
        4 => at.clone().prop_map(Operation::Enter),
        3 => at.clone().prop_map(Operation::Leave),
        2 => at.clone().prop_map(Operation::Clone),
        2 => (at.clone(), any::<u64>()).prop_map(|(at, value)| Operation::Record(at, value)),
        1 => at.clone().prop_map(Operation::RecordLong),
        1 => (at.clone(), at.clone()).prop_map(|(a, b)| Operation::Follow(a, b)),
        3 => at.prop_map(Operation::Drop),
    ]
}

/// What the model knows of a span.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    parent: Option<u64>,
    value: Option<u64>,
    long: bool,
    follows: Vec<u64>,
}

/// The spans that a thread is in, by number.
type Entered = Vec<(u64, EnteredSpan)>;
type Work = Box<dyn FnOnce(&mut Entered) + Send>;

/// A thread that carries out what it is told.
struct Worker {
    work: mpsc::Sender<Work>,
    done: mpsc::Receiver<()>,
}

impl Worker {
    fn start() -> Self {
        let (work, inbox) = mpsc::channel::<Work>();
        let (finished, done) = mpsc::channel();
        thread::spawn(move || {
            let mut entered = Vec::new();
            for work in inbox {
                work(&mut entered);
                let _ = finished.send(());
            }
            while entered.pop().is_some() {}
        });
        Self { work, done }
    }

    fn run(&self, work: impl FnOnce(&mut Entered) + Send + 'static) {
        self.work.send(Box::new(work)).unwrap();
        self.done.recv().unwrap();
    }
}

#[derive(Default)]
struct Run {
    handles: Vec<(u64, Span)>,
    entered: [Vec<u64>; THREADS],
    known: BTreeMap<u64, Known>,
    next: u64,
}

impl Run {
    fn open(
        &mut self,
        worker: &Worker,
        parent: Option<u64>,
        make: impl FnOnce(u64) -> Span + Send + 'static,
    ) {
        self.next += 1;
        let number = self.next;
        let (send, receive) = mpsc::channel();
        worker.run(move |_| send.send(make(number)).unwrap());
        self.handles.push((number, receive.recv().unwrap()));
        self.known.insert(
            number,
            Known {
                parent,
                ..Known::default()
            },
        );
    }

    fn leave(&mut self, thread: usize, worker: &Worker, at: usize) {
        let depth = self.entered[thread].len();
        if depth == 0 {
            return;
        }
        // Mostly the innermost. Of a span that is entered twice the inner one is left.
        let at = if at.is_multiple_of(3) {
            at % depth
        } else {
            depth - 1
        };
        let number = self.entered[thread][at];
        if let Some(inner) = self.entered[thread].iter().rposition(|&n| n == number) {
            self.entered[thread].remove(inner);
        }
        worker.run(move |entered| {
            let inner = entered.iter().rposition(|&(n, _)| n == number);
            drop(inner.map(|inner| entered.remove(inner)));
        });
    }

    fn pick(&self, at: usize) -> Option<usize> {
        let count = self.handles.len();
        (count > 0).then(|| at % count)
    }

    fn follow(&mut self, worker: &Worker, at: usize, cause: usize) {
        let (Some(at), Some(cause)) = (self.pick(at), self.pick(cause)) else {
            return;
        };
        let ((number, handle), (cause_number, cause)) =
            (self.handles[at].clone(), self.handles[cause].clone());
        self.known
            .get_mut(&number)
            .unwrap()
            .follows
            .push(cause_number);
        worker.run(move |_| {
            handle.follows_from(&cause);
        });
    }

    fn step(&mut self, thread: usize, worker: &Worker, operation: &Operation) {
        match *operation {
            Operation::Open => {
                let parent = self.entered[thread].last().copied();
                self.open(worker, parent, |number| {
                    info_span!(
                        "span",
                        number,
                        value = tracing::field::Empty,
                        long = tracing::field::Empty
                    )
                });
            }
            Operation::OpenRoot => {
                self.open(worker, None, |number| {
                    info_span!(parent: None, "span", number, value = tracing::field::Empty, long = tracing::field::Empty)
                });
            }
            Operation::OpenUnder(at) => {
                let Some(at) = self.pick(at) else { return };
                let (parent, handle) = self.handles[at].clone();
                self.open(worker, Some(parent), move |number| {
                    info_span!(parent: &handle, "span", number, value = tracing::field::Empty, long = tracing::field::Empty)
                });
            }
            Operation::Enter(at) => {
                let Some(at) = self.pick(at) else { return };
                let (number, handle) = self.handles[at].clone();
                self.entered[thread].push(number);
                worker.run(move |entered| entered.push((number, handle.entered())));
            }
            Operation::Leave(at) => {
                self.leave(thread, worker, at);
            }
            Operation::Clone(at) => {
                let Some(at) = self.pick(at) else { return };
                let copy = self.handles[at].clone();
                self.handles.push(copy);
            }
            Operation::Record(at, value) => {
                let Some(at) = self.pick(at) else { return };
                let (number, handle) = self.handles[at].clone();
                self.known.get_mut(&number).unwrap().value = Some(value);
                worker.run(move |_| {
                    handle.record("value", value);
                });
            }
            Operation::RecordLong(at) => {
                let Some(at) = self.pick(at) else { return };
                let (number, handle) = self.handles[at].clone();
                self.known.get_mut(&number).unwrap().long = true;
                worker.run(move |_| {
                    handle.record("long", "x".repeat(2000).as_str());
                });
            }
            Operation::Follow(at, cause) => self.follow(worker, at, cause),
            Operation::Drop(at) => {
                let Some(at) = self.pick(at) else { return };
                let (_, handle) = self.handles.swap_remove(at);
                worker.run(move |_| drop(handle));
            }
        }
    }
}

struct Keep(Arc<Mutex<Vec<Recorded>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let spans = batch
            .records()
            .filter_map(|record| match record.to_record() {
                Record::Span(span) => Some(span),
                _ => None,
            });
        self.0.lock().unwrap().extend(spans);
    }
}

fn carry_out(
    pump: &Pump,
    kept: &Mutex<Vec<Recorded>>,
    program: Vec<(usize, Operation)>,
) -> (BTreeMap<u64, Known>, Vec<Recorded>) {
    let workers: Vec<Worker> = (0..THREADS).map(|_| Worker::start()).collect();
    let mut run = Run::default();
    for (thread, operation) in program {
        run.step(thread, &workers[thread], &operation);
    }
    for worker in &workers {
        worker.run(|entered| while entered.pop().is_some() {});
    }
    run.handles.clear();
    assert!(pump.flush(Duration::from_secs(10)));
    (run.known, std::mem::take(&mut kept.lock().unwrap()))
}

fn compare(known: &BTreeMap<u64, Known>, recorded: &[Recorded]) {
    let number = |span: &Recorded| span.attribute("number").and_then(Value::as_u64).unwrap();
    let by_id: BTreeMap<_, u64> = recorded
        .iter()
        .map(|span| (span.span_id, number(span)))
        .collect();
    assert_eq!(by_id.len(), recorded.len(), "span ids are distinct");
    let found: BTreeMap<u64, Known> = recorded
        .iter()
        .map(|span| {
            let follows = span.links.iter().map(|link| by_id[&link.span_id]).collect();
            let known = Known {
                parent: span.parent_id.map(|parent| by_id[&parent]),
                value: span.attribute("value").and_then(Value::as_u64),
                long: span
                    .attribute("long")
                    .and_then(Value::as_str)
                    .is_some_and(|text| text.len() == 2000),
                follows,
            };
            (number(span), known)
        })
        .collect();
    // Links recorded by several threads keep no common order.
    let sorted = |spans: &BTreeMap<u64, Known>| -> BTreeMap<u64, Known> {
        let mut spans = spans.clone();
        spans
            .values_mut()
            .for_each(|known| known.follows.sort_unstable());
        spans
    };
    assert_eq!(sorted(&found), sorted(known));
    let trace = |number: u64| {
        recorded
            .iter()
            .find(|span| by_id[&span.span_id] == number)
            .map(|span| span.trace_id)
    };
    for (&child, known) in known {
        if let Some(parent) = known.parent {
            assert_eq!(
                trace(child),
                trace(parent),
                "a child is in its parent's trace"
            );
        }
    }
}

#[test]
fn what_is_recorded_is_what_the_model_says() {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let consumers: Vec<Box<dyn Consumer>> = vec![Box::new(Keep(Arc::clone(&kept)))];
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers,
    })
    .unwrap();
    let cases = if cfg!(miri) { 2 } else { 200 };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let programs = proptest::collection::vec(
        (0..THREADS, operation()),
        1..if cfg!(miri) { 30 } else { 150 },
    );
    let outcome = runner.run(&programs, |program| {
        let (known, recorded) = carry_out(&pump, &kept, program);
        compare(&known, &recorded);
        Ok(())
    });
    outcome.unwrap();
}
