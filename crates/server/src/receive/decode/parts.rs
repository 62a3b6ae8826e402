//! What rows have as JSON: links, distributions, exemplars. Keys are the fields' names in OTLP's `.proto` files.

use super::{
    sink::{Id, Reason, Unreadable},
    text,
};

/// Most buckets of a histogram; SDKs make 160 at most.
pub(super) const BUCKETS_MAX: usize = 65_536;

/// A link as it was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkItem {
    pub(super) trace_id: Id<16>,
    pub(super) span_id: Id<8>,
}

/// Appends a link to a list; one that leads nowhere is left out. `attributes` appends its attributes, if it has any.
pub(super) fn push_link<E>(
    list: &mut String,
    link: &LinkItem,
    attributes: Option<impl FnOnce(&mut String) -> Result<(), E>>,
) -> Result<(), E> {
    let (Some(trace_id), Some(span_id)) = (link.trace_id.get(), link.span_id.get()) else {
        return Ok(());
    };
    list.push(if list.is_empty() { '[' } else { ',' });
    list.push_str("{\"trace_id\":\"");
    text::hex(list, &trace_id);
    list.push_str("\",\"span_id\":\"");
    text::hex(list, &span_id);
    list.push('"');
    close(list, attributes)
}

fn close<E>(
    list: &mut String,
    attributes: Option<impl FnOnce(&mut String) -> Result<(), E>>,
) -> Result<(), E> {
    if let Some(attributes) = attributes {
        list.push_str(",\"attributes\":");
        attributes(list)?;
    }
    list.push('}');
    Ok(())
}

/// Ends a list; one of nothing stays empty.
pub(super) fn close_list(list: &mut String) {
    if !list.is_empty() {
        list.push(']');
    }
}

/// An exemplar as it was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExemplarItem {
    pub(super) time_unix_ns: u64,
    pub(super) value: Option<f64>,
    pub(super) trace_id: Id<16>,
    pub(super) span_id: Id<8>,
}

/// Appends an exemplar to a list; one without a finite value says nothing and is left out.
pub(super) fn push_exemplar<E>(
    list: &mut String,
    exemplar: &ExemplarItem,
    attributes: Option<impl FnOnce(&mut String) -> Result<(), E>>,
) -> Result<(), E> {
    let Some(value) = exemplar.value.filter(|value| value.is_finite()) else {
        return Ok(());
    };
    list.push(if list.is_empty() { '[' } else { ',' });
    list.push_str("{\"time_unix_nano\":");
    // Whoever reads it has times of 63 bits, as everywhere.
    text::unsigned(list, exemplar.time_unix_ns.min(i64::MAX.cast_unsigned()));
    list.push_str(",\"value\":");
    text::float(list, value);
    if let Some(trace_id) = exemplar.trace_id.get() {
        list.push_str(",\"trace_id\":\"");
        text::hex(list, &trace_id);
        list.push('"');
    }
    if let Some(span_id) = exemplar.span_id.get() {
        list.push_str(",\"span_id\":\"");
        text::hex(list, &span_id);
        list.push('"');
    }
    close(list, attributes)
}

/// Buckets and extremes of a histogram as they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution {
    pub(super) buckets: Buckets,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

/// The buckets of a histogram.
#[derive(Clone, Debug)]
pub(super) enum Buckets {
    /// Between bounds that were chosen.
    Explicit {
        /// How many were measured at or below each bound and above the one before; the last above all of them.
        counts: Vec<u64>,
        /// The bounds, rising.
        bounds: Vec<f64>,
    },
    /// Between powers of a base: 2 to the power of 2 to the power of minus `scale`.
    Exponential {
        scale: i32,
        zero_count: u64,
        zero_threshold: f64,
        positive: Range,
        negative: Range,
    },
}

impl Default for Buckets {
    fn default() -> Self {
        Self::Explicit {
            counts: Vec::new(),
            bounds: Vec::new(),
        }
    }
}

/// Buckets in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Range {
    /// The power of the base at which the first begins.
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

impl Distribution {
    /// Whether counts and bounds belong together.
    pub(super) fn check(&self) -> Result<(), Reason> {
        match &self.buckets {
            Buckets::Explicit { counts, bounds }
                if counts.len() != bounds.len() + 1
                    && !(counts.is_empty() && bounds.is_empty()) =>
            {
                Err(Reason::Buckets)
            }
            _ => Ok(()),
        }
    }

