//! One thing, many names: what instrumentation of other times and other makers calls what OpenTelemetry has a name for.
//!
//! A [`Vocabulary`] is a table of names as one maker in one version gives them, each with the name by which it is asked for
//! here. Tables are data: a convention that is renamed is one more table, and what was stored before is found as before,
//! because names are kept as they came and are translated when somebody asks.
//!
//! Invariants, held by tests: no name means two things; a canonical name is nobody's alias; every canonical name that is
//! OpenTelemetry's is in the table of OpenTelemetry's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

mod engines;
mod general;
mod models;

/// A name, and what it is called here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Name {
    /// As it is sent.
    pub name: &'static str,
    /// As it is asked for; the same where that is the canonical name already.
    pub canonical: &'static str,
    /// What a value is multiplied by to be in the canonical unit: 0.001 for one in milliseconds.
    pub times: f64,
}

/// The names of one maker in one version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vocabulary {
    /// What it is called: `OpenTelemetry GenAI`.
    pub name: &'static str,
    /// Which version of it, or until which version these names were used.
    pub version: &'static str,
    /// Whether its names are those that are asked for here.
    pub is_canonical: bool,
    /// Attributes of spans, logs and readings.
    pub attributes: &'static [Name],
    /// Metrics.
    pub metrics: &'static [Name],
}

/// A name that is canonical already.
const fn own(name: &'static str) -> Name {
    same(name, name)
}

const fn same(name: &'static str, canonical: &'static str) -> Name {
    scaled(name, canonical, 1.0)
}

const fn scaled(name: &'static str, canonical: &'static str, times: f64) -> Name {
    Name {
        name,
        canonical,
        times,
    }
}

/// Milliseconds as seconds.
const MS: f64 = 1e-3;
/// Microseconds as seconds.
const US: f64 = 1e-6;
/// Percent as a share.
const PERCENT: f64 = 1e-2;
/// Mebibytes as bytes.
const MIB: f64 = 1_048_576.0;

/// Every vocabulary that is known, OpenTelemetry's of today first.
pub static VOCABULARIES: &[Vocabulary] = &[
    models::GEN_AI,
    models::GEN_AI_BEFORE,
    models::OPEN_INFERENCE,
    models::OPEN_LLMETRY,
    general::HTTP,
    general::HTTP_BEFORE,
    general::DATABASE,
    general::DATABASE_BEFORE,
    general::HARDWARE,
    engines::RADIOSONDE,
    engines::DESIGN_NOTES,
    engines::VLLM,
    engines::SGLANG,
    engines::TRITON,
    engines::DCGM,
];

/// What a metric of this name is called here; `None` for one that is known by no other name.
pub fn metric(name: &str) -> Option<Name> {
    find(name, |vocabulary| vocabulary.metrics)
}

/// What an attribute of this name is called here; `None` for one that is known by no other name.
pub fn attribute(name: &str) -> Option<Name> {
    find(name, |vocabulary| vocabulary.attributes)
}

fn find(name: &str, names: impl Fn(&Vocabulary) -> &'static [Name]) -> Option<Name> {
    let mut all = VOCABULARIES.iter().flat_map(names);
    all.find(|known| known.name == name).copied()
}

/// Every name of what is called so, by its canonical name or by any other; the canonical name is the first. A name that is
/// not known is its own only name.
pub fn names_of_metric(name: &str) -> Vec<(&str, f64)> {
    names_of(name, |vocabulary| vocabulary.metrics)
}

/// The same of attributes.
pub fn names_of_attribute(name: &str) -> Vec<(&str, f64)> {
    names_of(name, |vocabulary| vocabulary.attributes)
}

fn names_of(name: &str, names: impl Fn(&Vocabulary) -> &'static [Name] + Copy) -> Vec<(&str, f64)> {
    let canonical = find(name, names).map_or(name, |known| known.canonical);
    let mut found = vec![(canonical, 1.0)];
    let all = VOCABULARIES.iter().flat_map(names);
    let others = all.filter(|known| known.canonical == canonical && known.name != canonical);
    found.extend(others.map(|known| (known.name, known.times)));
    found
}

/// A name that a service uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The service.
    pub service: String,
    /// Whether it is the name of a metric, and not of an attribute.
    pub is_metric: bool,
    /// The name.
    pub name: String,
    /// How often it was seen.
    pub count: u64,
}

/// What a service speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Speaks {
    /// The service.
    pub service: String,
    /// The vocabularies that it has names of, in the order of [`VOCABULARIES`].
    pub vocabularies: Vec<Spoken>,
    /// Names that no table has.
    pub unknown: u64,
}

/// A vocabulary that a service has names of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spoken {
    /// The vocabulary.
    pub vocabulary: String,
    /// Its version.
    pub version: String,
    /// Whether its names are those that are asked for here.
    pub is_canonical: bool,
    /// Its names that were seen.
    pub names: Vec<Said>,
}

/// A name, and what it is called here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// As it was sent.
    pub name: String,
    /// As it is asked for.
    pub canonical: String,
    /// `metric` or `attribute`.
    pub kind: &'static str,
    /// How often it was seen.
    pub count: u64,
}

