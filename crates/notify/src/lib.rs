//! Sends what alerts say: the one part of alerting that does input and output, shared by the library and the program.
//!
//! * [`Messenger`]: one message to one receiver, over HTTP or by mail, and what became of it.
//! * [`Alarms`]: rules and routing as one machine, and what is to be sent now.
//! * [`mod@file`]: both as written in TOML.
//!
//! Invariant: an address, a key or a password is in no error and in no `Debug` of this crate: an incoming webhook's URL is a
//! secret.

#![forbid(unsafe_code)]

mod alarms;
pub mod file;
mod mail;

use std::{io::Read as _, time::Duration};

use radiosonde_answers::alerts::{
    payload::{self, Answer, Message, Request},
    routing::{Outcome, Receiver},
};
use ureq::{
    Agent,
    http::header,
    tls::{Certificate, PemItem, RootCerts, TlsConfig},
};

pub use self::alarms::{Alarms, Due};

/// How long one message may take, connection included.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

const USER_AGENT: &str = concat!("radiosonde/", env!("CARGO_PKG_VERSION"));

/// Sends messages. Blocks for as long as [`TIMEOUT`] at most: it has its place on a thread of its own.
pub struct Messenger {
    agent: Agent,
    ca_certificate: Option<Vec<u8>>,
}

impl std::fmt::Debug for Messenger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messenger").finish_non_exhaustive()
    }
}

/// The certificates to trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificates to trust cannot be read as PEM: {0}")]
pub struct CertificateError(String);

impl Messenger {
    /// Trusts Mozilla's authorities, or those in `ca_certificate`, the text of a PEM file, instead.
    pub fn new(ca_certificate: Option<&[u8]>) -> Result<Self, CertificateError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = ca_certificate {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(pem)?));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept_encoding("identity")
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Ok(Self {
            agent,
            ca_certificate: ca_certificate.map(<[u8]>::to_vec),
        })
    }

    /// Sends `message` to `receiver`, for whom it was made.
    pub fn send(&self, receiver: &Receiver, message: &Message) -> Outcome {
        match (message, receiver) {
            (Message::Http(request), _) => self.post(receiver, request),
            (Message::Mail(letter), Receiver::Email(email)) => {
                mail::send(email, letter, self.ca_certificate.as_deref())
            }
            (Message::Mail(_), _) => Outcome::Refused {
                because: format!("{} takes no mail", receiver.kind()),
            },
        }
    }

    fn post(&self, receiver: &Receiver, request: &Request) -> Outcome {
        let mut post = self.agent.post(request.url.reveal());
        for (name, value) in &request.headers {
            post = post.header(*name, value.reveal());
        }
        let mut answer = match post.send(&request.body[..]) {
            Ok(answer) => answer,
            Err(error) => {
                return Outcome::Failed {
                    because: format!("{} gave no answer: {}", receiver.kind(), reason(&error)),
                    retry_after_ms: None,
                };
            }
        };
        let retry_after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        // What breaks off says what came of it.
        let _ = answer
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut body);
        let answer = Answer {
            status,
            retry_after: retry_after.as_deref(),
            body: &String::from_utf8_lossy(&body),
        };
        payload::judge(receiver, &answer)
    }
}

/// What went wrong, without the address, which may be a key: some errors repeat it.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "its address is no URL".to_owned(),
        ureq::Error::HostNotFound => "its host is not found".to_owned(),
        ureq::Error::Timeout(_) => format!("none within {} s", TIMEOUT.as_secs()),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Tls(words) => (*words).to_owned(),
        ureq::Error::Rustls(error) => error.to_string(),
        _ => "the connection failed".to_owned(),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        let item = item.map_err(|error| CertificateError(error.to_string()))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(CertificateError("there is none in it".to_owned()));
    }
    Ok(certificates)
}
