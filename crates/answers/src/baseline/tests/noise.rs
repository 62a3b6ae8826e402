//! Noise of several shapes, the same each time.

use std::f64::consts::TAU;

/// S. Vigna's SplitMix64.
#[derive(Clone, Copy)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// From 0 up to 1.
    pub(super) fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by G. E. P. Box and M. E. Muller (1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.even()).ln()).sqrt();
        radius * (TAU * self.even()).cos()
    }

    /// How many events of this mean there were, by D. E. Knuth's multiplication.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut count, mut left) = (0.0, (-mean).exp());
        left = self.even() / left;
        while left >= 1.0 {
            left *= self.even();
            count += 1.0;
        }
        count
    }
}

/// What stationary series look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Gaussian,
    /// Latency: a few take much longer.
    LogNormal,
    /// The same with a heavier tail.
    HeavyTail,
    /// Requests a second.
    Poisson,
    /// Rare events, mostly none.
    Rare,
    Constant,
    /// A few whole numbers.
    Integer,
    /// Now and then three times as much for up to five readings, and then not for ten at least.
    Bursty,
    /// Each reading is much like the one before.
    Correlated,
}

pub(super) const SHAPES: [Shape; 9] = [
    Shape::Gaussian,
    Shape::LogNormal,
    Shape::HeavyTail,
    Shape::Poisson,
    Shape::Rare,
    Shape::Constant,
    Shape::Integer,
    Shape::Bursty,
    Shape::Correlated,
];

/// A stationary series of level 100, but for counts, which are smaller.
pub(super) struct Series {
    shape: Shape,
    random: Random,
    state: f64,
    burst: u32,
}

impl Series {
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ shape as u64);
        let state = random.normal();
        Self {
            shape,
            random,
            state,
            burst: 0,
        }
    }

    pub(super) fn next(&mut self) -> f64 {
        let random = &mut self.random;
        match self.shape {
            Shape::Gaussian => 100.0 + 10.0 * random.normal(),
            Shape::LogNormal => 100.0 * (0.25 * random.normal()).exp(),
            Shape::HeavyTail => 100.0 * (0.8 * random.normal()).exp(),
            Shape::Poisson => random.poisson(20.0),
            Shape::Rare => random.poisson(0.1),
            Shape::Constant => 100.0,
            Shape::Integer => (4.0 + 1.2 * random.normal()).round(),
            Shape::Bursty => {
                if self.burst > 0 {
                    self.burst -= 1;
                } else if random.even() < 0.03 {
                    self.burst = 11 + (4.0 * random.even()) as u32;
                }
                let times = if self.burst > 10 { 3.0 } else { 1.0 };
                times * (100.0 + 5.0 * random.normal())
            }
            Shape::Correlated => {
                self.state = 0.8 * self.state + 0.6 * random.normal();
                100.0 + 10.0 * self.state
            }
        }
    }
}
