//! The truth about a queue: how many wait, who has waited longest, whether the numbers agree with each other, what is
//! stuck, and when it will be full, or why that cannot be told.
//!
//! A queue is seen in up to three ways, of which any may be missing: gauges and counters that somebody reads now and then
//! ([`Observed::depth`] and its like), histograms of waiting times ([`Observed::waits`]), and its items one by one
//! ([`Observed::items`]). [`assess`] answers from what is there and says what each number is made of.
//!
//! Invariants, each held by a test:
//! * Nothing is made up: what was not received is absent and named under [`Queue::not_assessed`].
//! * The same records give the same answer, in whatever order they come.
//! * Little's law (J. D. C. Little, "A proof for the queuing formula: L = λW", Operations Research 9 (1961), 383-387) is
//!   asked for agreement only where the time looked at has room for it.
//! * A queue that is steady is called growing in at most 1 of 100 cases.
//!
//! ```
//! use radiosonde_answers::queue::{Interval, Observed, assess};
//!
//! let nothing = assess(&Observed::new("shop", "orders"), Interval { from_unix_ns: 0, to_unix_ns: 1_000_000_000 });
//! assert!(nothing.depth.is_none() && nothing.to_string().contains("not assessed"));
//! ```

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::why::NotAssessed;

mod flow;
mod little;
mod render;
mod series;
mod stuck;
mod trend;

/// The version of the JSON form. It changes when a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// Most items that are listed as being ahead.
pub const AHEAD_MAX: usize = 20;
/// Most workers and queues that are listed as stuck.
pub const STUCK_MAX: usize = 20;
/// How many points the depth over time has at most.
pub const POINTS_MAX: usize = 120;

/// The time looked at, from its start up to but not including its end, which is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its start, in nanoseconds since the Unix epoch.
    pub from_unix_ns: i64,
    /// Its end, in nanoseconds since the Unix epoch.
    pub to_unix_ns: i64,
}

/// What was received about a queue. Lists may be in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The service whose queue it is.
    pub service: String,
    /// What the queue is called.
    pub name: String,
    /// What else tells it from other queues, such as the model that it is for.
    pub attributes: BTreeMap<String, String>,
    /// How many waited.
    pub depth: Vec<Reading>,
    /// How many were being worked on.
    pub in_service: Vec<Reading>,
    /// How many workers, or places to be worked on, there were.
    pub workers: Vec<Reading>,
    /// How many may wait.
    pub capacity: Option<f64>,
    /// How many had arrived since some start.
    pub arrived: Vec<Reading>,
    /// How many had been done since some start.
    pub finished: Vec<Reading>,
    /// How long those waited that had begun to be worked on since some start.
    pub waits: Vec<Waits>,
    /// Its items one by one.
    pub items: Vec<Item>,
    /// How many more items there were than are in `items`.
    pub items_left_out: u64,
    /// What may run out as well, such as memory.
    pub resources: Vec<Resource>,
}

impl Observed {
    /// A queue of which nothing is known yet.
    pub fn new(service: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            name: name.into(),
            ..Self::default()
        }
    }
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: i64,
    /// The value.
    pub value: f64,
}

/// What waiting adds up to since some start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_ns: i64,
    /// How many had waited.
    pub count: f64,
    /// How long altogether, in seconds.
    pub sum_s: f64,
}

/// One item of a queue. Times are in nanoseconds since the Unix epoch; one that is not known, or has not come, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// When it arrived.
    pub enqueued_unix_ns: Option<i64>,
    /// When work on it began.
    pub started_unix_ns: Option<i64>,
    /// When it was done, or given up.
    pub finished_unix_ns: Option<i64>,
    /// What tells it from others.
    pub id: String,
    /// Who works on it.
    pub worker: Option<String>,
    /// The trace in which it arrived, in hexadecimal.
    pub trace_id: Option<String>,
}

/// Something that may run out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// What it is called.
    pub name: String,
    /// How much of it was in use.
    pub used: Vec<Reading>,
    /// How much there is; `None` where nobody said.
    pub limit: Option<f64>,
}

/// What there is to say about a queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Queue {
    /// The service whose queue it is.
    pub service: String,
    /// What the queue is called.
    pub queue: String,
    /// What else tells it from other queues.
    pub attributes: BTreeMap<String, String>,
    /// How many wait.
    pub depth: Option<Depth>,
    /// How many may wait, where that is known.
    pub capacity: Option<f64>,
    /// The one that has waited longest; `None` where nobody waits, or where it is not known.
    pub oldest: Option<Oldest>,
    /// How many arrive.
    pub arrival: Option<Rate>,
    /// How many are done.
    pub service_rate: Option<Rate>,
    /// How long they wait.
    pub wait: Option<Wait>,
    /// How long work on one takes on average, in nanoseconds.
    pub work_mean_ns: Option<u64>,
    /// How many are being worked on: the mean over the time looked at.
    pub in_service_mean: Option<f64>,
    /// How many workers there are.
    pub workers: Option<f64>,
    /// The share of the workers' time in which they worked, 0 to 1 (more where workers do several things at once).
    pub utilisation: Option<f64>,
    /// Whether the numbers agree.
    pub little: Little,
    /// Who waits, the one that has waited longest first, at most [`AHEAD_MAX`].
    pub ahead: Vec<Ahead>,
    /// How many more wait of which each is known.
    pub ahead_more: u64,
    /// When it will be full, or something runs out.
    pub saturation: Vec<Saturation>,
    /// What does not go on.
    pub stuck: Vec<Stuck>,
    /// What the records do not say.
    pub not_assessed: Vec<NotAssessed>,
}

