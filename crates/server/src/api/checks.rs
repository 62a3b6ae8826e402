//! Why telemetry that was sent may be hard to find, or is not whole: what `sonde doctor` checks besides what was refused.
//!
//! Each check is a question to what is kept or counted, and a pure function from the numbers to words. What could not be asked is
//! said to be not known; it is not taken for well.

use radiosonde_answers::units::Nanoseconds;
use radiosonde_core::loss::Lost;
use radiosonde_store::{Elsewhere, Sampled};
use serde::Serialize;

use super::{
    Api,
    params::{Params, Range, now_ns},
    rows::{literals, spans_counted},
    semconv::attribute,
};
use crate::{problem::Problem, receive::Clock};

/// By how much a clock may be ahead: more than machines that ask a time server ever are.
const AHEAD_MAX_NS: i64 = 60 * SECOND_NS;
/// By how much the newest of a request may be old: more than exporters wait, and try again.
const BEHIND_MAX_NS: i64 = 600 * SECOND_NS;
/// How long spans wait for their parents before those are missed.
const PARENTS_WAIT_NS: i64 = 60 * SECOND_NS;
/// How much earlier than the time that is asked for a parent may have begun.
const PARENTS_BEFORE_NS: i64 = 3_600 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;
const SERVICES_MAX: usize = 1_000;
/// The attribute in which a span has its trace state.
const TRACE_STATE: &str = "w3c.tracestate";
/// Metrics by which SDKs, ours among them, count what they dropped (OpenTelemetry's semantic conventions, `otel.sdk.*`).
const LOSSES: [&str; 6] = [
    "radiosonde.lost",
    "otel.sdk.processor.span.processed",
    "otel.sdk.processor.log.processed",
    "otel.sdk.exporter.span.exported",
    "otel.sdk.exporter.log.exported",
    "otel.sdk.exporter.metric_data_point.exported",
];

#[derive(Debug, Serialize)]
pub(super) struct Checks {
    checks: Vec<Finding>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// `clock`, `store`, `sampling`, `losses` or `parents`.
    check: &'static str,
    outcome: Outcome,
    /// Whose it is; nothing where it is everybody's.
    service: Option<String>,
    words: String,
    /// What to do about it.
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Warn,
    /// It could not be asked.
    Unknown,
}

impl Finding {
    fn pass(check: &'static str, words: String) -> Self {
        Self {
            check,
            outcome: Outcome::Pass,
            service: None,
            words,
            mend: None,
        }
    }

    fn warn(check: &'static str, service: Option<&str>, words: String, mend: &str) -> Self {
        Self {
            check,
            outcome: Outcome::Warn,
            service: service.map(str::to_owned),
            words,
            mend: Some(mend.to_owned()),
        }
    }
}

/// A check that is a question to what is kept.
type Question = fn(&Api, Range) -> Result<Vec<Finding>, Problem>;

