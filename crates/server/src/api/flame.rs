//! Flame graphs: where programs spend what profilers counted, of one selection or of two that are compared.

use std::fmt::Write as _;

use axum::{extract::Query, http::Uri};
use radiosonde_answers::flame::{Flame, FunctionRow, LibraryRow, Side, Tree};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    params::{Params, Range},
    rows::literal,
};
use crate::problem::Problem;

const NODES_DEFAULT: usize = 10_000;
const NODES_MAX: usize = 100_000;
/// Nodes of a trace's tree where it is shown beside other things.
const NODES_OF_TRACE: usize = 2000;
const FUNCTIONS_MAX: usize = 200;
const TYPES_MAX: usize = 200;
/// Most different stacks that are added up; what the smaller ones have is one node.
const STACKS_MAX: usize = 50_000;
/// What is shown unless a request says, where there are several: the first of these.
const TYPES_PREFERRED: [&str; 5] = ["cpu", "wall", "samples", "inuse_space", "alloc_space"];

/// What a request asks for. What begins with `a_` or `b_` is of one side of a comparison, the rest of both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlameParams {
    #[serde(rename = "type")]
    kind: Option<String>,
    nodes: Option<usize>,
    from: Option<String>,
    to: Option<String>,
    service: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    thread: Option<String>,
    q: Option<String>,
    a_from: Option<String>,
    a_to: Option<String>,
    a_service: Option<String>,
    a_trace_id: Option<String>,
    a_span_id: Option<String>,
    a_thread: Option<String>,
    a_q: Option<String>,
    b_from: Option<String>,
    b_to: Option<String>,
    b_service: Option<String>,
    b_trace_id: Option<String>,
    b_span_id: Option<String>,
    b_thread: Option<String>,
    b_q: Option<String>,
}

/// Which samples are asked for.
#[derive(Clone, Debug, Default)]
struct Selection {
    from: Option<String>,
    to: Option<String>,
    service: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    thread: Option<String>,
    q: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FlameAnswer {
    from_unix_ns: String,
    to_unix_ns: String,
    /// What is counted; empty where there is nothing.
    r#type: String,
    unit: String,
    /// What there is in this selection.
    types: Vec<TypeRow>,
    total: i64,
    samples: i64,
    /// How many different stacks.
    stacks: i64,
    #[serde(flatten)]
    second: Option<Second>,
    #[serde(flatten)]
    tree: Tree,
    functions: Vec<FunctionRow>,
    libraries: Vec<LibraryRow>,
    more: bool,
}

/// Of a comparison's second side.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "they stand beside those of the first side, which have no prefix"
)]
struct Second {
    b_total: i64,
    b_samples: i64,
    b_stacks: i64,
    b_from_unix_ns: String,
    b_to_unix_ns: String,
}

/// Something that is counted, of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct TypeRow {
    service: String,
    r#type: String,
    unit: String,
    samples: i64,
    value: i64,
}

/// What one side has.
struct Sums {
    range: Range,
    samples: i64,
    stacks: i64,
}

impl FlameParams {
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(params) = Query::<Self>::try_from_uri(uri).map_err(|error| {
            let mend = "docs/api.md has the parameters of each request";
            Problem::bad_request(error.body_text(), mend)
        })?;
        Ok(params)
    }

    /// The two sides; the second is none where nothing is compared.
    fn sides(self) -> (Selection, Option<Selection>) {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let side = |own: [Option<String>; 7]| {
            let is_given = own.iter().any(|text| given(text.clone()).is_some());
            let shared = [
                &self.from,
                &self.to,
                &self.service,
                &self.trace_id,
                &self.span_id,
                &self.thread,
                &self.q,
            ];
            let mut all = own
                .into_iter()
                .zip(shared)
                .map(|(own, shared)| given(own).or_else(|| given(shared.clone())));
            let mut next = || all.next().flatten();
            let selection = Selection {
                from: next(),
                to: next(),
                service: next(),
                trace_id: next(),
                span_id: next(),
                thread: next(),
                q: next(),
            };
            (selection, is_given)
        };
        let of = &self;
        let (first, with_first) = side([
            of.a_from.clone(),
            of.a_to.clone(),
            of.a_service.clone(),
            of.a_trace_id.clone(),
            of.a_span_id.clone(),
            of.a_thread.clone(),
            of.a_q.clone(),
        ]);
        let (second, with_second) = side([
            of.b_from.clone(),
            of.b_to.clone(),
            of.b_service.clone(),
            of.b_trace_id.clone(),
            of.b_span_id.clone(),
            of.b_thread.clone(),
            of.b_q.clone(),
        ]);
        (first, (with_first || with_second).then_some(second))
    }
}

impl Selection {
    fn range(&self) -> Result<Range, Problem> {
        Params::within(self.from.clone(), self.to.clone()).range()
    }

    /// The condition that a sample is one of these.
    fn condition(&self, range: Range) -> Result<String, Problem> {
        let mut condition = range.contains("time");
        for (column, text) in [("service", &self.service), ("thread", &self.thread)] {
            if let Some(text) = text {
                // Writing to a string does not fail.
                let _ = write!(condition, " AND {column} = {}", literal(text));
            }
        }
        let ids = [
            ("trace_id", &self.trace_id, 32),
            ("span_id", &self.span_id, 16),
        ];
        for (column, id, digits) in ids {
            let Some(id) = id else { continue };
            if id.len() != digits || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let what = column.replace("_id", " ID");
                return Err(Problem::bad_request(
                    format!("`{id}` is no {what}"),
                    format!("give its {digits} hexadecimal digits"),
                ));
            }
            let _ = write!(condition, " AND {column} = {}", literal(&id.to_lowercase()));
        }
        if let Some(text) = &self.q {
            let text = literal(&text.to_lowercase());
            let _ = write!(condition, " AND strpos(lower(stack), {text}) > 0");
        }
        Ok(condition)
    }
}

