//! Dashboards for Grafana, over what a Prometheus scraped from programs with this library.
//!
//! They are made from the descriptions that events are recorded by: names of metrics and labels, units and help texts are
//! said nowhere twice, and a panel whose metric none of the events feeds is left out. `sonde export grafana` writes those of the built-in
//! events; a program that has events of its own gets a dashboard of all of them by
//!
//! ```
//! for dashboard in radiosonde::dashboards::grafana(&radiosonde::core::catalogue::all()) {
//!     assert!(dashboard.json.starts_with('{'), "{}", dashboard.file);
//! }
//! ```
//!
//! Every dashboard has two variables: the data source, which is any of type Prometheus, and the services, which are
//! Prometheus' `job`. Nothing in it is of one installation.

mod metrics;
mod model;
mod panels;
mod queries;

use radiosonde_core::event::Descriptor;

use self::{
    metrics::Known,
    panels::{DASHBOARDS, Sheet},
};

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    /// The name of its file: `radiosonde-gpu.json`.
    pub file: String,
    /// What it is called in Grafana.
    pub title: String,
    /// The JSON that Grafana imports, indented, with a newline at its end.
    pub json: String,
}

/// The dashboards for what these events feed: by subject, and one with every metric of every event.
///
/// The same events give the same text.
pub fn grafana(events: &[&'static Descriptor]) -> Vec<Dashboard> {
    let known = Known::of(events);
    let sheets = DASHBOARDS.iter().map(|sheet| sheet.whole(&known));
    let sheets = sheets.chain([Sheet::of_events(events, &known)]);
    sheets
        .filter(|sheet| !sheet.panels.is_empty())
        .map(|sheet| Dashboard {
            file: format!("radiosonde-{}.json", sheet.name),
            title: format!("Radiosonde: {}", sheet.title),
            json: model::json(&sheet),
        })
        .collect()
}
