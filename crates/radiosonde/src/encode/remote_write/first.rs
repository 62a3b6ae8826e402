//! What was written as remote write 2.0 for a receiver that knows 1.0 alone: `prometheus.WriteRequest` (prometheus/prometheus,
//! prompb/remote.proto and types.proto).
//!
//! Nothing is lost by it but when a series began, which 1.0 has no place for.

use std::collections::BTreeMap;

use super::request::START;
use crate::encode::otlp::{
    reader::{Field, Reader},
    wire::{BYTES, FIXED32, FIXED64, VARINT, Wire},
};

/// `Metadata.MetricType` of a histogram.
const HISTOGRAM: u64 = 3;

/// The request of 1.0 with what the 2.0 one in `body` says. `None` where that is no such request, or names symbols that it
/// does not have.
pub fn first(body: &[u8]) -> Option<Vec<u8>> {
    let fields = Reader(body).whole()?;
    let mut request = Request {
        symbols: Vec::new(),
        families: BTreeMap::new(),
        wire: Wire::default(),
    };
    for field in &fields {
        if let (4, Field::Bytes(symbol)) = field {
            request.symbols.push(symbol);
        }
    }
    for field in &fields {
        if let (5, Field::Bytes(series)) = field {
            request.series(series)?;
        }
    }
    Some(request.finish())
}

/// Kind, help and unit of a family.
type Family<'a> = (u64, &'a [u8], &'a [u8]);

struct Request<'a> {
    symbols: Vec<&'a [u8]>,
    /// By name.
    families: BTreeMap<&'a [u8], Family<'a>>,
    wire: Wire,
}

impl<'a> Request<'a> {
    fn symbol(&self, at: u64) -> Option<&'a [u8]> {
        self.symbols.get(usize::try_from(at).ok()?).copied()
    }

    /// Names and values.
    fn labels(&self, refs: &[u8]) -> Option<Vec<(&'a [u8], &'a [u8])>> {
        let mut refs = Reader(refs);
        let mut labels = Vec::new();
        while !refs.0.is_empty() {
            let (name, value) = (refs.varint()?, refs.varint()?);
            labels.push((self.symbol(name)?, self.symbol(value)?));
        }
        Some(labels)
    }

    fn put_labels(&mut self, refs: &[u8]) -> Option<Vec<(&'a [u8], &'a [u8])>> {
        let labels = self.labels(refs)?;
        for (name, value) in &labels {
            let label = self.wire.open(1, 1);
            self.wire.bytes_field(1, name);
            self.wire.bytes_field(2, value);
            self.wire.close(label);
        }
        Some(labels)
    }

    fn series(&mut self, series: &[u8]) -> Option<()> {
        let open = self.wire.open(1, 2);
        let mut labels = Vec::new();
        for (number, field) in Reader(series).whole()? {
            match (number, field) {
                (1, Field::Bytes(refs)) => labels = self.put_labels(refs)?,
                // `Sample`, without when it began.
                (2, Field::Bytes(sample)) => copy(&mut self.wire, 2, sample, 3)?,
                (3, Field::Bytes(histogram)) => copy(&mut self.wire, 4, histogram, START)?,
                (4, Field::Bytes(exemplar)) => self.exemplar(exemplar)?,
                (5, Field::Bytes(meta)) => self.meta(&labels, meta)?,
                _ => {}
            }
        }
        self.wire.close(open);
        Some(())
    }

    fn exemplar(&mut self, exemplar: &[u8]) -> Option<()> {
        let open = self.wire.open(3, 1);
        for (number, field) in Reader(exemplar).whole()? {
            match field {
                Field::Bytes(refs) if number == 1 => drop(self.put_labels(refs)?),
                field => put(&mut self.wire, number, field),
            }
        }
        self.wire.close(open);
        Some(())
    }

    /// Keeps what is said of a family: 1.0 says it once, beside the series.
    fn meta(&mut self, labels: &[(&'a [u8], &'a [u8])], meta: &[u8]) -> Option<()> {
        let (mut kind, mut help, mut unit) = (0, &b""[..], &b""[..]);
        for field in Reader(meta).whole()? {
            match field {
                (1, Field::Varint(value)) => kind = value,
                (3, Field::Varint(at)) => help = self.symbol(at)?,
                (4, Field::Varint(at)) => unit = self.symbol(at)?,
                _ => {}
            }
        }
        let name = labels.iter().find(|(name, _)| name == b"__name__");
        let mut name = name.map(|(_, value)| *value)?;
        if kind == HISTOGRAM {
            let mut suffixes = ["_bucket", "_sum", "_count"].into_iter();
            name = suffixes
                .find_map(|suffix| name.strip_suffix(suffix.as_bytes()))
                .unwrap_or(name);
        }
        let is_marker = help.is_empty() && unit.is_empty();
        let known = self.families.entry(name).or_insert((kind, help, unit));
        // The end of a series says less of its family than the others.
        if !is_marker {
            *known = (kind, help, unit);
        }
        Some(())
    }

    fn finish(mut self) -> Vec<u8> {
        for (name, (kind, help, unit)) in self.families {
            let open = self.wire.open(3, 1);
            self.wire.varint_field(1, kind);
            self.wire.bytes_field(2, name);
            self.wire.bytes_field(4, help);
            self.wire.bytes_field(5, unit);
            self.wire.close(open);
        }
        self.wire.written().to_vec()
    }
}

/// Copies a message as `field`, without its field `except`.
fn copy(wire: &mut Wire, field: u32, message: &[u8], except: u64) -> Option<()> {
    let open = wire.open(field, 1);
    for (number, field) in Reader(message).whole()? {
        if number != except {
            put(wire, number, field);
        }
    }
    wire.close(open);
    Some(())
}

fn put(wire: &mut Wire, number: u64, field: Field<'_>) {
    let key = |wire_type: u32| number << 3 | u64::from(wire_type);
    match field {
        Field::Varint(value) => {
            wire.varint(key(VARINT));
            wire.varint(value);
        }
        Field::Fixed64(value) => {
            wire.varint(key(FIXED64));
            wire.put(&value.to_le_bytes());
        }
        Field::Bytes(bytes) => {
            wire.varint(key(BYTES));
            wire.varint(bytes.len() as u64);
            wire.put_slice(bytes);
        }
        Field::Fixed32(value) => {
            wire.varint(key(FIXED32));
            wire.put(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            first(&body);
        }
    }
}
