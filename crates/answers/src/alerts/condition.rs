//! What a rule says of measurements: what has to be so for something to be wrong.

use std::time::Duration;

use super::Selector;

/// What has to be so for something to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A value is beyond a limit.
    Threshold(Threshold),
    /// Nothing was measured.
    Absence(Absence),
    /// More failed than an objective has room for.
    BurnRate(BurnRate),
    /// A value will reach something.
    Forecast(Forecast),
    /// A value is not what it was.
    Anomaly(Anomaly),
    /// A text in PromQL: each sample of its answer is an alert, as with Prometheus. Whoever gives the measurements answers
    /// it.
    Expression(String),
}

impl Condition {
    /// The word for its kind, which is its key in a file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Threshold(_) => "threshold",
            Self::Absence(_) => "absence",
            Self::BurnRate(_) => "burn_rate",
            Self::Forecast(_) => "forecast",
            Self::Anomaly(_) => "anomaly",
            Self::Expression(_) => "expression",
        }
    }
}

/// One value for each series, or for each group of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Of which series.
    pub of: Selector,
    /// Divided by the same of these series: of those whose labels are equal. Where that is zero there is no value.
    pub per: Option<Selector>,
    /// Series that agree in these labels are one: totals and gauges are added up, histograms are merged. `None`: each by
    /// itself. An empty list: all together.
    pub by: Option<Vec<String>>,
    /// What is read of them.
    pub reading: Reading,
}

impl Measure {
    /// Each series by itself.
    pub fn new(of: impl Into<Selector>, reading: Reading) -> Self {
        Self {
            of: of.into(),
            per: None,
            by: None,
            reading,
        }
    }

    /// Divided by the same of these.
    #[must_use]
    pub fn per(mut self, selector: impl Into<Selector>) -> Self {
        self.per = Some(selector.into());
        self
    }

    /// Series that agree in these labels are one.
    #[must_use]
    pub fn by<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.by = Some(labels.into_iter().map(Into::into).collect());
        self
    }
}

/// What is read of a series. A histogram counts its measurements where a counter is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// The last value, of a gauge or a counter, where it is not older than five minutes.
    Last,
    /// By how much a second a counter grew.
    Rate(Duration),
    /// By how much a counter grew. Nothing is extrapolated: three errors are three.
    Increase(Duration),
    /// The mean: of a gauge's values, or of what a histogram measured.
    Mean(Duration),
    /// The value below which a share (0 to 1) lies: of a gauge's values, or of what a histogram measured.
    Quantile(f64, Duration),
    /// How many were above a bound: of a gauge's values, or of what a histogram measured.
    Beyond(f64, Duration),
}

impl Reading {
    /// How far back it looks; `None` where it takes what is last.
    pub const fn window(self) -> Option<Duration> {
        match self {
            Self::Last => None,
            Self::Rate(window)
            | Self::Increase(window)
            | Self::Mean(window)
            | Self::Quantile(_, window)
            | Self::Beyond(_, window) => Some(window),
        }
    }

    /// The word for it in a file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Rate(_) => "rate",
            Self::Increase(_) => "increase",
            Self::Mean(_) => "mean",
            Self::Quantile(..) => "quantile",
            Self::Beyond(..) => "beyond",
        }
    }
}

/// A limit, and on which side of it things are wrong. A value that is not a number is on neither.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Wrong is what is greater.
    Above(f64),
    /// Wrong is what is as great or greater.
    AtLeast(f64),
    /// Wrong is what is less.
    Below(f64),
    /// Wrong is what is as little or less.
    AtMost(f64),
}

impl Limit {
    /// The limit itself.
    pub const fn value(self) -> f64 {
        match self {
            Self::Above(value)
            | Self::AtLeast(value)
            | Self::Below(value)
            | Self::AtMost(value) => value,
        }
    }

    /// Whether `value` is on the wrong side.
    pub fn is_crossed_by(self, value: f64) -> bool {
        match self {
            Self::Above(limit) => value > limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
            Self::AtMost(limit) => value <= limit,
        }
    }

