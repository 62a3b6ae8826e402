//! Which names each service uses for what OpenTelemetry has a name for, and SQL that asks by any of them.

use radiosonde_answers::semconv::{Seen, Speaks, names_of_attribute, report};
use serde::Serialize;

use super::{Api, params::Params, rows::literal};
use crate::problem::Problem;

/// Most spans and most logs that are looked at: the newest.
const SAMPLE: usize = 5_000;
/// Most names of metrics.
const METRICS_MAX: usize = 20_000;

#[derive(Debug, Serialize)]
pub(super) struct Semconv {
    services: Vec<Speaks>,
    /// How many spans and logs attributes were looked for in, at most: the newest.
    sample: usize,
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Semconv, Problem> {
    let range = params.range()?;
    let of_service = params.of_service();
    let mut seen = Vec::new();
    let statement = format!(
        "SELECT service, name, count(*) FROM points WHERE {}{of_service} GROUP BY 1, 2 LIMIT {METRICS_MAX}",
        range.contains("time")
    );
    seen.extend(api.rows(&statement, METRICS_MAX)?.map(|mut row| Seen {
        service: row.text(),
        is_metric: true,
        name: row.text(),
        count: row.int().max(0).cast_unsigned(),
    }));
    for (table, time) in [("spans", "start_time"), ("logs", "time")] {
        let statement = format!(
            "SELECT service, attributes FROM {table} WHERE {}{of_service} ORDER BY {time} DESC LIMIT {SAMPLE}",
            range.contains(time)
        );
        for mut row in api.rows(&statement, SAMPLE)? {
            let (service, attributes) = (row.text(), row.json());
            let values: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(attributes.get()).unwrap_or_default();
            seen.extend(values.into_iter().map(|(name, _)| Seen {
                service: service.clone(),
                is_metric: false,
                name,
                count: 1,
            }));
        }
    }
    Ok(Semconv {
        services: report(&seen),
        sample: SAMPLE,
    })
}

/// An attribute by whichever of its names it has, the canonical one first.
pub(super) fn attribute(name: &str) -> String {
    let names = names_of_attribute(name);
    if names.len() == 1 {
        return format!("attributes[{}]", literal(name));
    }
    // The values of one may be text and of another numbers.
    let texts = names
        .iter()
        .map(|(name, _)| format!("CAST(attributes[{}] AS VARCHAR)", literal(name)));
    format!("coalesce({})", texts.collect::<Vec<_>>().join(", "))
}
