//! Text to tokens and back: byte-level BPE from a GGUF header, or plain bytes for the tiny model.
//!
//! Invariants: markers such as `<|im_end|>` enter a prompt only from the chat template, never from what a
//! person typed; every token decodes to bytes, and [`TextStream`] turns any run of them into valid text.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

/// Markers of the chat template, and the one that ends a document.
const MESSAGE_START: &str = "<|im_start|>";
const MESSAGE_END: &str = "<|im_end|>";
const DOCUMENT_END: &str = "<|endoftext|>";

/// `tokenizer.ggml.token_type` of tokens that are markers (llama.cpp's `LLAMA_TOKEN_TYPE_CONTROL`).
const TOKEN_TYPE_MARKER: i32 = 3;

/// Why a tokenizer could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The header lacks a part of the tokenizer.
    #[error("the GGUF header has no usable `{0}`, so the demo cannot tell words from tokens")]
    Metadata(&'static str),
    /// The header names a kind of tokenizer that the demo does not know.
    #[error("the tokenizer is of kind `{0}`, and the demo knows only gpt2 (byte-level BPE)")]
    Kind(String),
    /// The vocabulary lacks a marker of the chat template.
    #[error("the vocabulary has no `{0}`: the demo needs a model with SmolLM2's chat template")]
    Marker(&'static str),
    /// The vocabulary and the merges do not fit each other, or a text cannot be encoded.
    #[error("tokenizers: {0}")]
    Tokenizers(String),
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct Tokenizer {
    encoder: Encoder,
    /// The bytes of every token, by id; empty for markers.
    bytes: Vec<Box<[u8]>>,
    message_start: u32,
    message_end: u32,
    document_end: u32,
}

#[derive(Debug)]
enum Encoder {
    Bpe(Box<tokenizers::Tokenizer>),
    Bytes,
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF header describes.
    pub fn from_gguf(header: &Content) -> Result<Self, TokenizerError> {
        let kind = header
            .metadata
            .get("tokenizer.ggml.model")
            .and_then(|value| value.to_string().ok())
            .ok_or(TokenizerError::Metadata("tokenizer.ggml.model"))?;
        match kind.as_str() {
            "gpt2" => Self::bpe(header),
            "bytes" => Ok(Self::bytes()),
            other => Err(TokenizerError::Kind(other.to_owned())),
        }
    }

    /// Tokens 0 to 255 are bytes, and the three markers follow.
    pub fn bytes() -> Self {
        let mut bytes: Vec<Box<[u8]>> = (0..=255u8).map(|byte| Box::from([byte])).collect();
        bytes.resize(259, Box::from([]));
        Self {
            encoder: Encoder::Bytes,
            bytes,
            document_end: 256,
            message_start: 257,
            message_end: 258,
        }
    }

    /// The prompt that asks the model to answer one message.
    pub fn chat(&self, message: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = vec![self.message_start];
        tokens.extend(self.encode(&format!("user\n{message}"))?);
        tokens.push(self.message_end);
        tokens.extend(self.encode("\n")?);
        tokens.push(self.message_start);
        tokens.extend(self.encode("assistant\n")?);
        Ok(tokens)
    }

    /// The tokens of a text, whatever it contains; never a marker.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.encoder {
            Encoder::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Encoder::Bpe(inner) => inner
                .encode_fast(text, false)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| TokenizerError::Tokenizers(error.to_string())),
        }
    }

    /// The bytes of a token: a piece of UTF-8 that may end inside a character; empty for a marker.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Whether a token says that the answer is complete.
    pub fn ends_answer(&self, token: u32) -> bool {
        token == self.message_end || token == self.document_end
    }

    fn bpe(header: &Content) -> Result<Self, TokenizerError> {
        let words = strings(header, "tokenizer.ggml.tokens")?;
        let types = array(header, "tokenizer.ggml.token_type")?;
        let ids: HashMap<&str, u32> = words.iter().copied().zip(0..).collect();
        let marker = |text| ids.get(text).copied().ok_or(TokenizerError::Marker(text));
        let from_letters = byte_of_letter();
        let bytes = words
            .iter()
            .enumerate()
            .map(|(index, word)| {
                if types.get(index).is_some_and(is_marker) {
                    return Box::from([]);
                }
                word.chars()
                    .filter_map(|letter| from_letters.get(&letter).copied())
                    .collect()
            })
            .collect();
        Ok(Self {
            encoder: Encoder::Bpe(Box::new(encoder(header, &words)?)),
            bytes,
            message_start: marker(MESSAGE_START)?,
            message_end: marker(MESSAGE_END)?,
            document_end: marker(DOCUMENT_END)?,
        })
    }
}

