//! Which telemetry is a run's, and how much of it there is.
//!
//! Invariant: a span counts once, and where it says that it is of the run, or is in the run's own trace. The span of the run
//! itself does not count. Others may send to the same collector meanwhile.

use std::{collections::HashMap, time::SystemTime};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::{environment::RUN_ID, report::Own, since};
use crate::{
    collector::Collector,
    text::{list, member},
};

/// Most services and operations that are told.
const SERVICES_MAX: usize = 1000;
const OPERATIONS_MAX: usize = 100;

/// How many spans a run made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    pub spans: u64,
    pub errors: u64,
}

/// What is a run's.
#[derive(Debug)]
pub struct Selection {
    run_id: String,
    /// When it began, in nanoseconds since the Unix epoch.
    from: String,
    /// The run's own trace, where nobody else is in it.
    trace_id: Option<String>,
    /// The run's own span.
    span_id: Option<String>,
}

impl Selection {
    pub fn new(run_id: &str, began: SystemTime, own: Option<&Own>) -> Self {
        Self {
            run_id: run_id.to_owned(),
            from: since(began),
            trace_id: own
                .filter(|own| !own.is_shared)
                .map(|own| own.trace_id.clone()),
            span_id: own.map(|own| own.span_id.clone()),
        }
    }

    /// From when on, as the API takes it.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The filter of traces.
    pub fn filter(&self) -> String {
        let said = format!("resource.{RUN_ID} = \"{}\"", self.run_id);
        match &self.trace_id {
            Some(trace_id) => format!("{said} or trace_id = \"{trace_id}\""),
            None => said,
        }
    }

    /// The same in SQL, for any table with this column of time.
    fn rows(&self, time: &str) -> String {
        let said = format!("CAST(resource['{RUN_ID}'] AS VARCHAR) = '{}'", self.run_id);
        let its = match &self.trace_id {
            Some(trace_id) => format!("({said} OR trace_id = '{trace_id}')"),
            None => said,
        };
        let from = &self.from;
        format!("{time} >= arrow_cast({from}, 'Timestamp(Nanosecond, Some(\"UTC\"))') AND {its}")
    }

    fn spans(&self) -> String {
        let rows = self.rows("start_time");
        match &self.span_id {
            Some(span_id) => format!("FROM spans WHERE {rows} AND span_id <> '{span_id}'"),
            None => format!("FROM spans WHERE {rows}"),
        }
    }

    /// All of its spans, counted.
    pub fn sums(&self, collector: &Collector) -> anyhow::Result<Sums> {
        let statement = format!("SELECT {COUNTS} {}", self.spans());
        let found = objects(&collector.sql(&statement)?);
        let found = found.first().context("the collector does not count")?;
        let sum = |name: &str| found[name].as_u64().unwrap_or(0);
        Ok(Sums {
            spans: sum("count"),
            errors: sum("errors"),
        })
    }

    /// Operations, those first that took most time.
    pub fn operations(&self, collector: &Collector) -> anyhow::Result<Vec<Value>> {
        let statement = format!(
            "SELECT service, name, {COUNTS}, {QUANTILES}, sum(CAST(duration AS DOUBLE)) AS total_ns {} \
             GROUP BY 1, 2 ORDER BY total_ns DESC, service, name LIMIT {OPERATIONS_MAX}",
            self.spans()
        );
        Ok(objects(&collector.sql(&statement)?))
    }

    /// Services with their requests and logs. A request is what somebody waits for: here also what the run itself began.
    pub fn services(&self, collector: &Collector) -> anyhow::Result<Vec<Value>> {
        let below = match &self.span_id {
            Some(span_id) => format!(" OR parent_span_id = '{span_id}'"),
            None => String::new(),
        };
        let statement = format!(
            "SELECT service, {COUNTS}, {QUANTILES} {} AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL{below}) \
             GROUP BY 1 ORDER BY count DESC, service LIMIT {SERVICES_MAX}",
            self.spans()
        );
        let mut services = objects(&collector.sql(&statement)?);
        let statement = format!(
            "SELECT service, count(*) AS logs FROM logs WHERE {} GROUP BY 1 ORDER BY 1 LIMIT {SERVICES_MAX}",
            self.rows("time")
        );
        let logs = objects(&collector.sql(&statement)?);
        let mut logs: HashMap<String, Value> = logs
            .into_iter()
            .map(|mut row| (member(&row, "service"), row["logs"].take()))
            .collect();
        for service in &mut services {
            service["requests"] = service["count"].take();
            let logs = logs.remove(&member(service, "service"));
            service["logs"] = logs.unwrap_or_else(|| json!(0));
            if let Some(service) = service.as_object_mut() {
                service.remove("count");
            }
        }
        let mut others: Vec<(String, Value)> = logs.into_iter().collect();
        others.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        services.extend(others.into_iter().map(
            |(service, logs)| json!({"service": service, "requests": 0, "errors": 0, "logs": logs}),
        ));
        Ok(services)
    }
}

/// Rows are counted, and not what they may stand for: these are what the program sent.
const COUNTS: &str =
    "count(*) AS count, coalesce(sum(CASE WHEN status = 'error' THEN 1 ELSE 0 END), 0) AS errors";
const QUANTILES: &str = "quantile(sketch(duration), 0.5) AS p50_ns, quantile(sketch(duration), 0.95) AS p95_ns, \
                         quantile(sketch(duration), 0.99) AS p99_ns";

/// The rows of an answer by the names of its columns.
fn objects(answer: &Value) -> Vec<Value> {
    let columns = list(answer, "columns");
    let object = |row: &Value| {
        let cells = row.as_array().into_iter().flatten().cloned();
        let names = columns.iter().map(|column| member(column, "name"));
        Value::Object(names.zip(cells).collect::<Map<_, _>>())
    };
    list(answer, "rows").iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_the_runs_is_asked_for_and_nothing_else() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(5);
        let own = |is_shared| Own {
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            span_id: "b7ad6b7169203331".to_owned(),
            is_shared,
        };
        let alone = Selection::new("7-5", began, Some(&own(false)));
        assert_eq!(alone.from(), "5");
        assert_eq!(
            alone.filter(),
            "resource.radiosonde.run.id = \"7-5\" or trace_id = \"0af7651916cd43dd8448eb211c80319c\""
        );
        let spans = alone.spans();
        assert!(
            spans.contains("= '7-5' OR trace_id = '0af7") && spans.contains("span_id <> 'b7ad"),
            "{spans}"
        );
        let shared = Selection::new("7-5", began, Some(&own(true)));
        assert_eq!(shared.filter(), "resource.radiosonde.run.id = \"7-5\"");
        assert!(!shared.spans().contains("trace_id"), "{}", shared.spans());
    }

    #[test]
    fn rows_have_the_names_of_their_columns() {
        let answer = json!({"columns": [{"name": "a"}, {"name": "b"}], "rows": [[1, null]]});
        assert_eq!(objects(&answer), [json!({"a": 1, "b": null})]);
    }
}
