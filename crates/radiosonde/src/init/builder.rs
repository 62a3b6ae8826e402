//! Named options of `init`.

use std::{sync::Arc, time::Duration};

use radiosonde_core::{
    batch::{Batch, RecordRef},
    filter::{self, Filter},
    handlers, loss,
    model::{Text, Value},
    pump::{self, Consumer},
    subscriber::Subscriber,
};

use super::{
    Guard, InitError, panics, resource,
    running::{Reservation, Running},
};
use crate::{
    exporter::Exporter,
    report::{Tally, TallyConsumer},
};

/// Options of a recording. What is not said here comes from the environment, then from the configuration file, then
/// from the defaults.
#[must_use = "nothing is recorded before `init` is called"]
#[derive(Default)]
pub struct Builder {
    service_name: Option<String>,
    attributes: Vec<(Text, Value)>,
    filter: Option<Filter>,
    exporters: Vec<Box<dyn Exporter>>,
    shutdown_timeout: Option<Duration>,
}

/// Starts a [`Builder`].
pub fn builder() -> Builder {
    Builder::default()
}

impl Builder {
    /// Names the program: `service.name`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Adds an attribute to the resource that every record carries.
    pub fn resource_attribute(mut self, name: impl Into<Text>, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Which spans, logs and events are recorded.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Sends telemetry to `exporter` too.
    pub fn exporter(mut self, exporter: impl Exporter + 'static) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// How long dropping the guard waits for what is still to be delivered; 5 seconds unless said.
    pub const fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Starts recording.
    pub fn init(self) -> Result<Guard, InitError> {
        let reservation = Reservation::take()?;
        let resource = Arc::new(resource::describe(self.service_name, self.attributes));
        let tally = Arc::new(Tally::default());
        take_subscriber()?;
        filter::set(self.filter.unwrap_or_default());
        let consumers: Vec<Box<dyn Consumer>> = vec![
            Box::new(TallyConsumer(Arc::clone(&tally))),
            Box::new(handlers::Dispatch),
            Box::new(InLine {
                exporters: self.exporters,
            }),
        ];
        let pump = pump::start(pump::Config {
            resource,
            consumers,
        })?;
        let running = Arc::new(Running {
            pump: pump.handle(),
            tally,
        });
        panics::watch();
        reservation.fill(Arc::clone(&running));
        let timeout = self.shutdown_timeout.unwrap_or(Duration::from_secs(5));
        Ok(Guard::new(running, pump, timeout))
    }
}

/// Makes ours the process's subscriber. It stays when recording stops, so a later `init` finds it there.
fn take_subscriber() -> Result<(), InitError> {
    let ours = || tracing::dispatcher::get_default(tracing::Dispatch::is::<Subscriber>);
    match tracing::subscriber::set_global_default(Subscriber::new()) {
        Ok(()) => Ok(()),
        Err(_) if ours() => Ok(()),
        Err(_) => Err(InitError::SubscriberTaken),
    }
}

fn keep(record: &RecordRef<'_>) -> bool {
    record.is_kept()
}

/// Calls exporters on the pump's thread.
struct InLine {
    exporters: Vec<Box<dyn Exporter>>,
}

impl Consumer for InLine {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let kept = batch.filtered(keep);
        for exporter in &mut self.exporters {
            if let Err(error) = exporter.export(&kept) {
                let (reason, records) = error.lost(kept.len() as u64);
                loss::count(reason, records);
            }
        }
    }

    fn flush(&mut self, _: std::time::Instant) -> bool {
        self.exporters
            .iter_mut()
            .fold(true, |all, exporter| exporter.flush().is_ok() && all)
    }
}
