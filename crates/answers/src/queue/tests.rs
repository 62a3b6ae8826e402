//! Queues that are simulated, so that the truth is known.

mod claims;
mod laws;

use super::*;

const S: f64 = 1e9;
/// 2026-11-28T00:00:00Z.
const START: i64 = 1_795_824_000_000_000_000;

/// Random numbers that are the same each time (S. Vigna's SplitMix64).
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// With this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.next()).ln()
    }
}

/// A queue with exponential times between arrivals, exponential work and so many workers, first come first served.
#[derive(Clone, Copy)]
struct Simulated {
    seed: u64,
    arrivals_per_s: f64,
    work_s: f64,
    workers: usize,
    seconds: f64,
}

impl Simulated {
    const fn interval(self) -> Interval {
        Interval {
            from_unix_ns: START,
            to_unix_ns: START + (self.seconds * S) as i64,
        }
    }

    /// What happened, also what had not ended at the end.
    fn items(self) -> Vec<Item> {
        let mut random = Random(self.seed);
        let mut free_at = vec![0.0_f64; self.workers];
        let (mut now, mut items) = (0.0, Vec::new());
        let at = |seconds: f64| (seconds < self.seconds).then_some(START + (seconds * S) as i64);
        loop {
            now += random.exponential(1.0 / self.arrivals_per_s);
            if now >= self.seconds {
                return items;
            }
            let worker = (0..self.workers)
                .min_by(|a, b| free_at[*a].total_cmp(&free_at[*b]))
                .unwrap();
            let started = free_at[worker].max(now);
            let finished = started + random.exponential(self.work_s);
            free_at[worker] = finished;
            items.push(Item {
                id: format!("item-{}", items.len()),
                worker: at(started).map(|_| format!("worker-{worker}")),
                trace_id: Some(format!("{:032x}", items.len() + 1)),
                enqueued_unix_ns: at(now),
                started_unix_ns: at(started),
                finished_unix_ns: at(finished),
            });
        }
    }

    fn observed(self) -> Observed {
        Observed {
            items: self.items(),
            ..Observed::new("shop", "orders")
        }
    }

    /// The same as somebody sees it who reads gauges, counters and a histogram every so many seconds.
    fn read_every(self, step_s: f64) -> Observed {
        let items = self.items();
        let mut read = Observed::new("shop", "orders");
        let count = (self.seconds / step_s) as usize;
        let sorted = |moment: fn(&Item) -> Option<i64>| {
            let mut moments: Vec<i64> = items.iter().filter_map(moment).collect();
            moments.sort_unstable();
            moments
        };
        let (came, began, ended) = (
            sorted(|item| item.enqueued_unix_ns),
            sorted(|item| item.started_unix_ns),
            sorted(|item| item.finished_unix_ns),
        );
        let mut waits: Vec<(i64, f64)> = items
            .iter()
            .filter_map(|item| {
                let waited = item.started_unix_ns? - item.enqueued_unix_ns?;
                Some((item.started_unix_ns?, waited as f64 / S))
            })
            .collect();
        waits.sort_by_key(|(at, _)| *at);
        let (mut waited, mut sum_s) = (0, 0.0);
        for step in 0..count {
            let time_unix_ns = START + (step as f64 * step_s * S) as i64;
            let reading = |value: usize| Reading {
                time_unix_ns,
                value: value as f64,
            };
            let before = |moments: &[i64]| moments.partition_point(|at| *at <= time_unix_ns);
            let (came, began, ended) = (before(&came), before(&began), before(&ended));
            while let Some((_, wait_s)) = waits.get(waited).filter(|(at, _)| *at <= time_unix_ns) {
                (waited, sum_s) = (waited + 1, sum_s + wait_s);
            }
            read.depth.push(reading(came - began));
            read.in_service.push(reading(began - ended));
            read.workers.push(reading(self.workers));
            read.finished.push(reading(ended));
            read.waits.push(Waits {
                time_unix_ns,
                count: waited as f64,
                sum_s,
            });
        }
        read
    }
}

fn numbers(little: &Little) -> LittleNumbers {
    match little {
        Little::Assessed(numbers) => *numbers,
        Little::NotAssessed { because } => panic!("not assessed: {because}"),
    }
}

/// A queue of one worker that is busy for 70 % of the time, for 2,000 seconds.
const STEADY: Simulated = Simulated {
    seed: 1,
    arrivals_per_s: 10.0,
    work_s: 0.07,
    workers: 1,
    seconds: 2_000.0,
};
