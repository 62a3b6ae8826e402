//! What is different between two sides of anything: a slow trace and a fast one, the requests of two deploys, those
//! before an alert and those after it.
//!
//! [`compare`] lays the span trees of both sides over each other, finds the attributes that tell the sides apart, and
//! names what makes the difference only where that is clear. The [`Comparison`] that comes back prints as a page of
//! text and serialises with a stable schema. Every difference is the second side less the first.
//!
//! Invariants, each held by a property test:
//! * The differences of the self times of all nodes, those not listed and the remainder of rounding included, add up
//!   to the difference of the mean durations, in whole nanoseconds. With one request a side nothing is rounded.
//! * The same records give the same words, in whatever order they come.
//! * Of sides that are alike, at most 1 comparison in 100 says that their durations differ, and at most 1 in 100 that
//!   an attribute tells them apart.
//!
//! ```
//! use radiosonde_answers::compare::{Side, compare};
//!
//! let comparison = compare(&Side::new("before", &[]), &Side::new("after", &[]));
//! assert!(comparison.to_string().contains("cannot tell, because `before` has no requests"));
//! ```

use radiosonde_core::model::{EventRecord, Log, Resource, Span};
use serde::Serialize;

use crate::{
    requests::Parts,
    why::{Confidence, Evidence, Finding, NotAssessed},
};

mod aligned;
mod chance;
mod durations;
mod findings;
mod lift;
mod render;
mod requests;
mod tree;
mod verdict;

/// The version of the JSON form. It changes when a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// One side of a comparison: any number of traces, in any order.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is called: `slow`, `before`, a version.
    pub name: &'a str,
    /// Spans that ended, each with what recorded it. A resource that many spans share is read once.
    pub spans: &'a [(&'a Resource, &'a Span)],
    /// Logs; those of a span that warn take part like attributes.
    pub logs: &'a [Log],
    /// Events; those that report phases, such as operations and kernels of a GPU, take part like spans.
    pub events: &'a [EventRecord],
}

impl<'a> Side<'a> {
    /// A side of spans alone.
    pub const fn new(name: &'a str, spans: &'a [(&'a Resource, &'a Span)]) -> Self {
        Self {
            name,
            spans,
            logs: &[],
            events: &[],
        }
    }
}

/// What is different between two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The version of this form: [`SCHEMA`].
    pub schema: u32,
    /// The first side.
    pub first: Summary,
    /// The second side.
    pub second: Summary,
    /// How their durations differ; `None` when a side has no requests.
    pub difference: Option<Difference>,
    /// Both sides' durations, from the shortest bucket that holds one to the longest.
    pub histogram: Vec<Bucket>,
    /// Both sides' spans, laid over each other.
    pub tree: Tree,
    /// Attributes that tell the sides apart, those that explain most first, at most 20.
    pub lifts: Vec<Lift>,
    /// How many attributes with a value were looked at for that.
    pub attributes_looked_at: u64,
    /// The answer.
    pub verdict: Verdict,
    /// What else is different.
    pub findings: Vec<Finding>,
    /// What the records do not say.
    pub not_assessed: Vec<NotAssessed>,
}

/// A side in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it is called.
    pub name: String,
    /// Spans that were read, each identifier once.
    pub spans: u64,
    /// How long its requests took; `None` when there are none.
    pub durations: Option<Durations>,
}

/// How long the requests of a side took. A request is a trace's root, or each root where a trace has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Durations {
    /// How many requests.
    pub requests: u64,
    /// Those of which the root failed.
    pub errors: u64,
    /// The mean in nanoseconds, rounded to the nearest.
    pub mean_ns: u64,
    /// The shortest, in nanoseconds.
    pub min_ns: u64,
    /// The median in nanoseconds: the shortest that at least half are no longer than.
    pub p50_ns: u64,
    /// The shortest that at least 95 % are no longer than, in nanoseconds.
    pub p95_ns: u64,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
}

