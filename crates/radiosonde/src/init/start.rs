//! Puts a recording together: settings, then exporters, then the pump, then what runs beside it.

use std::{net::TcpListener, sync::Arc, thread};

use radiosonde_core::{
    filter, handlers,
    metrics::{self, aggregate::Aggregator},
    model::{Resource, Text, Value},
    propagation::{self, Environment, Formats, FullContext},
    pump::{self, Consumer},
    sampling::{self, Threshold},
    subscriber::Subscriber,
};
use tracing::subscriber::NoSubscriber;

use super::{
    Builder, Guard, InitError,
    collect::{self, Collectors, Thread},
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
    redact::{self, Redaction},
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
        propagate(&config);
        return Ok(Guard::disabled(reservation, config));
    }
    if !builder.keeps_subscriber && another_subscribes() {
        return Err(InitError::SubscriberTaken);
    }
    let toggles = Arc::new(Toggles::new(&config));
    // The port first: a file that was made stays, a port that was taken does not.
    let listener = listen(&config)?;
    let exporters = exporters::open(&config, builder.exporters, &toggles)?;
    let resource = Arc::new(describe(&config, builder.attributes));
    let health = Health::new();
    let endpoint = serve(listener, &config, &health, &resource)?;
    let thinning = Thinning {
        fold: config.export.fold_repeats,
        ..Thinning::default()
    };
    let fan_out = FanOut::start(exporters, thinning).map_err(InitError::Thread)?;
    let exporters = fan_out.exporters();
    let share = collect::share(builder.collectors.len(), config.recording.max_overhead);
    let metrics = collect::metrics(&config, &exporters, &resource, share);
    let metrics = metrics.map_err(InitError::Thread)?;
    let tally = Arc::new(Tally::default());
    let (publisher, subscriptions) = rows::publish(collect::ROWS_INTERVAL);
    let rows = SharedRows::new(publisher);
    let consumers = consumers(&config, &tally, &rows, fan_out);
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
        metrics: metrics.as_ref().map(Thread::remote),
        health,
        config,
    });
    let ours = collect::built_in(&running, &resource)?;
    let collectors = Collectors::start(ours, builder.collectors, metrics, share);
    let collectors = collectors.map_err(InitError::Thread)?;
    if running.config.signals.handle {
        signals::handle().map_err(InitError::Signals)?;
    }
    // Nothing can go wrong from here on but this: an `init` that failed must not have changed the process.
    if !builder.keeps_subscriber {
        take_subscriber()?;
    }
    apply(&running.config);
    panics::watch();
    reservation.fill(Arc::clone(&running));
    join_log_crate();
    say(&running, endpoint.as_ref());
    let parts = Parts {
        pump,
        collectors,
        endpoint,
    };
    Ok(Guard::new(reservation, running, parts))
}

/// Who gets batches from the pump, in order.
fn consumers(
    config: &Settings,
    tally: &Arc<Tally>,
    rows: &SharedRows,
    fan_out: FanOut,
) -> Vec<Box<dyn Consumer>> {
    let mut consumers: Vec<Box<dyn Consumer>> = vec![Box::new(TallyConsumer(Arc::clone(tally)))];
    if config.telemetry.metrics {
        consumers.push(Box::new(Aggregator::default()));
    }
    consumers.push(Box::new(handlers::Dispatch));
    consumers.push(Box::new(rows.clone()));
    consumers.push(Box::new(fan_out));
    consumers
}

/// Tells a user what was started that they may not expect.
fn say(running: &Running, endpoint: Option<&Endpoint>) {
    let config = &running.config;
    running.doubt(&config.logging.level);
    for error in config.passed_over() {
        tracing::warn!(target: "radiosonde", %error, "this is not known here and counts as not set");
    }
    for (key, source) in config.without_effect() {
        tracing::warn!(target: "radiosonde", key, %source, "this setting has no effect in this version");
    }
    if let Some(endpoint) = endpoint {
        let address = endpoint.address();
        tracing::info!(target: "radiosonde", %address, "metrics and health are served");
    }
}

/// Takes the address of the HTTP endpoint where the configuration names one.
fn listen(config: &Config) -> Result<Option<TcpListener>, InitError> {
    let Some(endpoint) = endpoint_config(config) else {
        return Ok(None);
    };
    match Endpoint::bind(&endpoint) {
        Ok(listener) => Ok(Some(listener)),
        Err(EndpointError::Listen { source, .. }) => {
            let problem = format!("cannot be listened on: {source}");
            let mend = "name another port, or 0 for a free one";
            Err(config.refuse("http.listen", problem, mend).into())
        }
        Err(error) => Err(config.refuse("http.listen", error.to_string(), "").into()),
    }
}