pub(super) fn answer(api: &Api, params: &Params) -> Result<Checks, Problem> {
    let range = params.range()?;
    let mut checks = clocks(&api.intake.clocks());
    checks.extend(api.store.elsewhere().map(elsewhere));
    let sampled = api.config.sampling.as_ref().zip(api.store.sampled());
    checks.extend(
        sampled.map(|(sampling, sampled)| sampled_here(sampling.share.adjusted_count(), &sampled)),
    );
    let asked: [(&'static str, Question); 3] = [
        ("sampling", sampled_by_senders),
        ("losses", losses),
        ("parents", parents),
    ];
    for (check, ask) in asked {
        checks.extend(ask(api, range).unwrap_or_else(|problem| vec![unknown(check, &problem)]));
    }
    Ok(Checks { checks })
}

fn unknown(check: &'static str, problem: &Problem) -> Finding {
    Finding {
        outcome: Outcome::Unknown,
        ..Finding::pass(check, format!("it is not known: {}", problem.message()))
    }
}

/// Whether what arrives comes to where it is kept, where that is another program.
fn elsewhere(elsewhere: Elsewhere) -> Finding {
    let Elsewhere { place, failed } = elsewhere;
    match failed {
        None => Finding::pass(
            "store",
            format!("what is older is kept in ClickHouse at {place}"),
        ),
        Some(reason) => Finding::warn(
            "store",
            None,
            format!("what arrives cannot be brought to where it is kept: {reason}"),
            "it waits in the data folder and in memory, and is brought there as soon as that can be; when memory is full, senders are \
             told to try again",
        ),
    }
}

/// Whether the clocks of senders go as this machine's.
fn clocks(clocks: &[Clock]) -> Vec<Finding> {
    let mut checks: Vec<Finding> = clocks.iter().filter_map(clock).collect();
    let well = clocks.len() - checks.len();
    if well > 0 {
        checks.push(Finding::pass(
            "clock",
            format!(
                "what arrives from {} was timed within a minute of now, or is a little old",
                services(well)
            ),
        ));
    }
    checks
}

fn clock(Clock { service, ahead_ns }: &Clock) -> Option<Finding> {
    let name = named(service);
    let far = Nanoseconds(ahead_ns.unsigned_abs());
    if *ahead_ns > AHEAD_MAX_NS {
        let words = format!("the clock of {name} is {far} ahead of this machine's");
        let mend = "set both by a time server (NTP, chrony); until then what it sends is at times to come, and found by a --to that is later than now";
        return Some(Finding::warn("clock", Some(service), words, mend));
    }
    if *ahead_ns < -BEHIND_MAX_NS {
        let words = format!("what {name} sends is {far} old when it arrives");
        let mend = "its clock is behind (set it by a time server), it sends late (after an outage, from a spool), or it is a recording \
                    that was imported; ask for that time: --from";
        return Some(Finding::warn("clock", Some(service), words, mend));
    }
    None
}

/// What the collector itself leaves out.
fn sampled_here(one_in: f64, sampled: &Sampled) -> Finding {
    let kept = sampled.failed + sampled.slow + sampled.rare + sampled.by_chance;
    let words = format!(
        "this collector keeps one trace in {} of those that no rule keeps; of {} it kept {} ({} failed, {} slow, {} rare, {} by chance) \
         and left out {}",
        rounded(one_in),
        kept + sampled.left_out,
        kept,
        sampled.failed,
        sampled.slow,
        sampled.rare,
        sampled.by_chance,
        sampled.left_out
    );
    if sampled.late > 0 || sampled.early > 0 {
        let words = format!(
            "{words}; {} failed or were slow after a part of them had been left out, {} were judged before they had waited",
            sampled.late, sampled.early
        );
        let mend = "raise --sample-wait where spans come late; fewer spans, or more memory, where there was no room to wait";
        return Finding::warn("sampling", None, words, mend);
    }
    Finding::pass("sampling", words)
}

/// What senders left out before they sent, where they say so.
fn sampled_by_senders(api: &Api, range: Range) -> Result<Vec<Finding>, Problem> {
    let statement = format!(
        "SELECT service, count(*), {} FROM spans WHERE {} AND weight > 1 AND parent_span_id IS NULL \
         AND strpos(CAST({} AS VARCHAR), 'th:') > 0 GROUP BY 1 ORDER BY 1",
        spans_counted("weight"),
        range.contains("start_time"),
        attribute(TRACE_STATE)
    );
    let mut checks = Vec::new();
    for mut row in api.rows(&statement, SERVICES_MAX)? {
        let (service, kept, all) = (row.text(), row.int(), row.int());
        checks.push(sampled_by_sender(&service, kept, all));
    }
    if checks.is_empty() {
        let words = "no service says that it left traces out; samplers of OpenTelemetry's SDKs before thresholds (`ot=th:`) do not say";
        checks.push(Finding::pass("sampling", words.to_owned()));
    }
    Ok(checks)
}

fn sampled_by_sender(service: &str, kept: i64, all: i64) -> Finding {
    Finding {
        service: Some(service.to_owned()),
        mend: Some("OTEL_TRACES_SAMPLER=parentbased_always_on sends all of them".to_owned()),
        ..Finding::pass(
            "sampling",
            format!(
                "{} leaves traces out itself: {kept} that arrived stand for about {all}, by the threshold that it sends",
                named(service)
            ),
        )
    }
}

/// What senders say they dropped.
fn losses(api: &Api, range: Range) -> Result<Vec<Finding>, Problem> {
    let reason = attribute("error.type");
    let temporality = attribute("radiosonde.temporality");
    let by_series = format!(
        "SELECT service, name, {reason} AS reason, series, \
         CASE WHEN max({temporality}) = 'delta' THEN sum(value) ELSE max(value) END AS dropped \
         FROM points WHERE name IN ({}) AND {} AND {reason} IS NOT NULL GROUP BY 1, 2, 3, 4",
        literals(LOSSES),
        range.contains("time")
    );
    let statement = format!(
        "SELECT service, reason, name, CAST(round(sum(dropped)) AS BIGINT) AS lost FROM ({by_series}) \
         GROUP BY 1, 2, 3 HAVING sum(dropped) > 0 ORDER BY 1, 4 DESC, 2, 3 LIMIT {SERVICES_MAX}"
    );
    let mut checks = Vec::new();
    for mut row in api.rows(&statement, SERVICES_MAX)? {
        let (service, reason, metric) = (row.text(), row.text(), row.text());
        checks.push(loss(&service, &reason, &metric, row.int()));
    }
    if checks.is_empty() {
        checks.push(Finding::pass(
            "losses",
            "no service says that it dropped anything".to_owned(),
        ));
    }
    Ok(checks)
}

fn loss(service: &str, reason: &str, metric: &str, lost: i64) -> Finding {
    let known = Lost::ALL.iter().find(|lost| lost.label() == reason);
    let because = known.map_or_else(
        || reason.to_owned(),
        |lost| lost.description().trim_end_matches('.').to_owned(),
    );
    let words = format!(
        "{} dropped {lost} records ({metric}, {reason}): {because}",
        named(service)
    );
    let mend = match reason {
        "queue_full" | "lane_full" => {
            "raise OTEL_BSP_MAX_QUEUE_SIZE, send more often (OTEL_BSP_SCHEDULE_DELAY), or record less (RUST_LOG, a sampler)"
        }
        "rate_limited" => "the program limits lines that repeat; raise the limit, or log less",
        "shutdown_deadline" => "give the end of the program more time, or flush before it",
        "retry_exhausted" | "spool_full" => {
            "keep the collector reachable; a larger spool bridges a longer outage"
        }
        _ => "the program's own log says more",
    };
    Finding::warn("losses", Some(service), words, mend)
}

/// Spans of a service whose parents are not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Orphans {
    service: String,
    /// Those whose parents ought to have come from the service itself.
    own: i64,
    /// Those that others called.
    called: i64,
    /// When the last of the first kind ended.
    last_unix_ns: i64,
    /// When the last span of the service ended.
    last_of_all_unix_ns: i64,
}

