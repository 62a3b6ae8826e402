//! Keys and values of the tokens already seen, so that a new token costs one token's work.
//!
//! Invariants: all blocks hold the same tokens; the buffers of every block have room for `reserved_tokens`
//! and grow by whole steps, so that growth is seldom and visible. `reserve`, then `append` in each block,
//! then `advance`: a forward pass that fails in between leaves the sequence as it was.

use candle_core::{DType, Device, Tensor};

use super::ModelError;
use super::config::Config;
use crate::observe;

/// Tokens by which the buffers grow.
const STEP_TOKENS: usize = 64;

/// The cache of one sequence.
#[derive(Debug)]
pub struct KvCache {
    blocks: Vec<BlockCache>,
    block_count: usize,
    tokens: usize,
    reserved_tokens: usize,
    context_tokens: usize,
    bytes_per_token: u64,
    kv_heads: usize,
    head_width: usize,
}

/// Keys and values of one block, each of shape (kv heads, reserved tokens, head width).
#[derive(Debug)]
struct BlockCache {
    keys: Tensor,
    values: Tensor,
}

impl KvCache {
    /// An empty cache that owns no memory yet.
    pub fn new(config: &Config) -> Self {
        Self {
            blocks: Vec::new(),
            block_count: config.blocks,
            tokens: 0,
            reserved_tokens: 0,
            context_tokens: config.context_tokens,
            bytes_per_token: config.kv_bytes_per_token(),
            kv_heads: config.kv_heads,
            head_width: config.head_width,
        }
    }

    /// Bytes that the sequence's tokens fill.
    pub fn used_bytes(&self) -> u64 {
        self.tokens as u64 * self.bytes_per_token
    }

    /// Bytes that the buffers take.
    pub fn reserved_bytes(&self) -> u64 {
        self.reserved_tokens as u64 * self.bytes_per_token
    }

    /// Makes room for `more` tokens in every block and returns the position of the first of them.
    pub fn reserve(&mut self, more: usize) -> Result<usize, ModelError> {
        let tokens = self.tokens + more;
        if tokens > self.context_tokens {
            return Err(ModelError::ContextFull {
                tokens,
                tokens_max: self.context_tokens,
            });
        }
        if tokens > self.reserved_tokens {
            let room = tokens
                .next_multiple_of(STEP_TOKENS)
                .min(self.context_tokens);
            self.grow(room)?;
        }
        Ok(self.tokens)
    }

    /// Adds a block's keys and values of new tokens, of shape (kv heads, new tokens, head width), after
    /// [`reserve`](Self::reserve), and returns those of the whole sequence.
    pub fn append(
        &mut self,
        index: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), ModelError> {
        let block = &self.blocks[index];
        let length = self.tokens + keys.dim(1)?;
        block.keys.slice_set(keys, 1, self.tokens)?;
        block.values.slice_set(values, 1, self.tokens)?;
        Ok((
            block.keys.narrow(1, 0, length)?,
            block.values.narrow(1, 0, length)?,
        ))
    }

    /// Counts `more` tokens as part of the sequence, once every block has appended theirs.
    pub fn advance(&mut self, more: usize) {
        self.tokens += more;
        observe::kv_cache_changed(more as i64 * self.bytes_per_token as i64, more as i64);
    }

    fn grow(&mut self, room: usize) -> Result<(), ModelError> {
        let enlarged = |old: Option<&Tensor>| -> Result<Tensor, ModelError> {
            let shape = (self.kv_heads, room, self.head_width);
            let new = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
            if let Some(old) = old {
                new.slice_set(old, 1, 0)?;
            }
            Ok(new)
        };
        self.blocks = (0..self.block_count)
            .map(|index| {
                let old = self.blocks.get(index);
                Ok(BlockCache {
                    keys: enlarged(old.map(|block| &block.keys))?,
                    values: enlarged(old.map(|block| &block.values))?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        self.reserved_tokens = room;
        Ok(())
    }
}

impl Drop for KvCache {
    fn drop(&mut self) {
        observe::kv_cache_changed(-(self.used_bytes() as i64), -(self.tokens as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_whole_steps_and_keeps_what_it_held() {
        let config = Config::tiny();
        let mut cache = KvCache::new(&config);
        assert_eq!((cache.used_bytes(), cache.reserved_bytes()), (0, 0));
        let token = |value: f32| {
            Tensor::full(value, (config.kv_heads, 1, config.head_width), &Device::Cpu).unwrap()
        };
        for step in 0..=STEP_TOKENS {
            assert_eq!(cache.reserve(1).unwrap(), step);
            for block in 0..config.blocks {
                let keys = token(step as f32);
                let (seen, _) = cache.append(block, &keys, &token(-1.0)).unwrap();
                let first_head: Vec<f32> = seen
                    .get(0)
                    .unwrap()
                    .narrow(1, 0, 1)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                let wanted: Vec<f32> = (0..=step).map(|value| value as f32).collect();
                assert_eq!(first_head, wanted);
            }
            cache.advance(1);
        }
        assert_eq!(cache.used_bytes(), 65 * config.kv_bytes_per_token());
        assert_eq!(cache.reserved_bytes(), 128 * config.kv_bytes_per_token());
    }

    #[test]
    fn a_sequence_longer_than_the_context_is_refused() {
        let config = Config::tiny();
        let mut cache = KvCache::new(&config);
        let error = cache.reserve(config.context_tokens + 1).unwrap_err();
        assert!(matches!(
            error,
            ModelError::ContextFull {
                tokens: 2_049,
                tokens_max: 2_048
            }
        ));
        assert_eq!(cache.reserve(1).unwrap(), 0);
    }
}
