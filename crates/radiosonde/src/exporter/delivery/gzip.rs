//! Bodies compressed by gzip (RFC 1952), and read again where a part of one is to be sent once more.

use std::io::{Read as _, Write as _};

/// Most bytes that a body of ours becomes when it is read again: more than any limit on requests.
#[cfg(feature = "backends")]
const PLAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `body`, compressed; `None` only where memory cannot be written to.
pub(in crate::exporter) fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let level = flate2::Compression::fast();
    let room = Vec::with_capacity(body.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(room, level);
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// What [`compressed`] made `body` of; `None` where it is something else.
#[cfg(feature = "backends")]
pub(in crate::exporter) fn plain(body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let reader = flate2::read::GzDecoder::new(body);
    reader.take(PLAIN_BYTES_MAX).read_to_end(&mut plain).ok()?;
    Some(plain)
}
