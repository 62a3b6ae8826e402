//! What is said beside the verdict: errors, shape, a median that went the other way; and what the records do not say.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    Durations, Tree,
    chance::{FALSE_CLAIMS, two_sided},
    durations::{REQUESTS_MIN, difference_of_means},
    lift::{Found, Understood},
    requests::Gathered,
    tree::ABOVE,
    verdict::{CALLS_TIMES, Calls, Judge},
};
use crate::{
    units::{Count, Nanoseconds, NanosecondsMore},
    why::{Evidence, Finding, NotAssessed, findings::about_the_tree, segments::EVIDENCE_MAX},
};

/// Most changes of the shape of requests that are told.
const CHANGES_MAX: usize = 5;
/// Most keys that are named as identifiers.
const KEYS_MAX: usize = 8;
/// With fewer requests the 95th percentile is the longest.
const PERCENTILE_REQUESTS_MIN: u64 = 20;

/// What else is different, in a fixed order.
pub(super) fn findings(
    gathered: &Gathered<'_>,
    summaries: &[Option<Durations>; 2],
    judge: &Judge<'_>,
    named: Option<u32>,
) -> Vec<Finding> {
    let [Some(first), Some(second)] = summaries else {
        return Vec::new();
    };
    errors(gathered, [first, second], judge)
        .into_iter()
        .chain(other_way([first, second], judge))
        .chain(changes(judge, named))
        .collect()
}

fn errors(gathered: &Gathered<'_>, sides: [&Durations; 2], judge: &Judge<'_>) -> Option<Finding> {
    let failed = sides.map(|side| side.errors);
    let differs = u128::from(failed[0]) * u128::from(judge.of[1])
        != u128::from(failed[1]) * u128::from(judge.of[0]);
    let is_certain = !judge.is_tested() || judge.chance_of_errors() <= FALSE_CLAIMS;
    if !differs || !is_certain {
        return None;
    }
    let of = |side: usize| {
        let requests = Count(judge.of[side], "request");
        match failed[side] {
            0 => format!("none of {requests} of `{}`", judge.names[side]),
            failed => format!("{failed} of {requests} of `{}`", judge.names[side]),
        }
    };
    let share = |side: usize| failed[side] as f64 / judge.of[side] as f64;
    let more = usize::from(share(1) > share(0));
    let mut longest: Vec<Evidence> = gathered.requests[more]
        .iter()
        .filter(|request| request.failed)
        .map(super::requests::Request::evidence)
        .collect();
    longest.sort_by_key(|witness| {
        (
            Reverse(witness.duration_ns),
            witness.trace_id,
            witness.span_id,
        )
    });
    longest.truncate(EVIDENCE_MAX);
    Some(Finding {
        words: format!("{} failed, and {}", of(more), of(1 - more)),
        evidence: longest,
    })
}

/// The median and the mean differ in opposite directions.
fn other_way(sides: [&Durations; 2], judge: &Judge<'_>) -> Option<Finding> {
    let [mean_ns, p50_ns] = judge.mean_and_median()?;
    let is_much = p50_ns.unsigned_abs() > sides[0].p50_ns / 20;
    (judge.is_certain() && is_much && mean_ns.signum() * p50_ns.signum() < 0).then(|| Finding {
        words: format!(
            "the mean differs by {} and the median by {}: a few requests make the mean",
            NanosecondsMore(mean_ns),
            NanosecondsMore(p50_ns)
        ),
        evidence: Vec::new(),
    })
}

/// What is on one side only or called at least twice as often, without what is below such.
fn changes(judge: &Judge<'_>, named: Option<u32>) -> Vec<Finding> {
    let places = &judge.forest.places;
    let on_both = |place: u32| place == ABOVE || judge.is_on(place, 0) && judge.is_on(place, 1);
    let differs = |place: u32| {
        let (first, second) = (judge.calls(place, 0), judge.calls(place, 1));
        first.max(second) >= CALLS_TIMES * first.min(second)
    };
    let tops = (1..places.len() as u32).filter(|&place| {
        let parent = places[place as usize].parent;
        on_both(parent) && (parent == ABOVE || !differs(parent)) && differs(place)
    });
    let tops: Vec<u32> = tops.collect();
    // Each is a chance for a false claim.
    let times = tops.len() as f64;
    let chance = |place: u32| {
        if on_both(place) {
            two_sided(judge.calls_deviate(place))
        } else {
            judge.chance_of_presence(place)
        }
    };
    let mut tops: Vec<u32> = tops
        .into_iter()
        .filter(|&place| Some(place) != named)
        .filter(|&place| !judge.is_tested() || chance(place) * times <= FALSE_CLAIMS)
        .collect();
    let path = |place: u32| {
        let sums = places[place as usize].sides.each_ref();
        difference_of_means(sums.map(|tally| tally.path.sum), judge.of).unsigned_abs()
    };
    tops.sort_by_cached_key(|&place| (Reverse(path(place)), place));
    tops.truncate(CHANGES_MAX);
    tops.into_iter().map(|place| change(judge, place)).collect()
}

