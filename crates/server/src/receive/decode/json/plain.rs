//! Plain JSON, as others than OTLP send it: values become attributes of the type that they have.

use std::borrow::Cow;

use radiosonde_store::row::Value;
use serde_json::value::RawValue;

use super::{
    super::{DEPTH_MAX, TOO_DEEP, attributes::Attributes, sink::Unreadable},
    parse,
    scalars::Text,
};

/// Takes a value as an attribute; lists and objects stay what they are.
pub(in super::super) fn take<'a>(
    attributes: &mut Attributes<'a>,
    key: Cow<'a, str>,
    value: &'a RawValue,
) -> Result<(), Unreadable> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => attributes.push_text(key, parse::<Text<'a>>(json)?.0),
        Some(b't' | b'f') => attributes.push(key, Value::Bool(json == "true")),
        Some(b'-' | b'0'..=b'9') => attributes.push(key, number(json)),
        _ => {
            check_depth(json)?;
            attributes.push_json(key, |out| {
                out.push_str(json);
                Ok::<(), Unreadable>(())
            })?;
        }
    }
    Ok(())
}

/// A value as text: itself, or JSON where it is none; nothing for `null`.
pub(in super::super) fn text(value: &RawValue) -> Result<Cow<'_, str>, Unreadable> {
    let json = value.get();
    if json.starts_with('"') {
        return Ok(parse::<Text<'_>>(json)?.0);
    }
    check_depth(json)?;
    Ok(Cow::Borrowed(if json == "null" { "" } else { json }))
}

fn number(json: &str) -> Value<'static> {
    // What is no whole number of 64 bits is the nearest that a float has.
    json.parse().map_or_else(
        |_| Value::Float(json.parse().unwrap_or(f64::NAN)),
        Value::Int,
    )
}

/// The reader that only looks where a value ends does not mind how deep it is; whoever reads it later does.
fn check_depth(json: &str) -> Result<(), Unreadable> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Unreadable::Malformed(TOO_DEEP.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_depth_has_a_bound() {
        let mut attributes = Attributes::default();
        let values = [
            ("a", "\"x\\n\"", Value::Text("x\n")),
            ("b", "true", Value::Bool(true)),
            ("c", "-7", Value::Int(-7)),
            ("d", "1.5e3", Value::Float(1500.0)),
            (
                "e",
                "18446744073709551615",
                Value::Float(18_446_744_073_709_551_615.0),
            ),
            ("f", "[\"[[\", {}]", Value::Json("[\"[[\", {}]")),
            ("g", "null", Value::Json("null")),
        ];
        for (key, json, _) in &values {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            take(&mut attributes, Cow::Borrowed(key), raw).unwrap();
        }
        assert_eq!(
            *attributes.all(),
            values.map(|(key, _, value)| (key, value))
        );
        for (depth, is_ok) in [(DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let json = "[".repeat(depth) + &"]".repeat(depth);
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            assert_eq!(text(raw).is_ok(), is_ok, "{depth}");
            let taken = take(&mut Attributes::default(), Cow::Borrowed("a"), raw);
            assert_eq!(taken.is_ok(), is_ok, "{depth}");
        }
    }
}
