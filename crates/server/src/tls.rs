//! TLS: the certificate that the listeners show, and the one that they ask clients for.
//!
//! Everything is read and looked at before anything listens, so that a file that cannot be used is said at the start and not
//! to the first client. TLS 1.2 and 1.3, by rustls and ring.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        CertificateError, Error, RootCertStore, ServerConfig,
        client::verify_server_cert_signed_by_trust_anchor,
        crypto::{CryptoProvider, ring},
        pki_types::{
            CertificateDer, PrivateKeyDer, UnixTime,
            pem::{self, PemObject as _},
        },
        server::{
            NoClientAuth, ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier,
        },
    },
};

/// Most bytes of a file: all authorities that Mozilla trusts fit five times.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What may be spoken inside, by its names in ALPN (RFC 7301): gRPC needs the first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificates are, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// What the listeners show: their certificate, and those that lead from it to an authority.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities whose certificates clients have to show; they are not asked for any without.
    pub client_ca: Option<PathBuf>,
}

/// What the listeners need to speak TLS.
#[derive(Clone)]
pub struct Tls {
    /// Of listeners that other machines can reach.
    open: Arc<ServerConfig>,
    /// Of this machine's own, where nobody needs a certificate.
    local: Arc<ServerConfig>,
    asks_clients: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asks_clients = self.asks_clients;
        write!(f, "Tls {{ asks_clients: {asks_clients}, .. }}")
    }
}

/// A file cannot be used for TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {file} {wrong}; {mend}", file = file.display())]
pub struct TlsError {
    what: &'static str,
    file: PathBuf,
    wrong: String,
    mend: &'static str,
}

impl Tls {
    /// Reads the files, and looks whether they belong together and are of today.
    pub fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates("the certificate", &files.certificate)?;
        looks_well(&chain, &provider).map_err(|error| unusable(&files.certificate, &error))?;
        let key = key(&files.key)?;
        let (open, local): (Arc<dyn ClientCertVerifier>, Arc<dyn ClientCertVerifier>) =
            match &files.client_ca {
                None => (Arc::new(NoClientAuth), Arc::new(NoClientAuth)),
                Some(path) => {
                    let roots = Arc::new(roots(path)?);
                    let verifier = || {
                        WebPkiClientVerifier::builder_with_provider(
                            Arc::clone(&roots),
                            Arc::clone(&provider),
                        )
                    };
                    let wrong = |error| no_authority(path, &error);
                    (
                        verifier().build().map_err(wrong)?,
                        verifier().allow_unauthenticated().build().map_err(wrong)?,
                    )
                }
            };
        let config = |clients| {
            let key = key.clone_key();
            let config = config(&provider, clients, chain.clone(), key);
            config.map_err(|error| mismatched(files, &error))
        };
        Ok(Self {
            open: config(open)?,
            local: config(local)?,
            asks_clients: files.client_ca.is_some(),
        })
    }

    /// Whether other machines have to show a certificate.
    pub const fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    /// What makes encrypted streams of connections; of this machine's own, if `is_local`.
    pub(crate) fn acceptor(&self, is_local: bool) -> TlsAcceptor {
        let config = if is_local { &self.local } else { &self.open };
        Arc::clone(config).into()
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// The certificates of a file: at least one.
fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(what, path)?;
    let all = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| malformed(what, path, &error))?;
    if all.is_empty() {
        return Err(TlsError {
            what,
            file: path.to_owned(),
            wrong: "holds no certificate as PEM".to_owned(),
            mend: "give a file with `-----BEGIN CERTIFICATE-----`; of DER `openssl x509 -inform der` makes one",
        });
    }
    Ok(all)
}

/// The private key of a file.
fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "the key";
    let bytes = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let begin = b"BEGIN ENCRYPTED PRIVATE KEY";
            let is_locked = bytes.windows(begin.len()).any(|part| part == begin);
            let (wrong, mend) = if is_locked {
                (
                    "is locked with a password",
                    "unlock it with `openssl pkey -in FILE -out key.pem`, and let nobody else read it",
                )
            } else {
                (
                    "holds no private key as PEM",
                    "give a file with `-----BEGIN PRIVATE KEY-----`",
                )
            };
            TlsError {
                what,
                file: path.to_owned(),
                wrong: wrong.to_owned(),
                mend,
            }
        }
        error => malformed(what, path, &error),
    })
}

