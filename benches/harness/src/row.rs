//! What is promised: one row of the table.

use serde_json::{Value, json};

/// One row: a measure of ours, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is measured, as a person reads it.
    pub what: &'static str,
    unit: &'static str,
    /// `CASE:MEASURE`.
    ours: &'static str,
    statistic: Statistic,
    against: Against,
}

/// Which number of the samples is compared.
#[derive(Clone, Copy, Debug)]
enum Statistic {
    /// The cost itself, where one thread runs undisturbed.
    Min,
    /// What happens where threads meet, and where the whole process is counted.
    Median,
}

/// What our measure is held against.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// Another measure in the same run.
    Peer {
        /// `CASE:MEASURE`.
        measure: &'static str,
        name: &'static str,
        /// The most that ours may be, as a part of the peer's; `None` to show the ratio and promise nothing.
        limit: Option<f64>,
    },
    /// The most that ours may be, in the row's unit.
    Budget(f64),
}

impl Row {
    /// Nanoseconds, as the measure `ours` has them, beside the measure of the peer called `name`.
    pub const fn beside(
        what: &'static str,
        ours: &'static str,
        measure: &'static str,
        name: &'static str,
        limit: Option<f64>,
    ) -> Self {
        let against = Against::Peer {
            measure,
            name,
            limit,
        };
        Self {
            what,
            unit: "ns",
            ours,
            statistic: Statistic::Median,
            against,
        }
    }

    /// A measure that may be `most` of `unit`.
    pub const fn at_most(
        what: &'static str,
        ours: &'static str,
        most: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            what,
            unit,
            ours,
            statistic: Statistic::Median,
            against: Against::Budget(most),
        }
    }

    /// The row judged by the least sample, not by the median: for one thread that nothing disturbs.
    #[must_use]
    pub const fn by_least(mut self) -> Self {
        self.statistic = Statistic::Min;
        self
    }

    /// The row in another unit than nanoseconds.
    #[must_use]
    pub const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The row as the driver reads it.
    pub fn json(&self) -> Value {
        let statistic = match self.statistic {
            Statistic::Min => "min",
            Statistic::Median => "median",
        };
        let mut row = json!({"what": self.what, "unit": self.unit, "ours": self.ours, "statistic": statistic});
        match self.against {
            Against::Peer {
                measure,
                name,
                limit,
            } => {
                row["peer"] = measure.into();
                row["peer_name"] = name.into();
                row["limit"] = limit.into();
            }
            Against::Budget(budget) => row["budget"] = budget.into(),
        }
        row
    }

    /// The cases that the row needs.
    pub fn cases(&self) -> Vec<&'static str> {
        let peer = match self.against {
            Against::Peer { measure, .. } => Some(measure),
            Against::Budget(_) => None,
        };
        [Some(self.ours), peer]
            .into_iter()
            .flatten()
            .filter_map(|measure| Some(measure.split_once(':')?.0))
            .collect()
    }
}
