//! What flows through a queue: who waits, who is worked on, who came and who went, from whichever records say so.

use std::collections::BTreeSet;

use super::{
    AHEAD_MAX, Ahead, Depth, Interval, Item, Observed, Oldest, POINTS_MAX, Rate, Source, Wait,
    Waits,
    series::{Series, between, nanoseconds, seconds},
    unknown,
};
use crate::why::NotAssessed;

/// The records of a queue within a time, in order.
pub(super) struct Flow<'a> {
    pub(super) observed: &'a Observed,
    pub(super) within: Interval,
    pub(super) depths: Series,
    pub(super) in_service: Series,
    pub(super) workers: Series,
    arrived: Series,
    pub(super) finished: Series,
    waits: Vec<Waits>,
    /// Items that say when they came, by that time.
    pub(super) items: Vec<&'a Item>,
    /// From here on the items are known, in nanoseconds since the Unix epoch.
    items_from: i64,
}

impl<'a> Flow<'a> {
    pub(super) fn of(observed: &'a Observed, within: Interval) -> Self {
        let series = |readings| Series::new(readings, within);
        let mut items: Vec<&Item> = observed
            .items
            .iter()
            .filter(|item| {
                moments(item)
                    .next()
                    .is_some_and(|at| at < within.to_unix_ns)
            })
            .collect();
        items.sort_unstable();
        items.dedup();
        let first = items.iter().filter_map(|item| moments(item).next()).min();
        let mut waits: Vec<Waits> = observed
            .waits
            .iter()
            .filter(|waits| {
                (within.from_unix_ns..within.to_unix_ns).contains(&waits.time_unix_ns)
                    && waits.count.is_finite()
                    && waits.sum_s.is_finite()
            })
            .copied()
            .collect();
        waits.sort_unstable_by(|a, b| {
            a.time_unix_ns
                .cmp(&b.time_unix_ns)
                .then(b.count.total_cmp(&a.count))
        });
        waits.dedup_by_key(|waits| waits.time_unix_ns);
        Self {
            observed,
            within,
            depths: series(&observed.depth),
            in_service: series(&observed.in_service),
            workers: series(&observed.workers),
            arrived: series(&observed.arrived),
            finished: series(&observed.finished),
            waits,
            items,
            items_from: first.map_or(within.from_unix_ns, |first| first.max(within.from_unix_ns)),
        }
    }

    /// Whether every item is known, so that counting them counts.
    pub(super) const fn has_all_items(&self) -> bool {
        !self.items.is_empty() && self.observed.items_left_out == 0
    }

    /// Seconds in which items are known.
    pub(super) fn items_seconds(&self) -> f64 {
        seconds(self.within.to_unix_ns - self.items_from)
    }

    fn is_in_time(&self, moment: Option<i64>) -> bool {
        moment.is_some_and(|at| (self.items_from..self.within.to_unix_ns).contains(&at))
    }

    fn waiting(&self) -> impl Iterator<Item = (&'a Item, i64)> {
        let to = self.within.to_unix_ns;
        self.items.iter().filter_map(move |item| {
            let enqueued = item.enqueued_unix_ns?;
            let began = item.started_unix_ns.or(item.finished_unix_ns);
            (enqueued < to && began.is_none_or(|began| began >= to)).then_some((*item, enqueued))
        })
    }

    pub(super) fn ahead(&self) -> (Vec<Ahead>, u64) {
        let to = self.within.to_unix_ns;
        let mut waiting: Vec<Ahead> = self
            .waiting()
            .map(|(item, enqueued_unix_ns)| Ahead {
                item: item.id.clone(),
                trace_id: item.trace_id.clone(),
                enqueued_unix_ns,
                age_ns: between(enqueued_unix_ns, to),
            })
            .collect();
        waiting.sort_by(|a, b| (a.enqueued_unix_ns, &a.item).cmp(&(b.enqueued_unix_ns, &b.item)));
        let more = waiting.len().saturating_sub(AHEAD_MAX) as u64;
        waiting.truncate(AHEAD_MAX);
        (waiting, more)
    }