/// How durations differ, second side less first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Of the means, in nanoseconds, rounded to the nearest.
    pub mean_ns: i64,
    /// Of the medians, in nanoseconds.
    pub p50_ns: i64,
    /// Of the 95th percentiles, in nanoseconds.
    pub p95_ns: i64,
    /// Of the shares of requests that failed, -1 to 1.
    pub error_share: f64,
    /// The chance that sides as alike as can be differ as much, 0 to 1: twice the smaller of the rank-sum test's (Mann
    /// and Whitney 1947) and of Fisher's exact test's for the slowest twentieth of all requests. `None` with fewer than
    /// 8 requests on a side.
    pub chance: Option<f64>,
    /// The chance that they differ as much in errors, 0 to 1, by Fisher's exact test.
    pub chance_of_errors: f64,
}

/// A range of durations. A power of two is divided into four equal ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Its lower bound in nanoseconds, which it holds.
    pub from_ns: u64,
    /// Its upper bound in nanoseconds, which it does not hold.
    pub below_ns: u64,
    /// Requests of the first side in it.
    pub first: u64,
    /// Requests of the second side in it.
    pub second: u64,
}

/// Both sides' spans laid over each other by path of (service, name with numbers replaced by `*`) from a root.
///
/// The listed nodes' differences of self time with `unlisted_self_difference_ns` and `rounding_ns` add up to the
/// difference of the mean durations.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tree {
    /// Those that contribute most to the difference first, at most 500.
    pub nodes: Vec<Node>,
    /// How many more there are.
    pub unlisted: u64,
    /// The difference of those nodes' self time per request, in nanoseconds.
    pub unlisted_self_difference_ns: i64,
    /// What rounding each difference to a whole nanosecond leaves over; at most half a nanosecond a listed node.
    pub rounding_ns: i64,
    /// How much of the difference of the mean durations is due to other requests being made and not to any taking
    /// longer, in nanoseconds: E. M. Kitagawa, "Components of a difference between two rates", Journal of the American
    /// Statistical Association 50 (1955), 1168-1194. 0 where all roots are alike.
    pub mix_difference_ns: i64,
}

/// Spans of both sides that are alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its number within this comparison; a parent's is smaller than its children's.
    pub id: u32,
    /// The nearest node above it that is listed; `None` for a root.
    pub parent: Option<u32>,
    /// How many spans are above it, listed or not: 0 for a root.
    pub depth: u32,
    /// The spans' service.
    pub service: String,
    /// The spans' name, with numbers replaced by `*`.
    pub label: String,
    /// On which side there are any.
    pub presence: Presence,
    /// What they add up to on the first side.
    pub first: NodeSide,
    /// What they add up to on the second side.
    pub second: NodeSide,
    /// The difference of calls per request.
    pub calls_difference: f64,
    /// The difference of `total_ns`, in nanoseconds, computed before rounding.
    pub total_difference_ns: i64,
    /// The difference of `self_ns`, in nanoseconds, computed before rounding: the node's contribution.
    pub self_difference_ns: i64,
    /// The difference of `path_ns`, in nanoseconds, computed before rounding.
    pub path_difference_ns: i64,
}

/// On which side something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// On both.
    Both,
    /// On the second only.
    Added,
    /// On the first only.
    Removed,
}

/// What the spans of a node add up to on one side, divided by all requests of that side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeSide {
    /// Requests that have such a span.
    pub requests: u64,
    /// Calls in all.
    pub calls: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls per request.
    pub calls_per_request: f64,
    /// Durations per request in nanoseconds, whether at the same time and whether waited for or not.
    pub total_ns: u64,
    /// Self time per request in nanoseconds: the part of the request's critical path that is in these spans and in
    /// none inside of them. Of spans at the same time the one that was waited for has it.
    pub self_ns: u64,
    /// Self time of these spans and of all inside of them per request, in nanoseconds: the width in a flame graph.
    pub path_ns: u64,
    /// The longest of the spans, at most three.
    pub evidence: Vec<Evidence>,
}

/// Where an attribute was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// On a span.
    Span,
    /// On the resource of a span.
    Resource,
    /// In a log of at least `WARN`; the value is its message, with numbers replaced by `*`.
    Log,
}

