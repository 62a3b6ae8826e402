//! GGUF headers (ggml/docs/gguf.md): magic, version, counts, metadata, tensor infos; all little-endian.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, Read},
};

use super::{
    DIMENSIONS_MAX, Format, NAME_BYTES_MAX, TENSORS_MAX, Tensor, Weights, WeightsError, ggml,
};

/// The key that overrides [`ALIGNMENT_DEFAULT`].
const ALIGNMENT_KEY: &[u8] = b"general.alignment";
/// What tensors are aligned to unless the metadata says otherwise, in bytes.
const ALIGNMENT_DEFAULT: u64 = 32;
/// Arrays of arrays nest at most this deep here; the format sets no limit.
const ARRAY_DEPTH_MAX: u32 = 4;

/// Numbers of metadata value types that need more than a fixed size.
const TYPE_UINT32: u32 = 4;
const TYPE_STRING: u32 = 8;
const TYPE_ARRAY: u32 = 9;

/// Reads the header of a GGUF file of `file_bytes` bytes from its start.
pub fn read_gguf(reader: impl Read, file_bytes: u64) -> Result<Weights, WeightsError> {
    let mut header = Header {
        reader,
        at: 0,
        file_bytes,
    };
    if header.array::<4>()? != *b"GGUF" {
        return Err(header.malformed("it does not begin with `GGUF`"));
    }
    let version = header.u32()?;
    if version.swap_bytes() == 3 {
        return Err(header.malformed("it is big-endian, which is not supported"));
    }
    if !(2..=3).contains(&version) {
        return Err(header.malformed(format!("version {version} is not 2 or 3")));
    }
    let tensor_count = header.u64()?;
    let metadata_count = header.u64()?;
    // A tensor info is at least a name's length, a count of dimensions, a type and an offset.
    header.fits(tensor_count, 24, "tensors")?;
    header.fits(metadata_count, 13, "metadata values")?;
    if tensor_count > TENSORS_MAX {
        return Err(header.malformed(format!(
            "{tensor_count} tensors are more than the {TENSORS_MAX} that are read"
        )));
    }
    let mut alignment = ALIGNMENT_DEFAULT;
    for _ in 0..metadata_count {
        if let Some(value) = header.metadata()? {
            alignment = value;
        }
    }
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(header.malformed(format!(
            "an alignment of {alignment} bytes is not a power of two up to 1 MiB"
        )));
    }
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        let tensor = header.tensor(alignment)?;
        if !names.insert(tensor.name.clone()) {
            return Err(header.malformed(format!("tensor {:?} is there twice", tensor.name)));
        }
        tensors.push(tensor);
    }
    let header_bytes = header.at.next_multiple_of(alignment);
    // A file without tensors may end before the padding does.
    let header_bytes = if tensors.is_empty() {
        header_bytes.min(file_bytes)
    } else {
        header_bytes
    };
    Weights::checked(Format::Gguf, tensors, header_bytes, file_bytes)
}

struct Header<R> {
    reader: R,
    /// Bytes read so far.
    at: u64,
    file_bytes: u64,
}

