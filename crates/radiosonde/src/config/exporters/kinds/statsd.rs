//! The tables of StatsD and DogStatsD.

use super::{Plan, Table};
use crate::exporter::statsd::{Dialect, ENDPOINT_DEFAULT, Statsd, StatsdConfig};

/// Etsy's.
pub(super) fn statsd(table: &mut Table) -> Option<Plan> {
    let mut config = StatsdConfig::new(Dialect::Statsd);
    common(table, &mut config);
    Plan::new(move || Statsd::new(&config)).into()
}

/// Datadog's.
pub(super) fn dogstatsd(table: &mut Table) -> Option<Plan> {
    let mut config = StatsdConfig::new(Dialect::Dogstatsd);
    common(table, &mut config);
    config.tags = table.take("tags", Vec::new);
    config.events = table.take("events", || false);
    Plan::new(move || Statsd::new(&config)).into()
}

fn common(table: &mut Table, config: &mut StatsdConfig) {
    config.endpoint = table.take("endpoint", || ENDPOINT_DEFAULT.to_owned());
    config.prefix = table.take("prefix", String::new);
}
