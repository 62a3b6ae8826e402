//! A virtual clock, receivers that remember what they believe, and timelines as text.

use std::collections::{BTreeMap, BTreeSet};

use crate::alerts::{
    Alert, Change, Labels, Phase, Severity,
    routing::{Because, Notification, Outcome, Plan, Router, Routing, Silence, State},
};

pub const SECOND_NS: u64 = 1_000_000_000;
/// Monday, 2026-11-30, midnight UTC.
pub const START_UNIX_NS: u64 = 1_795_996_800 * SECOND_NS;

pub fn plan(toml: &str) -> Plan {
    let routing: Routing = toml::from_str(toml).unwrap();
    routing.check().unwrap()
}

/// `slow service=a severity=critical`.
pub fn alert(words: &str, phase: Phase, now: u64) -> Alert {
    let (name, others) = words.split_once(' ').unwrap_or((words, ""));
    let mut labels = Labels::from([("alertname".to_owned(), name.to_owned())]);
    labels.extend(others.split_whitespace().map(|label| {
        let (name, value) = label.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    }));
    let severity = if labels
        .get("severity")
        .is_some_and(|value| value == "critical")
    {
        Severity::Critical
    } else {
        Severity::Warning
    };
    Alert {
        labels,
        annotations: Labels::new(),
        severity,
        phase,
        value: None,
        started_unix_ns: START_UNIX_NS,
        fired_unix_ns: Some(START_UNIX_NS),
        resolved_unix_ns: (phase == Phase::Resolved).then_some(now),
    }
}

pub struct World {
    pub router: Router,
    pub now: u64,
    /// Receivers that cannot be reached.
    pub down: BTreeSet<String>,
    /// What each receiver was told by name and believes to fire.
    pub believed: BTreeMap<String, BTreeSet<String>>,
    /// When notifications that arrived were made, by receiver and group.
    pub arrived: BTreeMap<(String, String), Vec<u64>>,
    pub lines: Vec<String>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        Self {
            router: Router::new(plan),
            now: START_UNIX_NS,
            down: BTreeSet::new(),
            believed: BTreeMap::new(),
            arrived: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// Lets time go on, advancing the router whenever it is due.
    pub fn until(&mut self, time: u64) {
        while let Some(due) = self.router.next_due().filter(|&due| due <= time) {
            self.now = self.now.max(due);
            let notifications = self.router.advance(self.now);
            let is_idle = notifications.is_empty();
            for notification in notifications {
                self.deliver(&notification);
            }
            let next = self.router.next_due();
            assert!(
                !is_idle || next.is_none_or(|next| next > self.now),
                "due again at once"
            );
        }
        self.now = self.now.max(time);
    }

    fn deliver(&mut self, notification: &Notification) {
        let is_down = self.down.contains(&notification.receiver);
        self.say(&picture(notification, is_down));
        let outcome = if is_down {
            Outcome::Failed {
                because: "down".to_owned(),
                retry_after_ms: None,
            }
        } else {
            self.believe(notification);
            Outcome::Delivered
        };
        assert!(
            self.router
                .answered(notification.id, outcome.clone(), self.now)
        );
        assert!(
            !self.router.answered(notification.id, outcome, self.now),
            "answered twice"
        );
    }

    /// A receiver takes in what arrived, and finds fault with it.
    fn believe(&mut self, notification: &Notification) {
        let believed = self
            .believed
            .entry(notification.receiver.clone())
            .or_default();
        for notified in &notification.alerts {
            let name = name(&notified.alert);
            if notified.alert.phase == Phase::Resolved {
                // A digest says both at once.
                let is_known = believed.remove(&name) || notified.is_news && notified.firings > 1;
                assert!(
                    is_known,
                    "{name} is resolved, and was never said to fire: {:?}",
                    self.lines
                );
            } else {
                believed.insert(name);
            }
        }
        let key = (
            notification.receiver.clone(),
            notification.group_key.clone(),
        );
        self.arrived
            .entry(key)
            .or_default()
            .push(notification.time_unix_ns);
    }

    pub fn take(&mut self, words: &str, phase: Phase) {
        let change = Change {
            time_unix_ns: self.now,
            alert: alert(words, phase, self.now),
        };
        self.router.take([change]);
    }

    pub fn silence(&mut self, matcher: &str, length_ns: u64) -> String {
        let silence = Silence {
            id: String::new(),
            matchers: vec![matcher.parse().unwrap()],
            starts_unix_ns: self.now,
            ends_unix_ns: self.now + length_ns,
            created_by: "ana".to_owned(),
            comment: "known".to_owned(),
        };
        self.router.silence(silence, self.now).unwrap()
    }

    /// Ends the process, and starts it with what it had written down.
    pub fn restart(&mut self) {
        let text = serde_json::to_string(&self.router.save()).unwrap();
        let state: State = serde_json::from_str(&text).unwrap();
        self.router = Router::restore(self.router.plan().clone(), state).unwrap();
    }

    fn say(&mut self, words: &str) {
        let seconds = (self.now - START_UNIX_NS) / SECOND_NS;
        self.lines
            .push(format!("{:02}:{:02} {words}", seconds / 60, seconds % 60));
    }

    /// Runs a timeline, a step a line: `05:30 fire slow service=a`.
    pub fn run(&mut self, timeline: &str) {
        for line in timeline
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (time, step) = line.split_once(' ').unwrap();
            let (minutes, seconds) = time.split_once(':').unwrap();
            let seconds = minutes.parse::<u64>().unwrap() * 60 + seconds.parse::<u64>().unwrap();
            self.until(START_UNIX_NS + seconds * SECOND_NS);
            let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
            match verb {
                "fire" => self.take(rest, Phase::Firing),
                "resolve" => self.take(rest, Phase::Resolved),
                "silence" => drop(self.silence(rest, 3_600 * SECOND_NS)),
                "expire" => self.router.expire_silence(rest, self.now).unwrap(),
                "restart" => self.restart(),
                "forget" => self.router = Router::new(self.router.plan().clone()),
                "down" => self.down.extend([rest.to_owned()]),
                "up" => self.down.retain(|name| name != rest),
                "show" => self.show(),
                "end" => {}
                other => panic!("`{other}` is no step"),
            }
        }
    }

