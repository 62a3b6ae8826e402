//! The forward pass as a whole: determinism, the cache against none, and files that do not fit.

use std::io::Cursor;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};

use super::*;

const PROMPT: [u32; 12] = [257, 72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100];

fn tiny(seed: u64, encoding: GgmlDType) -> Model {
    let bytes = tiny_gguf(&Config::tiny(), seed, encoding).unwrap();
    load(&bytes).unwrap()
}

fn load(bytes: &[u8]) -> Result<Model, ModelError> {
    let mut file = Cursor::new(bytes);
    let header = Content::read(&mut file)?;
    Model::load(&header, &mut file)
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn the_same_seed_gives_the_same_logits_and_another_seed_others() {
    let logits = |seed| {
        let model = tiny(seed, GgmlDType::Q8_0);
        model.forward(&PROMPT, &mut model.cache()).unwrap()
    };
    assert_eq!(logits(1), logits(1));
    assert!(difference(&logits(1), &logits(2)) > 0.01);
}

#[test]
fn the_dimensions_survive_the_file() {
    let model = tiny(1, GgmlDType::Q4_0);
    assert_eq!(model.config(), &Config::tiny());
    let tensors: u64 = model.footprint().tensors.iter().map(|row| row.bytes).sum();
    assert_eq!(tensors, model.footprint().bytes);
    assert_eq!(model.footprint().tensors.len(), 2 + 4 * 9);
}

#[test]
fn token_by_token_gives_the_logits_of_the_whole() {
    for (encoding, tolerance) in [
        (GgmlDType::F32, 1e-4),
        (GgmlDType::Q8_0, 1e-3),
        (GgmlDType::Q4_0, 1e-3),
    ] {
        let model = tiny(5, encoding);
        let mut cache = model.cache();
        for length in 1..=PROMPT.len() {
            let stepped = model
                .forward(&PROMPT[length - 1..length], &mut cache)
                .unwrap();
            let whole = model
                .forward(&PROMPT[..length], &mut model.cache())
                .unwrap();
            let difference = difference(&stepped, &whole);
            assert!(
                difference < tolerance,
                "{encoding:?}, {length} tokens: {difference}"
            );
        }
        assert_eq!(cache.used_bytes(), 12 * model.config().kv_bytes_per_token());
    }
}

#[test]
fn prefill_in_two_pieces_across_a_growth_step_changes_nothing() {
    let model = tiny(5, GgmlDType::F32);
    let tokens: Vec<u32> = (0..100).map(|i| i * 7 % 256).collect();
    let mut cache = model.cache();
    model.forward(&tokens[..61], &mut cache).unwrap();
    let pieces = model.forward(&tokens[61..], &mut cache).unwrap();
    let whole = model.forward(&tokens, &mut model.cache()).unwrap();
    assert!(difference(&pieces, &whole) < 1e-4);
}

#[test]
fn order_matters_to_the_model() {
    let model = tiny(5, GgmlDType::F32);
    let mut swapped = PROMPT;
    swapped.swap(2, 9);
    let straight = model.forward(&PROMPT, &mut model.cache()).unwrap();
    let swapped = model.forward(&swapped, &mut model.cache()).unwrap();
    assert!(
        difference(&straight, &swapped) > 1e-3,
        "positions are not encoded"
    );
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error() {
    let model = tiny(5, GgmlDType::F32);
    assert!(model.forward(&[1_000_000], &mut model.cache()).is_err());
}

/// Loads the tiny model after `change` had its way with the header.
fn load_changed(change: impl FnOnce(&mut Content)) -> ModelError {
    let bytes = tiny_gguf(&Config::tiny(), 1, GgmlDType::F32).unwrap();
    let mut file = Cursor::new(&bytes);
    let mut header = Content::read(&mut file).unwrap();
    change(&mut header);
    Model::load(&header, &mut file).unwrap_err()
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_reason() {
    let set = |key: &'static str, value: Value| {
        load_changed(move |header| {
            header.metadata.insert(key.to_owned(), value);
        })
        .to_string()
    };
    insta::assert_snapshot!(
        set("general.architecture", Value::String("gpt2".to_owned())),
        @"the GGUF header says general.architecture = gpt2, but the demo runs only llama"
    );
    insta::assert_snapshot!(
        set("llama.attention.head_count_kv", Value::U32(3)),
        @"the GGUF header says llama.attention.head_count_kv = 3, but the demo runs only a number that divides the number of heads"
    );
    insta::assert_snapshot!(
        set("llama.attention.head_count", Value::U32(0)),
        @"the GGUF header has no usable `llama.attention.head_count`: this file is not a Llama model that the demo can run"
    );
    insta::assert_snapshot!(
        set("llama.feed_forward_length", Value::U32(96)),
        @"tensor `blk.0.ffn_gate.weight` has shape [192, 64] where the header's dimensions ask for [96, 64]"
    );
}

#[test]
fn a_file_cut_short_is_an_error() {
    let bytes = tiny_gguf(&Config::tiny(), 1, GgmlDType::F32).unwrap();
    for length in [0, 3, 20, 500, bytes.len() / 2, bytes.len() - 200] {
        assert!(load(&bytes[..length]).is_err(), "{length} bytes");
    }
}
