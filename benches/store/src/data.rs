//! What is stored: a day of an inference service's telemetry, made up, the same in each run.
//!
//! The shape is that of STORE.md's data, so that figures can be set beside each other: 2 million spans in some 250,000
//! traces of 10 services with 200 names and 6 attributes of which one has 50,000 values; 1 million log lines of some 110
//! bytes, six in ten written in a span; 500 series of 5,000 readings each. Real data will compress differently.

mod lines;
mod random;

use self::random::Random;

/// How many spans there are.
pub const SPANS: usize = 2_000_000;
/// How many log lines.
pub const LOGS: usize = 1_000_000;
/// How many series.
pub const SERIES: usize = 500;
/// Readings of each series, every [`SCRAPE_NS`].
pub const READINGS: usize = 5_000;

/// 2026-01-15T00:00:00Z, in nanoseconds since the Unix epoch.
pub const BEGIN_UNIX_NS: i64 = 1_768_435_200_000_000_000;
pub const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
const SCRAPE_NS: i64 = 15_000_000_000;

pub const SERVICES: [&str; 10] = [
    "gateway",
    "router",
    "tokenizer",
    "engine",
    "embedder",
    "retriever",
    "ranker",
    "cache",
    "billing",
    "trainer",
];
const WORK: [&str; 20] = [
    "handle request",
    "check quota",
    "tokenize",
    "queue",
    "prefill",
    "decode",
    "forward",
    "attention",
    "sample",
    "detokenize",
    "embed",
    "search",
    "rank",
    "read cache",
    "write cache",
    "copy to device",
    "copy to host",
    "all reduce",
    "load shard",
    "write checkpoint",
];
const MODELS: [&str; 12] = [
    "llama-70b",
    "llama-8b",
    "qwen-72b",
    "qwen-7b",
    "mixtral-8x22b",
    "gemma-27b",
    "bge-large",
    "e5-mistral",
    "whisper-large",
    "sdxl",
    "house-moe",
    "house-dense",
];
/// The metrics; each has a fifth of the series. Counters end in `total`.
pub const METRICS: [&str; 5] = [
    "gpu.utilization",
    "gpu.power",
    "collective.bytes.total",
    "http.requests.total",
    "gpu.memory.used",
];

/// Text that rows share.
pub struct Words {
    pub names: Vec<String>,
    pub pods: Vec<String>,
    pub users: Vec<String>,
}

impl Words {
    pub fn new() -> Self {
        let mut random = Random::new(1);
        let names = SERVICES
            .iter()
            .flat_map(|service| WORK.iter().map(move |work| format!("{service} {work}")));
        let names = names.collect();
        let pods = SERVICES
            .iter()
            .flat_map(|service| (0..50).map(move |_| service))
            .map(|service| {
                format!(
                    "{service}-{:09x}-{:05x}",
                    random.next() >> 28,
                    random.next() >> 44
                )
            })
            .collect();
        let users = (0..50_000).map(|_| format!("user-{:08x}", random.next() >> 32));
        Self {
            names,
            pods,
            users: users.collect(),
        }
    }
}

/// A span; words are indices into [`Words`] and the lists above.
#[expect(
    clippy::struct_field_names,
    reason = "`span_id` is what everybody calls it"
)]
#[derive(Clone, Copy)]
pub struct Span {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_span_id: Option<[u8; 8]>,
    pub service: u8,
    pub name: u8,
    pub is_error: bool,
    pub start_unix_ns: i64,
    pub duration_ns: i64,
    pub pod: u16,
    pub gpu: u8,
    pub model: u8,
    pub status_code: u16,
    pub user: u16,
    pub tokens: u16,
}

impl Span {
    /// `server` of a root, else `internal`.
    pub const fn kind(&self) -> &'static str {
        if self.parent_span_id.is_none() {
            "server"
        } else {
            "internal"
        }
    }

    pub const fn status(&self) -> &'static str {
        if self.is_error { "error" } else { "unset" }
    }

    pub fn model(&self) -> &'static str {
        MODELS[usize::from(self.model)]
    }
}

/// The spans, in the order in which they would arrive: by their end and a delay of up to 5 s.
pub fn spans(count: usize) -> Vec<Span> {
    let mut random = Random::new(2);
    let mut spans: Vec<(i64, Span)> = Vec::with_capacity(count + 64);
    while spans.len() < count {
        let first = spans.len();
        trace(&mut random, &mut spans);
        for (arrival, span) in &mut spans[first..] {
            *arrival = span.start_unix_ns + span.duration_ns + random.below(5_000_000_000) as i64;
        }
    }
    spans.truncate(count);
    spans.sort_unstable_by_key(|(arrival, span)| (*arrival, span.span_id));
    spans.into_iter().map(|(_, span)| span).collect()
}

