//! What a metric is called in Prometheus (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"): dots become
//! underscores, the unit becomes a suffix.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A total that only grows.
    Counter,
    /// A total that goes up and down.
    UpDownCounter,
    /// A value that is set.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The name of a metric's family, without what its samples have behind it (`_total`, `_bucket`), and the unit's word where
/// the name ends in one, else an empty text.
pub fn family(name: &str, unit: &str, kind: Kind) -> (String, &'static str) {
    let mut family = metric_name(name);
    if kind == Kind::Counter {
        family.truncate(family.strip_suffix("_total").unwrap_or(&family).len());
    }
    if matches!(kind, Kind::Gauge | Kind::UpDownCounter)
        && let Some(base) = family.strip_suffix("_count")
    {
        family = plural(base, unit);
    }
    let word = if unit == "1" && kind == Kind::Gauge {
        "ratio"
    } else {
        unit_word(unit)
    };
    if !word.is_empty() && !has_suffix(&family, word) {
        family.push('_');
        family.push_str(word);
    }
    (family, word)
}

/// A metric's name: what is no letter, digit or colon becomes `_`.
pub fn metric_name(name: &str) -> String {
    allowed(name, |byte| byte.is_ascii_alphanumeric() || byte == b':')
}

/// A label's name: what is no letter or digit becomes `_`.
pub fn label_name(name: &str) -> String {
    allowed(name, |byte| byte.is_ascii_alphanumeric())
}

fn allowed(name: &str, is_allowed: fn(u8) -> bool) -> String {
    let is_bare = name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit());
    let bytes = name.bytes().map(|byte| {
        if is_allowed(byte) {
            char::from(byte)
        } else {
            '_'
        }
    });
    is_bare.then_some('_').into_iter().chain(bytes).collect()
}

/// What a number of things is called: `_count` belongs to histograms, and readers take it for a part of one.
/// `process.thread.count` in `{thread}` is `process_threads`.
fn plural(base: &str, unit: &str) -> String {
    let thing = unit
        .strip_prefix('{')
        .and_then(|unit| unit.strip_suffix('}'));
    match thing {
        Some(thing) if has_suffix(base, thing) => format!("{base}s"),
        Some(thing) if !thing.is_empty() => format!("{base}_{}s", metric_name(thing)),
        _ => format!("{base}_number"),
    }
}

fn has_suffix(name: &str, word: &str) -> bool {
    name.strip_suffix(word)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

/// The words for UCUM units (OpenTelemetry specification, Prometheus and OpenMetrics compatibility: Unit). A unit in
/// braces is a remark and has none.
fn unit_word(unit: &str) -> &'static str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "By/s" => "bytes_per_second",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_unit_behind_them() {
        for (name, unit, kind, shown) in [
            (
                "gpu.operation.count",
                "{operation}",
                Kind::Counter,
                "gpu_operation_count",
            ),
            (
                "gpu.operation.duration",
                "s",
                Kind::Histogram,
                "gpu_operation_duration_seconds",
            ),
            (
                "hw.gpu.utilization",
                "1",
                Kind::Gauge,
                "hw_gpu_utilization_ratio",
            ),
            ("queue.share", "1", Kind::UpDownCounter, "queue_share"),
            (
                "process.thread.count",
                "{thread}",
                Kind::UpDownCounter,
                "process_threads",
            ),
            ("requests.total", "", Kind::Counter, "requests"),
            ("9/b-c", "{x}", Kind::Gauge, "_9_b_c"),
        ] {
            assert_eq!(family(name, unit, kind).0, shown);
        }
        assert_eq!(label_name("hw.id"), "hw_id");
        assert_eq!(label_name(""), "_");
    }
}
