//! What a series adds up to between two times.

use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use super::{
    super::{
        parts::{Buckets, Distribution, Range},
        readings::{Kind as RowKind, Number, Reading, Scratch},
    },
    BUCKETS_MAX, MEMBERS_MAX,
    line::{Kind, Sample, Value},
};

/// `AggregationTemporality` of what came since the last rows, and of all since the start.
const DELTA: i64 = 1;
const CUMULATIVE: i64 = 2;
/// The resolution of histograms: buckets are 2.2 % wide (OpenTelemetry's metrics data model, ExponentialHistogram).
const SCALE: i32 = 5;

/// How often rows are made before a gauge without news is forgotten: an hour at every ten seconds.
const IDLE_MAX: u32 = 360;

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    has_news: bool,
    /// How often rows were made since there was news.
    idle: u32,
    /// Of a counter the sum, of a gauge the value.
    value: f64,
    /// Of a histogram: how many, their sum, the least, the greatest, and by bucket below and above zero.
    count: f64,
    sum: f64,
    extremes: Option<(f64, f64)>,
    zero: f64,
    scale: i32,
    negative: BTreeMap<i32, f64>,
    positive: BTreeMap<i32, f64>,
    /// Of a set: its members' hashes.
    members: HashSet<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            has_news: false,
            idle: 0,
            value: 0.0,
            count: 0.0,
            sum: 0.0,
            extremes: None,
            zero: 0.0,
            scale: SCALE,
            negative: BTreeMap::new(),
            positive: BTreeMap::new(),
            members: HashSet::new(),
        }
    }
}

impl State {
    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Whether it is to be kept: a gauge for some time after its last news, because a change needs a value to change.
    pub(super) fn is_kept(&self, kind: Kind) -> bool {
        self.has_news || (kind == Kind::Gauge && self.idle < IDLE_MAX)
    }

    pub(super) fn add(&mut self, sample: &Sample<'_>) {
        self.has_news = true;
        let weight = 1.0 / sample.rate;
        for value in &sample.values {
            match (sample.kind, *value) {
                (Kind::Counter, Value::Number(by)) => self.value += by * weight,
                (Kind::Gauge, Value::Number(value)) => self.value = value,
                (_, Value::Change(by)) => self.value += by,
                (_, Value::Number(value)) => self.measure(value, weight),
                (_, Value::Member(member)) => {
                    let mut hasher = DefaultHasher::new();
                    member.hash(&mut hasher);
                    if self.members.len() < MEMBERS_MAX {
                        self.members.insert(hasher.finish());
                    }
                }
            }
        }
    }

    fn measure(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += value * weight;
        let (least, greatest) = self.extremes.unwrap_or((value, value));
        self.extremes = Some((least.min(value), greatest.max(value)));
        if value == 0.0 {
            self.zero += weight;
            return;
        }
        // Bucket i is above base^i and up to base^(i+1), where base = 2^(2^-scale).
        let index = (value.abs().log2() * f64::from(self.scale).exp2()).ceil() as i32 - 1;
        let side = if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        *side.entry(index).or_default() += weight;
        // Each step down makes one bucket of two.
        while width(&self.positive).max(width(&self.negative)) > BUCKETS_MAX {
            self.scale -= 1;
            (self.positive, self.negative) = (halved(&self.positive), halved(&self.negative));
        }
    }

    /// The state as a reading, what it is a reading of, and since when it counts.
    pub(super) fn reading(
        &self,
        kind: Kind,
        (from_unix_ns, to_unix_ns): (i64, i64),
        scratch: &mut Scratch,
    ) -> (Reading, RowKind, i64) {
        let mut reading = Reading {
            time_unix_ns: to_unix_ns.max(0).cast_unsigned(),
            number: Some(Number::Double(self.value)),
            ..Reading::default()
        };
        let since = from_unix_ns.max(0).cast_unsigned();
        match kind {
            Kind::Gauge => (reading, RowKind::Gauge, CUMULATIVE),
            Kind::Set => {
                reading.number = Some(Number::Double(self.members.len() as f64));
                (reading, RowKind::Gauge, CUMULATIVE)
            }
            Kind::Counter => {
                reading.start_unix_ns = since;
                (reading, RowKind::Sum { is_monotonic: true }, DELTA)
            }
            Kind::Timer | Kind::Histogram => {
                reading.start_unix_ns = since;
                reading.count = self.count.round() as u64;
                reading.sum = Some(self.sum);
                scratch.distribution = self.distribution();
                (reading, RowKind::Histogram, DELTA)
            }
        }
    }

    fn distribution(&self) -> Distribution {
        Distribution {
            buckets: Buckets::Exponential {
                scale: self.scale,
                zero_count: self.zero.round() as u64,
                zero_threshold: 0.0,
                positive: range(&self.positive),
                negative: range(&self.negative),
            },
            min: self.extremes.map(|(least, _)| least),
            max: self.extremes.map(|(_, greatest)| greatest),
        }
    }

    /// Begins the next stretch of time. A gauge keeps its value.
    pub(super) fn begin(&mut self, kind: Kind) {
        *self = Self {
            value: if kind == Kind::Gauge { self.value } else { 0.0 },
            idle: if self.has_news {
                0
            } else {
                self.idle.saturating_add(1)
            },
            ..Self::default()
        };
    }
}

fn width(side: &BTreeMap<i32, f64>) -> usize {
    match (side.keys().next(), side.keys().next_back()) {
        (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(usize::MAX) + 1,
        _ => 0,
    }
}

fn halved(side: &BTreeMap<i32, f64>) -> BTreeMap<i32, f64> {
    let mut halved = BTreeMap::new();
    for (index, count) in side {
        *halved.entry(index >> 1).or_default() += count;
    }
    halved
}

fn range(side: &BTreeMap<i32, f64>) -> Range {
    let Some(&offset) = side.keys().next() else {
        return Range::default();
    };
    let mut counts = vec![0; width(side)];
    for (index, count) in side {
        if let Some(place) = usize::try_from(index - offset)
            .ok()
            .and_then(|at| counts.get_mut(at))
        {
            *place = count.round() as u64;
        }
    }
    Range { offset, counts }
}
