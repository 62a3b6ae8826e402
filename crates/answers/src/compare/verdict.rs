//! From the differences of all nodes to the one that makes the difference, or to "cannot tell".
//!
//! The search starts above the roots and goes down while one child is clear: it has at least half of the whole
//! difference, 1.5 times as much as anything beside it, and more than chance would give it. It ends at what is on one
//! side only and at what is called more often, because what is below such a node only follows it.
//!
//! With 8 requests on both sides it is first asked whether durations differ by more than chance. With fewer nothing
//! can be tested, and the records are only described, where every request of one side took longer than each of the
//! other.

use super::{
    Change, Difference, Verdict,
    chance::{DEVIATE, Exact, FALSE_CLAIMS},
    durations::REQUESTS_MIN,
    requests::Gathered,
    tree::{ABOVE, Forest, Moments, Tally},
};
use crate::{units::Nanoseconds, why::Confidence};

mod words;

pub(super) use words::Calls;

/// Least share of the difference that is the contributor.
const SHARE_MIN: f64 = 0.5;
/// From this share on a verdict can be sure.
const SHARE_SURE: f64 = 0.6;
/// How many times as much as the next one it is.
const CLEAR_TIMES: f64 = 1.5;
/// The same for a verdict that is sure.
const SURE_TIMES: f64 = 2.0;
/// Where nothing can be tested, a smaller difference than this share of the shorter mean is none.
const ALIKE_SHARE: f64 = 0.05;
/// From this share of the difference on, other requests being made stands in the way of every other answer.
const MIX_SHARE: f64 = 0.3;
/// How many times as many calls are more calls.
pub(super) const CALLS_TIMES: f64 = 2.0;
/// Most labels of a path that are given.
const PATH_MAX: usize = 16;

/// A difference of means, longer side less shorter, in nanoseconds, and the square of its standard error.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    ns: f64,
    variance: f64,
}

/// How far above everything beside it the contributor is.
#[derive(Clone, Copy, Debug)]
struct Margin {
    share: f64,
    times: f64,
}

/// How much of the difference is due to other requests being made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mix {
    /// Second side less first, in nanoseconds.
    pub(super) ns: f64,
    /// The operation that has most of it.
    operation: u32,
}

