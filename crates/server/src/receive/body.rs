//! A request's body: read within bounds of size and time, decompressed within a bound, its memory taken from what all
//! requests together may have.

use std::{fmt::Display, io::Read, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Limits,
    refusal::{Kind, Refusal},
};

/// What bodies may be compressed with, for messages and headers.
pub(super) const ACCEPTED: &str = "gzip,zstd,deflate,identity";
/// How long a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sender may go on with a body that is not wanted.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest window of zstd, as a power of two: what RFC 8878 asks decoders to have, 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// How much is decompressed before more memory is asked for.
pub(super) const STEP_BYTES: usize = 64 * 1024;

/// What a body is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    Zstd,
    /// Of zlib, as HTTP has it (RFC 9110, section 8.4.1.2).
    Deflate,
    /// One block of snappy, which some paths take and no header names elsewhere.
    Snappy,
}

impl Compression {
    /// The one that a request over HTTP has.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let named = headers.get(header::CONTENT_ENCODING);
        Self::named(named.and_then(|name| name.to_str().ok()))
    }

    /// The one that `Content-Encoding` or `grpc-encoding` names.
    pub(super) fn named(name: Option<&str>) -> Result<Self, Refusal> {
        let name = name.unwrap_or_default().trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if name.is_empty() || is("identity") {
            Ok(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Ok(Self::Gzip)
        } else if is("zstd") {
            Ok(Self::Zstd)
        } else if is("deflate") {
            Ok(Self::Deflate)
        } else {
            let name: String = name.chars().take(40).collect();
            let reason = "the request is compressed in a way that is not known here";
            Err(Refusal::new(
                Kind::Unsupported,
                reason,
                "compress it with gzip, zstd or deflate, or not at all (identity)",
            )
            .with_detail(name))
        }
    }
}

/// A share of the memory that all requests together may have. Given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<Semaphore>,
    own: Option<OwnedSemaphorePermit>,
    patience: Duration,
}

impl Share {
    pub(super) const fn new(all: Arc<Semaphore>, patience: Duration) -> Self {
        Self {
            all,
            own: None,
            patience,
        }
    }

    /// Takes so many bytes more, and waits for them where there are none left.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = match Arc::clone(&self.all).try_acquire_many_owned(bytes) {
            Ok(more) => more,
            Err(_) => timeout(
                self.patience,
                Arc::clone(&self.all).acquire_many_owned(bytes),
            )
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(Refusal::busy)?,
        };
        match &mut self.own {
            Some(own) => own.merge(more),
            None => self.own = Some(more),
        }
        Ok(())
    }
}

/// A body that was read, and what it takes of the memory.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) share: Share,
}

/// Reads a body whole.
pub(super) async fn read(body: &mut Body, share: Share, limits: &Limits) -> Result<Whole, Refusal> {
    let slow = |_| {
        Refusal::new(
            Kind::Slow,
            "the request did not come within 30 s",
            "send smaller batches, or look at the network",
        )
    };
    timeout(TIMEOUT, gather(body, share, limits))
        .await
        .map_err(slow)?
}

async fn gather(body: &mut Body, mut share: Share, limits: &Limits) -> Result<Whole, Refusal> {
    // Most bodies come as one piece, which needs no copy.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |error: axum::Error| {
            Refusal::new(
                Kind::Malformed,
                "the connection broke within the request",
                "look at the network",
            )
            .with_detail(error.to_string())
        };
        let Ok(piece) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let so_far = first.len().max(all.len());
        if so_far + piece.len() > limits.body_bytes_max {
            return Err(too_large(limits));
        }
        share.grow(piece.len()).await?;
        if so_far == 0 {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    let bytes = if all.is_empty() {
        first
    } else {
        Bytes::from(all)
    };
    Ok(Whole { bytes, share })
}

fn too_large(limits: &Limits) -> Refusal {
    let mib = limits.body_bytes_max >> 20;
    Refusal::too_large(format!("the request has more than {mib} MiB"))
}

/// Reads on and forgets, so that a sender in the middle of its body hears the answer.
pub(super) async fn discard(mut body: Body, limits: &Limits) {
    let mut bytes = 0;
    let discard = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limits.body_bytes_max {
                break;
            }
        }
    };
    let _ = timeout(DISCARD_TIMEOUT, discard).await;
}

/// Decompresses a body. Blocks while there is no memory for it, so it is for threads that may block.
pub(super) fn decompress(
    compression: Compression,
    whole: Whole,
    limits: &Limits,
    runtime: &Handle,
) -> Result<Whole, Refusal> {
    let Whole { bytes, mut share } = whole;
    let inflated = match compression {
        // A body of nothing is nothing, compressed or not.
        Compression::Identity => return Ok(Whole { bytes, share }),
        _ if bytes.is_empty() => return Ok(Whole { bytes, share }),
        Compression::Gzip => {
            let reader = MultiGzDecoder::new(&*bytes);
            inflate(reader, "gzip", &mut share, limits, runtime)?
        }
        Compression::Zstd => {
            let reader =
                zstd::stream::read::Decoder::with_buffer(&*bytes).and_then(|mut reader| {
                    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                    Ok(reader)
                });
            let reader = reader.map_err(|error| broken("zstd", &error))?;
            inflate(reader, "zstd", &mut share, limits, runtime)?
        }
        Compression::Deflate => {
            let reader = ZlibDecoder::new(&*bytes);
            inflate(reader, "deflate", &mut share, limits, runtime)?
        }
        Compression::Snappy => unsnap(&bytes, &mut share, limits, runtime)?,
    };
    let bytes = Bytes::from(inflated);
    Ok(Whole { bytes, share })
}

fn broken(name: &'static str, error: &dyn Display) -> Refusal {
    let mend = if name == "snappy" {
        "compress the whole protobuf as one block of snappy, without frames"
    } else {
        "send what `Content-Encoding` or `grpc-encoding` says"
    };
    Refusal::new(Kind::Malformed, format!("the request is not {name}"), mend)
        .with_detail(error.to_string())
}

/// Undoes a block of snappy, which says first how long it becomes.
fn unsnap(
    block: &[u8],
    share: &mut Share,
    limits: &Limits,
    runtime: &Handle,
) -> Result<Vec<u8>, Refusal> {
    let broken = |error: snap::Error| broken("snappy", &error);
    let length = snap::raw::decompress_len(block).map_err(broken)?;
    if length > limits.body_bytes_max {
        return Err(too_large(limits));
    }
    runtime.block_on(share.grow(length))?;
    snap::raw::Decoder::new()
        .decompress_vec(block)
        .map_err(broken)
}

fn inflate(
    mut reader: impl Read,
    name: &'static str,
    share: &mut Share,
    limits: &Limits,
    runtime: &Handle,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    loop {
        // Twice as much each time, but never more than one byte too many, which tells what is too large.
        let step = out
            .len()
            .max(STEP_BYTES)
            .min(limits.body_bytes_max + 1 - out.len());
        runtime.block_on(share.grow(step))?;
        out.reserve_exact(step);
        let read = reader.by_ref().take(step as u64).read_to_end(&mut out);
        let read = read.map_err(|error| broken(name, &error))?;
        if out.len() > limits.body_bytes_max {
            return Err(too_large(limits));
        }
        if read < step {
            return Ok(out);
        }
    }
}
