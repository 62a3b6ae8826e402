//! The dimensions of a Llama model, as its GGUF header gives them.

use candle_core::quantized::gguf_file::{Content, Value};

use super::ModelError;

/// Longest sequence that the demo prepares position tables and caches for. SmolLM2 could go to 8,192; the
/// demo's prompts and answers stay far below either.
const CONTEXT_TOKENS_MAX: usize = 2_048;

/// The dimensions of a model. Every field is checked to fit the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Transformer layers.
    pub blocks: usize,
    /// Values in one token's hidden state.
    pub width: usize,
    /// Attention heads of the queries.
    pub heads: usize,
    /// Attention heads of keys and values; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Values in one head.
    pub head_width: usize,
    /// Values between the MLP's matrices.
    pub mlp_width: usize,
    /// Tokens that the model knows.
    pub vocabulary: usize,
    /// Longest sequence that the demo runs.
    pub context_tokens: usize,
    /// Base of the rotary embedding's angles.
    pub rope_base: f32,
    /// Added under the root of RMSNorm.
    pub norm_epsilon: f32,
}

impl Config {
    /// Reads and checks the dimensions in a GGUF header.
    pub fn from_gguf(header: &Content) -> Result<Self, ModelError> {
        let architecture = text(header, "general.architecture")?;
        if architecture != "llama" {
            return Err(ModelError::Unsupported {
                key: "general.architecture",
                value: architecture.to_owned(),
                wanted: "llama",
            });
        }
        let width = count(header, "llama.embedding_length")?;
        let heads = count(header, "llama.attention.head_count")?;
        let config = Self {
            blocks: count(header, "llama.block_count")?,
            width,
            heads,
            kv_heads: count(header, "llama.attention.head_count_kv")?,
            head_width: width / heads,
            mlp_width: count(header, "llama.feed_forward_length")?,
            vocabulary: vocabulary(header)?,
            context_tokens: count(header, "llama.context_length")?.min(CONTEXT_TOKENS_MAX),
            rope_base: number(header, "llama.rope.freq_base").unwrap_or(10_000.0),
            norm_epsilon: number(header, "llama.attention.layer_norm_rms_epsilon")?,
        };
        config.check(header)?;
        Ok(config)
    }

    /// The dimensions of `--model tiny`: four blocks over bytes and three markers.
    pub fn tiny() -> Self {
        Self {
            blocks: 4,
            width: 64,
            heads: 4,
            kv_heads: 2,
            head_width: 16,
            mlp_width: 192,
            vocabulary: 259,
            context_tokens: CONTEXT_TOKENS_MAX,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
        }
    }

    /// Values in the keys (or the values) of one token in one block.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Bytes that one token adds to the KV cache: keys and values of every block as `f32`.
    pub fn kv_bytes_per_token(&self) -> u64 {
        (2 * self.blocks * self.kv_width() * size_of::<f32>()) as u64
    }

    fn check(&self, header: &Content) -> Result<(), ModelError> {
        let unsupported = |key, value: usize, wanted| {
            Err(ModelError::Unsupported {
                key,
                value: value.to_string(),
                wanted,
            })
        };
        if self.head_width * self.heads != self.width || !self.head_width.is_multiple_of(2) {
            return unsupported(
                "llama.attention.head_count",
                self.heads,
                "a number of heads that divides the width into even parts",
            );
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return unsupported(
                "llama.attention.head_count_kv",
                self.kv_heads,
                "a number that divides the number of heads",
            );
        }
        let rotated = count(header, "llama.rope.dimension_count").unwrap_or(self.head_width);
        if rotated != self.head_width {
            return unsupported("llama.rope.dimension_count", rotated, "whole heads");
        }
        Ok(())
    }
}

fn value<'a>(header: &'a Content, key: &str) -> Result<&'a Value, ModelError> {
    header.metadata.get(key).ok_or_else(|| missing(key))
}

fn missing(key: &str) -> ModelError {
    ModelError::Metadata {
        key: key.to_owned(),
    }
}

fn text<'a>(header: &'a Content, key: &str) -> Result<&'a str, ModelError> {
    let text = value(header, key)?.to_string();
    text.map(String::as_str).map_err(|_| missing(key))
}

fn number(header: &Content, key: &str) -> Result<f32, ModelError> {
    value(header, key)?.to_f32().map_err(|_| missing(key))
}

/// A positive whole number small enough to multiply with its like.
fn count(header: &Content, key: &str) -> Result<usize, ModelError> {
    value(header, key)?
        .to_u64()
        .ok()
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0)
        .map(|count| count as usize)
        .ok_or_else(|| missing(key))
}

/// The vocabulary is as long as the embedding has rows: every file has that, and not every file the key.
fn vocabulary(header: &Content) -> Result<usize, ModelError> {
    header
        .tensor_infos
        .get("token_embd.weight")
        .and_then(|info| info.shape.dims().first().copied())
        .ok_or_else(|| missing("token_embd.weight"))
}
