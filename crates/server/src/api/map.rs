//! Which services there are, and who calls whom. Where traces are sampled, numbers are estimates by the weights of spans.

use serde::Serialize;

use super::{
    Api,
    params::Params,
    rows::{Row, quantile, spans_counted, spans_failed},
};
use crate::problem::Problem;

const NODES_MAX: usize = 500;
const EDGES_MAX: usize = 2000;

#[derive(Debug, Serialize)]
pub(super) struct Map {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug, Serialize)]
struct Node {
    service: String,
    spans: i64,
    errors: i64,
    p95_ns: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Edge {
    from: String,
    to: String,
    calls: i64,
    errors: i64,
    p95_ns: Option<f64>,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Map, Problem> {
    let range = params.range()?;
    let nodes = format!(
        "SELECT service, {}, {}, {} FROM spans WHERE {} GROUP BY 1 ORDER BY 1 LIMIT {NODES_MAX}",
        spans_counted("weight"),
        spans_failed("status", "weight"),
        quantile(0.95, "duration", "weight"),
        range.contains("start_time")
    );
    // A call is a span whose parent is of another service; how long it took is told by the one that was called.
    let edges = format!(
        "SELECT p.service, c.service, {}, {}, {} \
         FROM spans c JOIN spans p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id \
         WHERE {} AND c.service <> p.service GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {EDGES_MAX}",
        spans_counted("c.weight"),
        spans_failed("c.status", "c.weight"),
        quantile(0.95, "c.duration", "c.weight"),
        range.contains("c.start_time")
    );
    let node = |mut row: Row| Node {
        service: row.text(),
        spans: row.int(),
        errors: row.int(),
        p95_ns: row.number(),
    };
    let edge = |mut row: Row| Edge {
        from: row.text(),
        to: row.text(),
        calls: row.int(),
        errors: row.int(),
        p95_ns: row.number(),
    };
    Ok(Map {
        nodes: api.rows(&nodes, NODES_MAX)?.map(node).collect(),
        edges: api.rows(&edges, EDGES_MAX)?.map(edge).collect(),
    })
}