/// An attribute that the requests of one side have more often than those of the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lift {
    /// Where it was found.
    pub origin: Origin,
    /// Its key; `warning` for logs.
    pub key: String,
    /// Its value, or a range `from..below` where a key has many numbers.
    pub value: String,
    /// Requests of the first side that have it.
    pub first: u64,
    /// Requests of the second side that have it.
    pub second: u64,
    /// The second side's share of requests that have it, less the first's: -1 to 1.
    pub difference: f64,
    /// The end of that difference's 95 % interval that is nearer to 0 (Newcombe 1998, method 10, from Wilson's
    /// intervals); claims are ranked by it.
    pub at_least: f64,
    /// The larger share divided by the smaller; `None` when the smaller is 0.
    pub lift: Option<f64>,
    /// The chance that sides that are alike differ as much in it, 0 to 0.01: Fisher's exact test, multiplied by the
    /// number of attributes that could have been claimed (Bonferroni's correction as modified by Tarone 1990).
    pub chance: f64,
    /// It is of the resource, and one side always has it and the other never: by it the sides were chosen, as likely
    /// as not, so it comes after those that may explain more.
    pub names_a_side: bool,
    /// The same in a sentence.
    pub words: String,
    /// The longest requests that have it, on the side where it is more frequent, at most three.
    pub evidence: Vec<Evidence>,
}

/// How the largest contributor makes the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The calls take longer.
    Slower,
    /// There are at least twice as many calls per request, and they make at least half of its difference.
    MoreCalls,
    /// It is on the longer side only.
    OneSideOnly,
    /// It has itself taken longer, outside of what was recorded inside it.
    OwnTime,
    /// The sides hold different requests.
    Mix,
}

/// The answer to "what makes the difference".
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// This does.
    Contributor {
        /// How.
        change: Change,
        /// The node of [`Tree::nodes`] with this [`Node::id`].
        node: u32,
        /// The labels from the root to it, at most the last 16.
        path: Vec<String>,
        /// The side that takes longer.
        longer: String,
        /// How much of the difference it is, in nanoseconds per request.
        difference_ns: u64,
        /// The same as a share; more than 1 where others made up for some of it.
        share: f64,
        /// How sure that is. Never high with fewer than 8 requests on a side.
        confidence: Confidence,
        /// The answer in a sentence.
        words: String,
        /// The longest of its spans on the longer side, at most three.
        evidence: Vec<Evidence>,
    },
    /// The records do not say, or there is no difference to explain.
    CannotTell {
        /// Why not, and what would help.
        because: String,
    },
}

/// Compares two sides. Every difference is the second less the first.
pub fn compare(first: &Side<'_>, second: &Side<'_>) -> Comparison {
    let parts = [&Parts::new(first), &Parts::new(second)];
    of_parts([first.name, second.name], parts)
}

/// The durations of requests, which are sorted, of which so many failed; `None` when there are none.
pub(crate) fn summary(sorted: &[u64], failed: u64) -> Option<Durations> {
    durations::summary(sorted, failed)
}

/// Compares two sides whose requests are known.
pub(crate) fn of_parts(names: [&str; 2], parts: [&Parts<'_>; 2]) -> Comparison {
    let gathered = requests::Gathered::new(parts);
    let sorted = durations::sorted(&gathered.requests);
    let summaries = [0, 1].map(|side| {
        let requests: &[requests::Request] = &gathered.requests[side];
        let errors = requests.iter().filter(|request| request.failed).count();
        durations::summary(&sorted[side], errors as u64)
    });
    let exact = chance::Exact::new((sorted[0].len() + sorted[1].len()) as u64);
    let difference = durations::difference(&sorted, &summaries, &exact);
    let understood = lift::Understood::new(&gathered.attributes, &gathered.requests);
    let found = match difference {
        Some(_) => lift::find(&understood, &gathered.requests, names, &exact),
        None => lift::Found::default(),
    };
    let judge = verdict::Judge::new(&gathered, &sorted, names, difference.as_ref(), &exact);
    let (verdict, contributor) = judge.decide();
    let tree = aligned::tree(&gathered, difference.as_ref(), &judge, contributor);
    let summary = |side: usize| Summary {
        name: names[side].to_owned(),
        spans: gathered.spans[side],
        durations: summaries[side],
    };
    Comparison {
        schema: SCHEMA,
        first: summary(0),
        second: summary(1),
        histogram: durations::histogram(&sorted),
        findings: findings::findings(&gathered, &summaries, &judge, contributor),
        not_assessed: findings::not_assessed(
            &gathered,
            &summaries,
            &understood,
            &found,
            &tree,
            names,
        ),
        difference,
        tree,
        lifts: found.lifts,
        attributes_looked_at: found.looked_at,
        verdict,
    }
}

#[cfg(test)]
mod tests;
