//! What gauges, counters and histograms say of queues, by whichever name they have it.

use std::collections::BTreeMap;

use radiosonde_answers::{
    queue::{Reading, Resource, Waits},
    semconv::{self, names_of_metric},
};
use serde_json::value::RawValue;

use super::{Key, Known};
use crate::{
    api::{
        Api,
        params::Range,
        rows::{Row, literals},
    },
    problem::Problem,
};

/// Into how many steps the time from the first reading to the last is divided; of each series the last reading of a step
/// counts.
const STEPS: usize = 240;
/// Most rows that an answer is made of.
const ROWS_MAX: usize = 60_000;
/// Attributes of readings that do not tell one queue from another: what became of an item, not where it waited.
const NOT_IDENTITY: [&str; 9] = [
    "finished_reason",
    "result",
    "error.type",
    "reason",
    "quantile",
    "radiosonde.temporality",
    "gpu_uuid",
    "operation",
    "queue",
];
/// Attributes that name a queue, the first that is there.
const NAMES: [&str; 5] = [
    "queue",
    "pool",
    "messaging.destination.name",
    "model_name",
    "model",
];

/// What a metric says, by its canonical name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Depth,
    Running,
    Workers,
    Capacity,
    Arrived,
    Finished,
    Waited,
    /// All waiting together, in seconds, without a count of its own.
    WaitedTotal,
    Used(&'static str),
    Limit(&'static str),
}

const ROLES: [(&str, Role); 11] = [
    ("queue.depth", Role::Depth),
    ("queue.running", Role::Running),
    ("queue.workers", Role::Workers),
    ("queue.capacity", Role::Capacity),
    ("queue.arrivals", Role::Arrived),
    ("queue.completions", Role::Finished),
    ("queue.wait.duration", Role::Waited),
    ("queue.wait.total", Role::WaitedTotal),
    (KV_CACHE, Role::Used(KV_CACHE)),
    ("hw.gpu.memory.usage", Role::Used(GPU_MEMORY)),
    ("hw.gpu.memory.limit", Role::Limit(GPU_MEMORY)),
];
const KV_CACHE: &str = "radiosonde.gen_ai.kv_cache.utilization";
const GPU_MEMORY: &str = "hw.gpu.memory.usage";

impl Role {
    fn of(name: &str) -> Option<(Self, f64)> {
        let known = semconv::metric(name);
        let canonical = known.map_or(name, |known| known.canonical);
        let role = ROLES.iter().find(|(known, _)| *known == canonical)?.1;
        Some((role, known.map_or(1.0, |known| known.times)))
    }

    const fn is_total(self) -> bool {
        matches!(
            self,
            Self::Arrived | Self::Finished | Self::Waited | Self::WaitedTotal
        )
    }
}

/// A reading at the end of a step: the value, and of a histogram how many.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    time_unix_ns: i64,
    value: f64,
    count: f64,
}

/// The steps of each series that together are one role of one queue.
type Parts = BTreeMap<i64, BTreeMap<i64, Step>>;

pub(super) fn read(
    api: &Api,
    range: Range,
    of_service: &str,
    known: &mut Known,
) -> Result<(), Problem> {
    let mut roles: BTreeMap<(Key, Role), Parts> = BTreeMap::new();
    let mut resources: BTreeMap<(String, Option<String>), BTreeMap<Role, Parts>> = BTreeMap::new();
    let Some(range) = extent(api, range, of_service)? else {
        return Ok(());
    };
    for mut row in api.rows(&statement(range, of_service), ROWS_MAX)? {
        let series = row.int();
        let at = row.int();
        let (service, name, instance) = (row.text(), row.text(), row.text_or_none());
        let attributes = attributes(&row.json());
        let Some((role, times)) = Role::of(&name) else {
            continue;
        };
        let is_delta = attributes
            .get("radiosonde.temporality")
            .is_some_and(|it| it == "delta");
        let step = step(&mut row, is_delta, times);
        let parts = if matches!(role, Role::Used(_) | Role::Limit(_)) {
            resources
                .entry((service, instance))
                .or_default()
                .entry(role)
                .or_default()
        } else {
            roles
                .entry((key(service, instance, &name, attributes), role))
                .or_default()
        };
        let steps = parts.entry(series).or_default();
        let before = steps.values().next_back().copied().unwrap_or_default();
        let mut now = step;
        if is_delta {
            now.value += before.value;
            now.count += before.count;
        }
        steps.insert(at, now);
    }
    for ((key, role), parts) in roles {
        put(known, &key, role, &merged(role, &parts));
    }
    add_waits_of_totals(known);
    for ((service, instance), roles) in resources {
        put_resources(known, &service, instance.as_deref(), &roles);
    }
    Ok(())
}