/// Whether spans have parents that never arrived.
fn parents(api: &Api, range: Range) -> Result<Vec<Finding>, Problem> {
    let now = now_ns();
    let earlier = Range {
        from_ns: range.from_ns.saturating_sub(PARENTS_BEFORE_NS),
        ..range
    };
    let is_called = "c.kind IN ('server', 'consumer')";
    let end = "CAST(c.start_time AS BIGINT) + c.duration";
    let is_orphan = "c.parent_span_id IS NOT NULL AND p.span_id IS NULL";
    let statement = format!(
        "SELECT c.service, sum(CASE WHEN {is_orphan} AND NOT {is_called} THEN 1 ELSE 0 END), \
         sum(CASE WHEN {is_orphan} AND {is_called} THEN 1 ELSE 0 END), \
         max(CASE WHEN {is_orphan} AND NOT {is_called} THEN {end} END), max({end}) \
         FROM spans c LEFT JOIN (SELECT trace_id, span_id FROM spans WHERE {}) p \
         ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id WHERE {} AND {end} < {} GROUP BY 1 ORDER BY 1",
        earlier.contains("start_time"),
        range.contains("c.start_time"),
        now.saturating_sub(PARENTS_WAIT_NS)
    );
    let mut checks = Vec::new();
    for mut row in api.rows(&statement, SERVICES_MAX)? {
        let orphans = Orphans {
            service: row.text(),
            own: row.int(),
            called: row.int(),
            last_unix_ns: row.int(),
            last_of_all_unix_ns: row.int(),
        };
        checks.extend(orphaned(&orphans, now));
    }
    if checks.is_empty() {
        checks.push(Finding::pass(
            "parents",
            "every span that is older than a minute has its parent here".to_owned(),
        ));
    }
    Ok(checks)
}

fn orphaned(orphans: &Orphans, now: i64) -> Option<Finding> {
    let name = named(&orphans.service);
    if orphans.own == 0 {
        let words = format!(
            "{} of {name} were called by programs that send nothing here",
            counted(orphans.called, "request")
        );
        return (orphans.called > 0).then(|| Finding {
            service: Some(orphans.service.clone()),
            ..Finding::pass("parents", words)
        });
    }
    let mut words = match orphans.own {
        1 => format!("1 span of {name} has a parent that never arrived"),
        more => format!("{more} spans of {name} have parents that never arrived"),
    };
    let was_the_end = orphans
        .last_of_all_unix_ns
        .saturating_sub(orphans.last_unix_ns)
        <= SECOND_NS;
    if was_the_end {
        let ago = now
            .saturating_sub(orphans.last_of_all_unix_ns)
            .unsigned_abs();
        let ago = Nanoseconds(ago);
        let ended = [
            words.as_str(),
            ", and nothing came from it since, ",
            &ago.to_string(),
            " ago: it seems to have ended without a flush",
        ];
        words = ended.concat();
    }
    let mend = "flush before the process ends (`provider.shutdown()`, the guard of `radiosonde::init()`), also where it is told to end; or \
                else it was killed, the parents are still running, a filter or sampler left them out, or they went elsewhere";
    Some(Finding::warn(
        "parents",
        Some(&orphans.service),
        words,
        mend,
    ))
}

