//! A pump that was left behind because a consumer hung, and its successor.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    batch::Batch,
    event,
    loss::{self, Lost},
    pump::{self, Consumer, Pump},
    subscriber::Subscriber,
};
use tracing::info;

/// Says how many records it has, and takes them when it is told to.
struct Held {
    has: Sender<usize>,
    go: Receiver<()>,
    seen: Arc<AtomicUsize>,
}

impl Consumer for Held {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let _ = self.has.send(batch.records().count());
        // Where nobody is left to tell it, it goes on.
        let _ = self.go.recv();
        let second = batch.logs().filter(|log| log.message() == "second");
        self.seen.fetch_add(second.count(), Relaxed);
    }
}

/// Delivers nothing before it is told to.
struct Undelivered {
    taken: Arc<AtomicUsize>,
    go: Receiver<()>,
}

impl Consumer for Undelivered {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.taken.fetch_add(batch.len(), Relaxed);
    }

    fn flush(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.go.recv_timeout(left).is_ok()
    }
}

struct Recording {
    pump: Pump,
    has: Receiver<usize>,
    go: Sender<()>,
    seen: Arc<AtomicUsize>,
}

/// There is one pump a process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // The subscriber is the process's, and set by the first.
    let _ = tracing::subscriber::set_global_default(Subscriber::new());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recording() -> Recording {
    let ((say, has), (go, told)) = (channel(), channel());
    let seen = Arc::new(AtomicUsize::new(0));
    let held = Held {
        has: say,
        go: told,
        seen: Arc::clone(&seen),
    };
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers: vec![Box::new(held)],
    });
    Recording {
        pump: pump.unwrap(),
        has,
        go,
        seen,
    }
}

#[test]
fn one_that_was_left_behind_takes_nothing_from_its_successor() {
    const LOGS: usize = 500;
    let _turn = turn();
    let first = recording();
    info!("this thread has the lane that is read first");
    let ((tell, told), (say, logged)) = (channel(), channel());
    let other = thread::spawn(move || {
        info!("this one has the next");
        for logs in told {
            (0..logs).for_each(|_| info!("second"));
            say.send(()).unwrap();
        }
    });
    tell.send(0).unwrap();
    logged.recv().unwrap();
    assert!(first.has.recv().unwrap() > 0);
    // So much that the pump hands it on before it reads the next lane.
    for number in 0..7_000_u64 {
        event!("pump.many", number = number);
    }
    first.go.send(()).unwrap();
    while first.has.recv().unwrap() < 7_000 {
        first.go.send(()).unwrap();
    }
    // Which the one that is left behind is called with, and what nobody has read.
    let handle = first.pump.handle();
    (0..5).for_each(|_| info!("unread"));
    assert!(!first.pump.stop(Duration::from_millis(100)));
    assert!(handle.left_behind() >= 7_005, "{}", handle.left_behind());
    let lost = loss::total(Lost::ShutdownDeadline);
    assert_eq!(lost, handle.left_behind() as u64);

    let second = recording();
    tell.send(1).unwrap();
    logged.recv().unwrap();
    // Held here, the second pump leaves the others to whoever reads them.
    assert!(second.has.recv().unwrap() > 0);
    tell.send(LOGS - 1).unwrap();
    logged.recv().unwrap();
    drop(first.go);
    // Until the first pump has dropped its consumer.
    first.has.iter().for_each(drop);
    drop(second.go);
    assert!(second.pump.flush(Duration::from_secs(10)));
    assert_eq!(
        (first.seen.load(Relaxed), second.seen.load(Relaxed)),
        (0, LOGS)
    );
    drop(tell);
    other.join().unwrap();
}

#[test]
fn what_is_handed_on_is_taken_although_nothing_is_delivered() {
    const LONG: Duration = Duration::from_secs(30);
    let _turn = turn();
    let (deliver, go) = channel();
    let taken = Arc::new(AtomicUsize::new(0));
    let consumer = Undelivered {
        taken: Arc::clone(&taken),
        go,
    };
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers: vec![Box::new(consumer)],
    });
    let pump = pump.unwrap();
    let handle = pump.handle();
    for records in 1..=100 {
        info!("one more");
        assert!(handle.hand_on(LONG));
        assert_eq!(taken.load(Relaxed), records);
    }

    // A flush that waits for delivery is not answered by one who wants records handed on, and holds that one up.
    info!("to be delivered");
    let flush = thread::spawn({
        let handle = handle.clone();
        move || handle.flush(LONG)
    });
    while taken.load(Relaxed) < 101 {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!handle.hand_on(Duration::from_millis(20)));
    assert!(!flush.is_finished());
    deliver.send(()).unwrap();
    assert!(flush.join().unwrap());
    assert!(handle.hand_on(LONG));
    drop(deliver);
    assert!(!pump.stop(Duration::from_secs(1)));
    assert!(!handle.hand_on(Duration::from_millis(20)));
}
