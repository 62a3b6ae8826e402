//! Members of JSON objects for backends with a shape of their own: names remembered, secrets replaced.
//!
//! Whether a comma stands before a member is read off the byte before it, so nobody counts members.

use radiosonde_core::{ValueRef, ids::TraceId, metrics::snapshot::Number, model::Value};

use super::{
    cache::Names,
    value::{JsonValue, push_escaped, push_f64, push_hex_u64, push_i64, push_text, push_u64},
};
use crate::redact::{Redaction, Sensitivity};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the JSON that is nearest to it.
    Json,
    /// As text in quotes, for backends that know nothing else.
    Text,
}

/// What may stand as the value of a member.
pub(crate) trait Member: JsonValue + Copy {
    /// Whether it is text, and so in quotes already.
    fn is_text(&self) -> bool;
}

impl Member for ValueRef<'_> {
    #[inline]
    fn is_text(&self) -> bool {
        matches!(self, ValueRef::Str(_))
    }
}

impl Member for &Value {
    #[inline]
    fn is_text(&self) -> bool {
        matches!(self, Value::Str(_))
    }
}

/// Writes members. Keep one for many batches: it remembers names.
pub(crate) struct Fields {
    names: Names,
    redaction: Redaction,
}

impl Fields {
    pub(crate) fn new(redaction: Redaction) -> Self {
        Self {
            names: Names::new(),
            redaction,
        }
    }

    /// What is replaced.
    pub(crate) const fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// What `name` says about its values.
    #[inline]
    pub(crate) fn sensitivity(&mut self, name: &str) -> Sensitivity {
        self.names.get(name, &self.redaction).sensitivity()
    }

    /// Text in quotes, without secrets.
    #[inline]
    pub(crate) fn text(&self, text: &str, out: &mut Vec<u8>) {
        push_text(text, &self.redaction, out);
    }

    /// The member `name`, which is written as it is, with text that may hold secrets.
    #[inline]
    pub(crate) fn text_member(&self, name: &str, text: &str, out: &mut Vec<u8>) {
        key(name, out);
        self.text(text, out);
    }

    /// The member `name` with text that code gives and that comes again and again.
    #[inline]
    pub(crate) fn known_member(&mut self, name: &str, text: &str, out: &mut Vec<u8>) {
        key(name, out);
        out.extend_from_slice(self.names.get(text, &self.redaction).text());
    }

    /// The attribute `name`.
    #[inline]
    pub(crate) fn attribute(
        &mut self,
        name: &str,
        value: impl Member,
        form: Form,
        out: &mut Vec<u8>,
    ) {
        let known = self.names.get(name, &self.redaction);
        out.extend_from_slice(known.key(is_first(out)));
        let sensitivity = known.sensitivity();
        self.value(sensitivity, value, form, out);
    }

    /// The attribute `name` under another name, whose letters are those that `letter` makes of it.
    pub(crate) fn renamed(
        &mut self,
        (before, name): (&str, &str),
        letter: impl Fn(char) -> char,
        value: impl Member,
        form: Form,
        out: &mut Vec<u8>,
    ) {
        let sensitivity = self.sensitivity(name);
        comma(out);
        out.push(b'"');
        push_escaped(before, out);
        for one in name.chars() {
            let mut utf8 = [0; 4];
            push_escaped(letter(one).encode_utf8(&mut utf8), out);
        }
        out.extend_from_slice(b"\":");
        self.value(sensitivity, value, form, out);
    }

    /// A value of an attribute whose name says `sensitivity`.
    #[inline]
    pub(crate) fn value(
        &self,
        sensitivity: Sensitivity,
        value: impl Member,
        form: Form,
        out: &mut Vec<u8>,
    ) {
        if form == Form::Json || value.is_text() {
            return value.push(sensitivity, &self.redaction, out);
        }
        let start = out.len();
        value.push(sensitivity, &self.redaction, out);
        if out.get(start) == Some(&b'"') {
            return;
        }
        // Lists and objects may hold quotes of their own; numbers do not.
        let written = String::from_utf8_lossy(&out[start..]).into_owned();
        out.truncate(start);
        quoted(&written, out);
    }
}