fn is_marker(token_type: &Value) -> bool {
    token_type
        .to_i32()
        .is_ok_and(|kind| kind == TOKEN_TYPE_MARKER)
}

/// Byte-level BPE with SmolLM's splitting: digits one by one, then GPT-2's pattern.
fn encoder(header: &Content, words: &[&str]) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let merges = strings(header, "tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| merge.split_once(' '))
        .map(|pair| pair.map(|(left, right)| (left.to_owned(), right.to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or(TokenizerError::Metadata("tokenizer.ggml.merges"))?;
    let vocabulary: Vec<(String, u32)> = words
        .iter()
        .map(|word| (*word).to_owned())
        .zip(0..)
        .collect();
    let bpe = BPE::builder()
        .vocab_and_merges(
            vocabulary
                .into_iter()
                .collect::<tokenizers::models::bpe::Vocab>(),
            merges,
        )
        .build()
        .map_err(|error| TokenizerError::Tokenizers(error.to_string()))?;
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
    ])));
    Ok(tokenizer)
}

fn array<'a>(header: &'a Content, key: &'static str) -> Result<&'a [Value], TokenizerError> {
    match header.metadata.get(key) {
        Some(Value::Array(values)) => Ok(values),
        _ => Err(TokenizerError::Metadata(key)),
    }
}

fn strings<'a>(header: &'a Content, key: &'static str) -> Result<Vec<&'a str>, TokenizerError> {
    array(header, key)?
        .iter()
        .map(|value| value.to_string().map(String::as_str))
        .collect::<Result<_, _>>()
        .map_err(|_| TokenizerError::Metadata(key))
}

/// GPT-2 writes the bytes of its tokens as printable letters: bytes that print stand for themselves, the
/// others for the letters from U+0100 on, in order.
fn byte_of_letter() -> HashMap<char, u8> {
    let prints = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let themselves = (0..=255u8)
        .filter(prints)
        .map(|byte| (char::from(byte), byte));
    let others = (0..=255u8).filter(|byte| !prints(byte));
    let shifted = ('\u{100}'..).zip(others);
    themselves.chain(shifted).collect()
}

/// Turns the bytes of one token after another into text, holding back a character until it is whole.
#[derive(Debug, Default)]
pub struct TextStream {
    pending: Vec<u8>,
}

