//! Secrets are replaced before anything leaves the process: attribute values by the attribute's name, and what
//! looks like a secret inside any text. Names that code gives are looked at where a value may make them, in `otel.name`; those
//! of events, metrics, labels and targets are taken to be names.
//!
//! Invariant: what is replaced never reaches an exporter's bytes, not even in part. Text without a secret is
//! borrowed, never copied; `Traits` of a text rule most texts out before any pattern is tried.

mod labels;
mod names;
mod patterns;

use std::borrow::Cow;

use radiosonde_core::{
    ValueRef,
    model::{Attributes, Record, Status, Value},
};

pub(crate) use labels::snapshot;
pub(crate) use names::{Sensitivities, Sensitivity};
pub(crate) use patterns::Traits;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Which values are secrets. The default knows passwords, tokens, API and access keys, authorization headers,
/// credentials in connection strings, e-mail addresses, private keys and the token shapes of common providers.
#[derive(Clone, Debug)]
pub struct Redaction {
    on: bool,
    hidden: Vec<String>,
    shown: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            on: true,
            hidden: Vec::new(),
            shown: Vec::new(),
        }
    }
}

impl Redaction {
    /// Replaces nothing.
    pub const fn off() -> Self {
        Self {
            on: false,
            hidden: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// Replaces the value of every attribute called `name`, whatever it holds.
    #[must_use]
    pub fn hide(mut self, name: impl Into<String>) -> Self {
        self.hidden.push(name.into());
        self
    }

    /// Keeps the value of every attribute called `name`, although its name sounds like a secret. Secrets of a known
    /// shape inside the value are replaced still.
    #[must_use]
    pub fn show(mut self, name: impl Into<String>) -> Self {
        self.shown.push(name.into());
        self
    }

    /// Whether anything is replaced at all.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// What the name of an attribute says about its value.
    pub(crate) fn sensitivity(&self, name: &str) -> Sensitivity {
        if !self.on || self.shown.iter().any(|shown| shown == name) {
            Sensitivity::Open
        } else if self.hidden.iter().any(|hidden| hidden == name) {
            Sensitivity::Secret
        } else {
            names::sensitivity(name)
        }
    }

    /// What to write in place of the attribute's value, or `None` to write the value itself.
    pub fn attribute(&self, name: &str, value: ValueRef<'_>) -> Option<String> {
        self.replacement(self.sensitivity(name), value)
            .map(Cow::into_owned)
    }

    /// The same, where it is known what the name says.
    #[inline]
    pub(crate) fn replacement(
        &self,
        sensitivity: Sensitivity,
        value: ValueRef<'_>,
    ) -> Option<Cow<'static, str>> {
        match value {
            ValueRef::Bool(_) => None,
            ValueRef::Str(_) if sensitivity != Sensitivity::Open => Some(Cow::Borrowed(REDACTED)),
            ValueRef::Str(text) => match self.text(text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(clean) => Some(Cow::Owned(clean)),
            },
            _ => (sensitivity == Sensitivity::Secret).then_some(Cow::Borrowed(REDACTED)),
        }
    }

    /// `text` without secrets of a known shape; borrowed where it has none.
    #[inline]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.on || patterns::is_short_and_plain(text) {
            Cow::Borrowed(text)
        } else {
            self.text_with(text, Traits::of(text))
        }
    }

    /// The same, where the traits of `text` are known already.
    pub(crate) fn text_with<'t>(&self, text: &'t str, traits: Traits) -> Cow<'t, str> {
        if !self.on || !traits.may_hold_a_secret(text.len()) {
            return Cow::Borrowed(text);
        }
        let secrets = patterns::secrets(text, traits);
        if secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut clean = String::with_capacity(text.len());
        let mut kept_to = 0;
        for secret in secrets {
            clean.push_str(&text[kept_to..secret.start]);
            clean.push_str(REDACTED);
            kept_to = secret.end;
        }
        clean.push_str(&text[kept_to..]);
        Cow::Owned(clean)
    }

    /// Replaces the secrets in a value that is owned, for the attribute called `name`.
    pub fn value(&self, name: &str, value: &mut Value) {
        match (self.sensitivity(name), &mut *value) {
            (_, Value::Null | Value::Bool(_)) => {}
            (Sensitivity::Secret, _) | (Sensitivity::SecretText, Value::Str(_)) => {
                *value = Value::Str(Cow::Borrowed(REDACTED));
            }
            (_, Value::Str(text)) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = Cow::Owned(clean);
                }
            }
            (_, Value::List(values)) => self.list(name, values),
            (_, Value::Map(entries)) => self.attributes(entries),
            (_, Value::I64(_) | Value::U64(_) | Value::F64(_)) => {}
        }
    }

    /// A list's values are of its name; those of a command line also of the option before them.
    fn list(&self, name: &str, values: &mut [Value]) {
        let secrets = self.arguments(values.iter().map(|value| match value {
            Value::Str(text) => Some(text.as_ref()),
            _ => None,
        }));
        for (value, is_secret) in values.iter_mut().zip(secrets) {
            if is_secret {
                *value = Value::Str(Cow::Borrowed(REDACTED));
            } else {
                self.value(name, value);
            }
        }
    }

    /// Of each value of a list (`None`: no text), whether it is a secret by what is before it, as on a command line: what
    /// follows `--password` and the like.
    pub fn arguments<'t>(&self, texts: impl Iterator<Item = Option<&'t str>>) -> Vec<bool> {
        let mut arguments = Arguments::default();
        texts.map(|text| arguments.is_secret(text, self)).collect()
    }

    /// Replaces the secrets in attributes that are owned.
    pub fn attributes(&self, attributes: &mut Attributes) {
        for (name, value) in attributes {
            self.value(name, value);
        }
    }

    /// Replaces the secrets in a record that is owned.
    pub fn record(&self, record: &mut Record) {
        let clean = |text: &mut Cow<'static, str>| {
            if let Cow::Owned(clean) = self.text(text) {
                *text = Cow::Owned(clean);
            }
        };
        match record {
            Record::Span(span) => {
                clean(&mut span.name);
                if let Status::Error(message) = &mut span.status {
                    clean(message);
                }
                span.correlation_id.iter_mut().for_each(clean);
                self.attributes(&mut span.attributes);
            }
            Record::Log(log) => {
                clean(&mut log.message);
                log.correlation_id.iter_mut().for_each(clean);
                self.attributes(&mut log.attributes);
            }
            Record::Event(event) => {
                event.correlation_id.iter_mut().for_each(clean);
                self.attributes(&mut event.data);
            }
        }
    }
}

