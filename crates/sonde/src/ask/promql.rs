//! `sonde query --promql`: a question in Prometheus' language (docs/promql.md).

use serde_json::Value;

use super::{list, table};
use crate::{
    cli::{Format, query::QueryArguments},
    collector::Collector,
    text::{self, Side},
};

/// What the collector answers: at `to` alone, or, where there is a step, at each from `from` to `to`.
pub fn answer(
    collector: &Collector,
    query: &str,
    step: &str,
    from: &str,
    to: &str,
) -> anyhow::Result<Value> {
    if step.is_empty() {
        return collector.promql("query", &vec![("query", query), ("time", to)]);
    }
    let parameters = vec![
        ("query", query),
        ("start", from),
        ("end", to),
        ("step", step),
    ];
    collector.promql("query_range", &parameters)
}

pub(super) fn ask(query: &str, arguments: &QueryArguments) -> anyhow::Result<String> {
    let collector = Collector::new(&arguments.collector)?;
    let answer = match &arguments.step {
        Some(step) => answer(&collector, query, step, &arguments.from, &arguments.to)?,
        None => answer(&collector, query, "", "", &arguments.at)?,
    };
    Ok(match arguments.format {
        Format::Json => text::json(&answer),
        Format::Text => shown(&answer),
    })
}

/// An answer for people: a line for each element, or each series with a line for each moment.
fn shown(answer: &Value) -> String {
    let result = &answer["result"];
    match answer["resultType"].as_str() {
        Some("scalar" | "string") => format!("{}\n", text::plain(&text(&result[1]))),
        _ if list(answer, "result").is_empty() => {
            "There is nothing that the query selects. `sonde metrics` lists metrics; docs/promql.md says how they are called here.\n"
                .to_owned()
        }
        Some("vector") => {
            let row = |element: &Value| {
                let value = &element["value"][1];
                let value = if value.is_null() {
                    histogram(&element["histogram"][1])
                } else {
                    text(value)
                };
                vec![labels(&element["metric"]), value]
            };
            let rows: Vec<_> = list(answer, "result").iter().map(row).collect();
            table(&[("series", Side::Left), ("value", Side::Right)], &rows)
        }
        _ => {
            let series = list(answer, "result").iter().map(|series| {
                let floats = list(series, "values").iter();
                let floats = floats.map(|point| vec![moment(&point[0]), text(&point[1])]);
                let whole = list(series, "histograms").iter();
                let whole = whole.map(|point| vec![moment(&point[0]), histogram(&point[1])]);
                let rows: Vec<_> = floats.chain(whole).collect();
                let headings = [("time (UTC)", Side::Left), ("value", Side::Right)];
                format!("{}\n{}", labels(&series["metric"]), table(&headings, &rows))
            });
            series.collect::<Vec<_>>().join("\n")
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn moment(seconds: &Value) -> String {
    let ms = seconds.as_f64().unwrap_or_default() * 1000.0;
    text::time(&Value::from(ms))
}

fn histogram(value: &Value) -> String {
    let (count, sum) = (text(&value["count"]), text(&value["sum"]));
    format!("{count} measured, sum {sum}")
}

/// As PromQL writes them.
fn labels(metric: &Value) -> String {
    let all = metric.as_object();
    let others: Vec<String> = all
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let name = text(&metric["__name__"]);
    text::plain(&format!("{name}{{{}}}", others.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_each_kind_read_as_tables() {
        let answers = [
            json!({"resultType": "scalar", "result": [0, "2.5"]}),
            json!({"resultType": "vector", "result": []}),
            json!({"resultType": "vector", "result": [
                {"metric": {"__name__": "up", "job": "a"}, "value": [0, "1"]},
                {"metric": {}, "histogram": [0, {"count": "3", "sum": "4.5", "buckets": []}]},
            ]}),
            json!({"resultType": "matrix", "result": [
                {"metric": {"job": "a"}, "values": [[1_795_824_000, "1"], [1_795_824_060.5, "NaN"]]},
            ]}),
        ];
        let shown: Vec<_> = answers.iter().map(shown).collect();
        insta::assert_snapshot!(shown.join("--\n"));
    }
}
