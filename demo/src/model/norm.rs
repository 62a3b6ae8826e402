//! RMSNorm: each token's hidden state scaled to unit root-mean-square, then by a learnt weight.

use std::io::{Read, Seek};

use candle_core::Tensor;

use super::ModelError;
use super::config::Config;
use super::weights::Weights;

/// One normalisation with its learnt weight.
#[derive(Debug)]
pub struct Norm {
    weight: Tensor,
    epsilon: f32,
}

impl Norm {
    /// Takes the weight `name` from the file.
    pub fn load<R: Read + Seek>(
        weights: &mut Weights<'_, R>,
        name: &str,
        config: &Config,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.vector(name, config.width)?,
            epsilon: config.norm_epsilon,
        })
    }

    /// `x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension.
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        Ok(candle_nn::ops::rms_norm(
            hidden,
            &self.weight,
            self.epsilon,
        )?)
    }
}
