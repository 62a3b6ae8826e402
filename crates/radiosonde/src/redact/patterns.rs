//! What a secret looks like inside a text.

mod values;

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

    /// `--name`, then a space or a list's next text.
    const fn may_hold_an_option(self) -> bool {
        self.has(DASH) && self.0 & (SPACE | ESCAPE) != 0
    }

    /// Whether any pattern can match a text of `bytes` bytes.
    #[inline]
    pub(crate) fn may_hold_a_secret(self, bytes: usize) -> bool {
        self.0 & (AT | ASSIGN) != 0
            || self.may_hold_an_option()
            || self.may_hold_a_scheme()
            || (bytes >= SHAPE_BYTES_MIN && self.has(DIGIT) && self.may_hold_a_shape())
            || self.has(PRIVATE_KEY_TRAITS)
    }

    fn may_hold_a_shape(self) -> bool {
        SHAPES.iter().any(|shape| self.has(shape.traits))
    }
}

/// Of fewer bytes than this, only `sk_live_`, `rk_live_` and what begins with `xox` are shapes.
const MOST_SHAPES_BYTES_MIN: usize = 20;

/// Whether `text` is short and has none of the characters without which short texts have no secret: quicker to tell than all
/// its traits. Of a text that it says no of, nothing is known.
#[inline]
pub(crate) fn is_short_and_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < SHAPE_BYTES_MIN {
        return is_tiny_and_plain(bytes);
    }
    // Blocks that overlap, so that both are looked at as a whole.
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if bytes.len() < MOST_SHAPES_BYTES_MIN => !has_mark(first, last),
        _ => false,
    }
}

/// The least differences of a block's bytes from some bytes: zero where one is among them.
type Nearest = [u8; 16];

/// Whether a byte without which a text of two such blocks has no secret is in one of them: the four of tiny texts, and one of
/// each shape that is this short. Compilers know the least of two times sixteen bytes as one instruction.
#[inline]
fn has_mark(first: &[u8; 16], last: &[u8; 16]) -> bool {
    let mut nearest: Nearest = [u8::MAX; 16];
    for block in [first, last] {
        nearest = nearer(nearest, block, b'@');
        nearest = nearer(nearest, block, b'=');
        nearest = nearer(nearest, block, b':');
        nearest = nearer(nearest, block, b' ');
        nearest = nearer(nearest, block, b'-');
        nearest = nearer(nearest, block, b'v');
    }
    nearest.iter().fold(u8::MAX, |least, &byte| least.min(byte)) == 0
}

#[inline]
fn nearer(nearest: Nearest, block: &[u8; 16], mark: u8) -> Nearest {
    std::array::from_fn(|at| nearest[at].min(block[at] ^ mark))
}

/// The same of a text that is shorter than any shape.
#[inline]
fn is_tiny_and_plain(bytes: &[u8]) -> bool {
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (
            bytes
                .iter()
                .fold(0, |word, &byte| word << 8 | u64::from(byte)),
            0,
        ),
    };
    // A byte is zero where it was the one that is looked for: the highest bit of it is set then, and maybe of those above it
    // (Warren, Hacker's Delight, section 6.1).
    let has = |word: u64, byte: u8| {
        const LOW: u64 = 0x0101_0101_0101_0101;
        let word = word ^ (LOW * u64::from(byte));
        word.wrapping_sub(LOW) & !word & LOW << 7
    };
    let found = |word| has(word, b'@') | has(word, b'=') | has(word, b':') | has(word, b' ');
    found(first) | found(last) == 0
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
    if traits.may_hold_an_option() {
        options(text, &mut found);
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

/// Characters of the names of fields, attributes and options.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Characters of base64, base64url, hexadecimal and JSON web tokens.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

/// `user:password` in `scheme://user:password@host` (RFC 3986, section 3.2.1). A password may have a `/` that was not
/// encoded: then what is before it is no host with a port.
fn connection_strings(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let ends_word = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<');
    // Of the word that was looked at last: where it ends, and its last `@`.
    let (mut word_end, mut word_at) = (0, None);
    let mut done_to = 0;
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        if start < done_to {
            continue;
        }
        if start >= word_end {
            word_end = start + run(&bytes[start..], |byte| !ends_word(byte));
            word_at = bytes[start..word_end]
                .iter()
                .rposition(|&byte| byte == b'@')
                .map(|at| start + at);
        }
        let rest = &bytes[start..word_end];
        let authority = &rest[..run(rest, |byte| !matches!(byte, b'/' | b'?' | b'#'))];
        let user = authority.iter().rposition(|&byte| byte == b'@');
        let end = user.map(|at| start + at).or_else(|| {
            let (_, password) = split_at_byte(authority, b':')?;
            let is_port = password.iter().all(u8::is_ascii_digit);
            word_at.filter(|&at| !is_port && at > start)
        });
        if let Some(end) = end {
            found.push(start..end);
            done_to = end;
        }
    }
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&other| other == byte)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// E-mail addresses: the common subset of RFC 5322's addr-spec, and any letters beyond ASCII. Not where `found`, in order
/// and without overlap, has what is before the `@`.
fn addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let passwords = found.len();
    let is_local = |byte: u8| {
        byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
    };
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'-' | b'.');
    for (at, _) in text.match_indices('@') {
        let local = run_back(&bytes[..at], is_local);
        let host = run(&bytes[at + 1..], is_host);
        let labels = text[at + 1..at + 1 + host].trim_end_matches('.');
        let is_password = found[..passwords]
            .binary_search_by_key(&at, |range| range.end)
            .is_ok();
        if local > 0 && !is_password && labels.contains('.') && !labels.starts_with('.') {
            found.push(at - local..at + 1 + labels.len());
        }
    }
}