pub(super) fn answer(api: &Api, params: FlameParams) -> Result<FlameAnswer, Problem> {
    let nodes_max = params.nodes.unwrap_or(NODES_DEFAULT).clamp(1, NODES_MAX);
    let wanted = params.kind.clone().filter(|kind| !kind.trim().is_empty());
    let (a, b) = params.sides();
    let range = a.range()?;
    let types = types(api, &a.condition(range)?)?;
    let found = chosen(&types, wanted.as_deref());
    let (kind, unit) = found.unwrap_or_default();
    let mut flame = Flame::default();
    let sums = add(api, &a, Side::A, (&kind, &unit), &mut flame)?;
    let second = match &b {
        Some(b) => Some(add(api, b, Side::B, (&kind, &unit), &mut flame)?),
        None => None,
    };
    let is_pair = second.is_some();
    let [total, b_total] = flame.total();
    let tree = flame.tree(nodes_max, is_pair);
    let (functions, all) = flame.functions(FUNCTIONS_MAX, is_pair);
    Ok(FlameAnswer {
        from_unix_ns: sums.range.from_ns.to_string(),
        to_unix_ns: sums.range.to_ns.to_string(),
        r#type: kind,
        unit,
        types,
        total,
        samples: sums.samples,
        stacks: sums.stacks,
        second: second.map(|second| Second {
            b_total,
            b_samples: second.samples,
            b_stacks: second.stacks,
            b_from_unix_ns: second.range.from_ns.to_string(),
            b_to_unix_ns: second.range.to_ns.to_string(),
        }),
        more: tree.left_out > 0 || all > functions.len(),
        tree,
        functions,
        libraries: flame.libraries(is_pair),
    })
}

/// Where the samples of one trace are; `None` where there are none.
pub(super) fn of_trace(
    api: &Api,
    trace_id: &str,
    range: Range,
) -> Result<Option<FlameAnswer>, Problem> {
    let params = FlameParams {
        nodes: Some(NODES_OF_TRACE),
        from: Some(range.from_ns.to_string()),
        to: Some(range.to_ns.to_string()),
        trace_id: Some(trace_id.to_owned()),
        ..FlameParams::default()
    };
    Ok(Some(answer(api, params)?).filter(|answer| answer.samples > 0))
}

/// What is counted in the samples that are asked for, the most samples first.
fn types(api: &Api, condition: &str) -> Result<Vec<TypeRow>, Problem> {
    let statement = format!(
        "SELECT service, type, unit, count(*) AS samples, sum(value) FROM profiles WHERE {condition} \
         GROUP BY 1, 2, 3 ORDER BY samples DESC, service, type LIMIT {TYPES_MAX}"
    );
    let rows = api.rows(&statement, TYPES_MAX)?;
    let row = |mut row: super::rows::Row| TypeRow {
        service: row.text(),
        r#type: row.text(),
        unit: row.text(),
        samples: row.int(),
        value: row.int(),
    };
    Ok(rows.map(row).collect())
}

/// What is shown: what was asked for, else what people look at first.
fn chosen(types: &[TypeRow], wanted: Option<&str>) -> Option<(String, String)> {
    let find = |kind: &str| types.iter().find(|row| row.r#type == kind);
    let found = match wanted {
        // What is not there is shown as nothing, under its name.
        Some(wanted) => match find(wanted) {
            None => return Some((wanted.to_owned(), String::new())),
            found => found,
        },
        None => TYPES_PREFERRED
            .into_iter()
            .find_map(find)
            .or_else(|| types.first()),
    };
    found.map(|row| (row.r#type.clone(), row.unit.clone()))
}

/// Adds the stacks of a selection.
fn add(
    api: &Api,
    selection: &Selection,
    side: Side,
    (kind, unit): (&str, &str),
    flame: &mut Flame,
) -> Result<Sums, Problem> {
    let range = selection.range()?;
    let condition = format!(
        "{} AND type = {} AND unit = {}",
        selection.condition(range)?,
        literal(kind),
        literal(unit)
    );
    let statement = format!(
        "SELECT sum(value) AS value, count(*), stack FROM profiles WHERE {condition} \
         GROUP BY stack ORDER BY value DESC, stack LIMIT {STACKS_MAX}"
    );
    let rows = api.rows(&statement, STACKS_MAX)?;
    let mut sums = Sums {
        range,
        samples: 0,
        stacks: 0,
    };
    let mut value = 0_i64;
    for mut row in rows {
        let of_stack = row.int();
        sums.samples += row.int();
        sums.stacks += 1;
        value = value.saturating_add(of_stack);
        flame.add(side, &row.text(), of_stack);
    }
    if sums.stacks < STACKS_MAX as i64 {
        return Ok(sums);
    }
    let whole = format!(
        "SELECT sum(value), count(*), count(DISTINCT stack) FROM profiles WHERE {condition}"
    );
    if let Some(mut row) = api.rows(&whole, 1)?.next() {
        let rest = row.int().saturating_sub(value);
        (sums.samples, sums.stacks) = (row.int(), row.int());
        if rest != 0 {
            flame.add_unknown(side, rest);
        }
    }
    Ok(sums)
}
