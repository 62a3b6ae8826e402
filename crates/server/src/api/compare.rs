//! What is different between two sides of anything: two traces, two selections, before and after, two versions.

use radiosonde_answers::compare::{self, Comparison};
use radiosonde_core::{
    ids::{SpanId, TraceId},
    model::Record,
};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    params::{Range, moment_of, now_ns, range_of},
    rows::quantile,
    selection::{Described, Extent, Selector, no_span, place},
    trace::records,
    why::Selected,
};
use crate::problem::Problem;

/// Longest name of a side that is made from what was asked for, in characters.
const NAME_CHARS_MAX: usize = 40;
/// How long before and after a trace the others like it are sought.
const LIKE_NS: i64 = 3600 * 1_000_000_000;

/// The parameters, each as it was written: those of a side begin with `a_` or `b_`, the others are of both.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    a: Option<String>,
    a_name: Option<String>,
    a_trace: Option<String>,
    a_span: Option<String>,
    a_service: Option<String>,
    a_operation: Option<String>,
    a_version: Option<String>,
    a_from: Option<String>,
    a_to: Option<String>,
    b: Option<String>,
    b_name: Option<String>,
    b_trace: Option<String>,
    b_span: Option<String>,
    b_service: Option<String>,
    b_operation: Option<String>,
    b_version: Option<String>,
    b_from: Option<String>,
    b_to: Option<String>,
    q: Option<String>,
    service: Option<String>,
    operation: Option<String>,
    version: Option<String>,
    from: Option<String>,
    to: Option<String>,
    at: Option<String>,
}

/// The parameters of one side, or of both.
#[derive(Clone, Debug, Default)]
struct Given {
    name: Option<String>,
    trace: Option<String>,
    span: Option<String>,
    described: Described,
    from: Option<String>,
    to: Option<String>,
}

/// A side, understood.
#[derive(Clone, Debug)]
struct Side {
    name: Option<String>,
    selector: Selector,
    /// Nothing says what it is: beside a trace it is the typical ones like that one.
    is_open: bool,
}

/// The comparison, the same in words, and what it was made from.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    text: String,
    a: SideRead,
    b: SideRead,
    #[serde(flatten)]
    comparison: Comparison,
}

