//! Mail over SMTP.

use lettre::{
    Message, SmtpTransport, Transport as _,
    message::{
        MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use radiosonde_answers::alerts::{
    payload::{self, Mail},
    routing::{Email, Encryption, Outcome},
};

use crate::TIMEOUT;

/// Sends `letter` by the server of `email`.
pub(super) fn send(email: &Email, letter: &Mail, ca_certificate: Option<&[u8]>) -> Outcome {
    let refused = |because: String| Outcome::Refused { because };
    let message = match message(letter) {
        Ok(message) => message,
        Err(words) => return refused(format!("the mail cannot be written: {words}")),
    };
    let transport = match transport(email, ca_certificate) {
        Ok(transport) => transport,
        Err(words) => return refused(format!("the mail server cannot be used: {words}")),
    };
    match transport.send(&message) {
        Ok(answer) => {
            let words: Vec<&str> = answer.message().collect();
            payload::judge_mail(code(answer.code()), &words.join(" "))
        }
        Err(error) => match error.status() {
            Some(status) => payload::judge_mail(code(status), &error.to_string()),
            None => Outcome::Failed {
                because: format!("the mail server gave no answer: {error}"),
                retry_after_ms: None,
            },
        },
    }
}

fn code(code: lettre::transport::smtp::response::Code) -> u16 {
    code.into()
}

fn message(letter: &Mail) -> Result<Message, String> {
    let address = |text: &str| {
        text.parse::<lettre::message::Mailbox>()
            .map_err(|error| error.to_string())
    };
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(letter.date_unix_ns);
    let mut builder = Message::builder()
        .from(address(&letter.from)?)
        .subject(letter.subject.clone())
        .date(date);
    for to in &letter.to {
        builder = builder.to(address(to)?);
    }
    for (name, value) in &letter.headers {
        let name = HeaderName::new_from_ascii((*name).to_owned()).map_err(|e| e.to_string())?;
        builder = builder.raw_header(HeaderValue::new(name, value.clone()));
    }
    builder
        .multipart(MultiPart::alternative_plain_html(
            letter.text.clone(),
            letter.html.clone(),
        ))
        .map_err(|error| error.to_string())
}

fn transport(email: &Email, ca_certificate: Option<&[u8]>) -> Result<SmtpTransport, String> {
    let (host, port) = email.server.rsplit_once(':').ok_or("it has no port")?;
    let port: u16 = port.parse().map_err(|_| "its port is no number")?;
    let tls = match email.encryption {
        Encryption::None => Tls::None,
        Encryption::StartTls => Tls::Required(parameters(host, ca_certificate)?),
        Encryption::Tls => Tls::Wrapper(parameters(host, ca_certificate)?),
    };
    let mut builder = SmtpTransport::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if let (Some(username), Some(password)) = (&email.username, &email.password) {
        let password = password.reveal().to_owned();
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok(builder.build())
}

fn parameters(host: &str, ca_certificate: Option<&[u8]>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = ca_certificate {
        let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
        builder = builder
            .certificate_store(lettre::transport::smtp::client::CertificateStore::None)
            .add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| error.to_string())
}
