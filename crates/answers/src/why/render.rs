//! An account as a page of text, with bars drawn to scale.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Account, Confidence, Evidence, Segment, Subject, Verdict};
use crate::units::{Count, Nanoseconds, Percent};

/// Width of the bar that stands for the whole time, in characters.
const BAR_CHARS: u64 = 32;
/// Most segments that have a line of their own.
const LINES_MAX: usize = 12;
/// Longest label shown, in characters.
const LABEL_CHARS_MAX: usize = 28;
/// Width of the text, in characters.
const TEXT_CHARS: usize = 100;

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        self.table(f)?;
        self.answer(f)?;
        for finding in &self.findings {
            section(
                f,
                "Seen",
                &format!(
                    "{}.{}",
                    finding.words,
                    cited(&finding.evidence, self.has_several())
                ),
            )?;
        }
        self.rest(f)
    }
}

impl Account {
    /// Whether it is of more than one trace.
    const fn has_several(&self) -> bool {
        !matches!(self.subject, Subject::Trace { .. })
    }

    fn heading(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let took = Nanoseconds(self.interval.duration_ns);
        match &self.subject {
            Subject::Trace { trace_id, name, .. } => {
                writeln!(
                    f,
                    "`{name}` took {took} (trace {trace_id}, {})",
                    Count(self.spans, "span")
                )?;
            }
            Subject::Window { requests } => {
                writeln!(
                    f,
                    "{} took {took} together ({})",
                    Count(*requests, "request"),
                    Count(self.spans, "span")
                )?;
            }
            Subject::Selection { of, requests } => {
                writeln!(
                    f,
                    "{of}: {} took {took} together ({})",
                    Count(*requests, "request"),
                    Count(self.spans, "span")
                )?;
            }
        }
        writeln!(f)
    }

    fn table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = self.interval.duration_ns;
        let (shown, hidden) = self.segments.split_at(self.segments.len().min(LINES_MAX));
        for Segment {
            category,
            label,
            duration_ns,
            provenance,
            ..
        } in shown
        {
            let mark = if *provenance == "estimated" { "~" } else { "" };
            line(f, category.title(), label, (*duration_ns, mark), whole)?;
        }
        if !hidden.is_empty() {
            let rest = hidden.iter().fold(0_u64, |sum, segment| {
                sum.saturating_add(segment.duration_ns)
            });
            line(
                f,
                "others",
                &format!("{} more", hidden.len()),
                (rest, ""),
                whole,
            )?;
        }
        line(f, "unattributed", "", (self.residual_ns, ""), whole)?;
        line(f, "total", "", (whole, ""), whole)?;
        if shown
            .iter()
            .any(|segment| segment.provenance == "estimated")
        {
            writeln!(
                f,
                "  ~ is an estimate: CPU time that spans share is spread evenly over them"
            )?;
        }
        writeln!(f)
    }

    fn answer(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Cause {
                words,
                confidence,
                evidence,
                ..
            } => {
                section(
                    f,
                    "Why",
                    &format!("{words}.{}", cited(evidence, self.has_several())),
                )?;
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

    fn rest(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.ruled_out.is_empty() {
            let mut text = String::new();
            for (number, other) in self.ruled_out.iter().enumerate() {
                let name = match &other.label {
                    Some(label) => format!("{} (`{label}`)", other.category.title()),
                    None => other.category.title().to_owned(),
                };
                let _ = write!(
                    text,
                    "{}{name} at most {}",
                    if number == 0 { "" } else { ", " },
                    Percent(other.at_most_ns, self.interval.duration_ns)
                );
            }
            section(f, "Ruled out", &format!("{text}."))?;
        }
        for unknown in &self.not_assessed {
            section(
                f,
                "Not assessed",
                &format!("{}: {}.", unknown.what, unknown.because),
            )?;
        }
        Ok(())
    }
}

/// One row: kind, name, bar, time with a mark before it, share.
fn line(
    f: &mut Formatter<'_>,
    kind: &str,
    label: &str,
    (ns, mark): (u64, &str),
    whole: u64,
) -> fmt::Result {
    let label = if label.chars().count() > LABEL_CHARS_MAX {
        let mut short: String = label.chars().take(LABEL_CHARS_MAX - 1).collect();
        short.push('…');
        short
    } else {
        label.to_owned()
    };
    let time = format!("{mark}{}", Nanoseconds(ns));
    let part = Percent(ns, whole).to_string();
    writeln!(
        f,
        "  {kind:<15} {label:<LABEL_CHARS_MAX$} {} {time:>11} {part:>8}",
        bar(ns, whole)
    )
}

/// A bar of eighths of a character, so that a quarter per cent is still seen.
fn bar(ns: u64, whole: u64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = if whole == 0 {
        0
    } else {
        (u128::from(ns.min(whole)) * u128::from(BAR_CHARS * 8) / u128::from(whole)) as usize
    };
    // What is there is seen, however little it is.
    let eighths = if ns > 0 { eighths.max(1) } else { eighths };
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let width = BAR_CHARS as usize;
    format!("{bar:<width$}")
}

/// The spans that show something, with their traces where they may be of `several`.
pub(crate) fn cited(evidence: &[Evidence], several: bool) -> String {
    let Some(first) = evidence.first() else {
        return String::new();
    };
    let is_one = evidence.iter().all(|it| it.trace_id == first.trace_id);
    let mut text = " Evidence: span ".to_owned();
    for (number, witness) in evidence.iter().enumerate() {
        if number > 0 {
            text.push_str(", ");
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{}", witness.span_id);
        if several && !is_one {
            let _ = write!(text, " of trace {}", witness.trace_id);
        }
        let _ = write!(
            text,
            " (`{}`, {})",
            witness.name,
            Nanoseconds(witness.duration_ns)
        );
    }
    if several && is_one {
        let _ = write!(text, " of trace {}", first.trace_id);
    }
    text.push('.');
    text
}

/// A paragraph after its title, wrapped, with the following lines indented.
pub(crate) fn section(f: &mut Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    write!(f, "{title}:")?;
    let mut column = title.chars().count() + 1;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let width = word.chars().count() + 1;
        if column + width > TEXT_CHARS {
            write!(f, "\n ")?;
            column = 1;
        }
        write!(f, " {word}")?;
        column += width;
    }
    writeln!(f)
}
