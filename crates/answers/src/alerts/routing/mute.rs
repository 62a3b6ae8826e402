//! Times in which nothing is sent: nights, weekends, the days of a migration.

use serde::Deserialize;

use super::super::calendar::Wall;

/// Times at which routes that name them are silent, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuteTimes {
    /// What routes call them.
    pub name: String,
    /// How far clocks are ahead of UTC: `UTC`, `+02:00`, `-05:30`. It is fixed: there is no summer time.
    pub offset: String,
    /// It is silent in any of these.
    pub spans: Vec<MuteSpan>,
}

/// One of them: what is in all of its lists. A list that is empty holds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuteSpan {
    /// `saturday`, `monday:friday`.
    pub weekdays: Vec<String>,
    /// `09:00-17:00`, `22:00-24:00`: from its start up to but not including its end.
    pub times: Vec<String>,
    /// `1`, `1:5`, `-3:-1` (the last three).
    pub days_of_month: Vec<String>,
    /// `december`, `6:8`.
    pub months: Vec<String>,
}

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The same as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mute {
    pub(super) name: String,
    offset_minutes: i32,
    spans: Vec<Span>,
}

type Ranges = Vec<(i32, i32)>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    weekdays: Ranges,
    minutes: Ranges,
    days: Ranges,
    months: Ranges,
}

impl MuteTimes {
    /// As meant; what is wrong goes to `fault` with its place inside of these.
    pub(super) fn check(&self, mut fault: impl FnMut(String, String)) -> Mute {
        let mut list = |place: String,
                        texts: &[String],
                        read: &dyn Fn(&str) -> Result<(i32, i32), String>|
         -> Ranges {
            let mut ranges = Ranges::new();
            for (index, text) in texts.iter().enumerate() {
                match read(text) {
                    Ok(range) => ranges.push(range),
                    Err(words) => fault(format!("{place}[{index}]"), words),
                }
            }
            ranges
        };
        let mut spans = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            let place = |name: &str| format!("spans[{index}].{name}");
            spans.push(Span {
                weekdays: list(place("weekdays"), &span.weekdays, &weekday),
                minutes: list(place("times"), &span.times, &minutes),
                days: list(place("days_of_month"), &span.days_of_month, &day_of_month),
                months: list(place("months"), &span.months, &month),
            });
        }
        if self.spans.is_empty() {
            fault(
                "spans".to_owned(),
                "there are none, so that it is never silent; add one".to_owned(),
            );
        }
        let offset_minutes = offset(&self.offset).unwrap_or_else(|words| {
            fault("offset".to_owned(), words);
            0
        });
        Mute {
            name: self.name.clone(),
            offset_minutes,
            spans,
        }
    }
}

impl Mute {
    /// Whether it is silent then.
    pub(super) fn holds(&self, unix_ns: u64) -> bool {
        let wall = Wall::at(unix_ns, self.offset_minutes);
        let within = |ranges: &Ranges, value: i32| {
            ranges.is_empty()
                || ranges
                    .iter()
                    .any(|&(from, to)| (from..=to).contains(&value))
        };
        let (day, days) = (i32::from(wall.day), i32::from(wall.days_in_month));
        // The last day of a month is -1.
        let from_start = |day: i32| if day < 0 { days + 1 + day } else { day };
        let is_day = |&(from, to): &(i32, i32)| (from_start(from)..=from_start(to)).contains(&day);
        self.spans.iter().any(|span| {
            within(&span.weekdays, i32::from(wall.weekday))
                && within(&span.minutes, i32::from(wall.minute))
                && within(&span.months, i32::from(wall.month))
                && (span.days.is_empty() || span.days.iter().any(is_day))
        })
    }
}

/// `a` or `a:b`, each read by `one`.
fn range(text: &str, one: impl Fn(&str) -> Option<i32>) -> Option<(i32, i32)> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    Some((one(from.trim())?, one(to.trim())?))
}

fn named(names: &[&str], text: &str) -> Option<i32> {
    names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))
        .map(|index| index as i32)
}

fn weekday(text: &str) -> Result<(i32, i32), String> {
    range(text, |day| named(&WEEKDAYS, day))
        .filter(|(from, to)| from <= to)
        .ok_or_else(|| format!("`{text}` is no weekday; write monday, or monday:friday, the first before the second in a week that begins on Monday"))
}

fn month(text: &str) -> Result<(i32, i32), String> {
    let one = |text: &str| {
        named(&MONTHS, text)
            .map(|index| index + 1)
            .or_else(|| text.parse().ok())
    };
    range(text, one)
        .filter(|(from, to)| (1..=*to).contains(from) && *to <= 12)
        .ok_or_else(|| {
            format!("`{text}` is no month; write december, 12 or 6:8, the first before the second")
        })
}

