//! Which attributes the requests of one side have and those of the other have not.
//!
//! A request has an attribute when any of its spans, or the resource of one, carries it; what its logs warn of counts
//! like an attribute. Numbers of which there are many different ones are put into buckets by powers of two.
//!
//! Left out, because they would always differ and never explain: keys of which nearly every value is in one request
//! only (identifiers), numbers that count or time or name something, durations (the effect itself), lists and maps.
//!
//! What is claimed passes Fisher's exact test, corrected for how many attributes were looked at, so that sides that
//! are alike are told apart by any attribute at all in at most 1 of 100 comparisons. What is claimed is ranked by how
//! far apart the shares are at least (Newcombe's interval), so that few requests weigh less than many.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use radiosonde_core::{
    hash::FoldState,
    model::{Resource, Span, Value},
};

use super::{
    Lift, Origin,
    chance::{Counts, Exact, FALSE_CLAIMS, correction},
    requests::Request,
};
use crate::{
    units::Percent,
    why::{Evidence, segments::EVIDENCE_MAX, trace::labels},
};

/// Most claims made.
const LIFTS_MAX: usize = 20;
/// A value is nearly unique when values of its key are in fewer requests than this on average.
const REQUESTS_PER_VALUE_MIN: usize = 2;
/// More different numbers than these under one key are put into buckets.
const NUMBERS_MAX: usize = 16;
/// Longest value shown, in characters.
const VALUE_CHARS_MAX: usize = 80;
/// The key under which warnings stand.
pub(super) const WARNING: &str = "warning";

/// Words in a key that make its numbers names, counts or times.
const NAMING: [&str; 12] = [
    "id",
    "ids",
    "pid",
    "tid",
    "uuid",
    "seq",
    "sequence",
    "offset",
    "port",
    "time",
    "timestamp",
    "lineno",
];
/// Words in a key that make it the effect and not a cause.
const EFFECTS: [&str; 3] = ["duration", "elapsed", "latency"];
/// Keys by which samplers say that a trace stands for several.
const SAMPLING: [&str; 4] = [
    "SampleRate",
    "sampling.probability",
    "sampling.rate",
    "sampler.param",
];

/// A value as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held<'a> {
    Bool(bool),
    Whole(i128),
    /// The bits of a number that is not whole.
    Real(u64),
    Text(Cow<'a, str>),
}

impl<'a> Held<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::I64(value) => Self::Whole((*value).into()),
            Value::U64(value) => Self::Whole((*value).into()),
            // The same number may be written either way.
            Value::F64(value) if value.fract() == 0.0 && value.abs() < 1e18 => {
                Self::Whole(*value as i128)
            }
            Value::F64(value) => Self::Real(value.to_bits()),
            Value::Str(text) => Self::Text(Cow::Borrowed(text)),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        })
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(value) => Some(*value as f64),
            Self::Real(bits) => Some(f64::from_bits(*bits)),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Real(bits) => f64::from_bits(*bits).to_string(),
            Self::Text(text) => {
                let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
                let mut short: String = line.take(VALUE_CHARS_MAX).collect();
                if text.chars().nth(VALUE_CHARS_MAX).is_some() {
                    short.push('…');
                }
                short
            }
        }
    }
}

/// Where an attribute is found, and its key.
type Name<'a> = (Origin, &'a str);
/// An attribute with a value: its name's number and the value.
type Pair<'a> = (u32, Held<'a>);

/// Every attribute of both sides, numbered.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    names: HashMap<Name<'a>, u32, FoldState>,
    /// Hashed by the name's number, because a name comes with every span.
    numbers: HashMap<Pair<'a>, u32, FoldState>,
    /// What each resource has, by its place in memory, because many spans share one.
    resources: HashMap<*const Resource, Vec<u32>>,
}