/// What is needed to judge.
pub(super) struct Judge<'a> {
    pub(super) forest: &'a Forest,
    sorted: &'a [Vec<u64>; 2],
    pub(super) names: [&'a str; 2],
    /// Requests of each side.
    pub(super) of: [u64; 2],
    difference: Option<&'a Difference>,
    pub(super) exact: &'a Exact,
    pub(super) mix: Mix,
    children: Vec<Vec<u32>>,
    /// The side whose mean is longer.
    longer: usize,
    /// By how much, in nanoseconds.
    total_ns: f64,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        gathered: &'a Gathered<'_>,
        sorted: &'a [Vec<u64>; 2],
        names: [&'a str; 2],
        difference: Option<&'a Difference>,
        exact: &'a Exact,
    ) -> Self {
        let forest = &gathered.forest;
        let mut children = vec![Vec::new(); forest.places.len()];
        for (number, place) in forest.places.iter().enumerate().skip(1) {
            children[place.parent as usize].push(number as u32);
        }
        let mut judge = Self {
            forest,
            sorted,
            names,
            of: [sorted[0].len() as u64, sorted[1].len() as u64],
            difference,
            exact,
            mix: Mix::default(),
            children,
            longer: usize::from(difference.is_some_and(|difference| difference.mean_ns > 0)),
            total_ns: difference.map_or(0.0, |difference| difference.mean_ns.unsigned_abs() as f64),
        };
        if difference.is_some() {
            judge.mix = judge.mixed();
        }
        judge
    }

    /// There are enough requests to ask whether something is more than chance.
    pub(super) fn is_tested(&self) -> bool {
        self.of.iter().all(|&requests| requests >= REQUESTS_MIN)
    }

    /// Durations differ by more than chance.
    pub(super) fn is_certain(&self) -> bool {
        let chance = self.difference.and_then(|difference| difference.chance);
        chance.is_some_and(|chance| chance <= FALSE_CLAIMS)
    }

    fn tally(&self, place: u32, side: usize) -> &Tally {
        &self.forest.places[place as usize].sides[side]
    }

    fn part(&self, place: u32, of: impl Fn(&Tally) -> Moments) -> Part {
        let mean = |side: usize| of(self.tally(place, side)).mean(self.of[side]);
        let (longer, shorter) = (mean(self.longer), mean(1 - self.longer));
        Part {
            ns: longer.0 - shorter.0,
            variance: longer.1 + shorter.1,
        }
    }

    fn path(&self, place: u32) -> Part {
        self.part(place, |tally| tally.path)
    }

    fn own(&self, place: u32) -> Part {
        self.part(place, |tally| tally.own)
    }

    /// Kitagawa's component: each operation's change of share at the mean of its durations on both sides.
    fn mixed(&self) -> Mix {
        let mut mix = Mix::default();
        let mut largest = 0.0;
        for &operation in &self.children[ABOVE as usize] {
            let side = |side: usize| {
                let tally = self.tally(operation, side);
                let share = tally.requests as f64 / self.of[side] as f64;
                let mean = (tally.requests > 0).then(|| tally.path.mean(tally.requests).0);
                (share, mean)
            };
            let ((first, first_mean), (second, second_mean)) = (side(0), side(1));
            let mean = match (first_mean, second_mean) {
                (Some(a), Some(b)) => f64::midpoint(a, b),
                (one, other) => one.or(other).unwrap_or(0.0),
            };
            let ns = (second - first) * mean;
            mix.ns += ns;
            if ns.abs() > largest {
                largest = ns.abs();
                mix.operation = operation;
            }
        }
        mix
    }

    /// The answer, and the place that it names.
    pub(super) fn decide(&self) -> (Verdict, Option<u32>) {
        if let Some(because) = self.nothing_to_explain() {
            return (Verdict::CannotTell { because }, None);
        }
        let towards_longer = if self.longer == 1 { 1.0 } else { -1.0 };
        let mix_ns = self.mix.ns * towards_longer;
        if mix_ns.abs() >= MIX_SHARE * self.total_ns {
            return self.other_requests(mix_ns);
        }
        self.search()
    }

    /// Why there is no difference to explain, if there is none.
    fn nothing_to_explain(&self) -> Option<String> {
        let names = self.names;
        let Some(difference) = self.difference else {
            let empty = usize::from(self.of[0] > 0);
            return Some(format!("`{}` has no requests", names[empty]));
        };
        let operations = &self.children[ABOVE as usize];
        if !operations
            .iter()
            .any(|&place| self.is_on(place, 0) && self.is_on(place, 1))
        {
            let first = |side: usize| operations.iter().find(|&&place| self.is_on(place, side));
            let name =
                |side: usize| first(side).map_or_else(String::new, |&place| self.name(place));
            return Some(format!(
                "the sides have no operation in common: `{}` has {}, `{}` has {}",
                names[0],
                name(0),
                names[1],
                name(1)
            ));
        }
        if difference.mean_ns == 0 {
            return Some("the sides took equally long".to_owned());
        }
        match difference.chance {
            Some(chance) if chance > FALSE_CLAIMS => Some(format!(
                "the durations do not differ by more than chance: sides that are alike differ as much in {:.0} of 100 comparisons",
                (100.0 * chance).max(1.0)
            )),
            Some(_) => None,
            None => self.not_apart(),
        }
    }

    /// Why few requests do not show a difference, if they do not.
    fn not_apart(&self) -> Option<String> {
        let (longer, shorter) = (&self.sorted[self.longer], &self.sorted[1 - self.longer]);
        let (Some(&least), Some(&most)) = (longer.first(), shorter.last()) else {
            return None;
        };
        let mean_ns = self.path_mean(1 - self.longer);
        if self.total_ns < ALIKE_SHARE * mean_ns {
            return Some(format!(
                "the sides took about as long as each other: {} and {}",
                Nanoseconds(self.path_mean(0).round() as u64),
                Nanoseconds(self.path_mean(1).round() as u64)
            ));
        }
        (least <= most).then(|| {
            format!(
                "the durations of both sides overlap, and {REQUESTS_MIN} requests on each side are needed to tell a difference from chance"
            )
        })
    }

    /// The mean duration of a side's requests.
    fn path_mean(&self, side: usize) -> f64 {
        self.tally(ABOVE, side).path.mean(self.of[side]).0
    }

    pub(super) fn is_on(&self, place: u32, side: usize) -> bool {
        self.tally(place, side).requests > 0
    }

    /// The verdict where the sides hold different requests.
    fn other_requests(&self, mix_ns: f64) -> (Verdict, Option<u32>) {
        let operation = self.mix.operation;
        let words = self.words_of_mix(operation, mix_ns);
        let is_certain = self.is_tested() && self.chance_of_presence(operation) <= FALSE_CLAIMS;
        if mix_ns < SHARE_MIN * self.total_ns || !is_certain {
            return (Verdict::CannotTell { because: words }, None);
        }
        let margin = Margin {
            share: mix_ns / self.total_ns,
            times: f64::INFINITY,
        };
        self.named(operation, Change::Mix, mix_ns, margin, words)
    }

    /// Goes down to the contributor.
    fn search(&self) -> (Verdict, Option<u32>) {
        let mut at = ABOVE;
        let mut margin = Margin {
            share: f64::INFINITY,
            times: f64::INFINITY,
        };
        while let Some((child, clear)) = self.clear_child(at) {
            at = child;
            margin.share = margin.share.min(clear.share);
            margin.times = margin.times.min(clear.times);
            let change = self.change(at);
            if change != Change::Slower {
                let ns = self.path(at).ns;
                return self.named(at, change, ns, margin, self.words(at, change, ns));
            }
        }
        if at != ABOVE && self.forest.places[at as usize].has_children {
            let beside = self.children[at as usize]
                .iter()
                .map(|&child| self.path(child));
            let own = self.own(at);
            if let Some(clear) = self.clear(own, beside) {
                margin.share = margin.share.min(clear.share);
                margin.times = margin.times.min(clear.times);
                let words = self.words(at, Change::OwnTime, own.ns);
                return self.named(at, Change::OwnTime, own.ns, margin, words);
            }
        }
        let place = &self.forest.places[at as usize];
        if place.depth > 1 {
            let ns = self.path(at).ns;
            return self.named(
                at,
                Change::Slower,
                ns,
                margin,
                self.words(at, Change::Slower, ns),
            );
        }
        let because = if at != ABOVE && !place.has_children {
            format!(
                "all of the difference is in {}, and nothing was recorded inside it; add spans there",
                self.name(at)
            )
        } else {
            self.spread()
        };
        (Verdict::CannotTell { because }, None)
    }

    /// The child of a node that is clear, if one is.
    fn clear_child(&self, at: u32) -> Option<(u32, Margin)> {
        let children = &self.children[at as usize];
        // Of equal ones the first, although neither is then clear.
        let child = children
            .iter()
            .copied()
            .rev()
            .max_by(|&a, &b| self.path(a).ns.total_cmp(&self.path(b).ns))?;
        let others = children.iter().filter(|&&other| other != child);
        let beside = others.map(|&other| self.path(other)).chain([self.own(at)]);
        self.clear(self.path(child), beside)
            .map(|clear| (child, clear))
    }

    /// By how much a part is above those beside it, if it is clear.
    fn clear(&self, part: Part, beside: impl Iterator<Item = Part>) -> Option<Margin> {
        let rival = beside
            .max_by(|a, b| a.ns.abs().total_cmp(&b.ns.abs()))
            .unwrap_or_default();
        let is_above = |ns: f64, variance: f64| !self.is_tested() || ns > DEVIATE * variance.sqrt();
        let margin = Margin {
            share: part.ns / self.total_ns,
            times: part.ns / rival.ns.abs(),
        };
        (margin.share >= SHARE_MIN
            && margin.times >= CLEAR_TIMES
            && is_above(part.ns, part.variance)
            && is_above(part.ns - rival.ns.abs(), part.variance + rival.variance))
        .then_some(margin)
    }

    /// How a node makes its part of the difference.
    fn change(&self, place: u32) -> Change {
        let shorter = 1 - self.longer;
        if !self.is_on(place, shorter) {
            return Change::OneSideOnly;
        }
        let (more, fewer) = (self.calls(place, self.longer), self.calls(place, shorter));
        // What the calls that are too many take at the mean of both sides' time for each.
        let each = |side: usize| self.tally(place, side).path.mean(self.of[side]).0;
        let each = f64::midpoint(each(self.longer) / more, each(shorter) / fewer);
        if more >= CALLS_TIMES * fewer && (more - fewer) * each >= self.path(place).ns / 2.0 {
            Change::MoreCalls
        } else {
            Change::Slower
        }
    }

    /// Calls per request.
    pub(super) fn calls(&self, place: u32, side: usize) -> f64 {
        self.tally(place, side).calls.mean(self.of[side]).0
    }

    /// How much calls per request differ, second side less first, in standard errors.
    pub(super) fn calls_deviate(&self, place: u32) -> f64 {
        let mean = |side: usize| self.tally(place, side).calls.mean(self.of[side]);
        let (first, second) = (mean(0), mean(1));
        let difference = second.0 - first.0;
        let error = (first.1 + second.1).sqrt();
        if error > 0.0 {
            difference / error
        } else if difference.abs() > 0.0 {
            f64::INFINITY
        } else {
            0.0
        }
    }

    fn named(
        &self,
        place: u32,
        change: Change,
        ns: f64,
        margin: Margin,
        words: String,
    ) -> (Verdict, Option<u32>) {
        let is_sure = self.is_tested() && margin.share >= SHARE_SURE && margin.times >= SURE_TIMES;
        let tally = self.tally(place, self.longer);
        let verdict = Verdict::Contributor {
            change,
            node: place,
            path: self.forest.path(place, PATH_MAX),
            longer: self.names[self.longer].to_owned(),
            difference_ns: ns.round() as u64,
            share: ns / self.total_ns,
            confidence: if is_sure {
                Confidence::High
            } else {
                Confidence::Medium
            },
            words,
            evidence: tally.longest.clone(),
        };
        (verdict, Some(place))
    }

    /// The chance that sides that are alike differ as much in errors.
    pub(super) fn chance_of_errors(&self) -> f64 {
        self.difference
            .map_or(1.0, |difference| difference.chance_of_errors)
    }

    /// How much the means and the medians differ, in nanoseconds.
    pub(super) fn mean_and_median(&self) -> Option<[i64; 2]> {
        let difference = self.difference?;
        Some([difference.mean_ns, difference.p50_ns])
    }

    /// The chance that sides that are alike differ as much in how many of their requests have a node.
    pub(super) fn chance_of_presence(&self, place: u32) -> f64 {
        self.exact.probability(self.forest.counts(place, self.of))
    }
}
