//! Messages of syslog: RFC 5424, and RFC 3164 as far as those who say that they speak it agree.
//!
//! | theirs | ours |
//! |---|---|
//! | severity | severity, as OpenTelemetry's logs data model maps it (appendix B) |
//! | APP-NAME, or the tag | `service.name` |
//! | HOSTNAME | `host.name` |
//! | PROCID | `process.pid`, or `syslog.procid` where it is no number |
//! | facility, MSGID | `syslog.facility`, `syslog.msgid` |
//! | `[id name="value"]` | `syslog.id.name`; `trace_id` and `span_id` are the log's own |
//! | a time without year and zone | `syslog.timestamp`: the log has the time when it came |

pub(crate) mod frame;
mod message;

use std::borrow::Cow;

use radiosonde_store::{Rows, row::Value};

use self::message::Message;
use super::{
    Encoding, Signal,
    attributes::{Attributes, Source},
    sink::{Counts, Id, LogItem, Reason, Rejected, Sink, Unreadable},
};

/// The service of what does not name its own.
const SERVICE_DEFAULT: &str = "syslog";
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
/// OpenTelemetry's severity numbers of syslog's severities, from `emerg` to `debug`.
const SEVERITIES: [i64; 8] = [21, 19, 18, 17, 13, 10, 9, 5];

/// Messages that are to become rows together.
#[derive(Debug)]
pub(crate) struct Batch {
    sink: Sink,
    source: Source,
    /// Whose the source is: service and host.
    known: Option<[String; 2]>,
    messages: usize,
}

impl Batch {
    /// One that begins now.
    pub(crate) fn new(now_unix_ns: i64) -> Self {
        Self {
            sink: Sink::new(Signal::Logs, Encoding::Syslog, now_unix_ns),
            source: Source::default(),
            known: None,
            messages: 0,
        }
    }

    /// How many messages it was given.
    pub(crate) const fn messages(&self) -> usize {
        self.messages
    }

    /// Takes a message that came at this time, and says whether it is one.
    pub(crate) fn take(&mut self, message: &[u8], came_unix_ns: i64) -> Result<bool, Unreadable> {
        self.messages += 1;
        self.sink.at(0, 0, self.messages);
        let text = String::from_utf8_lossy(message);
        let Some(message) = message::read(text.trim_end_matches(['\r', '\n', '\0'])) else {
            self.sink.reject(Reason::Syslog);
            return Ok(false);
        };
        self.keep(&message, came_unix_ns)?;
        Ok(true)
    }

    fn keep(&mut self, message: &Message<'_>, came_unix_ns: i64) -> Result<(), Unreadable> {
        let mut attributes = Attributes::default();
        let facility = FACILITIES.get(message.facility).copied();
        attributes.push_text(
            Cow::Borrowed("syslog.facility"),
            Cow::Borrowed(facility.unwrap_or_default()),
        );
        // A time that cannot be is one that is not known.
        let time = message.time_unix_ns;
        let time = time.filter(|time| self.sink.time(*time).is_some());
        if time.is_none() && !message.timestamp.is_empty() {
            let timestamp = Cow::Borrowed(message.timestamp);
            attributes.push_text(Cow::Borrowed("syslog.timestamp"), timestamp);
        }
        match message.process.parse() {
            Ok(process) => attributes.push(Cow::Borrowed("process.pid"), Value::Int(process)),
            Err(_) if message.process.is_empty() => {}
            Err(_) => attributes.push_text(
                Cow::Borrowed("syslog.procid"),
                Cow::Borrowed(message.process),
            ),
        }
        if !message.kind.is_empty() {
            attributes.push_text(Cow::Borrowed("syslog.msgid"), Cow::Borrowed(message.kind));
        }
        let (mut trace_id, mut span_id) = (Id::Missing, Id::Missing);
        for parameter in &message.parameters {
            match parameter.name {
                "trace_id" => trace_id = Id::from_hex(&parameter.value),
                "span_id" => span_id = Id::from_hex(&parameter.value),
                name => attributes.push_text(
                    Cow::Owned(format!("syslog.{}.{name}", parameter.element)),
                    Cow::Borrowed(&parameter.value),
                ),
            }
        }
        self.set_source(message);
        let item = LogItem {
            time_unix_ns: time.unwrap_or(0),
            observed_unix_ns: u64::try_from(came_unix_ns).unwrap_or(0),
            trace_id,
            span_id,
            severity: SEVERITIES.get(message.severity).copied().unwrap_or(0),
            body: message.text,
            ..LogItem::default()
        };
        self.sink.log(&self.source, &item, &attributes)
    }

    fn set_source(&mut self, message: &Message<'_>) {
        let service = if message.program.is_empty() {
            SERVICE_DEFAULT
        } else {
            message.program
        };
        let of = [service, message.host];
        if self.known.as_ref().is_some_and(|known| *known == of) {
            return;
        }
        let mut attributes = Attributes::default();
        for (name, value) in ["service.name", "host.name"].into_iter().zip(of) {
            if !value.is_empty() {
                attributes.push_text(Cow::Borrowed(name), Cow::Borrowed(value));
            }
        }
        self.source.set_resource(&attributes);
        self.known = Some(of.map(str::to_owned));
    }

    /// Makes rows of them.
    pub(crate) fn finish(self) -> (Rows, Counts, Rejected) {
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests;