impl<'a> Attributes<'a> {
    /// What a request has, whose spans and warnings these are.
    pub(super) fn gather(
        &mut self,
        spans: &[(&'a Resource, &'a Span)],
        warnings: impl Iterator<Item = &'a str>,
    ) -> Vec<u32> {
        let mut all = Vec::new();
        let mut resources = BTreeSet::new();
        for (resource, span) in spans {
            if resources.insert(std::ptr::from_ref::<Resource>(resource)) {
                self.resource(resource, &mut all);
            }
            for (key, value) in &span.attributes {
                if let Some(value) = Held::of(value) {
                    all.push(self.number(Origin::Span, key, value));
                }
            }
        }
        for message in warnings {
            let text = Held::Text(Cow::Owned(labels(message, None).0));
            all.push(self.number(Origin::Log, WARNING, text));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn resource(&mut self, resource: &'a Resource, all: &mut Vec<u32>) {
        let place = std::ptr::from_ref(resource);
        if let Some(known) = self.resources.get(&place) {
            all.extend(known);
            return;
        }
        let mut here = Vec::new();
        for (key, value) in &resource.attributes {
            if let Some(value) = Held::of(value) {
                here.push(self.number(Origin::Resource, key, value));
            }
        }
        all.extend(&here);
        self.resources.insert(place, here);
    }

    fn number(&mut self, origin: Origin, key: &'a str, value: Held<'a>) -> u32 {
        let next = self.names.len() as u32;
        let name = *self.names.entry((origin, key)).or_insert(next);
        let next = self.numbers.len() as u32;
        *self.numbers.entry((name, value)).or_insert(next)
    }

    /// Every name, in the order of the numbers.
    fn names(&self) -> Vec<Name<'a>> {
        let mut names = vec![(Origin::Span, ""); self.names.len()];
        for (name, number) in &self.names {
            names[*number as usize] = *name;
        }
        names
    }

    /// Every pair, in the order of the numbers.
    fn pairs(&self) -> Vec<&Pair<'a>> {
        let Some(any) = self.numbers.keys().next() else {
            return Vec::new();
        };
        let mut pairs = vec![any; self.numbers.len()];
        for (pair, number) in &self.numbers {
            pairs[*number as usize] = pair;
        }
        pairs
    }
}

/// What can be claimed: an attribute with a value or a range of values.
#[derive(Debug)]
struct Item<'a> {
    origin: Origin,
    key: &'a str,
    value: String,
}

/// What is known of a key.
#[derive(Debug, Default)]
struct Key {
    values: usize,
    numbers: usize,
    /// How often a request has a value of it.
    requests: usize,
    /// Its numbers are names, counts or times.
    is_naming: bool,
    /// It is the effect and not a cause.
    is_effect: bool,
}

impl Key {
    fn of(name: &str) -> Self {
        Self {
            is_naming: has_word(name, &NAMING),
            is_effect: has_word(name, &EFFECTS),
            ..Self::default()
        }
    }
}

/// How the pairs were understood.
#[derive(Debug, Default)]
pub(super) struct Understood<'a> {
    items: Vec<Item<'a>>,
    /// The item of each pair, if it has a part.
    item_of: Vec<Option<u32>>,
    /// Keys whose values are nearly unique.
    pub(super) unique: BTreeSet<&'a str>,
    /// A key says that traces were sampled.
    pub(super) sampling: Option<&'a str>,
}

impl<'a> Understood<'a> {
    pub(super) fn new(attributes: &Attributes<'a>, requests: &[Vec<Request>; 2]) -> Self {
        let (names, pairs) = (attributes.names(), attributes.pairs());
        let mut present = vec![0_usize; pairs.len()];
        for request in requests.iter().flatten() {
            for &pair in &request.attributes {
                present[pair as usize] += 1;
            }
        }
        let mut keys: Vec<Key> = names.iter().map(|(_, name)| Key::of(name)).collect();
        for ((name, value), &requests) in pairs.iter().zip(&present) {
            let key = &mut keys[*name as usize];
            key.values += 1;
            key.numbers += usize::from(value.number().is_some());
            key.requests += requests;
        }
        let mut understood = Self::default();
        let mut known: HashMap<(u32, String), u32, FoldState> = HashMap::default();
        for (number, held) in pairs {
            let (origin, key) = names[*number as usize];
            let value = understood.value((origin, key), held, &keys[*number as usize]);
            let item = value.map(|value| {
                let next = understood.items.len() as u32;
                *known.entry((*number, value)).or_insert_with_key(|named| {
                    understood.items.push(Item {
                        origin,
                        key,
                        value: named.1.clone(),
                    });
                    next
                })
            });
            understood.item_of.push(item);
        }
        understood
    }

