//! Causal self-attention with grouped query heads (GQA) over the KV cache.
//!
//! Keys and values are never repeated for the query heads that share them: the queries of a group are stacked
//! into the rows of one product instead, which costs no copy.

use std::io::{Read, Seek};

use candle_core::quantized::QMatMul;
use candle_core::{Device, Module, Tensor};
use tracing::info_span;

use crate::observe;

use super::ModelError;
use super::cache::KvCache;
use super::config::Config;
use super::rope::Rope;
use super::weights::Weights;

/// The four matrices of one block's attention.
#[derive(Debug)]
pub struct Attention {
    query: QMatMul,
    key: QMatMul,
    value: QMatMul,
    output: QMatMul,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
}

/// Queries of shape (1, heads, tokens, head width); keys and values of (kv heads, tokens, head width).
struct Projected {
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
}

impl Attention {
    /// Takes the matrices under `prefix` from the file.
    pub fn load<R: Read + Seek>(
        config: &Config,
        weights: &mut Weights<'_, R>,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let (width, kv_width) = (config.width, config.kv_width());
        Ok(Self {
            query: weights.matrix(&format!("{prefix}.attn_q.weight"), width, width)?,
            key: weights.matrix(&format!("{prefix}.attn_k.weight"), kv_width, width)?,
            value: weights.matrix(&format!("{prefix}.attn_v.weight"), kv_width, width)?,
            output: weights.matrix(&format!("{prefix}.attn_output.weight"), width, width)?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_width: config.head_width,
        })
    }

    /// What attention adds to the hidden states of new tokens; their keys and values join the cache.
    pub fn forward(
        &self,
        hidden: &Tensor,
        rope: &Rope,
        mask: Option<&Tensor>,
        cache: &mut KvCache,
        index: usize,
    ) -> Result<Tensor, ModelError> {
        let position = cache.reserve(hidden.dim(0)?)?;
        let new = {
            let _span = info_span!("attention_projections", part = "qkv").entered();
            let _phase = observe::phase("attention_projections");
            self.project(hidden, rope, position)?
        };
        let attended = {
            let _span = info_span!("sdpa").entered();
            let _phase = observe::phase("sdpa");
            let (keys, values) = cache.append(index, &new.keys, &new.values)?;
            attend(&new.queries, &keys, &values, mask)?
        };
        let _span = info_span!("attention_projections", part = "output").entered();
        let _phase = observe::phase("attention_projections");
        Ok(self.output.forward(&attended)?)
    }

    fn project(
        &self,
        hidden: &Tensor,
        rope: &Rope,
        position: usize,
    ) -> Result<Projected, ModelError> {
        let tokens = hidden.dim(0)?;
        let split = |matrix: &QMatMul, heads: usize| -> Result<Tensor, ModelError> {
            let shape = (1, tokens, heads, self.head_width);
            let projected = matrix.forward(hidden)?.reshape(shape)?;
            Ok(projected.transpose(1, 2)?.contiguous()?)
        };
        let keys = rope.turn(&split(&self.key, self.kv_heads)?, position)?;
        Ok(Projected {
            queries: rope.turn(&split(&self.query, self.heads)?, position)?,
            keys: keys.squeeze(0)?,
            values: split(&self.value, self.kv_heads)?.squeeze(0)?,
        })
    }
}

/// Scaled dot-product attention: `softmax(q k^T / sqrt(head width) + mask) v`, of shape (tokens, width).
fn attend(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor, ModelError> {
    let (_, heads, tokens, head_width) = queries.dims4()?;
    let (kv_heads, length, _) = keys.dims3()?;
    let group = heads / kv_heads;
    let stacked = queries.reshape((kv_heads, group * tokens, head_width))?;
    let scale = 1.0 / (head_width as f64).sqrt();
    let mut scores = (stacked.matmul(&keys.transpose(1, 2)?)? * scale)?;
    if let Some(mask) = mask {
        scores = scores
            .reshape((kv_heads, group, tokens, length))?
            .broadcast_add(mask)?
            .reshape((kv_heads, group * tokens, length))?;
    }
    let attended = candle_nn::ops::softmax_last_dim(&scores)?.matmul(values)?;
    Ok(attended
        .reshape((heads, tokens, head_width))?
        .transpose(0, 1)?
        .reshape((tokens, heads * head_width))?)
}

/// Hides the tokens that follow each of `tokens` new ones, the first of which is at `position`. A single new
/// token has nothing after it and needs no mask.
pub fn causal_mask(tokens: usize, position: usize) -> Result<Option<Tensor>, ModelError> {
    if tokens <= 1 {
        return Ok(None);
    }
    let length = position + tokens;
    let mask: Vec<f32> = (position..length)
        .flat_map(|row| {
            (0..length).map(move |seen| if seen > row { f32::NEG_INFINITY } else { 0.0 })
        })
        .collect();
    Ok(Some(Tensor::from_vec(
        mask,
        (tokens, length),
        &Device::Cpu,
    )?))
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::*;
    use crate::rng::Rng;

    fn noise(rng: &mut Rng, shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Attention by the book: every query head on its own, its group's keys and values repeated for it.
    fn by_the_book(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Tensor {
        let (_, heads, _, width) = q.dims4().unwrap();
        let group = heads / k.dim(0).unwrap();
        let per_head: Vec<Tensor> = (0..heads)
            .map(|head| {
                let query = q.get(0).unwrap().get(head).unwrap();
                let keys = k.get(head / group).unwrap().contiguous().unwrap();
                let values = v.get(head / group).unwrap().contiguous().unwrap();
                let scores =
                    (query.matmul(&keys.t().unwrap()).unwrap() / (width as f64).sqrt()).unwrap();
                let scores = (scores + mask).unwrap();
                let weights = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
                weights.matmul(&values).unwrap()
            })
            .collect();
        Tensor::cat(&per_head, 1).unwrap()
    }

    #[test]
    fn grouped_heads_attend_as_if_keys_were_repeated() {
        let mut rng = Rng::new(11);
        for (heads, kv_heads, tokens, seen) in
            [(9, 3, 5, 7), (4, 4, 3, 0), (6, 1, 4, 2), (2, 2, 1, 6)]
        {
            let (width, length) = (8, seen + tokens);
            let q = noise(&mut rng, &[1, heads, tokens, width]);
            let k = noise(&mut rng, &[kv_heads, length, width]);
            let v = noise(&mut rng, &[kv_heads, length, width]);
            let mask = causal_mask(tokens, seen).unwrap();
            let ours = attend(&q, &k, &v, mask.as_ref()).unwrap();
            assert_eq!(ours.dims(), [tokens, heads * width]);
            let mask = mask.unwrap_or_else(|| {
                Tensor::zeros((tokens, length), candle_core::DType::F32, &Device::Cpu).unwrap()
            });
            let difference = (ours - by_the_book(&q, &k, &v, &mask))
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(
                difference < 1e-5,
                "{heads} heads over {kv_heads}: {difference}"
            );
        }
    }

    #[test]
    fn the_mask_hides_the_future_only() {
        let mask = causal_mask(2, 1).unwrap().unwrap();
        let hidden = f32::NEG_INFINITY;
        assert_eq!(
            mask.to_vec2::<f32>().unwrap(),
            [[0.0, 0.0, hidden], [0.0, 0.0, 0.0]]
        );
        assert!(causal_mask(1, 5).unwrap().is_none());
    }
}
