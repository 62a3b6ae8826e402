//! What `sonde serve` is told about who may come in, and about TLS: files, which are read and looked at here.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use radiosonde_server::{
    Config,
    access::{Key, Token},
    tls::{Tls, TlsFiles},
};

use super::{Setting, Shown, Source, file, shown, shown_file};
use crate::{
    cli::serve::ServeArguments,
    collector::{TOKEN_VARIABLE, variable},
};

/// The environment's variables with the server's certificate, its key, and the authority of clients' certificates.
const CERT_VARIABLE: &str = "RADIOSONDE_TLS_CERT";
const KEY_VARIABLE: &str = "RADIOSONDE_TLS_KEY";
const CLIENT_CA_VARIABLE: &str = "RADIOSONDE_TLS_CLIENT_CA";
/// The environment's variable with the file of keys.
const KEYS_VARIABLE: &str = "RADIOSONDE_KEYS";

/// How one comes in.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    tls_cert: Setting<Option<PathBuf>>,
    tls_key: Setting<Option<PathBuf>>,
    tls_client_ca: Setting<Option<PathBuf>>,
    keys_file: Setting<Option<PathBuf>>,
    token: Setting<Option<Token>>,
    /// What the files hold.
    tls: Option<Tls>,
    keys: Vec<Key>,
}

impl Entrance {
    pub(super) fn new(said: &ServeArguments) -> anyhow::Result<Self> {
        let tls_cert = file(said.tls_cert.as_ref(), CERT_VARIABLE);
        let tls_key = file(said.tls_key.as_ref(), KEY_VARIABLE);
        let tls_client_ca = file(said.tls_client_ca.as_ref(), CLIENT_CA_VARIABLE);
        let keys_file = file(said.keys.as_ref(), KEYS_VARIABLE);
        let tls = match (&tls_cert.value, &tls_key.value) {
            (Some(certificate), Some(key)) => Some(Tls::read(&TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: tls_client_ca.value.clone(),
            })?),
            (Some(_), None) => {
                bail!(
                    "--tls-cert is given without its key; give --tls-key or {KEY_VARIABLE} as well"
                )
            }
            (None, Some(_)) => bail!(
                "--tls-key is given without its certificate; give --tls-cert or {CERT_VARIABLE} as well"
            ),
            (None, None) if tls_client_ca.value.is_some() => bail!(
                "--tls-client-ca asks clients for certificates, and the server has none; give --tls-cert and --tls-key as well"
            ),
            (None, None) => None,
        };
        let keys = keys_file.value.as_deref().map(Key::read).transpose()?;
        let token = variable(TOKEN_VARIABLE)
            .map(|text| Token::new(&text).with_context(|| format!("{TOKEN_VARIABLE} is no token")))
            .transpose()?;
        Ok(Self {
            tls_cert,
            tls_key,
            tls_client_ca,
            keys_file,
            token: Setting {
                source: match token {
                    Some(_) => Source::Environment(TOKEN_VARIABLE),
                    None => Source::Default,
                },
                value: token,
            },
            tls,
            keys: keys.unwrap_or_default(),
        })
    }

    /// Tells a server.
    pub(super) fn apply(&self, config: &mut Config) {
        config.token.clone_from(&self.token.value);
        config.keys.clone_from(&self.keys);
        config.tls.clone_from(&self.tls);
    }

    /// What an option stands at, by its name in the definition of the command line.
    pub(super) fn shown(&self, name: &str) -> Option<Shown> {
        Some(match name {
            "tls_cert" => shown_file(&self.tls_cert, CERT_VARIABLE),
            "tls_key" => shown_file(&self.tls_key, KEY_VARIABLE),
            "tls_client_ca" => shown_file(&self.tls_client_ca, CLIENT_CA_VARIABLE),
            "keys" => shown_file(&self.keys_file, KEYS_VARIABLE),
            _ => return None,
        })
    }

    /// Whether there is a token. It is not shown.
    pub(super) fn token(&self) -> Shown {
        shown(&self.token, Some(TOKEN_VARIABLE), |token| {
            token.as_ref().map(|_| "set, and not shown".to_owned())
        })
    }
}
