//! The answer as text for people.

use std::fmt;

use super::{Little, Queue, Saturation, Source};
use crate::units::Nanoseconds;

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Items => "items",
            Self::Balance => "what was done and what is left",
        })
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.queue)?;
        for (key, value) in &self.attributes {
            write!(f, " {key}={value}")?;
        }
        writeln!(f)?;
        self.waiting(f)?;
        self.flow(f)?;
        match &self.little {
            Little::Assessed(numbers) => writeln!(
                f,
                "  Little's law  L {:.3} ({}), λW {:.3} = {:.3}/s x {} ({}): {} within {:.3}",
                numbers.l,
                numbers.l_source,
                numbers.lambda_w,
                numbers.lambda_per_s,
                Nanoseconds((numbers.w_s * 1e9) as u64),
                numbers.w_source,
                if numbers.holds {
                    "they agree"
                } else {
                    "they DISAGREE, so one of them is not of this queue, or not of all of it; not"
                },
                numbers.tolerance
            )?,
            Little::NotAssessed { because } => {
                writeln!(f, "  Little's law  not assessed, because {because}")?;
            }
        }
        for stuck in &self.stuck {
            writeln!(f, "  STUCK         {}", stuck.words)?;
        }
        for saturation in &self.saturation {
            writeln!(f, "  grows         {saturation}")?;
        }
        self.ahead(f)?;
        for not in &self.not_assessed {
            writeln!(f, "  not assessed  {}: {}", not.what, not.because)?;
        }
        Ok(())
    }
}

impl Queue {
    fn waiting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(depth) = &self.depth {
            write!(
                f,
                "  waiting       {} now, {:.2} on average, {} at most ({})",
                depth.now, depth.mean, depth.max, depth.source
            )?;
            match self.capacity {
                Some(capacity) => writeln!(f, "; room for {capacity}")?,
                None => writeln!(f)?,
            }
        }
        if let Some(oldest) = &self.oldest {
            let at_most = if oldest.is_at_most { "at most " } else { "" };
            let trace = oldest.trace_id.as_deref().map(|id| format!(", trace {id}"));
            writeln!(
                f,
                "  oldest        has waited {at_most}{}{}",
                Nanoseconds(oldest.age_ns),
                trace.unwrap_or_default()
            )?;
        }
        Ok(())
    }

    fn flow(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (words, rate) in [("arrive", self.arrival), ("are done", self.service_rate)] {
            if let Some(rate) = rate {
                writeln!(
                    f,
                    "  {words:<13} {:.3} a second ({})",
                    rate.per_s, rate.source
                )?;
            }
        }
        if let Some(wait) = &self.wait {
            let longest = wait
                .max_ns
                .map(|ns| format!(", {} at most", Nanoseconds(ns)));
            writeln!(
                f,
                "  wait          {} on average{} ({} by {})",
                Nanoseconds(wait.mean_ns),
                longest.unwrap_or_default(),
                wait.count,
                wait.source
            )?;
        }
        if let Some(work) = self.work_mean_ns {
            writeln!(f, "  work takes    {} on average", Nanoseconds(work))?;
        }
        if let (Some(utilisation), Some(workers)) = (self.utilisation, self.workers) {
            writeln!(
                f,
                "  utilisation   {:.1} % of {workers} workers",
                utilisation * 100.0
            )?;
        }
        Ok(())
    }

    fn ahead(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ahead.is_empty() {
            return Ok(());
        }
        writeln!(f, "  who waits, the oldest first:")?;
        for (at, ahead) in self.ahead.iter().enumerate() {
            let trace = ahead.trace_id.as_deref().map(|id| format!("  trace {id}"));
            writeln!(
                f,
                "  {:>4}. {:>12}  {}{}",
                at + 1,
                Nanoseconds(ahead.age_ns).to_string(),
                ahead.item,
                trace.unwrap_or_default()
            )?;
        }
        if self.ahead_more > 0 {
            writeln!(f, "        and {} more", self.ahead_more)?;
        }
        Ok(())
    }
}

impl fmt::Display for Saturation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.growth_interval_per_s;
        write!(
            f,
            "{} by {:.4} a second ({low:.4} to {high:.4}), now {:.4}",
            self.what, self.growth_per_s, self.now
        )?;
        let duration = |seconds: f64| Nanoseconds((seconds * 1e9) as u64);
        match (self.limit, self.in_s, self.in_interval_s) {
            (Some(limit), Some(in_s), Some((earliest, latest))) => write!(
                f,
                "; {limit:.4} is reached in {} ({} to {})",
                duration(in_s),
                duration(earliest),
                duration(latest)
            ),
            _ => f.write_str("; nothing says how much there can be"),
        }
    }
}
