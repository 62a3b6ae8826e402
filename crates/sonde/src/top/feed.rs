//! Asks the collector again and again, on a thread of its own: a slow answer holds up no key.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::state::{Update, Wanted};
use crate::collector::{Collector, Parameters, encoded};

/// How often is asked.
const INTERVAL: Duration = Duration::from_millis(1000);
/// How long a change of what is wanted waits at most.
const STEP: Duration = Duration::from_millis(50);

/// Answers as they come.
pub struct Feed {
    updates: Receiver<Update>,
    wanted: Arc<Mutex<Wanted>>,
    is_ended: Arc<AtomicBool>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.is_ended.store(true, Relaxed);
    }
}

impl Feed {
    /// Asks about the last `window`, such as `15m`.
    pub fn start(collector: Collector, window: &str) -> io::Result<Self> {
        let (sender, updates) = mpsc::channel();
        let feed = Self {
            updates,
            wanted: Arc::default(),
            is_ended: Arc::default(),
        };
        let (wanted, is_ended) = (Arc::clone(&feed.wanted), Arc::clone(&feed.is_ended));
        let from = format!("-{window}");
        thread::Builder::new()
            .name("sonde-feed".to_owned())
            .spawn(move || run(&collector, &from, &wanted, &is_ended, &sender))?;
        Ok(feed)
    }

    /// What came since the last call.
    pub fn updates(&self) -> impl Iterator<Item = Update> {
        self.updates.try_iter()
    }

    /// Asks for this from here on.
    pub fn want(&self, wanted: Wanted) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }
}

fn run(
    collector: &Collector,
    from: &str,
    wanted: &Mutex<Wanted>,
    is_ended: &AtomicBool,
    sender: &Sender<Update>,
) {
    while !is_ended.load(Relaxed) {
        let now = wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for update in ask(collector, from, &now) {
            if sender.send(update).is_err() {
                return;
            }
        }
        let mut rested = Duration::ZERO;
        while rested < INTERVAL
            && !is_ended.load(Relaxed)
            && *wanted.lock().unwrap_or_else(PoisonError::into_inner) == now
        {
            thread::sleep(STEP);
            rested += STEP;
        }
    }
}

fn ask(collector: &Collector, from: &str, wanted: &Wanted) -> Vec<Update> {
    let range: Parameters<'_> = vec![("from", from)];
    let with = |more: Parameters<'static>| {
        range
            .iter()
            .copied()
            .chain(more)
            .collect::<Parameters<'_>>()
    };
    let get = |path: &str, parameters: &Parameters<'_>| collector.get(path, parameters);
    let named = |name: &'static str, answer: anyhow::Result<Value>| match answer {
        Ok(answer) => Update::Answer(name, answer),
        Err(error) => Update::Failed(format!("{error:#}")),
    };
    let mut updates = vec![named(
        "overview",
        get("overview", &with(vec![("buckets", "60")])),
    )];
    if matches!(updates[0], Update::Failed(_)) {
        return updates;
    }
    let list = wanted.list;
    updates.push(match list {
        "traces" => named(list, get(list, &with(vec![("limit", "200")]))),
        "logs" => named(list, get(list, &with(vec![("limit", "500")]))),
        "doctor" => named(list, get(list, &Vec::new())),
        "overview" => return updates,
        _ => named(list, get(list, &range)),
    });
    if let Some(id) = &wanted.trace {
        let why = get(&format!("traces/{}/why", encoded(id)), &Vec::new());
        updates.push(Update::Why(why.map_or_else(
            |error| format!("{error:#}"),
            |answer| crate::text::member(&answer, "text"),
        )));
    }
    updates
}
