//! Whether what a rule says is so, for each series or group.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Absence, Anomaly, BurnRate, Condition, Forecast, Labels, Measure, Reading, Rule, Source,
    Threshold, judge,
    measure::{Loaded, fresh_ns, ns},
};

mod absence;
mod watches;

pub(super) use self::{absence::Absent, watches::Watches};

/// What a rule says of one series or group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict<'a> {
    pub labels: &'a Labels,
    pub value: Option<f64>,
    /// It is so.
    pub holds: bool,
    /// It is so still, for one of which it was so.
    pub stays: bool,
    /// How that is known, where it is more than a comparison.
    pub words: Option<String>,
}

/// What it means that there is no verdict of a series or group any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is not so any more.
    MeansNo,
    /// It is not known.
    IsUnknown,
}

/// What a rule remembers from one evaluation to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub absent: Absent,
    pub watches: Watches,
}

/// What verdicts are made of.
#[derive(Debug)]
pub(super) struct Court<'a> {
    pub source: &'a dyn Source,
    pub now_unix_ns: u64,
}

impl std::fmt::Debug for dyn Source + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Court<'_> {
    /// Hands over a verdict of each series or group. Where there is an error nothing is handed over.
    pub(super) fn try_each(
        &self,
        rule: &Rule,
        memory: &mut Memory,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<Missing, String> {
        let unit = &rule.unit;
        match &rule.condition {
            Condition::Threshold(threshold) => self.threshold(threshold, verdicts)?,
            Condition::BurnRate(burn) => self.burn_rate(burn, verdicts)?,
            Condition::Forecast(forecast) => self.forecast(forecast, unit, verdicts)?,
            Condition::Anomaly(anomaly) => {
                self.anomaly(anomaly, unit, &mut memory.watches, verdicts)?;
            }
            Condition::Absence(absence) => {
                self.absence(absence, &mut memory.absent, verdicts)?;
                return Ok(Missing::MeansNo);
            }
            Condition::Expression(text) => {
                self.expression(text, verdicts)?;
                return Ok(Missing::MeansNo);
            }
        }
        Ok(Missing::IsUnknown)
    }

    fn threshold(
        &self,
        threshold: &Threshold,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), String> {
        let now = self.now_unix_ns;
        let loaded = Loaded::new(&threshold.measure, self.source, now, now)?;
        let limit = threshold.limit;
        let back = threshold.resolve_at.map_or(limit, |value| limit.at(value));
        for measured in loaded.at(now)? {
            let holds = limit.is_crossed_by(measured.value);
            verdicts(Verdict {
                labels: &measured.labels,
                value: Some(measured.value),
                holds,
                stays: holds || back.is_crossed_by(measured.value),
                words: None,
            });
        }
        Ok(())
    }

    fn burn_rate(
        &self,
        burn: &BurnRate,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), String> {
        let budget = 1.0 - burn.objective;
        let paces = |window| -> Result<BTreeMap<Labels, f64>, String> {
            let by = burn.by.clone().unwrap_or_default();
            let measure = Measure::new(burn.errors.clone(), Reading::Increase(window))
                .per(burn.total.clone())
                .by(by);
            let loaded = Loaded::new(&measure, self.source, self.now_unix_ns, self.now_unix_ns)?;
            let paces = loaded.at(self.now_unix_ns)?.into_iter();
            Ok(paces
                .map(|measured| (measured.labels.into_owned(), measured.value / budget))
                .collect())
        };
        // The pace over the first long time, or over that which is too fast.
        let mut told: BTreeMap<Labels, (f64, bool)> = BTreeMap::new();
        for window in &burn.windows {
            let short = paces(window.short)?;
            for (labels, pace) in paces(window.long)? {
                let is_short_too = short.get(&labels).is_some_and(|pace| *pace > window.times);
                let holds = pace > window.times && is_short_too;
                let entry = told.entry(labels).or_insert((pace, holds));
                if holds && !entry.1 {
                    *entry = (pace, true);
                }
            }
        }
        for (labels, (pace, holds)) in &told {
            verdicts(Verdict {
                labels,
                value: Some(*pace),
                holds: *holds,
                stays: *holds,
                words: None,
            });
        }
        Ok(())
    }

    fn forecast(
        &self,
        forecast: &Forecast,
        unit: &str,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), String> {
        let now = self.now_unix_ns;
        let span = ns(forecast.history);
        let begin = now.saturating_sub(span);
        let loaded = Loaded::new(&forecast.measure, self.source, begin, now)?;
        let fresh = now.saturating_sub(fresh_ns(span));
        for (labels, past) in loaded.past(begin, now, span)? {
            let Some(last) = past.last().filter(|last| last.time_unix_ns > fresh) else {
                continue;
            };
            let within_s = forecast.within.as_secs_f64();
            let words = judge::reached(&past, forecast.limit(), within_s, unit);
            verdicts(Verdict {
                labels: &labels,
                value: Some(last.value),
                holds: words.is_some(),
                stays: words.is_some(),
                words,
            });
        }
        Ok(())
    }

    fn anomaly(
        &self,
        anomaly: &Anomaly,
        unit: &str,
        watches: &mut Watches,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), String> {
        let now = self.now_unix_ns;
        let span = ns(anomaly.history);
        let begin = watches.begin(now.saturating_sub(span));
        let loaded = Loaded::new(&anomaly.measure, self.source, begin, now)?;
        for (labels, past) in loaded.past(begin, now, span)? {
            watches.feed(&labels, &past, anomaly.direction);
        }
        for (labels, value, watch) in watches.since(now.saturating_sub(fresh_ns(span))) {
            let wrong = watch.wrong(unit);
            verdicts(Verdict {
                labels,
                value: Some(value),
                holds: wrong.is_some(),
                stays: wrong.is_some(),
                words: wrong,
            });
        }
        Ok(())
    }

    fn absence(
        &self,
        absence: &Absence,
        memory: &mut Absent,
        verdicts: &mut dyn FnMut(Verdict<'_>),
    ) -> Result<(), String> {
        let now = self.now_unix_ns;
        let begin = now.saturating_sub(ns(absence.since));
        let series = self.source.series(&absence.of, begin, now)?;
        for labels in memory.absent(absence, &series, now) {
            verdicts(Verdict {
                labels: &labels,
                value: None,
                holds: true,
                stays: true,
                words: None,
            });
        }
        Ok(())
    }

    fn expression(&self, text: &str, verdicts: &mut dyn FnMut(Verdict<'_>)) -> Result<(), String> {
        let mut samples = self.source.expression(text, self.now_unix_ns)?;
        samples.sort_by(|left, right| left.labels.cmp(&right.labels));
        if let Some(pair) = samples
            .windows(2)
            .find(|pair| pair[0].labels == pair[1].labels)
        {
            let labels = shown(&pair[0].labels);
            return Err(format!(
                "two samples of the answer have the labels {labels}"
            ));
        }
        for sample in &samples {
            verdicts(Verdict {
                labels: &sample.labels,
                value: Some(sample.value),
                holds: true,
                stays: true,
                words: None,
            });
        }
        Ok(())
    }
}

/// Labels as Prometheus writes them.
fn shown(labels: &Labels) -> String {
    let pairs = labels
        .iter()
        .map(|(name, value)| Cow::Owned(format!("{name}={value:?}")));
    let pairs: Vec<Cow<'_, str>> = pairs.collect();
    format!("{{{}}}", pairs.join(", "))
}
