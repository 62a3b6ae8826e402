//! Radiosonde as a program sets it up, with a sink that drops what it gets.

use std::{sync::Arc, time::Duration};

use radiosonde_core::{
    batch::Batch,
    model::Resource,
    pump::{self, Config, Consumer, Pump},
    subscriber::Subscriber,
};

/// Longer than any flush of what fits the lanes takes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

struct Dropping;

impl Consumer for Dropping {
    fn consume(&mut self, _: &Arc<Batch>) {}
}

/// Records into batches that nobody keeps.
pub fn start() -> Pump {
    start_with(Box::new(Dropping))
}

/// Records into `consumer`.
pub fn start_with(consumer: Box<dyn Consumer>) -> Pump {
    let config = Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![consumer],
    };
    let pump = or_exit(pump::start(config), "start the pump");
    or_exit(
        tracing::subscriber::set_global_default(Subscriber::new()),
        "be the global subscriber",
    );
    pump
}

/// Waits until everything recorded has been handed on; ends the process when that fails, because then the number that
/// it would print is wrong.
pub fn flush(pump: &Pump) {
    or_exit(
        pump.flush(FLUSH_TIMEOUT)
            .then_some(())
            .ok_or("it took too long"),
        "flush",
    );
}

fn or_exit<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("cannot {what}: {error}");
        std::process::exit(1)
    })
}
