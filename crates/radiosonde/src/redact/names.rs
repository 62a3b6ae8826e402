//! What an attribute's name says about its value.
//!
//! Names are read word by word (`db.user_password`, `x-api-key`, `accessToken`), so that `tokens_per_second` and
//! `tokenizer` are not taken for a token. Programs that run models write many attributes about tokens of text;
//! only those whose name does not say which kind of model token it is are taken for credentials.

use std::collections::HashMap;

use radiosonde_core::hash::FoldState;

use super::Redaction;

/// Whether values under a name are secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sensitivity {
    /// Not by its name.
    Open,
    /// Text is; a number is not (`token = 17` is a token's number).
    SecretText,
    /// Text and numbers are.
    Secret,
}

/// Names whose sensitivity is remembered; more than that start over.
const REMEMBERED_MAX: usize = 4096;

/// What the names that come again and again say, under one [`Redaction`].
#[derive(Debug, Default)]
pub(crate) struct Sensitivities(HashMap<Box<str>, Sensitivity, FoldState>);

impl Sensitivities {
    /// What `name` says about its values.
    #[inline]
    pub(crate) fn of(&mut self, name: &str, redaction: &Redaction) -> Sensitivity {
        if let Some(&known) = self.0.get(name) {
            return known;
        }
        if self.0.len() == REMEMBERED_MAX {
            self.0.clear();
        }
        let sensitivity = redaction.sensitivity(name);
        self.0.insert(name.into(), sensitivity);
        sensitivity
    }
}

/// Words that make a name secret wherever they stand.
const SECRET_WORDS: [&str; 17] = [
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "secrets",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "jwt",
    "dsn",
];

/// Ends of words that make a name secret: `PGPASSWORD`.
const SECRET_ENDS: [&str; 2] = ["password", "passwd"];

/// Words that make `key` after them secret.
const KEY_WORDS: [&str; 9] = [
    "api",
    "access",
    "secret",
    "private",
    "signing",
    "encryption",
    "account",
    "auth",
    "license",
];

/// Words before `token` that say the token is one of a model's.
const MODEL_TOKEN_WORDS: [&str; 21] = [
    "input",
    "output",
    "prompt",
    "completion",
    "next",
    "last",
    "first",
    "stop",
    "eos",
    "bos",
    "pad",
    "unk",
    "special",
    "generated",
    "sampled",
    "per",
    "cached",
    "draft",
    "to",
    "vocab",
    "text",
];

/// Longest word looked at, in bytes; a longer one is none of ours.
const WORD_BYTES_MAX: usize = 16;

/// What `name` says about the values under it.
pub(crate) fn sensitivity(name: &str) -> Sensitivity {
    let mut previous = Word::default();
    let mut last = Word::default();
    for word in words(name) {
        if SECRET_WORDS.contains(&word.text())
            || SECRET_ENDS.iter().any(|end| word.text().ends_with(end))
            || (word.text() == "key" && KEY_WORDS.contains(&last.text()))
        {
            return Sensitivity::Secret;
        }
        previous = last;
        last = word;
    }
    if last.text() == "token" && !MODEL_TOKEN_WORDS.contains(&previous.text()) {
        Sensitivity::SecretText
    } else {
        Sensitivity::Open
    }
}

/// One word of a name in lower case.
#[derive(Clone, Copy, Default)]
struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    length: usize,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte.to_ascii_lowercase();
        }
        self.length += 1;
    }

    fn text(&self) -> &str {
        self.bytes
            .get(..self.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

/// Words are runs of letters; `accessToken` and `APIKey` are two words each.
fn words(name: &str) -> impl Iterator<Item = Word> {
    let bytes = name.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !bytes[at].is_ascii_alphabetic() {
            at += 1;
        }
        let start = at;
        let mut word = Word::default();
        while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
            let after_lower = at > start && bytes[at - 1].is_ascii_lowercase();
            let before_lower = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            if at > start && bytes[at].is_ascii_uppercase() && (after_lower || before_lower) {
                break;
            }
            word.push(bytes[at]);
            at += 1;
        }
        (at > start).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_found_word_by_word() {
        for name in [
            "password",
            "db.password",
            "userPassword",
            "DB_PASSWD",
            "client_secret",
            "http.request.header.authorization",
            "proxy-authorization",
            "api_key",
            "x-api-key",
            "APIKey",
            "apikey",
            "aws.secret_access_key",
            "set-cookie",
            "PGPASSWORD",
        ] {
            assert_eq!(sensitivity(name), Sensitivity::Secret, "{name}");
        }
        for name in [
            "token",
            "access_token",
            "refreshToken",
            "x-auth-token",
            "hub.token",
        ] {
            assert_eq!(sensitivity(name), Sensitivity::SecretText, "{name}");
        }
    }

    #[test]
    fn a_models_tokens_and_other_keys_are_open() {
        for name in [
            "tokens",
            "gen_ai.usage.input_tokens",
            "next_token",
            "tokenizer.name",
            "time_to_first_token",
            "gen_ai.token.type",
            "key",
            "cache.key",
            "keyboard",
            "passenger",
            "",
            "é",
            "an_extraordinarily_long_word_like_counterrevolutionarypassword",
        ] {
            assert_eq!(sensitivity(name), Sensitivity::Open, "{name}");
        }
    }
}
