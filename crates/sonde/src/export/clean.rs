//! Answers of the API without secrets: by the rules of the export of OTLP, and what those found wherever else it stands.
//!
//! Invariant: the same text becomes the same text in every answer, so that names which one answer has and another is asked by
//! stay the same.

use std::collections::BTreeSet;

use radiosonde::redact::{REDACTED, Redaction};
use serde_json::{Map, Value};

use super::otlp;

/// A shorter value that is secret by its attribute's name is replaced there alone: it may be any word.
const FOUND_BYTES_MIN: usize = 8;
/// So are words of fewer bytes, but for those with digits in them.
const FOUND_WITH_DIGITS_BYTES_MIN: usize = 6;

/// What replaces secrets, and remembers those that only the name of their attribute gave away.
#[derive(Debug, Default)]
pub struct Cleaner {
    redaction: Redaction,
    found: BTreeSet<String>,
}

impl Cleaner {
    /// Replaces the secrets in an answer.
    pub fn clean(&mut self, answer: &mut Value) {
        self.entry("", answer);
    }

    /// The same for a text that stands by itself.
    pub fn text(&self, text: &str) -> String {
        self.redaction.text(text).into_owned()
    }

    /// Replaces what was found in any answer, also where no name gives it away: in what was computed of it, in words of a log.
    /// `None` where there is nothing of that.
    pub fn scrub(&self, json: &str) -> Option<String> {
        if !self
            .found
            .iter()
            .any(|secret| json.contains(&inside_json(secret)))
        {
            return None;
        }
        let mut answer: Value = serde_json::from_str(json).ok()?;
        self.scrub_value(&mut answer);
        Some(answer.to_string())
    }

    /// The same for a text that stands by itself.
    pub fn scrub_text(&self, text: &str) -> String {
        // The longest first: one may be a part of another.
        let mut found: Vec<&String> = self.found.iter().collect();
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found.into_iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), REDACTED)
        })
    }

    fn scrub_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.scrub_text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.scrub_value(value)),
            Value::Object(entries) => {
                rename(entries, |key| self.scrub_text(key));
                entries
                    .values_mut()
                    .for_each(|value| self.scrub_value(value));
            }
            _ => {}
        }
    }

    /// A value and the name under which it stands; those of lists stand under the list's.
    fn entry(&mut self, key: &str, value: &mut Value) {
        let clean = otlp::scalar(value).and_then(|scalar| self.redaction.attribute(key, scalar));
        if let Some(clean) = clean {
            if clean == REDACTED {
                self.remember(value);
            }
            *value = Value::String(clean);
            return;
        }
        match value {
            Value::Array(values) => self.list(key, values),
            Value::Object(entries) => self.object(entries),
            _ => {}
        }
    }

    /// Of a command line's arguments, those that follow `--password` and the like are secrets.
    fn list(&mut self, key: &str, values: &mut [Value]) {
        let secrets = self.redaction.arguments(values.iter().map(Value::as_str));
        for (value, is_secret) in values.iter_mut().zip(secrets) {
            if is_secret {
                self.remember(value);
                *value = Value::String(REDACTED.to_owned());
            } else {
                self.entry(key, value);
            }
        }
    }

    fn object(&mut self, entries: &mut Map<String, Value>) {
        // Attributes that tell two sides apart have their name beside them.
        let named = entries
            .get("key")
            .and_then(Value::as_str)
            .map(str::to_owned);
        for (key, value) in entries.iter_mut() {
            match (&named, key.as_str()) {
                (Some(name), "value") => self.entry(name, value),
                _ => self.entry(key, value),
            }
        }
        rename(entries, |key| self.redaction.text(key).into_owned());
    }

    fn remember(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let bytes_min = if digits == 0 {
            FOUND_BYTES_MIN
        } else {
            FOUND_WITH_DIGITS_BYTES_MIN
        };
        // Digits alone stand in times and identifiers by chance.
        let is_telling = digits < text.len() && text != REDACTED;
        if is_telling && text.len() >= bytes_min {
            self.found.insert(text);
        }
    }
}

/// Keys as they shall be; most are as they are.
fn rename(entries: &mut Map<String, Value>, name: impl Fn(&str) -> String) {
    if entries.keys().all(|key| name(key) == *key) {
        return;
    }
    *entries = std::mem::take(entries)
        .into_iter()
        .map(|(key, value)| (name(&key), value))
        .collect();
}

/// A text as JSON has it inside of its quotes.
fn inside_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_name_gives_away_is_replaced_there_and_everywhere_else() {
        let mut cleaner = Cleaner::default();
        let mut trace = json!({
            "spans": [{"name": "login sk-1234567890abcdefghij", "tokens_input": 17, "attributes":
                {"db.password": "hunter2\n", "api_key": ["correct-horse"], "user": "ada@example.com", "pin.secret": 123_456}}],
        });
        cleaner.clean(&mut trace);
        let text = trace.to_string();
        for secret in ["sk-123", "hunter2", "correct-horse", "ada@", "123456"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(trace["spans"][0]["tokens_input"], 17);
        let mut lifts = json!([{"key": "db.password", "value": "tr0ub4dor", "words": "it has tr0ub4dor, \"correct-horse\" and hunter2"}]);
        cleaner.clean(&mut lifts);
        assert_eq!(lifts[0]["value"], "[redacted]");
        let clean = cleaner.scrub(&lifts.to_string()).unwrap();
        let words = serde_json::from_str::<Value>(&clean).unwrap()[0]["words"].clone();
        assert_eq!(words, "it has [redacted], \"[redacted]\" and [redacted]");
        assert_eq!(cleaner.scrub(r#"{"words":"nothing"}"#), None);
    }

    #[test]
    fn a_short_word_is_not_taken_for_a_secret_elsewhere() {
        let mut cleaner = Cleaner::default();
        cleaner.clean(&mut json!({"auth_token": "engine", "password": ""}));
        assert_eq!(cleaner.scrub(r#"{"service":"engine"}"#), None);
    }
}
