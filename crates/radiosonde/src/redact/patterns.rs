//! What a secret looks like inside a text.

use std::ops::Range;

use super::names::{self, Sensitivity};

/// Which characters a text has: one look at each byte decides which patterns can match at all, and whether JSON
/// must escape anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits(u64);

const ESCAPE: u64 = 1 << 63;
const AT: u64 = 1 << 62;
const ASSIGN: u64 = 1 << 61;
const DASH: u64 = 1 << 60;
const SPACE: u64 = 1 << 59;
const UNDERSCORE: u64 = 1 << 58;
const DIGIT: u64 = 1 << 57;

/// The traits of one byte.
const fn trait_of(byte: u8) -> u64 {
    match byte {
        b'a'..=b'z' => 1 << (byte - b'a'),
        b'A'..=b'Z' => 1 << (byte - b'A' + 26),
        b'0'..=b'9' => DIGIT,
        b'@' => AT,
        b'=' | b':' => ASSIGN,
        b'-' => DASH,
        b' ' => SPACE,
        b'_' => UNDERSCORE,
        0..=0x1f | b'"' | b'\\' => ESCAPE,
        _ => 0,
    }
}

const TRAITS: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = trait_of(byte as u8);
        byte += 1;
    }
    table
};

const fn all_of(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut traits = 0;
    let mut at = 0;
    while at < bytes.len() {
        traits |= trait_of(bytes[at]);
        at += 1;
    }
    traits
}

/// How the tokens of known providers begin, the fewest bytes they have, and the characters without which there is none.
struct Shape {
    prefix: &'static str,
    bytes_min: usize,
    traits: u64,
}

const fn shape(prefix: &'static str, bytes_min: usize) -> Shape {
    Shape {
        prefix,
        bytes_min,
        traits: all_of(prefix),
    }
}

/// AWS access keys (AWS IAM, unique identifiers), JSON web tokens (RFC 7519: base64 of `{"`), and the documented
/// prefixes of GitHub, GitLab, Slack, OpenAI, Stripe, Google and Hugging Face.
const SHAPES: [Shape; 18] = [
    shape("AKIA", 20),
    shape("ASIA", 20),
    shape("eyJ", 24),
    shape("ghp_", 20),
    shape("gho_", 20),
    shape("ghu_", 20),
    shape("ghs_", 20),
    shape("ghr_", 20),
    shape("github_pat_", 20),
    shape("glpat-", 20),
    shape("xoxb-", 16),
    shape("xoxp-", 16),
    shape("xoxa-", 16),
    shape("sk-", 20),
    shape("sk_live_", 16),
    shape("rk_live_", 16),
    shape("AIza", 35),
    shape("hf_", 20),
];

/// No shape is shorter.
const SHAPE_BYTES_MIN: usize = 16;

const PRIVATE_KEY: &str = "PRIVATE KEY-----";
const PRIVATE_KEY_TRAITS: u64 = all_of(PRIVATE_KEY);

impl Traits {
    /// The traits of `text`.
    #[inline]
    pub(crate) fn of(text: &str) -> Self {
        let mut halves = text.as_bytes().chunks_exact(4);
        let mut traits = [0; 4];
        for four in &mut halves {
            for (sum, &byte) in traits.iter_mut().zip(four) {
                *sum |= TRAITS[usize::from(byte)];
            }
        }
        for &byte in halves.remainder() {
            traits[0] |= TRAITS[usize::from(byte)];
        }
        Self(traits[0] | traits[1] | traits[2] | traits[3])
    }

    /// Whether JSON must escape a character of it.
    #[inline]
    pub(crate) const fn needs_escape(self) -> bool {
        self.0 & ESCAPE != 0
    }

    const fn has(self, traits: u64) -> bool {
        self.0 & traits == traits
    }

