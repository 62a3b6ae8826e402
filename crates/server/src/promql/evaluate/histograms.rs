//! Quantiles of histograms: of exponential ones as they are, of classic ones from their `_bucket` series
//! (promql/quantile.go: bucketQuantile).

use std::collections::HashMap;

use super::super::labels::NAME;
use super::{Element, Labels};

/// The label of a bucket's upper bound.
const UPPER: &str = "le";

/// How many lie below or at an upper bound.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The quantile of each histogram.
pub(super) fn quantiles(of: f64, elements: Vec<Element>) -> Vec<Element> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut classic: Vec<(Labels, Vec<Bucket>)> = Vec::new();
    let mut out = Vec::new();
    for element in elements {
        if let Some(histogram) = &element.histogram {
            let value = histogram.quantile(of);
            out.push(Element::float(element.labels.nameless(), value));
            continue;
        }
        // As in Prometheus, what is no bucket is left out.
        let Some(upper) = bound(element.labels.get(UPPER)) else {
            continue;
        };
        let key = element
            .labels
            .filtered(|name| name != NAME && name != UPPER);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            classic.push((key, Vec::new()));
            classic.len() - 1
        });
        classic[place].1.push(Bucket {
            upper,
            count: element.value,
        });
    }
    let classic = classic
        .into_iter()
        .map(|(labels, buckets)| Element::float(labels, quantile(of, buckets)));
    out.extend(classic);
    out
}

/// A bound as clients write it.
fn bound(text: &str) -> Option<f64> {
    // Go reads these words too, and both read the same numbers.
    text.parse().ok()
}

fn quantile(of: f64, mut buckets: Vec<Bucket>) -> f64 {
    if of.is_nan() {
        return f64::NAN;
    }
    if of < 0.0 {
        return f64::NEG_INFINITY;
    }
    if of > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return f64::NAN;
    }
    let buckets = cumulative(buckets);
    let [.., highest, all] = &*buckets else {
        return f64::NAN;
    };
    if all.count == 0.0 || all.count.is_nan() {
        return f64::NAN;
    }
    let rank = of * all.count;
    let found = buckets[..buckets.len() - 1].partition_point(|bucket| bucket.count < rank);
    let bucket = buckets[found];
    if found == buckets.len() - 1 {
        return highest.upper;
    }
    if found == 0 && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    let (lower, below) = match found.checked_sub(1) {
        Some(before) => (buckets[before].upper, buckets[before].count),
        None => (0.0, 0.0),
    };
    lower + (bucket.upper - lower) * ((rank - below) / (bucket.count - below))
}

/// One bucket for each bound, and none that holds less than a lower one, as after scrapes at different moments.
fn cumulative(buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut out: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match out.last_mut() {
            Some(last) if last.upper.total_cmp(&bucket.upper).is_eq() => last.count += bucket.count,
            _ => out.push(bucket),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut out {
        most = most.max(bucket.count);
        bucket.count = most;
    }
    out
}
