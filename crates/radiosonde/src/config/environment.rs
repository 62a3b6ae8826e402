//! What environment variables say: `RADIOSONDE_` and a key's path in capitals, the standard ones of OpenTelemetry, and
//! a few that others made known.
//!
//! Where two of them name the same setting, ours wins. A variable that is set to nothing counts as not set, as
//! OpenTelemetry prescribes; the exceptions are those whose presence alone is the message. What begins like ours and
//! is not known is an error, but for the few in [`OTHERS`].

use std::ffi::OsString;

use radiosonde_core::propagation::Formats;

use super::{
    ConfigError, RawConfig,
    choice::Sampler,
    duration::Unit,
    nearest::nearest,
    raw::{Entry, find, is_secret, leave_it_out, names, shown_of_unknown},
    settings::{How, KEYS},
    value::{Problem, Setting as _},
    written::{Source, Written},
};

/// What our own variables begin with.
const PREFIX: &str = "RADIOSONDE_";
/// What OpenTelemetry's variables about sending begin with.
const OTLP_PREFIX: &str = "OTEL_EXPORTER_OTLP_";
/// The variable that names the configuration file.
pub(super) const FILE_VARIABLE: &str = "RADIOSONDE_CONFIG";
/// What variables begin with that are no settings: those of the program `sonde`, of `benches` and of tests.
const OTHERS: &[&str] = &[
    "RADIOSONDE_DATA_DIR",
    "RADIOSONDE_COLLECTOR",
    "RADIOSONDE_TOKEN",
    "RADIOSONDE_KEYS",
    "RADIOSONDE_TLS_",
    "RADIOSONDE_SCRAPE",
    "RADIOSONDE_CLICKHOUSE",
    "RADIOSONDE_DASHBOARDS",
    "RADIOSONDE_METRIC_RULES",
    "RADIOSONDE_ALERTS",
    "RADIOSONDE_BENCH_",
    "RADIOSONDE_TEST_",
];

impl RawConfig {
    /// Takes settings from environment variables. Others are passed over, except for those that begin with
    /// `RADIOSONDE_` and are no setting: they are kept as errors. Names of files need not be UTF-8; in any other
    /// setting that is an error.
    pub fn from_environment<Name, Value>(variables: impl IntoIterator<Item = (Name, Value)>) -> Self
    where
        Name: Into<OsString>,
        Value: Into<OsString>,
    {
        let mut raw = Self::default();
        let mut ours = Self::default();
        for (variable, value) in variables {
            let variable = variable.into();
            let variable = variable.to_string_lossy();
            let value = match value.into().into_string() {
                Ok(text) => Written::Raw(text),
                Err(bytes) => Written::Path(bytes.into()),
            };
            if let Some(rest) = variable.strip_prefix(PREFIX) {
                ours.add_own(&variable, rest, value);
            } else {
                raw.add_foreign(&variable, &value);
            }
        }
        raw.overlaid_by(ours)
    }

    fn add_own(&mut self, variable: &str, rest: &str, value: Written) {
        if variable == FILE_VARIABLE || OTHERS.iter().any(|begin| variable.starts_with(begin)) {
            return;
        }
        let source = Source::Environment {
            variable: variable.to_owned(),
        };
        let Some((path, unit)) = own(&rest.to_ascii_lowercase()) else {
            if !is_empty(&value) {
                self.errors.push(unknown(source, variable, &value));
            }
            return;
        };
        if !is_empty(&value) {
            self.add_once(Entry {
                path,
                value,
                unit,
                source,
            });
        }
    }

    fn add_foreign(&mut self, variable: &str, value: &Written) {
        if let Some(common) = for_all_signals(variable)
            && !is_empty(value)
        {
            let source = Source::Environment {
                variable: variable.to_owned(),
            };
            let mend =
                format!("set {common}, which holds for every signal, and leave this one out");
            // The value may be a key.
            self.errors.push(ConfigError::new(
                source,
                variable,
                "",
                "is for one signal, which only endpoints can be",
                mend,
            ));
        }
        for key in KEYS {
            for (_, how) in key.variables.iter().filter(|(name, _)| *name == variable) {
                if is_empty(value) && *how != How::Present {
                    continue;
                }
                let source = Source::Environment {
                    variable: variable.to_owned(),
                };
                let (known, problem) = known(*how, value);
                if let Some(Problem { what, mend }) = problem {
                    let shown = value.to_string();
                    let error = ConfigError::new(source.clone(), variable, shown, what, mend);
                    self.passed_over.push(error);
                }
                let Some(known) = known else { continue };
                let (value, unit) = meaning(*how, &known);
                self.entries.push(Entry {
                    path: key.path,
                    value,
                    unit,
                    source,
                });
            }
        }
    }
}