/// `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`
fn assignments(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut done_to = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if at < done_to || !matches!(byte, b'=' | b':') {
            continue;
        }
        let gap = run_back(&bytes[..at], |byte| {
            matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\')
        });
        let name = run_back(&bytes[..at - gap], is_name);
        let name = &text[at - gap - name..at - gap];
        let sensitivity = names::sensitivity(name);
        if sensitivity == Sensitivity::Open {
            continue;
        }
        let value = values::after(bytes, at + 1, values::is_header(name));
        // In prose "token:" introduces a word more often than a credential.
        let is_prose = sensitivity == Sensitivity::SecretText
            && value.start > at + 1
            && value.len() < SHAPE_BYTES_MIN;
        if !value.is_empty() && !is_prose {
            done_to = value.end;
            found.push(value);
        }
    }
}

/// What follows `--password` and the like on a command line, or in a list of its arguments.
fn options(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut done_to = 0;
    for (at, mark) in text.match_indices("--") {
        let start = at + mark.len();
        if at < done_to || (at > 0 && !values::ends_value(bytes[at - 1])) {
            continue;
        }
        let end = start + run(&bytes[start..], is_name);
        done_to = end;
        let sensitivity = names::sensitivity(&text[start..end]);
        // `"--password", "..."` too. Where `=` follows, it is an assignment.
        let quote = run(&bytes[end..], |byte| matches!(byte, b'"' | b'\'' | b'\\'));
        let gap = run(&bytes[end + quote..], |byte| {
            byte.is_ascii_whitespace() || byte == b','
        });
        if sensitivity == Sensitivity::Open || gap == 0 {
            continue;
        }
        let value = values::after(bytes, end + quote + gap, false);
        let word = &bytes[value.clone()];
        // The next option; or prose, as in "--token to use".
        let is_none = word.is_empty() || word.starts_with(b"--");
        let is_prose = sensitivity == Sensitivity::SecretText
            && word.len() < SHAPE_BYTES_MIN
            && word.iter().all(u8::is_ascii_lowercase);
        if !is_none && !is_prose {
            done_to = value.end;
            found.push(value);
        }
    }
}

