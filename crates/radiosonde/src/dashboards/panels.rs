//! What is on the dashboards.

mod tables;

use radiosonde_core::{
    catalogue,
    event::{Descriptor, Role},
};

use super::{
    metrics::{Known, Shown},
    queries::{Ask, legend},
};

pub(super) use tables::DASHBOARDS;

/// How a panel shows its queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One number: the latest.
    Number,
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other.
    Areas,
    /// A row for each series, coloured by its value from 0 to 1.
    Rows,
    /// The buckets of a histogram, coloured by how much falls into them.
    Heatmap,
}

/// What Grafana shows numbers in, by its own names of units.
pub(super) mod unit {
    pub(in super::super) const SHARE: &str = "percentunit";
    pub(in super::super) const SECONDS: &str = "s";
    pub(in super::super) const BYTES: &str = "bytes";
    pub(in super::super) const BYTES_A_SECOND: &str = "Bps";
    pub(in super::super) const A_SECOND: &str = "ops";
    pub(in super::super) const NUMBER: &str = "short";
    pub(in super::super) const CELSIUS: &str = "celsius";
    pub(in super::super) const WATT: &str = "watt";
}

/// A query of a panel, before it is known which metrics there are.
#[derive(Debug)]
struct Line {
    ask: Ask,
    /// What tells its series apart, in OpenTelemetry's names; `job` and `instance` are Prometheus' own.
    by: &'static [&'static str],
    /// What stands in the legend before those.
    words: &'static str,
}

/// A panel, before it is known which metrics there are.
#[derive(Debug)]
pub(super) struct Table {
    title: &'static str,
    /// What is to be known of it.
    about: &'static str,
    form: Form,
    unit: &'static str,
    /// Of 24 columns.
    width: u32,
    lines: &'static [Line],
}

/// A dashboard, before it is known which metrics there are.
#[derive(Debug)]
pub(super) struct Plan {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    panels: &'static [Table],
}

/// A query with its legend.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub(super) promql: String,
    pub(super) legend: String,
}

/// A panel as it is drawn.
#[derive(Debug, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) form: Form,
    pub(super) unit: &'static str,
    pub(super) width: u32,
    /// Of an event whose panels begin here: a line across, with its name.
    pub(super) heading: Option<String>,
    pub(super) queries: Vec<Query>,
}

/// A dashboard as it is drawn.
#[derive(Debug, PartialEq)]
pub(super) struct Sheet {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) panels: Vec<Panel>,
}

impl Plan {
    /// With the queries whose metrics there are, and the panels that have any.
    pub(super) fn whole(&self, known: &Known) -> Sheet {
        let panels = self.panels.iter().map(|table| table.whole(known));
        Sheet {
            name: self.name,
            title: self.title,
            about: self.about,
            panels: panels.filter(|panel| !panel.queries.is_empty()).collect(),
        }
    }
}

impl Table {
    fn whole(&self, known: &Known) -> Panel {
        let queries = self.lines.iter().filter_map(|line| {
            let promql = line.ask.promql(line.by, known)?;
            Some(self.form.query(promql, legend(line.words, line.by)))
        });
        Panel {
            title: self.title.to_owned(),
            about: self.about.to_owned(),
            form: self.form,
            unit: self.unit,
            width: self.width,
            heading: None,
            queries: queries.collect(),
        }
    }
}

impl Form {
    fn query(self, promql: String, legend: String) -> Query {
        let legend = match self {
            Self::Heatmap => "{{le}}".to_owned(),
            _ => legend,
        };
        Query { promql, legend }
    }
}

