//! Alerts inside the program: its own metrics are watched, and whoever is to be told is told (docs/alerts.md).
//!
//! Invariants: the collector that evaluates never waits for a receiver; what waits for the thread that sends is bounded, and
//! what finds no room is tried again later, as routing has it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use radiosonde_answers::alerts::{
    Change, Engine, Phase, Window,
    routing::{Hook, Outcome, Receiver as Told, Route, Routing, Secret, Webhook},
};
use radiosonde_core::{clock, metrics, model::Resource};
use radiosonde_notify::{Alarms, Due, Messenger, file::AlertFile};

use super::{InitError, collect::Collector};
use crate::config::Config;

/// Messages that wait for the thread that sends.
const MESSAGES_MAX: usize = 64;
/// Largest file of alerts, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The collector that evaluates rules, where the configuration asks for alerts.
pub(super) fn collector(
    config: &Config,
    resource: &Arc<Resource>,
) -> Result<Option<Collector>, InitError> {
    let settings = &config.alerts;
    if !(settings.enabled || settings.file.is_some() || !settings.endpoints.is_empty()) {
        return Ok(None);
    }
    let file = read(config)?;
    let refuse = |words: String| config.refuse("alerts.file", words, "");
    let engine = Engine::new(file.rules).map_err(|faults| {
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        refuse(words.join("; "))
    })?;
    let alarms = Alarms::new(engine, file.plan, String::new());
    let alarms = Arc::new(Mutex::new(alarms));
    let messenger = Messenger::new(None).map_err(|error| refuse(error.to_string()))?;
    let messages = send(messenger, &alarms).map_err(InitError::Thread)?;
    let resource = Arc::clone(resource);
    let mut window = Window::default();
    Ok(Some(Collector {
        name: "alerts",
        interval: settings.interval,
        // At the start there is nothing to look at yet.
        at_once: false,
        run: Box::new(move || {
            window.read(&metrics::snapshot(&resource));
            let now = clock::now_unix_ns();
            let (changes, due) = lock(&alarms).step_with_changes(&window, now);
            changes.iter().for_each(say);
            for due in due {
                let id = due.notification.id;
                if messages.try_send(due).is_err() {
                    let outcome = Outcome::Failed {
                        because: "too many messages wait".to_owned(),
                        retry_after_ms: None,
                    };
                    lock(&alarms).answered(id, outcome, now);
                }
            }
        }),
    }))
}

fn lock(alarms: &Mutex<Alarms>) -> MutexGuard<'_, Alarms> {
    alarms.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fires is a log too, whoever is told.
fn say(change: &Change) {
    let alert = &change.alert;
    let name = alert.name();
    let text = |key: &str| alert.annotations.get(key).map_or("", String::as_str);
    let (summary, action) = (text("summary"), text("action"));
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(label, _)| *label != "alertname")
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    let labels = labels.join(" ");
    if alert.phase == Phase::Resolved {
        tracing::info!(target: "radiosonde::alerts", name, labels, "an alert is resolved");
    } else {
        tracing::warn!(target: "radiosonde::alerts", name, labels, summary, action, "an alert fires");
    }
}

/// Starts the thread that sends. It ends when the collector does.
fn send(messenger: Messenger, alarms: &Arc<Mutex<Alarms>>) -> std::io::Result<SyncSender<Due>> {
    let (messages, waiting): (_, Receiver<Due>) = sync_channel(MESSAGES_MAX);
    let alarms = Arc::clone(alarms);
    thread::Builder::new()
        .name("radiosonde-notify".to_owned())
        .spawn(move || {
            // What the client libraries log about our own sending is not telemetry to watch.
            let silence = radiosonde_core::silence();
            for due in waiting {
                let outcome = messenger.send(&due.receiver, &due.message);
                let id = due.notification.id;
                lock(&alarms).answered(id, outcome, clock::now_unix_ns());
            }
            drop(silence);
        })?;
    Ok(messages)
}

/// What the configuration says, by its file or by addresses alone.
fn read(config: &Config) -> Result<AlertFile, InitError> {
    let settings = &config.alerts;
    let Some(path) = &settings.file else {
        let routing = to_each(&settings.endpoints);
        let plan = routing.check().map_err(|faults| {
            // Without the address itself, which is a secret.
            config.refuse("alerts.endpoints", faults.to_string(), "")
        })?;
        let mut file = AlertFile::parse("")
            .map_err(|error| config.refuse("alerts.enabled", error.to_string(), ""))?;
        file.plan = plan;
        return Ok(file);
    };
    let text = text(path).map_err(|error| {
        let mend = "name a file that can be read";
        config.refuse("alerts.file", error, mend)
    })?;
    let file = AlertFile::parse(&text);
    Ok(file.map_err(|error| config.refuse("alerts.file", error.to_string(), ""))?)
}

fn text(path: &Path) -> Result<String, String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if found.len() > FILE_BYTES_MAX {
        return Err("is too large to be a file of alerts".to_owned());
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Everything to every address, in the form that its host reads.
fn to_each(endpoints: &[String]) -> Routing {
    let named = |index: usize| format!("endpoint-{}", index + 1);
    let mut routing = Routing::default();
    for (index, endpoint) in endpoints.iter().enumerate() {
        routing.receivers.insert(named(index), receiver(endpoint));
        routing.route.receiver.get_or_insert_with(|| named(0));
        if endpoints.len() > 1 {
            routing.route.routes.push(Route {
                receiver: Some(named(index)),
                goes_on: true,
                ..Route::default()
            });
        }
    }
    routing
}

fn receiver(endpoint: &str) -> Told {
    let host = endpoint
        .split_once("://")
        .map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or(""));
    let hook = Hook {
        url: Secret::new(endpoint),
        send_resolved: true,
    };
    if host == "hooks.slack.com" {
        Told::Slack(hook)
    } else if [
        ".logic.azure.com",
        ".powerplatform.com",
        ".webhook.office.com",
    ]
    .iter()
    .any(|teams| host.ends_with(teams))
    {
        Told::Teams(hook)
    } else {
        Told::Webhook(Webhook {
            url: hook.url,
            authorization: None,
            alerts_max: radiosonde_answers::alerts::routing::ALERTS_MAX,
            send_resolved: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_in_the_form_that_its_host_reads() {
        for (endpoint, kind) in [
            ("https://hooks.slack.com/services/T/B/x", "slack"),
            (
                "https://prod-1.westus.logic.azure.com:443/workflows/x",
                "teams",
            ),
            ("https://alerts.example/hook", "webhook"),
        ] {
            assert_eq!(receiver(endpoint).kind(), kind);
        }
    }

    #[test]
    fn every_address_is_told_of_every_alert() {
        let endpoints = ["https://a.example/x", "https://b.example/y"].map(str::to_owned);
        let plan = to_each(&endpoints).check().unwrap();
        let labels = [("alertname".to_owned(), "slow".to_owned())].into();
        let taken = plan.explain(&labels, 0);
        let told: Vec<_> = taken.iter().map(|taken| taken.receiver.as_str()).collect();
        assert_eq!(told, ["endpoint-1", "endpoint-2"]);
        assert!(to_each(&[]).check().unwrap().receivers().is_empty());
    }
}
