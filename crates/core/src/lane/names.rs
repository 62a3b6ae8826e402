//! The names of recording threads, for whoever shows their records.
//!
//! Records are shown after they were made, so the names of threads that ended stay for a while: those of the last
//! [`LANES_MAX`], beside those of threads that have a lane.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::LANES_MAX;

struct Names {
    by_thread: BTreeMap<u32, Name>,
    /// Threads that ended, the first to be forgotten first, each with the number of its ending.
    ended: VecDeque<(u32, u64)>,
    endings: u64,
}

struct Name {
    text: String,
    /// The number of the thread's ending; 0 while it lives. Numbers of threads are used again.
    ending: u64,
}

static NAMES: Mutex<Names> = Mutex::new(Names::new());

impl Names {
    const fn new() -> Self {
        Self {
            by_thread: BTreeMap::new(),
            ended: VecDeque::new(),
            endings: 0,
        }
    }

    fn start(&mut self, thread: u32, name: Option<&str>) {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            self.by_thread.remove(&thread);
            return;
        };
        let text = name.to_owned();
        self.by_thread.insert(thread, Name { text, ending: 0 });
    }

    fn end(&mut self, thread: u32) {
        let Some(name) = self.by_thread.get_mut(&thread) else {
            return;
        };
        self.endings += 1;
        name.ending = self.endings;
        self.ended.push_back((thread, self.endings));
        if self.ended.len() > LANES_MAX
            && let Some((oldest, ending)) = self.ended.pop_front()
            && self
                .by_thread
                .get(&oldest)
                .is_some_and(|name| name.ending == ending)
        {
            self.by_thread.remove(&oldest);
        }
    }
}

fn names() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread, of this number, takes a lane.
pub(super) fn started(thread: u32) {
    let current = std::thread::current();
    names().start(thread, current.name());
}

/// The thread of this number gives its lane back.
pub(super) fn ended(thread: u32) {
    names().end(thread);
}

/// The name of the thread with this number, where it had one when it first recorded.
pub fn thread_name(thread: u32) -> Option<String> {
    let names = names();
    Some(names.by_thread.get(&thread)?.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_end_make_room_for_later_ones_and_those_that_live_stay() {
        let mut names = Names::new();
        names.start(1, Some("main"));
        for thread in 2..20_000 {
            names.start(thread, Some("worker"));
            names.end(thread);
        }
        assert_eq!(names.by_thread.len(), LANES_MAX + 1);
        assert!(names.by_thread.contains_key(&1) && names.by_thread.contains_key(&19_999));
        assert!(names.ended.len() <= LANES_MAX);
    }

    #[test]
    fn a_number_that_is_used_again_keeps_its_latest_name() {
        let mut names = Names::new();
        names.start(7, Some("first"));
        names.end(7);
        names.start(7, Some("second"));
        for thread in 8..20_000 {
            names.start(thread, Some("worker"));
            names.end(thread);
        }
        assert_eq!(names.by_thread[&7].text, "second");
        names.start(7, None);
        assert!(!names.by_thread.contains_key(&7));
    }
}