impl Sheet {
    /// Every metric of every event, in the order of the catalogue.
    pub(super) fn of_events(events: &[&'static Descriptor], known: &Known) -> Self {
        let mut panels = Vec::new();
        let mut shown_before = Vec::new();
        for &event in events {
            let mut heading = Some(format!("{}: {}", event.name, event.description));
            for (name, ..) in catalogue::metrics(event) {
                let Some(shown) = known.get(name).filter(|_| !shown_before.contains(&name)) else {
                    continue;
                };
                shown_before.push(name);
                let mut panel = of_metric(event, name, shown, known);
                panel.heading = heading.take();
                panels.push(panel);
            }
        }
        Self {
            name: "events",
            title: "Events",
            about: "Every metric of every event, in the order of the catalogue (sonde catalog).",
            panels,
        }
    }
}

/// A metric by itself, its series told apart by every label.
fn of_metric(event: &Descriptor, name: &'static str, shown: &Shown, known: &Known) -> Panel {
    let field = event.fields.iter().find(|field| match field.role {
        Role::Counter { metric } | Role::Gauge { metric } | Role::Histogram { metric, .. } => {
            metric == name
        }
        Role::Label | Role::Attribute => false,
    });
    let (ask, unit) = match (shown.kind, shown.unit) {
        ("counter", "By") => (Ask::Rate(name), unit::BYTES_A_SECOND),
        ("counter", _) => (Ask::Rate(name), unit::A_SECOND),
        ("histogram", "s") => (Ask::Within(0.95, name), unit::SECONDS),
        ("histogram", _) => (Ask::Within(0.95, name), unit::NUMBER),
        (_, "By") => (Ask::Sum(name), unit::BYTES),
        (_, "Cel") => (Ask::Most(name), unit::CELSIUS),
        (_, "W") => (Ask::Sum(name), unit::WATT),
        (_, "1") if name.ends_with(".utilization") => (Ask::Most(name), unit::SHARE),
        _ => (Ask::Most(name), unit::NUMBER),
    };
    let title = match ask {
        Ask::Rate(_) => format!("{name}, a second"),
        Ask::Within(..) => format!("{name}, 95 % within"),
        _ => name.to_owned(),
    };
    let promql = ask.promql(&shown.labels, known);
    Panel {
        title,
        about: field.map_or_else(
            || format!("How often: {}", event.description),
            |field| field.description.to_owned(),
        ),
        form: Form::Lines,
        unit,
        width: 8,
        heading: None,
        queries: promql
            .map(|promql| Form::Lines.query(promql, legend("", &shown.labels)))
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use radiosonde_core::events::BUILT_IN;

    use super::*;

    #[test]
    fn every_metric_and_every_label_of_a_panel_is_one_that_is_recorded() {
        let known = Known::of(BUILT_IN);
        for plan in &DASHBOARDS {
            for (table, line) in plan
                .panels
                .iter()
                .flat_map(|table| table.lines.iter().map(move |line| (table, line)))
            {
                for name in line.ask.metrics() {
                    let place = format!("{}: {}: {name}", plan.name, table.title);
                    let shown = known.get(name).unwrap_or_else(|| panic!("{place}"));
                    let recorded = |label: &str| {
                        ["job", "instance"].contains(&label) || shown.labels.contains(&label)
                    };
                    for label in line.by {
                        assert!(recorded(label), "{place} has no label {label}");
                    }
                    if let Ask::With(_, label, _) = line.ask {
                        assert!(recorded(label), "{place} has no label {label}");
                    }
                    let fits = match line.ask {
                        Ask::Within(..) | Ask::Buckets(_) => shown.kind == "histogram",
                        Ask::Rate(_) | Ask::With(..) => shown.kind != "gauge",
                        Ask::Left(..) | Ask::Part(..) | Ask::Failed(..) => shown.kind == "counter",
                        Ask::Sum(_) | Ask::Most(_) | Ask::Filled(..) => shown.kind == "gauge",
                    };
                    assert!(fits, "{place} is a {}", shown.kind);
                }
            }
        }
    }

    #[test]
    fn every_metric_of_the_catalogue_is_on_the_dashboard_of_events_once() {
        let known = Known::of(BUILT_IN);
        let sheet = Sheet::of_events(BUILT_IN, &known);
        let names: BTreeSet<_> = BUILT_IN
            .iter()
            .flat_map(|event| catalogue::metrics(event))
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(sheet.panels.len(), names.len());
        for name in names {
            let shown = &known.get(name).unwrap().name;
            let asked = |panel: &&Panel| panel.queries[0].promql.contains(shown.as_str());
            assert!(sheet.panels.iter().any(|panel| asked(&panel)), "{name}");
        }
    }

    #[test]
    fn what_no_event_feeds_has_no_panel() {
        let known = Known::of(&[]);
        let titles = |name: &str| {
            let plan = DASHBOARDS.iter().find(|plan| plan.name == name).unwrap();
            plan.whole(&known).panels.len()
        };
        assert_eq!(titles("gpu"), 0);
        // Functions are measured without events.
        assert!(titles("operations") > 0);
        assert!(Sheet::of_events(&[], &known).panels.is_empty());
    }

    #[test]
    fn panels_fill_whole_rows() {
        let known = Known::of(BUILT_IN);
        for plan in &DASHBOARDS {
            let width: u32 = plan
                .whole(&known)
                .panels
                .iter()
                .map(|panel| panel.width)
                .sum();
            assert_eq!(width % 24, 0, "{}", plan.name);
        }
    }
}
