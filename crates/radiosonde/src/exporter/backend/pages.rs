//! Bodies of requests, filled record by record and closed before a limit is passed.
//!
//! Invariant: a body is within the limits unless a single record exceeds them; it then travels alone, and what the backend
//! says of it is about nothing else.

use super::Requests;
use crate::{
    encode::otlp::Signal,
    exporter::delivery::{GZIP, gzip},
};

/// Whether bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exporter) enum Packing {
    /// As they are.
    Plain,
    /// By gzip; the payload's tag says so.
    Gzip,
}

/// What a body looks like around its records.
#[derive(Clone, Copy, Debug)]
pub(in crate::exporter) struct Shape {
    pub(in crate::exporter) signal: Signal,
    /// What the payload's tag says of the body.
    pub(in crate::exporter) bits: u8,
    pub(in crate::exporter) begin: &'static [u8],
    pub(in crate::exporter) between: &'static [u8],
    pub(in crate::exporter) end: &'static [u8],
    /// Most bytes before they are compressed.
    pub(in crate::exporter) bytes_max: usize,
    pub(in crate::exporter) records_max: u32,
    pub(in crate::exporter) packing: Packing,
}

impl Shape {
    /// A JSON array with one record on each line, so that a part of it is found again without reading JSON.
    pub(in crate::exporter) const fn array(signal: Signal, bytes_max: usize) -> Self {
        Self {
            signal,
            bits: 0,
            begin: b"[\n",
            between: b",\n",
            end: b"\n]",
            bytes_max,
            records_max: u32::MAX,
            packing: Packing::Gzip,
        }
    }

    /// Records one after another, each of which ends with a newline of its own.
    pub(in crate::exporter) const fn lines(signal: Signal, bytes_max: usize) -> Self {
        Self {
            begin: b"",
            between: b"",
            end: b"",
            ..Self::array(signal, bytes_max)
        }
    }
}

/// Collects records into bodies of one shape.
#[derive(Debug)]
pub(in crate::exporter) struct Pages {
    shape: Shape,
    begin: Vec<u8>,
    body: Vec<u8>,
    records: u32,
}

impl Pages {
    pub(in crate::exporter) fn new(shape: Shape) -> Self {
        Self {
            begin: shape.begin.to_vec(),
            shape,
            body: Vec::new(),
            records: 0,
        }
    }

    /// Has the bodies that are yet to be begun begin with `begin`.
    pub(in crate::exporter) fn begin_with(&mut self, begin: &[u8]) {
        self.begin.clear();
        self.begin.extend_from_slice(begin);
    }

    /// Adds the record that `write` writes.
    pub(in crate::exporter) fn add(
        &mut self,
        requests: &mut Requests<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let before = self.body.len();
        let shape = self.shape;
        self.body.extend_from_slice(if self.records == 0 {
            &self.begin
        } else {
            shape.between
        });
        let start = self.body.len();
        write(&mut self.body);
        if self.is_full() && self.records > 0 {
            let record = self.body.split_off(start);
            self.body.truncate(before);
            self.finish(requests);
            self.body.extend_from_slice(&self.begin);
            self.body.extend_from_slice(&record);
        }
        self.records += 1;
        if self.is_full() || self.records >= shape.records_max {
            self.finish(requests);
        }
    }

    /// Closes the body that is begun, and queues it.
    pub(in crate::exporter) fn finish(&mut self, requests: &mut Requests<'_>) {
        if self.records == 0 {
            return;
        }
        self.body.extend_from_slice(self.shape.end);
        let (body, gzip) = match self.shape.packing {
            Packing::Plain => (self.body.clone(), 0),
            // Writing to memory does not fail; if it did, plain bytes are as good.
            Packing::Gzip => match gzip::compressed(&self.body) {
                Some(body) => (body, GZIP),
                None => (self.body.clone(), 0),
            },
        };
        let bits = self.shape.bits | gzip;
        requests.push(self.shape.signal, bits, self.records, body);
        self.body.clear();
        self.records = 0;
    }

    fn is_full(&self) -> bool {
        self.body.len() + self.shape.end.len() > self.shape.bytes_max
    }
}

/// The records of a body of the shape [`Shape::array`].
pub(in crate::exporter) fn records_of(body: &[u8]) -> Vec<&[u8]> {
    let inside = body
        .strip_prefix(b"[\n")
        .and_then(|rest| rest.strip_suffix(b"\n]"));
    let lines = inside.unwrap_or_default().split(|&byte| byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b",").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect()
}

/// A body of the shape [`Shape::array`] with `records`.
pub(in crate::exporter) fn array_of(records: &[&[u8]]) -> Vec<u8> {
    let mut body = b"[\n".to_vec();
    body.extend_from_slice(&records.join(b",\n".as_slice()));
    body.extend_from_slice(b"\n]");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_an_array_are_found_again() {
        let records = [b"{\"a\":1}".as_slice(), b"{\"b\":[1,2]}"];
        for count in 0..=records.len() {
            let body = array_of(&records[..count]);
            assert_eq!(records_of(&body), &records[..count]);
        }
        assert!(records_of(b"garbage").is_empty());
    }
}
