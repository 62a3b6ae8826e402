//! Puts a recording together: settings, then exporters, then the pump, then what runs beside it.

use std::sync::Arc;

use radiosonde_core::{
    filter, handlers,
    metrics::{self, aggregate::Aggregator},
    model::{Resource, Text, Value},
    propagation::{self, Environment, Formats, FullContext},
    pump::{self, Consumer},
    sampling::{self, Threshold},
    subscriber::Subscriber,
};

use super::{
    Builder, Guard, InitError,
    collect::{self, Collectors},
    exporters,
    guard::Parts,
    panics, resource,
    running::{Reservation, Running, SharedRows, Toggles},
};
use crate::{
    config::{Config, Settings},
    endpoint::{Endpoint, EndpointConfig, EndpointError},
    exporter::runner::FanOut,
    health::Health,
    log_bridge,
    repeat::Thinning,
    report::{Tally, TallyConsumer},
    rows, signals,
};

pub(super) fn start(builder: Builder) -> Result<Guard, InitError> {
    let reservation = Reservation::take()?;
    let config = match builder.config {
        Some(config) => config,
        None => Config::load(builder.raw)?,
    };
    if !config.recording.enabled || !radiosonde_core::COMPILED_IN {
        return Ok(Guard::disabled(reservation, config));
    }
    if !builder.keeps_subscriber {
        take_subscriber()?;
    }
    let toggles = Arc::new(Toggles::new(&config));
    let exporters = exporters::open(&config, builder.exporters, &toggles)?;
    let resource = Arc::new(describe(&config, builder.attributes));
    let health = Health::new();
    let endpoint = listen(&config, &health, &resource)?;
    apply(&config);
    let thinning = Thinning {
        fold: config.export.fold_repeats,
        ..Thinning::default()
    };
    let fan_out = FanOut::start(exporters, thinning).map_err(InitError::Thread)?;
    let exporters = fan_out.exporters();
    let tally = Arc::new(Tally::default());
    let (publisher, subscriptions) = rows::publish(collect::ROWS_INTERVAL);
    let rows = SharedRows::new(publisher);
    let mut consumers: Vec<Box<dyn Consumer>> = vec![Box::new(TallyConsumer(Arc::clone(&tally)))];
    if config.telemetry.metrics {
        consumers.push(Box::new(Aggregator::default()));
    }
    consumers.push(Box::new(handlers::Dispatch));
    consumers.push(Box::new(rows.clone()));
    consumers.push(Box::new(fan_out));
    let pump = pump::start(pump::Config {
        resource: Arc::clone(&resource),
        consumers,
    })?;
    let running = Arc::new(Running {
        pump: pump.handle(),
        tally,
        toggles,
        rows,
        subscriptions,
        exporters,
        health,
        resource,
        config,
    });
    let mut collectors = collect::built_in(&running)?;
    collectors.extend(builder.collectors);
    let collectors = Collectors::start(collectors, running.config.recording.max_overhead)
        .map_err(InitError::Thread)?;
    panics::watch();
    if running.config.signals.handle {
        signals::handle().map_err(InitError::Signals)?;
    }
    reservation.fill(Arc::clone(&running));
    join_log_crate();
    say(&running.config, endpoint.as_ref());
    let parts = Parts {
        pump,
        collectors,
        endpoint,
    };
    Ok(Guard::new(reservation, running, parts))
}

/// Tells a user what was started that they may not expect.
fn say(config: &Config, endpoint: Option<&Endpoint>) {
    for (key, source) in config.without_effect() {
        tracing::warn!(target: "radiosonde", key, %source, "this setting has no effect in this version");
    }
    if let Some(endpoint) = endpoint {
        let address = endpoint.address();
        tracing::info!(target: "radiosonde", %address, "metrics and health are served");
    }
}

/// Starts the HTTP endpoint where the configuration names an address.
fn listen(
    config: &Settings,
    health: &Health,
    resource: &Arc<Resource>,
) -> Result<Option<Endpoint>, EndpointError> {
    let Some(address) = config.http.listen else {
        return Ok(None);
    };
    let endpoint = EndpointConfig {
        address,
        token: config.http.token.clone(),
        metrics_path: config.telemetry.metrics_path.clone(),
        health_path: config.telemetry.health_path.clone(),
    };
    let resource = Arc::clone(resource);
    Endpoint::start(endpoint, health.clone(), move || {
        metrics::snapshot(&resource)
    })
    .map(Some)
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

/// Records of the `log` crate become ours, unless the program gave them to somebody else.
fn join_log_crate() {
    use std::sync::OnceLock;
    static OURS: OnceLock<bool> = OnceLock::new();
    if !*OURS.get_or_init(|| log_bridge::install().is_ok()) {
        tracing::warn!(
            target: "radiosonde",
            "another logger already receives the `log` crate's records, so they are not recorded; \
             call radiosonde::init before that logger is installed"
        );
    }
}

/// Makes the settings that are the whole process's the current ones.
fn apply(config: &Settings) {
    filter::set(config.logging.level.clone());
    let threshold = Threshold::from_ratio(config.sample_ratio()).unwrap_or(Threshold::ALL);
    sampling::set(if config.sample_parent_based() {
        sampling::Sampler::ParentBased(threshold)
    } else {
        sampling::Sampler::Ratio(threshold)
    });
    let names = config.recording.propagators.join(",");
    propagation::set_formats(Formats::parse(&names).unwrap_or_default());
    // After sampler and formats, which decide what the environment says.
    propagation::set_process_context(FullContext::extract(&Environment::read()));
}

fn describe(config: &Settings, attributes: Vec<(Text, Value)>) -> Resource {
    let configured = config
        .service
        .attributes
        .iter()
        .map(|(name, value)| (Text::Owned(name.clone()), Value::from(value.clone())));
    resource::describe(
        config.service.name.clone(),
        configured.chain(attributes).collect(),
    )
}
