//! syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, octet counting), TLS (RFC 5425) and a Unix socket
//! (docs/exporters/syslog.md).
//!
//! Nobody answers in syslog: what a receiver had not read when it closed is not known to the byte. So the last payload is
//! kept until the next one, and sent again where the connection turns out to have broken. A record may come twice then,
//! over TCP and TLS; over UDP it may be lost on the way.

use std::{path::PathBuf, time::Duration};

use super::{
    Exporter,
    delivery::{
        Delivery, DestinationError,
        address::{shown, spool_name},
    },
    queued::Queued,
    retry,
    spool::SpoolConfig,
};
use crate::encode::otlp::Signal;

mod message;
mod tls;
mod wire;

use self::{message::Messages, wire::Wire};

/// The local daemon's socket.
pub const ENDPOINT_DEFAULT: &str = "unix:///dev/log";

/// How long sending one payload may take, connection included, unless configured otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Most bytes of a message over TCP, TLS and Unix sockets unless configured otherwise: what rsyslog takes.
pub const MESSAGE_BYTES_MAX_DEFAULT: usize = 8 * 1024;

/// The same over UDP: what every receiver should take (RFC 5426, section 3.2).
pub const DATAGRAM_BYTES_MAX_DEFAULT: usize = 2048;

/// The least that may be configured: header and trace fit in any case, and the cut is in the text.
pub const MESSAGE_BYTES_MIN: usize = 1024;

/// The most that may be configured: what a datagram of IPv4 holds, rounded down.
pub const MESSAGE_BYTES_MAX: usize = 65_000;

/// What kind of program a message comes from (RFC 5424, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// Names of facilities in the order of their codes, as syslog.h has them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

impl Default for Facility {
    /// `user`.
    fn default() -> Self {
        Self(1)
    }
}

impl Facility {
    /// The facility called `name`, such as `daemon` or `local0`.
    pub fn named(name: &str) -> Option<Self> {
        let code = FACILITIES.iter().position(|known| *known == name)?;
        u8::try_from(code).ok().map(Self)
    }

    /// Every name.
    pub const fn names() -> &'static [&'static str] {
        &FACILITIES
    }

    const fn code(self) -> u8 {
        self.0
    }
}

/// What is sent where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// `udp://host:514`, `tcp://host:601`, `tls://host:6514` or `unix:///dev/log`. Ports may be left out.
    pub endpoint: String,
    /// What kind of program this is.
    pub facility: Facility,
    /// What it is called; the service's name unless said.
    pub app_name: Option<String>,
    /// Send spans too, beside logs and events.
    pub spans: bool,
    /// Begin the text with a byte order mark, which says that it is UTF-8 (RFC 5424, section 6.4).
    pub byte_order_mark: bool,
    /// Longer messages are cut; the default of the endpoint's kind unless said.
    pub message_bytes_max: Option<usize>,
    /// A PEM file with the certificate authorities to trust; TLS needs one.
    pub ca_certificate: Option<PathBuf>,
    /// PEM files with which this program proves who it is: certificate and key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// For one payload.
    pub timeout: Duration,
    /// Where messages wait while the receiver is away.
    pub spool: SpoolConfig,
    /// First and longest delay between attempts, before jitter.
    pub retry_delay: (Duration, Duration),
}

impl SyslogConfig {
    /// The defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            facility: Facility::default(),
            app_name: None,
            spans: false,
            byte_order_mark: true,
            message_bytes_max: None,
            ca_certificate: None,
            client_certificate: None,
            timeout: TIMEOUT_DEFAULT,
            spool: SpoolConfig::default(),
            retry_delay: (retry::DELAY_MIN, retry::DELAY_MAX),
        }
    }
}

/// Starts an exporter as `config` says.
pub fn start(config: &SyslogConfig) -> Result<impl Exporter + use<>, DestinationError> {
    let wire = Wire::new(config)?;
    let limit = config.message_bytes_max.unwrap_or(if wire.is_udp() {
        DATAGRAM_BYTES_MAX_DEFAULT
    } else {
        MESSAGE_BYTES_MAX_DEFAULT
    });
    let signals = if config.spans {
        vec![Signal::Logs, Signal::Traces]
    } else {
        vec![Signal::Logs]
    };
    let delivery = Delivery {
        name: shown(&config.endpoint),
        spool_name: spool_name("syslog", b"", &config.endpoint, &[]),
        signals,
        spool: &config.spool,
        retry_delay: config.retry_delay,
        component: "syslog_exporter",
    };
    let messages = Messages::new(config, limit.clamp(MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX));
    Queued::start("syslog", messages, delivery, config.timeout, wire)
}