/// What a side was made from.
#[derive(Debug, Serialize)]
struct SideRead {
    selected: Asked,
    read: Extent,
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Asked {
    Trace {
        trace_id: String,
        span_id: Option<String>,
    },
    Described(Selected),
}

impl From<&Selector> for Asked {
    fn from(selector: &Selector) -> Self {
        match selector {
            Selector::Trace(trace_id, span_id) => Self::Trace {
                trace_id: trace_id.to_string(),
                span_id: span_id.map(|id| id.to_string()),
            },
            Selector::Described(described, range) => {
                Self::Described(Selected::new(described.clone(), *range))
            }
        }
    }
}

pub(super) fn answer(api: &Api, params: Params) -> Result<Answer, Problem> {
    let mut sides = sides(params, now_ns())?;
    for side in 0..2 {
        if let Selector::Trace(trace_id, span_id) = sides[1 - side].selector
            && sides[side].is_open
        {
            sides[side].selector = typical(api, trace_id, span_id)?;
            sides[side].name.get_or_insert_with(|| "typical".to_owned());
        }
    }
    let names = names(&sides);
    let except = |side: usize| match sides[side].selector {
        Selector::Trace(trace_id, _) => Some(trace_id),
        Selector::Described(..) => None,
    };
    let read = |side: usize, except: Option<TraceId>| sides[side].selector.read(api, except);
    let reads = [read(0, except(1))?, read(1, except(0))?];
    let spans = reads.each_ref().map(|read| read.records.spans());
    let [first, second] = [0, 1].map(|side| reads[side].records.side(&names[side], &spans[side]));
    let mut comparison = compare::compare(&first, &second);
    for (read, name) in reads.iter().zip(&names) {
        let unread = read.not_assessed(&format!(" of `{name}`"));
        comparison.not_assessed.extend(unread);
    }
    let [a, b] = [0, 1].map(|side| SideRead {
        selected: Asked::from(&sides[side].selector),
        read: reads[side].extent.clone(),
    });
    Ok(Answer {
        text: comparison.to_string(),
        a,
        b,
        comparison,
    })
}

/// The faster half of the operations of the same service and name as a trace's root, or as a span of it, an hour before
/// and after.
fn typical(api: &Api, trace_id: TraceId, span_id: Option<SpanId>) -> Result<Selector, Problem> {
    let kept = records(api, trace_id)?;
    let spans = kept.iter().filter_map(|kept| match &kept.record {
        Record::Span(span) if span_id.is_none_or(|id| id == span.span_id) => {
            Some((kept.resource.service_name(), span))
        }
        _ => None,
    });
    // As the list of traces names them.
    let first = spans.min_by_key(|(_, span)| (span.parent_id, span.start_unix_ns, span.span_id));
    let Some((service, span)) = first else {
        return Err(match span_id {
            Some(span_id) => no_span(trace_id, span_id),
            None => Problem::not_found(
                format!("of trace {trace_id} only logs are known"),
                "send the trace's spans as well",
            ),
        });
    };
    let at = span.start_unix_ns.cast_signed();
    let range = Range {
        from_ns: at.saturating_sub(LIKE_NS),
        to_ns: at.saturating_add(LIKE_NS),
    };
    let mut described = Described {
        service: Some(service.to_owned()),
        operation: Some(span.name.to_string()),
        ..Described::default()
    };
    let median_ns = format!(
        "SELECT {} FROM spans WHERE {}{}",
        quantile(0.5, "duration", "weight"),
        range.contains("start_time"),
        described.condition()?
    );
    let median_ns = api.rows(&median_ns, 1)?.next();
    if let Some(median_ns) = median_ns.and_then(|mut row| row.number()) {
        described.q = Some(format!("duration <= {}ns", median_ns.ceil() as i64));
    }
    Ok(Selector::Described(described, range))
}

/// Both sides, from the parameters.
fn sides(params: Params, now: i64) -> Result<[Side; 2], Problem> {
    let both = Described {
        q: filled(params.q),
        service: filled(params.service),
        operation: filled(params.operation),
        version: filled(params.version),
    };
    let (from, to) = (filled(params.from), filled(params.to));
    let mut a = Given {
        name: filled(params.a_name),
        trace: filled(params.a_trace),
        span: filled(params.a_span),
        described: Described {
            q: filled(params.a),
            service: filled(params.a_service),
            operation: filled(params.a_operation),
            version: filled(params.a_version),
        },
        from: filled(params.a_from),
        to: filled(params.a_to),
    };
    let mut b = Given {
        name: filled(params.b_name),
        trace: filled(params.b_trace),
        span: filled(params.b_span),
        described: Described {
            q: filled(params.b),
            service: filled(params.b_service),
            operation: filled(params.b_operation),
            version: filled(params.b_version),
        },
        from: filled(params.b_from),
        to: filled(params.b_to),
    };
    if let Some(at) = filled(params.at) {
        if a.to.is_some() || b.from.is_some() {
            return Err(Problem::bad_request(
                "`at` is the end of `a` and the start of `b`, which have one already",
                "leave out `at`, or `a_to` and `b_from`",
            ));
        }
        let at = moment_of(&at, now)?.to_string();
        a.to = Some(at.clone());
        b.from = Some(at);
        a.name.get_or_insert_with(|| "before".to_owned());
        b.name.get_or_insert_with(|| "after".to_owned());
    }
    Ok([
        a.side("a", &both, (&from, &to), now)?,
        b.side("b", &both, (&from, &to), now)?,
    ])
}

/// An empty field of a form is one that was not filled in.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl Given {
    fn side(
        self,
        letter: &str,
        both: &Described,
        (from, to): (&Option<String>, &Option<String>),
        now: i64,
    ) -> Result<Side, Problem> {
        let mut is_open = false;
        let selector = if let Some(trace) = &self.trace {
            let is_described = self.described != Described::default();
            if is_described || self.from.is_some() || self.to.is_some() {
                return Err(Problem::bad_request(
                    format!("`{letter}_trace` is one trace, and nothing else describes that side"),
                    format!("leave out `{letter}_trace`, or the others that begin with `{letter}`"),
                ));
            }
            let (trace_id, span_id) = place(trace, self.span.as_deref())?;
            Selector::Trace(trace_id, span_id)
        } else {
            if self.span.is_some() {
                return Err(Problem::bad_request(
                    format!("`{letter}_span` is a span of `{letter}_trace`, which is missing"),
                    "give the trace as well",
                ));
            }
            let described = Described {
                q: joined(self.described.q, both.q.as_deref()),
                service: self.described.service.or_else(|| both.service.clone()),
                operation: self.described.operation.or_else(|| both.operation.clone()),
                version: self.described.version.or_else(|| both.version.clone()),
            };
            let (from, to) = (
                self.from.as_ref().or(from.as_ref()),
                self.to.as_ref().or(to.as_ref()),
            );
            is_open = described == Described::default() && from.is_none() && to.is_none();
            let range = range_of(from.map(String::as_str), to.map(String::as_str), now)?;
            Selector::Described(described, range)
        };
        Ok(Side {
            name: self.name,
            selector,
            is_open,
        })
    }
}