    /// Appends it.
    pub(super) fn write(&self, out: &mut String) {
        match &self.buckets {
            Buckets::Explicit { counts, bounds } => {
                out.push_str("{\"bucket_counts\":");
                numbers(out, counts, text::unsigned);
                out.push_str(",\"explicit_bounds\":");
                numbers(out, bounds, text::float);
            }
            Buckets::Exponential {
                scale,
                zero_count,
                zero_threshold,
                positive,
                negative,
            } => {
                out.push_str("{\"scale\":");
                text::integer(out, i64::from(*scale));
                out.push_str(",\"zero_count\":");
                text::unsigned(out, *zero_count);
                out.push_str(",\"zero_threshold\":");
                text::float(out, *zero_threshold);
                for (key, range) in [("positive", positive), ("negative", negative)] {
                    out.push_str(",\"");
                    out.push_str(key);
                    out.push_str("\":{\"offset\":");
                    text::integer(out, i64::from(range.offset));
                    out.push_str(",\"bucket_counts\":");
                    numbers(out, &range.counts, text::unsigned);
                    out.push('}');
                }
            }
        }
        for (key, extreme) in [("min", self.min), ("max", self.max)] {
            if let Some(extreme) = extreme {
                out.push_str(",\"");
                out.push_str(key);
                out.push_str("\":");
                text::float(out, extreme);
            }
        }
        out.push('}');
    }
}

fn numbers<T: Copy>(out: &mut String, numbers: &[T], write: impl Fn(&mut String, T)) {
    out.push('[');
    for (at, &number) in numbers.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, number);
    }
    out.push(']');
}

/// Takes one more bucket or bound, within [`BUCKETS_MAX`].
pub(super) fn push_bucket<T>(numbers: &mut Vec<T>, number: T) {
    // One more than may be says that there were too many.
    if numbers.len() <= BUCKETS_MAX {
        numbers.push(number);
    }
}

/// Whether [`push_bucket`] was called too often.
pub(super) fn check_buckets<T>(numbers: &[T]) -> Result<(), Unreadable> {
    if numbers.len() > BUCKETS_MAX {
        return Err(Unreadable::TooMuch(
            "a histogram has more than 65536 buckets",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(distribution: &Distribution) -> serde_json::Value {
        let mut out = String::new();
        distribution.write(&mut out);
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn distributions_have_the_names_of_otlp() {
        let mut distribution = Distribution {
            buckets: Buckets::Explicit {
                counts: vec![1, u64::MAX],
                bounds: vec![0.5],
            },
            min: Some(-1.0),
            max: None,
        };
        let expected = serde_json::json!({
            "bucket_counts": [1, u64::MAX], "explicit_bounds": [0.5], "min": -1.0,
        });
        assert_eq!(written(&distribution), expected);
        assert_eq!(distribution.check(), Ok(()));
        distribution.buckets = Buckets::Exponential {
            scale: -2,
            zero_count: 3,
            zero_threshold: 0.0,
            positive: Range {
                offset: -7,
                counts: vec![4],
            },
            negative: Range::default(),
        };
        let expected = serde_json::json!({
            "scale": -2, "zero_count": 3, "zero_threshold": 0.0,
            "positive": {"offset": -7, "bucket_counts": [4]},
            "negative": {"offset": 0, "bucket_counts": []},
            "min": -1.0,
        });
        assert_eq!(written(&distribution), expected);
    }

    #[test]
    fn counts_and_bounds_belong_together() {
        let distribution = |counts, bounds| Distribution {
            buckets: Buckets::Explicit {
                counts: vec![1; counts],
                bounds: vec![1.0; bounds],
            },
            ..Distribution::default()
        };
        for (counts, bounds, is_right) in [
            (0, 0, true),
            (1, 0, true),
            (2, 1, true),
            (1, 1, false),
            (0, 2, false),
        ] {
            assert_eq!(
                distribution(counts, bounds).check().is_ok(),
                is_right,
                "{counts} {bounds}"
            );
        }
    }

    #[test]
    fn buckets_have_a_bound() {
        let mut counts = Vec::new();
        (0..BUCKETS_MAX).for_each(|_| push_bucket(&mut counts, 1));
        assert_eq!(check_buckets(&counts), Ok(()));
        (0..9).for_each(|_| push_bucket(&mut counts, 1));
        assert!(check_buckets(&counts).is_err() && counts.len() == BUCKETS_MAX + 1);
    }
}
