use proptest::prelude::*;

use super::*;

/// Writes a GGUF header as the format's description says, one field at a time.
struct GgufWriter(Vec<u8>);

impl GgufWriter {
    fn new(tensors: u64, metadata: u64) -> Self {
        let mut writer = Self(b"GGUF".to_vec());
        writer.u32(3).u64(tensors).u64(metadata);
        writer
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.u64(text.len() as u64);
        self.0.extend(text.as_bytes());
        self
    }

    fn tensor(&mut self, name: &str, shape: &[u64], number: u32, offset: u64) -> &mut Self {
        self.text(name).u32(shape.len() as u32);
        for length in shape {
            self.u64(*length);
        }
        self.u32(number).u64(offset)
    }

    /// Pads the header to `alignment` and appends `data_bytes` of tensor data.
    fn finish(&mut self, alignment: usize, data_bytes: usize) -> Vec<u8> {
        let mut file = std::mem::take(&mut self.0);
        file.resize(file.len().next_multiple_of(alignment) + data_bytes, 0);
        file
    }
}

/// Metadata of every kind, an alignment of 64, and three tensors of different types.
fn gguf() -> Vec<u8> {
    let mut writer = GgufWriter::new(3, 5);
    writer.text("general.architecture").u32(8).text("llama");
    writer.text("general.alignment").u32(4).u32(64);
    writer
        .text("tokenizer.ggml.tokens")
        .u32(9)
        .u32(8)
        .u64(2)
        .text("a")
        .text("bc");
    writer
        .text("scores")
        .u32(9)
        .u32(6)
        .u64(3)
        .u32(0)
        .u32(0)
        .u32(0);
    writer.text("nested").u32(9).u32(9).u64(1).u32(0).u64(3);
    writer.0.extend([1, 2, 3]);
    writer.tensor("token_embd.weight", &[32, 4], 3, 0); // 4 blocks of 20 bytes
    writer.tensor("blk.0.attn_q.weight", &[256, 2], 14, 128); // 2 blocks of 210 bytes
    writer.tensor("output_norm.weight", &[5], 0, 576); // 5 floats
    writer.finish(64, 576 + 20)
}

fn safetensors(json: &str, data_bytes: usize) -> Vec<u8> {
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    file.resize(file.len() + data_bytes, 0);
    file
}

const SAFETENSORS: &str = r#"{"__metadata__":{"shape":"free text"},"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"a.bias":{"dtype":"F32","shape":[],"data_offsets":[12,16]},"empty":{"dtype":"I8","shape":[0,9],"data_offsets":[16,16]}}"#;

fn read(file: &[u8]) -> Result<Weights, WeightsError> {
    if file.starts_with(b"GGUF") {
        read_gguf(file, file.len() as u64)
    } else {
        read_safetensors(file, file.len() as u64)
    }
}

#[test]
fn a_gguf_header_gives_tensors_that_sum_to_the_file() {
    let file = gguf();
    let weights = read(&file).unwrap();
    let sizes: Vec<_> = weights
        .tensors()
        .iter()
        .map(|t| (t.name.as_str(), t.element_type.as_ref(), t.bytes))
        .collect();
    assert_eq!(
        sizes,
        [
            ("token_embd.weight", "Q4_1", 80),
            ("blk.0.attn_q.weight", "Q6_K", 420),
            ("output_norm.weight", "F32", 20)
        ]
    );
    assert_eq!(weights.tree("m").bytes, weights.tensor_bytes());
    assert_eq!(
        weights.header_bytes() + weights.tensor_bytes() + weights.padding_bytes(),
        file.len() as u64
    );
    assert_eq!(weights.padding_bytes(), 576 + 20 - 520);
}

#[test]
fn a_safetensors_header_gives_tensors_that_sum_to_the_file() {
    let weights = read(&safetensors(SAFETENSORS, 16)).unwrap();
    assert_eq!(
        (
            weights.tensor_bytes(),
            weights.padding_bytes(),
            weights.tensors().len()
        ),
        (16, 0, 3)
    );
}

#[test]
fn the_format_is_told_by_the_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(
        Weights::open(write("a", &gguf())).unwrap().format(),
        Format::Gguf
    );
    assert_eq!(
        Weights::open(write("b", &safetensors(SAFETENSORS, 16)))
            .unwrap()
            .format(),
        Format::Safetensors
    );
    for (name, bytes) in [("c", &b""[..]), ("d", b"PK\x03\x04 a zip file")] {
        assert!(matches!(
            Weights::open(write(name, bytes)),
            Err(WeightsError::UnknownFormat { .. })
        ));
    }
    let missing = Weights::open(folder.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("none: No such file")
            && missing.ends_with("check the path and its permissions"),
        "{missing}"
    );
}

