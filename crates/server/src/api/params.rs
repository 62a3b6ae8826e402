//! What a request asks for, from its address.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    extract::{Query, rejection::QueryRejection},
    http::Uri,
};
use chrono::DateTime;
use serde::Deserialize;

use super::rows::literal;
use crate::problem::Problem;

/// The time that is asked for unless a request says otherwise.
const RANGE_DEFAULT: Duration = Duration::from_hours(1);
/// How long a time is that may be answered by the minute.
const LONG: Duration = Duration::from_hours(6);
/// Most rows of an answer.
const LIMIT_MAX: usize = 10_000;
/// Most steps of a series.
const BUCKETS_MAX: usize = 2_000;
pub(super) const MINUTE_NS: i64 = 60_000_000_000;

/// The parameters, each as it was written. One that is not known is refused, so that a misspelt filter does not
/// silently answer another question.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    from: Option<String>,
    to: Option<String>,
    pub(super) q: Option<String>,
    pub(super) service: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) version: Option<String>,
    pub(super) order: Option<String>,
    limit: Option<usize>,
    buckets: Option<usize>,
}

/// A stretch of time, from its start up to but not including its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
}

impl Params {
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(mut params) =
            Query::<Self>::try_from_uri(uri).map_err(|error| refused(&error))?;
        // An empty field of a form is one that was not filled in.
        for text in [
            &mut params.from,
            &mut params.to,
            &mut params.q,
            &mut params.service,
            &mut params.severity,
            &mut params.trace_id,
            &mut params.operation,
            &mut params.version,
            &mut params.order,
        ] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                *text = None;
            }
        }
        Ok(params)
    }

    /// Those that only say which time is asked for.
    pub(super) fn within(from: Option<String>, to: Option<String>) -> Self {
        Self {
            from,
            to,
            ..Self::default()
        }
    }

    pub(super) fn limit(&self, default: usize) -> usize {
        self.limit.unwrap_or(default).clamp(1, LIMIT_MAX)
    }

    pub(super) fn buckets(&self, default: usize) -> usize {
        self.buckets.unwrap_or(default).clamp(1, BUCKETS_MAX)
    }

    /// The time that is asked for.
    pub(super) fn range(&self) -> Result<Range, Problem> {
        range_of(self.from.as_deref(), self.to.as_deref(), now_ns())
    }

    /// The time that is asked for. A long one that is relative to now begins and ends with a minute, so that what is added up by
    /// the minute can answer it.
    pub(super) fn range_by_minute(&self) -> Result<Range, Problem> {
        let range = self.range()?;
        let is_relative = |text: Option<&str>| {
            let text = text.map(str::trim);
            text.is_none_or(|text| text == "now" || text.starts_with('-'))
        };
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        if range.is_long() && is_relative(from) && is_relative(to) {
            return Ok(range.in_minutes());
        }
        Ok(range)
    }

    /// The condition that a row is of the service that is asked for.
    pub(super) fn of_service(&self) -> String {
        match &self.service {
            Some(service) => format!(" AND service = {}", literal(service)),
            None => String::new(),
        }
    }
}

impl Range {
    pub(super) const fn length_ns(self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    pub(super) fn is_long(self) -> bool {
        self.length_ns() >= nanoseconds(LONG)
    }

    /// Whether it begins and ends with a minute.
    pub(super) const fn is_of_minutes(self) -> bool {
        self.from_ns % MINUTE_NS == 0 && self.to_ns % MINUTE_NS == 0
    }

    /// All of the minutes that it has a part of.
    const fn in_minutes(self) -> Self {
        Self {
            from_ns: self.from_ns.div_euclid(MINUTE_NS).saturating_mul(MINUTE_NS),
            to_ns: whole_minutes_ns(self.to_ns),
        }
    }

    /// The condition that the time in `column` is within. The literals are of the column's own type, so that segments whose
    /// rows are all outside are not read.
    pub(super) fn contains(self, column: &str) -> String {
        let at = |ns: i64| format!("arrow_cast({ns}, 'Timestamp(Nanosecond, Some(\"UTC\"))')");
        format!(
            "{column} >= {} AND {column} < {}",
            at(self.from_ns),
            at(self.to_ns)
        )
    }

    /// The length of one of `buckets` steps: whole milliseconds, so that times of steps are exact.
    pub(super) fn step_ns(self, buckets: usize) -> i64 {
        const MS: u64 = 1_000_000;
        let step = self
            .length_ns()
            .unsigned_abs()
            .div_ceil(buckets.max(1) as u64);
        step.div_ceil(MS).max(1).saturating_mul(MS).cast_signed()
    }
}

/// The least whole minutes that are as long.
pub(super) const fn whole_minutes_ns(ns: i64) -> i64 {
    let end_ns = ns.saturating_add(MINUTE_NS - 1);
    end_ns.div_euclid(MINUTE_NS).saturating_mul(MINUTE_NS)
}

/// What is said of parameters that are not those of the request.
pub(super) fn refused(error: &QueryRejection) -> Problem {
    Problem::bad_request(
        error.body_text(),
        "docs/api.md has the parameters of each request",
    )
}

/// Now, in nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, nanoseconds)
}

