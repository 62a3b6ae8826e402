//! The dashboards by subject, in the order in which they are listed.

mod gpu;
mod inference;
mod memory;
mod operations;
mod workers;

use super::{Ask, Form, Line, Plan, Table, unit};

/// The dashboards. Panels of one are read from left to right, in rows of 24 columns.
pub(in super::super) static DASHBOARDS: [Plan; 5] = [
    operations::PLAN,
    gpu::PLAN,
    memory::PLAN,
    workers::PLAN,
    inference::PLAN,
];

const fn line(ask: Ask, by: &'static [&'static str], words: &'static str) -> Line {
    Line { ask, by, words }
}

/// A panel that says by its title all there is to say.
const fn panel(
    title: &'static str,
    form: Form,
    unit: &'static str,
    width: u32,
    lines: &'static [Line],
) -> Table {
    panel_about(title, "", form, unit, width, lines)
}

const fn panel_about(
    title: &'static str,
    about: &'static str,
    form: Form,
    unit: &'static str,
    width: u32,
    lines: &'static [Line],
) -> Table {
    Table {
        title,
        about,
        form,
        unit,
        width,
        lines,
    }
}
