//! What does not go on: a worker that has been at one item for far longer than any took before, or a queue in which items
//! wait while nothing is done.
//!
//! "Far longer" is three times the longest of at least twenty: of exponential durations such a one comes in less than one of
//! a thousand, and of those with the heaviest tails that have a mean in about one of sixty.

use std::collections::BTreeMap;

use super::{
    Item, Reading, STUCK_MAX, Stuck,
    flow::Flow,
    series::{between, risen, seconds},
};
use crate::units::{Count, Nanoseconds};

/// Fewest that ended before.
const BEFORE_MIN: usize = 20;
const TIMES: u64 = 3;
/// Nothing is stuck that has been at it for less.
const LEAST_NS: u64 = 1_000_000_000;
/// How many would have been done meanwhile at the rate of before, at least: none are in less than 1 of 20,000 cases.
const EXPECTED_MIN: f64 = 10.0;

pub(super) fn find(flow: &Flow<'_>) -> Vec<Stuck> {
    let mut stuck = workers(flow);
    stuck.sort_by(|a, b| b.for_ns.cmp(&a.for_ns).then_with(|| a.item.cmp(&b.item)));
    stuck.truncate(STUCK_MAX);
    if stuck.is_empty() {
        stuck.extend(by_items(flow).or_else(|| by_counter(flow)));
    }
    stuck
}

fn workers(flow: &Flow<'_>) -> Vec<Stuck> {
    let to = flow.within.to_unix_ns;
    let worked = |item: &&Item| {
        let finished = item.finished_unix_ns.filter(|at| *at < to)?;
        Some(between(item.started_unix_ns?, finished))
    };
    let before: Vec<u64> = flow.items.iter().filter_map(worked).collect();
    let Some(longest) = before
        .iter()
        .copied()
        .max()
        .filter(|_| before.len() >= BEFORE_MIN)
    else {
        return Vec::new();
    };
    // Who took up another item since has left this one, and only its end was not reported.
    let mut last_start: BTreeMap<&str, i64> = BTreeMap::new();
    for item in &flow.items {
        if let (Some(worker), Some(started)) = (item.worker.as_deref(), item.started_unix_ns) {
            let last = last_start.entry(worker).or_insert(started);
            *last = (*last).max(started);
        }
    }
    let is_at_it = |item: &&&Item| {
        item.finished_unix_ns.is_none_or(|at| at >= to)
            && item
                .worker
                .as_deref()
                .is_none_or(|worker| last_start.get(worker).copied() <= item.started_unix_ns)
    };
    let stuck = |item: &&Item| {
        let for_ns = between(item.started_unix_ns?, to);
        if for_ns < LEAST_NS.max(longest.saturating_mul(TIMES)) {
            return None;
        }
        let who = item.worker.as_deref().map_or_else(
            || format!("work on {}", item.id),
            |worker| format!("worker {worker}, at {},", item.id),
        );
        Some(Stuck {
            worker: item.worker.clone(),
            item: Some(item.id.clone()),
            trace_id: item.trace_id.clone(),
            for_ns,
            longest_before_ns: longest,
            before: before.len() as u64,
            words: format!(
                "{who} has not ended for {}; of {} before, none took longer than {}",
                Nanoseconds(for_ns),
                Count(before.len() as u64, "item"),
                Nanoseconds(longest)
            ),
        })
    };
    flow.items
        .iter()
        .filter(is_at_it)
        .filter_map(stuck)
        .collect()
}

/// Items wait, and none ends.
fn by_items(flow: &Flow<'_>) -> Option<Stuck> {
    let to = flow.within.to_unix_ns;
    let (ahead, _) = flow.ahead();
    let waiting = ahead.first()?;
    let mut ends: Vec<i64> = flow
        .items
        .iter()
        .filter_map(|item| item.finished_unix_ns.filter(|at| *at < to))
        .collect();
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| between(pair[0], pair[1]));
    let last = *ends.last()?;
    // Since when somebody waits without an end: who came later than the last end makes it no longer than that.
    let since = last.max(waiting.enqueued_unix_ns);
    stalled(between(since, to), gaps.max()?, ends.len() as u64)
}

/// The counter of what is done does not rise, and all that while somebody waits.
fn by_counter(flow: &Flow<'_>) -> Option<Stuck> {
    let last = flow.finished.last()?;
    let rises: Vec<&[Reading]> = flow
        .finished
        .readings()
        .windows(2)
        .filter(|pair| risen(pair) > 0.0)
        .collect();
    let last_rise = rises.last()?[1].time_unix_ns;
    let gaps = rises
        .windows(2)
        .map(|pair| between(pair[0][1].time_unix_ns, pair[1][1].time_unix_ns));
    let depths = flow.depths.readings();
    let since_then = depths.partition_point(|reading| reading.time_unix_ns < last_rise);
    let waiting = &depths[since_then..];
    if waiting.is_empty() || waiting.iter().any(|reading| reading.value <= 0.0) {
        return None;
    }
    let done = flow.finished.increase()?;
    let first = flow.finished.first()?;
    let per_s = done / seconds(last_rise - first.time_unix_ns).max(f64::MIN_POSITIVE);
    if per_s * seconds(last.time_unix_ns - last_rise) < EXPECTED_MIN {
        return None;
    }
    stalled(
        between(last_rise, last.time_unix_ns),
        gaps.max().unwrap_or(0),
        done as u64,
    )
}

fn stalled(for_ns: u64, longest: u64, before: u64) -> Option<Stuck> {
    let is_long = for_ns >= LEAST_NS.max(longest.saturating_mul(TIMES));
    (is_long && before >= BEFORE_MIN as u64).then(|| Stuck {
        worker: None,
        item: None,
        trace_id: None,
        for_ns,
        longest_before_ns: longest,
        before,
        words: format!(
            "items wait, and none has been done for {}; before, {} were done with at most {} between them",
            Nanoseconds(for_ns),
            Count(before, "item"),
            Nanoseconds(longest)
        ),
    })
}
