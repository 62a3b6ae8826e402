//! Choosing the next token from the model's logits: temperature, then nucleus (top-p), then a seeded draw.
//!
//! Invariant: the same seed and the same logits give the same token on every machine whose logits agree.

use crate::rng::Rng;

/// Temperature and nucleus that SmolLM2's model card recommends for the instruct models.
const TEMPERATURE: f32 = 0.2;
const TOP_P: f32 = 0.9;

/// Tokens whose weight is below e^-20 of the best one are left out before sorting: all 49,152 of them
/// together would weigh 1e-4, and sorting the whole vocabulary for each token would cost milliseconds.
const EXPONENT_MIN: f32 = -20.0;

/// Draws tokens for one answer.
#[derive(Debug)]
pub struct Sampler {
    temperature: f32,
    top_p: f32,
    rng: Rng,
    /// (token, weight relative to the best token), kept between draws to reuse its memory.
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    /// A sampler with the settings that the demo uses for every answer.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, TEMPERATURE, TOP_P)
    }

    /// A sampler with its own temperature (above 0) and nucleus (0 to 1).
    pub fn with(seed: u64, temperature: f32, top_p: f32) -> Self {
        Self {
            temperature,
            top_p,
            rng: Rng::new(seed),
            candidates: Vec::new(),
        }
    }

    /// The next token, or `None` when no logit is a finite number.
    pub fn pick(&mut self, logits: &[f32]) -> Option<u32> {
        let best = logits
            .iter()
            .copied()
            .filter(|logit| logit.is_finite())
            .max_by(f32::total_cmp)?;
        self.candidates.clear();
        for (token, logit) in logits.iter().enumerate() {
            let exponent = (logit - best) / self.temperature;
            if exponent >= EXPONENT_MIN && logit.is_finite() {
                self.candidates.push((token as u32, exponent.exp()));
            }
        }
        self.candidates
            .sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Some(self.draw())
    }

    /// Draws from the smallest set of best candidates that holds `top_p` of the weight.
    fn draw(&mut self) -> u32 {
        let total: f32 = self.candidates.iter().map(|(_, weight)| weight).sum();
        let nucleus = total * self.top_p;
        let mut kept = 0.0;
        let mut count = 0;
        for (_, weight) in &self.candidates {
            kept += weight;
            count += 1;
            if kept >= nucleus {
                break;
            }
        }
        let mut left = self.rng.unit() * kept;
        for (token, weight) in &self.candidates[..count] {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        // Rounding can leave a crumb: it belongs to the last candidate of the nucleus.
        self.candidates[count - 1].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_tokens() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut sampler = Sampler::with(seed, 1.0, 0.95);
            (0..50).map(|_| sampler.pick(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn a_cold_sampler_takes_the_best_token() {
        let mut sampler = Sampler::with(1, 0.001, 1.0);
        assert_eq!(sampler.pick(&[0.1, 3.0, 2.9, -5.0]), Some(1));
    }

    #[test]
    fn tokens_outside_the_nucleus_are_never_drawn() {
        // Weights 0.7, 0.2, 0.1: a nucleus of 0.75 is the first two.
        let logits = [0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
        let mut sampler = Sampler::with(9, 1.0, 0.75);
        let mut seen = [0u32; 3];
        for _ in 0..2_000 {
            seen[sampler.pick(&logits).unwrap() as usize] += 1;
        }
        assert_eq!(seen[2], 0);
        let share = seen[0] as f32 / 2_000.0;
        assert!((share - 7.0 / 9.0).abs() < 0.04, "share {share}");
    }

    #[test]
    fn logits_that_are_not_numbers_are_passed_over() {
        let mut sampler = Sampler::new(1);
        assert_eq!(
            sampler.pick(&[f32::NAN, 1.0, f32::NEG_INFINITY, f32::INFINITY]),
            Some(1)
        );
        assert_eq!(sampler.pick(&[f32::NAN, f32::NAN]), None);
        assert_eq!(sampler.pick(&[]), None);
    }
}