fn is_first(out: &[u8]) -> bool {
    matches!(out.last(), None | Some(b'{' | b'[' | b'\n'))
}

/// A comma, unless this is the first of an object or a list.
#[inline]
pub(crate) fn comma(out: &mut Vec<u8>) {
    if !is_first(out) {
        out.push(b',');
    }
}

/// The name of a member, which has no secrets, with its colon and the comma before it.
#[inline]
pub(crate) fn key(name: &str, out: &mut Vec<u8>) {
    comma(out);
    quoted(name, out);
    out.push(b':');
}

/// Text in quotes, as it is.
#[inline]
pub(crate) fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    push_escaped(text, out);
    out.push(b'"');
}

/// The member `name` with text that has no secrets.
#[inline]
pub(crate) fn plain_member(name: &str, text: &str, out: &mut Vec<u8>) {
    key(name, out);
    quoted(text, out);
}

/// The member `name` with a whole number.
#[inline]
pub(crate) fn number_member(name: &str, number: u64, out: &mut Vec<u8>) {
    key(name, out);
    push_u64(number, out);
}

/// The member `name` with a number; `null` where it is not finite, because JSON has no such numbers.
#[inline]
pub(crate) fn float_member(name: &str, number: f64, out: &mut Vec<u8>) {
    key(name, out);
    float(number, out);
}

/// A number; `null` where it is not finite.
#[inline]
pub(crate) fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        push_f64(number, out);
    } else {
        out.extend_from_slice(b"null");
    }
}

/// The value of a counter or a gauge; `null` where it is not finite.
pub(crate) fn metric_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::U64(number) => push_u64(number, out),
        Number::I64(number) => push_i64(number, out),
        Number::F64(number) => float(number, out),
    }
}

/// 16 lower-case hexadecimal digits.
#[inline]
pub(crate) fn hex(bits: u64, out: &mut Vec<u8>) {
    push_hex_u64(bits, out);
}

/// The member `name` with a trace's identifier: 32 hexadecimal digits.
#[inline]
pub(crate) fn trace_member(name: &str, id: TraceId, out: &mut Vec<u8>) {
    key(name, out);
    out.push(b'"');
    let (high, low) = id.words();
    push_hex_u64(high, out);
    push_hex_u64(low, out);
    out.push(b'"');
}

/// The member `name` with a span's identifier: 16 hexadecimal digits.
#[inline]
pub(crate) fn span_member(name: &str, bits: u64, out: &mut Vec<u8>) {
    key(name, out);
    out.push(b'"');
    push_hex_u64(bits, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_valid_json_without_secrets_in_either_form() {
        let mut fields = Fields::new(Redaction::default());
        for (form, expected) in [
            (
                Form::Json,
                r#"{"n":"x","a\"b":1,"l":[1,2],"nan":"NaN","password":"[redacted]","x_y":true}"#,
            ),
            (
                Form::Text,
                r#"{"n":"x","a\"b":"1","l":"[1,2]","nan":"NaN","password":"[redacted]","x_y":"true"}"#,
            ),
        ] {
            let mut out = b"{".to_vec();
            plain_member("n", "x", &mut out);
            fields.attribute("a\"b", ValueRef::U64(1), form, &mut out);
            fields.attribute("l", ValueRef::U64s(&[1, 2]), form, &mut out);
            fields.attribute("nan", ValueRef::F64(f64::NAN), form, &mut out);
            fields.attribute("password", ValueRef::Str("hunter2"), form, &mut out);
            let dot = |letter| if letter == '.' { '_' } else { letter };
            fields.renamed(("", "x.y"), dot, ValueRef::Bool(true), form, &mut out);
            out.push(b'}');
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let list = Value::List(vec!["a".into(), Value::U64(1)]);
        let mut out = b"{".to_vec();
        fields.attribute("list", &list, Form::Text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"list":"[\"a\",1]""#);
    }
}
