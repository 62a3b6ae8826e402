//! Who an exporter sends to, for those who ask whether it is reached.

use std::{fmt, path::PathBuf, time::Duration};

use super::delivery::{
    address::shown,
    http::{Client, Reach},
};
use crate::encode::otlp::Signal;

/// One endpoint of an exporter over HTTP or gRPC.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its URL, or how those begin that requests go to.
    pub(super) url: String,
    /// What is sent there.
    pub(super) signals: Vec<Signal>,
    /// Whether it is spoken to by gRPC.
    pub(super) is_grpc: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Duration,
    pub(super) ca_certificate: Option<PathBuf>,
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
}

impl Peer {
    /// Its URL without secrets.
    pub fn endpoint(&self) -> String {
        shown(&self.url)
    }

    /// A client for its machine, with the headers and certificates that the exporter has.
    pub(super) fn client(&self, timeout: Duration) -> Option<Client> {
        let pair = self.client_certificate.as_ref();
        let reach = Reach {
            headers: &self.headers,
            timeout: self.timeout.min(timeout),
            ca_certificate: self.ca_certificate.as_deref(),
            client_certificate: pair.map(|(certificate, key)| (&**certificate, &**key)),
        };
        Client::new(&reach, &self.url).ok()
    }
}

impl fmt::Debug for Peer {
    /// Without the values of headers, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("endpoint", &self.endpoint())
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}