    /// The same side of another value.
    #[must_use]
    pub const fn at(self, value: f64) -> Self {
        match self {
            Self::Above(_) => Self::Above(value),
            Self::AtLeast(_) => Self::AtLeast(value),
            Self::Below(_) => Self::Below(value),
            Self::AtMost(_) => Self::AtMost(value),
        }
    }

    /// Whether great values are wrong.
    pub const fn is_upper(self) -> bool {
        matches!(self, Self::Above(_) | Self::AtLeast(_))
    }

    /// The word for it in a file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Above(_) => "above",
            Self::AtLeast(_) => "at_least",
            Self::Below(_) => "below",
            Self::AtMost(_) => "at_most",
        }
    }
}

/// A value is beyond a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Which value.
    pub measure: Measure,
    /// Beyond which limit, in the metric's unit.
    pub limit: Limit,
    /// What fires goes on firing until the value is back across this one too: hysteresis.
    pub resolve_at: Option<f64>,
}

impl Threshold {
    /// Resolved at the limit itself.
    pub const fn new(measure: Measure, limit: Limit) -> Self {
        Self {
            measure,
            limit,
            resolve_at: None,
        }
    }

    /// Resolved where the value is back across this.
    #[must_use]
    pub const fn resolve_at(mut self, value: f64) -> Self {
        self.resolve_at = Some(value);
        self
    }
}

/// Nothing was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Absence {
    /// Of which series.
    pub of: Selector,
    /// Each group of series that was measured once has to go on: those that agree in these labels are one. `None`: it is
    /// enough that any series is measured.
    pub by: Option<Vec<String>>,
    /// For how long.
    pub since: Duration,
}

/// More failed than an objective has room for: an error budget is used up at many times the pace at which it would last.
#[derive(Clone, Debug, PartialEq)]
pub struct BurnRate {
    /// What counts failures: a counter, or a histogram's measurements.
    pub errors: Selector,
    /// What counts all, failures among them.
    pub total: Selector,
    /// Series that agree in these labels are one. `None`: all together.
    pub by: Option<Vec<String>>,
    /// The share that has to succeed, as in 0.999.
    pub objective: f64,
    /// At which pace over which times. It is enough that one of them holds.
    pub windows: Vec<BurnWindow>,
}

/// A pace that is too fast, seen over a long time and, so that it ends soon after what caused it, over a short one too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnWindow {
    /// The long time.
    pub long: Duration,
    /// The short time.
    pub short: Duration,
    /// How many times the pace at which the budget would just last.
    pub times: f64,
}

impl BurnWindow {
    /// The three pairs for an objective over 30 days: 2 % of the budget in an hour, 5 % in six hours, 10 % in three days
    /// (Google, "The Site Reliability Workbook", 2018, chapter 5, table 5-8).
    pub const DEFAULTS: [Self; 3] = [
        Self {
            long: Duration::from_secs(3_600),
            short: Duration::from_secs(300),
            times: 14.4,
        },
        Self {
            long: Duration::from_secs(6 * 3_600),
            short: Duration::from_secs(1_800),
            times: 6.0,
        },
        Self {
            long: Duration::from_secs(3 * 86_400),
            short: Duration::from_secs(6 * 3_600),
            times: 1.0,
        },
    ];
}

/// A value will reach something, should it go on as it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Which value.
    pub measure: Measure,
    /// What it reaches, in the metric's unit.
    pub reaches: f64,
    /// It falls to that from above, as free memory does, and does not rise to it.
    pub falls: bool,
    /// How soon.
    pub within: Duration,
    /// From how much of the past that is told.
    pub history: Duration,
}

impl Forecast {
    /// What is crossed where it is reached.
    pub const fn limit(&self) -> Limit {
        if self.falls {
            Limit::AtMost(self.reaches)
        } else {
            Limit::AtLeast(self.reaches)
        }
    }
}

/// A value is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Which value.
    pub measure: Measure,
    /// Which way is wrong.
    pub direction: Direction,
    /// From how much of the past it is known what is normal.
    pub history: Duration,
}

/// Which way from what is normal is wrong.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Too much.
    Above,
    /// Too little.
    Below,
    /// Either.
    #[default]
    Either,
}

/// How much of the past [`Forecast`] and [`Anomaly`] look at unless they say otherwise.
pub const HISTORY_DEFAULT: Duration = Duration::from_secs(3_600);
