//! What files and runs are called: `engine.2026-01-31.jsonl`, its second part `engine.2026-01-31.2.jsonl`, and
//! `run_20260131_123456`. Times are UTC.

use std::{borrow::Cow, fmt};

use super::Format;
use crate::encode::time::{Date, civil_from_days, days_from_civil};

/// What the file with everything begins with.
pub(super) const EVERYTHING: &str = "all";

/// Most bytes of a target in a name; file systems allow 255 for all of it.
const TARGET_BYTES_MAX: usize = 100;

/// What the file of a target begins with: the crate, in letters that every file system takes.
pub(super) fn of_target(target: &str) -> Cow<'_, str> {
    let begin = target.split("::").next().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if begin == EVERYTHING {
        return Cow::Borrowed("all_");
    }
    if !begin.is_empty() && begin.len() <= TARGET_BYTES_MAX && begin.bytes().all(is_plain) {
        return Cow::Borrowed(begin);
    }
    let plain: String = begin
        .bytes()
        .take(TARGET_BYTES_MAX)
        .map(|byte| {
            if is_plain(byte) {
                char::from(byte)
            } else {
                '_'
            }
        })
        .collect();
    Cow::Owned(if plain.is_empty() {
        "_".to_owned()
    } else {
        plain
    })
}

/// The name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    begin: String,
    /// Days since the epoch.
    pub(super) day: u64,
    /// From 1.
    pub(super) part: u32,
    end: &'static str,
}

const fn ending(format: Format) -> &'static str {
    match format {
        Format::Json => "jsonl",
        Format::Human => "log",
    }
}

impl FileName {
    /// The first of a day.
    pub(super) fn new(begin: &str, day: u64, format: Format) -> Self {
        Self {
            begin: begin.to_owned(),
            day,
            part: 1,
            end: ending(format),
        }
    }

    /// Reads a name as [`Display`](fmt::Display) writes it; none for any other.
    pub(super) fn read(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let (begin, day) = (parts.next()?, parts.next()?);
        let next = parts.next()?;
        let (part, end) = match parts.next() {
            Some(end) => (next.parse().ok()?, end),
            None => (1, next),
        };
        let end = [Format::Json, Format::Human]
            .map(ending)
            .into_iter()
            .find(|known| *known == end)?;
        let read = Self {
            begin: begin.to_owned(),
            day: read_day(day.split('-'))?,
            part,
            end,
        };
        (read.to_string() == name).then_some(read)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = date(self.day);
        write!(f, "{}.{year:04}-{month:02}-{day:02}.", self.begin)?;
        if self.part > 1 {
            write!(f, "{}.", self.part)?;
        }
        f.write_str(self.end)
    }
}

fn date(day: u64) -> Date {
    civil_from_days(u32::try_from(day).unwrap_or(u32::MAX))
}

fn read_day<'a>(parts: impl Iterator<Item = &'a str>) -> Option<u64> {
    let mut numbers = parts.map(str::parse::<u32>);
    let (year, month, day) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    if numbers.next().is_some()
        || !(1970..10_000).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    days_from_civil(Date { year, month, day })
}

/// The name of a run's folder. Runs sort by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunName {
    start_unix_s: u64,
    /// From 1: runs that began in the same second are numbered.
    pub(super) number: u32,
}

impl RunName {
    pub(super) const fn new(start_unix_s: u64) -> Self {
        Self {
            start_unix_s,
            number: 1,
        }
    }

    /// Days since the epoch.
    pub(super) const fn day(self) -> u64 {
        self.start_unix_s / 86_400
    }

    /// Reads a name as [`Display`](fmt::Display) writes it; none for any other.
    pub(super) fn read(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("run_")?.split('_');
        let (day, time) = (parts.next()?, parts.next()?);
        let number = parts.next().map_or(Some(1), |number| number.parse().ok())?;
        if day.len() != 8 || time.len() != 6 || !name.is_ascii() {
            return None;
        }
        let day = read_day([&day[..4], &day[4..6], &day[6..]].into_iter())?;
        let two = |at: usize| time[at..at + 2].parse::<u64>().ok();
        let second = two(0)? * 3600 + two(2)? * 60 + two(4)?;
        let read = Self {
            start_unix_s: day * 86_400 + second,
            number,
        };
        (read.to_string() == name).then_some(read)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day } = date(self.day());
        let second = self.start_unix_s % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "run_{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}"
        )?;
        if self.number > 1 {
            write!(f, "_{}", self.number)?;
        }
        Ok(())
    }
}