    /// The one that has waited longest: from the items, or bounded by when the queue was last seen empty. Whatever the
    /// order in which a queue is worked on, who waits now came after that.
    pub(super) fn oldest(&self, not_assessed: &mut Vec<NotAssessed>) -> Option<Oldest> {
        let to = self.within.to_unix_ns;
        let oldest = self
            .waiting()
            .min_by(|(a, since_a), (b, since_b)| (since_a, &a.id).cmp(&(since_b, &b.id)));
        if let Some((item, since)) = oldest {
            return Some(Oldest {
                age_ns: between(since, to),
                is_at_most: false,
                trace_id: item.trace_id.clone(),
            });
        }
        if self.has_all_items() {
            return None;
        }
        let Some(last) = self.depths.last() else {
            not_assessed.push(unknown(
                "the oldest waiter",
                "neither a depth nor single items were received",
            ));
            return None;
        };
        if last.value <= 0.0 {
            return None;
        }
        let mut backwards = self.depths.readings().iter().rev();
        if let Some(empty) = backwards.find(|reading| reading.value <= 0.0) {
            return Some(Oldest {
                age_ns: between(empty.time_unix_ns, to),
                is_at_most: true,
                trace_id: None,
            });
        }
        not_assessed.push(unknown(
            "the oldest waiter",
            "the queue was never seen empty in this time, and single items were not received; \
             report them (docs/queues.md), or ask for a longer time",
        ));
        None
    }

    /// The depth over time: that of the gauge where there is one, else by counting items.
    pub(super) fn depth(&self) -> Option<Depth> {
        if let (Some(now), Some(mean), Some(max)) =
            (self.depths.last(), self.depths.mean(), self.depths.max())
        {
            return Some(Depth {
                now: now.value,
                time_unix_ns: now.time_unix_ns,
                mean,
                max,
                points: parts(&self.depths),
                source: Source::Gauge,
            });
        }
        if !self.has_all_items() {
            return None;
        }
        let steps = self.steps(|item| {
            let enqueued = item.enqueued_unix_ns?;
            Some((enqueued, item.started_unix_ns.or(item.finished_unix_ns)))
        });
        let now = self.waiting().count() as f64;
        let counted = Series::new(&steps, self.within);
        Some(Depth {
            now,
            time_unix_ns: self.within.to_unix_ns,
            mean: self.waiting_mean()?,
            max: counted.max().unwrap_or(0.0).max(now),
            points: parts(&counted),
            source: Source::Items,
        })
    }

    /// How many there are of something after each change of it.
    fn steps(&self, span: impl Fn(&Item) -> Option<(i64, Option<i64>)>) -> Vec<super::Reading> {
        let mut changes: Vec<(i64, i64)> = Vec::new();
        for (from, to) in self.items.iter().filter_map(|item| span(item)) {
            changes.push((from, 1));
            changes.extend(to.map(|to| (to.max(from), -1)));
        }
        changes.sort_unstable();
        let mut count = 0_i64;
        let mut steps: Vec<super::Reading> = Vec::with_capacity(changes.len());
        for (at, change) in changes {
            count += change;
            let step = super::Reading {
                time_unix_ns: at,
                value: count as f64,
            };
            match steps.last_mut() {
                Some(last) if last.time_unix_ns == at => *last = step,
                _ => steps.push(step),
            }
        }
        steps
    }

    /// How many waited on average, by the items.
    pub(super) fn waiting_mean(&self) -> Option<f64> {
        self.mean_of(|item| {
            let enqueued = item.enqueued_unix_ns?;
            Some((enqueued, item.started_unix_ns.or(item.finished_unix_ns)))
        })
    }

