//! How far the value goes that follows a name and `=` or `:`.

use std::ops::Range;

use super::run;

/// Whether values of `name` are those of an HTTP header: they may have several parts and end with their line.
pub(super) fn is_header(name: &str) -> bool {
    [
        "cookie",
        "set-cookie",
        "authorization",
        "proxy-authorization",
    ]
    .iter()
    .any(|header| name.eq_ignore_ascii_case(header))
}

/// The value that begins at `from`, behind blanks: text in quotes up to the quote that ends it, a list or map up to the
/// bracket that closes it, anything else up to a blank or a mark. What is not closed goes to the end.
pub(super) fn after(bytes: &[u8], from: usize, is_header: bool) -> Range<usize> {
    let start = from + run(&bytes[from..], is_blank);
    let escapes = run(&bytes[start..], |byte| byte == b'\\');
    match bytes.get(start + escapes) {
        Some(&quote @ (b'"' | b'\'')) => {
            let start = start + escapes + 1;
            let end = quoted(bytes, start, quote, escapes > 0);
            behind_scheme(bytes, start..end)
        }
        Some(b'[' | b'{') if escapes == 0 => start..closed(bytes, start),
        _ if is_header => header(bytes, start),
        _ => plain(bytes, behind_scheme(bytes, start..bytes.len()).start),
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a value without quotes ends before this byte.
pub(super) const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(
            byte,
            b',' | b';' | b'&' | b'"' | b'\'' | b')' | b']' | b'}' | b'>' | b'<'
        )
}

fn plain(bytes: &[u8], start: usize) -> Range<usize> {
    start..start + run(&bytes[start..], |byte| !ends_value(byte))
}

/// A header's value: the credential behind its scheme; all of the line where it has several parts.
fn header(bytes: &[u8], start: usize) -> Range<usize> {
    let line = |ends: &[u8]| start + run(&bytes[start..], |byte| !ends.contains(&byte));
    if starts_with(&bytes[start..], b"digest ") {
        return start..line(b"\r\n");
    }
    let value = plain(bytes, behind_scheme(bytes, start..bytes.len()).start);
    // `a=1; b=2` goes on; the end of a sentence does not.
    if value.start == start && bytes.get(value.end) == Some(&b';') {
        start..line(b"\r\n\"'")
    } else {
        value
    }
}

fn starts_with(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// `value` without the scheme of HTTP's authorization before it (RFC 9110, section 11.4).
fn behind_scheme(bytes: &[u8], value: Range<usize>) -> Range<usize> {
    let text = &bytes[value.clone()];
    for scheme in [&b"bearer"[..], b"basic", b"digest", b"token"] {
        if starts_with(text, scheme) && text.get(scheme.len()).is_some_and(|&byte| is_blank(byte)) {
            let behind = scheme.len() + run(&text[scheme.len()..], is_blank);
            return value.start + behind..value.end;
        }
    }
    value
}

/// Where the text ends that began at `start`, behind `quote`, which was itself escaped or not.
fn quoted(bytes: &[u8], start: usize, quote: u8, is_escaped: bool) -> usize {
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                let escapes = run(&bytes[at..], |byte| byte == b'\\');
                let behind = bytes.get(at + escapes);
                if is_escaped && behind == Some(&quote) {
                    return at;
                }
                // An escape and what it escapes; of an even number none escapes what is behind them.
                at += escapes + usize::from(escapes % 2 == 1);
            }
            _ if byte == quote => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the list or map ends that begins at `start`, its brackets included.
fn closed(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => at = quoted(bytes, at + 1, b'"', false),
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
