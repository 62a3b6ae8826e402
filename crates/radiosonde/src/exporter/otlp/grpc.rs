//! OTLP over gRPC: one unary `Export` a request, with the bytes as the encoder wrote them.
//!
//! The runtime runs only while a request is on its way, on the exporter's own thread. A connection that the server
//! closed in between shows at the next request, which is then tried once more on a new one.

use std::{fs, path::Path, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Code, Request, Status,
    client::Grpc as Client,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{OtlpConfig, Target, config::DESTINATION, response};
use crate::{
    encode::otlp::Signal,
    exporter::{
        delivery::{
            DestinationError, Outcome, Transport, address::shown, http::USER_AGENT, signal_of,
        },
        spool::Payload,
    },
};

pub(super) struct Grpc {
    runtime: Runtime,
    endpoint: Endpoint,
    channel: Option<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
    gzip: bool,
}

impl Grpc {
    pub(super) fn new(config: &OtlpConfig, target: &Target) -> Result<Self, DestinationError> {
        let invalid = |reason| DestinationError::Endpoint {
            destination: DESTINATION,
            endpoint: shown(&target.endpoint),
            reason,
        };
        let mut endpoint = Endpoint::from_shared(target.endpoint.clone())
            .map_err(|_| invalid("it is not a URL"))?
            .connect_timeout(config.timeout)
            .user_agent(USER_AGENT)
            .map_err(|_| invalid("it is not a URL"))?;
        if target.endpoint.starts_with("https://") {
            endpoint = endpoint
                .tls_config(tls(config)?)
                .map_err(|_| invalid("its certificates cannot be used"))?;
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DestinationError::Thread)?;
        Ok(Self {
            runtime,
            endpoint,
            channel: None,
            metadata: metadata(&config.headers)?,
            timeout: config.timeout,
            gzip: config.gzip(target),
        })
    }

    fn call(&mut self, signal: Signal, body: Bytes) -> Result<Bytes, Failure> {
        let (endpoint, gzip) = (&self.endpoint, self.gzip);
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        let channel = self.channel.take();
        let call = async {
            let channel = channel.unwrap_or_else(|| endpoint.connect_lazy());
            let mut client = Client::new(channel.clone())
                .accept_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(response::BYTES_MAX as usize);
            if gzip {
                client = client.send_compressed(CompressionEncoding::Gzip);
            }
            client
                .ready()
                .await
                .map_err(|error| Failure::Silent(Status::unavailable(causes(&error))))?;
            let answer = client.unary(request, path(signal), Raw).await;
            let answer = answer.map_err(|status| {
                if is_broken_connection(&status) {
                    Failure::Silent(status)
                } else {
                    Failure::Answered(status)
                }
            })?;
            Ok((answer.into_inner(), channel))
        };
        let timeout = self.timeout;
        let called = self
            .runtime
            .block_on(async { tokio::time::timeout(timeout, call).await });
        match called {
            Ok(Ok((answer, channel))) => {
                self.channel = Some(channel);
                Ok(answer)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Silent(Status::deadline_exceeded(format!(
                "no answer within {timeout:?}"
            )))),
        }
    }
}

impl Transport for Grpc {
    fn send(&mut self, payload: &Payload) -> Outcome {
        let Some(signal) = signal_of(payload.tag) else {
            return Outcome::Rejected {
                reason: "written by a newer version".to_owned(),
            };
        };
        let body = Bytes::copy_from_slice(&payload.body);
        let was_connected = self.channel.is_some();
        let mut called = self.call(signal, body.clone());
        if let Err(Failure::Silent(status)) = &called
            && was_connected
            && is_broken_connection(status)
        {
            called = self.call(signal, body);
        }
        match called {
            Ok(answer) => response::success(&answer, true),
            Err(Failure::Answered(status)) if is_answer_too_long(&status) => Outcome::Partial {
                rejected: 0,
                reason: "the answer is too long to be read".to_owned(),
            },
            Err(Failure::Answered(status)) => refused(&status),
            Err(Failure::Silent(status)) => Outcome::Unreachable {
                reason: reason(&status),
            },
        }
    }
}

/// Why a call did not succeed.
enum Failure {
    /// The client's own word: no answer came.
    Silent(Status),
    /// The server's.
    Answered(Status),
}

/// Whether the status is the client's own word for an answer of which it reads no more. What was sent is taken then.
fn is_answer_too_long(status: &Status) -> bool {
    let said = match status.code() {
        Code::OutOfRange => "Error, decoded message length too large",
        Code::ResourceExhausted => "Error decompressing: size limit",
        _ => return false,
    };
    status.message().starts_with(said)
}

/// Whether the status is the client's own word for a connection that ended, not the server's: what the client library could
/// not classify is one that broke.
fn is_broken_connection(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
        && matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
        )
}

/// A status in words.
fn reason(status: &Status) -> String {
    let message = match std::error::Error::source(status) {
        Some(source) => causes(source),
        None => status.message().to_owned(),
    };
    format!(
        "gRPC {:?}: {}",
        status.code(),
        response::error_message(message.as_bytes())
    )
}

fn refused(status: &Status) -> Outcome {
    let reason = reason(status);
    let retry_after = response::retry_info(status.details());
    // OpenTelemetry protocol specification, OTLP/gRPC throttling: the codes that are tried again.
    let again = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => retry_after.is_some(),
        _ => false,
    };
    if again {
        Outcome::Unavailable {
            reason,
            retry_after,
        }
    } else {
        Outcome::Rejected { reason }
    }
}

/// An error with everything that led to it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

fn path(signal: Signal) -> PathAndQuery {
    PathAndQuery::from_static(match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    })
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, DestinationError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let parsed = name
            .to_ascii_lowercase()
            .parse::<MetadataKey<Ascii>>()
            .ok()
            .zip(value.parse::<MetadataValue<Ascii>>().ok());
        let Some((key, mut value)) = parsed else {
            return Err(DestinationError::Header { name: name.clone() });
        };
        value.set_sensitive(true);
        metadata.append(key, value);
    }
    Ok(metadata)
}

fn tls(config: &OtlpConfig) -> Result<ClientTlsConfig, DestinationError> {
    let mut tls = ClientTlsConfig::new();
    tls = match &config.ca_certificate {
        Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
        None => tls.with_webpki_roots(),
    };
    if let Some((certificate, key)) = &config.client_certificate {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(tls)
}

fn read(path: &Path) -> Result<Vec<u8>, DestinationError> {
    fs::read(path).map_err(|error| DestinationError::Certificate {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Messages that are bytes already.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