    fn mean_of(&self, span: impl Fn(&Item) -> Option<(i64, Option<i64>)>) -> Option<f64> {
        let seconds_in_all = self.items_seconds();
        if !self.has_all_items() || seconds_in_all <= 0.0 {
            return None;
        }
        let spans = self.items.iter().filter_map(|item| span(item));
        let within = spans.map(|(from, to)| {
            let to = to.map_or(self.within.to_unix_ns, |to| to.min(self.within.to_unix_ns));
            seconds(to.saturating_sub(from.max(self.items_from)).max(0))
        });
        Some(within.sum::<f64>() / seconds_in_all)
    }

    pub(super) fn arrival(&self) -> Option<Rate> {
        if self.has_all_items()
            && self
                .items
                .iter()
                .any(|item| item.enqueued_unix_ns.is_some())
        {
            let came = self.count(|item| item.enqueued_unix_ns);
            return rate(Some(came), Some(self.items_seconds()), Source::Items);
        }
        let counted = rate(
            self.arrived.increase(),
            self.arrived.seconds(),
            Source::Counter,
        );
        counted.or_else(|| self.arrival_by_balance())
    }

    /// Who came is who went and by how much more there are now than before.
    fn arrival_by_balance(&self) -> Option<Rate> {
        let (first, last) = (self.finished.first()?, self.finished.last()?);
        let more = |series: &Series| {
            let at = |time: i64| series.at(time).or_else(|| series.first());
            Some(at(last.time_unix_ns)?.value - at(first.time_unix_ns)?.value)
        };
        let waiting = more(&self.depths)?;
        let working = more(&self.in_service).unwrap_or(0.0);
        let came = (self.finished.increase()? + waiting + working).max(0.0);
        rate(Some(came), self.finished.seconds(), Source::Balance)
    }

    pub(super) fn service_rate(&self) -> Option<Rate> {
        if self.has_all_items()
            && self
                .items
                .iter()
                .any(|item| item.finished_unix_ns.is_some())
        {
            let done = self.count(|item| item.finished_unix_ns);
            return rate(Some(done), Some(self.items_seconds()), Source::Items);
        }
        rate(
            self.finished.increase(),
            self.finished.seconds(),
            Source::Counter,
        )
        .or_else(|| {
            rate(
                self.waits_since().map(|(count, _)| count),
                self.waits_seconds(),
                Source::Histogram,
            )
        })
    }

    fn count(&self, moment: impl Fn(&Item) -> Option<i64>) -> f64 {
        let counted = self
            .items
            .iter()
            .filter(|item| self.is_in_time(moment(item)));
        counted.count() as f64
    }

    /// How long those waited whose waiting ended.
    pub(super) fn wait(&self) -> Option<Wait> {
        let waited: Vec<u64> = self
            .items
            .iter()
            .filter(|item| self.is_in_time(item.started_unix_ns))
            .filter_map(|item| Some(between(item.enqueued_unix_ns?, item.started_unix_ns?)))
            .collect();
        if !waited.is_empty() {
            let sum: u128 = waited.iter().map(|&ns| u128::from(ns)).sum();
            return Some(Wait {
                count: waited.len() as u64,
                mean_ns: (sum / waited.len() as u128) as u64,
                max_ns: waited.iter().copied().max(),
                source: Source::Items,
            });
        }
        let (count, sum_s) = self.waits_since().filter(|(count, _)| *count > 0.0)?;
        Some(Wait {
            count: count as u64,
            mean_ns: nanoseconds(sum_s / count),
            max_ns: None,
            source: Source::Histogram,
        })
    }

    /// How many waited, and how many seconds altogether, from the first reading of the histogram to its last.
    pub(super) fn waits_since(&self) -> Option<(f64, f64)> {
        (self.waits.len() >= 2).then(|| {
            self.waits
                .windows(2)
                .fold((0.0, 0.0), |(count, sum), pair| {
                    // One that fell began again from nothing.
                    let (count_before, sum_before) = if pair[1].count < pair[0].count {
                        (0.0, 0.0)
                    } else {
                        (pair[0].count, pair[0].sum_s)
                    };
                    (
                        count + pair[1].count - count_before,
                        sum + (pair[1].sum_s - sum_before).max(0.0),
                    )
                })
        })
    }