impl<R: Read> Header<R> {
    fn malformed(&self, what: impl Into<String>) -> WeightsError {
        WeightsError::Malformed {
            format: Format::Gguf.name(),
            at: self.at,
            what: what.into(),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|source| WeightsError::Read {
                at: self.at,
                source,
            })?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, WeightsError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WeightsError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Refuses a count of things that take at least `bytes_min` each when the rest of the file cannot hold them.
    fn fits(&self, count: u64, bytes_min: u64, things: &str) -> Result<(), WeightsError> {
        let left = self.file_bytes.saturating_sub(self.at);
        if count
            .checked_mul(bytes_min)
            .is_some_and(|bytes| bytes <= left)
        {
            Ok(())
        } else {
            Err(self.malformed(format!(
                "{count} {things} do not fit into the {left} bytes that are left"
            )))
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), WeightsError> {
        self.fits(bytes, 1, "bytes")?;
        let at = self.at;
        let error = |source| WeightsError::Read { at, source };
        let skipped =
            io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink()).map_err(error)?;
        self.at += skipped;
        if skipped == bytes {
            Ok(())
        } else {
            Err(error(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    fn bytes(&mut self, longest: u64, what: &str) -> Result<Vec<u8>, WeightsError> {
        let length = self.u64()?;
        if length > longest {
            return Err(self.malformed(format!(
                "a {what} of {length} bytes is longer than {longest}"
            )));
        }
        self.fits(length, 1, "bytes")?;
        let mut bytes = vec![0; length as usize];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|source| WeightsError::Read {
                at: self.at,
                source,
            })?;
        self.at += length;
        Ok(bytes)
    }

    /// Reads past a key and its value; gives the value where the key is the alignment's.
    fn metadata(&mut self) -> Result<Option<u64>, WeightsError> {
        let key = self.bytes(65_535, "key")?;
        let value_type = self.u32()?;
        if key == ALIGNMENT_KEY && value_type == TYPE_UINT32 {
            return self.u32().map(u64::from).map(Some);
        }
        self.skip_value(value_type, 0)?;
        Ok(None)
    }

    fn skip_value(&mut self, value_type: u32, depth: u32) -> Result<(), WeightsError> {
        match value_type {
            TYPE_STRING => {
                let length = self.u64()?;
                self.skip(length)
            }
            TYPE_ARRAY => self.skip_array(depth + 1),
            _ => match fixed_bytes(value_type) {
                Some(bytes) => self.skip(bytes),
                None => Err(self.malformed(format!("there is no metadata type {value_type}"))),
            },
        }
    }

    fn skip_array(&mut self, depth: u32) -> Result<(), WeightsError> {
        if depth > ARRAY_DEPTH_MAX {
            return Err(self.malformed(format!(
                "arrays are nested more than {ARRAY_DEPTH_MAX} deep"
            )));
        }
        let element_type = self.u32()?;
        let length = self.u64()?;
        if let Some(bytes) = fixed_bytes(element_type) {
            self.fits(length, bytes, "array elements")?;
            return self.skip(length * bytes);
        }
        // A string is at least its length, an array its type and length.
        self.fits(length, 8, "array elements")?;
        for _ in 0..length {
            self.skip_value(element_type, depth)?;
        }
        Ok(())
    }

    fn tensor(&mut self, alignment: u64) -> Result<Tensor, WeightsError> {
        let name = self.bytes(NAME_BYTES_MAX, "tensor name")?;
        let name =
            String::from_utf8(name).map_err(|_| self.malformed("a tensor name is not UTF-8"))?;
        let dimensions = self.u32()? as usize;
        if dimensions > DIMENSIONS_MAX {
            return Err(self.malformed(format!(
                "tensor {name:?} has {dimensions} dimensions, more than {DIMENSIONS_MAX}"
            )));
        }
        let shape = (0..dimensions)
            .map(|_| self.u64())
            .collect::<Result<Vec<_>, _>>()?;
        let number = self.u32()?;
        let Some((type_name, block_elements, block_bytes)) = ggml::element_type(number) else {
            return Err(self.malformed(format!(
                "tensor {name:?} has element type {number}, which is not known"
            )));
        };
        // Blocks run along the first dimension.
        if !shape.first().unwrap_or(&1).is_multiple_of(block_elements) {
            return Err(self.malformed(format!("rows of tensor {name:?} are not whole blocks of {block_elements} {type_name} elements")));
        }
        let bytes = shape
            .iter()
            .try_fold(1_u64, |product, length| product.checked_mul(*length))
            .and_then(|elements| (elements / block_elements).checked_mul(block_bytes))
            .ok_or_else(|| {
                self.malformed(format!("the size of tensor {name:?} overflows 64 bits"))
            })?;
        let offset_bytes = self.u64()?;
        if !offset_bytes.is_multiple_of(alignment) {
            return Err(self.malformed(format!(
                "tensor {name:?} is not aligned to {alignment} bytes"
            )));
        }
        Ok(Tensor {
            name,
            element_type: Cow::Borrowed(type_name),
            shape,
            offset_bytes,
            bytes,
        })
    }
}

/// Bytes of a metadata value of this type; `None` for strings, arrays and what is no type.
const fn fixed_bytes(value_type: u32) -> Option<u64> {
    match value_type {
        // u8, i8, bool
        0 | 1 | 7 => Some(1),
        // u16, i16
        2 | 3 => Some(2),
        // u32, i32, f32
        4..=6 => Some(4),
        // u64, i64, f64
        10..=12 => Some(8),
        _ => None,
    }
}
