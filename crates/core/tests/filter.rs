//! The process's filter, changed by several threads at once.

use std::{
    sync::{Barrier, Mutex},
    thread,
};

use radiosonde_core::{
    filter::{self, Filter},
    subscriber::Subscriber,
};
use tracing::Level;

static SAID: Mutex<String> = Mutex::new(String::new());

/// Whether debug is on at each of many callsites: the more there are, the longer a change takes.
fn at_debug() -> Vec<bool> {
    macro_rules! callsites {
        ($($number:literal)*) => {
            vec![$(tracing::enabled!(target: concat!("part", $number), Level::DEBUG)),*]
        };
    }
    callsites!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29)
}

#[test]
fn of_changes_at_once_all_callsites_and_listeners_keep_the_same() {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    filter::on_change(|filter| *SAID.lock().unwrap() = filter.to_string());
    at_debug();
    let both = Barrier::new(2);
    for _ in 0..5_000 {
        thread::scope(|scope| {
            for directives in ["info", "debug"] {
                let filter = Filter::parse(directives).unwrap();
                let both = &both;
                scope.spawn(move || {
                    both.wait();
                    filter::set(filter);
                });
            }
        });
        let current = filter::current().to_string();
        assert_eq!(*SAID.lock().unwrap(), current);
        assert!(at_debug().into_iter().all(|on| on == (current == "debug")));
    }
}