/// The time that is asked for: what is not said is the last hour.
pub(super) fn range_of(from: Option<&str>, to: Option<&str>, now: i64) -> Result<Range, Problem> {
    let moment = |text: Option<&str>| text.map(|text| moment_of(text, now)).transpose();
    // What arrives while the answer is made belongs to it.
    let to_ns =
        moment(to)?.unwrap_or_else(|| now.saturating_add(nanoseconds(Duration::from_secs(1))));
    let from_ns = moment(from)?.unwrap_or_else(|| to_ns.saturating_sub(nanoseconds(RANGE_DEFAULT)));
    if from_ns >= to_ns {
        return Err(Problem::bad_request(
            "`from` is not before `to`",
            "swap them, or leave one out",
        ));
    }
    Ok(Range { from_ns, to_ns })
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A moment: `now`, `-15m`, nanoseconds since the Unix epoch, or RFC 3339.
pub(super) fn moment_of(text: &str, now: i64) -> Result<i64, Problem> {
    let text = text.trim();
    let relative = || Some(now.saturating_sub(ago(text.strip_prefix('-')?)?));
    let absolute = || {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        time.timestamp_nanos_opt()
    };
    let found = match text {
        "now" => Some(now),
        _ => text
            .parse::<i64>()
            .ok()
            .filter(|ns| *ns >= 0)
            .or_else(relative)
            .or_else(absolute),
    };
    found.ok_or_else(|| {
        Problem::bad_request(
            format!("`{text}` is no time"),
            "write RFC 3339 (2026-11-28T09:30:00Z), nanoseconds since the Unix epoch, `now`, or how long ago: -15m, -2h, -7d",
        )
    })
}

/// `30s`, `15m`, `2h` or `7d` in nanoseconds.
fn ago(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit_s: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(unit_s)?
        .checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000_000;

    #[test]
    fn times_are_absolute_or_relative() {
        for (text, ns) in [
            ("now", NOW),
            ("-15m", NOW - 900_000_000_000),
            ("-7d", NOW - 604_800_000_000_000),
            ("1700000000000000001", NOW + 1),
            ("2023-11-14T22:13:20Z", NOW),
            ("2023-11-14T23:13:20.5+01:00", NOW + 500_000_000),
        ] {
            assert_eq!(moment_of(text, NOW).unwrap(), ns, "{text}");
        }
        for text in [
            "yesterday",
            "-15",
            "-m",
            "-5y",
            "",
            "-99999999999999999d",
            "2023-11-14",
        ] {
            assert!(moment_of(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let params = |address: &'static str| Params::of(&Uri::from_static(address));
        assert!(params("/api/v1/logs?sevrity=warn").is_err());
        assert!(params("/api/v1/logs?limit=many").is_err());
        assert!(
            params("/api/v1/logs?from=now&to=-1h")
                .unwrap()
                .range()
                .is_err()
        );
        let params = params("/api/v1/logs?service=&limit=99999999&q=a%20b").unwrap();
        assert_eq!(params.service, None);
        assert_eq!(params.q.as_deref(), Some("a b"));
        assert_eq!(params.limit(10), LIMIT_MAX);
        assert_eq!(params.range().unwrap().length_ns(), 3_600_000_000_000);
    }

    #[test]
    fn long_times_relative_to_now_are_of_whole_minutes() {
        let range = |from: &str, to: Option<&str>| {
            let params = Params::within(Some(from.to_owned()), to.map(str::to_owned));
            params.range_by_minute().unwrap()
        };
        let day = range("-1d", None);
        assert!(day.is_long() && day.is_of_minutes());
        assert!((1_440..=1_442).contains(&(day.length_ns() / MINUTE_NS)));
        let hour = range("-1h", Some("now"));
        assert_eq!(hour.length_ns(), 60 * MINUTE_NS);
        assert!(!hour.is_long());
        let said = range("2026-11-28T00:00:01Z", Some("2026-11-29T00:00:00Z"));
        assert!(said.is_long() && !said.is_of_minutes());
    }

    #[test]
    fn steps_are_whole_milliseconds_and_cover_the_range() {
        let range = |length| Range {
            from_ns: 0,
            to_ns: length,
        };
        assert_eq!(range(3_600_000_000_000).step_ns(60), 60_000_000_000);
        assert_eq!(range(10).step_ns(60), 1_000_000);
        assert_eq!(range(100_000_001).step_ns(100), 2_000_000);
    }
}