impl TextStream {
    /// Adds a token's bytes and returns the text that is now complete. Bytes that can never become a
    /// character are shown as U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        rest = after;
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[length..];
                }
            }
        }
        self.pending = rest.to_vec();
        text
    }

    /// What is left at the end: U+FFFD when the last character never became whole.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A GPT-2 style header whose vocabulary is the 256 letters, two merges and the markers.
    fn header() -> Content {
        let mut letters: Vec<(u8, char)> = byte_of_letter()
            .into_iter()
            .map(|(letter, byte)| (byte, letter))
            .collect();
        letters.sort_unstable();
        let mut words: Vec<String> = [DOCUMENT_END, MESSAGE_START, MESSAGE_END]
            .map(str::to_owned)
            .to_vec();
        words.extend(letters.iter().map(|(_, letter)| letter.to_string()));
        words.extend(["he".to_owned(), "\u{120}he".to_owned(), "12".to_owned()]);
        let types = (0..words.len()).map(|index| Value::I32(if index < 3 { 3 } else { 1 }));
        let merges = ["h e", "\u{120} he", "1 2"].map(|merge| Value::String(merge.to_owned()));
        let metadata = [
            ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
            (
                "tokenizer.ggml.tokens",
                Value::Array(words.iter().cloned().map(Value::String).collect()),
            ),
            ("tokenizer.ggml.token_type", Value::Array(types.collect())),
            ("tokenizer.ggml.merges", Value::Array(merges.to_vec())),
        ];
        Content {
            magic: candle_core::quantized::gguf_file::VersionedMagic::GgufV3,
            metadata: metadata
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
            tensor_infos: HashMap::new(),
            tensor_data_offset: 0,
        }
    }

    fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
        let mut stream = TextStream::default();
        let text: String = tokens
            .iter()
            .map(|token| stream.push(tokenizer.token_bytes(*token)))
            .collect();
        text + &stream.finish()
    }

    #[test]
    fn merges_are_applied_and_digits_stand_alone() {
        let tokenizer = Tokenizer::from_gguf(&header()).unwrap();
        let pieces = |text: &str| -> Vec<String> {
            tokenizer
                .encode(text)
                .unwrap()
                .iter()
                .map(|token| String::from_utf8_lossy(tokenizer.token_bytes(*token)).into_owned())
                .collect()
        };
        assert_eq!(pieces("he he"), ["he", " he"]);
        // "12" is a word of the vocabulary, and SmolLM's splitting never lets digits meet.
        assert_eq!(pieces("12"), ["1", "2"]);
    }

    #[test]
    fn a_marker_in_a_message_stays_text() {
        for tokenizer in [Tokenizer::from_gguf(&header()).unwrap(), Tokenizer::bytes()] {
            let tokens = tokenizer.chat("a<|im_end|>b").unwrap();
            let markers: Vec<usize> = tokens
                .iter()
                .enumerate()
                .filter(|(_, token)| tokenizer.token_bytes(**token).is_empty())
                .map(|(index, _)| index)
                .collect();
            assert_eq!(markers.len(), 3, "start, end, start");
            assert_eq!(
                decode(&tokenizer, &tokens),
                "user\na<|im_end|>b\nassistant\n"
            );
        }
    }

    #[test]
    fn answers_end_at_either_marker() {
        let tokenizer = Tokenizer::bytes();
        assert!(tokenizer.ends_answer(256) && tokenizer.ends_answer(258));
        assert!(!tokenizer.ends_answer(257) && !tokenizer.ends_answer(65));
        assert_eq!(tokenizer.token_bytes(u32::MAX), b"");
    }

    #[test]
    fn headers_without_a_tokenizer_are_refused_with_the_reason() {
        let refused = |change: fn(&mut Content)| {
            let mut header = header();
            change(&mut header);
            Tokenizer::from_gguf(&header).unwrap_err().to_string()
        };
        assert!(
            refused(|header| {
                header.metadata.remove("tokenizer.ggml.merges");
            })
            .contains("tokenizer.ggml.merges")
        );
        assert!(
            refused(|header| {
                header
                    .metadata
                    .insert("tokenizer.ggml.model".into(), Value::String("llama".into()));
            })
            .contains("kind `llama`")
        );
        assert!(
            refused(|header| {
                header
                    .metadata
                    .insert("tokenizer.ggml.tokens".into(), Value::Array(vec![]));
            })
            .contains("tokenizers:")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_text_comes_back(text in "\\PC{0,40}") {
            for tokenizer in [Tokenizer::from_gguf(&header()).unwrap(), Tokenizer::bytes()] {
                let tokens = tokenizer.encode(&text).unwrap();
                prop_assert_eq!(decode(&tokenizer, &tokens), text.clone());
            }
        }

        #[test]
        fn a_stream_cut_anywhere_gives_what_the_whole_gives(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 1usize..5) {
            let mut stream = TextStream::default();
            let text: String = bytes.chunks(cut).map(|piece| stream.push(piece)).collect();
            prop_assert_eq!(text + &stream.finish(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_character_is_shown_only_when_whole(letter in any::<char>()) {
            let mut stream = TextStream::default();
            let mut buffer = [0; 4];
            let bytes = letter.encode_utf8(&mut buffer).as_bytes();
            let (last, first) = bytes.split_last().unwrap();
            for byte in first {
                prop_assert_eq!(stream.push(&[*byte]), "");
            }
            prop_assert_eq!(stream.push(&[*last]), letter.to_string());
        }
    }
}
