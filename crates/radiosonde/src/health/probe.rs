//! What is asked over HTTP, and what is answered: one function for the endpoint and for servers of the program.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;

use super::{Check, Health, Status, entry::Entry};
use crate::encode::time;

/// A question about a program, as load balancers and Kubernetes ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// `/health`: how everything is.
    Health,
    /// `/livez`: whether the process should go on, or be restarted.
    Liveness,
    /// `/readyz`: whether requests should be sent here.
    Readiness,
    /// `/startupz`: whether the program has begun.
    Startup,
}

impl Probe {
    /// Every probe.
    pub const ALL: [Self; 4] = [Self::Health, Self::Liveness, Self::Readiness, Self::Startup];

    /// Where it is asked.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Liveness => "/livez",
            Self::Readiness => "/readyz",
            Self::Startup => "/startupz",
        }
    }

    /// Whether `entry` has a part in it.
    const fn looks_at(self, entry: &Entry) -> bool {
        match self {
            Self::Health => true,
            Self::Liveness => entry.affects.liveness,
            Self::Readiness => entry.affects.readiness,
            Self::Startup => entry.affects.startup,
        }
    }

    /// Whether the answer is 200. `/health` fails from the status `fails_from` on, the others from critical.
    pub(super) fn passes<'e>(
        self,
        entries: impl Iterator<Item = &'e Entry>,
        now: Duration,
        fails_from: Status,
    ) -> bool {
        let mut entries = entries.filter(|entry| self.looks_at(entry));
        let is_below = |entry: &Entry, limit| {
            let counting = entry.counting(now);
            counting.is_none_or(|status| status < limit)
        };
        entries.all(|entry| match self {
            Self::Health => is_below(entry, fails_from),
            Self::Liveness => is_below(entry, Status::Critical),
            // Who sends requests must not be told before anybody has looked.
            Self::Readiness => entry.track.is_known() && is_below(entry, Status::Critical),
            Self::Startup => entry.has_passed,
        })
    }
}

/// What the query of a request asks for.
struct Query<'q> {
    verbose: bool,
    exclude: Vec<Cow<'q, str>>,
}

impl<'q> Query<'q> {
    /// Reads `verbose` and any number of `exclude=NAME`. What else there is belongs to others.
    fn parse(query: &'q str) -> Self {
        let mut parsed = Self {
            verbose: false,
            exclude: Vec::new(),
        };
        for part in query.split('&') {
            match part.split_once('=').unwrap_or((part, "")) {
                ("verbose", value) => parsed.verbose = !matches!(value, "0" | "false"),
                ("exclude", name) => parsed.exclude.push(decoded(name)),
                _ => {}
            }
        }
        parsed
    }
}

/// A value of a query as text (WHATWG URL, application/x-www-form-urlencoded). What is encoded wrongly stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let digits = others
            .first_chunk::<2>()
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = digits {
            bytes.push(byte);
            rest = &others[2..];
        } else {
            bytes.push(if first == b'+' { b' ' } else { first });
            rest = others;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Serialize)]
struct Body<'q> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<Check>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    /// Left out because the caller asked for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<Cow<'q, str>>,
    /// To be left out, and not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_found: Vec<Cow<'q, str>>,
}

/// The status code and the JSON text that answer `probe` with this query.
pub(crate) fn answer(
    health: &Health,
    probe: Probe,
    fails_from: Status,
    query: &str,
) -> (u16, String) {
    let Query { verbose, exclude } = Query::parse(query);
    let now = health.0.now();
    let state = health.0.lock();
    let (excluded, not_found) = exclude.into_iter().partition(|name| {
        let mut entries = state.entries.iter();
        entries.any(|entry| entry.name == *name && probe.looks_at(entry))
    });
    let excluded: Vec<Cow<'_, str>> = excluded;
    let included = || {
        let entries = state.entries.iter();
        entries.filter(|entry| probe.looks_at(entry) && !excluded.contains(&entry.name))
    };
    let passes = probe.passes(included(), now, fails_from);
    let status = Status::worst(included().filter_map(|entry| entry.counting(now)));
    let lists = verbose || probe == Probe::Health;
    let checks = lists.then(|| {
        let shown = included().map(|entry| entry.shown(now));
        shown
            .map(|check| Check {
                details: check.details.filter(|_| verbose),
                ..check
            })
            .collect()
    });
    drop(state);
    let body = Body {
        status,
        checks,
        timestamp: lists.then(|| time::text(radiosonde_core::clock::now_unix_ns())),
        excluded,
        not_found,
    };
    match serde_json::to_string(&body) {
        Ok(body) => (if passes { 200 } else { 503 }, body),
        Err(_) => (500, r#"{"status":"unknown"}"#.to_owned()),
    }
}
