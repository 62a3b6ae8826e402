//! Which spans, logs and events are recorded: `RUST_LOG` syntax, changeable while the program runs.
//!
//! Directives are separated by commas:
//!
//! | directive | meaning |
//! |---|---|
//! | `info` | everything up to that level: `off`, `error`, `warn`, `info`, `debug`, `trace`, or 0 to 5 |
//! | `my_crate::module=debug` | targets that begin so, up to that level |
//! | `my_crate` | targets that begin so, at every level |
//! | `[request]=debug` | spans of that name, and whatever happens inside them up to that level |
//! | `my_crate[request{user="ann"}]=trace` | the same, where the span's target and its fields fit |
//! | `[{tokens}]=debug` | spans and events that have such a field, and what happens inside those spans |
//!
//! The most specific directive decides: longer target first, then more fields. Of two with the same place the later
//! wins. What no directive mentions is off; a filter without directives is `error`. This is what
//! tracing-subscriber's `EnvFilter` documents, and a test holds both side by side. The one difference: a field's value
//! is compared as text, where `*` (or `.*`) stands for any run of characters, instead of as a regular expression.
//!
//! A bare word that is a level but for one letter, or for their order (`RUST_LOG=inof`), is a target all the same:
//! [`Filter::doubts`] says so, because nothing that is recorded could.
//!
//! Directives on spans only ever enable more, never less. They are the only reason for a callsite to be asked again
//! at each use; without them every callsite is decided once.

mod active;
mod directive;
mod level;

use std::{fmt, str::FromStr};

use tracing_core::{Interest, Level, LevelFilter, Metadata};

#[doc(hidden)]
pub use self::active::{
    span_closed, span_created, span_entered, span_exited, span_recorded, watches_spans,
};
use self::directive::Directive;
pub use self::{
    active::{allows, current, enabled, generation, interest, max_level_hint, on_change, set},
    directive::FilterError,
};

/// A set of directives. See the module for their syntax and meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Decided by the callsite alone; the most specific first.
    statics: Vec<Directive>,
    /// Match spans and enable what happens inside.
    dynamics: Vec<Directive>,
    /// As written, in order, for [`Display`](fmt::Display).
    written: Vec<Directive>,
}

impl Default for Filter {
    /// `info`.
    fn default() -> Self {
        Self::new(vec![Directive::everything(LevelFilter::INFO)])
    }
}

