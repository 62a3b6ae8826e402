//! What one check shows over time: looks go in, and a status comes out that does not flap.
//!
//! Invariants: what is shown grows worse only to what each of the last [`Patience::worsen_after`] looks was at least, and
//! better only to what each of the last [`Patience::recover_after`] looks was at most. Where nothing is known there is
//! nothing to defend, and the first look counts at once.

use std::time::Duration;

use super::Status;

/// How many looks in a row it takes to change what is shown, and how long a look counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Looks in a row that are worse than what is shown before it grows worse; 0 is 1.
    pub worsen_after: u32,
    /// Looks in a row that are better than what is shown before it grows better; 0 is 1.
    pub recover_after: u32,
    /// How long after a look what it said is no longer known. `None`: for ever.
    pub stale_after: Option<Duration>,
}

impl Patience {
    /// Every look counts at once and for ever: for looks that sum up a time themselves, as an error rate does.
    pub const NONE: Self = Self {
        worsen_after: 1,
        recover_after: 1,
        stale_after: None,
    };
}

impl Default for Patience {
    /// Two looks either way. One bad look is what a single lost packet makes, and two in a row an interval apart are a
    /// state; one good look among bad ones is not a recovery. More would add to the patience that who asks has already:
    /// Kubernetes restarts after three failed probes.
    fn default() -> Self {
        Self {
            worsen_after: 2,
            recover_after: 2,
            stale_after: None,
        }
    }
}

/// What is shown changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was shown.
    pub from: Status,
    /// What is shown now.
    pub to: Status,
}

/// The looks at one thing, as far as they still count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    patience: Patience,
    /// `None` before the first look.
    shown: Option<Status>,
    /// For each status, how many of the last looks in a row were at least as bad.
    at_least: [u32; Status::ALL.len()],
    /// For each status, how many of the last looks in a row were at most as bad.
    at_most: [u32; Status::ALL.len()],
    looked: Duration,
}

impl Track {
    /// Nobody looked yet.
    pub const fn new(patience: Patience) -> Self {
        Self {
            patience,
            shown: None,
            at_least: [0; Status::ALL.len()],
            at_most: [0; Status::ALL.len()],
            looked: Duration::ZERO,
        }
    }

    /// Whether anybody has looked.
    pub const fn is_known(&self) -> bool {
        self.shown.is_some()
    }

    /// What is shown at `now`: unknown before the first look, and where a good look is too old. A bad one stays.
    pub fn status(&self, now: Duration) -> Status {
        match self.shown {
            None => Status::Unknown,
            Some(shown) if self.is_stale(now) => shown.max(Status::Unknown),
            Some(shown) => shown,
        }
    }

    /// A look at `now` said `seen`. What is shown may change by it.
    pub fn look(&mut self, now: Duration, seen: Status) -> Option<Change> {
        let before = self.status(now);
        if self.is_stale(now) {
            self.forget_streaks();
        }
        for (index, status) in Status::ALL.into_iter().enumerate() {
            count(&mut self.at_least[index], seen >= status);
            count(&mut self.at_most[index], seen <= status);
        }
        let shown = if before == Status::Unknown {
            seen
        } else {
            self.moved(before)
        };
        self.show(now, before, shown)
    }

    /// Shows `seen` at once, for what needs no second look: a check that does not return has used up its time already.
    pub fn settle(&mut self, now: Duration, seen: Status) -> Option<Change> {
        let before = self.status(now);
        self.forget_streaks();
        self.show(now, before, seen)
    }

    /// Where the last looks move what was shown. The latest look is in both streaks, so one move at most is possible.
    fn moved(&self, before: Status) -> Status {
        let worsen_after = self.patience.worsen_after.max(1);
        let recover_after = self.patience.recover_after.max(1);
        let reached = |counts: &[u32; 4], needed: u32| counts.map(|looks| looks >= needed);
        let worse = reached(&self.at_least, worsen_after)
            .into_iter()
            .rposition(|is_reached| is_reached);
        let better = reached(&self.at_most, recover_after)
            .into_iter()
            .position(|is_reached| is_reached);
        let worse = worse.map(|index| Status::ALL[index]);
        let better = better.map(|index| Status::ALL[index]);
        match (worse, better) {
            (Some(floor), _) if floor > before => floor,
            (_, Some(ceiling)) if ceiling < before => ceiling,
            _ => before,
        }
    }

    fn show(&mut self, now: Duration, before: Status, shown: Status) -> Option<Change> {
        let was_known = self.is_known();
        self.shown = Some(shown);
        self.looked = now;
        (was_known && before != shown).then_some(Change {
            from: before,
            to: shown,
        })
    }

    fn forget_streaks(&mut self) {
        (self.at_least, self.at_most) = ([0; 4], [0; 4]);
    }

    fn is_stale(&self, now: Duration) -> bool {
        let age = now.saturating_sub(self.looked);
        let stale_after = self.patience.stale_after;
        self.is_known() && stale_after.is_some_and(|stale_after| age > stale_after)
    }
}

