//! PromQL: a question in Prometheus' language, answered from anything that is a [`Source`] (docs/promql.md).
//!
//! ```text
//! text ─▶ lex ─▶ parse (syntax, then types) ─▶ Expression ─▶ evaluate, step by step ─▶ Answer
//!                                                               └─ Source: the only thing that does I/O
//! ```
//!
//! The semantics are those of Prometheus 2.42, whose answers to the queries in `tests/promql` these must equal: a range
//! selector includes both of its ends, an instant selector looks back five minutes, `rate` extrapolates as Prometheus does.
//!
//! Invariants: no text and no data make it panic; every query is bounded by [`Limits`], and one that is refused says which
//! bound it met and what to do; what is not supported is refused by name.

mod error;
mod evaluate;
mod expression;
mod functions;
mod histogram;
pub(crate) mod json;
mod labels;
mod lex;
mod parse;
mod source;

pub(crate) use self::{
    error::{Error, Fault},
    evaluate::{Answer, Element, Limits, Reach, evaluate, go_number},
    histogram::Histogram,
    labels::{Labels, Matcher, NAME},
    parse::{duration_ms, parse, parse_selector},
    source::{Metadata, Point, Points, Series, Source, Window},
};

#[cfg(test)]
mod tests;