/// Both filters, where there are two.
fn joined(own: Option<String>, both: Option<&str>) -> Option<String> {
    match (own, both) {
        (Some(own), Some(both)) => Some(format!("({both}) and ({own})")),
        (own, both) => own.or_else(|| both.map(str::to_owned)),
    }
}

/// What the sides are called: as they were named, or by what is different between them.
fn names(sides: &[Side; 2]) -> [String; 2] {
    let [a, b] = &sides;
    let made = match (&a.selector, &b.selector) {
        (Selector::Described(a, in_a), Selector::Described(b, in_b)) => {
            [differing(a, b, *in_a, *in_b), differing(b, a, *in_b, *in_a)]
        }
        (a, b) => [a, b].map(|selector| match selector {
            Selector::Trace(trace_id, span_id) => {
                let id = span_id.map_or_else(|| trace_id.to_string(), |id| id.to_string());
                id.chars().take(8).collect()
            }
            Selector::Described(..) => "others".to_owned(),
        }),
    };
    let [first, second] = made;
    let names = [
        a.name.clone().unwrap_or(first),
        b.name.clone().unwrap_or(second),
    ];
    if names[0] == names[1] || names.iter().any(String::is_empty) {
        ["first", "second"].map(str::to_owned)
    } else {
        names
    }
}

/// What one side is and the other is not.
fn differing(this: &Described, other: &Described, time: Range, other_time: Range) -> String {
    let mut parts: Vec<String> = [
        (&this.operation, &other.operation),
        (&this.service, &other.service),
        (&this.version, &other.version),
        (&this.q, &other.q),
    ]
    .into_iter()
    .filter(|(this, other)| this != other)
    .map(|(this, _)| this.clone().unwrap_or_else(|| "all".to_owned()))
    .collect();
    if parts.is_empty() {
        if time.to_ns <= other_time.from_ns {
            parts.push("earlier".to_owned());
        } else if other_time.to_ns <= time.from_ns {
            parts.push("later".to_owned());
        }
    }
    parts.join(" ").chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000_000;
    const MINUTE: i64 = 60_000_000_000;

    fn understood(address: &str) -> Result<[Side; 2], Problem> {
        let uri: http::Uri = format!("/api/v1/compare?{address}").parse().unwrap();
        let query = axum::extract::Query::<Params>::try_from_uri(&uri);
        sides(
            query
                .map_err(|error| Problem::bad_request(error.body_text(), "-"))?
                .0,
            NOW,
        )
    }

    fn named(address: &str) -> [String; 2] {
        names(&understood(address).unwrap())
    }

    #[test]
    fn sides_are_called_by_what_is_different() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (address, expected) in [
            ("version=1&a_service=x&b_service=y", ["x", "y"]),
            ("service=x&a_version=1.4&b_version=1.5", ["1.4", "1.5"]),
            ("a=model%3Da&b=model%3Db", ["model=a", "model=b"]),
            ("at=-10m", ["before", "after"]),
            ("at=-10m&a_name=old", ["old", "after"]),
            ("a_from=-2h&a_to=-1h&b_from=-1h", ["earlier", "later"]),
            ("b_from=-2h&b_to=-1h&a_from=-1h", ["later", "earlier"]),
            ("", ["first", "second"]),
            ("a_operation=x", ["x", "all"]),
        ] {
            assert_eq!(named(address), expected, "{address}");
        }
        assert_eq!(
            named(&format!("a_trace={trace}&b_operation=x")),
            ["0af76519", "others"]
        );
    }

    #[test]
    fn before_and_after_are_two_times_with_one_border() {
        let [a, b] = understood("at=-10m&from=-30m&q=x&a=y").unwrap();
        let (Selector::Described(a, before), Selector::Described(b, after)) =
            (a.selector, b.selector)
        else {
            panic!("no selections");
        };
        assert_eq!(before.to_ns, NOW - 10 * MINUTE);
        assert_eq!(
            (before.from_ns, after.from_ns),
            (NOW - 30 * MINUTE, before.to_ns)
        );
        assert_eq!(a.q.as_deref(), Some("(x) and (y)"));
        assert_eq!(b.q.as_deref(), Some("x"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let trace = "a_trace=0af7651916cd43dd8448eb211c80319c";
        for address in [
            "at=-10m&a_to=-5m",
            "a_span=0000000000000001",
            "a_trace=xyz",
            &format!("{trace}&a=x"),
            &format!("{trace}&a_version=x"),
            &format!("{trace}&a_from=-1h"),
            &format!("{trace}&at=-1h"),
            &format!("{trace}&a_span=q"),
            "a_from=now&a_to=-1h",
            "colour=red",
        ] {
            assert!(understood(address).is_err(), "{address}");
        }
    }
}
