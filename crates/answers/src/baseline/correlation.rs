//! How much a reading says that the one before has not said.

/// How many pairs of readings count, about.
const PAIRS: f64 = 500.0;
/// With few pairs a correlation by chance is taken as real within so many of its standard errors (1/√n, M. S. Bartlett 1946).
const ERRORS: f64 = 1.0;
const CORRELATION_MAX: f64 = 0.98;
const SQUARES_MIN: f64 = 0.01;

/// The correlation of a score with the one before, of readings that were normal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Correlation {
    settled: Sums,
    /// Of readings that may yet turn out to be a change.
    open: Sums,
    previous: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    products: f64,
    squares: f64,
    pairs: f64,
}

impl Correlation {
    /// From scores of which each stands for so many readings.
    pub(super) fn of(scores: impl Iterator<Item = f64>, readings_each: f64) -> Self {
        let mut correlation = Self::default();
        for score in scores {
            correlation.add(score);
        }
        correlation.settle();
        correlation.previous = None;
        // What is left of a correlation after so many steps is its power.
        let settled = &mut correlation.settled;
        if settled.squares > 0.0 && settled.products > 0.0 {
            let after = (settled.products / settled.squares).min(1.0);
            settled.products = settled.squares * after.powf(1.0 / readings_each.max(1.0));
        }
        correlation
    }

    pub(super) fn add(&mut self, score: f64) {
        if let Some(previous) = self.previous.replace(score) {
            self.open.products += previous * score;
            self.open.squares += f64::midpoint(previous * previous, score * score);
            self.open.pairs += 1.0;
        }
    }

    /// What came was normal.
    pub(super) fn settle(&mut self) {
        let keep = 1.0 - (self.open.pairs / PAIRS).min(1.0);
        let open = std::mem::take(&mut self.open);
        self.settled.products = self.settled.products * keep + open.products;
        self.settled.squares = self.settled.squares * keep + open.squares;
        self.settled.pairs = self.settled.pairs * keep + open.pairs;
    }

    /// What came was a change.
    pub(super) fn discard(&mut self) {
        self.open = Sums::default();
        self.previous = None;
    }

    /// How many readings say as much as one would that depends on none: (1 + ρ) / (1 - ρ), as of a first-order
    /// autoregression (G. V. Bayley and J. M. Hammersley, "The effective number of independent observations in an
    /// autocorrelated time series", 1946). At least 1.
    pub(super) fn readings_for_one(&self) -> f64 {
        let Sums {
            products,
            squares,
            pairs,
        } = self.settled;
        // Of what hardly ever differs nothing can be told.
        if pairs < 2.0 || squares < SQUARES_MIN * pairs {
            return 2.0;
        }
        let correlation = (products / squares + ERRORS / pairs.sqrt()).clamp(0.0, CORRELATION_MAX);
        (1.0 + correlation) / (1.0 - correlation)
    }
}
