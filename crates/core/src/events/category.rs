//! Four words for how long an operation took.

use std::time::Duration;

/// How long an operation took, in the words of the GPU design note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DurationCategory {
    /// Less than 1 ms.
    Fast,
    /// From 1 ms to less than 10 ms.
    Normal,
    /// From 10 ms to 100 ms.
    Slow,
    /// More than 100 ms.
    VerySlow,
}

impl DurationCategory {
    /// Every category, fastest first.
    pub const ALL: [Self; 4] = [Self::Fast, Self::Normal, Self::Slow, Self::VerySlow];

    /// The category of `duration`.
    pub const fn of(duration: Duration) -> Self {
        match duration.as_nanos() {
            0..1_000_000 => Self::Fast,
            1_000_000..10_000_000 => Self::Normal,
            10_000_000..=100_000_000 => Self::Slow,
            _ => Self::VerySlow,
        }
    }

    /// The words that people read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fast => "Fast",
            Self::Normal => "Normal",
            Self::Slow => "Slow",
            Self::VerySlow => "Very Slow",
        }
    }
}

/// How many operations fell into each category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationDistribution([u64; 4]);

impl DurationDistribution {
    /// Counts one operation.
    pub const fn add(&mut self, duration: Duration) {
        self.0[DurationCategory::of(duration) as usize] += 1;
    }

    /// Operations in `category`.
    pub const fn count(&self, category: DurationCategory) -> u64 {
        self.0[category as usize]
    }

    /// Operations in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_fall_where_the_words_say() {
        let at = |micros| DurationCategory::of(Duration::from_micros(micros)).label();
        assert_eq!(
            [
                at(999),
                at(1000),
                at(9999),
                at(10_000),
                at(100_000),
                at(100_001)
            ],
            ["Fast", "Normal", "Normal", "Slow", "Slow", "Very Slow"]
        );
        let mut distribution = DurationDistribution::default();
        for micros in [1, 2, 5000, 200_000] {
            distribution.add(Duration::from_micros(micros));
        }
        let counts = DurationCategory::ALL.map(|category| distribution.count(category));
        assert_eq!((counts, distribution.total()), ([2, 1, 0, 1], 4));
    }
}
