//! The report for people. A pure function of the report: the same numbers give the same page.

use std::fmt::{self, Display, Formatter};

use radiosonde_answers::latency::LatencyRow;
use radiosonde_answers::units::{Bytes, Count, Nanoseconds};

use crate::observe::Observed;
use crate::serve::Outcome;

use super::{ModelReport, Report};

/// A dash where there is no number.
const ABSENT: &str = "-";

impl Display for Report {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        heading(to, "Requests")?;
        requests(to, &self.requests)?;
        heading(to, "Run")?;
        self.run(to)?;
        heading(to, "Model and memory")?;
        model(to, &self.model)?;
        let longest = size(self.totals.kv_used_bytes_max);
        writeln!(to, "longest sequence  {longest} of keys and values")?;
        if let Some(seen) = &self.observed {
            return observed(to, seen);
        }
        heading(to, "Recorded")?;
        writeln!(to, "nothing: recording was off")
    }
}

impl Report {
    fn run(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let (totals, settings) = (&self.totals, &self.settings);
        writeln!(
            to,
            "{}, {}: {} in {:.2} s, {:.1} tokens/s together",
            Count(u64::from(settings.requests), "request"),
            Count(u64::from(settings.workers), "worker"),
            Count(totals.output_tokens, "token"),
            totals.wall_seconds,
            totals.tokens_per_second
        )?;
        if let Some(cpu) = totals.cpu_ms_per_token_median {
            writeln!(
                to,
                "CPU per decoded token: {cpu:.1} ms (median of the requests)"
            )?;
        }
        if totals.failed > 0 {
            writeln!(to, "{} of them failed", totals.failed)?;
        }
        Ok(())
    }
}

fn latency(to: &mut Formatter<'_>, rows: &[LatencyRow]) -> fmt::Result {
    let steps = rows.iter().map(|row| row.count).max().unwrap_or(0);
    heading(
        to,
        &format!("Where a step's time goes: the last {steps}, prompts included"),
    )?;
    writeln!(
        to,
        "{:<30}  {:>10}  {:>10}  {:>10}  {:>7}",
        "phase", "average", "p50", "p99", "share"
    )?;
    let is_block = |row: &LatencyRow| row.depth == 1 && row.label.starts_with("block");
    let blocks = rows.iter().filter(|row| is_block(row)).count();
    let mut shown = 0;
    for row in rows {
        if is_block(row) {
            shown += 1;
            if shown == BLOCKS_SHOWN + 1 {
                writeln!(
                    to,
                    "  … {} more blocks in the JSON report",
                    blocks - BLOCKS_SHOWN
                )?;
            }
        }
        if row.path.starts_with("forward/block") && shown > BLOCKS_SHOWN {
            continue;
        }
        writeln!(
            to,
            "{:<30}  {:>10}  {:>10}  {:>10}  {:>6.1}%",
            indented(row.depth, &row.label),
            Nanoseconds(row.avg_ns).to_string(),
            Nanoseconds(row.p50_ns).to_string(),
            Nanoseconds(row.p99_ns).to_string(),
            row.share * 100.0
        )?;
    }
    Ok(())
}

fn indented(depth: usize, label: &str) -> String {
    format!("{:indent$}{label}", "", indent = 2 * depth)
}

/// Rows deeper than this are for the JSON report; a block's phases are still shown.
const MEMORY_DEPTH_MAX: usize = 2;
/// Layers shown one by one; the others are in the JSON report.
const BLOCKS_SHOWN: usize = 2;

