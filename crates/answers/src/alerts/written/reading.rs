//! What is read of a series, as it stands in files.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alerts::{Fault, Measure, Reading, Selector};

/// What does not fit together in a condition as written: the field, what is wrong, the mend.
pub(super) struct Misfit(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

impl Misfit {
    pub(super) fn of_rule(&self, rule: &str) -> Fault {
        Fault {
            rule: rule.to_owned(),
            field: self.0.to_owned(),
            message: self.1.to_owned(),
            mend: self.2.to_owned(),
        }
    }
}

/// What is read: one of `rate`, `increase`, `mean`, or `quantile` or `beyond` with `over`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenReading {
    #[serde(
        default,
        with = "crate::duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    rate: Option<Duration>,
    #[serde(
        default,
        with = "crate::duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    increase: Option<Duration>,
    #[serde(
        default,
        with = "crate::duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    mean: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantile: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beyond: Option<f64>,
    #[serde(
        default,
        with = "crate::duration::optional",
        skip_serializing_if = "Option::is_none"
    )]
    over: Option<Duration>,
}

impl WrittenReading {
    fn meant(self, field: &'static str) -> Result<Reading, Misfit> {
        let one = "say one of rate, increase, mean, or quantile or beyond with `over`";
        let over = self.over;
        let with_over = |value: Option<f64>, reading: fn(f64, Duration) -> Reading| {
            value.map(|value| over.map(|over| reading(value, over)))
        };
        let given = [
            self.rate.map(|window| Some(Reading::Rate(window))),
            self.increase.map(|window| Some(Reading::Increase(window))),
            self.mean.map(|window| Some(Reading::Mean(window))),
            with_over(self.quantile, Reading::Quantile),
            with_over(self.beyond, Reading::Beyond),
        ];
        let given: Vec<Option<Reading>> = given.into_iter().flatten().collect();
        match given[..] {
            [Some(reading)] if over.is_none() || is_with_over(reading) => Ok(reading),
            _ => Err(Misfit(field, "is not one reading", one)),
        }
    }

    pub(super) fn of(reading: Reading) -> Option<Self> {
        let none = Self::default();
        match reading {
            Reading::Last => None,
            Reading::Rate(window) => Some(Self {
                rate: Some(window),
                ..none
            }),
            Reading::Increase(window) => Some(Self {
                increase: Some(window),
                ..none
            }),
            Reading::Mean(window) => Some(Self {
                mean: Some(window),
                ..none
            }),
            Reading::Quantile(quantile, window) => Some(Self {
                quantile: Some(quantile),
                over: Some(window),
                ..none
            }),
            Reading::Beyond(bound, window) => Some(Self {
                beyond: Some(bound),
                over: Some(window),
                ..none
            }),
        }
    }
}

const fn is_with_over(reading: Reading) -> bool {
    matches!(reading, Reading::Quantile(..) | Reading::Beyond(..))
}

pub(super) fn measure(
    of: Selector,
    per: Option<Selector>,
    by: Option<Vec<String>>,
    reading: Option<WrittenReading>,
    field: &'static str,
) -> Result<Measure, Misfit> {
    let reading = reading.map_or(Ok(Reading::Last), |reading| reading.meant(field))?;
    Ok(Measure {
        of,
        per,
        by,
        reading,
    })
}
