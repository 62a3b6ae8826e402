//! Alerts over what the store receives: rules are evaluated, and whoever is to be told is told (docs/alerts.md).
//!
//! ```text
//! points that arrive (feed) ─▶ window ─▶ rules, routing (Alarms) ─▶ messages ─▶ a thread that sends ─▶ what came of it
//! ```
//!
//! Invariants: whoever sends telemetry never waits for this; a receiver that hangs delays no rule; what is known of alerts,
//! silences and what was announced outlives the server, in the file `alerts.json` of the data folder.

mod feed;
mod rehearsal;
mod state;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use radiosonde_answers::alerts::{
    Alert, Engine, Phase, Rule, Sample, Selector, Series, Source, Window, payload,
    routing::{Held, Notification, Notified, Outcome, Reason, Silence},
};
use radiosonde_notify::{Alarms, Due, Messenger, file::AlertFile};
use radiosonde_store::Store;

pub(crate) use self::rehearsal::{Rehearsal, rehearse};
use self::{feed::Feed, state::StateFile};
use crate::{api, problem::Problem};

/// How often rules are evaluated: often enough to find a step within 15 s, of series that are read every 5 s.
const STEP: Duration = Duration::from_secs(5);
/// How often what is known is written, where something changed.
const SAVE: Duration = Duration::from_secs(15);
/// Messages that wait for the thread that sends.
const MESSAGES_MAX: usize = 256;
/// Notes that wait to be read; what is beyond them is not kept.
const NOTES_MAX: usize = 100;
/// Largest file of alerts, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a server is told of alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertConfig {
    /// The file of rules, routes and receivers (docs/alerts.md); the default rules alone without, of which nobody is told.
    pub file: Option<PathBuf>,
    /// Where people reach the page, for links in messages; its address unless said.
    pub external_url: Option<String>,
    /// A PEM file with the certificate authorities to trust instead of Mozilla's when receivers are told.
    pub ca_certificate: Option<PathBuf>,
}

/// Alerts cannot be watched for.
#[derive(Debug, thiserror::Error)]
#[error("alerts: {}: {words}", path.display())]
pub struct AlertError {
    /// The file that is wrong.
    path: PathBuf,
    /// What is wrong with it, a line for each fault.
    words: String,
}

impl AlertConfig {
    /// What its file means.
    fn read(&self) -> Result<AlertFile, AlertError> {
        let Some(path) = &self.file else {
            return AlertFile::parse("")
                .map_err(|error| wrong(PathBuf::from("(defaults)"), &error));
        };
        let text = text_of(path).map_err(|error| wrong(path.clone(), &error))?;
        // What the file names is beside it.
        let read = |name: &str| text_of(&path.with_file_name(name));
        AlertFile::parse_with(&text, &read).map_err(|error| wrong(path.clone(), &error))
    }

    fn messenger(&self) -> Result<Messenger, AlertError> {
        let pem = match &self.ca_certificate {
            Some(path) => Some(fs::read(path).map_err(|error| wrong(path.clone(), &error))?),
            None => None,
        };
        let path = || self.ca_certificate.clone().unwrap_or_default();
        Messenger::new(pem.as_deref()).map_err(|error| wrong(path(), &error))
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    if fs::metadata(path).is_ok_and(|found| found.len() > FILE_BYTES_MAX) {
        return Err("it is too large to be a file of alerts".to_owned());
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

fn wrong(path: PathBuf, words: &dyn fmt::Display) -> AlertError {
    AlertError {
        path,
        words: words.to_string(),
    }
}

/// What is being watched, for whoever asks.
#[derive(Debug)]
pub(crate) struct Alerting {
    store: Arc<Store>,
    machine: Mutex<Machine>,
    messenger: Messenger,
    external_url: String,
    state: StateFile,
    /// What went wrong and nobody was told of yet.
    notes: Mutex<Vec<String>>,
    /// Whether to stop.
    stop: Mutex<bool>,
    stopping: Condvar,
}

/// What changes.
#[derive(Debug)]
struct Machine {
    alarms: Alarms,
    window: Window,
    feed: Feed,
    is_changed: bool,
}

/// Measurements: those of the window, and PromQL over the store.
struct Measured<'a> {
    window: &'a Window,
    store: &'a Store,
}

impl Source for Measured<'_> {
    fn series<'s>(
        &'s self,
        selector: &Selector,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Vec<Series<'s>>, String> {
        self.window.series(selector, from_unix_ns, until_unix_ns)
    }

    fn expression(&self, text: &str, at_unix_ns: u64) -> Result<Vec<Sample>, String> {
        api::expression(self.store, text, at_unix_ns)
    }
}

