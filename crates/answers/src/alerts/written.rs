//! Rules as they stand in files, and what is meant by that.
//!
//! ```toml
//! [[rules]]
//! name = "gpu_memory_high"
//! severity = "error"
//! for = "1m"
//! unit = "1"
//! threshold = { of = "hw.gpu.memory.usage", per = "hw.gpu.memory.limit", above = 0.9, resolve_at = 0.85 }
//! annotations = { summary = "{{labels.hw.id}} is at {{value}}", action = "Make batches smaller." }
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod reading;

use self::reading::{Misfit, WrittenReading, measure};
use super::{
    Absence, Anomaly, BurnRate, BurnWindow, Condition, Direction, Fault, Forecast, Labels, Limit,
    Measure, Rule, Selector, Severity, Threshold, condition::HISTORY_DEFAULT,
};

/// A rule as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: String,
    #[serde(default)]
    severity: Severity,
    #[serde(
        default,
        rename = "for",
        with = "crate::duration",
        skip_serializing_if = "Duration::is_zero"
    )]
    for_: Duration,
    #[serde(
        default,
        with = "crate::duration",
        skip_serializing_if = "Duration::is_zero"
    )]
    keep_firing_for: Duration,
    #[serde(
        default,
        with = "crate::duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    interval: Option<Duration>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    unit: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<WrittenThreshold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absence: Option<WrittenAbsence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burn_rate: Option<WrittenBurnRate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forecast: Option<WrittenForecast>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anomaly: Option<WrittenAnomaly>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    annotations: Labels,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenThreshold {
    of: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<WrittenReading>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolve_at: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAbsence {
    of: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(with = "crate::duration")]
    since: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBurnRate {
    errors: Selector,
    total: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    objective: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<WrittenBurnWindow>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBurnWindow {
    #[serde(with = "crate::duration")]
    long: Duration,
    #[serde(with = "crate::duration")]
    short: Duration,
    times: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenForecast {
    of: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<WrittenReading>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reaches: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    falls_to: Option<f64>,
    #[serde(with = "crate::duration")]
    within: Duration,
    #[serde(default = "history", with = "crate::duration")]
    history: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAnomaly {
    of: Selector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<WrittenReading>,
    #[serde(default)]
    direction: Direction,
    #[serde(default = "history", with = "crate::duration")]
    history: Duration,
}

const fn history() -> Duration {
    HISTORY_DEFAULT
}

impl TryFrom<Written> for Rule {
    type Error = String;

    /// The rule as meant; the error has everything that is wrong with it, a line each.
    fn try_from(written: Written) -> Result<Self, String> {
        let name = written.name;
        let of_rule = |fault: Misfit| fault.of_rule(&name).to_string();
        let given = [
            written.threshold.map(WrittenThreshold::meant),
            written.absence.map(|absence| Ok(absence.meant())),
            written.burn_rate.map(|burn| Ok(burn.meant())),
            written.forecast.map(WrittenForecast::meant),
            written.anomaly.map(WrittenAnomaly::meant),
            written
                .expression
                .map(|text| Ok(Condition::Expression(text))),
        ];
        let given: Result<Vec<Condition>, Misfit> = given.into_iter().flatten().collect();
        let mut given = given.map_err(of_rule)?;
        let condition = match (given.pop(), given.is_empty()) {
            (Some(condition), true) => condition,
            (last, _) => return Err(of_rule(not_one(last.is_some()))),
        };
        let rule = Self {
            name,
            condition,
            for_: written.for_,
            keep_firing_for: written.keep_firing_for,
            severity: written.severity,
            unit: written.unit,
            labels: written.labels,
            annotations: written.annotations,
            group: written.group,
            interval: written.interval,
        };
        let faults: Vec<String> = rule.check().iter().map(Fault::to_string).collect();
        if faults.is_empty() {
            Ok(rule)
        } else {
            Err(faults.join("\n"))
        }
    }
}

const fn not_one(has_several: bool) -> Misfit {
    Misfit(
        "condition",
        if has_several {
            "there is more than one"
        } else {
            "there is none"
        },
        "say one of threshold, absence, burn_rate, forecast, anomaly and expression",
    )
}

impl WrittenThreshold {
    fn meant(self) -> Result<Condition, Misfit> {
        let limits = [
            self.above.map(Limit::Above),
            self.at_least.map(Limit::AtLeast),
            self.below.map(Limit::Below),
            self.at_most.map(Limit::AtMost),
        ];
        let limits: Vec<Limit> = limits.into_iter().flatten().collect();
        let [limit] = limits[..] else {
            return Err(Misfit(
                "threshold",
                "has not one limit",
                "say one of above, at_least, below and at_most",
            ));
        };
        let Self { of, per, by, .. } = self;
        Ok(Condition::Threshold(Threshold {
            measure: measure(of, per, by, self.reading, "threshold.reading")?,
            limit,
            resolve_at: self.resolve_at,
        }))
    }

    fn of(threshold: Threshold) -> Self {
        let Measure {
            of,
            per,
            by,
            reading,
        } = threshold.measure;
        let limit = threshold.limit;
        let value = |word| (limit.word() == word).then(|| limit.value());
        Self {
            of,
            per,
            by,
            reading: WrittenReading::of(reading),
            above: value("above"),
            at_least: value("at_least"),
            below: value("below"),
            at_most: value("at_most"),
            resolve_at: threshold.resolve_at,
        }
    }
}

impl WrittenAbsence {
    fn meant(self) -> Condition {
        let Self { of, by, since } = self;
        Condition::Absence(Absence { of, by, since })
    }
}

impl WrittenBurnRate {
    fn meant(self) -> Condition {
        let windows = self.windows.map(|windows| {
            let windows = windows
                .into_iter()
                .map(|WrittenBurnWindow { long, short, times }| BurnWindow { long, short, times });
            windows.collect()
        });
        Condition::BurnRate(BurnRate {
            errors: self.errors,
            total: self.total,
            by: self.by,
            objective: self.objective,
            windows: windows.unwrap_or_else(|| BurnWindow::DEFAULTS.to_vec()),
        })
    }

    fn of(burn: BurnRate) -> Self {
        let windows = burn
            .windows
            .iter()
            .map(|&BurnWindow { long, short, times }| WrittenBurnWindow { long, short, times });
        let windows = (burn.windows != BurnWindow::DEFAULTS).then(|| windows.collect());
        Self {
            errors: burn.errors,
            total: burn.total,
            by: burn.by,
            objective: burn.objective,
            windows,
        }
    }
}

impl WrittenForecast {
    fn meant(self) -> Result<Condition, Misfit> {
        let (reaches, falls) = match (self.reaches, self.falls_to) {
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            _ => {
                return Err(Misfit(
                    "forecast",
                    "has not one value that is reached",
                    "say one of reaches and falls_to",
                ));
            }
        };
        let Self { of, per, by, .. } = self;
        Ok(Condition::Forecast(Forecast {
            measure: measure(of, per, by, self.reading, "forecast.reading")?,
            reaches,
            falls,
            within: self.within,
            history: self.history,
        }))
    }
}

impl WrittenAnomaly {
    fn meant(self) -> Result<Condition, Misfit> {
        let Self { of, per, by, .. } = self;
        Ok(Condition::Anomaly(Anomaly {
            measure: measure(of, per, by, self.reading, "anomaly.reading")?,
            direction: self.direction,
            history: self.history,
        }))
    }
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Self {
        let mut written = Self {
            name: rule.name,
            severity: rule.severity,
            for_: rule.for_,
            keep_firing_for: rule.keep_firing_for,
            interval: rule.interval,
            unit: rule.unit,
            group: rule.group,
            threshold: None,
            absence: None,
            burn_rate: None,
            forecast: None,
            anomaly: None,
            expression: None,
            labels: rule.labels,
            annotations: rule.annotations,
        };
        match rule.condition {
            Condition::Threshold(threshold) => {
                written.threshold = Some(WrittenThreshold::of(threshold));
            }
            Condition::Absence(Absence { of, by, since }) => {
                written.absence = Some(WrittenAbsence { of, by, since });
            }
            Condition::BurnRate(burn) => written.burn_rate = Some(WrittenBurnRate::of(burn)),
            Condition::Forecast(forecast) => {
                let Measure {
                    of,
                    per,
                    by,
                    reading,
                } = forecast.measure;
                written.forecast = Some(WrittenForecast {
                    of,
                    per,
                    by,
                    reading: WrittenReading::of(reading),
                    reaches: (!forecast.falls).then_some(forecast.reaches),
                    falls_to: forecast.falls.then_some(forecast.reaches),
                    within: forecast.within,
                    history: forecast.history,
                });
            }
            Condition::Anomaly(anomaly) => {
                let Measure {
                    of,
                    per,
                    by,
                    reading,
                } = anomaly.measure;
                written.anomaly = Some(WrittenAnomaly {
                    of,
                    per,
                    by,
                    reading: WrittenReading::of(reading),
                    direction: anomaly.direction,
                    history: anomaly.history,
                });
            }
            Condition::Expression(text) => written.expression = Some(text),
        }
        written
    }
}