/// What a number is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A gauge that was read now and then.
    Gauge,
    /// A counter's increase.
    Counter,
    /// The count and the sum of a histogram.
    Histogram,
    /// The items, one by one.
    Items,
    /// What was done, and by how much more were there at the end than at the start.
    Balance,
}

/// How many wait.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Depth {
    /// At the last reading.
    pub now: f64,
    /// When that was, in nanoseconds since the Unix epoch.
    #[serde(serialize_with = "as_text")]
    pub time_unix_ns: i64,
    /// The mean over the time looked at.
    pub mean: f64,
    /// The most.
    pub max: f64,
    /// [milliseconds since the Unix epoch, mean depth], at most [`POINTS_MAX`].
    pub points: Vec<(f64, f64)>,
    /// What it is made of.
    pub source: Source,
}

/// The one that has waited longest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// How long, in nanoseconds.
    pub age_ns: u64,
    /// It has not waited longer than this, but perhaps less: the queue was empty so long ago.
    pub is_at_most: bool,
    /// Its trace, where that is known.
    pub trace_id: Option<String>,
}

/// How many a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How many a second.
    pub per_s: f64,
    /// What it is made of.
    pub source: Source,
}

/// How long they waited whose waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Wait {
    /// How many.
    pub count: u64,
    /// The mean in nanoseconds.
    pub mean_ns: u64,
    /// The longest in nanoseconds; a histogram does not know it.
    pub max_ns: Option<u64>,
    /// What it is made of.
    pub source: Source,
}

/// Whether as many wait on average (L) as arrive a second (λ) times how long each waits (W).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Little {
    /// It was asked.
    Assessed(LittleNumbers),
    /// It could not be.
    NotAssessed {
        /// Why not, and what would help.
        because: String,
    },
}

/// Little's law in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LittleNumbers {
    /// How many wait on average.
    pub l: f64,
    /// What that is made of.
    pub l_source: Source,
    /// How many arrive a second.
    pub lambda_per_s: f64,
    /// How long each waits on average, in seconds.
    pub w_s: f64,
    /// What that is made of.
    pub w_source: Source,
    /// λW.
    pub lambda_w: f64,
    /// How far L and λW may be apart: 5 % of the larger, what reading a gauge now and then may miss (95 %), and those who
    /// waited when the time looked at began or ended.
    pub tolerance: f64,
    /// Whether they are no further apart than that.
    pub holds: bool,
}

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ahead {
    /// The item.
    pub item: String,
    /// Its trace, where that is known.
    pub trace_id: Option<String>,
    /// Since when, in nanoseconds since the Unix epoch.
    #[serde(serialize_with = "as_text")]
    pub enqueued_unix_ns: i64,
    /// How long, in nanoseconds.
    pub age_ns: u64,
}

/// Something that runs out at the present trend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// What: `depth`, or a resource.
    pub what: String,
    /// How much of it there is in use now.
    pub now: f64,
    /// By how much it grows a second.
    pub growth_per_s: f64,
    /// The 99 % interval of that.
    pub growth_interval_per_s: (f64, f64),
    /// How much there can be; `None` where nobody said, so that it grows without an end that is known.
    pub limit: Option<f64>,
    /// When the limit is reached, in seconds from now.
    pub in_s: Option<f64>,
    /// The 99 % interval of that, should it go on as it did: at the earliest, at the latest.
    pub in_interval_s: Option<(f64, f64)>,
}

/// Something that does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// The worker; `None` where the queue as a whole does not go on.
    pub worker: Option<String>,
    /// What it works on.
    pub item: Option<String>,
    /// That item's trace, where it is known.
    pub trace_id: Option<String>,
    /// For how long, in nanoseconds.
    pub for_ns: u64,
    /// The longest that it took before, in nanoseconds.
    pub longest_before_ns: u64,
    /// How many there were before.
    pub before: u64,
    /// That in a sentence.
    pub words: String,
}

/// What there is to say about a queue in that time.
pub fn assess(observed: &Observed, interval: Interval) -> Queue {
    let flow = flow::Flow::of(observed, interval);
    let mut not_assessed = Vec::new();
    let oldest = flow.oldest(&mut not_assessed);
    let (ahead, ahead_more) = flow.ahead();
    let arrival = flow.arrival();
    let service_rate = flow.service_rate();
    let wait = flow.wait();
    let utilisation = flow.utilisation(&mut not_assessed);
    let little = little::check(&flow, wait.as_ref());
    let saturation = trend::saturation(&flow, &mut not_assessed);
    let stuck = stuck::find(&flow);
    flow.lacks(arrival, service_rate, wait, &mut not_assessed);
    Queue {
        service: observed.service.clone(),
        queue: observed.name.clone(),
        attributes: observed.attributes.clone(),
        depth: flow.depth(),
        capacity: observed.capacity,
        oldest,
        arrival,
        service_rate,
        wait,
        work_mean_ns: flow.work_mean_ns(),
        in_service_mean: flow.in_service_mean(),
        workers: flow.workers(),
        utilisation,
        little,
        ahead,
        ahead_more,
        saturation,
        stuck,
        not_assessed,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// What was not said, and why.
fn unknown(what: &str, because: impl Into<String>) -> NotAssessed {
    NotAssessed {
        what: what.to_owned(),
        because: because.into(),
    }
}

#[cfg(test)]
mod tests;
