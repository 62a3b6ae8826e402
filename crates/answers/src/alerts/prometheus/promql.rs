//! PromQL that means what a condition means, over metrics as our `/metrics` shows them.

use std::{fmt::Write as _, time::Duration};

use super::{MetricKind, shown};
use crate::{
    alerts::{
        Absence, BurnRate, Condition, Forecast, Limit, Measure, Pattern, Reading, Rule, Selector,
        Threshold,
    },
    prometheus_name::{Kind, family, label_name},
};

/// The condition of a rule as PromQL, or why it has no form there. What means something else there is added to `remarks`.
pub(super) fn of(
    rule: &Rule,
    kind_of: &dyn Fn(&str) -> Option<MetricKind>,
    remarks: &mut Vec<String>,
) -> Result<String, String> {
    let mut writer = Writer { kind_of, remarks };
    match &rule.condition {
        Condition::Threshold(threshold) => writer.threshold(rule, threshold),
        Condition::Absence(absence) => writer.absence(absence),
        Condition::BurnRate(burn) => writer.burn_rate(burn),
        Condition::Forecast(forecast) => writer.forecast(forecast),
        Condition::Anomaly(_) => Err(
            "Prometheus cannot say what is normal for a series; it is evaluated here alone"
                .to_owned(),
        ),
        Condition::Expression(text) => Ok(text.clone()),
    }
}

struct Writer<'w> {
    kind_of: &'w dyn Fn(&str) -> Option<MetricKind>,
    remarks: &'w mut Vec<String>,
}

/// A metric's family, and what tells its series apart.
struct Named {
    family: String,
    kind: Kind,
    /// `{device="cuda:0"}`, or nothing.
    matchers: String,
    unit: String,
}

impl Named {
    fn with(&self, suffix: &str) -> String {
        format!("{}{suffix}{}", self.family, self.matchers)
    }

    /// What counts: a counter, or a histogram's measurements.
    fn counted(&self) -> Result<String, String> {
        match self.kind {
            Kind::Counter => Ok(self.with("_total")),
            Kind::Histogram => Ok(self.with("_count")),
            Kind::Gauge | Kind::UpDownCounter => {
                Err(format!("`{}` does not only grow", self.family))
            }
        }
    }

    /// A series that is there wherever the metric is.
    fn any(&self) -> String {
        self.counted().unwrap_or_else(|_| self.with(""))
    }

    /// The same with one more matcher.
    fn bucket(&self, le: &str) -> String {
        let inner = self.matchers.trim_start_matches('{').trim_end_matches('}');
        let comma = if inner.is_empty() { "" } else { "," };
        format!("{}_bucket{{{inner}{comma}le=\"{le}\"}}", self.family)
    }
}

