//! A comparison as a page of text.

use std::fmt::{self, Display, Formatter};

use super::{
    Bucket, Comparison, Difference, Durations, Lift, Node, Presence, Summary, Verdict,
    verdict::Calls,
};
use crate::{
    units::{Count, Nanoseconds, NanosecondsMore, Percent},
    why::{
        Confidence,
        render::{cited, section},
    },
};

/// Most nodes drawn for what they contribute.
const CONTRIBUTORS_MAX: usize = 10;
/// Most nodes drawn in all, with those above them.
const NODES_MAX: usize = 16;
/// Most attributes told.
const LIFTS_MAX: usize = 6;
/// Most rows of the histogram.
const ROWS_MAX: usize = 12;
/// Width of a bar that stands for all requests of a side, in characters.
const BAR_CHARS: u64 = 24;
/// Longest label shown, in characters.
const LABEL_CHARS_MAX: usize = 40;

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        self.durations(f)?;
        self.histogram(f)?;
        self.tree(f)?;
        self.answer(f)?;
        for lift in self.lifts.iter().take(LIFTS_MAX) {
            section(f, "Attribute", &lift_words(lift))?;
        }
        if self.lifts.len() > LIFTS_MAX {
            let more = (self.lifts.len() - LIFTS_MAX) as u64;
            section(
                f,
                "Attributes",
                &format!("{more} more tell the sides apart."),
            )?;
        }
        for finding in &self.findings {
            let words = format!("{}.{}", finding.words, cited(&finding.evidence, true));
            section(f, "Seen", &words)?;
        }
        for unknown in &self.not_assessed {
            let words = format!("{}: {}.", unknown.what, unknown.because);
            section(f, "Not assessed", &words)?;
        }
        Ok(())
    }
}

impl Comparison {
    fn heading(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let side = |side: &Summary| {
            let requests = side.durations.map_or(0, |durations| durations.requests);
            format!(
                "`{}` ({}, {})",
                side.name,
                Count(requests, "request"),
                Count(side.spans, "span")
            )
        };
        writeln!(f, "{} against {}", side(&self.second), side(&self.first))?;
        writeln!(f)
    }

    fn durations(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(difference) = &self.difference else {
            return Ok(());
        };
        let width = self.name_width();
        writeln!(
            f,
            "  {:<width$} {:>12} {:>12} {:>12} {:>8}",
            "", "mean", "median", "95 %", "errors"
        )?;
        for side in [&self.first, &self.second] {
            if let Some(durations) = &side.durations {
                row(f, (&side.name, width), durations)?;
            }
        }
        let Difference {
            mean_ns,
            p50_ns,
            p95_ns,
            error_share,
            ..
        } = *difference;
        let errors = if error_share == 0.0 {
            String::new()
        } else {
            format!("{:+.1} %", 100.0 * error_share)
        };
        let line = format!(
            "  {:<width$} {:>12} {:>12} {:>12} {errors:>8}",
            "difference",
            NanosecondsMore(mean_ns),
            NanosecondsMore(p50_ns),
            NanosecondsMore(p95_ns)
        );
        writeln!(f, "{}", line.trim_end())?;
        writeln!(f)
    }

    fn name_width(&self) -> usize {
        [self.first.name.as_str(), &self.second.name, "difference"]
            .map(|name| name.chars().count())
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// Both sides' durations beside each other, where there are enough for a shape.
    fn histogram(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let counts =
            [&self.first, &self.second].map(|side| side.durations.map_or(0, |all| all.requests));
        if counts.iter().any(|&count| count <= 1) {
            return Ok(());
        }
        let names = [&self.first.name, &self.second.name];
        let width = BAR_CHARS as usize;
        let heading = format!("  {:>11}  {:<width$}  {}", "from", names[0], names[1]);
        writeln!(f, "{heading}")?;
        for bucket in coarse(&self.histogram) {
            let line = format!(
                "  {:>11}  {:<width$}  {}",
                Nanoseconds(bucket.from_ns),
                bar(bucket.first, counts[0]),
                bar(bucket.second, counts[1])
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)
    }

    /// The nodes that contribute most, as a tree.
    fn tree(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = shown(&self.tree.nodes);
        if shown.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "  {:>11}  {:>23}  {:>11}  where",
            "self time", "per request", "calls"
        )?;
        for (node, lead) in drawn(&self.tree.nodes, &shown) {
            line(f, node, &lead, self.has_one_service())?;
        }
        let rest = self.rest_ns(&shown);
        if rest != 0 {
            writeln!(f, "  {:>11}  everything else", NanosecondsMore(rest))?;
        }
        writeln!(f)
    }

    fn has_one_service(&self) -> bool {
        let mut services = self.tree.nodes.iter().map(|node| &node.service);
        let first = services.next();
        services.all(|service| Some(service) == first)
    }

    /// What the nodes that are not shown make of the difference.
    fn rest_ns(&self, shown: &[&Node]) -> i64 {
        let all = self
            .difference
            .as_ref()
            .map_or(0, |difference| difference.mean_ns);
        let sum: i64 = shown.iter().map(|node| node.self_difference_ns).sum();
        all - sum
    }

    fn answer(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Contributor {
                words,
                confidence,
                evidence,
                ..
            } => {
                section(f, "Why", &format!("{words}.{}", cited(evidence, true)))?;
                let sure = match confidence {
                    Confidence::High => "high",
                    Confidence::Medium => "medium",
                };
                section(f, "Confidence", &format!("{sure}."))
            }
            Verdict::CannotTell { because } => {
                section(f, "Why", &format!("cannot tell, because {because}."))
            }
        }
    }
}