    /// `bearer` or `basic` in either case, then a space.
    const fn may_hold_a_scheme(self) -> bool {
        const BEARER: u64 = all_of("bear");
        const BASIC: u64 = all_of("basic");
        let either_case = self.0 | self.0 >> 26;
        self.has(SPACE) && (either_case & BEARER == BEARER || either_case & BASIC == BASIC)
    }

    /// Whether any pattern can match a text of `bytes` bytes.
    #[inline]
    pub(crate) fn may_hold_a_secret(self, bytes: usize) -> bool {
        self.0 & (AT | ASSIGN) != 0
            || self.may_hold_a_scheme()
            || (bytes >= SHAPE_BYTES_MIN && self.has(DIGIT) && self.may_hold_a_shape())
            || self.has(PRIVATE_KEY_TRAITS)
    }

    fn may_hold_a_shape(self) -> bool {
        SHAPES.iter().any(|shape| self.has(shape.traits))
    }
}

/// The secrets in `text`, in order, without overlap.
pub(crate) fn secrets(text: &str, traits: Traits) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if traits.has(AT) {
        connection_strings(text, &mut found);
        addresses(text, &mut found);
    }
    if traits.has(ASSIGN) {
        assignments(text, &mut found);
    }
    if traits.may_hold_a_scheme() {
        schemes(text, &mut found);
    }
    if traits.may_hold_a_shape() {
        shapes(text, &mut found);
    }
    if traits.has(PRIVATE_KEY_TRAITS) {
        private_keys(text, &mut found);
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The length of the prefix of `bytes` for which `keep` is true.
fn run(bytes: &[u8], keep: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|&&byte| keep(byte)).count()
}

/// The length of the suffix of `bytes` for which `keep` is true.
fn run_back(bytes: &[u8], keep: impl Fn(u8) -> bool) -> usize {
    bytes.iter().rev().take_while(|&&byte| keep(byte)).count()
}

/// Characters of base64, base64url, hexadecimal and JSON web tokens.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(
            byte,
            b',' | b';' | b'&' | b'"' | b'\'' | b')' | b']' | b'}' | b'>' | b'<'
        )
}

/// `user:password` in `scheme://user:password@host` (RFC 3986, section 3.2.1).
fn connection_strings(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = &text.as_bytes()[start..];
        let authority = run(rest, |byte| {
            !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'?' | b'#' | b'"')
        });
        if let Some(user) = rest[..authority].iter().rposition(|&byte| byte == b'@') {
            found.push(start..start + user);
        }
    }
}

/// E-mail addresses: the common subset of RFC 5322's addr-spec, and any letters beyond ASCII.
fn addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let is_local = |byte: u8| {
        byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
    };
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'-' | b'.');
    for (at, _) in text.match_indices('@') {
        let local = run_back(&bytes[..at], is_local);
        let host = run(&bytes[at + 1..], is_host);
        let labels = text[at + 1..at + 1 + host].trim_end_matches('.');
        let is_password = found.iter().any(|range| range.end == at);
        if local > 0 && !is_password && labels.contains('.') && !labels.starts_with('.') {
            found.push(at - local..at + 1 + labels.len());
        }
    }
}

/// `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`
fn assignments(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, b'=' | b':') {
            continue;
        }
        let gap = run_back(&bytes[..at], |byte| {
            matches!(byte, b' ' | b'"' | b'\'' | b'\\')
        });
        let name = run_back(&bytes[..at - gap], is_name);
        let sensitivity = names::sensitivity(&text[at - gap - name..at - gap]);
        if sensitivity == Sensitivity::Open {
            continue;
        }
        let mut start = at
            + 1
            + run(&bytes[at + 1..], |byte| {
                matches!(byte, b' ' | b'"' | b'\'' | b'\\')
            });
        let mut length = run(&bytes[start..], |byte| !ends_value(byte));
        for scheme in ["bearer", "basic", "digest", "token"] {
            if text[start..start + length].eq_ignore_ascii_case(scheme) {
                start += length + run(&bytes[start + length..], |byte| byte == b' ');
                length = run(&bytes[start..], |byte| !ends_value(byte));
            }
        }
        // In prose "token:" introduces a word more often than a credential.
        let is_prose =
            sensitivity == Sensitivity::SecretText && start > at + 1 && length < SHAPE_BYTES_MIN;
        if length > 0 && !is_prose {
            found.push(start..start + length);
        }
    }
}

