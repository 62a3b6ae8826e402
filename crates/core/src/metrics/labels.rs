//! Label sets: brought into one order, compared and hashed without copying, and copied once per series.

use std::{
    borrow::Cow,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use super::snapshot::Labels;
use crate::{
    fields::ValueRef,
    model::{Text, Value},
};

/// The label that marks the series of all label sets beyond an instrument's limit (OpenTelemetry metrics SDK,
/// cardinality limits).
pub const OVERFLOW_LABEL: &str = "otel.metric.overflow";

/// A label set as asked for.
pub(super) type Asked<'a> = [(&'a str, ValueRef<'a>)];

/// The labels sorted by name, each name once; of a name given twice the last value stands.
pub(super) fn normalised<'l, 'a>(labels: &'l Asked<'a>) -> Cow<'l, Asked<'a>> {
    if labels.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Cow::Borrowed(labels);
    }
    let mut sorted = labels.to_vec();
    // The sort is stable, so of equal names the last given is the last of them.
    sorted.sort_by_key(|&(name, _)| name);
    sorted.reverse();
    sorted.dedup_by_key(|&mut (name, _)| name);
    sorted.reverse();
    Cow::Owned(sorted)
}

/// The hash of a normalised label set.
pub(super) fn hash(labels: &Asked<'_>, state: &impl BuildHasher) -> u64 {
    let mut hasher = state.build_hasher();
    for &(name, value) in labels {
        name.hash(&mut hasher);
        hash_value(value, &mut hasher);
    }
    hasher.finish()
}

/// Hashes what [`is`] compares.
pub(super) fn hash_value(value: ValueRef<'_>, hasher: &mut impl Hasher) {
    match value {
        ValueRef::Bool(value) => value.hash(hasher),
        ValueRef::I64(value) => (value as u64).hash(hasher),
        ValueRef::U64(value) => value.hash(hasher),
        ValueRef::F64(value) => value.to_bits().hash(hasher),
        ValueRef::Str(text) => text.hash(hasher),
        ValueRef::U64s(values) => values.hash(hasher),
        ValueRef::Shapes(shapes) => shapes.iter().for_each(|shape| shape.hash(hasher)),
    }
}

/// Whether the kept value is the one asked for.
pub(super) fn is(kept: &Value, asked: ValueRef<'_>) -> bool {
    match (kept, asked) {
        (Value::Bool(kept), ValueRef::Bool(asked)) => *kept == asked,
        (Value::I64(kept), ValueRef::I64(asked)) => *kept == asked,
        (Value::U64(kept), ValueRef::U64(asked)) => *kept == asked,
        (Value::F64(kept), ValueRef::F64(asked)) => kept.to_bits() == asked.to_bits(),
        (Value::Str(kept), ValueRef::Str(asked)) => kept == asked,
        (Value::List(_), ValueRef::U64s(_) | ValueRef::Shapes(_)) => *kept == Value::from(asked),
        _ => false,
    }
}

/// Whether the kept labels are the normalised ones asked for.
pub(super) fn are(kept: &Labels, asked: &Asked<'_>) -> bool {
    kept.len() == asked.len()
        && kept
            .iter()
            .zip(asked)
            .all(|((name, kept), &(asked_name, asked))| name == asked_name && is(kept, asked))
}

/// A copy of a normalised label set.
pub(super) fn keep(labels: &Asked<'_>) -> Labels {
    labels
        .iter()
        .map(|&(name, value)| (Text::Owned(name.to_owned()), Value::from(value)))
        .collect()
}

/// The labels of the overflow series.
pub(super) fn overflow() -> Labels {
    Arc::new([(Text::Borrowed(OVERFLOW_LABEL), Value::Bool(true))])
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    #[test]
    fn order_does_not_matter_and_the_last_of_a_name_stands() {
        let given = [
            ("b", ValueRef::U64(1)),
            ("a", ValueRef::Str("x")),
            ("b", ValueRef::U64(2)),
            ("a", ValueRef::Str("y")),
        ];
        let expected = [("a", ValueRef::Str("y")), ("b", ValueRef::U64(2))];
        assert_eq!(normalised(&given).as_ref(), expected);
        assert!(matches!(normalised(&expected), Cow::Borrowed(_)));
        let state = RandomState::new();
        assert_eq!(hash(&normalised(&given), &state), hash(&expected, &state));
        let kept = keep(&expected);
        assert!(are(&kept, &expected));
        assert!(!are(&kept, &expected[..1]));
        assert!(!are(&kept, &[expected[0], ("b", ValueRef::I64(2))]));
    }
}
