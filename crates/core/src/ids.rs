//! Trace and span identifiers (W3C trace context, section 3.2.2).
//!
//! Invariant: an identifier is never zero. Absence is `Option`, so "no trace" cannot be mistaken for trace 0.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
    str::FromStr,
};

/// A 128-bit trace identifier, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(NonZeroU128);

/// A 64-bit span identifier, written as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(NonZeroU64);

/// The text was not an identifier: wrong length, a character that is not a hexadecimal digit, or all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier: expected hexadecimal digits (32 for a trace, 16 for a span), not all zero")
    }
}

impl std::error::Error for ParseIdError {}

impl TraceId {
    /// The largest identifier.
    pub(crate) const MAX: Self = Self(NonZeroU128::MAX);

    /// The identifier with these bits, or `None` for zero.
    #[inline]
    pub const fn new(bits: u128) -> Option<Self> {
        match NonZeroU128::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// The identifier whose upper and lower halves are these words, or `None` when both are zero.
    #[inline]
    pub const fn from_words(high: u64, low: u64) -> Option<Self> {
        Self::new(((high as u128) << 64) | low as u128)
    }

    /// The 128 bits.
    #[inline]
    pub const fn bits(self) -> u128 {
        self.0.get()
    }

    /// Upper and lower 64 bits.
    #[inline]
    pub const fn words(self) -> (u64, u64) {
        ((self.0.get() >> 64) as u64, self.0.get() as u64)
    }

    /// The 16 bytes, most significant first, as OTLP carries them.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// The same identifier as a UUID (8-4-4-4-12), for systems that ask for a correlation ID.
    pub fn to_uuid(self) -> String {
        let hex = self.to_string();
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }
}

impl SpanId {
    /// The largest identifier.
    pub(crate) const MAX: Self = Self(NonZeroU64::MAX);

    /// The identifier with these bits, or `None` for zero.
    #[inline]
    pub const fn new(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// The 64 bits.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// The 8 bytes, most significant first, as OTLP carries them.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl FromStr for TraceId {
    type Err = ParseIdError;

    /// Reads 32 hexadecimal digits of either case, or a UUID with its hyphens.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bits = if is_hex(text, 32) {
            u128::from_str_radix(text, 16)
        } else {
            let hyphens = [8, 13, 18, 23];
            let bytes = text.as_bytes();
            if bytes.len() != 36 || hyphens.iter().any(|&at| bytes[at] != b'-') {
                return Err(ParseIdError);
            }
            let hex: String = text.chars().filter(|&c| c != '-').collect();
            if !is_hex(&hex, 32) {
                return Err(ParseIdError);
            }
            u128::from_str_radix(&hex, 16)
        };
        bits.ok().and_then(Self::new).ok_or(ParseIdError)
    }
}

impl FromStr for SpanId {
    type Err = ParseIdError;

    /// Reads 16 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if !is_hex(text, 16) {
            return Err(ParseIdError);
        }
        u64::from_str_radix(text, 16)
            .ok()
            .and_then(Self::new)
            .ok_or(ParseIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_round_trip_as_hexadecimal_and_uuid() {
        let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.to_uuid(), "0af76519-16cd-43dd-8448-eb211c80319c");
        assert_eq!(trace.to_uuid().parse(), Ok(trace));
        let span: SpanId = "B7AD6B7169203331".parse().unwrap();
        assert_eq!(span.to_string(), "b7ad6b7169203331");
        let (high, low) = trace.words();
        assert_eq!(TraceId::from_words(high, low), Some(trace));
    }

    #[test]
    fn what_is_not_an_identifier_is_refused() {
        for text in [
            "",
            "0",
            "00000000000000000000000000000000",
            "0af7651916cd43dd8448eb211c80319",
            "+af7651916cd43dd8448eb211c80319c",
        ] {
            assert_eq!(text.parse::<TraceId>(), Err(ParseIdError), "{text}");
        }
        for text in [
            "0000000000000000",
            "b7ad6b716920333",
            "b7ad6b716920333g",
            "éééééééé",
        ] {
            assert_eq!(text.parse::<SpanId>(), Err(ParseIdError), "{text}");
        }
    }
}