impl Alerting {
    /// Reads the configuration, takes up what an earlier server knew, and reads as much history as rules look back.
    pub(crate) fn new(
        config: &AlertConfig,
        store: Arc<Store>,
        folder: Option<PathBuf>,
        page: &str,
    ) -> Result<Arc<Self>, AlertError> {
        let AlertFile {
            rules,
            plan,
            remarks,
        } = config.read()?;
        let messenger = config.messenger()?;
        let external_url = config
            .external_url
            .clone()
            .unwrap_or_else(|| page.to_owned());
        let feed = Feed::new(&rules);
        let engine = Engine::new(rules).map_err(|faults| {
            let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
            wrong(config.file.clone().unwrap_or_default(), &words.join("\n"))
        })?;
        let mut alarms = Alarms::new(engine, plan, external_url.clone());
        let state = StateFile::new(folder);
        let restored = state.restore(&mut alarms, now_unix_ns());
        let notes = remarks.into_iter().chain(restored).collect();
        Ok(Arc::new(Self {
            store,
            machine: Mutex::new(Machine {
                alarms,
                window: Window::new(feed::LIMITS),
                feed,
                is_changed: false,
            }),
            messenger,
            external_url,
            state,
            notes: Mutex::new(notes),
            stop: Mutex::new(false),
            stopping: Condvar::new(),
        }))
    }

    /// Starts the thread that evaluates and the one that sends.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<Vec<thread::JoinHandle<()>>> {
        let (messages, waiting) = sync_channel(MESSAGES_MAX);
        let (evaluating, sending) = (Arc::clone(self), Arc::clone(self));
        let evaluate = thread::Builder::new()
            .name("radiosonde-alerts".to_owned())
            .spawn(move || evaluating.evaluate(&messages))?;
        let send = thread::Builder::new()
            .name("radiosonde-notify".to_owned())
            .spawn(move || sending.send(&waiting))?;
        Ok(vec![evaluate, send])
    }

    /// Asks both threads to end.
    pub(crate) fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping.notify_all();
    }

    fn evaluate(&self, messages: &SyncSender<Due>) {
        let preloaded = self.lock().preload(&self.store);
        if let Err(words) = preloaded {
            self.note(format!("alerts begin without history: {words}"));
        }
        let mut saved = Instant::now();
        loop {
            let now = now_unix_ns();
            let (due, note) = self.lock().step(&self.store, now);
            note.into_iter().for_each(|note| self.note(note));
            for due in due {
                let id = due.notification.id;
                if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                    messages.try_send(due)
                {
                    let because = "too many messages wait".to_owned();
                    let outcome = Outcome::Failed {
                        because,
                        retry_after_ms: None,
                    };
                    self.lock().answered(id, outcome, now);
                }
            }
            if saved.elapsed() >= SAVE {
                saved = Instant::now();
                self.save();
            }
            let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.stopping.wait_timeout_while(stop, STEP, |stop| !*stop);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return self.save();
            }
        }
    }

    fn send(&self, waiting: &Receiver<Due>) {
        // It ends with the thread that evaluates.
        for due in waiting {
            let outcome = self.messenger.send(&due.receiver, &due.message);
            if let Outcome::Failed { because, .. } | Outcome::Refused { because } = &outcome {
                let receiver = &due.notification.receiver;
                self.note(format!(
                    "a notification to {receiver} did not arrive: {because}"
                ));
            }
            self.lock()
                .answered(due.notification.id, outcome, now_unix_ns());
        }
    }

    fn save(&self) {
        let mut machine = self.lock();
        if std::mem::take(&mut machine.is_changed) {
            let state = StateFile::of(&mut machine.alarms);
            drop(machine);
            if let Err(note) = self.state.write(&state) {
                self.note(note);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, words: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES_MAX && !notes.contains(&words) {
            notes.push(words);
        }
    }

    /// What went wrong since the last call, a line each.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `reads` sees of the alarms now.
    pub(crate) fn look<T>(&self, reads: impl FnOnce(&mut Alarms, &Window, u64) -> T) -> T {
        let machine = &mut *self.lock();
        reads(&mut machine.alarms, &machine.window, now_unix_ns())
    }

    /// Silences alerts; the silence's name.
    pub(crate) fn silence(&self, silence: Silence) -> Result<String, Problem> {
        let mut machine = self.lock();
        let made = machine.alarms.router().silence(silence, now_unix_ns());
        machine.is_changed = true;
        made.map_err(|error| Problem::bad_request("the silence is not made", error.to_string()))
    }

    /// Ends a silence.
    pub(crate) fn unsilence(&self, id: &str) -> Result<(), Problem> {
        let mut machine = self.lock();
        let ended = machine.alarms.router().expire_silence(id, now_unix_ns());
        machine.is_changed = true;
        ended
            .map_err(|error| Problem::not_found(error.to_string(), "GET /api/v1/alerts lists them"))
    }

    /// Tells a receiver of an alert that says that it is a test, and waits for what comes of it.
    pub(crate) fn test(&self, name: &str) -> Result<Outcome, Problem> {
        let receiver = self.look(|alarms, _, _| alarms.plan().receiver(name).cloned());
        let receiver = receiver.ok_or_else(|| {
            let mend = "name one of the file's receivers; GET /api/v1/alerts lists them";
            Problem::not_found(format!("there is no receiver `{name}`"), mend)
        })?;
        let notification = test_notification(name, now_unix_ns());
        let message = payload::message(&receiver, &notification, &self.external_url);
        Ok(self.messenger.send(&receiver, &message))
    }

    /// What a rule would have told, had it been there from one time to another.
    pub(crate) fn rehearse(
        &self,
        rule: Rehearsed<'_>,
        from_unix_ns: u64,
        until_unix_ns: u64,
    ) -> Result<Rehearsal, Problem> {
        let (rules, plan) = self.look(|alarms, _, _| {
            let rules: Vec<Rule> = alarms.rules().map(|status| status.rule.clone()).collect();
            (rules, alarms.plan().clone())
        });
        let rules = match rule {
            Rehearsed::Known(name) => rules.into_iter().filter(|rule| rule.name == name).collect(),
            Rehearsed::New(rules) => rules,
        };
        if rules.is_empty() {
            let mend = "GET /api/v1/alerts lists the rules; or send the text of one";
            return Err(Problem::not_found("there is no such rule", mend));
        }
        rehearse(
            &self.store,
            &rules,
            plan,
            &self.external_url,
            from_unix_ns,
            until_unix_ns,
        )
    }

    /// Every alert, and what is kept from whom.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.look(|alarms, _, now| alarms.router().held(now))
    }
}

