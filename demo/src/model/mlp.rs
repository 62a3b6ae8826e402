//! The feed-forward half of a block: SwiGLU, `down(silu(gate(x)) * up(x))`.

use std::io::{Read, Seek};

use candle_core::quantized::QMatMul;
use candle_core::{Module, Tensor};
use tracing::info_span;

use crate::observe;

use super::ModelError;
use super::config::Config;
use super::weights::Weights;

/// The three matrices of one block's MLP.
#[derive(Debug)]
pub struct Mlp {
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

impl Mlp {
    /// Takes the matrices under `prefix` from the file.
    pub fn load<R: Read + Seek>(
        config: &Config,
        weights: &mut Weights<'_, R>,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (config.width, config.mlp_width);
        Ok(Self {
            gate: weights.matrix(&format!("{prefix}.ffn_gate.weight"), inner, width)?,
            up: weights.matrix(&format!("{prefix}.ffn_up.weight"), inner, width)?,
            down: weights.matrix(&format!("{prefix}.ffn_down.weight"), width, inner)?,
        })
    }

    /// What the MLP adds to the hidden states.
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let _span = info_span!("mlp").entered();
        let _phase = observe::phase("mlp");
        let gate = self.gate.forward(hidden)?.silu()?;
        let up = self.up.forward(hidden)?;
        Ok(self.down.forward(&(gate * up)?)?)
    }
}
