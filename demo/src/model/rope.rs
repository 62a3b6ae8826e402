//! Rotary position embedding: pairs of a head's values are turned by an angle that grows with the position,
//! so that the product of a query and a key depends only on how far apart they are (Su et al., 2021).
//!
//! GGUF files of the Llama architecture store query and key rows permuted so that a pair is two neighbours
//! (llama.cpp's NORM order), which is candle's interleaved `rope_i`.

use candle_core::{Device, Tensor};

use super::ModelError;
use super::config::Config;

/// Cosines and sines of every position and pair, each of shape (positions, head width / 2).
#[derive(Debug)]
pub struct Rope {
    cosines: Tensor,
    sines: Tensor,
}

impl Rope {
    /// Tabulates the angles `position / base^(2 pair / head width)` for the whole context.
    pub fn new(config: &Config) -> Result<Self, ModelError> {
        let pairs = config.head_width / 2;
        let angles: Vec<f32> = (0..config.context_tokens)
            .flat_map(|position| {
                (0..pairs).map(move |pair| {
                    let exponent = 2.0 * pair as f64 / config.head_width as f64;
                    (position as f64 / f64::from(config.rope_base).powf(exponent)) as f32
                })
            })
            .collect();
        let angles = Tensor::from_vec(angles, (config.context_tokens, pairs), &Device::Cpu)?;
        Ok(Self {
            cosines: angles.cos()?,
            sines: angles.sin()?,
        })
    }

    /// Turns `heads`, of shape (1, heads, tokens, head width), whose first token is at `position`.
    pub fn turn(&self, heads: &Tensor, position: usize) -> Result<Tensor, ModelError> {
        let tokens = heads.dim(2)?;
        let cosines = self.cosines.narrow(0, position, tokens)?;
        let sines = self.sines.narrow(0, position, tokens)?;
        Ok(candle_nn::rotary_emb::rope_i(heads, &cosines, &sines)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rope() -> Rope {
        Rope::new(&Config::tiny()).unwrap()
    }

    fn head(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, 1, 1, values.len()), &Device::Cpu).unwrap()
    }

    fn product(a: &Tensor, b: &Tensor) -> f32 {
        (a * b).unwrap().sum_all().unwrap().to_scalar().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The reason to use it: moving a query and a key together does not change their product.
        #[test]
        fn a_score_depends_only_on_the_distance(
            query in prop::collection::vec(-2.0f32..2.0, 16),
            key in prop::collection::vec(-2.0f32..2.0, 16),
            position in 0usize..400,
            distance in 0usize..200,
            shift in 1usize..400,
        ) {
            let rope = rope();
            let (query, key) = (head(&query), head(&key));
            let score = |at: usize| {
                product(
                    &rope.turn(&query, at + distance).unwrap(),
                    &rope.turn(&key, at).unwrap(),
                )
            };
            let (here, there) = (score(position), score(position + shift));
            prop_assert!((here - there).abs() < 2e-3, "{here} against {there}");
        }

        #[test]
        fn turning_keeps_the_length(values in prop::collection::vec(-2.0f32..2.0, 16), position in 0usize..1000) {
            let head = head(&values);
            let turned = rope().turn(&head, position).unwrap();
            prop_assert!((product(&head, &head) - product(&turned, &turned)).abs() < 1e-3);
        }
    }

    #[test]
    fn position_zero_is_left_as_it_is() {
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let turned = rope().turn(&head(&values), 0).unwrap();
        assert_eq!(
            turned.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            values
        );
    }
}
