//! W3C trace context: the `traceparent` and `tracestate` headers (recommendation of level 1, and level 2's random flag).

use std::{fmt, io::Write as _, str::FromStr};

use crate::{
    context::{RANDOM, SAMPLED},
    ids::{SpanId, TraceId},
};

/// Most members of a `tracestate` (section 3.3.1.1).
pub const TRACE_STATE_MEMBERS_MAX: usize = 32;
/// Longest `tracestate` that is passed on, in bytes (section 3.3.1.5 asks for at least 512).
pub const TRACE_STATE_BYTES_MAX: usize = 512;
/// Members longer than this leave first when a `tracestate` is too long (section 3.3.1.5).
const LONG_MEMBER_BYTES: usize = 128;

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub span_id: SpanId,
    /// The flags that we know: [`SAMPLED`] and [`RANDOM`].
    pub flags: u8,
}

/// The text was not a `traceparent`, `tracestate`, `baggage` or B3 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a well-formed trace context header")
    }
}

impl std::error::Error for Malformed {}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for TraceParent {
    type Err = Malformed;

    /// Reads version 00 exactly, and the part of a higher version that version 00 describes.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.trim_matches([' ', '\t']).splitn(5, '-');
        let mut part = |digits: usize| {
            parts
                .next()
                .filter(|part| part.len() == digits && is_lower_hex(part))
                .ok_or(Malformed)
        };
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(Malformed);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| Malformed)?;
        Ok(Self {
            trace_id: trace_id.parse().map_err(|_| Malformed)?,
            span_id: span_id.parse().map_err(|_| Malformed)?,
            flags: flags & (SAMPLED | RANDOM),
        })
    }
}

impl TraceParent {
    /// Length of the text.
    pub(crate) const BYTES: usize = 55;

    /// The text, written where the caller has room for it, so that sending a context asks for no memory.
    pub(crate) fn text<'b>(&self, room: &'b mut [u8; Self::BYTES]) -> Option<&'b str> {
        write!(&mut room[..], "{self}").ok()?;
        str::from_utf8(room).ok()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags & (SAMPLED | RANDOM);
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// A `tracestate`, passed on as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(Box<str>);

