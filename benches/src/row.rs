//! What is promised: one row of the table.

use serde_json::{Value, json};

/// One row: a measure of ours, and what it is held against.
pub struct Row {
    pub what: &'static str,
    pub unit: &'static str,
    /// `CASE:MEASURE`.
    pub ours: &'static str,
    pub statistic: Statistic,
    pub against: Against,
}

/// Which number of the samples is compared.
#[derive(Clone, Copy)]
pub enum Statistic {
    /// The cost itself, where one thread runs undisturbed.
    Min,
    /// What happens where threads meet, and where the whole process is counted.
    Median,
}

/// What our measure is held against.
pub enum Against {
    /// A peer's measure of the same thing in the same run.
    Peer {
        /// `CASE:MEASURE`.
        measure: &'static str,
        /// The peer's name.
        name: &'static str,
        /// The most that ours may be, as a part of the peer's; `None` to show the ratio and promise nothing.
        limit: Option<f64>,
    },
    /// The most that ours may be, in the row's unit.
    Budget(f64),
}

impl Row {
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
    #[cfg(test)]
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
