//! The table of syslog.

use super::{Plan, Table, sending};
use crate::exporter::syslog::{
    self, ENDPOINT_DEFAULT, Facility, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, SyslogConfig,
    TIMEOUT_DEFAULT,
};

pub(super) fn plan(table: &mut Table) -> Option<Plan> {
    let endpoint: String = table.take("endpoint", || ENDPOINT_DEFAULT.to_owned());
    let mut config = SyslogConfig::new(endpoint);
    if let Some(name) = table.take_some::<String>("facility") {
        match Facility::named(&name) {
            Some(facility) => config.facility = facility,
            None => table.refuse(
                "facility",
                "is no facility",
                format!("write one of {}", Facility::names().join(", ")),
            ),
        }
    }
    config.app_name = table.take_some("app_name");
    config.spans = table.take("spans", || false);
    config.byte_order_mark = table.take("byte_order_mark", || true);
    if let Some(bytes) = table.take_some::<u64>("message_bytes_max") {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if !(MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&bytes) {
            table.refuse(
                "message_bytes_max",
                "is no size that a message can have",
                format!("write a number from {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX}"),
            );
        }
        config.message_bytes_max = Some(bytes);
    }
    config.timeout = table.take("timeout", || TIMEOUT_DEFAULT);
    (config.ca_certificate, config.client_certificate) = sending::certificates(table);
    config.spool = sending::spool(table);
    Plan::new(move || syslog::start(&config)).into()
}
