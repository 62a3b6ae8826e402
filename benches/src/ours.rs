//! Radiosonde as a program sets it up, with a sink that drops what it gets.

use std::{sync::Arc, time::Duration};

use radiosonde::{
    exporter::{
        Exporter,
        runner::{FanOut, Limits},
    },
    repeat::Thinning,
};
use radiosonde_bench_harness::or_exit;
use radiosonde_core::{
    WhenFull,
    batch::Batch,
    loss,
    model::Resource,
    pump::{self, Config, Consumer, Pump},
    subscriber::Subscriber,
    when_full,
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

/// Records into `exporter`, on a thread and behind a queue of its own as every exporter is. What finds lane or queue
/// full waits, so that nothing is lost.
pub fn start_exporting(exporter: impl Exporter + 'static) -> Pump {
    when_full(WhenFull::Wait);
    let limits = Limits {
        when_full: WhenFull::Wait,
        ..Limits::default()
    };
    let fan_out = FanOut::start(vec![(Box::new(exporter), limits)], Thinning::default());
    start_with(Box::new(or_exit(fan_out, "start the exporter")))
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

/// Waits until everything recorded has been handed on. Ends the process when that fails or something was lost, because
/// then the number that it would print is wrong: a record that is refused costs less.
pub fn flush(pump: &Pump) {
    or_exit(
        pump.flush(FLUSH_TIMEOUT)
            .then_some(())
            .ok_or("it took too long"),
        "flush",
    );
    let lost = loss::report();
    or_exit(
        lost.is_empty().then_some(()).ok_or(format!("{lost:?}")),
        "keep everything",
    );
}