fn unknown(source: Source, variable: &str, value: &Written) -> ConfigError {
    let known: Vec<String> = names().map(variable_of).collect();
    let near = nearest(variable, known.iter().map(String::as_str));
    let mend = near.map_or_else(leave_it_out, |near| format!("did you mean {near}?"));
    let is_secret = near
        .and_then(|near| own(&near.strip_prefix(PREFIX)?.to_ascii_lowercase()))
        .is_some_and(|(path, _)| is_secret(path));
    let value = shown_of_unknown(variable, value, is_secret);
    ConfigError::new(source, variable, value, "unknown variable", mend)
}

/// The variable for all signals, where `variable` is the same for one. Passing it over would send a key or a protocol
/// that was not meant.
fn for_all_signals(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(OTLP_PREFIX)?;
    let (signal, what) = rest.split_once('_')?;
    let is_known = matches!(signal, "TRACES" | "METRICS" | "LOGS")
        && matches!(what, "HEADERS" | "TIMEOUT" | "PROTOCOL");
    is_known.then(|| format!("{OTLP_PREFIX}{what}"))
}

/// The variable of a key.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// The key whose path is `rest` with some of its underscores dots.
fn own(rest: &str) -> Option<(&'static str, Unit)> {
    let same = |path: &str, rest: &str| path.replace('.', "_") == rest;
    KEYS.iter()
        .flat_map(|key| std::iter::once(&key.path).chain(key.also))
        .find_map(|name| {
            let with_unit = Unit::of_key(rest).filter(|(rest, _)| same(name, rest));
            let unit = match with_unit {
                _ if same(name, rest) => Unit::None,
                Some((_, unit)) => unit,
                None => return None,
            };
            let (key, _) = find(name)?;
            (unit == Unit::None || key.has_unit).then_some((key.path, unit))
        })
}

fn is_empty(value: &Written) -> bool {
    matches!(value, Written::Raw(text) if text.is_empty())
}

/// What of `value` is known here, and what is wrong with the rest where that is to be passed over.
fn known(how: How, value: &Written) -> (Option<Written>, Option<Problem>) {
    let read = match (how, value) {
        (How::Propagators, Written::Raw(text)) => return propagators(text),
        (How::Sampler, Written::Raw(_)) => Sampler::read(value, Unit::None).map(drop),
        (How::Ratio, Written::Raw(_)) => match f64::read(value, Unit::None) {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
            _ => Err(Problem::new(
                "is not a share of traces",
                "write a number from 0 to 1",
            )),
        },
        _ => Ok(()),
    };
    match read {
        Ok(()) => (Some(value.clone()), None),
        Err(problem) => (None, Some(problem)),
    }
}

fn propagators(text: &str) -> (Option<Written>, Option<Problem>) {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let (known, unknown): (Vec<_>, Vec<_>) = names.partition(|name| Formats::parse(name).is_ok());
    let problem = Formats::parse(&unknown.join(","))
        .err()
        .map(|error| Problem::new(error.to_string(), ""));
    let known = (!known.is_empty()).then(|| Written::Raw(known.join(",")));
    (known, problem)
}

fn meaning(how: How, value: &Written) -> (Written, Unit) {
    let text = match value {
        Written::Raw(text) => text.as_str(),
        // What is not UTF-8 names none of the words below.
        _ => "",
    };
    match how {
        How::Plain | How::Sampler | How::Ratio | How::Propagators => (value.clone(), Unit::None),
        How::Millis => (value.clone(), Unit::Millis),
        How::Seconds => (value.clone(), Unit::Seconds),
        How::Present => (Written::Bool(true), Unit::None),
        How::NoColor => (Written::Raw("never".to_owned()), Unit::None),
        How::Port => (Written::Raw(format!("127.0.0.1:{text}")), Unit::None),
        How::Exporter => (
            Written::Bool(!text.split(',').all(|name| name.trim() == "none")),
            Unit::None,
        ),
        How::Inverted => {
            let value = match text.trim().to_ascii_lowercase().as_str() {
                "true" => Written::Bool(false),
                // OpenTelemetry: whatever is not `true` is false.
                _ => Written::Bool(true),
            };
            (value, Unit::None)
        }
    }
}
