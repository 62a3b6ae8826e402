//! B3, the headers of Zipkin, on the way in: `b3` in one header, or `x-b3-*` in several.

use crate::ids::{SpanId, TraceId};

use super::{Extract, trace_context::Malformed};

/// What B3 headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct B3 {
    /// `None` for a decision alone, about a trace that begins here.
    pub(super) ids: Option<(TraceId, SpanId)>,
    /// `None` where the caller left the decision open.
    pub(super) sampled: Option<bool>,
}

/// Reads either form; `Ok(None)` where there is neither.
pub(super) fn extract(carrier: &(impl Extract + ?Sized)) -> Result<Option<B3>, Malformed> {
    if let Some(text) = carrier.get("b3") {
        return parse_single(text.trim());
    }
    let sampled = match carrier.get("x-b3-flags").map(str::trim) {
        Some("1") => Some(true),
        _ => carrier
            .get("x-b3-sampled")
            .map(|text| decision(text.trim()))
            .transpose()?,
    };
    match (carrier.get("x-b3-traceid"), carrier.get("x-b3-spanid")) {
        (Some(trace), Some(span)) => ids(trace.trim(), span.trim(), sampled).map(Some),
        (None, None) => Ok(sampled.map(alone)),
        _ => Err(Malformed),
    }
}

const fn alone(sampled: bool) -> B3 {
    B3 {
        ids: None,
        sampled: Some(sampled),
    }
}

/// `{trace}-{span}[-{decision}[-{parent}]]`, or a decision alone.
fn parse_single(text: &str) -> Result<Option<B3>, Malformed> {
    let mut parts = text.split('-');
    let trace = parts.next().unwrap_or_default();
    let Some(span) = parts.next() else {
        return decision(trace).map(alone).map(Some);
    };
    let sampled = parts.next().map(decision).transpose()?;
    let parent = parts.next().map(str::parse::<SpanId>);
    if matches!(parent, Some(Err(_))) || parts.next().is_some() {
        return Err(Malformed);
    }
    ids(trace, span, sampled).map(Some)
}

fn decision(text: &str) -> Result<bool, Malformed> {
    match text {
        "1" | "d" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Malformed),
    }
}

fn ids(trace: &str, span: &str, sampled: Option<bool>) -> Result<B3, Malformed> {
    let trace_id = match trace.len() {
        // Zipkin's older 64-bit trace IDs are the lower half.
        16 => trace
            .parse::<SpanId>()
            .ok()
            .and_then(|low| TraceId::from_words(0, low.bits())),
        32 => trace.parse().ok(),
        _ => None,
    };
    let span_id = span.parse().map_err(|_| Malformed)?;
    Ok(B3 {
        ids: Some((trace_id.ok_or(Malformed)?, span_id)),
        sampled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn single(text: &str) -> Result<Option<B3>, Malformed> {
        extract(&[("b3", text)][..])
    }

    fn read(sampled: Option<bool>) -> B3 {
        B3 {
            ids: Some((TRACE.parse().unwrap(), SPAN.parse().unwrap())),
            sampled,
        }
    }

    #[test]
    fn one_header() {
        assert_eq!(single(&format!("{TRACE}-{SPAN}")), Ok(Some(read(None))));
        assert_eq!(
            single(&format!("{TRACE}-{SPAN}-1")),
            Ok(Some(read(Some(true))))
        );
        assert_eq!(
            single(&format!("{TRACE}-{SPAN}-0-05e3ac9a4f6e3b90")),
            Ok(Some(read(Some(false))))
        );
        assert_eq!(
            single(&format!("{TRACE}-{SPAN}-d")),
            Ok(Some(read(Some(true))))
        );
        assert_eq!(single("0"), Ok(Some(alone(false))));
        assert_eq!(single("d"), Ok(Some(alone(true))));
        let short = single(&format!("{SPAN}-{SPAN}")).unwrap().unwrap();
        assert_eq!(
            short.ids.unwrap().0.to_string(),
            format!("0000000000000000{SPAN}")
        );
        for text in [
            "",
            "2",
            TRACE,
            "-",
            "a-b",
            &format!("{TRACE}-{SPAN}-x"),
            &format!("{TRACE}-{SPAN}-1-x"),
            &format!("{TRACE}-{SPAN}-1-{SPAN}-1"),
            &format!("{SPAN}0-{SPAN}"),
        ] {
            assert_eq!(single(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn several_headers() {
        let ids = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
        assert_eq!(extract(&ids[..]), Ok(Some(read(None))));
        let with = |name, value| extract(&[ids[0], ids[1], (name, value)][..]);
        assert_eq!(with("x-b3-sampled", "0"), Ok(Some(read(Some(false)))));
        assert_eq!(with("x-b3-sampled", "true"), Ok(Some(read(Some(true)))));
        assert_eq!(with("x-b3-flags", "1"), Ok(Some(read(Some(true)))));
        assert_eq!(with("x-b3-sampled", "maybe"), Err(Malformed));
        assert_eq!(extract(&ids[..1]), Err(Malformed));
        let only = |name, value| extract(&[(name, value)][..]);
        assert_eq!(only("x-b3-sampled", "1"), Ok(Some(alone(true))));
        assert_eq!(only("x-b3-flags", "0"), Ok(None));
    }
}