/// Which rules are rehearsed.
pub(crate) enum Rehearsed<'a> {
    /// The one of that name.
    Known(&'a str),
    /// These.
    New(Vec<Rule>),
}

impl Machine {
    /// Reads what the store has of the time that rules look back.
    fn preload(&mut self, store: &Store) -> Result<(), String> {
        // What arrives meanwhile is in both, and the second time it is late.
        self.feed.follow(store)?;
        let now_unix_ns = now_unix_ns();
        let from = now_unix_ns.saturating_sub(feed::SPAN.as_nanos() as u64);
        let window = &mut self.window;
        feed::history(
            store,
            self.feed.metrics(),
            from,
            now_unix_ns,
            |metric, labels, read| {
                window.push(metric, labels, read);
            },
        )
    }

    fn step(&mut self, store: &Store, now_unix_ns: u64) -> (Vec<Due>, Option<String>) {
        let note = self.feed.read(store, &mut self.window);
        let measured = Measured {
            window: &self.window,
            store,
        };
        let before = self.alarms.active().count();
        let due = self.alarms.step(&measured, now_unix_ns);
        self.is_changed |= before > 0 || !due.is_empty() || self.alarms.active().next().is_some();
        (due, note)
    }

    fn answered(&mut self, id: u64, outcome: Outcome, now_unix_ns: u64) {
        self.alarms.answered(id, outcome, now_unix_ns);
        self.is_changed = true;
    }
}

/// A notification that is no alert's.
fn test_notification(receiver: &str, now_unix_ns: u64) -> Notification {
    let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let alert = Alert {
        labels: [("alertname", "RadiosondeTest"), ("severity", "info")]
            .map(label)
            .into(),
        annotations: [
            ("summary", "This is a test of Radiosonde's notifications"),
            ("action", "Nothing is wrong. Whoever reads this is reached."),
        ]
        .map(label)
        .into(),
        severity: radiosonde_answers::alerts::Severity::Info,
        phase: Phase::Firing,
        value: None,
        started_unix_ns: now_unix_ns,
        fired_unix_ns: Some(now_unix_ns),
        resolved_unix_ns: None,
    };
    Notification {
        id: 0,
        time_unix_ns: now_unix_ns,
        receiver: receiver.to_owned(),
        group_key: "radiosonde-test".to_owned(),
        group_labels: alert.labels.clone(),
        reason: Reason::New,
        status: Phase::Firing,
        alerts: vec![Notified {
            alert,
            is_news: true,
            firings: 1,
            firings_over_ns: 0,
        }],
        left_out: 0,
        firing: 1,
        resolved: 0,
        hidden: 0,
        repeat_unix_ns: now_unix_ns,
    }
}

fn now_unix_ns() -> u64 {
    radiosonde_core::clock::now_unix_ns()
}
