//! From the command line to a model that is ready to answer.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};

use crate::cli::{Args, ModelChoice};
use crate::fetch;
use crate::model::{Config, Model, tiny_gguf};
use crate::report::Identity;
use crate::serve::Engine;
use crate::tokenizer::Tokenizer;

/// How the tiny model is named wherever it is shown.
const TINY_LABEL: &str = "tiny (random weights)";

/// A model and what to call it.
#[derive(Debug)]
pub struct Loaded {
    /// The model with its tokenizer.
    pub engine: Engine,
    /// Its name and where it came from.
    pub identity: Identity,
}

/// Where the weights are that `args` ask for.
#[derive(Debug)]
pub enum Place {
    /// In a file, which is called this where it is not called what its header says.
    File(PathBuf, Option<&'static str>),
    /// Nowhere yet: they are made in memory, of this seed.
    Seed(u64),
}

impl Place {
    /// Whether the weights are random.
    pub const fn is_random(&self) -> bool {
        matches!(self, Self::Seed(_))
    }
}

/// Finds the model that `args` ask for; fetches what is missing of it.
pub fn find(args: &Args, say: &mut dyn FnMut(&str)) -> anyhow::Result<Place> {
    Ok(match (&args.weights, args.model) {
        (Some(path), _) => Place::File(path.clone(), None),
        (None, ModelChoice::Smollm2) => {
            Place::File(fetch::smollm2(say)?, Some("SmolLM2-135M-Instruct"))
        }
        (None, ModelChoice::Tiny) => Place::Seed(args.seed),
    })
}

/// Loads the model.
pub fn load(place: &Place) -> anyhow::Result<Loaded> {
    match place {
        Place::File(path, name) => from_file(path, *name),
        Place::Seed(seed) => tiny(*seed),
    }
}

fn tiny(seed: u64) -> anyhow::Result<Loaded> {
    let mut file = Cursor::new(tiny_gguf(&Config::tiny(), seed, GgmlDType::Q8_0)?);
    let (_, tokenizer, model) = open(&mut file)?;
    Ok(Loaded {
        engine: Engine {
            label: TINY_LABEL.to_owned(),
            model,
            tokenizer,
        },
        identity: Identity {
            label: TINY_LABEL.to_owned(),
            random_weights: true,
            source: format!("seed {seed}"),
        },
    })
}

/// Loads a GGUF file, called `name` or else what its header says.
fn from_file(path: &Path, name: Option<&str>) -> anyhow::Result<Loaded> {
    let place = || format!("cannot load the model in {}", path.display());
    let file = File::open(path).with_context(place)?;
    let (header, tokenizer, model) = open(&mut BufReader::new(file)).with_context(place)?;
    let name = name.map_or_else(|| name_in(&header, path), str::to_owned);
    let label = match main_encoding(&model) {
        Some(encoding) => format!("{name} ({encoding})"),
        None => name,
    };
    Ok(Loaded {
        engine: Engine {
            label: label.clone(),
            model,
            tokenizer,
        },
        identity: Identity {
            label,
            random_weights: false,
            source: path.display().to_string(),
        },
    })
}

fn open<R: Read + Seek>(file: &mut R) -> anyhow::Result<(Content, Tokenizer, Model)> {
    let header = Content::read(file).map_err(|error| {
        // With RUST_BACKTRACE candle's message goes on with where in candle it arose.
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        anyhow!("this is not a GGUF file that candle can read ({first}); name one of a Llama model with --weights")
    })?;
    let tokenizer = Tokenizer::from_gguf(&header)?;
    let model = Model::load(&header, file)?;
    Ok((header, tokenizer, model))
}

fn name_in(header: &Content, path: &Path) -> String {
    match header.metadata.get("general.name") {
        Some(Value::String(name)) => name.clone(),
        _ => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}

/// How most of the blocks' matrices are stored.
fn main_encoding(model: &Model) -> Option<&str> {
    let tensors = &model.footprint().tensors;
    let matrix = tensors
        .iter()
        .find(|row| row.name.ends_with("ffn_down.weight"))?;
    Some(&matrix.encoding)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_called_what_its_header_says_and_how_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.gguf");
        fs::write(
            &path,
            tiny_gguf(&Config::tiny(), 1, GgmlDType::Q4_0).unwrap(),
        )
        .unwrap();
        let loaded = from_file(&path, None).unwrap();
        assert_eq!(loaded.identity.label, "tiny (Q4_0)");
        assert_eq!(loaded.identity.source, path.display().to_string());
    }

    #[test]
    fn a_file_that_is_no_model_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "not a model").unwrap();
        let error = format!("{:#}", from_file(&path, None).unwrap_err());
        assert!(
            error.contains("notes.txt") && error.contains("not a GGUF file"),
            "{error}"
        );
    }
}