fn row(f: &mut Formatter<'_>, (name, width): (&str, usize), side: &Durations) -> fmt::Result {
    writeln!(
        f,
        "  {name:<width$} {:>12} {:>12} {:>12} {:>8}",
        Nanoseconds(side.mean_ns),
        Nanoseconds(side.p50_ns),
        Nanoseconds(side.p95_ns),
        Percent(side.errors, side.requests).to_string()
    )
}

fn lift_words(lift: &Lift) -> String {
    let why = if lift.names_a_side {
        "; by that the sides were chosen, as likely as not"
    } else {
        ""
    };
    format!("{}{why}.", lift.words)
}

/// The histogram with neighbours added up until it is short enough.
fn coarse(histogram: &[Bucket]) -> Vec<Bucket> {
    let mut rows = histogram.to_vec();
    while rows.len() > ROWS_MAX {
        rows = rows
            .chunks(2)
            .map(|pair| Bucket {
                from_ns: pair[0].from_ns,
                below_ns: pair[pair.len() - 1].below_ns,
                first: pair.iter().map(|bucket| bucket.first).sum(),
                second: pair.iter().map(|bucket| bucket.second).sum(),
            })
            .collect();
    }
    rows
}

/// A bar of whole characters; what is there is seen, however little it is.
fn bar(count: u64, of: u64) -> String {
    let chars = (u128::from(count) * u128::from(BAR_CHARS)).div_ceil(u128::from(of.max(1)));
    "█".repeat(chars as usize)
}

/// The nodes that contribute most and, as long as there is room, those above them.
fn shown(all: &[Node]) -> Vec<&Node> {
    let mut shown: Vec<&Node> = all
        .iter()
        .filter(|node| node.self_difference_ns != 0 || node.calls_difference != 0.0)
        .take(CONTRIBUTORS_MAX)
        .collect();
    for contributor in shown.clone() {
        let mut at = contributor.parent;
        while let Some(node) = at.and_then(|id| all.iter().find(|node| node.id == id))
            && shown.len() < NODES_MAX
        {
            if !shown.iter().any(|known| known.id == node.id) {
                shown.push(node);
            }
            at = node.parent;
        }
    }
    shown
}

/// The shown nodes in the order of a tree, each with the lines that lead to it.
fn drawn<'a>(all: &'a [Node], shown: &[&'a Node]) -> Vec<(&'a Node, String)> {
    let is_shown = |id: u32| shown.iter().any(|node| node.id == id);
    let parent_of = |id: u32| {
        let node = all.iter().find(|node| node.id == id);
        node.and_then(|node| node.parent)
    };
    let above = |node: &Node| {
        let mut at = node.parent;
        while let Some(id) = at.filter(|&id| !is_shown(id)) {
            at = parent_of(id);
        }
        at
    };
    let mut tree: Vec<(&Node, Option<u32>)> =
        shown.iter().map(|&node| (node, above(node))).collect();
    // Siblings stay in the order of their contribution.
    let mut waiting: Vec<(&Node, String, String)> = Vec::new();
    let mut lines = Vec::new();
    let take = |tree: &mut Vec<(&'a Node, Option<u32>)>, parent: Option<u32>| {
        tree.extract_if(.., |(_, above)| *above == parent)
            .map(|(node, _)| node)
            .collect::<Vec<_>>()
    };
    for root in take(&mut tree, None).into_iter().rev() {
        waiting.push((root, String::new(), String::new()));
    }
    while let Some((node, lead, below)) = waiting.pop() {
        let children = take(&mut tree, Some(node.id));
        let last = children.len().saturating_sub(1);
        for (number, child) in children.into_iter().enumerate().rev() {
            let (branch, rail) = if number == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            waiting.push((child, format!("{below}{branch}"), format!("{below}{rail}")));
        }
        lines.push((node, lead));
    }
    lines
}

/// One node: its contribution, its self time on both sides, its calls on both sides, its name.
fn line(f: &mut Formatter<'_>, node: &Node, lead: &str, has_one_service: bool) -> fmt::Result {
    let times = format!(
        "{} → {}",
        Nanoseconds(node.first.self_ns),
        Nanoseconds(node.second.self_ns)
    );
    let calls = format!(
        "{} → {}",
        Calls(node.first.calls_per_request),
        Calls(node.second.calls_per_request)
    );
    let mut label = node.label.clone();
    if label.chars().count() > LABEL_CHARS_MAX {
        label = label.chars().take(LABEL_CHARS_MAX - 1).collect();
        label.push('…');
    }
    let service = if has_one_service {
        String::new()
    } else {
        format!(" ({})", node.service)
    };
    let mark = match node.presence {
        Presence::Both => "",
        Presence::Added => "  added",
        Presence::Removed => "  removed",
    };
    writeln!(
        f,
        "  {:>11}  {times:>23}  {calls:>11}  {lead}{label}{service}{mark}",
        NanosecondsMore(node.self_difference_ns)
    )
}