impl From<LevelFilter> for Filter {
    fn from(level: LevelFilter) -> Self {
        Self::new(vec![Directive::everything(level)])
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, directive) in self.written.iter().enumerate() {
            write!(f, "{}{directive}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Filter {
    fn new(mut directives: Vec<Directive>) -> Self {
        if directives.is_empty() {
            directives.push(Directive::everything(LevelFilter::ERROR));
        }
        let mut filter = Self {
            statics: Vec::new(),
            dynamics: Vec::new(),
            written: Vec::new(),
        };
        for directive in directives {
            if directive.is_static() {
                insert(&mut filter.statics, &directive);
            }
            if directive.is_dynamic() && directive.level != LevelFilter::OFF {
                insert(&mut filter.dynamics, &directive);
            }
            filter.written.retain(|other| !other.same_place(&directive));
            filter.written.push(directive);
        }
        filter
    }

    /// Reads directives; the first one that is wrong is the error.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        directive::split(text)
            .map(|(begin, piece)| directive::parse(text, begin, piece))
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
    }

    /// Reads directives and keeps the good ones beside what is wrong with the others.
    pub fn parse_lossy(text: &str) -> (Self, Vec<FilterError>) {
        let mut errors = Vec::new();
        let directives = directive::split(text)
            .filter_map(|(begin, piece)| {
                directive::parse(text, begin, piece)
                    .map_err(|error| errors.push(error))
                    .ok()
            })
            .collect();
        (Self::new(directives), errors)
    }

    /// What was probably meant otherwise, a sentence each: bare words that are nearly a level.
    pub fn doubts(&self) -> Vec<String> {
        self.written
            .iter()
            .filter_map(Directive::level_meant)
            .map(|(word, level)| {
                format!(
                    "filter directive `{word}` is no level, so it stands for the targets that begin so: did you mean `{level}`? \
                     Write `{word}=trace` where it is a target"
                )
            })
            .collect()
    }

    /// Whether a callsite is always, never, or sometimes recorded; sometimes only where a directive on spans could
    /// enable what the others do not.
    pub fn interest(&self, metadata: &Metadata<'_>) -> Interest {
        if self.watches(metadata) || self.admits(metadata) {
            Interest::always()
        } else if self.dynamic_level() >= *metadata.level() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    /// Whether a callsite is recorded where the spans around it enable `inside` (`OFF` outside of any such span).
    pub fn enabled(&self, metadata: &Metadata<'_>, inside: LevelFilter) -> bool {
        inside >= *metadata.level() || self.watches(metadata) || self.admits(metadata)
    }

    /// Whether something without a callsite (a typed event, a record of the `log` crate) is recorded, where the spans
    /// around it enable `inside`.
    pub fn allows(&self, target: &str, level: Level, inside: LevelFilter) -> bool {
        inside >= level
            || self
                .statics
                .iter()
                .find(|directive| directive.fields.is_empty() && directive.matches_target(target))
                .is_some_and(|directive| directive.admits(level))
    }

    /// The finest level that anything can be recorded at.
    pub fn max_level_hint(&self) -> LevelFilter {
        if self.dynamics.is_empty() {
            self.statics
                .iter()
                .map(|directive| directive.level)
                .max()
                .unwrap_or(LevelFilter::OFF)
        } else {
            // A span that a directive names is recorded whatever its own level.
            LevelFilter::TRACE
        }
    }

    /// The finest level that something without a callsite can be recorded at.
    pub fn max_level_without_callsite(&self) -> LevelFilter {
        let statics = self.statics.iter().map(|directive| directive.level).max();
        statics
            .unwrap_or(LevelFilter::OFF)
            .max(self.dynamic_level())
    }

    /// Whether any directive follows spans.
    pub const fn has_span_directives(&self) -> bool {
        !self.dynamics.is_empty()
    }

    /// Whether the callsites alone admit it.
    fn admits(&self, metadata: &Metadata<'_>) -> bool {
        self.statics
            .iter()
            .find(|directive| directive.matches_callsite(metadata))
            .is_some_and(|directive| directive.admits(*metadata.level()))
    }

    /// Whether it is a span that a directive follows; such a span is always recorded.
    fn watches(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && self.watching(metadata).next().is_some()
    }

    fn watching<'a>(&'a self, metadata: &'a Metadata<'_>) -> impl Iterator<Item = &'a Directive> {
        self.dynamics
            .iter()
            .filter(move |directive| directive.matches_callsite(metadata))
    }

    fn dynamic_level(&self) -> LevelFilter {
        self.dynamics
            .iter()
            .map(|directive| directive.level)
            .max()
            .unwrap_or(LevelFilter::OFF)
    }
}

