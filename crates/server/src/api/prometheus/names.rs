//! Names and labels, from OpenTelemetry's to Prometheus' (OpenTelemetry specification, "Prometheus and OpenMetrics
//! Compatibility").

use std::{collections::BTreeMap, fmt::Write as _};

use radiosonde_core::{
    catalogue::METRIC_ALIASES,
    model::{Attributes, Value},
};

use crate::promql::{Labels, NAME};

/// The metric that says what made the others.
pub(super) const TARGET: &str = "target_info";

/// What of a metric a series in Prometheus' sense is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Facet {
    /// The value of a counter or gauge.
    Value,
    /// `_bucket`: how many lie below each bound.
    Bucket,
    /// `_count`.
    Count,
    /// `_sum`.
    Sum,
    /// An exponential histogram itself.
    Whole,
}

/// A name under which a metric can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) facet: Facet,
    /// What values are multiplied by: not 1 for an alias in another unit.
    pub(super) times: f64,
}

/// Every name of a metric: its own, and those of the design notes' aliases that are names in Prometheus' sense.
pub(super) fn shown(name: &str, unit: &str, kind: &str) -> Vec<Shown> {
    let aliases = METRIC_ALIASES
        .iter()
        .filter(|alias| alias.metric == name && !alias.alias.contains('.'))
        .map(|alias| (alias.alias.to_owned(), alias.times));
    let own = std::iter::once((family(name, unit, kind), 1.0));
    let mut shown = Vec::new();
    for (name, times) in own.chain(aliases) {
        let mut push = |suffix: &str, facet| {
            shown.push(Shown {
                name: format!("{name}{suffix}"),
                facet,
                times,
            });
        };
        if kind == "histogram" {
            push("_bucket", Facet::Bucket);
            push("_count", Facet::Count);
            push("_sum", Facet::Sum);
            push("", Facet::Whole);
        } else {
            push("", Facet::Value);
        }
    }
    shown
}

/// A metric's name: signs that Prometheus has no place for replaced, its unit and, of a counter, `_total` behind it, each
/// unless it is there.
pub(super) fn family(name: &str, unit: &str, kind: &str) -> String {
    let mut out = metric_name(name);
    let is_counter = kind == "counter";
    if is_counter && let Some(base) = out.strip_suffix("_total") {
        out.truncate(base.len());
    }
    let word = unit_word(unit, kind);
    // Who put the unit into the name wrote it as a word, or as UCUM does: `duration_ms` is in milliseconds already.
    let has_unit = has_suffix(&out, &word) || has_suffix(&out, &metric_name(unit));
    if !word.is_empty() && !has_unit {
        let _ = write!(out, "_{word}");
    }
    if is_counter {
        out.push_str("_total");
    }
    out
}

fn has_suffix(name: &str, word: &str) -> bool {
    !word.is_empty()
        && name
            .strip_suffix(word)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

/// What is no letter, digit or colon becomes `_`, several of them one.
fn metric_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || c == ':' {
            c
        } else {
            '_'
        };
        if out.is_empty() && c.is_ascii_digit() {
            out.push('_');
        }
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out
}

/// A label's name: what is no letter or digit becomes `_`.
fn label_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "key_");
    }
    out
}

/// The words of a UCUM unit. What stands in braces is a remark and has none.
pub(super) fn unit_word(unit: &str, kind: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in unit.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    match plain.split_once('/') {
        // A number of nothing in particular is a share where it is no count.
        None if plain == "1" && kind == "gauge" => "ratio".to_owned(),
        None if plain == "1" => String::new(),
        None => metric_name(word(&plain)),
        Some((unit, time)) => {
            let time = metric_name(per(time));
            let unit = metric_name(word(unit));
            match () {
                () if time.is_empty() => unit,
                () if unit.is_empty() || unit == "1" => format!("per_{time}"),
                () => format!("{unit}_per_{time}"),
            }
        }
    }
}

fn word(unit: &str) -> &str {
    const WORDS: [(&str, &str); 28] = [
        ("d", "days"),
        ("h", "hours"),
        ("min", "minutes"),
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("us", "microseconds"),
        ("ns", "nanoseconds"),
        ("By", "bytes"),
        ("KiBy", "kibibytes"),
        ("MiBy", "mebibytes"),
        ("GiBy", "gibibytes"),
        ("TiBy", "tibibytes"),
        ("KBy", "kilobytes"),
        ("MBy", "megabytes"),
        ("GBy", "gigabytes"),
        ("TBy", "terabytes"),
        ("bit", "bits"),
        ("m", "meters"),
        ("V", "volts"),
        ("A", "amperes"),
        ("J", "joules"),
        ("W", "watts"),
        ("g", "grams"),
        ("Cel", "celsius"),
        ("Hz", "hertz"),
        ("K", "kelvin"),
        ("%", "percent"),
        ("rad", "radians"),
    ];
    let found = WORDS.into_iter().find(|(known, _)| *known == unit);
    found.map_or(unit, |(_, word)| word)
}

