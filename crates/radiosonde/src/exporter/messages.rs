//! What goes to brokers: messages with a body each, and an identifier that is the same however often they are sent.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, mem};

use radiosonde_core::{
    batch::{Batch, RecordRef},
    metrics::snapshot::Snapshot,
};

use super::{
    delivery::Outcome,
    queued::{Format, Queue},
    spool::Payload,
};
use crate::{
    encode::{
        json::JsonEncoder,
        otlp::{Encoder, Request, Signal},
    },
    redact::Redaction,
};

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// One record, as a line of our JSON without its newline.
    #[default]
    Record,
    /// Many records, as lines of our JSON.
    Lines,
    /// An `Export*ServiceRequest` of OTLP as protobuf: the only one that has metrics.
    Otlp,
}

impl Content {
    /// Its media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Record => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Otlp => "application/x-protobuf",
        }
    }

    /// The signals that it can be, of those that are asked for.
    pub(super) fn of(self, asked: &[Signal]) -> Vec<Signal> {
        let can = |signal: &&Signal| **signal != Signal::Metrics || self == Self::Otlp;
        asked.iter().filter(can).copied().collect()
    }
}

/// Bytes after which another payload, or another message with many records, is begun: a quarter of what NATS and Kafka take
/// as one message unless told otherwise (`max_payload` 1 MiB, `message.max.bytes` 1 MB).
const PAYLOAD_BYTES: usize = 256 * 1024;

/// Bytes before each message in a payload: its number, how many records it has, and its length.
const HEAD_BYTES: usize = 16;

/// Writes messages.
pub(super) struct Messages {
    content: Content,
    json: JsonEncoder,
    otlp: Encoder,
    /// Tells this exporter's messages from those of any other.
    origin: u64,
    number: u64,
}

impl Messages {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            json: JsonEncoder::new(Redaction::default()),
            otlp: Encoder::new(PAYLOAD_BYTES),
            origin: RandomState::new().hash_one(1),
            number: 0,
        }
    }

    fn push(&mut self, records: u32, body: &[u8], payload: &mut Vec<u8>) {
        if payload.is_empty() {
            payload.extend_from_slice(&self.origin.to_le_bytes());
        }
        let message = Message {
            number: self.number,
            records,
            body,
        };
        message.write(payload);
        self.number += 1;
    }

    fn otlp(
        &mut self,
        queue: &mut Queue<'_>,
        encode: impl FnOnce(&mut Encoder, &mut dyn FnMut(Request<'_>)),
    ) {
        let mut encoder = mem::take(&mut self.otlp);
        encode(&mut encoder, &mut |request| {
            let mut payload = Vec::with_capacity(request.body.len() + 8 + HEAD_BYTES);
            let records = u32::try_from(request.records).unwrap_or(u32::MAX);
            self.push(records, request.body, &mut payload);
            queue.push(request.signal, records, payload);
        });
        self.otlp = encoder;
    }

    fn lines(&mut self, batch: &Batch, signal: Signal, queue: &mut Queue<'_>) {
        let is_of = |record: &RecordRef<'_>| {
            matches!(record, RecordRef::Span(_)) == (signal == Signal::Traces)
        };
        let (mut payload, mut in_payload) = (Vec::new(), 0);
        let (mut lines, mut in_lines) = (Vec::new(), 0);
        for record in batch.records().filter(is_of) {
            self.json.line(&record, &mut lines);
            in_lines += 1;
            if self.content == Content::Record {
                lines.pop();
                self.push(1, &lines, &mut payload);
                lines.clear();
                in_payload += in_lines;
                in_lines = 0;
                if payload.len() >= PAYLOAD_BYTES {
                    queue.push(signal, in_payload, mem::take(&mut payload));
                    in_payload = 0;
                }
            } else if lines.len() >= PAYLOAD_BYTES {
                self.push(in_lines, &lines, &mut payload);
                queue.push(signal, in_lines, mem::take(&mut payload));
                lines.clear();
                in_lines = 0;
            }
        }
        if in_lines > 0 {
            self.push(in_lines, &lines, &mut payload);
            in_payload += in_lines;
        }
        queue.push(signal, in_payload, payload);
    }
}

impl Format for Messages {
    fn encode(&mut self, batch: &Batch, queue: &mut Queue<'_>) {
        for signal in [Signal::Traces, Signal::Logs] {
            if !queue.takes(signal) {
                continue;
            }
            match (self.content, signal) {
                (Content::Record | Content::Lines, _) => self.lines(batch, signal, queue),
                (Content::Otlp, Signal::Traces) => {
                    self.otlp(queue, |encoder, send| encoder.traces(batch, send));
                }
                (Content::Otlp, _) => self.otlp(queue, |encoder, send| encoder.logs(batch, send)),
            }
        }
    }

    fn encode_metrics(&mut self, snapshot: &Snapshot, queue: &mut Queue<'_>) {
        if queue.takes(Signal::Metrics) {
            self.otlp(queue, |encoder, send| encoder.metrics(snapshot, send));
        }
    }
}

/// One message of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    number: u64,
    /// How many records it has.
    pub(super) records: u32,
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.number.to_le_bytes());
        payload.extend_from_slice(&self.records.to_le_bytes());
        payload.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        payload.extend_from_slice(self.body);
    }

    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let message = Self {
            number: u64::from_le_bytes(*number),
            records: u32::from_le_bytes(*records),
            body,
        };
        Some((message, rest))
    }
}

/// A payload's messages, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent<'a> {
    origin: u64,
    pub(super) messages: Vec<Message<'a>>,
}