/// What each service speaks, by the names that were seen of it.
pub fn report(seen: &[Seen]) -> Vec<Speaks> {
    let mut services: BTreeMap<&str, BTreeMap<(bool, &str), u64>> = BTreeMap::new();
    for name in seen {
        let names = services.entry(&name.service).or_default();
        let count = names.entry((name.is_metric, &name.name)).or_default();
        *count = count.saturating_add(name.count);
    }
    let speaks = services.into_iter().map(|(service, names)| {
        let mut known = BTreeSet::new();
        let spoken = VOCABULARIES.iter().filter_map(|vocabulary| {
            let said = said(vocabulary, &names);
            known.extend(
                said.iter()
                    .map(|said| (said.kind == METRIC, said.name.clone())),
            );
            (!said.is_empty()).then(|| Spoken {
                vocabulary: vocabulary.name.to_owned(),
                version: vocabulary.version.to_owned(),
                is_canonical: vocabulary.is_canonical,
                names: said,
            })
        });
        let vocabularies: Vec<Spoken> = spoken.collect();
        Speaks {
            service: service.to_owned(),
            unknown: (names.len() - known.len()) as u64,
            vocabularies,
        }
    });
    speaks.collect()
}

const METRIC: &str = "metric";

fn said(vocabulary: &Vocabulary, names: &BTreeMap<(bool, &str), u64>) -> Vec<Said> {
    let of = |is_metric: bool, kind: &'static str, table: &'static [Name]| {
        table.iter().filter_map(move |name| {
            let count = *names.get(&(is_metric, name.name))?;
            Some(Said {
                name: name.name.to_owned(),
                canonical: name.canonical.to_owned(),
                kind,
                count,
            })
        })
    };
    of(true, METRIC, vocabulary.metrics)
        .chain(of(false, "attribute", vocabulary.attributes))
        .collect()
}

#[cfg(test)]
mod tests {
    use radiosonde_core::catalogue::METRIC_ALIASES;

    use super::*;

    #[test]
    fn no_name_means_two_things() {
        for names in [
            |vocabulary: &Vocabulary| vocabulary.metrics,
            |vocabulary: &Vocabulary| vocabulary.attributes,
        ] {
            let mut known: BTreeMap<&str, Name> = BTreeMap::new();
            for name in VOCABULARIES.iter().flat_map(names) {
                assert!(name.times > 0.0 && !name.name.is_empty());
                assert_eq!(
                    known.insert(name.name, *name),
                    None,
                    "{} is there twice",
                    name.name
                );
            }
            for name in known.values() {
                let canonical = known.get(name.canonical).map(|name| name.canonical);
                assert_eq!(
                    canonical,
                    Some(name.canonical),
                    "{} stands for no canonical name",
                    name.name
                );
            }
        }
    }

    #[test]
    fn a_name_is_found_by_any_other() {
        assert_eq!(
            metric("vllm:num_requests_waiting").unwrap().canonical,
            "queue.depth"
        );
        assert_eq!(
            attribute("llm.token_count.prompt").unwrap().canonical,
            "gen_ai.usage.input_tokens"
        );
        assert_eq!(metric("nobody.knows"), None);
        let names = names_of_metric("http.server.duration");
        assert_eq!(
            names,
            [
                ("http.server.request.duration", 1.0),
                ("http.server.duration", 1e-3)
            ]
        );
        assert_eq!(names_of_attribute("nobody.knows"), [("nobody.knows", 1.0)]);
        let tokens = names_of_attribute("gen_ai.usage.output_tokens");
        assert_eq!(tokens[0].0, "gen_ai.usage.output_tokens");
        assert!(tokens.len() >= 4);
    }

    /// The design notes' names are a table of the library too: the two say the same.
    #[test]
    fn the_design_notes_names_are_those_of_the_library() {
        for alias in METRIC_ALIASES {
            let known = metric(alias.alias).unwrap_or_else(|| panic!("{} is missing", alias.alias));
            let canonical = metric(alias.metric).map_or(alias.metric, |known| known.canonical);
            assert_eq!(known.canonical, canonical, "{}", alias.alias);
            assert!(
                (known.times * alias.times - 1.0).abs() < 1e-12,
                "{}",
                alias.alias
            );
        }
    }

    #[test]
    fn a_report_says_who_speaks_what() {
        let seen = |service: &str, is_metric, name: &str, count| Seen {
            service: service.to_owned(),
            is_metric,
            name: name.to_owned(),
            count,
        };
        let report = report(&[
            seen("chat", false, "llm.token_count.prompt", 3),
            seen("chat", false, "gen_ai.request.model", 2),
            seen("chat", false, "llm.token_count.prompt", 1),
            seen("chat", false, "our.own", 1),
            seen("engine", true, "vllm:num_requests_running", 9),
        ]);
        let [chat, engine] = &report[..] else {
            panic!("{report:?}")
        };
        let of = |speaks: &Speaks| -> Vec<String> {
            let said = |spoken: &Spoken| {
                let names = spoken.names.iter();
                let names =
                    names.map(|said| format!("{}={} x{}", said.name, said.canonical, said.count));
                format!(
                    "{}: {}",
                    spoken.vocabulary,
                    names.collect::<Vec<_>>().join(" ")
                )
            };
            speaks.vocabularies.iter().map(said).collect()
        };
        assert_eq!(
            of(chat),
            [
                "OpenTelemetry GenAI: gen_ai.request.model=gen_ai.request.model x2",
                "OpenInference: llm.token_count.prompt=gen_ai.usage.input_tokens x4"
            ]
        );
        assert_eq!((chat.unknown, engine.unknown), (1, 0));
        assert_eq!(
            of(engine),
            ["vLLM: vllm:num_requests_running=queue.running x9"]
        );
    }
}
