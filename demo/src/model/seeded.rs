//! `--model tiny`: a GGUF file with seeded random weights, made in memory.
//!
//! It goes through the same reader, the same forward pass and the same report as the real one, so that the
//! demo and its tests run where nothing can be fetched. It has learnt nothing and says nothing.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::ModelError;
use super::config::Config;
use crate::rng::Rng;

/// Makes a model of the given dimensions with matrices stored as `encoding`, as the bytes of a GGUF file.
pub fn tiny_gguf(config: &Config, seed: u64, encoding: GgmlDType) -> Result<Vec<u8>, ModelError> {
    let mut rng = Rng::new(seed);
    let mut tensors = Vec::new();
    for (name, shape) in shapes(config) {
        tensors.push((name, random(&mut rng, &shape, encoding)?));
    }
    let metadata = metadata(config);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors)?;
    Ok(file.into_inner())
}

/// The names and shapes of a Llama model whose output is tied to its embedding.
fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (width, kv_width, inner) = (config.width, config.kv_width(), config.mlp_width);
    let mut shapes = vec![
        (
            "token_embd.weight".to_owned(),
            vec![config.vocabulary, width],
        ),
        ("output_norm.weight".to_owned(), vec![width]),
    ];
    for block in 0..config.blocks {
        let parts: [(&str, Vec<usize>); 9] = [
            ("attn_norm", vec![width]),
            ("attn_q", vec![width, width]),
            ("attn_k", vec![kv_width, width]),
            ("attn_v", vec![kv_width, width]),
            ("attn_output", vec![width, width]),
            ("ffn_norm", vec![width]),
            ("ffn_gate", vec![inner, width]),
            ("ffn_up", vec![inner, width]),
            ("ffn_down", vec![width, inner]),
        ];
        shapes.extend(
            parts
                .into_iter()
                .map(|(part, shape)| (format!("blk.{block}.{part}.weight"), shape)),
        );
    }
    shapes
}

/// Matrices are scaled by their inputs so that values neither fade nor explode from block to block; norms
/// start at one, as they do before training.
fn random(rng: &mut Rng, shape: &[usize], encoding: GgmlDType) -> Result<QTensor, ModelError> {
    let [rows, columns] = shape else {
        let ones = Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu)?;
        return Ok(QTensor::quantize(&ones, GgmlDType::F32)?);
    };
    let scale = 1.0 / (*columns as f32).sqrt();
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.normal() * scale).collect();
    let tensor = Tensor::from_vec(values, (*rows, *columns), &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, encoding)?)
}

fn metadata(config: &Config) -> Vec<(&'static str, Value)> {
    let count = |value: usize| Value::U32(value as u32);
    vec![
        ("general.architecture", Value::String("llama".to_owned())),
        ("general.name", Value::String("tiny".to_owned())),
        ("llama.block_count", count(config.blocks)),
        ("llama.context_length", count(config.context_tokens)),
        ("llama.embedding_length", count(config.width)),
        ("llama.feed_forward_length", count(config.mlp_width)),
        ("llama.attention.head_count", count(config.heads)),
        ("llama.attention.head_count_kv", count(config.kv_heads)),
        ("llama.rope.dimension_count", count(config.head_width)),
        ("llama.rope.freq_base", Value::F32(config.rope_base)),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::F32(config.norm_epsilon),
        ),
        ("tokenizer.ggml.model", Value::String("bytes".to_owned())),
    ]
}
