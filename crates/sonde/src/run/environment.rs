//! What a program under observation finds in its environment: where to send telemetry, and whose it is.
//!
//! Where to send it is ours to say, or the program would not be observed here; everything else that is there already stays:
//! whoever set it meant it.

use std::process::Command;

use crate::collector::{TOKEN_VARIABLE, variable};

/// The attribute of resources by which a run's telemetry is known.
pub const RUN_ID: &str = "radiosonde.run.id";

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// What only one signal listens to, before it listens to what is for all (OpenTelemetry, "OpenTelemetry Protocol Exporter").
const OF_ONE_SIGNAL: [&str; 12] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_PROFILES_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL",
];

/// Variables to set and to remove.
pub struct Environment {
    set: Vec<(&'static str, String)>,
    removed: Vec<&'static str>,
    endpoint: String,
}

impl Environment {
    /// What sends to a collector at these addresses, for a run of this name and identifier.
    pub fn new(otlp_http: &str, otlp_grpc: Option<&str>, service: &str, run_id: &str) -> Self {
        Self::made(variable, otlp_http, otlp_grpc, service, run_id)
    }

    fn made(
        there: impl Fn(&str) -> Option<String>,
        otlp_http: &str,
        otlp_grpc: Option<&str>,
        service: &str,
        run_id: &str,
    ) -> Self {
        // A program may have an exporter for one protocol alone, and then its environment says which.
        let said = there(PROTOCOL).unwrap_or_default();
        let (endpoint, protocol) = match (said.trim(), otlp_grpc) {
            ("grpc", Some(otlp_grpc)) => (otlp_grpc, "grpc"),
            ("http/json", _) => (otlp_http, "http/json"),
            _ => (otlp_http, "http/protobuf"),
        };
        let mut set = vec![
            (ENDPOINT, endpoint.to_owned()),
            (PROTOCOL, protocol.to_owned()),
            (RESOURCE, with_run_id(there(RESOURCE).as_deref(), run_id)),
        ];
        let mut removed = OF_ONE_SIGNAL.to_vec();
        // Credentials are those of an address.
        let is_foreign = there(ENDPOINT).is_some_and(|there| !is_same(&there, endpoint));
        match there(TOKEN_VARIABLE) {
            Some(token) => set.push((HEADERS, format!("Authorization=Bearer%20{token}"))),
            None if is_foreign => removed.push(HEADERS),
            None => {}
        }
        let defaults = [
            ("OTEL_SERVICE_NAME", service),
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            // Into a pipe Python would write only when its buffer is full.
            ("PYTHONUNBUFFERED", "1"),
        ];
        for (name, value) in defaults {
            if there(name).is_none() {
                set.push((name, value.to_owned()));
            }
        }
        removed.retain(|name| there(name).is_some());
        Self {
            set,
            removed,
            endpoint: endpoint.to_owned(),
        }
    }

    /// The same with `others` set as well, such as the files that an encrypted connection needs.
    pub fn with(mut self, others: Vec<(&'static str, String)>) -> Self {
        self.set.extend(others);
        self
    }

    /// Sets and removes them for a program.
    pub fn apply(&self, command: &mut Command) {
        for name in &self.removed {
            command.env_remove(name);
        }
        for (name, value) in &self.set {
            command.env(name, value);
        }
    }

    /// What to say of addresses and their like that somebody set, and that hold not for this run.
    pub fn replaced(&self) -> Option<String> {
        self.replaced_of(variable)
    }

    fn replaced_of(&self, there: impl Fn(&str) -> Option<String>) -> Option<String> {
        let differs = |(name, ours): &&(&'static str, String)| {
            [ENDPOINT, HEADERS, PROTOCOL].contains(name)
                && there(name).is_some_and(|there| !is_same(&there, ours))
        };
        let names = self.set.iter().filter(differs).map(|(name, _)| *name);
        let names: Vec<&str> = names.chain(self.removed.iter().copied()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "for this run the program sends to {}, whatever its environment says: {} replaced or removed",
                self.endpoint,
                names.join(", ")
            )
        })
    }
}

/// An address may end with a slash or not.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().trim_end_matches('/') == other.trim_end_matches('/')
}

/// Attributes of a resource as the variable has them, with the run's identifier in place of that of a run around it.
fn with_run_id(attributes: Option<&str>, run_id: &str) -> String {
    let is_other = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        !part.trim().is_empty() && name.trim() != RUN_ID
    };
    let others = attributes.unwrap_or_default().split(',').filter(is_other);
    let ours = format!("{RUN_ID}={run_id}");
    let parts: Vec<&str> = others.chain([ours.as_str()]).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(there: &[(&str, &str)]) -> (Environment, Option<String>) {
        let there = |name: &str| {
            let found = there.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (http, grpc) = ("http://127.0.0.1:4318", Some("http://127.0.0.1:4317"));
        let environment = Environment::made(there, http, grpc, "app", "7-1");
        let said = environment.replaced_of(there);
        (environment, said)
    }

    fn set<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
        let found = environment.set.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn where_nothing_is_said_everything_is_and_nothing_is_told() {
        let (environment, said) = made(&[]);
        assert_eq!(set(&environment, ENDPOINT), Some("http://127.0.0.1:4318"));
        assert_eq!(set(&environment, RESOURCE), Some("radiosonde.run.id=7-1"));
        assert_eq!(set(&environment, "OTEL_SERVICE_NAME"), Some("app"));
        assert_eq!((set(&environment, HEADERS), said), (None, None));
        assert_eq!(made(&[(ENDPOINT, "http://127.0.0.1:4318/")]).1, None);
    }

    #[test]
    fn addresses_of_others_are_replaced_with_their_credentials_and_told() {
        let (environment, said) = made(&[
            (ENDPOINT, "https://vendor.example"),
            (HEADERS, "api-key=1"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "https://vendor.example/v1/traces",
            ),
            ("OTEL_TRACES_EXPORTER", "none"),
            (RESOURCE, "a=b,radiosonde.run.id=6-0,"),
        ]);
        assert_eq!(set(&environment, ENDPOINT), Some("http://127.0.0.1:4318"));
        assert_eq!(
            set(&environment, RESOURCE),
            Some("a=b,radiosonde.run.id=7-1")
        );
        assert_eq!(set(&environment, "OTEL_TRACES_EXPORTER"), None);
        let removed = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", HEADERS];
        assert_eq!(environment.removed, removed);
        let said = said.unwrap();
        for name in [ENDPOINT, removed[0], removed[1]] {
            assert!(said.contains(name), "{said}");
        }
        assert!(
            !said.contains("vendor") && !said.contains("api-key"),
            "{said}"
        );
    }

    #[test]
    fn who_speaks_grpc_is_told_where_that_is_spoken() {
        let (environment, said) = made(&[(PROTOCOL, "grpc"), (TOKEN_VARIABLE, "t")]);
        assert_eq!(set(&environment, ENDPOINT), Some("http://127.0.0.1:4317"));
        assert_eq!(set(&environment, PROTOCOL), Some("grpc"));
        assert_eq!(set(&environment, HEADERS), Some("Authorization=Bearer%20t"));
        assert_eq!(said, None);
    }
}
