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
/// What is asked for whichever tab is shown.
const OVERVIEW: &str = "overview";

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
    let named = |name: &'static str| match answer(collector, from, name) {
        Ok(answer) => Update::Answer(name, answer),
        Err(error) => Update::Failed(format!("{error:#}")),
    };
    let mut updates = vec![named(OVERVIEW)];
    if matches!(updates[0], Update::Failed(_)) || wanted.list == OVERVIEW {
        return updates;
    }
    updates.push(named(wanted.list));
    if let Some(id) = &wanted.trace {
        let why = account(collector, id);
        updates.push(Update::Why(
            why.unwrap_or_else(|error| format!("{error:#}")),
        ));
    }
    updates
}

/// What a tab shows, of the time since `from`.
pub fn answer(collector: &Collector, from: &str, name: &str) -> anyhow::Result<Value> {
    let mut parameters: Parameters<'_> = match name {
        "doctor" => Vec::new(),
        _ => vec![("from", from)],
    };
    parameters.extend(match name {
        OVERVIEW => Some(("buckets", "60")),
        "traces" => Some(("limit", "200")),
        "logs" => Some(("limit", "500")),
        _ => None,
    });
    collector.get(name, &parameters)
}

/// The account of a trace, as text.
pub fn account(collector: &Collector, trace: &str) -> anyhow::Result<String> {
    let answer = collector.get(&format!("traces/{}/why", encoded(trace)), &Vec::new())?;
    Ok(crate::text::member(&answer, "text"))
}
