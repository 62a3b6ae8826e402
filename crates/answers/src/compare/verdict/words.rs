//! What a verdict says, in sentences.

use std::fmt;

use super::{Change, Judge};
use crate::{
    compare::tree::{Moments, Tally},
    units::{Nanoseconds, NanosecondsMore, Percent},
};

/// Calls per request: whole where they are, else with one decimal.
pub(in crate::compare) struct Calls(pub(in crate::compare) f64);

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.0.fract() == 0.0 {
            format!("{:.0}", self.0)
        } else if self.0 < 0.05 {
            "<0.1".to_owned()
        } else {
            format!("{:.1}", self.0)
        };
        f.pad(&text)
    }
}

impl Judge<'_> {
    /// A node's name in a sentence, with its service where there are several.
    pub(in crate::compare) fn name(&self, place: u32) -> String {
        let (label, service) = (self.forest.label(place), self.forest.service(place));
        if self.forest.has_one_service() {
            format!("`{label}`")
        } else {
            format!("`{label}` of {service}")
        }
    }

    /// What a node has to do with it, in a sentence.
    pub(super) fn words(&self, place: u32, change: Change, ns: f64) -> String {
        let (longer, shorter) = (self.names[self.longer], self.names[1 - self.longer]);
        let name = self.name(place);
        let time = |side: usize, of: fn(&Tally) -> Moments| {
            Nanoseconds(of(self.tally(place, side)).mean(self.of[side]).0.round() as u64)
        };
        let path = |side: usize| time(side, |tally| tally.path);
        let part = Percent(ns.round() as u64, self.total_ns as u64);
        let of_it = format!("{part} of the difference");
        match change {
            Change::OneSideOnly => format!(
                "{name} is on `{longer}` only, where it has {} per request: {of_it}",
                path(self.longer)
            ),
            Change::MoreCalls => format!(
                "{name} is called {} times per request on `{longer}` and {} on `{shorter}`, and has {} instead of {}: {of_it}",
                Calls(self.calls(place, self.longer)),
                Calls(self.calls(place, 1 - self.longer)),
                path(self.longer),
                path(1 - self.longer)
            ),
            Change::OwnTime => format!(
                "{name} itself, outside of what was recorded inside it, has {} per request on `{longer}` and {} on `{shorter}`: {of_it}",
                time(self.longer, |tally| tally.own),
                time(1 - self.longer, |tally| tally.own)
            ),
            Change::Slower | Change::Mix => format!(
                "{name} has {} per request on `{longer}` and {} on `{shorter}`: {of_it}",
                path(self.longer),
                path(1 - self.longer)
            ),
        }
    }

    /// How much other requests being made have to do with it.
    pub(super) fn words_of_mix(&self, operation: u32, mix_ns: f64) -> String {
        let counts = self.forest.counts(operation, self.of);
        let share = |side: usize| Percent(counts.have[side], counts.of[side]);
        format!(
            "the sides hold different requests: {} is {} of `{}` and {} of `{}`, and the mix of requests alone makes {} of the {} that `{}` takes longer; compare one operation at a time",
            self.name(operation),
            share(0),
            self.names[0],
            share(1),
            self.names[1],
            NanosecondsMore(mix_ns.round() as i64),
            Nanoseconds(self.total_ns as u64),
            self.names[self.longer],
        )
    }

    /// Why no part of the difference is clear.
    pub(super) fn spread(&self) -> String {
        let mut parts: Vec<(f64, u32)> = (1..self.forest.places.len() as u32)
            .map(|place| (self.own(place).ns, place))
            .filter(|(ns, _)| ns.abs() >= 1.0)
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let parts: Vec<_> = parts
            .into_iter()
            .take(3)
            .map(|(ns, place)| {
                format!(
                    "{} {}",
                    self.name(place),
                    NanosecondsMore(ns.round() as i64)
                )
            })
            .collect();
        format!(
            "no part of the {} that `{}` takes longer stands out: {}",
            Nanoseconds(self.total_ns as u64),
            self.names[self.longer],
            parts.join(", ")
        )
    }
}