impl<'a> Sent<'a> {
    /// None for what a newer version wrote.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let (origin, mut rest) = payload.split_first_chunk()?;
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let (message, after) = Message::read(rest)?;
            messages.push(message);
            rest = after;
        }
        Some(Self {
            origin: u64::from_le_bytes(*origin),
            messages,
        })
    }

    /// The same however often the message is sent, and no other message's.
    pub(super) fn identifier(&self, message: &Message<'_>) -> String {
        format!("{:016x}-{}", self.origin, message.number)
    }

    /// The payload of those messages for which `stays`, and how many records they have.
    pub(super) fn rest(&self, stays: impl Fn(usize) -> bool) -> (u32, Vec<u8>) {
        let mut payload = self.origin.to_le_bytes().to_vec();
        let mut records = 0_u32;
        for (index, message) in self.messages.iter().enumerate() {
            if stays(index) {
                message.write(&mut payload);
                records = records.saturating_add(message.records);
            }
        }
        (records, payload)
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// For good, and why.
    Refused(String),
    /// It is to be tried again, as the broker said.
    Later(String),
    /// No answer came.
    Silent(String),
}

impl Sent<'_> {
    /// What became of the payload with `tag`, one answer a message.
    pub(super) fn outcome(&self, tag: u8, answers: &[Answer]) -> Outcome {
        let (mut taken, mut rejected) = (0_u64, 0_u64);
        let (mut refusal, mut silence, mut delay) = (None, None, None);
        for (message, answer) in self.messages.iter().zip(answers) {
            match answer {
                Answer::Taken => taken += u64::from(message.records),
                Answer::Refused(reason) => {
                    rejected += u64::from(message.records);
                    refusal = Some(reason);
                }
                Answer::Later(reason) => delay = Some(reason),
                Answer::Silent(reason) => silence = Some(reason),
            }
        }
        let retried = delay.or(silence).cloned();
        match (retried, refusal) {
            (None, None) => Outcome::Delivered,
            (None, Some(reason)) if taken == 0 => Outcome::Rejected {
                reason: reason.clone(),
            },
            (None, Some(reason)) => Outcome::Partial {
                rejected,
                reason: reason.clone(),
            },
            (Some(reason), None) if taken == 0 => match delay {
                Some(_) => Outcome::Unavailable {
                    reason,
                    retry_after: None,
                },
                None => Outcome::Unreachable { reason },
            },
            (Some(reason), _) => {
                let stays =
                    |index: usize| matches!(answers[index], Answer::Later(_) | Answer::Silent(_));
                let (records, body) = self.rest(stays);
                Outcome::PartUnavailable {
                    rest: Payload { tag, records, body },
                    rejected,
                    reason: refusal.cloned().unwrap_or(reason),
                    retry_after: None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_of_a_payload_keeps_its_identifiers(
            bodies in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 1_u32..5), 1..10),
            stays in any::<u16>(),
        ) {
            let mut messages = Messages::new(Content::Record);
            let mut payload = Vec::new();
            for (body, records) in &bodies {
                messages.push(*records, body, &mut payload);
            }
            let all = Sent::read(&payload).unwrap();
            prop_assert_eq!(all.messages.len(), bodies.len());
            let kept = |index: usize| stays & (1 << index) != 0;
            let (records, rest) = all.rest(kept);
            let left = Sent::read(&rest).unwrap();
            let expected: Vec<_> = all.messages.iter().enumerate().filter(|(index, _)| kept(*index)).collect();
            prop_assert_eq!(left.messages.len(), expected.len());
            prop_assert_eq!(records, expected.iter().map(|(_, message)| message.records).sum::<u32>());
            for (one, (index, other)) in left.messages.iter().zip(expected) {
                prop_assert_eq!(one, other);
                prop_assert_eq!(one.body, &bodies[index].0[..]);
                prop_assert_eq!(left.identifier(one), all.identifier(other));
            }
        }

        #[test]
        fn of_every_record_it_is_said_once_what_became_of_it(
            answers in prop::collection::vec((0_u8..4, 1_u32..5), 1..10),
        ) {
            let mut messages = Messages::new(Content::Lines);
            let mut payload = Vec::new();
            for (_, records) in &answers {
                messages.push(*records, b"{}", &mut payload);
            }
            let sent = Sent::read(&payload).unwrap();
            let why = || "why".to_owned();
            let said: Vec<_> = answers.iter().map(|(kind, _)| match kind {
                0 => Answer::Taken,
                1 => Answer::Refused(why()),
                2 => Answer::Later(why()),
                _ => Answer::Silent(why()),
            }).collect();
            let of = |kinds: &[u8]| -> u64 {
                let of_kind = answers.iter().filter(|(kind, _)| kinds.contains(kind));
                of_kind.map(|(_, records)| u64::from(*records)).sum()
            };
            let (taken, refused, again) = (of(&[0]), of(&[1]), of(&[2, 3]));
            match sent.outcome(7, &said) {
                Outcome::Delivered => prop_assert_eq!((refused, again), (0, 0)),
                Outcome::Rejected { .. } => prop_assert_eq!((taken, again), (0, 0)),
                Outcome::Partial { rejected, .. } => prop_assert_eq!((rejected, again), (refused, 0)),
                Outcome::Unavailable { .. } => prop_assert_eq!((taken, refused), (0, 0)),
                Outcome::Unreachable { .. } => prop_assert_eq!((taken, refused, of(&[2])), (0, 0, 0)),
                Outcome::PartUnavailable { rest, rejected, .. } => {
                    prop_assert_eq!((u64::from(rest.records), rejected), (again, refused));
                    prop_assert!(taken + refused > 0);
                }
            }
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(read) = Sent::read(&bytes) {
                prop_assert_eq!(read.rest(|_| true).1, bytes);
            }
        }
    }
}