impl TraceState {
    /// Reads a `tracestate`; several headers are joined by commas first. The second value says whether members were
    /// left out because it was too long. `Ok(None)` where it has no members.
    pub fn parse(text: &str) -> Result<(Option<Self>, bool), Malformed> {
        let members = members(text);
        if members.clone().count() > TRACE_STATE_MEMBERS_MAX {
            return Err(Malformed);
        }
        let mut keys: Vec<&str> = members.clone().map(key).collect();
        if !members.clone().all(is_member) {
            return Err(Malformed);
        }
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Malformed);
        }
        let text = text.trim_matches([' ', '\t']);
        if keys.is_empty() {
            Ok((None, false))
        } else if text.len() <= TRACE_STATE_BYTES_MAX {
            Ok((Some(Self(text.into())), false))
        } else {
            let text = shortened(members.collect());
            Ok(((!text.is_empty()).then(|| Self(text.into())), true))
        }
    }

    /// The value of `key`.
    pub fn get(&self, wanted: &str) -> Option<&str> {
        members(&self.0)
            .find(|member| key(member) == wanted)
            .and_then(|member| member.split_once('='))
            .map(|(_, value)| value)
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn members(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

fn key(member: &str) -> &str {
    member.split_once('=').map_or("", |(key, _)| key)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let key_start = key.as_bytes().first();
    key.len() <= 256
        && key_start.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b))
        && (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

/// Without its long members, from the last on, and then without its last ones, until it fits.
fn shortened(mut members: Vec<&str>) -> String {
    let length = |members: &[&str]| -> usize {
        let commas = members.len().saturating_sub(1);
        members.iter().map(|member| member.len()).sum::<usize>() + commas
    };
    while length(&members) > TRACE_STATE_BYTES_MAX {
        let long = members
            .iter()
            .rposition(|member| member.len() > LONG_MEMBER_BYTES);
        match long {
            Some(at) => drop(members.remove(at)),
            None => drop(members.pop()),
        }
    }
    members.join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_round_trips() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.flags, SAMPLED);
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(format!(" {GOOD}\t").parse(), Ok(parent));
    }

    #[test]
    fn a_higher_version_is_read_as_far_as_it_is_known() {
        let parent: TraceParent = GOOD.parse().unwrap();
        for text in [
            GOOD.replacen("00", "01", 1),
            format!("{}-more", GOOD.replacen("00", "cc", 1)),
            format!("{}-", GOOD.replacen("00", "fe", 1)),
        ] {
            assert_eq!(text.parse(), Ok(parent), "{text}");
        }
        let unknown_flags: TraceParent = format!("{}ff", &GOOD[..53]).parse().unwrap();
        assert_eq!(unknown_flags.flags, SAMPLED | RANDOM);
    }

    #[test]
    fn what_is_not_a_traceparent_is_refused() {
        for text in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}0"),
            &format!("{GOOD}-"),
            &format!("{GOOD}-more"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0G", 1),
            &GOOD.replacen("00", "01", 1).replace("-01", "-01."),
            &GOOD.to_ascii_uppercase(),
            &GOOD.replace(
                "0af7651916cd43dd8448eb211c80319c",
                "00000000000000000000000000000000",
            ),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace('-', "_"),
            "00-éaf7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn a_tracestate_is_kept_as_it_came() {
        let text = "rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE,,fw529a3039@dt=FfD/*-_ x,1a=~";
        let (state, cut) = TraceState::parse(text).unwrap();
        let state = state.unwrap();
        assert_eq!((state.as_str(), cut), (text, false));
        assert_eq!(state.get("congo"), Some("t61rcWkgMzE"));
        assert_eq!(state.get("fw529a3039@dt"), Some("FfD/*-_ x"));
        assert_eq!(state.get("absent"), None);
        assert_eq!(TraceState::parse(" ,\t,"), Ok((None, false)));
    }

    #[test]
    fn what_is_not_a_tracestate_is_refused() {
        let too_many = (0..33)
            .map(|n| format!("k{n}=v"))
            .collect::<Vec<_>>()
            .join(",");
        let long = "v".repeat(257);
        for text in [
            "novalue",
            "=v",
            "a=",
            "a=b=c",
            "A=b",
            "_a=b",
            "a b=c",
            "a=é",
            "a=b,a=c",
            &too_many,
            &format!("a={long}"),
            &format!("{long}=a"),
        ] {
            assert_eq!(TraceState::parse(text), Err(Malformed), "{text}");
        }
        assert!(
            TraceState::parse(&too_many[..too_many.len() - 6]).is_ok(),
            "32 are fine"
        );
    }

    #[test]
    fn a_long_tracestate_loses_its_long_members_first() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..12)
            .map(|n| format!("k{n}={}", "y".repeat(36)))
            .collect();
        let text = format!("{long},{}", short.join(","));
        let (state, cut) = TraceState::parse(&text).unwrap();
        assert!(cut);
        assert_eq!(state.unwrap().as_str(), short[..12].join(","));
        let text = (0..30)
            .map(|n| format!("k{n:02}={}", "y".repeat(20)))
            .collect::<Vec<_>>()
            .join(",");
        let (state, _) = TraceState::parse(&text).unwrap();
        assert_eq!(state.unwrap().as_str(), &text[..20 * 25 - 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn every_context_round_trips(trace in 1..=u128::MAX, span in 1..=u64::MAX, flags in 0..4_u8) {
            let parent = TraceParent {
                trace_id: TraceId::new(trace).unwrap(),
                span_id: SpanId::new(span).unwrap(),
                flags,
            };
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn nothing_panics_and_what_is_kept_is_within_limits(text in "[a-z0-9=,@ \\t-é]{0,700}") {
            let _ = text.parse::<TraceParent>();
            if let Ok((Some(state), _)) = TraceState::parse(&text) {
                prop_assert!(state.as_str().len() <= TRACE_STATE_BYTES_MAX);
                prop_assert_eq!(TraceState::parse(state.as_str()), Ok((Some(state.clone()), false)));
            }
        }
    }
}
