//! Whether files hold what TLS needs of them. Without the feature that sends over TLS, only whether they can be read.

use std::{fs::File, io::Read as _, path::Path};

use crate::exporter::refuse_special;

/// Largest file of certificates that is read, in bytes: all authorities that Mozilla trusts fit five times.
const BYTES_MAX: u64 = 1 << 20;

/// Whether the file at `path` holds a certificate.
pub(super) fn certificates(path: &Path) -> Result<(), String> {
    let bytes = read(path)?;
    if holds(&bytes, Kind::Certificate) {
        Ok(())
    } else {
        Err("holds no certificate".to_owned())
    }
}

/// Whether the file at `path` holds a private key.
pub(super) fn key(path: &Path) -> Result<(), String> {
    let bytes = read(path)?;
    if holds(&bytes, Kind::Key) {
        Ok(())
    } else {
        Err("holds no private key".to_owned())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    Key,
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Opening a named pipe would wait for whoever writes to it.
    refuse_special(path, false).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("has more than {BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// Whether there is an item of `kind`, and nothing that is broken.
#[cfg(feature = "otlp-http")]
fn holds(bytes: &[u8], kind: Kind) -> bool {
    use ureq::tls::PemItem;
    let mut found = false;
    for item in ureq::tls::parse_pem(bytes) {
        match item {
            Ok(PemItem::Certificate(_)) => found |= kind == Kind::Certificate,
            Ok(PemItem::PrivateKey(_)) => found |= kind == Kind::Key,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    found
}

#[cfg(not(feature = "otlp-http"))]
fn holds(_: &[u8], _: Kind) -> bool {
    true
}
