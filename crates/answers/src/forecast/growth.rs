//! Whether something grows at all, by what it gained in equal parts of the time.
//!
//! What wanders has a slope that looks sure and means nothing, because each reading depends on the one before. What it gained
//! in each of twelve equal parts of the time hardly does, so the mean of these gains is tested against nothing (Student's t,
//! 11 degrees of freedom, two-sided 1 %). For a random walk, which is the worst that a queue does, they are independent; for
//! what returns to its mean each gain is followed by a loss, and the test claims less often than that.
//!
//! The time that is left has the interval in which the sum of the gains to come reaches what is left: the mean of `n` gains of
//! deviation `s` is off by `t·s/√n`, and `m` gains to come wander by `t·s·√m` themselves, so both ends are the solutions of
//! `(left - m·mean)² = t²s²(m + m²/n)` (the prediction interval of a sum of normal values: G. J. Hahn and W. Q. Meeker,
//! "Statistical Intervals", 1991, section 4.8).

/// In how many parts the time is taken.
pub(crate) const PARTS: usize = 12;
/// Student's t for 11 degrees of freedom, two-sided 99 %.
const T_11: f64 = 3.106;

/// How much something grows a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// How long a part is, in seconds.
    part_s: f64,
    /// The mean gain of a part.
    mean: f64,
    /// `t·s`, the deviation of a part's gain times Student's t.
    wander: f64,
}

impl Growth {
    /// From the values at the ends of the parts, [`PARTS`] and one of them.
    pub(crate) fn between(ends: &[f64], part_s: f64) -> Self {
        let gains: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let n = gains.len() as f64;
        let mean = gains.iter().sum::<f64>() / n;
        let squares: f64 = gains.iter().map(|gain| (gain - mean).powi(2)).sum();
        Self {
            part_s,
            mean,
            wander: T_11 * (squares / (n - 1.0)).sqrt(),
        }
    }

    /// Whether it grows, and not only by chance.
    pub(crate) fn is_sure(self) -> bool {
        self.mean > self.half()
    }

    /// How much it grows a second.
    pub(crate) fn per_s(self) -> f64 {
        self.mean / self.part_s
    }

    /// The 99 % interval of that.
    pub(crate) fn per_s_interval(self) -> (f64, f64) {
        (
            (self.mean - self.half()) / self.part_s,
            (self.mean + self.half()) / self.part_s,
        )
    }

    /// How far the mean may be off.
    fn half(self) -> f64 {
        self.wander / (PARTS as f64).sqrt()
    }

    /// In how many seconds so much more is gained: at the earliest and at the latest. It has to be sure to grow.
    pub(crate) fn gains_in_s(self, left: f64) -> (f64, f64) {
        if left <= 0.0 {
            return (0.0, 0.0);
        }
        // A·m² - B·m + left² = 0, of which A is above 0 because the growth is sure.
        let a = self.mean.powi(2) - self.wander.powi(2) / PARTS as f64;
        let b = 2.0 * left * self.mean + self.wander.powi(2);
        let root = b + (b * b - 4.0 * a * left * left).max(0.0).sqrt();
        (
            self.part_s * 2.0 * left * left / root,
            self.part_s * root / (2.0 * a),
        )
    }
}
