//! By which clock retention goes, and what it gives up.
//!
//! Invariants: a clock that is set wrong, forward for a moment or back for any time, makes nothing go that is not old; what came
//! last goes last, whatever the clock said when it came.

use std::time::{Duration, Instant};

use crate::Segment;

/// How long the system's clock has to stay where it jumped before that counts as time that passed.
const PROOF: Duration = Duration::from_hours(1);
/// How far it may be ahead of what has passed without being taken for a jump.
const SLACK: Duration = Duration::from_mins(1);

/// The time by which rows grow old. It is the system's, but for jumps forward: those are believed when they have lasted for
/// [`PROOF`], because all that is kept would be too old for a clock that is years ahead. A machine that slept, and a store that
/// was closed, look the same; what they have that is too old goes that much later.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What was believed last, and when that was.
    believed_ns: i64,
    at: Instant,
    /// Since when the system's clock is ahead.
    ahead: Option<Instant>,
}

impl Clock {
    /// A clock that is known to have come to `known_ns`.
    pub(crate) const fn new(known_ns: i64, at: Instant) -> Self {
        Self {
            believed_ns: known_ns,
            at,
            ahead: None,
        }
    }

    /// The time to go by, where the system's clock says `system_ns` at `at`.
    pub(crate) fn believed(&mut self, system_ns: i64, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.at);
        let expected = self.believed_ns.saturating_add(nanoseconds(passed));
        if system_ns <= expected.saturating_add(nanoseconds(SLACK)) {
            self.ahead = None;
            self.believed_ns = system_ns;
        } else {
            let since = *self.ahead.get_or_insert(at);
            let is_proven = at.saturating_duration_since(since) >= PROOF;
            self.believed_ns = if is_proven { system_ns } else { expected };
        }
        self.at = at;
        self.believed_ns
    }
}

/// As many as an `i64` has, where it is longer.
fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What is given up of some segments, and what stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) ids: Vec<i64>,
    /// What the others take.
    pub(crate) bytes_kept: u64,
    /// The last time in those that go for want of room, without being too old.
    pub(crate) early_unix_ns: Option<i64>,
}

