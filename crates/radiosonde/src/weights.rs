//! A model's weights, read from the header of its file: GGUF and safetensors. Only the header is read, so the cost does
//! not depend on the size of the weights.
//!
//! Invariants: hostile headers give an error, never a panic; no allocation is larger than what the file could hold; and
//! for a file that is accepted, tensors and padding add up to the bytes after the header.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use radiosonde_answers::weights::{Node, tree};

mod ggml;
mod gguf;
mod safetensors;

pub use gguf::read_gguf;
pub use safetensors::read_safetensors;

/// Most tensors read from one file.
pub const TENSORS_MAX: u64 = 262_144;
/// Longest name of a tensor, in bytes. GGUF allows 64 and safetensors does not say.
pub const NAME_BYTES_MAX: u64 = 4096;
/// Most dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 8;

/// The tensors of a model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    format: Format,
    tensors: Vec<Tensor>,
    header_bytes: u64,
    file_bytes: u64,
}

/// How a model file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// GGUF, version 2 or 3 (ggml/docs/gguf.md).
    Gguf,
    /// safetensors (huggingface/safetensors, README "Format").
    Safetensors,
}

/// One tensor of a model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its dotted name: `blk.3.attn_q.weight`.
    pub name: String,
    /// The element type as the format calls it: `Q4_1`, `BF16` ...
    pub element_type: Cow<'static, str>,
    /// Elements in each dimension, in the format's order.
    pub shape: Vec<u64>,
    /// Where it begins, in bytes from the end of the header.
    pub offset_bytes: u64,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// Why a model file's header could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or measured.
    #[error("cannot open {path}: {source}; check the path and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading failed, or the file ended inside its header.
    #[error("cannot read the header at byte {at}: {source}; is the download complete?")]
    Read {
        /// Bytes read before it.
        at: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// The header says something that cannot be.
    #[error(
        "the {format} header is wrong near byte {at}: {what}; fetch the file again, or convert it with current tools"
    )]
    Malformed {
        /// The format, by name.
        format: &'static str,
        /// Bytes read before it.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The file is neither GGUF nor safetensors.
    #[error("{path} is neither GGUF nor safetensors: give a file of one of these formats")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
}

impl Weights {
    /// Reads the header of the file at `path`; the first bytes tell the format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        let open_error = |source| WeightsError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open_error)?;
        let file_bytes = file.metadata().map_err(open_error)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut head = [0; 9];
        let length = read_up_to(&mut reader, &mut head)
            .map_err(|source| WeightsError::Read { at: 0, source })?;
        let whole = head[..length].chain(reader);
        if head.starts_with(b"GGUF") {
            read_gguf(whole, file_bytes)
        } else if head[8] == b'{' {
            read_safetensors(whole, file_bytes)
        } else {
            Err(WeightsError::UnknownFormat {
                path: path.to_owned(),
            })
        }
    }

    /// Puts the parts together, once no tensor reaches beyond the file or into another.
    fn checked(
        format: Format,
        tensors: Vec<Tensor>,
        header_bytes: u64,
        file_bytes: u64,
    ) -> Result<Self, WeightsError> {
        let malformed = |what| WeightsError::Malformed {
            format: format.name(),
            at: header_bytes,
            what,
        };
        let data_bytes = file_bytes.checked_sub(header_bytes).ok_or_else(|| {
            malformed(format!(
                "the header ends at byte {header_bytes}, but the file has only {file_bytes}"
            ))
        })?;
        let mut by_offset: Vec<_> = tensors.iter().collect();
        by_offset.sort_by_key(|tensor| (tensor.offset_bytes, tensor.bytes));
        let mut end = 0;
        for tensor in by_offset {
            if tensor.offset_bytes < end {
                return Err(malformed(format!(
                    "tensor {:?} begins inside another one",
                    tensor.name
                )));
            }
            end = tensor
                .offset_bytes
                .checked_add(tensor.bytes)
                .filter(|end| *end <= data_bytes)
                .ok_or_else(|| {
                    malformed(format!(
                        "tensor {:?} ends beyond the end of the file",
                        tensor.name
                    ))
                })?;
        }
        Ok(Self {
            format,
            tensors,
            header_bytes,
            file_bytes,
        })
    }

    /// How the file is laid out.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The tensors, in the order of the header.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The sum of all tensors, in bytes.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }

    /// Where the tensors' data begins, in bytes from the start of the file.
    pub const fn header_bytes(&self) -> u64 {
        self.header_bytes
    }

    /// What is neither header nor tensor: alignment, in bytes.
    pub fn padding_bytes(&self) -> u64 {
        self.file_bytes - self.header_bytes - self.tensor_bytes()
    }

    /// The size of the file, in bytes.
    pub const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The tensors grouped by the parts of their names, under a root called `label`.
    pub fn tree(&self, label: &str) -> Node {
        tree(
            label,
            self.tensors
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor.bytes)),
        )
    }
}

impl Format {
    /// `GGUF` or `safetensors`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
        }
    }
}

/// Fills `buffer` as far as the file goes, and says how far.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
