//! Dashboards: which there are, and one of them.

use serde::Serialize;

use super::Api;
use crate::{
    dashboards::{Dashboard, Mistake},
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// Where they are; none where the server was given no folder.
    folder: Option<String>,
    dashboards: Vec<Entry>,
    left_out: usize,
    mistake: Option<Mistake>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    title: String,
    description: String,
    panels: usize,
    mistakes: Vec<Mistake>,
}

pub(super) fn list(api: &Api) -> Answer {
    let listing = api.dashboards.list();
    let entry = |dashboard: Dashboard| Entry {
        name: dashboard.name,
        title: dashboard.title,
        description: dashboard.description,
        panels: dashboard.panels.len(),
        mistakes: dashboard.mistakes,
    };
    Answer {
        folder: api
            .dashboards
            .folder()
            .map(|folder| folder.display().to_string()),
        dashboards: listing.dashboards.into_iter().map(entry).collect(),
        left_out: listing.left_out,
        mistake: listing.mistake,
    }
}

pub(super) fn one(api: &Api, name: &str) -> Result<Dashboard, Problem> {
    api.dashboards.one(name).ok_or_else(|| {
        Problem::not_found(
            format!("there is no dashboard `{name}`"),
            "GET /api/v1/dashboards lists those in the folder that `sonde serve --dashboards` was given",
        )
    })
}
