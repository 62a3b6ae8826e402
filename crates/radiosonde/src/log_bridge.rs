//! Records of the `log` crate arrive as our logs: with their own target, source location and key-values, in the span
//! that the thread is in, admitted by the process's filter under their own target.

use log::{
    LevelFilter, Log, Metadata, Record,
    kv::{Error, Key, Value, VisitSource, VisitValue},
};
use radiosonde_core::{
    filter,
    foreign::{self, Fields},
};
use tracing::{
    Level, callsite::Callsite, callsite::Identifier, field::FieldSet, metadata::Kind,
    subscriber::Interest,
};

/// The `log` crate already has a logger. Logs go to that one; ours is not installed.
#[derive(Debug, thiserror::Error)]
#[error(
    "another logger already receives the `log` crate's records; remove it, or forward from it to `tracing` with tracing-log"
)]
#[non_exhaustive]
pub struct AlreadyInstalled;

/// Makes the records of the `log` crate ours, from now on and for the whole process. `init` calls it.
pub fn install() -> Result<(), AlreadyInstalled> {
    log::set_logger(&Bridge).map_err(|_| AlreadyInstalled)?;
    filter::on_change(|filter| {
        let finest = filter.max_level_without_callsite().into_level();
        log::set_max_level(
            finest.map_or(LevelFilter::Off, |level| as_log(level).to_level_filter()),
        );
    });
    Ok(())
}

struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        filter::allows(metadata.target(), as_tracing(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            foreign::log(description(record.level()), |fields| write(record, fields));
        }
    }

    fn flush(&self) {}
}

/// The names of a record's own fields; the target's is the one that [`LogRef`](radiosonde_core::batch::LogRef) reads.
const FIELDS: &[&str] = &[
    "message",
    "log.target",
    "log.module_path",
    "log.file",
    "log.line",
];

fn write(record: &Record<'_>, fields: &mut Fields<'_, '_>) {
    fields.put(0, foreign::Value::Display(*record.args()));
    fields.put(1, foreign::Value::Str(record.target()));
    if let Some(path) = record.module_path().filter(|&path| path != record.target()) {
        fields.put(2, foreign::Value::Str(path));
    }
    if let Some(file) = record.file() {
        fields.put(3, foreign::Value::Str(file));
    }
    if let Some(line) = record.line() {
        fields.put(4, foreign::Value::U64(line.into()));
    }
    // A source that fails leaves what it gave so far.
    let _ = record.key_values().visit(&mut Pairs(fields));
}

/// Writes key-values as fields under their own names.
struct Pairs<'f, 'w, 'r>(&'f mut Fields<'w, 'r>);

impl<'kv> VisitSource<'kv> for Pairs<'_, '_, '_> {
    fn visit_pair(&mut self, key: Key<'kv>, value: Value<'kv>) -> Result<(), Error> {
        value.visit(Pair {
            name: key.as_str(),
            fields: self.0,
        })
    }
}

struct Pair<'n, 'f, 'w, 'r> {
    name: &'n str,
    fields: &'f mut Fields<'w, 'r>,
}

impl Pair<'_, '_, '_, '_> {
    #[expect(clippy::unnecessary_wraps, reason = "what `VisitValue` returns")]
    fn put(&mut self, value: foreign::Value<'_>) -> Result<(), Error> {
        self.fields.put_named(self.name, value);
        Ok(())
    }
}

impl VisitValue<'_> for Pair<'_, '_, '_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.put(foreign::Value::Display(format_args!("{value}")))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.put(foreign::Value::U64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.put(foreign::Value::I64(value))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.put(foreign::Value::F64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.put(foreign::Value::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.put(foreign::Value::Str(value))
    }
}

const fn as_tracing(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::ERROR,
        log::Level::Warn => Level::WARN,
        log::Level::Info => Level::INFO,
        log::Level::Debug => Level::DEBUG,
        log::Level::Trace => Level::TRACE,
    }
}

fn as_log(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

/// One description a level: what tracing would write at the callsite that the `log` crate does not have.
struct Site(usize);

static SITES: [Site; 5] = [Site(0), Site(1), Site(2), Site(3), Site(4)];

static DESCRIPTIONS: [tracing::Metadata<'static>; 5] = [
    described(Level::ERROR, &SITES[0]),
    described(Level::WARN, &SITES[1]),
    described(Level::INFO, &SITES[2]),
    described(Level::DEBUG, &SITES[3]),
    described(Level::TRACE, &SITES[4]),
];

const fn described(level: Level, site: &'static Site) -> tracing::Metadata<'static> {
    let fields = FieldSet::new(FIELDS, Identifier(site));
    tracing::Metadata::new("log", "log", level, None, None, None, fields, Kind::EVENT)
}

fn description(level: log::Level) -> &'static tracing::Metadata<'static> {
    match level {
        log::Level::Error => &DESCRIPTIONS[0],
        log::Level::Warn => &DESCRIPTIONS[1],
        log::Level::Info => &DESCRIPTIONS[2],
        log::Level::Debug => &DESCRIPTIONS[3],
        log::Level::Trace => &DESCRIPTIONS[4],
    }
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &tracing::Metadata<'_> {
        &DESCRIPTIONS[self.0]
    }
}