fn day_of_month(text: &str) -> Result<(i32, i32), String> {
    let is_day = |day: &i32| (1..=31).contains(day) || (-31..=-1).contains(day);
    range(text, |day| day.parse().ok().filter(is_day))
        .filter(|(from, to)| (*from < 0) != (*to < 0) || from <= to)
        .ok_or_else(|| {
            format!("`{text}` is no day of a month; write 1, 1:5 or -3:-1, where -1 is the last")
        })
}

/// Minutes of a day, the last one included.
fn minutes(text: &str) -> Result<(i32, i32), String> {
    let words = || {
        format!(
            "`{text}` is no time of a day; write 09:00-17:00, and split what goes over midnight: 22:00-24:00 and 00:00-06:00"
        )
    };
    let clock = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        let total = i32::from(hour) * 60 + i32::from(minute);
        (minute < 60 && total <= 24 * 60).then_some(total)
    };
    let (from, to) = text.split_once('-').ok_or_else(words)?;
    match (clock(from), clock(to)) {
        (Some(from), Some(to)) if from < to => Ok((from, to - 1)),
        _ => Err(words()),
    }
}

fn offset(text: &str) -> Result<i32, String> {
    let words = || {
        format!(
            "`{text}` is no offset; write UTC, +02:00 or -05:30 (names of time zones are not known here)"
        )
    };
    if text.is_empty() || text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(0);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return Err(words()),
    };
    let (hours, minutes) = text[1..].split_once(':').ok_or_else(words)?;
    match (hours.parse::<u8>(), minutes.parse::<u8>()) {
        (Ok(hours @ 0..=14), Ok(minutes @ 0..=59)) => {
            Ok(sign * (i32::from(hours) * 60 + i32::from(minutes)))
        }
        _ => Err(words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-30, 11:17 UTC.
    const MONDAY_UNIX_NS: u64 = 1_796_037_420_000_000_000;
    const HOUR_NS: u64 = 3_600_000_000_000;

    fn mute(offset: &str, span: MuteSpan) -> Mute {
        let mut faults = Vec::new();
        let times = MuteTimes {
            name: "quiet".into(),
            offset: offset.into(),
            spans: vec![span],
        };
        let mute = times.check(|place, words| faults.push(format!("{place}: {words}")));
        assert!(faults.is_empty(), "{faults:?}");
        mute
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_span_holds_where_all_of_its_lists_do() {
        let office = MuteSpan {
            weekdays: texts(&["monday:friday"]),
            times: texts(&["09:00-11:17", "12:00-24:00"]),
            ..MuteSpan::default()
        };
        let mute = mute("UTC", office);
        assert!(!mute.holds(MONDAY_UNIX_NS), "an end is not part of it");
        assert!(mute.holds(MONDAY_UNIX_NS - HOUR_NS));
        assert!(mute.holds(MONDAY_UNIX_NS + 12 * HOUR_NS));
        assert!(
            !mute.holds(MONDAY_UNIX_NS + 13 * HOUR_NS),
            "it is Tuesday, after midnight"
        );
        assert!(!mute.holds(MONDAY_UNIX_NS - 25 * HOUR_NS), "it is Sunday");
    }

    #[test]
    fn days_count_from_either_end_of_a_month_and_offsets_move_them() {
        let last = |offset| {
            mute(
                offset,
                MuteSpan {
                    days_of_month: texts(&["-1"]),
                    months: texts(&["november"]),
                    ..MuteSpan::default()
                },
            )
        };
        assert!(last("").holds(MONDAY_UNIX_NS));
        assert!(!last("").holds(MONDAY_UNIX_NS + 24 * HOUR_NS));
        assert!(
            !last("+13:00").holds(MONDAY_UNIX_NS),
            "there it is December"
        );
        assert!(last("-05:30").holds(MONDAY_UNIX_NS + 18 * HOUR_NS - HOUR_NS / 2));
    }

    #[test]
    fn what_cannot_be_read_says_where_and_how() {
        let span = MuteSpan {
            weekdays: texts(&["friday:monday", "montag"]),
            times: texts(&["22:00-06:00"]),
            days_of_month: texts(&["0", "5:1"]),
            months: texts(&["13"]),
        };
        let mut faults = Vec::new();
        let times = MuteTimes {
            name: "quiet".into(),
            offset: "Europe/Berlin".into(),
            spans: vec![span],
        };
        times.check(|place, words| faults.push(format!("{place}: {words}")));
        insta::assert_snapshot!(faults.join("\n"));
    }
}
