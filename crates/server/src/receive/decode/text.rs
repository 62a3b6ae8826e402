//! JSON, hexadecimal and base64 text, appended to a string. JSON of values is as the store writes it, so that one resource
//! is one text whichever way it came.

use std::fmt::Write as _;

use radiosonde_store::row::Value;

/// Appends `value` as JSON. Numbers that JSON has no words for become text.
pub(super) fn value(out: &mut String, value: Value<'_>) {
    match value {
        Value::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Value::Int(value) => integer(out, value),
        Value::Float(value) => float(out, value),
        Value::Text(text) => string(out, text),
        Value::Json(json) => out.push_str(json),
    }
}

/// Appends an integer.
pub(super) fn integer(out: &mut String, value: i64) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}

/// Appends a count.
pub(super) fn unsigned(out: &mut String, value: u64) {
    let _ = write!(out, "{value}");
}

/// Appends a number, as text where JSON has no words for it.
pub(super) fn float(out: &mut String, value: f64) {
    let _ = if value.is_finite() {
        write!(out, "{value:?}")
    } else {
        write!(out, "\"{value}\"")
    };
}

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..0x20) {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends `entries` as a JSON object.
pub(super) fn object(out: &mut String, entries: &[(&str, Value<'_>)]) {
    out.push('{');
    for (at, &(key, one)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, key);
        out.push(':');
        value(out, one);
    }
    out.push('}');
}

/// Appends `bytes` in lower-case hexadecimal.
pub(super) fn hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The bytes that hexadecimal `text` of either case says, where it says exactly as many as there are.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; N];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    Some(bytes)
}

/// Appends `bytes` as base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let byte = |at| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn json_is_what_other_readers_understand() {
        let entries = [
            ("a\"\\\n\r\t\u{1}é", Value::Text("\u{1f}x")),
            ("b", Value::Float(1.0)),
            ("c", Value::Float(f64::NEG_INFINITY)),
            ("d", Value::Bool(true)),
            ("e", Value::Int(i64::MIN)),
            ("f", Value::Json("[null]")),
        ];
        let json = written(|out| object(out, &entries));
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "a\"\\\n\r\t\u{1}é": "\u{1f}x", "b": 1.0, "c": "-inf", "d": true, "e": i64::MIN, "f": [null],
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn hexadecimal_of_either_case_and_of_one_length() {
        assert_eq!(from_hex("0aFf"), Some([10, 255]));
        for wrong in ["", "0", "0af", "0aff00", "0ag0", "é"] {
            assert_eq!(from_hex::<2>(wrong), None, "{wrong}");
        }
        assert_eq!(written(|out| hex(out, &[10, 255])), "0aff");
    }

    #[test]
    fn base64_of_every_remainder() {
        let of = |bytes: &[u8]| written(|out| base64(out, bytes));
        // RFC 4648, section 10.
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| of(text.as_bytes())); // spelling: ignore
        assert_eq!(
            all,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
        assert_eq!(of(&[0xfb, 0xff]), "+/8=");
    }
}
