//! Bytes: names, labels, numbers and exemplars, written without `format!` where every series passes.

use std::{borrow::Cow, io::Write as _};

use radiosonde_core::{
    metrics::snapshot::Exemplar,
    model::{Text, Value},
};

/// Appends `name` as Prometheus allows it: anything else than letters, digits, `_` and `:` becomes `_`, and a digit in
/// front gets one.
pub(in crate::encode) fn push_name(out: &mut Vec<u8>, name: &str) {
    push_allowed(out, name, |byte| {
        byte.is_ascii_alphanumeric() || byte == b':'
    });
}

fn push_label_name(out: &mut Vec<u8>, name: &str) {
    push_allowed(out, name, |byte| byte.is_ascii_alphanumeric());
}

fn push_allowed(out: &mut Vec<u8>, name: &str, is_allowed: fn(u8) -> bool) {
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        out.push(b'_');
    }
    out.extend(
        name.bytes()
            .map(|byte| if is_allowed(byte) { byte } else { b'_' }),
    );
}

/// Appends text of a `# HELP` line.
pub(in crate::encode) fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            _ => out.push(byte),
        }
    }
}

/// Appends the text of a label's value.
pub(in crate::encode) fn push_label_value(out: &mut Vec<u8>, text: &str) {
    // Without an early end, which costs more than it saves on texts as short as these.
    let special = text.bytes().fold(0, |found, byte| {
        found | u8::from(matches!(byte, b'\\' | b'"' | b'\n'))
    });
    if special != 0 {
        push_escaped(out, text, true);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Str(text) => push_label_value(out, text),
        Value::U64(value) => u64(out, *value),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        other => push_label_value(out, &other.to_string()),
    }
}

/// Writes label sets. Series of a metric tend to have the same label names, so these are turned into Prometheus' once.
#[derive(Default)]
pub(in crate::encode) struct LabelWriter {
    /// Names that samples of the family need for themselves.
    reserved: &'static [&'static str],
    /// The names of the last set and what stands before their values: `,name="`.
    names: Vec<(Text, Vec<u8>)>,
    /// Two of the names are the same to Prometheus.
    has_twins: bool,
}

impl LabelWriter {
    /// A writer that shows a label whose name is among `reserved` as `exported_` and that name.
    pub(in crate::encode) fn reserving(reserved: &'static [&'static str]) -> Self {
        Self {
            reserved,
            ..Self::default()
        }
    }

    /// Appends `{a="1",b="2"}`, or nothing without labels.
    pub(in crate::encode) fn push(&mut self, out: &mut Vec<u8>, labels: &[(Text, Value)]) {
        if labels.is_empty() {
            return;
        }
        let is_known = labels.len() == self.names.len()
            && labels
                .iter()
                .zip(&self.names)
                .all(|((name, _), (known, _))| name == known);
        if !is_known {
            self.learn(labels);
        }
        if self.has_twins {
            let joined = joined(labels, self.reserved);
            let mut writer = Self {
                reserved: self.reserved,
                ..Self::default()
            };
            return writer.push(out, &joined);
        }
        out.push(b'{');
        let mut comma = 1;
        for ((_, value), (_, before)) in labels.iter().zip(&self.names) {
            out.extend_from_slice(&before[comma..]);
            comma = 0;
            push_value(out, value);
        }
        out.extend_from_slice(b"\"}");
    }

    fn learn(&mut self, labels: &[(Text, Value)]) {
        self.names.clear();
        for (at, (name, _)) in labels.iter().enumerate() {
            let mut before = if at == 0 {
                b",".to_vec()
            } else {
                b"\",".to_vec()
            };
            before.extend_from_slice(&label_name(name, self.reserved));
            before.extend_from_slice(b"=\"");
            self.names.push((name.clone(), before));
        }
        let mut shown: Vec<_> = labels
            .iter()
            .map(|(name, _)| label_name(name, self.reserved))
            .collect();
        shown.sort_unstable();
        self.has_twins = shown.windows(2).any(|pair| pair[0] == pair[1]);
    }
}

pub(in crate::encode) fn label_name(name: &str, reserved: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 9);
    push_label_name(&mut out, name);
    // Names that begin so are Prometheus' own, and one of them makes it refuse the whole page.
    if out.starts_with(b"__") {
        out.splice(..0, *b"key");
    }
    if reserved.iter().any(|reserved| out == reserved.as_bytes()) {
        out.splice(..0, *b"exported_");
    }
    out
}