/// What is known of the next value of a list by those before it. The one place where lists are looked at, for all that
/// leaves.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    follows_option: bool,
}

impl Arguments {
    /// Whether the next value, whose text is `text`, is a secret by what is before it.
    #[inline]
    pub(crate) fn is_secret(&mut self, text: Option<&str>, redaction: &Redaction) -> bool {
        let option = text.and_then(|text| text.strip_prefix("--"));
        let is_secret = self.follows_option && text.is_some() && option.is_none();
        self.follows_option = option.is_some_and(|option| {
            !option.contains('=') && redaction.sensitivity(option) != Sensitivity::Open
        });
        is_secret
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_judged_by_name_and_by_content() {
        let redaction = Redaction::default();
        let text = |name, text| redaction.attribute(name, ValueRef::Str(text));
        assert_eq!(text("db.password", "hunter2").as_deref(), Some(REDACTED));
        assert_eq!(
            redaction
                .attribute("pin.password", ValueRef::U64(1234))
                .as_deref(),
            Some(REDACTED)
        );
        assert_eq!(
            redaction.attribute("has_password", ValueRef::Bool(true)),
            None
        );
        assert_eq!(redaction.attribute("token", ValueRef::U64(7)), None);
        assert_eq!(text("peer", "nobody in particular"), None);
        assert_eq!(
            text("peer", "amqp://app:s3cret@queue:5672/jobs").as_deref(),
            Some("amqp://[redacted]@queue:5672/jobs")
        );
    }

    #[test]
    fn names_can_be_hidden_and_shown() {
        let redaction = Redaction::default().hide("user.nickname").show("token");
        assert!(
            redaction
                .attribute("user.nickname", ValueRef::Str("Bo"))
                .is_some()
        );
        assert!(
            redaction
                .attribute("user.nickname", ValueRef::F64(1.0))
                .is_some()
        );
        assert_eq!(redaction.attribute("token", ValueRef::Str(" the")), None);
        let off = Redaction::off();
        assert_eq!(off.attribute("password", ValueRef::Str("x")), None);
        assert_eq!(off.text("a@b.example"), "a@b.example");
    }

    #[test]
    fn owned_values_are_cleaned_in_depth() {
        let mut value = Value::Map(vec![
            ("api_key".into(), "abc".into()),
            (
                "notes".into(),
                Value::List(vec![
                    "mail bo@example.org".into(),
                    Value::U64(3),
                    "--api-key".into(),
                    "K1".into(),
                    "--port".into(),
                    "80".into(),
                ]),
            ),
        ]);
        Redaction::default().value("request", &mut value);
        assert_eq!(
            value.to_string(),
            "{api_key: [redacted], notes: [mail [redacted], 3, --api-key, [redacted], --port, 80]}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_secret_never_survives_whatever_surrounds_it(
            before in "[a-z é:=,\"]{0,12}", after in "[ ,;\"][a-z é:=@]{0,12}",
        ) {
            let redaction = Redaction::default();
            for secret in ["AKIAIOSFODNN7EXAMPLE", "Bearer abc123def456", "x://u:hunter2@h", "someone@example.org"] {
                let clean = redaction.text(&format!("{before} {secret}{after}")).into_owned();
                prop_assert!(!clean.contains(secret), "{clean}");
                prop_assert!(!clean.contains("hunter2") && !clean.contains("abc123def456"), "{clean}");
            }
        }

        #[test]
        fn arbitrary_text_never_panics_and_is_clean_after_one_pass(text in "\\PC{0,80}") {
            let redaction = Redaction::default();
            let once = redaction.text(&text).into_owned();
            let twice = redaction.text(&once).into_owned();
            prop_assert!(twice.matches(REDACTED).count() >= once.matches(REDACTED).count());
        }
    }
}
