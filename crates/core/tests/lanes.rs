//! Lanes where memory runs out.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::Duration,
};

use radiosonde_core::{
    lane_count,
    loss::{self, Lost},
    memory::{self, Source},
    pump,
    subscriber::Subscriber,
};
use tracing::info;

static IS_THERE: AtomicBool = AtomicBool::new(true);

/// Gives memory while there is some.
struct Scarce;

impl Source for Scarce {
    fn words(&self, count: usize) -> Option<&'static [AtomicU64]> {
        let words = (0..count).map(|_| AtomicU64::new(0));
        IS_THERE
            .load(Relaxed)
            .then(|| &*Box::leak(words.collect::<Box<[_]>>()))
    }
}

#[test]
fn a_lane_for_which_there_is_no_memory_takes_up_no_number() {
    assert!(memory::set_source(Box::new(Scarce)));
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let pump = pump::start(pump::Config {
        resource: std::sync::Arc::default(),
        consumers: Vec::new(),
    })
    .unwrap();
    info!("the first lane");
    assert_eq!(lane_count(), 1);
    IS_THERE.store(false, SeqCst);
    let log = || thread::spawn(|| info!("nowhere")).join().unwrap();
    (0..10).for_each(|_| log());
    assert_eq!((lane_count(), loss::total(Lost::LaneLimit)), (1, 10));
    IS_THERE.store(true, SeqCst);
    log();
    assert_eq!((lane_count(), loss::total(Lost::LaneLimit)), (2, 10));
    assert!(pump.flush(Duration::from_secs(10)));
}
