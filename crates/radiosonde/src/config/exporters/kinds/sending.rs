//! Keys of everything that is sent to over a network.

use std::path::PathBuf;

use super::Table;
use crate::{
    encode::otlp::Signal,
    exporter::spool::{SPOOL_BYTES_MIN, SpoolConfig},
};

/// Where what waits is kept.
pub(super) fn spool(table: &mut Table) -> SpoolConfig {
    let mut spool = SpoolConfig::default();
    let folder = table.take_some::<PathBuf>("spool_directory");
    let bytes_max = table.take("spool_bytes_max", || spool.bytes_max);
    if bytes_max == 0 || table.is_trial() {
        return SpoolConfig::in_memory();
    }
    if bytes_max < SPOOL_BYTES_MIN {
        table.refuse(
            "spool_bytes_max",
            "is too little",
            "write 2097152 (2 MiB) or more, or 0",
        );
    }
    spool.bytes_max = bytes_max;
    if folder.is_some() {
        spool.folder = folder;
    }
    spool
}

/// What is sent; all unless said.
pub(super) fn signals(table: &mut Table) -> Vec<Signal> {
    let Some(names) = table.take_some::<Vec<String>>("signals") else {
        return Signal::ALL.to_vec();
    };
    let mut signals = Vec::new();
    for name in names {
        match Signal::ALL.into_iter().find(|signal| signal.name() == name) {
            Some(signal) => signals.push(signal),
            None => table.refuse(
                "signals",
                format!("names {name:?}"),
                "write some of \"traces\", \"logs\" and \"metrics\"",
            ),
        }
    }
    signals
}

/// The authorities to trust, and the certificate and key of this program.
pub(super) fn certificates(table: &mut Table) -> (Option<PathBuf>, Option<(PathBuf, PathBuf)>) {
    let authority = table.take_some::<PathBuf>("certificate");
    let certificate = table.take_some::<PathBuf>("client_certificate");
    let key = table.take_some::<PathBuf>("client_key");
    if certificate.is_some() != key.is_some() {
        let mend = "write both client_certificate and client_key, or neither";
        table.refuse("", "has one half of a certificate and key", mend);
    }
    (authority, certificate.zip(key))
}