#[test]
fn a_header_that_lies_is_refused_without_allocating_what_it_claims() {
    let says = |mut writer: GgufWriter, part: &str| {
        let text = read(&writer.finish(32, 64)).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    let raw = |edit: fn(&mut Vec<u8>)| {
        let mut writer = GgufWriter::new(1, 0);
        edit(&mut writer.0);
        writer
    };
    let with = |tensors: &[(&str, &[u64], u32, u64)]| {
        let mut writer = GgufWriter::new(tensors.len() as u64, 0);
        for (name, shape, number, offset) in tensors {
            writer.tensor(name, shape, *number, *offset);
        }
        writer
    };
    says(GgufWriter::new(u64::MAX, 0), "do not fit");
    says(GgufWriter::new(0, u64::MAX), "do not fit");
    says(raw(|bytes| bytes[4] = 9), "version 9 is not 2 or 3");
    says(
        raw(|bytes| bytes[4..8].copy_from_slice(&[0, 0, 0, 3])),
        "big-endian",
    );
    says(raw(|bytes| bytes.extend([255; 8])), "longer than 4096");
    says(
        with(&[("t", &[u64::MAX, u64::MAX], 0, 0)]),
        "overflows 64 bits",
    );
    says(with(&[("t", &[33], 2, 0)]), "whole blocks");
    says(with(&[("t", &[4], 4, 0)]), "element type 4");
    says(with(&[("t", &[4], 0, 8)]), "not aligned");
    says(with(&[("t", &[17], 0, 0)]), "beyond the end");
    says(with(&[("t", &[1; 9], 0, 0)]), "9 dimensions");
    says(
        with(&[("t", &[9], 0, 0), ("u", &[4], 0, 32)]),
        "begins inside another",
    );
    says(
        with(&[("t", &[8], 0, 0), ("t", &[8], 0, 32)]),
        "there twice",
    );
    let mut nested = GgufWriter::new(0, 1);
    nested.text("deep").u32(9);
    for _ in 0..1000 {
        nested.u32(9).u64(1);
    }
    says(nested, "nested more than 4");
    let cut = read(b"GGUF\x03\0\0\0").unwrap_err().to_string();
    assert!(cut.contains("is the download complete?"), "{cut}");
}

#[test]
fn a_safetensors_header_that_lies_is_refused() {
    let says = |json: &str, data_bytes, part: &str| {
        let error = read(&safetensors(json, data_bytes))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    };
    says("{", 0, "EOF");
    says("[1]", 0, "names tensors");
    says(
        r#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
        8,
        "need 8",
    );
    says(
        r#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        4,
        "beyond the end",
    );
    says(
        r#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        8,
        "before it begins",
    );
    says(
        r#"{"t":{"dtype":"X","shape":[],"data_offsets":[0,0]}}"#,
        8,
        "not known",
    );
    says(
        r#"{"t":{"dtype":"F64","shape":[9223372036854775807,9],"data_offsets":[0,8]}}"#,
        8,
        "overflows",
    );
    says(
        r#"{"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#,
        2,
        "twice",
    );
    let huge = read_safetensors(&u64::MAX.to_le_bytes()[..], 8)
        .unwrap_err()
        .to_string();
    assert!(huge.contains("longer than the file"), "{huge}");
}

#[test]
fn every_cut_of_a_file_is_refused_without_a_panic() {
    for file in [gguf(), safetensors(SAFETENSORS, 16)] {
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_of_bytes_panics_or_breaks_the_sum(edits in prop::collection::vec((0_usize..700, any::<u8>()), 0..8), which in any::<bool>()) {
        let mut file = if which { gguf() } else { safetensors(SAFETENSORS, 16) };
        for (at, byte) in edits {
            let length = file.len();
            file[at % length] = byte;
        }
        if let Ok(weights) = read(&file) {
            prop_assert_eq!(weights.header_bytes() + weights.tensor_bytes() + weights.padding_bytes(), file.len() as u64);
        }
    }

    #[test]
    fn any_tensors_sum_to_the_file(shapes in prop::collection::vec((1_u64..5, 1_u64..4, prop::sample::select(vec![0_u32, 1, 2, 3, 8, 12, 14, 30])), 0..20)) {
        let mut writer = GgufWriter::new(shapes.len() as u64, 0);
        let (mut offset, mut sum) = (0_u64, 0_u64);
        for (index, (blocks, rows, number)) in shapes.iter().enumerate() {
            let (_, elements, bytes) = ggml::element_type(*number).unwrap();
            offset = offset.next_multiple_of(32);
            writer.tensor(&format!("blk.{index}.w"), &[blocks * elements, *rows], *number, offset);
            offset += blocks * rows * bytes;
            sum += blocks * rows * bytes;
        }
        let weights = read(&writer.finish(32, offset as usize)).unwrap();
        prop_assert_eq!(weights.tensor_bytes(), sum);
        prop_assert_eq!(weights.tree("m").bytes, sum);
        prop_assert_eq!(weights.tree("m").tensors, shapes.len() as u64);
    }
}