fn observed(to: &mut Formatter<'_>, seen: &Observed) -> fmt::Result {
    latency(to, &seen.latency)?;
    heading(to, "Where the memory is")?;
    for row in seen
        .memory
        .iter()
        .filter(|row| row.depth <= MEMORY_DEPTH_MAX)
    {
        let label = indented(row.depth, &row.label);
        let bytes = row
            .bytes
            .map_or(ABSENT.to_owned(), |bytes| Bytes(bytes).to_string());
        let detail = row.detail.as_deref().unwrap_or_default();
        writeln!(
            to,
            "{label:<40}  {bytes:>10}  {:<11} {detail}",
            row.provenance
        )?;
    }
    if let Some(slowest) = &seen.slowest {
        let which = if seen.sample_ratio < 1.0 {
            "slowest recorded request"
        } else {
            "slowest request"
        };
        heading(to, &format!("Why the {which} took so long"))?;
        writeln!(to, "{}", slowest.text.trim_end())?;
    }
    if let Some(cost) = &seen.cost {
        heading(to, "What recording costs")?;
        writeln!(
            to,
            "{:.2} % of CPU: a token takes {:.3} ms recorded and {:.3} ms not, and {:.3} ms in other threads",
            cost.added_percent, cost.recorded_ms, cost.not_recorded_ms, cost.background_ms
        )?;
    }
    recorded(to, seen)
}

/// How much was recorded, and whether that is all.
fn recorded(to: &mut Formatter<'_>, seen: &Observed) -> fmt::Result {
    heading(to, "Recorded")?;
    if seen.sample_ratio < 1.0 {
        let ratio = seen.sample_ratio;
        writeln!(
            to,
            "a sample of the requests, with the ratio {ratio}: what is said of recorded ones is not said of all"
        )?;
    }
    write!(
        to,
        "{} spans, {} logs, {} events",
        seen.spans, seen.logs, seen.events
    )?;
    if seen.lost.is_empty() && seen.delivered {
        return writeln!(to, "; nothing was lost");
    }
    for loss in &seen.lost {
        write!(to, "; {} lost: {}", loss.records, loss.reason)?;
    }
    writeln!(
        to,
        "{}",
        if seen.delivered {
            ""
        } else {
            "; not everything was delivered in time"
        }
    )
}

fn heading(to: &mut Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(
        to,
        "\n── {title} {:─<width$}",
        "",
        width = 84 - title.chars().count()
    )
}

fn requests(to: &mut Formatter<'_>, requests: &[Outcome]) -> fmt::Result {
    writeln!(
        to,
        " #  waited    first token  total     tokens/s  CPU/token  in   out  ended"
    )?;
    for one in requests {
        let ended = match (&one.error, one.finish) {
            (Some(_), _) => "failed",
            (None, finish) => finish.map_or(ABSENT, crate::generate::Finish::as_str),
        };
        writeln!(
            to,
            "{:>2}  {:<8}  {:<11}  {:<8}  {:<8}  {:<9}  {:<3}  {:<3}  {ended}",
            one.request,
            seconds(Some(one.queue_seconds)),
            seconds(one.first_token_seconds),
            seconds(Some(one.total_seconds)),
            one.tokens_per_second
                .map_or(ABSENT.to_owned(), |rate| format!("{rate:.1}")),
            one.cpu_ms_per_token
                .map_or(ABSENT.to_owned(), |cpu| format!("{cpu:.1} ms")),
            one.prompt_tokens,
            one.output_tokens,
        )?;
    }
    Ok(())
}

fn model(to: &mut Formatter<'_>, model: &ModelReport) -> fmt::Result {
    writeln!(
        to,
        "{}: {} blocks, width {}, {} heads over {}, vocabulary {}",
        model.label, model.blocks, model.width, model.heads, model.kv_heads, model.vocabulary
    )?;
    writeln!(
        to,
        "weights           {} from {}",
        size(model.weights_bytes),
        model.source
    )?;
    for (index, part) in model.weights.iter().enumerate() {
        let branch = if index + 1 == model.weights.len() {
            "└─"
        } else {
            "├─"
        };
        writeln!(
            to,
            "  {branch} {:<10}   {:<9}  {:<4}  tensors: {}",
            part.part,
            size(part.bytes),
            part.encoding,
            part.tensors
        )?;
    }
    writeln!(
        to,
        "KV cache          {} a token",
        size(model.kv_bytes_per_token)
    )
}

fn seconds(value: Option<f64>) -> String {
    value.map_or(ABSENT.to_owned(), |value| format!("{value:.2} s"))
}

/// A number of bytes that cannot be negative.
fn size(bytes: u64) -> Bytes {
    Bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
}
