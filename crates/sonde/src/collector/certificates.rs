//! The certificates that an encrypted connection to a collector needs: whose are trusted, and which is shown.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::variable;
use crate::cli::CollectorArguments;

/// The environment's variables with the authority to trust, and with the certificate to show and its key.
const CA_VARIABLE: &str = "RADIOSONDE_TLS_CA";
const CERT_VARIABLE: &str = "RADIOSONDE_TLS_CLIENT_CERT";
const KEY_VARIABLE: &str = "RADIOSONDE_TLS_CLIENT_KEY";

/// The same as programs say it that export over OTLP (OpenTelemetry, "OpenTelemetry Protocol Exporter").
const OTLP_CA: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const OTLP_CERT: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const OTLP_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// Files, as PEM.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    /// Whose certificates are trusted; those of Mozilla's authorities without.
    ca: Option<PathBuf>,
    /// What is shown to a collector that asks, and its key.
    client: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// What the command line says, or else the environment.
    pub(super) fn new(said: &CollectorArguments) -> anyhow::Result<Self> {
        let file = |said: &Option<PathBuf>, name| {
            let named = said.clone();
            named.or_else(|| variable(name).map(PathBuf::from))
        };
        let certificate = file(&said.tls_client_cert, CERT_VARIABLE);
        let key = file(&said.tls_client_key, KEY_VARIABLE);
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => bail!(
                "a certificate to show is given without its key, or the other way round; give --tls-client-cert and \
                 --tls-client-key, or {CERT_VARIABLE} and {KEY_VARIABLE}"
            ),
        };
        Ok(Self {
            ca: file(&said.tls_ca, CA_VARIABLE),
            client,
        })
    }

    /// What they hold.
    pub(super) fn tls(&self) -> anyhow::Result<TlsConfig> {
        let mut tls = TlsConfig::builder();
        if let Some(ca) = &self.ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(ca)?));
        }
        if let Some((certificate, key)) = &self.client {
            let chain = certificates(certificate)?;
            let key = PrivateKey::from_pem(&read(key)?).with_context(|| {
                format!(
                    "{} holds no private key as PEM; give a file with `-----BEGIN PRIVATE KEY-----`",
                    key.display()
                )
            })?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        Ok(tls.build())
    }

    /// For programs that export over OTLP, wherever they are started.
    pub(super) fn otlp_variables(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let client = self.client.as_ref();
        let files = [
            (OTLP_CA, self.ca.as_ref()),
            (OTLP_CERT, client.map(|(certificate, _)| certificate)),
            (OTLP_KEY, client.map(|(_, key)| key)),
        ];
        let files = files
            .into_iter()
            .filter_map(|(name, file)| Some((name, file?)));
        let absolute = files.map(|(name, file)| {
            let path = std::path::absolute(file)
                .with_context(|| format!("cannot name {} to a program", file.display()))?;
            Ok((name, path.display().to_string()))
        });
        absolute.collect()
    }
}

/// The certificates of a file: at least one.
fn certificates(path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let mut certificates = Vec::new();
    for item in parse_pem(&read(path)?) {
        let item = item
            .with_context(|| format!("{} is broken PEM; copy it again, whole", path.display()))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!(
            "{} holds no certificate as PEM; give a file with `-----BEGIN CERTIFICATE-----`",
            path.display()
        );
    }
    Ok(certificates)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!(
            "{} cannot be read; name a PEM file that is there",
            path.display()
        )
    })
}

/// What to do about a connection that could not be encrypted, by what the TLS library says of it; nothing where it failed before.
pub(super) fn mend(error: &str) -> Option<&'static str> {
    // Its errors have no other form that does not bring the library itself.
    let mends = [
        (
            "InvalidContentType",
            "it speaks plain HTTP: call it http://, or start it with --tls-cert and --tls-key",
        ),
        (
            "UnknownIssuer",
            "its certificate leads to no authority that is trusted: give that one's with --tls-ca or RADIOSONDE_TLS_CA",
        ),
        (
            "CaUsedAsEndEntity",
            "its certificate is one of an authority: make one for the server, with `basicConstraints=critical,CA:FALSE`",
        ),
        (
            "not valid for",
            "its certificate is for other names: call it by one of them, or make one with `subjectAltName` for this one",
        ),
        (
            "certificate expired",
            "its certificate has expired: renew it, or look at this machine's clock",
        ),
        (
            "CertificateRequired",
            "it asks for a certificate: give --tls-client-cert and --tls-client-key, or RADIOSONDE_TLS_CLIENT_CERT and \
             RADIOSONDE_TLS_CLIENT_KEY",
        ),
        (
            "received fatal alert",
            "it does not take the certificate that it is shown: look at `sonde doctor` there, and at --tls-client-cert",
        ),
    ];
    let found = mends.into_iter().find(|(sign, _)| error.contains(sign));
    found.map(|(_, mend)| mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_to_show_has_its_key() {
        let said = |cert: Option<&str>, key: Option<&str>| CollectorArguments {
            collector: None,
            tls_ca: Some("ca.pem".into()),
            tls_client_cert: cert.map(PathBuf::from),
            tls_client_key: key.map(PathBuf::from),
        };
        let both = Certificates::new(&said(Some("a.pem"), Some("b.pem"))).unwrap();
        let variables = both.otlp_variables().unwrap();
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [OTLP_CA, OTLP_CERT, OTLP_KEY]);
        assert!(
            variables
                .iter()
                .all(|(_, file)| Path::new(file).is_absolute())
        );
        assert!(Certificates::new(&said(Some("a.pem"), None)).is_err());
        assert!(Certificates::new(&said(None, Some("b.pem"))).is_err());
    }

    #[test]
    fn files_that_hold_nothing_are_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("ca.pem");
        let certificates = Certificates {
            ca: Some(file.clone()),
            client: None,
        };
        let said = |certificates: &Certificates| {
            let error = certificates.tls().err();
            error.map(|error| format!("{error:#}")).unwrap()
        };
        assert!(said(&certificates).contains("ca.pem cannot be read"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(said(&certificates).contains("ca.pem holds no certificate"));
    }
}