    /// What a value is compared by, if by anything.
    fn value(&mut self, (origin, name): Name<'a>, value: &Held<'_>, key: &Key) -> Option<String> {
        if origin == Origin::Log {
            return Some(value.shown());
        }
        if SAMPLING.contains(&name) {
            self.sampling = self.sampling.max(Some(name));
        }
        if key.is_effect {
            return None;
        }
        if let Some(number) = value.number()
            && key.numbers > NUMBERS_MAX
        {
            return (!key.is_naming).then(|| bucket(number));
        }
        // A few values may each be in one request without being identifiers.
        if key.values > NUMBERS_MAX && key.requests < key.values * REQUESTS_PER_VALUE_MIN {
            self.unique.insert(name);
            return None;
        }
        Some(value.shown())
    }

    /// The items of a request, in ascending order.
    fn of(&self, request: &Request) -> Vec<u32> {
        let pairs = request.attributes.iter();
        let mut items: Vec<u32> = pairs
            .filter_map(|&pair| self.item_of[pair as usize])
            .collect();
        items.sort_unstable();
        items.dedup();
        items
    }
}

/// Whether one of a key's words is among `words`.
fn has_word(key: &str, words: &[&str]) -> bool {
    key.split(['.', '_', '-', ':', '/'])
        .any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// The range between powers of two that a number lies in: `256..512` holds 256 and not 512.
fn bucket(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.abs().to_string();
    }
    // The exponent of the binary form; numbers too small for one share a range.
    let power = ((number.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let bound = |power: i32| {
        let bound = 2_f64.powi(power);
        if (-10..64).contains(&power) {
            bound.to_string()
        } else {
            format!("{bound:e}")
        }
    };
    if number > 0.0 {
        format!("{}..{}", bound(power), bound(power + 1))
    } else {
        format!("-{}..-{}", bound(power + 1), bound(power))
    }
}

/// What was found, and how much was looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lifts: Vec<Lift>,
    /// Attributes with a value that were looked at.
    pub(super) looked_at: u64,
    /// Those whose margins allow a claim.
    pub(super) could_be_claimed: u64,
}

/// The attributes that tell the sides apart, those first that may explain and not only name a side.
pub(super) fn find(
    understood: &Understood<'_>,
    requests: &[Vec<Request>; 2],
    names: [&str; 2],
    exact: &Exact,
) -> Found {
    let of = [requests[0].len() as u64, requests[1].len() as u64];
    let items: [Vec<Vec<u32>>; 2] = [0, 1].map(|side| {
        let side: &[Request] = &requests[side];
        side.iter().map(|request| understood.of(request)).collect()
    });
    let mut have = vec![[0_u64; 2]; understood.items.len()];
    for (side, requests) in items.iter().enumerate() {
        for &item in requests.iter().flatten() {
            have[item as usize][side] += 1;
        }
    }
    let counts = |have: [u64; 2]| Counts { have, of };
    let least: Vec<f64> = have.iter().map(|&have| exact.least(counts(have))).collect();
    let could_be_claimed = least.iter().filter(|&&p| p <= FALSE_CLAIMS).count() as u64;
    let times = correction(least.clone()) as f64;
    let mut claims: Vec<(u32, Counts, f64)> = have
        .iter()
        .zip(least)
        .enumerate()
        .filter(|(_, (_, least))| least * times <= FALSE_CLAIMS)
        .map(|(item, (&have, _))| {
            let chance = exact.probability(counts(have)) * times;
            (item as u32, counts(have), chance)
        })
        .filter(|(.., chance)| *chance <= FALSE_CLAIMS)
        .collect();
    claims.sort_by_cached_key(|&(item, counts, _)| rank(&understood.items[item as usize], counts));
    claims.truncate(LIFTS_MAX);
    let lifts = claims.into_iter().map(|(number, counts, chance)| {
        let item = &understood.items[number as usize];
        let side = usize::from(counts.difference().0 > 0.0);
        let evidence = witnesses(number, &items[side], &requests[side]);
        lift(item, counts, chance, names, evidence)
    });
    Found {
        lifts: lifts.collect(),
        looked_at: understood.items.len() as u64,
        could_be_claimed,
    }
}

/// Whether something of the resource splits the sides cleanly: by it the sides were chosen, as likely as not.
fn names_a_side(item: &Item<'_>, counts: Counts) -> bool {
    let all = |side: usize| counts.have[side] == counts.of[side];
    let none = |side: usize| counts.have[side] == 0;
    item.origin == Origin::Resource && (all(0) && none(1) || none(0) && all(1))
}

/// The rank of a claim: what names a side last; then by how far apart the shares are at least, in millionths so that
/// the last digit of a number does not decide; then what the second side has more of; then by name.
fn rank(item: &Item<'_>, counts: Counts) -> impl Ord + use<> {
    let (difference, bound) = counts.difference();
    (
        names_a_side(item, counts),
        Reverse((bound.abs() * 1e6).round() as u64),
        difference < 0.0,
        item.origin,
        item.key.to_owned(),
        item.value.clone(),
    )
}

fn lift(
    item: &Item<'_>,
    counts: Counts,
    chance: f64,
    names: [&str; 2],
    evidence: Vec<Evidence>,
) -> Lift {
    let (difference, at_least) = counts.difference();
    let more = usize::from(difference > 0.0);
    let less = 1 - more;
    let share = |side: usize| Percent(counts.have[side], counts.of[side]);
    let ratio = |side: usize| counts.have[side] as f64 / counts.of[side] as f64;
    let has = match item.origin {
        Origin::Log => format!("warn `{}`", item.value),
        Origin::Span | Origin::Resource => format!("have {}={}", item.key, item.value),
    };
    let fewer = if counts.have[less] == 0 {
        format!(
            "none of `{}` {}",
            names[less],
            if item.origin == Origin::Log {
                "does"
            } else {
                "has"
            }
        )
    } else {
        format!("{} of `{}` do", share(less), names[less])
    };
    Lift {
        origin: item.origin,
        key: item.key.to_owned(),
        value: item.value.clone(),
        first: counts.have[0],
        second: counts.have[1],
        difference,
        at_least,
        lift: (counts.have[less] > 0).then(|| ratio(more) / ratio(less)),
        chance,
        names_a_side: names_a_side(item, counts),
        words: format!("{} of `{}` {has}, {fewer}", share(more), names[more]),
        evidence,
    }
}

/// The longest requests that have an item.
fn witnesses(item: u32, items: &[Vec<u32>], requests: &[Request]) -> Vec<Evidence> {
    let mut longest: Vec<&Request> = items
        .iter()
        .zip(requests)
        .filter(|(items, _)| items.binary_search(&item).is_ok())
        .map(|(_, request)| request)
        .collect();
    longest.sort_by_key(|request| {
        (
            Reverse(request.duration_ns),
            request.trace_id,
            request.span_id,
        )
    });
    longest.truncate(EVIDENCE_MAX);
    longest.into_iter().map(Request::evidence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_between_powers_of_two() {
        let shown = [0.0, 1.0, 300.0, 511.9, 512.0, -3.0, 0.75, 1e30].map(bucket);
        assert_eq!(
            shown,
            [
                "0",
                "1..2",
                "256..512",
                "256..512",
                "512..1024",
                "-4..-2",
                "0.5..1",
                "6.338253001141147e29..1.2676506002282294e30"
            ]
        );
    }

    #[test]
    fn a_word_of_a_key_is_a_whole_word() {
        assert!(has_word("enduser.id", &NAMING));
        assert!(has_word("thread_id", &NAMING));
        assert!(!has_word("width", &NAMING));
        assert!(!has_word("device", &NAMING));
        assert!(has_word("thread.cpu.duration", &EFFECTS));
    }
}
