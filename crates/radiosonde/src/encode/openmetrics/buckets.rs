//! Classic buckets for histograms of either kind.

use std::sync::Arc;

use radiosonde_core::metrics::snapshot::{Buckets, Histogram};

/// The upper bounds under which a family's measurements are shown; the last is infinite.
#[derive(Debug)]
pub(in crate::encode) struct Grid(Arc<[f64]>);

impl Grid {
    /// The bounds of a family: its own where it has explicit ones, else powers of two by its unit. Those are bounds of
    /// an exponential histogram too, so counting is exact (down to scale 0; coarser ones count a bucket where it ends).
    pub(in crate::encode) fn new(buckets: &Buckets, unit: &str) -> Self {
        let bounds: Vec<f64> = match buckets {
            Buckets::Explicit { bounds, .. } => bounds.to_vec(),
            Buckets::Exponential { .. } => {
                let (from, to, step) = powers(unit);
                (from..=to)
                    .step_by(step)
                    .map(|e| f64::from(e).exp2())
                    .collect()
            }
        };
        Self(bounds.into_iter().chain([f64::INFINITY]).collect())
    }

    pub(in crate::encode) fn bounds(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// Whether a bound is below zero.
    pub(in crate::encode) fn is_negative(&self) -> bool {
        self.0.first().is_some_and(|&bound| bound < 0.0)
    }

    /// For each bound, how many measurements are at most that.
    pub(in crate::encode) fn cumulative(&self, buckets: &Buckets) -> Vec<(f64, u64)> {
        let ranges = buckets.ranges();
        let mut ranges = ranges.iter().peekable();
        let mut below = 0;
        self.bounds()
            .map(|bound| {
                while let Some(&(_, _, count)) = ranges.next_if(|&&(_, high, _)| high <= bound) {
                    below += count;
                }
                (bound, below)
            })
            .collect()
    }
}

/// Whether a measurement was below zero.
pub(in crate::encode) fn has_negative(histogram: &Histogram) -> bool {
    let in_buckets = matches!(&histogram.buckets, Buckets::Exponential { negative_counts, .. }
        if negative_counts.iter().any(|&count| count > 0));
    in_buckets || histogram.sum < 0.0 || histogram.min.is_some_and(|min| min < 0.0)
}

/// From which power of two to which, in which steps, for a unit: a microsecond to 17 minutes, 64 bytes to a tebibyte,
/// one to a thousand million things.
fn powers(unit: &str) -> (i32, i32, usize) {
    match unit {
        "s" => (-20, 10, 1),
        "ms" => (-10, 20, 1),
        "us" => (0, 30, 1),
        "ns" => (10, 40, 1),
        "By" => (6, 40, 2),
        "1" => (-10, 10, 1),
        _ if unit.is_empty() || unit.starts_with('{') => (0, 30, 1),
        _ => (-15, 15, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_is_in_the_bucket_whose_bound_is_next() {
        // Scale 0: (0.5, 1], (1, 2] and so on.
        let buckets = Buckets::Exponential {
            scale: 0,
            zero_count: 1,
            offset: -1,
            counts: vec![2, 3, 0, 4],
            negative_offset: 0,
            negative_counts: vec![1],
        };
        let grid = Grid::new(&buckets, "{token}");
        let cumulative = grid.cumulative(&buckets);
        assert_eq!(cumulative.len(), 32);
        assert_eq!(cumulative[..4], [(1.0, 4), (2.0, 7), (4.0, 7), (8.0, 11)]);
        assert_eq!(cumulative[31], (f64::INFINITY, 11));
    }

    #[test]
    fn what_is_beyond_the_grid_is_under_infinity() {
        let buckets = Buckets::Exponential {
            scale: 5,
            zero_count: 0,
            offset: 32 * 1000,
            counts: vec![5],
            negative_offset: 0,
            negative_counts: vec![],
        };
        let cumulative = Grid::new(&buckets, "s").cumulative(&buckets);
        assert_eq!(cumulative[30], (1024.0, 0));
        assert_eq!(cumulative[31], (f64::INFINITY, 5));
    }
}