fn named(service: &str) -> String {
    if service.is_empty() {
        "a program without service.name".to_owned()
    } else {
        format!("`{service}`")
    }
}

fn services(count: usize) -> String {
    match count {
        1 => "1 service".to_owned(),
        more => format!("{more} services"),
    }
}

fn counted(count: i64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

/// With a decimal where there is one.
fn rounded(number: f64) -> String {
    format!("{number:.1}").trim_end_matches(".0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str, seconds: i64) -> Clock {
        Clock {
            service: service.to_owned(),
            ahead_ns: seconds * SECOND_NS,
        }
    }

    fn words(checks: &[Finding]) -> Vec<String> {
        let line = |check: &Finding| format!("{:?} {}", check.outcome, check.words);
        checks.iter().map(line).collect()
    }

    #[test]
    fn clocks_that_are_ahead_or_far_behind_are_told() {
        let checks = clocks(&[
            of("late", -3),
            of("future", 90),
            of("", -7_200),
            of("fine", 59),
        ]);
        assert_eq!(
            words(&checks),
            [
                "Warn the clock of `future` is 1 min 30 s ahead of this machine's",
                "Warn what a program without service.name sends is 120 min 00 s old when it arrives",
                "Pass what arrives from 2 services was timed within a minute of now, or is a little old",
            ]
        );
        assert!(
            checks
                .iter()
                .all(|check| (check.outcome == Outcome::Warn) == check.mend.is_some())
        );
        assert!(clocks(&[]).is_empty());
    }

    #[test]
    fn what_cannot_be_brought_to_clickhouse_is_a_fault() {
        let state = |failed: Option<&str>| Elsewhere {
            place: "http://a:8123/b".to_owned(),
            failed: failed.map(str::to_owned),
        };
        let checks = [elsewhere(state(None)), elsewhere(state(Some("it is away")))];
        assert_eq!(
            words(&checks),
            [
                "Pass what is older is kept in ClickHouse at http://a:8123/b",
                "Warn what arrives cannot be brought to where it is kept: it is away",
            ]
        );
    }

    #[test]
    fn what_was_sampled_out_is_told_and_what_came_late_is_a_fault() {
        let mut sampled = Sampled {
            failed: 2,
            by_chance: 8,
            left_out: 90,
            ..Sampled::default()
        };
        let well = sampled_here(10.000_000_1, &sampled);
        assert_eq!(well.outcome, Outcome::Pass);
        assert!(
            well.words.contains("one trace in 10 of")
                && well.words.ends_with(
                    "of 100 it kept 10 (2 failed, 0 slow, 0 rare, 8 by chance) and left out 90"
                ),
            "{}",
            well.words
        );
        sampled.late = 3;
        let late = sampled_here(2.5, &sampled);
        assert_eq!(late.outcome, Outcome::Warn);
        assert!(
            late.words.contains("in 2.5 of") && late.words.contains("3 failed"),
            "{}",
            late.words
        );
        assert!(
            sampled_by_sender("shop", 5, 20)
                .words
                .contains("5 that arrived stand for about 20")
        );
    }

    #[test]
    fn losses_have_a_mend_by_their_reason() {
        let ours = loss("shop", "queue_full", "radiosonde.lost", 7);
        assert_eq!(
            ours.words,
            "`shop` dropped 7 records (radiosonde.lost, queue_full): An exporter's queue was full"
        );
        let others = loss("shop", "whatever", "otel.sdk.exporter.span.exported", 1);
        assert!(
            others.words.ends_with(": whatever") && others.mend.is_some(),
            "{}",
            others.words
        );
    }

    #[test]
    fn parents_that_never_came_are_a_fault_unless_somebody_else_has_them() {
        let now = 1_000 * SECOND_NS;
        let orphans = Orphans {
            service: "shop".to_owned(),
            own: 2,
            called: 1,
            last_unix_ns: 700 * SECOND_NS,
            last_of_all_unix_ns: 900 * SECOND_NS,
        };
        let alive = orphaned(&orphans, now).unwrap();
        assert_eq!(
            alive.words,
            "2 spans of `shop` have parents that never arrived"
        );
        let gone = orphaned(
            &Orphans {
                own: 1,
                last_unix_ns: 900 * SECOND_NS,
                ..orphans.clone()
            },
            now,
        )
        .unwrap();
        assert!(
            gone.words.starts_with("1 span of `shop`") && gone.words.contains("1 min 40 s ago"),
            "{}",
            gone.words
        );
        let called = orphaned(
            &Orphans {
                own: 0,
                ..orphans.clone()
            },
            now,
        )
        .unwrap();
        assert_eq!(called.outcome, Outcome::Pass);
        assert_eq!(
            orphaned(
                &Orphans {
                    own: 0,
                    called: 0,
                    ..orphans
                },
                now
            ),
            None
        );
    }
}
