//! What is known of series that were sent, from one request to the next.

use std::collections::HashMap;

use radiosonde_store::row::PointKind;

use super::{IDLE_NS, Joined, Kept, LEVEL_NS, SENT_MAX, Sent};

/// By the series that is kept.
#[derive(Debug, Default)]
pub(super) struct Known {
    totals: HashMap<u64, Total>,
    /// Series that were sent, of all of them.
    sent: usize,
    forgot_unix_ns: i64,
}

/// A series that is kept, and those that were sent of it.
#[derive(Debug)]
struct Total {
    began_unix_ns: i64,
    /// What those that only grow have grown by.
    value: f64,
    /// Whether one of them was seen in two requests: whoever sends them has sent all by then, and what is new since began at 0.
    is_whole: bool,
    sent: HashMap<u64, Last>,
}

/// The last reading of a series that was sent.
#[derive(Clone, Copy, Debug)]
struct Last {
    value: f64,
    time_unix_ns: i64,
    arrived_unix_ns: i64,
}

impl Known {
    /// How many series that were sent are known.
    #[cfg(test)]
    pub(super) const fn sent(&self) -> usize {
        self.sent
    }

    /// Forgets what has been silent for long.
    pub(super) fn forget(&mut self, now_unix_ns: i64) {
        if now_unix_ns.saturating_sub(self.forgot_unix_ns) < IDLE_NS / 16 {
            return;
        }
        self.forgot_unix_ns = now_unix_ns;
        self.totals.retain(|_, total| {
            let silent = |last: &Last| now_unix_ns.saturating_sub(last.arrived_unix_ns) > IDLE_NS;
            total.sent.retain(|_, last| !silent(last));
            !total.sent.is_empty()
        });
        self.sent = self.totals.values().map(|total| total.sent.len()).sum();
    }

    /// What the readings of a series that is kept add up to, and how many were refused because there is no room for their series.
    pub(super) fn join(&mut self, kept: &Kept, now_unix_ns: i64) -> (Option<Joined>, u64) {
        let readings = &kept.readings;
        let newest = readings.iter().max_by_key(|sent| sent.time_unix_ns);
        let Some(newest) = newest else {
            return (None, 0);
        };
        let joined = |start_unix_ns, value| Joined {
            start_unix_ns,
            time_unix_ns: newest.time_unix_ns,
            value,
            exemplars: kept.exemplars(),
        };
        // A time that is not known is 0, and then the whole is not known either.
        let first = readings.iter().map(|sent| sent.start_unix_ns).min();
        let first = first.unwrap_or(0);
        if kept.kind == PointKind::Gauge {
            return (Some(joined(newest.start_unix_ns, newest.value)), 0);
        }
        if kept.is_delta {
            let sum = readings.iter().map(|sent| sent.value).sum();
            return (Some(joined(first, sum)), 0);
        }
        let room = SENT_MAX.saturating_sub(self.sent);
        let total = self.totals.entry(kept.key).or_insert_with(|| Total {
            began_unix_ns: now_unix_ns.min(newest.time_unix_ns),
            value: 0.0,
            is_whole: false,
            sent: HashMap::new(),
        });
        let before = total.sent.len();
        let refused = total.take(readings, now_unix_ns, room);
        self.sent += total.sent.len() - before;
        if total.sent.is_empty() {
            self.totals.remove(&kept.key);
            return (None, refused);
        }
        let joined = if kept.kind == PointKind::Counter {
            joined(total.began_unix_ns, total.value)
        } else {
            joined(first, total.level(now_unix_ns))
        };
        (Some(joined), refused)
    }
}

impl Total {
    /// Takes the readings of a request, and says how many were refused.
    fn take(&mut self, readings: &[Sent], now_unix_ns: i64, room: usize) -> u64 {
        let (known_before, mut refused) = (self.sent.len(), 0);
        self.is_whole |= readings.iter().any(|reading| {
            let last = self.sent.get(&reading.key);
            last.is_some_and(|last| last.arrived_unix_ns < now_unix_ns)
        });
        for reading in readings.iter().filter(|reading| reading.value.is_finite()) {
            let last = self.sent.get(&reading.key).copied();
            if last.is_none() && self.sent.len() - known_before >= room {
                refused += 1;
                continue;
            }
            if last.is_some_and(|last| last.time_unix_ns > reading.time_unix_ns) {
                // It was overtaken.
                continue;
            }
            self.value += self.growth(reading, last);
            self.sent.insert(
                reading.key,
                Last {
                    value: reading.value,
                    time_unix_ns: reading.time_unix_ns,
                    arrived_unix_ns: now_unix_ns,
                },
            );
        }
        refused
    }

    /// What a total that only grows grew by.
    fn growth(&self, reading: &Sent, last: Option<Last>) -> f64 {
        let Some(last) = last else {
            // What it had before anybody looked is not known to be new.
            let is_new = reading.start_unix_ns >= self.began_unix_ns || self.is_whole;
            return if is_new { reading.value } else { 0.0 };
        };
        let has_begun_anew =
            reading.value < last.value || reading.start_unix_ns > last.time_unix_ns;
        if has_begun_anew {
            reading.value
        } else {
            reading.value - last.value
        }
    }

    /// The sum of those that were seen lately.
    fn level(&self, now_unix_ns: i64) -> f64 {
        let lately = |last: &&Last| now_unix_ns.saturating_sub(last.arrived_unix_ns) <= LEVEL_NS;
        let mut values: Vec<f64> = self
            .sent
            .values()
            .filter(lately)
            .map(|last| last.value)
            .collect();
        // Sums of the same numbers in another order differ in their last digits.
        values.sort_by(f64::total_cmp);
        values.iter().sum()
    }
}
