//! Label sets as protobuf formats have them: sorted by name, each name once, none without a value.

use std::borrow::Cow;

use radiosonde_core::{
    metrics::snapshot::{Data, Metric},
    model::{Text, Value},
};

use super::{
    twins::is_empty,
    write::{joined, label_name},
};

/// Label names that a format needs for itself. A label of a metric that has one is shown as `exported_` and that name, as
/// Prometheus does when it scrapes.
#[derive(Clone, Copy, Debug)]
pub(in crate::encode) struct Reserved {
    numbers: &'static [&'static str],
    histograms: &'static [&'static str],
}

impl Reserved {
    /// What is scraped: Prometheus adds `job` and `instance` itself.
    pub(in crate::encode) const PAGE: Self = Self {
        numbers: &[],
        histograms: &["le"],
    };

    /// What is sent, with the labels that a scrape would have added.
    #[cfg(feature = "backends")]
    pub(in crate::encode) const SENT: Self = Self {
        numbers: &["instance", "job"],
        histograms: &["instance", "job", "le"],
    };

    /// Those of samples of numbers.
    #[cfg(feature = "backends")]
    pub(in crate::encode) const fn of_numbers(self) -> &'static [&'static str] {
        self.numbers
    }

    /// Those of samples of `metric`.
    pub(in crate::encode) const fn of(self, metric: &Metric) -> &'static [&'static str] {
        match metric.data {
            Data::Histogram(_) => self.histograms,
            Data::Counter(_) | Data::UpDownCounter(_) | Data::Gauge(_) => self.numbers,
        }
    }
}

/// Reads label sets in order. Series of a metric tend to have the same label names, so these are turned into Prometheus'
/// and sorted once.
#[derive(Debug, Default)]
pub(in crate::encode) struct SortedLabels {
    reserved: &'static [&'static str],
    /// The names of the last set.
    names: Vec<Text>,
    /// They as Prometheus has them, in its order, and where each stands in the set.
    sorted: Vec<(String, usize)>,
    /// Two of them are the same to Prometheus.
    has_twins: bool,
}

impl SortedLabels {
    pub(in crate::encode) fn reserving(reserved: &'static [&'static str]) -> Self {
        Self {
            reserved,
            ..Self::default()
        }
    }

    /// Hands each name and value of `labels` to `take`.
    pub(in crate::encode) fn each(
        &mut self,
        labels: &[(Text, Value)],
        take: &mut dyn FnMut(&str, &str),
    ) {
        let names = labels.iter().map(|(name, _)| name);
        if !names.eq(&self.names) {
            self.learn(labels);
        }
        if self.has_twins {
            let present: Vec<_> = labels
                .iter()
                .filter(|(_, value)| !is_empty(value))
                .cloned()
                .collect();
            // Those are allowed as they are, and no two are alike.
            return Self::default().each(&joined(&present, self.reserved), take);
        }
        for (name, at) in &self.sorted {
            let value = match &labels[*at].1 {
                Value::Str(text) => Cow::Borrowed(&**text),
                other => Cow::Owned(other.to_string()),
            };
            if !value.is_empty() {
                take(name, &value);
            }
        }
    }

    fn learn(&mut self, labels: &[(Text, Value)]) {
        let shown = |(at, (name, _)): (usize, &(Text, Value))| {
            let name = label_name(name, self.reserved);
            (String::from_utf8_lossy(&name).into_owned(), at)
        };
        self.sorted = labels.iter().enumerate().map(shown).collect();
        self.sorted.sort_unstable();
        self.has_twins = self.sorted.windows(2).any(|pair| pair[0].0 == pair[1].0);
        self.names = labels.iter().map(|(name, _)| name.clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_have_values() {
        let read = |pairs: &[(&'static str, Value)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (Text::Borrowed(*name), value.clone()))
                .collect();
            let mut read = Vec::new();
            let mut labels = SortedLabels::reserving(&["job"]);
            labels.each(&pairs, &mut |name, value| {
                read.push(format!("{name}={value}"));
            });
            read.join(" ")
        };
        assert_eq!(
            read(&[
                ("job", "a".into()),
                ("Zone", 7_u64.into()),
                ("b", "".into())
            ]),
            "Zone=7 exported_job=a"
        );
        assert_eq!(
            read(&[("a.b", "x".into()), ("a_b", "y".into()), ("A", true.into())]),
            "A=true a_b=x;y"
        );
        assert_eq!(read(&[]), "");
    }
}