/// One trace: a root, and spans within spans before them.
fn trace(random: &mut Random, spans: &mut Vec<(i64, Span)>) {
    let begin = BEGIN_UNIX_NS + random.below((DAY_NS - 60_000_000_000) as u64) as i64;
    let trace_id = random.bytes16();
    let user = random.skewed(50_000) as u16;
    let model = random.skewed(12) as u8;
    let fails = random.below(60) == 0;
    let first = spans.len();
    for place in 0..=random.exponential(7.0).min(59.0) as usize {
        let (parent, start_unix_ns, duration_ns, service) = if place == 0 {
            let duration = random.log_normal(80e6, 1.2).clamp(20_000.0, 50e9);
            (None, begin, duration as i64, random.skewed(10) as u8)
        } else {
            let parent = spans[first + random.below(place as u64) as usize].1;
            let part = random.unit() * random.unit() * 0.9;
            let duration = ((parent.duration_ns as f64 * part) as i64).max(900);
            let room = (parent.duration_ns - duration).max(0);
            let start = parent.start_unix_ns + (room as f64 * random.unit()) as i64;
            let service = if random.below(3) == 0 {
                random.below(10) as u8
            } else {
                parent.service
            };
            (Some(parent.span_id), start, duration, service)
        };
        let is_error = fails && (place == 0 || random.below(3) == 0);
        let span = Span {
            trace_id,
            span_id: (random.next() | 1).to_be_bytes(),
            parent_span_id: parent,
            service,
            name: service * 20 + random.skewed(20) as u8,
            is_error,
            start_unix_ns,
            duration_ns,
            pod: u16::from(service) * 50 + random.below(50) as u16,
            gpu: random.below(8) as u8,
            model,
            status_code: if is_error { 503 } else { 200 },
            user,
            tokens: random.log_normal(220.0, 0.9).min(4096.0) as u16,
        };
        spans.push((0, span));
    }
}

/// A log line.
pub struct Log {
    pub time_unix_ns: i64,
    pub span: Option<([u8; 16], [u8; 8])>,
    pub severity: i8,
    pub service: u8,
    pub pod: u16,
    pub body: String,
}

/// The log lines, in the order of their time; those written in a span lie near it.
pub fn logs(count: usize, spans: &[Span], words: &Words) -> Vec<Log> {
    let mut random = Random::new(3);
    let step = DAY_NS / count as i64;
    (0..count)
        .map(|index| {
            let near = &spans[(index as u64 * spans.len() as u64 / count as u64) as usize];
            let span = (random.below(10) < 6).then_some((near.trace_id, near.span_id));
            let service = span.map_or_else(|| random.below(10) as u8, |_| near.service);
            let (severity, body) = lines::line(&mut random, words);
            Log {
                time_unix_ns: BEGIN_UNIX_NS
                    + index as i64 * step
                    + random.below(step as u64) as i64,
                span,
                severity,
                service,
                pod: u16::from(service) * 50 + random.below(50) as u16,
                body,
            }
        })
        .collect()
}

/// The series that a reading is of.
pub struct Series {
    pub metric: &'static str,
    pub host: String,
    pub gpu: String,
}

pub fn series() -> Vec<Series> {
    (0..SERIES)
        .map(|index| Series {
            metric: METRICS[index / 100],
            host: format!("node-{:03}", index % 100 / 8),
            gpu: (index % 8).to_string(),
        })
        .collect()
}

/// A reading of one series.
pub struct Point {
    pub series: u16,
    pub time_unix_ns: i64,
    pub value: f64,
}

/// The readings in the order in which they would arrive: a scrape reads every series.
pub fn points(readings: usize) -> Vec<Point> {
    let mut random = Random::new(4);
    let mut values: Vec<f64> = (0..SERIES).map(|_| random.below(100) as f64).collect();
    let mut points = Vec::with_capacity(SERIES * readings);
    for reading in 0..readings {
        let scrape = BEGIN_UNIX_NS + reading as i64 * SCRAPE_NS;
        for (series, value) in values.iter_mut().enumerate() {
            *value = match METRICS[series / 100] {
                "collective.bytes.total" => *value + random.below(4_000_000_000) as f64,
                "http.requests.total" => *value + random.below(400) as f64,
                "gpu.utilization" => (*value + random.normal() * 6.0).clamp(0.0, 100.0).round(),
                "gpu.power" => {
                    ((*value + random.normal() * 9.0).clamp(60.0, 700.0) * 1000.0).round() / 1000.0
                }
                _ => {
                    ((*value + random.normal() * 2e8).clamp(0.0, 8.5e10) / 1_048_576.0).round()
                        * 1_048_576.0
                }
            };
            points.push(Point {
                series: series as u16,
                time_unix_ns: scrape + random.below(2_000_000) as i64,
                value: *value,
            });
        }
    }
    points
}

/// An identifier as people write it.
pub fn hex(trace_id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id))
}

/// A trace that has spans in the last hour and more than a few of them.
pub fn example_trace(spans: &[Span]) -> [u8; 16] {
    let late: Vec<[u8; 16]> = spans[spans.len() * 49 / 50..]
        .iter()
        .map(|span| span.trace_id)
        .collect();
    let count = |trace: &[u8; 16]| late.iter().filter(|other| *other == trace).count();
    let mut some = late.iter().step_by(97).copied();
    some.find(|trace| count(trace) >= 8).unwrap_or(late[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_have_the_shape_that_is_said() {
        let words = Words::new();
        assert_eq!(
            (words.names.len(), words.pods.len(), words.users.len()),
            (200, 500, 50_000)
        );
        let spans = spans(20_000);
        let traces: std::collections::BTreeSet<[u8; 16]> =
            spans.iter().map(|span| span.trace_id).collect();
        assert!((1_500..4_500).contains(&traces.len()), "{}", traces.len());
        let logs = logs(10_000, &spans, &words);
        let bytes: usize = logs.iter().map(|log| log.body.len()).sum();
        assert!((90..130).contains(&(bytes / logs.len())), "{bytes}");
        let linked = logs.iter().filter(|log| log.span.is_some()).count();
        assert!((5_700..6_300).contains(&linked), "{linked}");
        assert_eq!(points(3).len(), 1_500);
        let example = example_trace(&spans);
        assert!(spans.iter().any(|span| span.trace_id == example));
    }

    #[test]
    fn data_are_the_same_each_time() {
        let ids = || {
            spans(1_000)
                .iter()
                .map(|span| span.span_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(), ids());
    }
}