/// Puts `directive` before the first less specific one, in place of one that matches the same.
fn insert(directives: &mut Vec<Directive>, directive: &Directive) {
    directives.retain(|other| !other.same_place(directive));
    let at = directives
        .iter()
        .position(|other| other.specificity() < directive.specificity())
        .unwrap_or(directives.len());
    directives.insert(at, directive.clone());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tracing_core::{field::FieldSet, identify_callsite, metadata::Kind};
    use tracing_subscriber::{EnvFilter, Registry};

    use super::*;

    struct Anywhere;
    impl tracing_core::Callsite for Anywhere {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("nobody asks a test's callsite for its metadata")
        }
    }
    static ANYWHERE: Anywhere = Anywhere;

    fn metadata(target: &'static str, level: Level, kind: Kind) -> Metadata<'static> {
        let fields = FieldSet::new(&["message", "user"], identify_callsite!(&ANYWHERE));
        Metadata::new("request", target, level, None, None, None, fields, kind)
    }

    fn interest_in(filter: &str, target: &'static str, level: Level, kind: Kind) -> Interest {
        Filter::parse(filter)
            .unwrap()
            .interest(&metadata(target, level, kind))
    }

    #[test]
    fn the_most_specific_directive_decides() {
        let filter = "warn,my_crate=debug,my_crate::noisy=off,my_crate::noisy[{user}]=info";
        for (target, level, recorded) in [
            ("other", Level::INFO, false),
            ("other", Level::WARN, true),
            ("my_crate::module", Level::DEBUG, true),
            ("my_crate::module", Level::TRACE, false),
            ("my_crate::noisy", Level::INFO, true),
            ("my_crate::noisy", Level::DEBUG, false),
        ] {
            let filter = Filter::parse(filter).unwrap();
            let metadata = metadata(target, level, Kind::EVENT);
            assert_eq!(
                filter.enabled(&metadata, LevelFilter::OFF),
                recorded,
                "{target} {level}"
            );
        }
    }

    #[test]
    fn only_directives_on_spans_make_a_callsite_be_asked_again() {
        assert!(interest_in("info", "a", Level::DEBUG, Kind::EVENT).is_never());
        assert!(interest_in("info", "a", Level::INFO, Kind::EVENT).is_always());
        assert!(interest_in("info,[request]=debug", "a", Level::DEBUG, Kind::EVENT).is_sometimes());
        assert!(interest_in("info,[request]=debug", "a", Level::TRACE, Kind::EVENT).is_never());
        assert!(interest_in("info,[request]=debug", "a", Level::INFO, Kind::EVENT).is_always());
        assert!(interest_in("off,[request]=debug", "a", Level::TRACE, Kind::SPAN).is_always());
        assert!(interest_in("off,b[request]=debug", "a", Level::TRACE, Kind::SPAN).is_never());
        assert!(interest_in("off,[request]=off", "a", Level::ERROR, Kind::SPAN).is_never());
        assert!(interest_in("off,[{absent}]=info", "a", Level::ERROR, Kind::EVENT).is_sometimes());
    }

    #[test]
    fn defaults_and_hints() {
        assert_eq!(Filter::parse("").unwrap(), Filter::from(LevelFilter::ERROR));
        assert_eq!(Filter::default().to_string(), "info");
        let hint = |text: &str| Filter::parse(text).unwrap().max_level_hint();
        assert_eq!(hint("warn,a=debug"), LevelFilter::DEBUG);
        assert_eq!(hint("off"), LevelFilter::OFF);
        assert_eq!(hint("off,[a]=info"), LevelFilter::TRACE);
        let filter = Filter::parse("warn,metrics=off,[{user}]=trace").unwrap();
        assert!(!filter.allows("metrics", Level::ERROR, LevelFilter::OFF));
        assert!(filter.allows("metrics", Level::DEBUG, LevelFilter::DEBUG));
        assert!(filter.allows("log_user", Level::WARN, LevelFilter::OFF));
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in [
            "info",
            "warn,my_crate=debug",
            "a::b[request{n=\"5\",user=\"a\\\"b\\\\c,}]\"}]=trace,[{user}]=info",
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter.to_string(), text);
            assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_place_and_mend() {
        let errors: Vec<String> = [
            "info,my_crate=inof",
            "my_crate=debug;other=info",
            "info debug",
            "foo=warn, bar[request=info",
            "a[request{user=\"ann]=info",
            "a[{user]=info",
            "a[]=info",
            "a[x]info",
            "a[{}]=info",
            "a[{user=}]=info",
            "=info",
            "a]=info",
            "é=nope",
            "my_crate=verbose",
        ]
        .into_iter()
        .map(|text| Filter::parse(text).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        filter directive `my_crate=inof`, column 15: `inof` is not a level (did you mean `info`?); levels are off, error, warn, info, debug, trace, or 0 to 5
        filter directive `my_crate=debug;other=info`, column 15: `debug;other=info` is not a level; separate directives by commas
        filter directive `info debug`, column 5: a target holds no space; separate directives by commas
        filter directive `bar[request=info`, column 14: `[` is not closed; add `]`
        filter directive `a[request{user="ann]=info`, column 2: a quote is not closed; add `"`
        filter directive `a[{user]=info`, column 3: `{` is not closed; add `}`
        filter directive `a[]=info`, column 2: `[]` names nothing; write `[span]` or `[{field}]`
        filter directive `a[x]info`, column 5: `info` stands after `]`; write `=level` there
        filter directive `a[{}]=info`, column 4: a field name is missing; write `{field}` or `{field=value}`
        filter directive `a[{user=}]=info`, column 4: field `user` has no value after `=`; write `{user}` for any value
        filter directive `=info`, column 1: a target is missing before `=`; write `target=level`, or only the level
        filter directive `a]=info`, column 2: `]` without `[`; a span is written `target[span{field=value}]=level`
        filter directive `é=nope`, column 3: `nope` is not a level; levels are off, error, warn, info, debug, trace, or 0 to 5
        filter directive `my_crate=verbose`, column 10: `verbose` is not a level; levels are off, error, warn, info, debug, trace, or 0 to 5
        "#);
    }

    #[test]
    fn a_bare_word_that_is_nearly_a_level_is_doubted() {
        let doubts = |text: &str| Filter::parse(text).unwrap().doubts();
        for (word, level) in [
            ("inof", "info"),
            ("INFOO", "info"),
            ("degub", "debug"),
            ("warm", "warn"),
            ("eror", "error"), // spelling: ignore
            ("of", "off"),
        ] {
            let said = doubts(&format!("warn,{word}"));
            let mend = format!("`{level}`? Write `{word}=trace` where");
            assert!(said.len() == 1 && said[0].contains(&mend), "{said:?}");
        }
        for text in [
            "info",
            "WARN",
            "3",
            "inof=trace",
            "[inof]",
            "inof[{user}]",
            "tokio",
            "inof::x",
            "",
        ] {
            assert_eq!(doubts(text), [""; 0], "{text}");
        }
        assert_eq!(Filter::parse("warn,inof").unwrap().to_string(), "warn,inof");
    }

    #[test]
    fn a_lossy_reading_keeps_what_is_good() {
        let (filter, errors) = Filter::parse_lossy("info,a=lots,b=debug,,c[");
        assert_eq!(filter.to_string(), "info,b=debug");
        let places: Vec<_> = errors.iter().map(|e| (e.directive(), e.column())).collect();
        assert_eq!(places, [("a=lots", 8), ("c[", 23)]);
    }

    const TARGETS: [&str; 6] = ["a", "ab", "a::b", "a::b::c", "metrics", "b"];
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// A directive without span names and values, as (target, has a field, level).
    type Plain = (Option<usize>, bool, usize);

    fn plain() -> impl Strategy<Value = Vec<Plain>> {
        let one = (
            proptest::option::of(0..TARGETS.len()),
            any::<bool>(),
            0..LEVELS.len(),
        );
        proptest::collection::vec(one, 0..6)
    }

    fn written(directives: &[Plain]) -> String {
        let texts: Vec<String> = directives
            .iter()
            .map(|&(target, field, level)| {
                let target = target.map_or("", |target| TARGETS[target]);
                let field = if field { "[{user}]" } else { "" };
                let equals = if target.is_empty() && field.is_empty() {
                    ""
                } else {
                    "="
                };
                format!("{target}{field}{equals}{}", LEVELS[level])
            })
            .collect();
        texts.join(",")
    }

    /// The meaning of directives said plainly: of those that fit, the best by target length, then field, then place.
    fn naive(directives: &[Plain], target: &str, level: Level) -> bool {
        let fits = |&(_, &(prefix, _, _)): &(usize, &Plain)| {
            prefix.is_none_or(|prefix| target.starts_with(TARGETS[prefix]))
        };
        let best = directives.iter().enumerate().filter(fits).max_by_key(
            |&(place, &(prefix, field, _))| {
                (prefix.map(|prefix| TARGETS[prefix].len()), field, place)
            },
        );
        match best {
            Some((_, &(_, _, best))) => LEVELS[best].parse::<LevelFilter>().unwrap() >= level,
            None => directives.is_empty() && level == Level::ERROR,
        }
    }

    #[test]
    fn an_error_behind_blanks_points_at_its_own_place() {
        let columns = |text: &str| -> Vec<usize> {
            let (_, errors) = Filter::parse_lossy(text);
            errors.iter().map(FilterError::column).collect()
        };
        assert_eq!(columns("a= é="), [5]);
        assert_eq!(columns("a=  info;b"), [9]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

        #[test]
        fn directives_mean_what_the_model_and_env_filter_say(directives in plain()) {
            let text = written(&directives);
            let ours = Filter::parse(&text).unwrap();
            let theirs = EnvFilter::builder()
                .with_default_directive(LevelFilter::ERROR.into())
                .parse(&text)
                .unwrap();
            for target in TARGETS {
                for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                    let event: &'static Metadata<'static> =
                        Box::leak(Box::new(metadata(target, level, Kind::EVENT)));
                    let recorded = ours.enabled(event, LevelFilter::OFF);
                    prop_assert_eq!(recorded, naive(&directives, target, level), "{} {} {}", text, target, level);
                    let theirs = <EnvFilter as tracing_subscriber::layer::Filter<Registry>>::callsite_enabled(&theirs, event);
                    prop_assert_eq!(recorded, theirs.is_always(), "{} {} {}", text, target, level);
                    let interest = ours.interest(event);
                    prop_assert_eq!(interest.is_always(), recorded);
                    prop_assert!(!interest.is_sometimes() || text.contains("user"));
                }
            }
        }

        #[test]
        fn no_text_panics_and_errors_point_into_it(text in "[a-z=\\[\\]{},\"\\\\* é:;0-9]{0,40}") {
            let (filter, errors) = Filter::parse_lossy(&text);
            prop_assert_eq!(errors.is_empty(), Filter::parse(&text).is_ok());
            for error in errors {
                prop_assert!(error.column() >= 1 && error.column() <= text.chars().count() + 1);
                prop_assert!(text.contains(error.directive()));
            }
            prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        }
    }
}
