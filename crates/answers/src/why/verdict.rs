//! From sums of time to a cause, or to "cannot tell".
//!
//! A cause is named when it is at least [`SHARE_MIN_PERCENT`] of the time and larger than its largest rival even if
//! that rival had all of the unattributed time. Shapes ([`super::patterns`]) take the place of the kind of time that
//! they are made of, because they say more. Time between recorded spans is a cause of its own when spans stand on
//! both sides of most of it; else it is a reason not to tell.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Cause, Confidence, Verdict,
    account::{Records, Suspect},
    category::Category,
    patterns::{ManyCalls, Outlier, many_calls, outlier},
    segments::{Sum, Sums},
};
use crate::units::{Nanoseconds, Percent, share};

/// Less than this of the time is not why something is slow.
pub(super) const SHARE_MIN_PERCENT: u64 = 40;
/// From this on a verdict can be sure.
const SURE_MIN_PERCENT: u64 = 60;
/// Less than this of the time does not make work that ended later a suspect.
const SUSPECT_MIN_PERCENT: u64 = 5;
/// Fewest recorded children around which gaps mean something.
const GAP_CHILDREN_MIN: usize = 3;

/// A possible cause and its part of the time.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) cause: Cause,
    /// The categories that it is made of; the first names it.
    pub(super) category: Category,
    /// The name, where the contender is one name or one name is most of it.
    pub(super) label: Option<String>,
    /// How many names it has.
    labels: usize,
    pub(super) sum: Sum,
}

impl Contender {
    /// The name of all of it, if there is one.
    pub(super) fn only_label(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| self.labels == 1)
    }
}

const fn cause_of(category: Category) -> Cause {
    match category {
        Category::Queue => Cause::Queue,
        Category::Lock => Cause::Lock,
        Category::Startup => Cause::ColdStart,
        Category::Serialization | Category::Deserialization => Cause::Serialization,
        Category::Python => Cause::Python,
        Category::OnCpu => Cause::Cpu,
        Category::OffCpu => Cause::Wait,
        Category::Io => Cause::Io,
        Category::GpuBusy => Cause::Gpu,
        Category::GpuWait => Cause::GpuWait,
        Category::Transfer => Cause::Transfer,
        Category::Phase => Cause::Phase,
    }
}

/// What could be the cause, largest first: each kind of time, and each phase by itself.
pub(super) fn contenders(sums: &Sums) -> Vec<Contender> {
    // With the largest part of each, whose name stands for it.
    let mut by_cause: BTreeMap<(u8, &str), (u64, Contender)> = BTreeMap::new();
    for ((category, label), sum) in &sums.segments {
        let cause = cause_of(*category);
        let name = if cause == Cause::Phase {
            label.as_str()
        } else {
            ""
        };
        let (largest, contender) = by_cause.entry((cause as u8, name)).or_insert_with(|| {
            let empty = Contender {
                cause,
                category: *category,
                label: None,
                labels: 0,
                sum: Sum::default(),
            };
            (0, empty)
        });
        if sum.ns > *largest {
            *largest = sum.ns;
            contender.label = Some(label.clone());
            contender.category = *category;
        }
        contender.labels += 1;
        contender.sum.merge(sum);
    }
    let mut all: Vec<_> = by_cause
        .into_values()
        .map(|(_, contender)| contender)
        .collect();
    all.sort_by(|a, b| {
        b.sum
            .ns
            .cmp(&a.sum.ns)
            .then_with(|| (a.category, &a.label).cmp(&(b.category, &b.label)))
    });
    all
}

/// The answer for `records`, whose sums are `sums` over `duration_ns`.
pub(super) fn decide(
    records: &Records<'_>,
    sums: &Sums,
    contenders: &[Contender],
    duration_ns: u64,
) -> Verdict {
    let mut verdict = of_what_was_recorded(records, sums, contenders, duration_ns);
    if let (Verdict::CannotTell { because }, Some(suspect)) =
        (&mut verdict, suspect(records, duration_ns))
    {
        because.push_str(&suspicion(records, suspect));
    }
    if records.traces.iter().all(|(trace, _)| trace.complete) {
        return verdict;
    }
    let unfinished =
        "the request itself was not recorded: it had not ended, or its record is elsewhere";
    match verdict {
        Verdict::Cause {
            cause,
            label,
            duration_ns,
            share,
            words,
            evidence,
            ..
        } => Verdict::Cause {
            cause,
            label,
            duration_ns,
            share,
            confidence: Confidence::Medium,
            words: format!("{unfinished}; of what was recorded, {words}"),
            evidence,
        },
        Verdict::CannotTell { because } => cannot_tell(format!("{unfinished}; {because}")),
    }
}