/// The authorities of clients.
fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authority of clients", path)? {
        roots
            .add(certificate)
            .map_err(|error| no_authority(path, &error))?;
    }
    Ok(roots)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let error = |wrong: String| TlsError {
        what,
        file: path.to_owned(),
        wrong,
        mend: "name a PEM file that the collector may read",
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| error(format!("cannot be read: {cause}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(error(format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Whether clients could take a certificate at all: that it can be read, and is of today. Who issued it is for them to say.
fn looks_well(chain: &[CertificateDer<'_>], provider: &CryptoProvider) -> Result<(), Error> {
    let Some((own, others)) = chain.split_first() else {
        return Ok(());
    };
    let own = ParsedCertificate::try_from(own)?;
    let algorithms = provider.signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    let verified = verify_server_cert_signed_by_trust_anchor(
        &own,
        &nobody,
        others,
        UnixTime::now(),
        algorithms,
    );
    match verified {
        Err(Error::InvalidCertificate(
            wrong @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }),
        )) => Err(Error::InvalidCertificate(wrong)),
        // Nobody is trusted here, so nothing else can come of it.
        _ => Ok(()),
    }
}

/// What is wrong with a certificate by itself.
fn unusable(path: &Path, error: &Error) -> TlsError {
    let (wrong, mend) = match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => (
            "has expired".to_owned(),
            "renew it; `openssl x509 -noout -dates -in FILE` says until when one is valid",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => (
            "is not valid yet".to_owned(),
            "look at this machine's clock, or wait; `openssl x509 -noout -dates -in FILE` says from when it is valid",
        ),
        error => (
            format!("cannot be used: {error}"),
            "give an X.509 certificate of version 3, which `openssl x509 -noout -text -in FILE` shows",
        ),
    };
    TlsError {
        what: "the certificate",
        file: path.to_owned(),
        wrong,
        mend,
    }
}

/// What is wrong with a key, or with it and the certificate together.
fn mismatched(files: &TlsFiles, error: &Error) -> TlsError {
    let (wrong, mend) = match error {
        Error::InconsistentKeys(_) => (
            format!("is not that of {}", files.certificate.display()),
            "give the two that were made together, the certificate of this server first in its file",
        ),
        error => (
            format!("cannot be used: {error}"),
            "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, and a certificate for it",
        ),
    };
    TlsError {
        what: "the key",
        file: files.key.clone(),
        wrong,
        mend,
    }
}

fn no_authority(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError {
        what: "the authority of clients",
        file: path.to_owned(),
        wrong: format!("cannot be used: {error}"),
        mend: "give the certificate with which those of clients are signed, as PEM",
    }
}

/// What is wrong with PEM. The lines are not quoted: one may be of a key.
fn malformed(what: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let wrong = match error {
        pem::Error::MissingSectionEnd { .. } => "ends before its `-----END` line",
        pem::Error::Base64Decode(_) => "has letters that are no base64",
        _ => "is no PEM",
    };
    TlsError {
        what,
        file: path.to_owned(),
        wrong: wrong.to_owned(),
        mend: "copy it again, whole",
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;

    /// A certificate for `localhost` and its key, as PEM.
    fn pair(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// What reading files with these contents says.
    fn said(certificate: &str, key: &str, client_ca: Option<&str>) -> String {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = TlsFiles {
            certificate: file("cert.pem", certificate),
            key: file("key.pem", key),
            client_ca: client_ca.map(|text| file("clients.pem", text)),
        };
        Tls::read(&files).map_or_else(|error| error.to_string(), |tls| format!("{tls:?}"))
    }

    #[test]
    fn files_that_belong_together_are_taken() {
        let (certificate, key) = pair(|_| {});
        assert_eq!(
            said(&certificate, &key, None),
            "Tls { asks_clients: false, .. }"
        );
        let (authority, _) =
            pair(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(
            said(&certificate, &key, Some(&authority)),
            "Tls { asks_clients: true, .. }"
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
        let (certificate, key) = pair(|_| {});
        let (_, other) = pair(|_| {});
        let (old, old_key) = pair(|params| {
            (params.not_before, params.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        });
        let (early, early_key) = pair(|params| {
            (params.not_before, params.not_after) =
                (date_time_ymd(2990, 1, 1), date_time_ymd(2999, 1, 1));
        });
        let half = &certificate[..certificate.len() / 2];
        let broken = certificate.replacen("MII", "M*I", 1);
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (certificate, key, ca, expected) in [
            (
                key.as_str(),
                key.as_str(),
                None,
                ["cert.pem holds no certificate", "BEGIN CERTIFICATE"],
            ),
            ("", &key, None, ["cert.pem holds no certificate", "der"]),
            (half, &key, None, ["cert.pem ends before", "copy it again"]),
            (&broken, &key, None, ["cert.pem", "copy it again"]),
            (&old, &old_key, None, ["cert.pem has expired", "renew it"]),
            (
                &early,
                &early_key,
                None,
                ["cert.pem is not valid yet", "clock"],
            ),
            (
                &certificate,
                &certificate,
                None,
                ["key.pem holds no private key", "BEGIN PRIVATE KEY"],
            ),
            (
                &certificate,
                &locked,
                None,
                ["key.pem is locked", "openssl pkey"],
            ),
            (
                &certificate,
                &other,
                None,
                ["key.pem is not that of", "made together"],
            ),
            (
                &certificate,
                &key,
                Some("nothing"),
                ["clients.pem holds no certificate", "PEM"],
            ),
        ] {
            let said = said(certificate, key, ca);
            assert!(
                expected.iter().all(|part| said.contains(part)),
                "{expected:?}: {said}"
            );
            assert!(
                !said.contains("BEGIN EC") && !said.contains(&key[40..60.min(key.len())]),
                "{said}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let files = TlsFiles {
            certificate: "no/such/cert.pem".into(),
            key: "no/such/key.pem".into(),
            client_ca: None,
        };
        let said = Tls::read(&files).unwrap_err().to_string();
        assert!(said.contains("no/such/cert.pem cannot be read"), "{said}");
    }
}
