//! The child of a fork has a copy of everything but the pump's thread.

#![cfg(target_os = "linux")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_core::{
    batch::Batch,
    pump::{self, Consumer},
    subscriber::Subscriber,
};

struct Count(Arc<AtomicUsize>);

impl Consumer for Count {
    fn consume(&mut self, batch: &Arc<Batch>) {
        self.0.fetch_add(batch.len(), Relaxed);
    }
}

#[test]
fn a_fork_s_child_waits_for_no_pump_and_its_parent_goes_on() {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let pump = pump::start(pump::Config {
        resource: Arc::default(),
        consumers: vec![Box::new(Count(Arc::clone(&seen)))],
    })
    .unwrap();
    tracing::info!("before");
    assert!(pump.flush(Duration::from_secs(20)));
    // SAFETY: the child calls what this test is about, which takes no lock that another thread may hold, and then ends
    // without unwinding and without destructors.
    let child = unsafe { libc::fork() };
    if child == 0 {
        tracing::info!("in the child");
        let answered = pump.flush(Duration::MAX) || pump.stop(Duration::MAX);
        // SAFETY: it takes a number and does not return.
        unsafe { libc::_exit(i32::from(answered)) }
    }
    assert!(child > 0, "there is no child");
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut status = 0;
    // SAFETY: `status` lives for as long as the call.
    while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
        if Instant::now() >= deadline {
            // SAFETY: it takes two numbers; the child was not waited for yet, so its number is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child waits for a pump that it does not have");
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(status, 0);
    tracing::info!("after");
    assert!(pump.stop(Duration::from_secs(20)));
    assert_eq!(seen.load(Relaxed), 2);
}