/// Work that may have been waited for although it ended later, for long enough to matter.
fn suspect(records: &Records<'_>, duration_ns: u64) -> Option<Suspect> {
    let suspect = records.suspect();
    suspect.filter(|suspect| suspect.ns >= part(duration_ns, SUSPECT_MIN_PERCENT))
}

fn suspicion(records: &Records<'_>, suspect: Suspect) -> String {
    let nodes = &records.traces[suspect.number].0.nodes;
    let node = &nodes[suspect.node];
    let around = node.parent.map_or(node, |parent| &nodes[parent]);
    format!(
        "; the first suspect is `{}`, which went on for {} of `{}` and ended {} after it: it may have been waited for until it had sent its result",
        node.member,
        Nanoseconds(suspect.ns),
        around.member,
        Nanoseconds(node.end - around.end)
    )
}

fn of_what_was_recorded(
    records: &Records<'_>,
    sums: &Sums,
    contenders: &[Contender],
    duration_ns: u64,
) -> Verdict {
    if duration_ns == 0 {
        return cannot_tell("the measured interval is empty");
    }
    let least_ns = part(duration_ns, SHARE_MIN_PERCENT);
    if let [(trace, tiling)] = records.traces.as_slice()
        && let Some(outlier) = outlier(trace, tiling, least_ns)
        && let Some(verdict) = one_of_many(records, &outlier, duration_ns)
    {
        return verdict;
    }
    let residual_ns = sums.residual_ns();
    let Some(top) = contenders.first().filter(|top| top.sum.ns > residual_ns) else {
        return gaps(records, sums, duration_ns);
    };
    let rival = contenders.get(1);
    let against_ns = rival
        .map_or(0, |rival| rival.sum.ns)
        .saturating_add(residual_ns);
    if top.sum.ns < least_ns {
        return cannot_tell(spread(contenders, residual_ns, duration_ns));
    }
    if top.sum.ns <= against_ns {
        return cannot_tell(close(top, rival, residual_ns, duration_ns));
    }
    if top.cause == Cause::Phase && rival.is_none() && !top.sum.declared {
        let nothing = match suspect(records, duration_ns) {
            Some(_) => "nothing that was waited for with certainty",
            None => "nothing",
        };
        return cannot_tell(format!(
            "{} of {} is in `{}`, and {nothing} was recorded inside it or beside it; add spans there, or CPU time (`{}`)",
            Nanoseconds(top.sum.ns),
            Nanoseconds(duration_ns),
            top.label.as_deref().unwrap_or_default(),
            super::CPU_ATTRIBUTE
        ));
    }
    let doubted_ns = match top.cause {
        Cause::Cpu => sums.doubted_ns,
        _ => 0,
    };
    let measured_ns = (top.sum.ns - top.sum.estimated_ns).saturating_sub(doubted_ns);
    named(
        records,
        top,
        confidence(measured_ns, against_ns, duration_ns),
        duration_ns,
    )
}

fn cannot_tell(because: impl Into<String>) -> Verdict {
    Verdict::CannotTell {
        because: because.into(),
    }
}

/// How sure a cause is of which `measured_ns` are measured.
fn confidence(measured_ns: u64, against_ns: u64, duration_ns: u64) -> Confidence {
    if measured_ns >= part(duration_ns, SURE_MIN_PERCENT) && measured_ns / 2 >= against_ns {
        Confidence::High
    } else {
        Confidence::Medium
    }
}

/// So many per cent of `duration_ns`, rounded up.
fn part(duration_ns: u64, percent: u64) -> u64 {
    let part = (u128::from(duration_ns) * u128::from(percent)).div_ceil(100);
    u64::try_from(part).unwrap_or(u64::MAX)
}

fn name_of(contender: &Contender) -> String {
    match (contender.only_label(), contender.cause) {
        (Some(label), Cause::Phase) => format!("`{label}`"),
        (Some(label), _) if label == contender.category.title() => label.to_owned(),
        (Some(label), _) => format!("{} in `{label}`", contender.category.title()),
        (None, _) => contender.category.title().to_owned(),
    }
}