/// Labels whose names become the same are one label with both values between semicolons (OpenTelemetry specification,
/// Prometheus and OpenMetrics compatibility: Metric Attributes).
pub(in crate::encode) fn joined(labels: &[(Text, Value)], reserved: &[&str]) -> Vec<(Text, Value)> {
    let mut joined: Vec<(Vec<u8>, String)> = Vec::new();
    for (name, value) in labels {
        let shown = label_name(name, reserved);
        match joined.iter_mut().find(|(name, _)| *name == shown) {
            Some((_, values)) => {
                values.push(';');
                values.push_str(&value.to_string());
            }
            None => joined.push((shown, value.to_string())),
        }
    }
    joined
        .into_iter()
        .map(|(name, value)| {
            let name = String::from_utf8_lossy(&name).into_owned();
            (Cow::Owned(name), Value::Str(Cow::Owned(value)))
        })
        .collect()
}

/// Appends a whole number that may be negative.
pub(in crate::encode) fn i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    u64(out, value.unsigned_abs());
}

/// Appends a whole number.
pub(in crate::encode) fn u64(out: &mut Vec<u8>, mut value: u64) {
    // The longest has 20 digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number: whole ones as such, very large and small ones with an exponent.
pub(in crate::encode) fn float(out: &mut Vec<u8>, value: f64) {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let size = value.abs();
    let written = if value.is_nan() {
        out.write_all(b"NaN")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if size < WHOLE_MAX && value.trunc().to_bits() == value.to_bits() {
        if value < 0.0 {
            out.push(b'-');
        }
        u64(out, size as u64);
        Ok(())
    } else if (1e-6..1e16).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    // Writing to a vector cannot fail.
    debug_assert!(written.is_ok(), "a vector takes everything");
}

/// Appends a bucket's bound. OpenMetrics writes whole ones with `.0` so that every writer gives the same text.
pub(in crate::encode) fn bound(out: &mut Vec<u8>, bound: f64, times: f64, is_open: bool) {
    let start = out.len();
    float(out, scaled(bound, times));
    let is_whole = out[start..]
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if is_open && is_whole {
        out.extend_from_slice(b".0");
    }
}

/// The product to 15 significant digits, so that 0.07 s is 70 ms and not 70.00000000000001.
pub(in crate::encode) fn scaled(value: f64, times: f64) -> f64 {
    if super::is_one(times) || value.is_infinite() {
        return value;
    }
    let product = value * times;
    format!("{product:.14e}").parse().unwrap_or(product)
}

/// Appends an exemplar: ` # {trace_id="…",span_id="…"} 0.054 1520879607.789`.
pub(in crate::encode) fn exemplar(out: &mut Vec<u8>, exemplar: &Exemplar, times: f64) {
    out.extend_from_slice(b" # {trace_id=\"");
    hex(out, &exemplar.trace_id.to_bytes());
    out.extend_from_slice(b"\",span_id=\"");
    hex(out, &exemplar.span_id.to_bytes());
    out.extend_from_slice(b"\"} ");
    float(out, scaled(exemplar.value, times));
    out.push(b' ');
    let milliseconds = exemplar.time_unix_ns / 1_000_000;
    u64(out, milliseconds / 1000);
    out.push(b'.');
    for divisor in [100, 10, 1] {
        out.push(b'0' + (milliseconds / divisor % 10) as u8);
    }
}

pub(in crate::encode) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_are_sanitised_escaped_and_joined() {
        let written = |pairs: &[(&'static str, Value)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (Text::Borrowed(*name), value.clone()))
                .collect();
            text(|out| LabelWriter::reserving(&["le"]).push(out, &pairs))
        };
        assert_eq!(written(&[]), "");
        assert_eq!(
            written(&[
                ("error.type", "a\"b\\c\nd".into()),
                ("1st", true.into()),
                ("le", 7_u64.into()),
            ]),
            r#"{error_type="a\"b\\c\nd",_1st="true",exported_le="7"}"#
        );
        assert_eq!(
            written(&[("a.b", "x".into()), ("a_b", 2_u64.into())]),
            r#"{a_b="x;2"}"#
        );
        assert_eq!(written(&[("__name__", "x".into())]), r#"{key__name__="x"}"#);
        assert_eq!(
            written(&[("le", 7_u64.into()), ("exported_le", 8_u64.into())]),
            r#"{exported_le="7;8"}"#
        );
    }

    #[test]
    fn bounds_are_what_people_would_write() {
        let bound = |value, times, is_open| text(|out| bound(out, value, times, is_open));
        assert_eq!(bound(10.0, 1.0, false), "10");
        assert_eq!(bound(10.0, 1.0, true), "10.0");
        assert_eq!(bound(0.07, 1000.0, false), "70");
        assert_eq!(bound(f64::INFINITY, 1000.0, true), "+Inf");
        assert_eq!(
            bound(f64::from(-20).exp2(), 1.0, true),
            "9.5367431640625e-7"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn numbers_read_back_as_they_were(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let read: f64 = text(|out| float(out, value)).parse().unwrap();
            prop_assert!(read.to_bits() == bits || value.is_nan() && read.is_nan());
            prop_assert_eq!(text(|out| u64(out, bits)).parse::<u64>().unwrap(), bits);
        }
    }
}