fn change(judge: &Judge<'_>, place: u32) -> Finding {
    let name = judge.name(place);
    let parent = judge.forest.places[place as usize].parent;
    let below = if parent == ABOVE {
        String::new()
    } else {
        format!(" below {}", judge.name(parent))
    };
    let calls = [0, 1].map(|side| judge.calls(place, side));
    let more = usize::from(calls[1] > calls[0]);
    let tally = &judge.forest.places[place as usize].sides[more];
    let words = if calls[1 - more] == 0.0 {
        format!(
            "{name}{below} is on `{}` only: {} a request, {} of its time",
            judge.names[more],
            match Calls(calls[more]).to_string().as_str() {
                "1" => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            },
            Nanoseconds(tally.path.mean(judge.of[more]).0.round() as u64)
        )
    } else {
        format!(
            "{name}{below} is called {} times a request on `{}` and {} on `{}`",
            Calls(calls[more]),
            judge.names[more],
            Calls(calls[1 - more]),
            judge.names[1 - more]
        )
    };
    Finding {
        words,
        evidence: tally.longest.clone(),
    }
}

/// What could not be assessed, in a fixed order.
pub(super) fn not_assessed(
    gathered: &Gathered<'_>,
    summaries: &[Option<Durations>; 2],
    understood: &Understood<'_>,
    found: &Found,
    tree: &Tree,
    names: [&str; 2],
) -> Vec<NotAssessed> {
    let mut all = Vec::new();
    let mut say = |what: &str, because: String| {
        all.push(NotAssessed {
            what: what.to_owned(),
            because,
        });
    };
    if let [Some(first), Some(second)] = summaries {
        about_numbers([first, second], found, names, &mut say);
    }
    about_attributes(understood, found, &mut say);
    about_requests(gathered, names, &mut say);
    if tree.unlisted > 0 {
        say(
            "small differences",
            format!(
                "{} less and are not listed, together {} per request",
                match tree.unlisted {
                    1 => "1 node contributes".to_owned(),
                    nodes => format!("{nodes} nodes contribute"),
                },
                NanosecondsMore(tree.unlisted_self_difference_ns)
            ),
        );
    }
    for (side, name) in names.into_iter().enumerate() {
        let of_side = |what: &str, because| say(&format!("{what} of `{name}`"), because);
        about_the_tree(&gathered.notes[side], gathered.requests[side].len(), &mut {
            of_side
        });
    }
    all
}

/// What so many requests cannot show.
fn about_numbers(
    sides: [&Durations; 2],
    found: &Found,
    names: [&str; 2],
    say: &mut impl FnMut(&str, String),
) {
    let fewest = usize::from(sides[1].requests < sides[0].requests);
    let (requests, name) = (sides[fewest].requests, names[fewest]);
    if requests < REQUESTS_MIN {
        say(
            "whether this is usual",
            format!(
                "`{name}` has {}; with {REQUESTS_MIN} on each side a difference can be told from chance",
                Count(requests, "request")
            ),
        );
    }
    if found.looked_at > 0 && found.could_be_claimed == 0 {
        say(
            "attributes",
            format!(
                "with {} on `{name}` none can tell the sides apart by more than chance",
                Count(requests, "request")
            ),
        );
    }
    if (REQUESTS_MIN..PERCENTILE_REQUESTS_MIN).contains(&requests) {
        say(
            "the 95th percentile",
            format!(
                "with {} on `{name}` it is the longest",
                Count(requests, "request")
            ),
        );
    }
}

fn about_attributes(
    understood: &Understood<'_>,
    found: &Found,
    say: &mut impl FnMut(&str, String),
) {
    if found.looked_at > 0 && !understood.unique.is_empty() {
        let keys = &understood.unique;
        let mut named: Vec<String> = keys
            .iter()
            .take(KEYS_MAX)
            .map(|key| format!("`{key}`"))
            .collect();
        if keys.len() > KEYS_MAX {
            named.push(format!("{} more", keys.len() - KEYS_MAX));
        }
        say(
            "attributes with a value for nearly every request",
            format!(
                "identifiers tell requests apart and not sides: {}",
                named.join(", ")
            ),
        );
    }
    if let Some(key) = understood.sampling {
        say(
            "what was not sampled",
            format!(
                "`{key}` says that traces stand for others that were not kept; here each counts once"
            ),
        );
    }
}

fn about_requests(gathered: &Gathered<'_>, names: [&str; 2], say: &mut impl FnMut(&str, String)) {
    for (side, name) in names.into_iter().enumerate() {
        let rootless = gathered.rootless[side];
        if rootless > 0 {
            say(
                &format!("whole requests of `{name}`"),
                format!(
                    "the root of {} was not recorded: it had not ended, or its record is elsewhere; the time is that of what was",
                    Count(rootless, "request")
                ),
            );
        }
    }
    let [first, second] = gathered.requests.each_ref().map(|requests| {
        let ids = requests
            .iter()
            .map(|request| (request.trace_id, request.span_id));
        ids.collect::<BTreeSet<_>>()
    });
    let shared = first.intersection(&second).count() as u64;
    if shared > 0 {
        say(
            "what both sides share",
            format!(
                "{} on both sides, where no difference can come from",
                match shared {
                    1 => "1 request is".to_owned(),
                    shared => format!("{shared} requests are"),
                }
            ),
        );
    }
}