fn spread(contenders: &[Contender], residual_ns: u64, duration_ns: u64) -> String {
    let parts: Vec<_> = contenders
        .iter()
        .take(3)
        .map(|contender| {
            format!(
                "{} {}",
                name_of(contender),
                Percent(contender.sum.ns, duration_ns)
            )
        })
        .collect();
    let mut text = format!("no part of the time stands out: {}", parts.join(", "));
    if residual_ns > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, ", unattributed {}", Percent(residual_ns, duration_ns));
    }
    text
}

fn close(top: &Contender, rival: Option<&Contender>, residual_ns: u64, duration_ns: u64) -> String {
    let top_share = Percent(top.sum.ns, duration_ns);
    let residual = Percent(residual_ns, duration_ns);
    match rival {
        Some(rival) if residual_ns == 0 => format!(
            "{} ({top_share}) and {} ({}) are equally long",
            name_of(top),
            name_of(rival),
            Percent(rival.sum.ns, duration_ns)
        ),
        Some(rival) => format!(
            "{} is {top_share}, but {} ({}) and the {residual} that nothing accounts for could be as much; add spans where the gaps are",
            name_of(top),
            name_of(rival),
            Percent(rival.sum.ns, duration_ns)
        ),
        None => format!(
            "{} is {top_share}, and {residual} is unattributed",
            name_of(top)
        ),
    }
}

/// A verdict for a kind of time or a phase.
fn named(
    records: &Records<'_>,
    top: &Contender,
    confidence: Confidence,
    duration_ns: u64,
) -> Verdict {
    let calls = match (top.cause, records.traces.as_slice()) {
        (Cause::Io, [(trace, tiling)]) => {
            many_calls(trace, tiling).filter(|row| row.path_ns > top.sum.ns / 10 * 6)
        }
        _ => None,
    };
    if let Some(row) = calls {
        return many(records, &row, confidence, duration_ns);
    }
    let label = top.label.as_deref().unwrap_or_default();
    let (time, part) = (Nanoseconds(top.sum.ns), Percent(top.sum.ns, duration_ns));
    let what = match top.cause {
        Cause::Queue => "it waited in a queue",
        Cause::Lock => "it waited for a lock",
        Cause::ColdStart => "it was starting up",
        Cause::Serialization => "it converted data to or from bytes",
        Cause::Python => "it ran in Python",
        Cause::Cpu => "it computed on the CPU",
        Cause::Wait => "it did not run: blocked, asleep or descheduled",
        Cause::Io => "it waited for I/O",
        Cause::Gpu => "the GPU computed",
        Cause::GpuWait => "it waited for the GPU",
        Cause::Transfer => "it moved data between host and device",
        _ => "one phase took most of the time",
    };
    let most = if top.cause == Cause::Phase {
        ""
    } else {
        "mostly "
    };
    let words = if top.sum.spans == 1 {
        format!("{what}: {time} ({part}) in `{label}`")
    } else {
        format!(
            "{what}: {time} ({part}) in {} spans, {most}`{label}`",
            top.sum.spans
        )
    };
    Verdict::Cause {
        cause: top.cause,
        label: top.label.clone(),
        duration_ns: top.sum.ns,
        share: share(top.sum.ns, duration_ns),
        confidence,
        words,
        evidence: records.evidence(&top.sum.longest),
    }
}

fn many(
    records: &Records<'_>,
    row: &ManyCalls,
    confidence: Confidence,
    duration_ns: u64,
) -> Verdict {
    let parent = &records.traces[0].0.nodes[row.parent].name;
    let nodes: Vec<_> = row.nodes.iter().map(|&node| (0, 0, node)).collect();
    Verdict::Cause {
        cause: Cause::ManyCalls,
        label: Some(row.label.clone()),
        duration_ns: row.path_ns,
        share: share(row.path_ns, duration_ns),
        confidence,
        words: format!(
            "`{parent}` made {} calls of `{}` one after the other: {} ({}), {} each; ask for all at once",
            row.calls,
            row.label,
            Nanoseconds(row.path_ns),
            Percent(row.path_ns, duration_ns),
            Nanoseconds(row.path_ns / row.calls)
        ),
        evidence: records.evidence(&nodes),
    }
}

