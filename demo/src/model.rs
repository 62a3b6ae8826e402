//! A Llama-architecture language model, written with candle's operations and instrumented as a user would.
//!
//! The forward pass is spelled out so that every part of it is a span: `embedding`, `forward` with one
//! `block` per layer (its `attention_projections`, `sdpa` and `mlp` inside), and `output`. One sequence at a
//! time, hidden states of shape (tokens, width), on the CPU.
//!
//! Invariants: a [`Model`] never changes after loading and is shared by the workers; everything that grows
//! with a sequence is in its [`KvCache`]. Feeding a sequence in pieces gives the logits of feeding it whole.

mod attention;
mod cache;
mod config;
mod mlp;
mod norm;
mod rope;
mod seeded;
mod weights;

use std::io::{Read, Seek};

use candle_core::quantized::QMatMul;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Module, Tensor};
use tracing::info_span;

use crate::observe;

pub use cache::KvCache;
pub use config::Config;
pub use seeded::tiny_gguf;
pub use weights::Footprint;

use attention::Attention;
use mlp::Mlp;
use norm::Norm;
use rope::Rope;
use weights::Weights;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The header lacks something that a Llama model must have.
    #[error(
        "the GGUF header has no usable `{key}`: this file is not a Llama model that the demo can run"
    )]
    Metadata {
        /// The metadata key.
        key: String,
    },
    /// The header says something that this forward pass does not do.
    #[error("the GGUF header says {key} = {value}, but the demo runs only {wanted}")]
    Unsupported {
        /// The metadata key, or what was derived from it.
        key: &'static str,
        /// What the file says.
        value: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// A weight has another shape than the header's dimensions ask for.
    #[error("tensor `{name}` has shape {found:?} where the header's dimensions ask for {wanted:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that would fit.
        wanted: Vec<usize>,
    },
    /// The sequence does not fit the context.
    #[error(
        "the sequence would be {tokens} tokens long, and the context holds {tokens_max}: use a shorter prompt or fewer --max-tokens"
    )]
    ContextFull {
        /// Tokens that the sequence would have.
        tokens: usize,
        /// Tokens that the context holds.
        tokens_max: usize,
    },
    /// The model produced no finite logit.
    #[error("the model's output holds no finite number: the weights are damaged")]
    NotFinite,
    /// candle refused an operation or could not read the file.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

/// The weights and the forward pass.
#[derive(Debug)]
pub struct Model {
    config: Config,
    embedding: QMatMul,
    blocks: Vec<Block>,
    norm: Norm,
    output: QMatMul,
    rope: Rope,
    footprint: Footprint,
}

/// One transformer layer: attention and MLP, each behind a norm and around a residual.
#[derive(Debug)]
struct Block {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Mlp,
}

impl Model {
    /// Loads the weights that `header` describes from the file it was read from.
    pub fn load<R: Read + Seek>(header: &Content, file: &mut R) -> Result<Self, ModelError> {
        let config = Config::from_gguf(header)?;
        let mut weights = Weights::new(header, file);
        let (width, vocabulary) = (config.width, config.vocabulary);
        let embedding = weights.matrix("token_embd.weight", vocabulary, width)?;
        // A file without an output matrix ties it to the embedding; the two then share memory.
        let output = if header.tensor_infos.contains_key("output.weight") {
            weights.matrix("output.weight", vocabulary, width)?
        } else {
            embedding.clone()
        };
        let blocks = (0..config.blocks)
            .map(|index| Block::load(&config, &mut weights, index))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            embedding,
            blocks,
            norm: Norm::load(&mut weights, "output_norm.weight", &config)?,
            output,
            rope: Rope::new(&config)?,
            footprint: weights.footprint(),
            config,
        })
    }

    /// The dimensions of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the bytes of the weights went.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// An empty cache for one sequence of this model.
    pub fn cache(&self) -> KvCache {
        KvCache::new(&self.config)
    }

    /// Appends `tokens` to the sequence in `cache` and returns the logits of what follows the last one.
    ///
    /// `tokens` must not be empty.
    pub fn forward(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let position = cache.reserve(tokens.len())?;
        let mut hidden = {
            let _span = info_span!("embedding", tokens = tokens.len()).entered();
            let _phase = observe::phase("embedding");
            let ids = Tensor::new(tokens, &Device::Cpu)?;
            self.embedding.embedding(&ids)?
        };
        {
            let _span = info_span!("forward", tokens = tokens.len(), position).entered();
            let _phase = observe::phase("forward");
            let mask = attention::causal_mask(tokens.len(), position)?;
            for (index, block) in self.blocks.iter().enumerate() {
                let _span = info_span!("block", index).entered();
                let _phase = observe::block(index);
                hidden = block.forward(&hidden, &self.rope, mask.as_ref(), cache, index)?;
            }
        }
        cache.advance(tokens.len());
        let _span = info_span!("output").entered();
        let _phase = observe::phase("output");
        let last = hidden.narrow(0, tokens.len() - 1, 1)?.contiguous()?;
        let logits = self.output.forward(&self.norm.forward(&last)?)?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }
}

impl Block {
    fn load<R: Read + Seek>(
        config: &Config,
        weights: &mut Weights<'_, R>,
        index: usize,
    ) -> Result<Self, ModelError> {
        let prefix = format!("blk.{index}");
        Ok(Self {
            attention_norm: Norm::load(weights, &format!("{prefix}.attn_norm.weight"), config)?,
            attention: Attention::load(config, weights, &prefix)?,
            mlp_norm: Norm::load(weights, &format!("{prefix}.ffn_norm.weight"), config)?,
            mlp: Mlp::load(config, weights, &prefix)?,
        })
    }

    fn forward(
        &self,
        hidden: &Tensor,
        rope: &Rope,
        mask: Option<&Tensor>,
        cache: &mut KvCache,
        index: usize,
    ) -> Result<Tensor, ModelError> {
        let normed = self.attention_norm.forward(hidden)?;
        let attended = self.attention.forward(&normed, rope, mask, cache, index)?;
        let hidden = (hidden + attended)?;
        let normed = self.mlp_norm.forward(&hidden)?;
        Ok((&hidden + self.mlp.forward(&normed)?)?)
    }
}

#[cfg(test)]
mod tests;