fn count(looks: &mut u32, goes_on: bool) {
    *looks = if goes_on { looks.saturating_add(1) } else { 0 };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Status::{Critical, Degraded, Healthy, Unknown},
        *,
    };

    fn after(looks: u64) -> Duration {
        Duration::from_secs(10 * looks)
    }

    /// What is shown after each look, ten seconds apart.
    fn shown(patience: Patience, looks: &[Status]) -> Vec<Status> {
        let mut track = Track::new(patience);
        let mut shown = Vec::new();
        for (number, &seen) in (0..).zip(looks) {
            let (before, was_known) = (track.status(after(number)), track.is_known());
            let change = track.look(after(number), seen);
            let now = track.status(after(number));
            let expected = (was_known && before != now).then_some(Change {
                from: before,
                to: now,
            });
            assert_eq!(change, expected);
            shown.push(now);
        }
        shown
    }

    #[test]
    fn it_takes_as_many_looks_in_a_row_as_are_asked_for() {
        let (h, u, d, c) = (Healthy, Unknown, Degraded, Critical);
        let patience = |worsen_after, recover_after| Patience {
            worsen_after,
            recover_after,
            stale_after: None,
        };
        let table: [(Patience, &[Status], &[Status]); 9] = [
            // The first look counts at once, whatever it says.
            (patience(3, 3), &[c], &[c]),
            (patience(3, 3), &[h], &[h]),
            // One bad look among good ones is not shown, two in a row are.
            (patience(2, 2), &[h, c, h, c, h], &[h, h, h, h, h]),
            (patience(2, 2), &[h, c, c], &[h, h, c]),
            // Worse only as far as each of the looks was.
            (patience(2, 2), &[h, d, c, c], &[h, h, d, c]),
            // One good look among bad ones is no recovery; better only as far as each of the looks was.
            (
                patience(2, 2),
                &[c, h, c, h, d, h, h],
                &[c, c, c, c, d, d, h],
            ),
            // Slow to worsen, quick to recover.
            (patience(3, 1), &[h, c, c, c, h], &[h, h, h, c, h]),
            // Zero is one.
            (patience(0, 0), &[h, c, d, h], &[h, c, d, h]),
            // Where nothing is known there is nothing to defend.
            (patience(2, 2), &[h, u, u, c, h], &[h, h, u, c, c]),
        ];
        for (patience, looks, expected) in table {
            assert_eq!(shown(patience, looks), expected, "{patience:?} {looks:?}");
        }
    }

    #[test]
    fn a_look_that_is_too_old_is_unknown_and_one_that_was_bad_stays_bad() {
        let patience = Patience {
            stale_after: Some(Duration::from_secs(30)),
            ..Patience::default()
        };
        let mut track = Track::new(patience);
        assert_eq!(track.status(after(100)), Unknown);
        assert_eq!(track.look(after(100), Healthy), None);
        assert_eq!(track.status(after(103)), Healthy);
        assert_eq!(track.status(after(104)), Unknown);
        // Nothing is known, so one look is enough.
        let change = track.look(after(104), Critical);
        let (from, to) = (Unknown, Critical);
        assert_eq!(change, Some(Change { from, to }));
        assert_eq!(track.status(after(200)), Critical);
        // A streak does not reach over the gap.
        assert_eq!(track.look(after(201), Healthy), None);
        assert_eq!(track.status(after(201)), Critical);
        track.look(after(202), Healthy);
        assert_eq!(track.status(after(202)), Healthy);
        // A clock that goes back makes nothing old.
        assert_eq!(track.status(Duration::ZERO), Healthy);
    }

    #[test]
    fn what_needs_no_second_look_is_shown_at_once_and_recovers_like_anything() {
        let mut track = Track::new(Patience::default());
        track.look(after(0), Healthy);
        track.look(after(1), Degraded);
        let (from, to) = (Healthy, Critical);
        assert_eq!(track.settle(after(2), Critical), Some(Change { from, to }));
        assert_eq!(track.look(after(3), Healthy), None);
        let (from, to) = (Critical, Healthy);
        assert_eq!(track.look(after(4), Healthy), Some(Change { from, to }));
    }

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(Status::ALL.to_vec())
    }

    proptest! {
        /// The rule as it is spoken, over all looks that were made.
        #[test]
        fn what_is_shown_is_what_the_last_looks_agree_on(
            looks in prop::collection::vec(any_status(), 1..40),
            worsen_after in 1_u32..5,
            recover_after in 1_u32..5,
        ) {
            let patience = Patience { worsen_after, recover_after, stale_after: None };
            let mut model = Vec::new();
            for (last, &seen) in looks.iter().enumerate() {
                let window = |count: u32| {
                    (last + 1).checked_sub(count as usize).map(|first| &looks[first..=last])
                };
                let before = model.last().copied();
                let floor = window(worsen_after).and_then(|window| window.iter().min().copied());
                let ceiling = window(recover_after).and_then(|window| window.iter().max().copied());
                model.push(match before {
                    None | Some(Unknown) => seen,
                    Some(before) => match (floor, ceiling) {
                        (Some(floor), _) if floor > before => floor,
                        (_, Some(ceiling)) if ceiling < before => ceiling,
                        _ => before,
                    },
                });
            }
            prop_assert_eq!(shown(patience, &looks), model);
        }
    }
}