/// Which segments are too old at `now_ns`, and the oldest ones where all of them take too much room. What came last stays
/// however large it is: to keep nothing at all is no way to keep less.
pub(crate) fn given_up<'a>(
    segments: impl Iterator<Item = &'a Segment>,
    size_bytes_max: u64,
    age_max: Duration,
    now_ns: i64,
) -> GivenUp {
    let oldest_kept = now_ns.saturating_sub(nanoseconds(age_max));
    let mut by_age: Vec<&Segment> = segments.collect();
    by_age.sort_by_key(|segment| (segment.arrived_unix_ns, segment.id));
    let newest = by_age.last().map(|segment| segment.arrived_unix_ns);
    let mut gone = GivenUp {
        bytes_kept: by_age.iter().map(|segment| segment.bytes).sum(),
        ..GivenUp::default()
    };
    for segment in by_age {
        let is_newest = Some(segment.arrived_unix_ns) == newest;
        let is_too_much = gone.bytes_kept > size_bytes_max && !is_newest;
        let is_too_old = segment.arrived_unix_ns < oldest_kept;
        if is_too_much || is_too_old {
            gone.bytes_kept -= segment.bytes;
            gone.ids.push(segment.id);
            if !is_too_old {
                gone.early_unix_ns = gone.early_unix_ns.max(Some(segment.last_unix_ns));
            }
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Table, memtable::Memtable};

    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 24 * 3600 * SECOND;
    const YEAR: i64 = 365 * DAY;
    const WEEK: Duration = Duration::from_hours(7 * 24);
    /// When the tests begin.
    const START: i64 = 56 * YEAR;

    fn segment(id: i64, arrived_unix_ns: i64) -> Segment {
        Segment {
            id,
            table: Table::Spans,
            rows: 1,
            bytes: 100,
            first_unix_ns: 0,
            last_unix_ns: 0,
            arrived_unix_ns,
            level: 0,
            attributes: Arc::from([]),
        }
    }

    fn ids_of(segments: &[Segment], size_bytes_max: u64, now_ns: i64) -> Vec<i64> {
        given_up(segments.iter(), size_bytes_max, WEEK, now_ns).ids
    }

    /// A clock, and a way to ask it after so many seconds.
    fn asked() -> impl FnMut(u64, i64) -> i64 {
        let began = Instant::now();
        let mut clock = Clock::new(START, began);
        move |after_s, system_ns| clock.believed(system_ns, began + Duration::from_secs(after_s))
    }

    #[test]
    fn time_that_passes_is_believed() {
        let mut believed = asked();
        for after_s in [0, 5, 10, 4000, 700_000] {
            let now = START + after_s as i64 * SECOND;
            assert_eq!(believed(after_s, now), now);
        }
    }

    #[test]
    fn a_clock_that_is_ten_years_ahead_for_a_moment_makes_nothing_old() {
        let mut believed = asked();
        let segments: Vec<Segment> = (0..4).map(|id| segment(id, START - id * DAY)).collect();
        for after_s in (5..3600).step_by(5) {
            let now = believed(after_s, START + 10 * YEAR + after_s as i64 * SECOND);
            assert_eq!(now, START + after_s as i64 * SECOND);
            assert_eq!(ids_of(&segments, u64::MAX, now), Vec::<i64>::new());
        }
        let right = START + 3605 * SECOND;
        assert_eq!(believed(3605, right), right);
        // The next jump has to prove itself anew.
        let now = believed(3610, START + 10 * YEAR);
        assert_eq!(now, START + 3610 * SECOND);
    }

    #[test]
    fn a_clock_that_stays_ahead_is_believed() {
        let mut believed = asked();
        let ahead = |after_s: u64| START + 30 * DAY + after_s as i64 * SECOND;
        assert_eq!(believed(5, ahead(5)), START + 5 * SECOND);
        assert_eq!(believed(3000, ahead(3000)), START + 3000 * SECOND);
        assert_eq!(believed(3605, ahead(3605)), ahead(3605));
        assert_eq!(believed(3610, ahead(3610)), ahead(3610));
        assert_eq!(
            ids_of(&[segment(1, START)], u64::MAX, ahead(3610)),
            [1],
            "a machine that slept for a month has what is too old"
        );
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_old() {
        let mut believed = asked();
        assert_eq!(believed(5, 0), 0);
        assert_eq!(ids_of(&[segment(1, START)], u64::MAX, 0), Vec::<i64>::new());
        // Set right again, after a start without a battery: what passed is not what the clock jumped by.
        let right = START + 60 * SECOND;
        assert_eq!(believed(60, right), 55 * SECOND);
    }

    #[test]
    fn what_came_last_goes_last_whatever_the_clock_said() {
        let mut floor = 0;
        let mut arrivals = Vec::new();
        for system_ns in [START, START + 10 * YEAR, START, START - YEAR, START + DAY] {
            let mut memtable = Memtable::new(1, floor);
            memtable.arrived_at(system_ns);
            floor = memtable.arrived_unix_ns;
            arrivals.push(floor);
        }
        assert!(arrivals.is_sorted_by(|a, b| a < b), "{arrivals:?}");
        let segments: Vec<Segment> = arrivals
            .iter()
            .zip(1..)
            .map(|(arrived, id)| segment(id, *arrived))
            .collect();
        assert_eq!(ids_of(&segments, 200, START), [1, 2, 3]);
        assert_eq!(ids_of(&segments, 1, START), [1, 2, 3, 4]);
    }

    #[test]
    fn an_age_without_end_keeps_everything() {
        let segments = [segment(1, 0)];
        let gone = given_up(segments.iter(), u64::MAX, Duration::MAX, START);
        assert_eq!(gone.ids, Vec::<i64>::new());
        assert_eq!(gone.bytes_kept, 100);
    }
}