/// Which readings of any queue there are in a time.
fn condition(range: Range, of_service: &str) -> String {
    let names = ROLES.iter().flat_map(|(name, _)| names_of_metric(name));
    let names = literals(names.map(|(name, _)| name));
    format!(
        "name IN ({names}) AND {}{of_service}",
        range.contains("time")
    )
}

/// From the first reading to the last; `None` where there is none. Of a queue that is a minute old an hour's steps would
/// show four readings.
fn extent(api: &Api, range: Range, of_service: &str) -> Result<Option<Range>, Problem> {
    let statement = format!(
        "SELECT min(CAST(time AS BIGINT)), max(CAST(time AS BIGINT)), count(*) FROM points WHERE {}",
        condition(range, of_service)
    );
    let row = api.rows(&statement, 1)?.next();
    Ok(row.and_then(|mut row| {
        let (from_ns, last_ns, count) = (row.int(), row.int(), row.int());
        (count > 0).then_some(Range {
            from_ns,
            to_ns: last_ns.saturating_add(1),
        })
    }))
}

fn statement(range: Range, of_service: &str) -> String {
    let step_ns = range.step_ns(STEPS);
    // `service.instance.id` tells apart what is of one service and has one name.
    format!(
        "SELECT series, (CAST(time AS BIGINT) - {}) / {step_ns} AS step, max(service), max(name), \
         max(resource['service.instance.id']), max(attributes), max(CAST(time AS BIGINT)), \
         last_value(value ORDER BY time), last_value(count ORDER BY time), sum(value), sum(count) \
         FROM points WHERE {} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {ROWS_MAX}",
        range.from_ns,
        condition(range, of_service)
    )
}

fn step(row: &mut Row, is_delta: bool, times: f64) -> Step {
    let time_unix_ns = row.int();
    let last = (row.number(), row.number());
    let sum = (row.number(), row.number());
    let (value, count) = if is_delta { sum } else { last };
    Step {
        time_unix_ns,
        value: value.unwrap_or(f64::NAN) * times,
        count: count.unwrap_or(0.0),
    }
}

fn attributes(json: &RawValue) -> BTreeMap<String, String> {
    let values: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(json.get()).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    values
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect()
}

/// Which queue a reading is of. One that no attribute names is called what its metric is.
fn key(
    service: String,
    instance: Option<String>,
    metric: &str,
    mut attributes: BTreeMap<String, String>,
) -> Key {
    let name = NAMES.iter().find_map(|name| attributes.remove(*name));
    let maker = metric.split([':', '.', '_']).next().unwrap_or(metric);
    let maker = if maker == "nv" { "inference" } else { maker };
    let mut key = Key::new(service, name.unwrap_or_else(|| maker.to_owned()), instance);
    attributes.retain(|name, _| !NOT_IDENTITY.contains(&name.as_str()));
    key.attributes.extend(attributes);
    key
}

