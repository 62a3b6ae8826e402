//! safetensors headers: a little-endian length, then that many bytes of JSON naming each tensor's type, shape and place.

use std::{borrow::Cow, collections::HashSet, fmt, io::Read};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{DIMENSIONS_MAX, Format, NAME_BYTES_MAX, TENSORS_MAX, Tensor, Weights, WeightsError};

/// Longest JSON header, in bytes: the limit of the reference implementation.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// The entry that holds free text instead of a tensor.
const METADATA_KEY: &str = "__metadata__";

/// Reads the header of a safetensors file of `file_bytes` bytes from its start.
pub fn read_safetensors(mut reader: impl Read, file_bytes: u64) -> Result<Weights, WeightsError> {
    let mut length = [0; 8];
    reader
        .read_exact(&mut length)
        .map_err(|source| WeightsError::Read { at: 0, source })?;
    let length = u64::from_le_bytes(length);
    let malformed = |what: String| WeightsError::Malformed {
        format: Format::Safetensors.name(),
        at: 8,
        what,
    };
    if length > HEADER_BYTES_MAX || length > file_bytes.saturating_sub(8) {
        return Err(malformed(format!(
            "a header of {length} bytes is longer than the file or the {HEADER_BYTES_MAX} bytes that are allowed"
        )));
    }
    // Grows with what is really there, so a length alone allocates nothing.
    let mut json = Vec::new();
    reader
        .take(length)
        .read_to_end(&mut json)
        .map_err(|source| WeightsError::Read { at: 8, source })?;
    let Entries(tensors) =
        serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
    Weights::checked(Format::Safetensors, tensors, 8 + length, file_bytes)
}

/// The tensors of the header, in its order.
struct Entries(Vec<Tensor>);

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that names tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut names = HashSet::new();
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA_KEY {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if tensors.len() as u64 == TENSORS_MAX || name.len() as u64 > NAME_BYTES_MAX {
                        return Err(A::Error::custom(format!(
                            "more than {TENSORS_MAX} tensors, or a name longer than {NAME_BYTES_MAX} bytes"
                        )));
                    }
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("tensor {name:?} is there twice")));
                    }
                    let tensor = tensor(name, map.next_value()?).map_err(A::Error::custom)?;
                    tensors.push(tensor);
                }
                Ok(Entries(tensors))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn tensor(name: String, entry: Entry) -> Result<Tensor, String> {
    let (begin, end) = entry.data_offsets;
    let bytes = end
        .checked_sub(begin)
        .ok_or_else(|| format!("tensor {name:?} ends before it begins"))?;
    if entry.shape.len() > DIMENSIONS_MAX {
        return Err(format!(
            "tensor {name:?} has more than {DIMENSIONS_MAX} dimensions"
        ));
    }
    let Some(bits) = element_bits(&entry.dtype) else {
        return Err(format!(
            "tensor {name:?} has element type {:?}, which is not known",
            entry.dtype
        ));
    };
    let expected = entry
        .shape
        .iter()
        .try_fold(bits, |product, length| product.checked_mul(*length))
        .ok_or_else(|| format!("the size of tensor {name:?} overflows 64 bits"))?;
    if !expected.is_multiple_of(8) || expected / 8 != bytes {
        return Err(format!(
            "tensor {name:?} has {bytes} bytes where its shape and type need {}",
            expected.div_ceil(8)
        ));
    }
    Ok(Tensor {
        name,
        element_type: Cow::Owned(entry.dtype),
        shape: entry.shape,
        offset_bytes: begin,
        bytes,
    })
}

/// Bits of an element of this type (`Dtype` of the reference implementation).
fn element_bits(name: &str) -> Option<u64> {
    Some(match name {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}
