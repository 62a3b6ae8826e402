//! Taking weights out of a GGUF file, each checked against the dimensions before it is used.

use std::io::{Read, Seek};
use std::sync::Arc;

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Tensor};
use serde::Serialize;

use super::ModelError;

/// Where the bytes of the weights went, in the order of the file's names.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Footprint {
    /// Bytes of all tensors as they are stored.
    pub bytes: u64,
    /// One row per tensor.
    pub tensors: Vec<TensorRow>,
}

/// One tensor of the file.
#[derive(Debug, Clone, Serialize)]
pub struct TensorRow {
    /// Its name in the file, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// How its values are stored, such as `Q4_0`.
    pub encoding: String,
    /// Its shape, rows first.
    pub shape: Vec<usize>,
    /// Its bytes as stored.
    pub bytes: u64,
}

/// The weights of one file, read on request.
pub struct Weights<'a, R> {
    header: &'a Content,
    file: &'a mut R,
    footprint: Footprint,
}

impl<'a, R: Read + Seek> Weights<'a, R> {
    /// Reads the tensors that `header` names from `file`.
    pub fn new(header: &'a Content, file: &'a mut R) -> Self {
        Self {
            header,
            file,
            footprint: Footprint::default(),
        }
    }

    /// A matrix of `rows` outputs and `columns` inputs, kept as it is stored.
    pub fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<QMatMul, ModelError> {
        let tensor = self.tensor(name, &[rows, columns])?;
        Ok(QMatMul::from_arc(Arc::new(tensor))?)
    }

    /// A vector, as `f32`.
    pub fn vector(&mut self, name: &str, length: usize) -> Result<Tensor, ModelError> {
        Ok(self.tensor(name, &[length])?.dequantize(&Device::Cpu)?)
    }

    /// What has been read so far, sorted by name.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = self.footprint.clone();
        footprint.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        footprint
    }

    fn tensor(&mut self, name: &str, wanted: &[usize]) -> Result<QTensor, ModelError> {
        let info = self
            .header
            .tensor_infos
            .get(name)
            .ok_or_else(|| ModelError::Metadata {
                key: name.to_owned(),
            })?;
        if info.shape.dims() != wanted {
            return Err(ModelError::Shape {
                name: name.to_owned(),
                found: info.shape.dims().to_vec(),
                wanted: wanted.to_vec(),
            });
        }
        let tensor = info.read(self.file, self.header.tensor_data_offset, &Device::Cpu)?;
        let bytes = tensor.storage_size_in_bytes() as u64;
        self.footprint.bytes += bytes;
        self.footprint.tensors.push(TensorRow {
            name: name.to_owned(),
            encoding: format!("{:?}", tensor.dtype()),
            shape: wanted.to_vec(),
            bytes,
        });
        Ok(tensor)
    }
}