/// Several series as one: at each step of any, what all had last. Such as the requests of one queue by how they ended.
fn merged(role: Role, parts: &Parts) -> Vec<Step> {
    let mut at: Vec<i64> = parts.values().flat_map(BTreeMap::keys).copied().collect();
    at.sort_unstable();
    at.dedup();
    let sum = |at: i64| {
        let last = parts.values().filter_map(|steps| {
            let (known_at, step) = steps.range(..=at).next_back()?;
            // A gauge that is read no more has ended; a total stays what it was.
            (role.is_total() || *known_at == at || parts.len() == 1).then_some(*step)
        });
        last.fold(Step::default(), |sum, step| Step {
            time_unix_ns: sum.time_unix_ns.max(step.time_unix_ns),
            value: sum.value + step.value,
            count: sum.count + step.count,
        })
    };
    at.into_iter().map(sum).collect()
}

fn readings(steps: &[Step]) -> Vec<Reading> {
    let reading = |step: &Step| Reading {
        time_unix_ns: step.time_unix_ns,
        value: step.value,
    };
    steps.iter().map(reading).collect()
}

fn put(known: &mut Known, key: &Key, role: Role, steps: &[Step]) {
    let observed = known.of(key);
    match role {
        Role::Depth => observed.depth = readings(steps),
        Role::Running => observed.in_service = readings(steps),
        Role::Workers => observed.workers = readings(steps),
        Role::Capacity => {
            let last = steps.last().map(|step| step.value);
            observed.capacity = last.filter(|capacity| *capacity > 0.0);
        }
        Role::Arrived => observed.arrived = readings(steps),
        Role::Finished => observed.finished = readings(steps),
        Role::Waited => {
            let waits = |step: &Step| Waits {
                time_unix_ns: step.time_unix_ns,
                count: step.count,
                sum_s: step.value,
            };
            observed.waits = steps.iter().map(waits).collect();
        }
        Role::WaitedTotal => {
            // Its count is that of what was done: `add_waits_of_totals`.
            let waits = |step: &Step| Waits {
                time_unix_ns: step.time_unix_ns,
                count: f64::NAN,
                sum_s: step.value,
            };
            observed.waits = steps.iter().map(waits).collect();
        }
        Role::Used(_) | Role::Limit(_) => {}
    }
}

/// Gives totals of waiting time, which have no count, that of what was done at the time.
fn add_waits_of_totals(known: &mut Known) {
    for observed in known.0.values_mut() {
        let done: BTreeMap<i64, f64> = observed
            .finished
            .iter()
            .map(|reading| (reading.time_unix_ns, reading.value))
            .collect();
        observed.waits.retain_mut(|waits| {
            if waits.count.is_nan()
                && let Some((_, count)) = done.range(..=waits.time_unix_ns).next_back()
            {
                waits.count = *count;
            }
            waits.count.is_finite()
        });
    }
}

/// Memory is the service's: each of its queues waits for it.
fn put_resources(
    known: &mut Known,
    service: &str,
    instance: Option<&str>,
    roles: &BTreeMap<Role, Parts>,
) {
    let resources = roles.iter().filter_map(|(role, parts)| {
        let Role::Used(name) = *role else { return None };
        let limit = match name {
            KV_CACHE => Some(1.0),
            _ => roles.get(&Role::Limit(name)).and_then(|parts| {
                merged(Role::Limit(name), parts)
                    .last()
                    .map(|step| step.value)
            }),
        };
        // Of several caches the fullest is what fills first; of several devices' memory the sum.
        let used = if name == KV_CACHE {
            fullest(parts)
        } else {
            merged(*role, parts)
        };
        Some(Resource {
            name: name.to_owned(),
            used: readings(&used),
            limit,
        })
    });
    let resources: Vec<Resource> = resources.collect();
    for (key, observed) in &mut known.0 {
        let of = key
            .attributes
            .get("service.instance.id")
            .map(String::as_str);
        if key.service == service && of == instance {
            observed.resources.clone_from(&resources);
        }
    }
}

fn fullest(parts: &Parts) -> Vec<Step> {
    let last =
        |steps: &BTreeMap<i64, Step>| steps.values().next_back().map_or(0.0, |step| step.value);
    let fullest = parts.values().max_by(|a, b| last(a).total_cmp(&last(b)));
    fullest.map_or_else(Vec::new, |steps| steps.values().copied().collect())
}
