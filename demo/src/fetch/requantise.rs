//! Storing Q4_1 weights as Q4_0.
//!
//! Only the Q4_1 matrices change; the embedding (Q8_0, also the output) and the norms (f32) stay as shipped.
//! The result is the same on every machine: names and keys are written in order.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result};

use super::{Cause, file, unpack};

/// `general.file_type` of a file whose matrices are mostly Q4_0 (llama.cpp's `LLAMA_FTYPE_MOSTLY_Q4_0`).
const FILE_TYPE_Q4_0: u32 = 2;

/// Writes the model in `from` to `to`, which appears only when its SHA-256 is `wanted`.
pub fn to_q4_0(from: &Path, to: &Path, wanted: &'static str) -> std::result::Result<(), Cause> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let part = tempfile::NamedTempFile::new_in(folder).map_err(file("write in", folder))?;
    convert(from, part.as_file()).map_err(|source| Cause::Requantise {
        path: from.to_owned(),
        source,
    })?;
    unpack::compare(to, unpack::hash(part.path())?, wanted)?;
    part.as_file().sync_all().map_err(file("write", to))?;
    part.persist(to)
        .map(drop)
        .map_err(|error| file("rename to", to)(error.error))
}

/// Writes the model in `from` into `to`.
pub fn convert(from: &Path, to: &File) -> Result<()> {
    let mut source = BufReader::new(File::open(from)?);
    let header = Content::read(&mut source)?;
    let mut names: Vec<&String> = header.tensor_infos.keys().collect();
    names.sort();
    let mut tensors = Vec::new();
    for name in names {
        let mut tensor = header.tensor(&mut source, name, &Device::Cpu)?;
        if tensor.dtype() == GgmlDType::Q4_1 {
            tensor = QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q4_0)?;
        }
        tensors.push((name.as_str(), tensor));
    }
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let file_type = Value::U32(FILE_TYPE_Q4_0);
    let mut metadata: Vec<(&str, &Value)> = header
        .metadata
        .iter()
        .filter(|(key, _)| *key != "general.file_type")
        .map(|(key, value)| (key.as_str(), value))
        .chain([("general.file_type", &file_type)])
        .collect();
    metadata.sort_by_key(|(key, _)| *key);
    let mut to = BufWriter::new(to);
    gguf_file::write(&mut to, &metadata, &tensors)?;
    to.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use super::*;
    use crate::model::{Config, Model, tiny_gguf};

    #[test]
    fn the_converted_model_runs_and_stays_close() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("q4_1"), folder.path().join("q4_0"));
        let bytes = tiny_gguf(&Config::tiny(), 4, GgmlDType::Q4_1).unwrap();
        fs::write(&from, &bytes).unwrap();
        convert(&from, &File::create(&to).unwrap()).unwrap();
        let logits = |bytes: Vec<u8>| {
            let mut file = Cursor::new(bytes);
            let header = Content::read(&mut file).unwrap();
            let model = Model::load(&header, &mut file).unwrap();
            model.forward(&[72, 105], &mut model.cache()).unwrap()
        };
        let (shipped, fast) = (logits(bytes), logits(fs::read(&to).unwrap()));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let cosine = dot(&shipped, &fast) / (dot(&shipped, &shipped) * dot(&fast, &fast)).sqrt();
        assert!(cosine > 0.9, "cosine {cosine}");
    }

    #[test]
    fn conversion_gives_the_same_bytes_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::write(
            &from,
            tiny_gguf(&Config::tiny(), 4, GgmlDType::Q4_1).unwrap(),
        )
        .unwrap();
        let converted = |name: &str| {
            let to = folder.path().join(name);
            convert(&from, &File::create(&to).unwrap()).unwrap();
            fs::read(to).unwrap()
        };
        assert_eq!(converted("a"), converted("b"));
    }
}