/// `Bearer ...` and `Basic ...` (RFC 6750 section 2.1, RFC 7617).
fn schemes(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices(' ') {
        let start = at + run(&bytes[at..], |byte| byte == b' ');
        let length = run(&bytes[start..], is_token_byte);
        let token = &bytes[start..start + length];
        let word = run_back(&bytes[..at], |byte| byte.is_ascii_alphabetic());
        let scheme = &text[at - word..at];
        let looks_random = token.iter().any(|byte| {
            byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'=' | b'_' | b'+')
        });
        let is_secret = if scheme == "Bearer" || scheme == "BEARER" {
            length >= 4
        } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic") {
            length >= 6 && looks_random
        } else {
            false
        };
        if is_secret {
            found.push(start..start + length);
        }
    }
}

/// Tokens of a known provider.
fn shapes(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for shape in &SHAPES {
        for (at, _) in text.match_indices(shape.prefix) {
            let starts_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
            let length = run(&bytes[at..], is_token_byte);
            if starts_word && length >= shape.bytes_min {
                found.push(at..at + length);
            }
        }
    }
}

/// PEM private keys (RFC 7468), up to their end line or the end of the text.
fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(at) = text[from..].find(PRIVATE_KEY) {
        let start = from + at + PRIVATE_KEY.len();
        let end = text[start..]
            .find("-----END")
            .map_or(text.len(), |at| start + at);
        found.push(start..end);
        from = text[end..]
            .find(PRIVATE_KEY)
            .map_or(text.len(), |at| end + at + PRIVATE_KEY.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        super::super::Redaction::default().text(text).into_owned()
    }

    #[test]
    fn known_shapes_are_replaced_and_their_surroundings_kept() {
        for (dirty, expected) in [
            (
                "connecting to postgres://app:s3cret@db:5432/x",
                "connecting to postgres://[redacted]@db:5432/x",
            ),
            (
                "mail bo.b+x@mail.example.org, please.",
                "mail [redacted], please.",
            ),
            ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"),
            (
                "Authorization: Bearer abc.def-123",
                "Authorization: Bearer [redacted]",
            ),
            ("sent bearer 0123456789", "sent bearer [redacted]"),
            ("basic dXNlcjpwYXNz", "basic [redacted]"),
            (
                "login password=hunter2&next=/",
                "login password=[redacted]&next=/",
            ),
            (
                r#"{"api_key": "k-1", "n": 1}"#,
                r#"{"api_key": "[redacted]", "n": 1}"#,
            ),
            ("token=abc", "token=[redacted]"),
            (
                "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end",
                "jwt [redacted] end",
            ),
            ("hf_abcdefghijklmnopqrstuvwx0", "[redacted]"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- tail",
                "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY----- tail",
            ),
        ] {
            assert_eq!(clean(dirty), expected);
        }
    }

    #[test]
    fn ordinary_text_is_kept() {
        for text in [
            "bearer of bad news, basic understanding",
            "next token: the",
            "loaded 30 blocks in 12:34:56, ratio=0.5",
            "https://example.org/@scope/package",
            "@instrument fn main()",
            "a@b",
            "task-0123456789012345 disk-usage",
            "block.12.attention.query_key_value",
            "Größe: 10 µs @ 3 GHz",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn traits_say_what_json_must_escape() {
        assert!(Traits::of("12345678 \"").needs_escape());
        assert!(Traits::of("a\nb").needs_escape());
        assert!(!Traits::of("plain / text é").needs_escape());
    }
}