    /// Seconds from the first reading of the histogram to its last.
    pub(super) fn waits_seconds(&self) -> Option<f64> {
        let (first, last) = (self.waits.first()?, self.waits.last()?);
        Some(seconds(last.time_unix_ns - first.time_unix_ns)).filter(|seconds| *seconds > 0.0)
    }

    pub(super) fn work_mean_ns(&self) -> Option<u64> {
        let worked: Vec<u64> = self
            .items
            .iter()
            .filter(|item| self.is_in_time(item.finished_unix_ns))
            .filter_map(|item| Some(between(item.started_unix_ns?, item.finished_unix_ns?)))
            .collect();
        let sum: u128 = worked.iter().map(|&ns| u128::from(ns)).sum();
        (!worked.is_empty()).then(|| (sum / worked.len() as u128) as u64)
    }

    pub(super) fn in_service_mean(&self) -> Option<f64> {
        self.in_service.mean().or_else(|| {
            self.items
                .iter()
                .find(|item| item.started_unix_ns.is_some())?;
            self.mean_of(|item| Some((item.started_unix_ns?, item.finished_unix_ns)))
        })
    }

    /// How many workers there are: as they were last reported, or those that are known by name.
    pub(super) fn workers(&self) -> Option<f64> {
        self.workers.last().map(|last| last.value).or_else(|| {
            let names: BTreeSet<&str> = self
                .items
                .iter()
                .filter_map(|item| item.worker.as_deref())
                .collect();
            (!names.is_empty()).then_some(names.len() as f64)
        })
    }

    pub(super) fn utilisation(&self, not_assessed: &mut Vec<NotAssessed>) -> Option<f64> {
        let because = match (self.in_service_mean(), self.workers()) {
            (Some(busy), Some(workers)) if workers > 0.0 => return Some(busy / workers),
            (None, _) => "nothing says how many are being worked on",
            _ => "nothing says how many workers there are",
        };
        not_assessed.push(unknown("utilisation", because));
        None
    }

    /// Says which of the plain numbers are missing.
    pub(super) fn lacks(
        &self,
        arrival: Option<Rate>,
        service: Option<Rate>,
        wait: Option<Wait>,
        not_assessed: &mut Vec<NotAssessed>,
    ) {
        let lacks = [
            (
                self.depth().is_none(),
                "the depth",
                "no gauge of it was received, and not every item",
            ),
            (
                arrival.is_none(),
                "the arrival rate",
                "nothing received counts arrivals, at least twice",
            ),
            (
                service.is_none(),
                "the service rate",
                "nothing received counts what is done, at least twice",
            ),
            (
                wait.is_none(),
                "the waiting time",
                "neither items nor a histogram of waiting times were received",
            ),
        ];
        let lacks = lacks.into_iter().filter(|(is_lacking, ..)| *is_lacking);
        not_assessed.extend(lacks.map(|(_, what, because)| unknown(what, because)));
    }
}

fn moments(item: &Item) -> impl Iterator<Item = i64> {
    [
        item.enqueued_unix_ns,
        item.started_unix_ns,
        item.finished_unix_ns,
    ]
    .into_iter()
    .flatten()
}

fn rate(count: Option<f64>, seconds: Option<f64>, source: Source) -> Option<Rate> {
    let (count, seconds) = (count?, seconds.filter(|seconds| *seconds > 0.0)?);
    Some(Rate {
        per_s: count / seconds,
        source,
    })
}

/// The series in at most [`POINTS_MAX`] parts, each with its mean.
fn parts(series: &Series) -> Vec<(f64, f64)> {
    const NS_PER_MS: f64 = 1e6;
    let readings = series.readings();
    let each = readings.len().div_ceil(POINTS_MAX).max(1);
    readings
        .chunks(each)
        .map(|part| {
            let mean = part.iter().map(|reading| reading.value).sum::<f64>() / part.len() as f64;
            (part[0].time_unix_ns as f64 / NS_PER_MS, mean)
        })
        .collect()
}