fn endpoint_config(config: &Settings) -> Option<EndpointConfig> {
    Some(EndpointConfig {
        address: config.http.listen?,
        token: config.http.token.clone(),
        metrics_path: config.telemetry.metrics_path.clone(),
        health_path: config.telemetry.health_path.clone(),
        health_fails_from: config.health.fails_from.into(),
    })
}

/// Starts the HTTP endpoint where an address was taken.
fn serve(
    listener: Option<TcpListener>,
    config: &Settings,
    health: &Health,
    resource: &Arc<Resource>,
) -> Result<Option<Endpoint>, InitError> {
    let Some((listener, endpoint)) = listener.zip(endpoint_config(config)) else {
        return Ok(None);
    };
    let resource = Arc::clone(resource);
    let snapshot = move || redact::snapshot(&Redaction::default(), metrics::snapshot(&resource));
    let endpoint = Endpoint::serve(listener, endpoint, health.clone(), snapshot);
    endpoint.map(Some).map_err(InitError::Thread)
}

/// Makes ours the process's subscriber. It stays when recording stops, so a later `init` finds it there.
fn take_subscriber() -> Result<(), InitError> {
    match tracing::subscriber::set_global_default(Subscriber::new()) {
        Ok(()) => Ok(()),
        Err(_) if global_subscriber(tracing::Dispatch::is::<Subscriber>) => Ok(()),
        Err(_) => Err(InitError::SubscriberTaken),
    }
}

/// Whether the process's subscriber is another than ours.
fn another_subscribes() -> bool {
    global_subscriber(|dispatch| !dispatch.is::<NoSubscriber>() && !dispatch.is::<Subscriber>())
}

/// Whether `is` holds for the process's subscriber. What this thread sees may be its own; a new thread sees that of
/// the process.
fn global_subscriber(is: fn(&tracing::Dispatch) -> bool) -> bool {
    let look = move || tracing::dispatcher::get_default(is);
    thread::scope(
        |scope| match thread::Builder::new().spawn_scoped(scope, look) {
            Ok(other) => other.join().unwrap_or(false),
            Err(_) => look(),
        },
    )
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
    radiosonde_core::when_full(config.recording.when_full.into());
    let threshold = Threshold::from_ratio(config.sample_ratio()).unwrap_or(Threshold::ALL);
    sampling::set(if config.sample_parent_based() {
        sampling::Sampler::ParentBased(threshold)
    } else {
        sampling::Sampler::Ratio(threshold)
    });
    // After the sampler, which decides what the environment says.
    propagate(config);
}

/// Chooses which headers are read and written, and reads what the process was started in. That is passed on even where
/// nothing is recorded.
fn propagate(config: &Settings) {
    let names = config.recording.propagators.join(",");
    propagation::set_formats(Formats::parse(&names).unwrap_or_default());
    propagation::set_process_context(FullContext::extract(&Environment::read()));
}

fn describe(config: &Config, attributes: Vec<(Text, Value)>) -> Resource {
    // OpenTelemetry's specification of `OTEL_SERVICE_NAME`: it wins over `service.name` among the attributes. A name
    // from a weaker source than theirs does not.
    let name_wins = config.service.name.is_some()
        && config.source("service.name").strength()
            >= config.source("service.attributes").strength();
    let configured = config
        .service
        .attributes
        .iter()
        .filter(|(name, _)| !(name_wins && name == "service.name"))
        .map(|(name, value)| (Text::Owned(name.clone()), Value::from(value.clone())));
    let mut resource = resource::describe(
        config.service.name.clone(),
        configured.chain(attributes).collect(),
    );
    Redaction::default().attributes(&mut resource.attributes);
    resource
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Format, RawConfig};

    #[test]
    fn the_service_is_named_by_the_strongest_source_and_by_its_name_where_both_are_as_strong() {
        let name_of = |file: &str, environment: &[(&str, &str)]| {
            let raw = RawConfig::parse(Format::Toml, file, Path::new("radiosonde.toml")).unwrap();
            let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            let environment = RawConfig::from_environment(environment.iter().map(own));
            let config = Config::new(raw.overlaid_by(environment)).unwrap();
            describe(&config, Vec::new()).service_name().to_owned()
        };
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attributes");
        let name = ("OTEL_SERVICE_NAME", "by-name");
        assert_eq!(name_of("", &[attributes, name]), "by-name");
        assert_eq!(name_of("", &[attributes]), "by-attributes");
        let file = "[service]\nname = \"by-file\"";
        assert_eq!(name_of(file, &[attributes]), "by-attributes");
        assert_eq!(name_of(file, &[]), "by-file");
        let code = vec![("service.name".into(), Value::from("by-code"))];
        let config = Config::new(RawConfig::from_environment([(
            "OTEL_SERVICE_NAME".to_owned(),
            "by-name".to_owned(),
        )]));
        assert_eq!(describe(&config.unwrap(), code).service_name(), "by-code");
    }
}