    fn show(&mut self) {
        let minute = |time: u64| {
            let seconds = time.saturating_sub(START_UNIX_NS) / SECOND_NS;
            format!("{:02}:{:02}", seconds / 60, seconds % 60)
        };
        for held in self.router.held(self.now) {
            let why = match held.because {
                Because::Muted { by } => format!("muted by {by}"),
                Because::Silenced { by, until_unix_ns } => {
                    format!("silenced by {by} until {}", minute(until_unix_ns))
                }
                Because::Inhibited { rule, by } => {
                    format!("inhibited by rule {rule}, by {}", by["alertname"])
                }
                Because::Sending => "sending".to_owned(),
                Because::Failing {
                    attempts,
                    because,
                    until_unix_ns,
                } => {
                    format!(
                        "failed {attempts} times ({because}) until {}",
                        minute(until_unix_ns)
                    )
                }
                Because::Flapping {
                    firings,
                    until_unix_ns,
                } => format!("flapping, {firings} times, until {}", minute(until_unix_ns)),
                Because::Waiting { until_unix_ns } => {
                    format!("waiting until {}", minute(until_unix_ns))
                }
            };
            self.say(&format!(
                "{}: held {}: {why}",
                held.receiver,
                name(&held.alert)
            ));
        }
    }
}

fn name(alert: &Alert) -> String {
    let others = alert
        .labels
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "alertname" | "severity"));
    let others: Vec<&str> = others.map(|(_, value)| value.as_str()).collect();
    [&[alert.name()], &others[..]].concat().join("/")
}

fn picture(notification: &Notification, is_down: bool) -> String {
    let alerts = notification.alerts.iter().map(|notified| {
        let news = if notified.is_news { "*" } else { "" };
        let often = if notified.firings > 1 {
            format!(
                " ({} times in {} s)",
                notified.firings,
                notified.firings_over_ns / SECOND_NS
            )
        } else {
            String::new()
        };
        let phase = if notified.alert.phase == Phase::Firing {
            "firing"
        } else {
            "resolved"
        };
        format!("{news}{} {phase}{often}", name(&notified.alert))
    });
    let alerts = alerts.collect::<Vec<_>>().join(", ");
    let mut line = format!(
        "{}: {}: {alerts}",
        notification.receiver,
        notification.reason.label()
    );
    for (count, what) in [
        (notification.left_out, "left out"),
        (notification.hidden, "hidden"),
    ] {
        if count > 0 {
            line = format!("{line}, {count} {what}");
        }
    }
    if is_down {
        format!("{line} (does not arrive)")
    } else {
        line
    }
}
