//! TLS as syslog has it (RFC 5425): the receiver is known by a certificate authority that is named, and this program by a
//! certificate of its own where the receiver asks for one.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::SyslogConfig;
use crate::exporter::DestinationError;

pub(super) fn client(config: &SyslogConfig) -> Result<Arc<ClientConfig>, DestinationError> {
    let Some(authority) = &config.ca_certificate else {
        return Err(DestinationError::Endpoint {
            destination: "syslog",
            endpoint: config.endpoint.clone(),
            reason: "TLS needs the receiver's certificate authority: name its PEM file as certificate",
        });
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(authority, &error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(authority, &error))?
        .with_root_certificates(roots);
    let client = match &config.client_certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key_read =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            builder
                .with_client_auth_cert(chain, key_read)
                .map_err(|error| unusable(certificate, &error))?
        }
    };
    Ok(Arc::new(client))
}

/// The certificates of a PEM file: at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DestinationError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, &error))?;
    if all.is_empty() {
        return Err(unusable(path, &"it holds no certificate in PEM form"));
    }
    Ok(all)
}

fn unusable(path: &Path, reason: &impl ToString) -> DestinationError {
    DestinationError::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