/// A verdict for one of many alike, unless something outside of it could be larger.
fn one_of_many(records: &Records<'_>, outlier: &Outlier, duration_ns: u64) -> Option<Verdict> {
    let outside = records.sums_outside(&outlier.nodes);
    let rival_ns = contenders(&outside).first().map_or(0, |rival| rival.sum.ns);
    let against_ns = rival_ns + outside.residual_ns();
    if outlier.excess_ns <= against_ns {
        return None;
    }
    let times = outlier.duration_ns as f64 / outlier.median_ns.max(1) as f64;
    let compared = if outlier.median_ns == 0 {
        "where the others take next to nothing".to_owned()
    } else {
        format!(
            "{times:.1} times the median of {}",
            Nanoseconds(outlier.median_ns)
        )
    };
    let mut words = if outlier.once {
        format!(
            "one `{}` of {} took {}, {compared}",
            outlier.member,
            outlier.alike,
            Nanoseconds(outlier.duration_ns)
        )
    } else {
        format!(
            "`{}` is slow every time: {} over {} spans, {compared} of the {} others",
            outlier.member,
            Nanoseconds(outlier.duration_ns),
            outlier.nodes.len(),
            outlier.alike - 1
        )
    };
    if outlier.first && outlier.once {
        words += "; it was the first, so a cold start or a larger input would look the same";
    }
    let mut nodes: Vec<_> = outlier
        .nodes
        .iter()
        .map(|&node| (records.traces[0].0.nodes[node].duration_ns(), 0, node))
        .collect();
    nodes.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)));
    nodes.truncate(super::segments::EVIDENCE_MAX);
    Some(Verdict::Cause {
        cause: Cause::Outlier,
        label: Some(outlier.member.clone()),
        duration_ns: outlier.excess_ns,
        share: share(outlier.excess_ns, duration_ns),
        confidence: confidence(outlier.excess_ns, against_ns, duration_ns),
        words,
        evidence: records.evidence(&nodes),
    })
}

/// Most of the time is unattributed: a cause of its own where spans stand on both sides of it.
fn gaps(records: &Records<'_>, sums: &Sums, duration_ns: u64) -> Verdict {
    let residual_ns = sums.residual_ns();
    let mut between: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for hole in sums
        .holes
        .iter()
        .filter(|hole| hole.after.is_some() && hole.before.is_some())
    {
        *between.entry(hole.place).or_default() += hole.ns;
    }
    let host = between
        .iter()
        .max_by_key(|(place, ns)| (**ns, std::cmp::Reverse(**place)));
    if let Some((&(number, index), &ns)) = host
        && ns >= duration_ns.div_ceil(2)
        && records.traces[number].0.nodes[index].children.len() >= GAP_CHILDREN_MIN
        && suspect(records, duration_ns).is_none()
    {
        let node = &records.traces[number].0.nodes[index];
        return Verdict::Cause {
            cause: Cause::Gaps,
            label: Some(node.label.clone()),
            duration_ns: ns,
            share: share(ns, duration_ns),
            confidence: Confidence::Medium,
            words: format!(
                "{} ({}) of `{}` lies between its {} spans, where nothing was recorded",
                Nanoseconds(ns),
                Percent(ns, duration_ns),
                node.name,
                node.children.len()
            ),
            evidence: records.evidence(&[(ns, number, index)]),
        };
    }
    if suspect(records, duration_ns).is_some() {
        return cannot_tell(format!(
            "{} of {} ({}) is accounted for by nothing that was waited for with certainty",
            Nanoseconds(residual_ns),
            Nanoseconds(duration_ns),
            Percent(residual_ns, duration_ns)
        ));
    }
    let spans: u64 = records.traces.iter().map(|(trace, _)| trace.spans).sum();
    let read = if spans == 1 {
        "its only span says".to_owned()
    } else {
        format!("its {spans} spans say")
    };
    cannot_tell(format!(
        "{} of {} ({}) is accounted for by nothing: {read} no more than that time passed; add spans to the slow part, or CPU time (`{}`)",
        Nanoseconds(residual_ns),
        Nanoseconds(duration_ns),
        Percent(residual_ns, duration_ns),
        super::CPU_ATTRIBUTE
    ))
}