impl Writer<'_> {
    fn named(&self, selector: &Selector) -> Result<Named, String> {
        let metric = &selector.metric;
        let described = (self.kind_of)(metric)
            .ok_or_else(|| format!("nobody says of what kind and unit `{metric}` is"))?;
        Ok(Named {
            family: family(metric, &described.unit, described.kind).0,
            kind: described.kind,
            matchers: matchers(selector),
            unit: described.unit,
        })
    }

    fn threshold(&mut self, rule: &Rule, threshold: &Threshold) -> Result<String, String> {
        let value = self.measure(&threshold.measure)?;
        let limit = threshold.limit;
        let crossed = |limit: Limit| format!("{value} {}", comparison(limit));
        let Some(back) = threshold.resolve_at else {
            return Ok(crossed(limit));
        };
        // What fires already goes on until it is back across the other limit: Prometheus knows it by its own series.
        let own = ["alertname", "alertstate", "severity"].map(str::to_owned);
        let own: Vec<String> = own
            .into_iter()
            .chain(rule.labels.keys().map(|label| label_name(label)))
            .collect();
        Ok(format!(
            "{} or ({} and ignoring ({}) ALERTS{{alertname={},alertstate=\"firing\"}})",
            crossed(limit),
            crossed(limit.at(back)),
            own.join(", "),
            quoted(&rule.name)
        ))
    }

    fn absence(&self, absence: &Absence) -> Result<String, String> {
        let series = self.named(&absence.of)?.any();
        let since = shown(absence.since);
        let Some(by) = &absence.by else {
            return Ok(format!("absent_over_time({series}[{since}])"));
        };
        let by = labels(by);
        Ok(format!(
            "count by ({by}) (last_over_time({series}[1d])) unless count by ({by}) (last_over_time({series}[{since}]))"
        ))
    }

    fn burn_rate(&self, burn: &BurnRate) -> Result<String, String> {
        let errors = self.named(&burn.errors)?.counted()?;
        let total = self.named(&burn.total)?.counted()?;
        let by = burn.by.clone().unwrap_or_default();
        let pace = |window: Duration, times: f64| {
            let grown = |series: &str| sum(&by, &format!("increase({series}[{}])", shown(window)));
            format!(
                "{} / {} / (1 - {}) > {times}",
                grown(&errors),
                grown(&total),
                burn.objective
            )
        };
        let windows = burn.windows.iter().map(|window| {
            format!(
                "({} and {})",
                pace(window.long, window.times),
                pace(window.short, window.times)
            )
        });
        Ok(windows.collect::<Vec<_>>().join(" or "))
    }

    fn forecast(&mut self, forecast: &Forecast) -> Result<String, String> {
        let value = self.measure(&forecast.measure)?;
        let history = shown(forecast.history);
        let is_plain = forecast.measure.per.is_none()
            && forecast.measure.by.is_none()
            && forecast.measure.reading == Reading::Last;
        let past = if is_plain {
            format!("{value}[{history}]")
        } else {
            format!("({value})[{history}:]")
        };
        self.remarks.push(
            "Prometheus draws a line through the past and does not ask whether it is sure"
                .to_owned(),
        );
        Ok(format!(
            "predict_linear({past}, {}) {}",
            forecast.within.as_secs_f64(),
            comparison(forecast.limit())
        ))
    }

    /// One value for each series or group, as [`Measure`] has it.
    fn measure(&mut self, measure: &Measure) -> Result<String, String> {
        let of = self.reading(&measure.of, measure)?;
        match &measure.per {
            None => Ok(of),
            Some(per) => Ok(format!("{of} / {}", self.reading(per, measure)?)),
        }
    }

    fn reading(&mut self, selector: &Selector, measure: &Measure) -> Result<String, String> {
        let named = self.named(selector)?;
        let is_histogram = named.kind == Kind::Histogram;
        let is_counter = named.kind == Kind::Counter;
        let summed = |text: String| match &measure.by {
            None => text,
            Some(by) => sum(by, &text),
        };
        let over = |function: &str, series: &str, window| {
            format!("{function}({series}[{}])", shown(window))
        };
        match measure.reading {
            Reading::Last if is_histogram => Err(format!("`{}` is a histogram", named.family)),
            Reading::Last => Ok(summed(named.with(if is_counter { "_total" } else { "" }))),
            Reading::Rate(window) => Ok(summed(over("rate", &named.counted()?, window))),
            Reading::Increase(window) => Ok(summed(over("increase", &named.counted()?, window))),
            _ if is_counter => Err(format!("`{}` is a counter", named.family)),
            Reading::Mean(window) if is_histogram => {
                let part = |suffix: &str| summed(over("increase", &named.with(suffix), window));
                Ok(format!("({} / {})", part("_sum"), part("_count")))
            }
            Reading::Mean(window) => Ok(summed(over("avg_over_time", &named.with(""), window))),
            Reading::Quantile(quantile, window) if is_histogram => {
                let buckets = over("increase", &named.with("_bucket"), window);
                let buckets = match &measure.by {
                    None => buckets,
                    Some(by) => {
                        let with_bounds: Vec<String> =
                            by.iter().cloned().chain(["le".to_owned()]).collect();
                        sum(&with_bounds, &buckets)
                    }
                };
                Ok(format!("histogram_quantile({quantile}, {buckets})"))
            }
            Reading::Quantile(..) if measure.by.is_some() => Err(format!(
                "Prometheus has no quantile of several gauges such as `{}` together",
                named.family
            )),
            Reading::Quantile(quantile, window) => Ok(format!(
                "quantile_over_time({quantile}, {}[{}])",
                named.with(""),
                shown(window)
            )),
            Reading::Beyond(bound, window) if is_histogram => {
                Ok(summed(self.beyond(&named, bound, window)))
            }
            Reading::Beyond(bound, window) => {
                self.remarks.push(format!(
                    "Prometheus looks at `{}` at each of its evaluations, not at each reading",
                    named.family
                ));
                let beyond = format!("({} > {bound})", named.with(""));
                Ok(summed(format!(
                    "count_over_time({beyond}[{}:])",
                    shown(window)
                )))
            }
        }
    }

    /// How many measurements were above a bound: all but those of the bucket that it ends. Ours end at powers of two, except
    /// where a histogram has bounds of its own.
    fn beyond(&mut self, named: &Named, bound: f64, window: Duration) -> String {
        let nearest = if bound > 0.0 {
            bound.log2().ceil().exp2()
        } else {
            bound
        };
        if nearest.to_bits() != bound.to_bits() {
            self.remarks.push(format!(
                "buckets of `{}` end at powers of two: what was above {nearest} {} is counted, not above {bound}",
                named.family, named.unit
            ));
        }
        let window = shown(window);
        let le = if nearest.fract() == 0.0 {
            format!("{nearest:.1}")
        } else {
            nearest.to_string()
        };
        format!(
            "(increase({}[{window}]) - ignoring (le) increase({}[{window}]))",
            named.with("_count"),
            named.bucket(&le)
        )
    }
}

fn comparison(limit: Limit) -> String {
    let sign = match limit {
        Limit::Above(_) => ">",
        Limit::AtLeast(_) => ">=",
        Limit::Below(_) => "<",
        Limit::AtMost(_) => "<=",
    };
    format!("{sign} {}", limit.value())
}

fn sum(by: &[String], text: &str) -> String {
    if by.is_empty() {
        format!("sum({text})")
    } else {
        format!("sum by ({}) ({text})", labels(by))
    }
}

fn labels(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| label_name(name)).collect();
    names.join(", ")
}

fn matchers(selector: &Selector) -> String {
    if selector.labels.is_empty() {
        return String::new();
    }
    let matchers = selector.labels.iter().map(|(label, pattern)| {
        let (is_not, texts) = match pattern {
            Pattern::Is(texts) => (false, texts),
            Pattern::IsNot(texts) => (true, texts),
        };
        let (sign, value) = match &texts[..] {
            [text] if !text.contains('*') => (if is_not { "!=" } else { "=" }, text.clone()),
            texts => {
                let alternatives: Vec<String> = texts.iter().map(|text| expression(text)).collect();
                (if is_not { "!~" } else { "=~" }, alternatives.join("|"))
            }
        };
        format!("{}{sign}{}", label_name(label), quoted(&value))
    });
    format!("{{{}}}", matchers.collect::<Vec<_>>().join(","))
}

/// A text with stars as a regular expression of RE2, which Prometheus anchors at both ends.
fn expression(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => out.push_str(".*"),
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            c if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A text in PromQL's double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String cannot fail
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