/// `Bearer ...` and `Basic ...` (RFC 6750 section 2.1, RFC 7617).
fn schemes(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices(' ') {
        let word = run_back(&bytes[..at], |byte| byte.is_ascii_alphabetic());
        let scheme = &text[at - word..at];
        let is_exact = scheme == "Bearer" || scheme == "BEARER";
        if !is_exact
            && !scheme.eq_ignore_ascii_case("bearer")
            && !scheme.eq_ignore_ascii_case("basic")
        {
            continue;
        }
        let start = at + run(&bytes[at..], |byte| byte == b' ');
        let length = run(&bytes[start..], is_token_byte);
        let token = &bytes[start..start + length];
        let looks_random = token.iter().any(|byte| {
            byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'=' | b'_' | b'+')
        });
        let is_secret = if is_exact {
            length >= 4
        } else {
            length >= 6 && looks_random
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
        // Where the run of token characters ends that the last match stands in: the next one may stand in it too.
        let mut end = 0;
        for (at, _) in text.match_indices(shape.prefix) {
            let starts_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
            if !starts_word {
                continue;
            }
            if at >= end {
                end = at + run(&bytes[at..], is_token_byte);
            }
            if end - at >= shape.bytes_min {
                found.push(at..end);
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
                "app --token=T0 --password hunter2 --verbose",
                "app --token=[redacted] --password [redacted] --verbose",
            ),
            (
                "login --password 'two words' now",
                "login --password '[redacted]' now",
            ),
            (
                r#"["app", "--api-key", "K1", "--port", "80"]"#,
                r#"["app", "--api-key", "[redacted]", "--port", "80"]"#,
            ),
            (
                "--token to use, --password --x",
                "--token to use, --password --x",
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
    fn of_values_in_quotes_and_with_parts_nothing_is_left() {
        for (dirty, expected) in [
            (
                r#"{"password": "correct horse battery staple", "n": 1}"#,
                r#"{"password": "[redacted]", "n": 1}"#,
            ),
            (
                r#"password="a,b;c&d" next"#,
                r#"password="[redacted]" next"#,
            ),
            (r#"password="a\"b" next"#, r#"password="[redacted]" next"#),
            (
                r#"said {\"password\": \"two words\"} to"#,
                r#"said {\"password\": \"[redacted]\"} to"#,
            ),
            (r#"password: "" next"#, r#"password: "" next"#),
            (
                r#"User { password: "two words" }"#,
                r#"User { password: "[redacted]" }"#,
            ),
            (
                "Cookie: theme=dark; sessionid=38afes7a8\nHost: x",
                "Cookie: [redacted]\nHost: x",
            ),
            (
                r#"{"apiKey":["abc","d]f"], "n": 1}"#,
                r#"{"apiKey":[redacted], "n": 1}"#,
            ),
            (
                "postgres://user:p/ss@host/db",
                "postgres://[redacted]@host/db",
            ),
            ("PGPASSWORD=hunter2", "PGPASSWORD=[redacted]"),
            ("PASSWORD\t=\thunter2", "PASSWORD\t=\t[redacted]"),
            ("password='never closed", "password='[redacted]"),
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
            "https://example.org:8080/@scope/package",
            "@instrument fn main()",
            "a@b",
            "task-0123456789012345 disk-usage",
            "block.12.attention.query_key_value",
            "Größe: 10 µs @ 3 GHz",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    /// Half a megabyte of each; with the square of it this would take minutes.
    #[test]
    fn time_grows_with_the_length_of_a_text_and_no_faster() {
        for repeated in [
            " ",
            "sk-",
            "-eyJ",
            "pwd=",
            "pwd: ",
            "pwd=[",
            "a@",
            "x://a:b",
            "x://a@",
            "x://a:b/",
            "token: ",
            "bearer ",
            "cookie: a;",
            "\\\"",
            "pwd=\"\\",
            "PRIVATE KEY-----",
            "://",
        ] {
            let text = format!("bear {}@", repeated.repeat(500_000 / repeated.len()));
            assert!(clean(&text).len() > 1, "{repeated}");
        }
    }

    #[test]
    fn what_is_short_and_plain_has_no_secret() {
        for text in ["", "a", "softmax", "Qwen2.5-0.5B-It", "\u{e9}t\u{e9}"] {
            assert!(is_short_and_plain(text), "{text}");
        }
        for text in ["sgemm_128x128_nn", "flash_fwd_kernel", "matmul.128x128.f16"] {
            assert!(is_short_and_plain(text), "{text}");
        }
        for mark in ['@', '=', ':', ' '] {
            for length in 1..MOST_SHAPES_BYTES_MIN {
                for at in 0..length {
                    let mut text = "\u{1}".repeat(length);
                    text.replace_range(at..=at, mark.encode_utf8(&mut [0; 4]));
                    assert!(!is_short_and_plain(&text), "{text:?}");
                }
            }
        }
        assert!(!is_short_and_plain(&"x".repeat(MOST_SHAPES_BYTES_MIN)));
    }

    #[test]
    fn no_shape_is_short_and_plain() {
        for shape in SHAPES {
            for length in shape.bytes_min..=MOST_SHAPES_BYTES_MIN {
                for before in ["", "/", "(("] {
                    let token = format!(
                        "{before}{}{}",
                        shape.prefix,
                        "7".repeat(length - shape.prefix.len())
                    );
                    assert!(!is_short_and_plain(&token), "{token}");
                }
            }
        }
    }

    #[test]
    fn traits_say_what_json_must_escape() {
        assert!(Traits::of("12345678 \"").needs_escape());
        assert!(Traits::of("a\nb").needs_escape());
        assert!(!Traits::of("plain / text é").needs_escape());
    }
}