fn per(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

/// What Prometheus shows of a resource: `job`, `instance`, and all else.
pub(super) struct Target {
    job: String,
    instance: String,
    rest: Attributes,
}

impl Target {
    pub(super) fn of(resource: Attributes) -> Self {
        let text = |name: &str| {
            let found = resource.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| text(value)).unwrap_or_default()
        };
        let (namespace, service) = (text("service.namespace"), text("service.name"));
        let job = if namespace.is_empty() {
            service
        } else {
            format!("{namespace}/{service}")
        };
        let instance = text("service.instance.id");
        let identity = ["service.namespace", "service.name", "service.instance.id"];
        let mut rest = resource;
        rest.retain(|(name, _)| !identity.contains(&&**name));
        Self {
            job,
            instance,
            rest,
        }
    }

    /// The labels of `target_info`.
    pub(super) fn info(&self) -> Labels {
        self.labels(TARGET, "", &self.rest)
    }

    /// The labels of a series with these attributes.
    pub(super) fn labels(&self, name: &str, scope: &str, attributes: &Attributes) -> Labels {
        let mut merged: BTreeMap<String, String> = BTreeMap::new();
        let mut sorted: Vec<_> = attributes.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in sorted {
            let mut label = label_name(key);
            if ["job", "instance", NAME].contains(&label.as_str()) {
                label.insert_str(0, "exported_");
            }
            let value = text(value);
            merged
                .entry(label)
                // Two that have become one keep both of their values.
                .and_modify(|known| {
                    let _ = write!(known, ";{value}");
                })
                .or_insert(value);
        }
        let own = [
            (NAME, name),
            ("job", &self.job),
            ("instance", &self.instance),
            ("otel_scope_name", scope),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let merged = merged
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Labels::new(merged.chain(own))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        for (name, unit, kind, family_name) in [
            (
                "http.server.request.duration",
                "s",
                "histogram",
                "http_server_request_duration_seconds",
            ),
            ("requests", "{request}", "counter", "requests_total"),
            ("requests_total", "1", "counter", "requests_total"),
            ("system.io", "By", "counter", "system_io_bytes_total"),
            (
                "hw.gpu.utilization",
                "1",
                "gauge",
                "hw_gpu_utilization_ratio",
            ),
            ("throughput", "By/s", "gauge", "throughput_bytes_per_second"),
            ("speed", "{token}/s", "gauge", "speed_per_second"),
            (
                "metal_operation_duration_ms",
                "ms",
                "histogram",
                "metal_operation_duration_ms",
            ),
            ("1st--value", "", "gauge", "_1st_value"),
            ("queue.depth", "{item}", "up_down_counter", "queue_depth"),
            ("memory_bytes", "By", "gauge", "memory_bytes"),
            ("größe", "m2", "gauge", "gr_e_m2"),
        ] {
            assert_eq!(family(name, unit, kind), family_name, "{name}");
        }
    }

    #[test]
    fn a_metric_is_asked_for_by_its_alias_too() {
        let shown = shown("gpu.operation.duration", "s", "histogram");
        let alias = Shown {
            name: "metal_operation_duration_ms_bucket".to_owned(),
            facet: Facet::Bucket,
            times: 1e3,
        };
        assert!(shown.contains(&alias), "{shown:?}");
    }

    #[test]
    fn labels_keep_every_value() {
        let attribute = |name: &'static str, value: Value| (name.into(), value);
        let target = Target::of(vec![
            attribute("service.namespace", Value::Str("shop".into())),
            attribute("service.name", Value::Str("api".into())),
            attribute("service.instance.id", Value::Str("7".into())),
            attribute("host.name", Value::Str("h".into())),
        ]);
        let attributes = vec![
            attribute("a.b", Value::I64(1)),
            attribute("a_b", Value::Bool(true)),
            attribute("job", Value::Str("own".into())),
            attribute("0", Value::F64(0.5)),
            attribute("empty", Value::Str("".into())),
        ];
        assert_eq!(
            target.labels("m", "lib", &attributes).to_string(),
            r#"m{a_b="1;true", exported_job="own", instance="7", job="shop/api", key_0="0.5", otel_scope_name="lib"}"#
        );
        assert_eq!(
            target.info().to_string(),
            r#"target_info{host_name="h", instance="7", job="shop/api"}"#
        );
    }
}
