//! What `sonde serve` is told, and by whom: each setting with its value and where that is from.
//!
//! What is said on the command line holds before what the environment says, and that before the default.

mod entrance;
mod rules;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use radiosonde_answers::units::Bytes;
use radiosonde_core::sampling::Threshold;
use radiosonde_server::{
    AlertConfig, ClickHouse, Config, Sampling, ScrapeTarget, Slow, VolatileFolder,
};

use self::{entrance::Entrance, rules::MetricRules};
use crate::{
    cli::{
        serve::ServeArguments,
        units::{bytes_text, duration_text, share_text},
    },
    collector::variable,
};

/// The environment's variable with the data folder.
const DATA_VARIABLE: &str = "RADIOSONDE_DATA_DIR";
/// The environment's variable with the address of a ClickHouse.
const CLICKHOUSE_VARIABLE: &str = "RADIOSONDE_CLICKHOUSE";
/// The environment's variables with who asks there.
const CLICKHOUSE_USER_VARIABLES: [&str; 2] = [
    "RADIOSONDE_CLICKHOUSE_USER",
    "RADIOSONDE_CLICKHOUSE_PASSWORD",
];
/// The environment's variable with what is scraped.
const SCRAPE_VARIABLE: &str = "RADIOSONDE_SCRAPE";
/// The environment's variable with the folder of dashboards.
const DASHBOARDS_VARIABLE: &str = "RADIOSONDE_DASHBOARDS";
/// The environment's variable with the file of alerts.
const ALERTS_VARIABLE: &str = "RADIOSONDE_ALERTS";

/// Most bytes of segments in memory, unless somebody says otherwise.
const MEMORY_SIZE: u64 = 256 * MIB;
/// Most bytes that are in no segment yet where all is in memory: they are in the folder's log as well.
const MEMORY_YOUNG: u64 = 64 * MIB;
/// Least that has to be free there.
const MEMORY_FREE_MIN: u64 = 32 * MIB;
/// Least bytes of segments: with less, what a program sends in a minute does not fit.
const MAX_SIZE_MIN: u64 = 16 * MIB;
const MIB: u64 = 1024 * 1024;

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A variable of the environment.
    Environment(&'static str),
    /// The command line.
    CommandLine,
}

/// A value, and where it is from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    pub value: T,
    pub source: Source,
}

impl<T> Setting<T> {
    /// What the command line says, or else the default.
    fn or(said: Option<T>, default: T) -> Self {
        match said {
            Some(value) => Self {
                value,
                source: Source::CommandLine,
            },
            None => Self {
                value: default,
                source: Source::Default,
            },
        }
    }
}

/// Everything that `sonde serve` is told.
#[derive(Clone, Debug)]
pub struct Settings {
    data: Setting<PathBuf>,
    memory: Setting<bool>,
    clickhouse: Setting<Option<ClickHouse>>,
    /// Most bytes that are in no segment yet.
    young: u64,
    otlp_grpc: Setting<SocketAddr>,
    otlp_http: Setting<SocketAddr>,
    page: Setting<SocketAddr>,
    scrape: Setting<Vec<ScrapeTarget>>,
    statsd: Setting<Option<SocketAddr>>,
    syslog: Setting<Option<SocketAddr>>,
    dashboards: Setting<Option<PathBuf>>,
    metric_rules: MetricRules,
    alerts: Setting<Option<PathBuf>>,
    external_url: Setting<Option<String>>,
    alerts_ca: Setting<Option<PathBuf>>,
    max_size: Setting<u64>,
    max_age: Setting<Duration>,
    sample: Setting<Option<Threshold>>,
    sample_slow: Setting<Slow>,
    sample_rare: Setting<u32>,
    sample_wait: Setting<Duration>,
    entrance: Entrance,
}

/// A setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As the command line takes it; `None` where there is none.
    pub value: Option<String>,
    pub source: Source,
    /// The variable of the environment that says it too.
    pub variable: Option<&'static str>,
}

impl Settings {
    /// What the command line and the environment say.
    pub fn new(said: &ServeArguments) -> anyhow::Result<Self> {
        let data = data(said)?;
        ensure!(
            said.max_size.is_none_or(|size| size >= MAX_SIZE_MIN),
            "--max-size is less than {}, with which next to nothing is kept; give at least so much",
            Bytes(MAX_SIZE_MIN as i64)
        );
        let mut default = Config::new(&data.value);
        if said.memory {
            bound_in_memory(&mut default, said.max_size)?;
        }
        // Every trace is kept by default; these say what else is kept where a share is.
        let rules = Sampling::new(Threshold::ALL);
        Ok(Self {
            otlp_grpc: Setting::or(said.otlp_grpc, default.otlp_grpc),
            otlp_http: Setting::or(said.otlp_http, default.otlp_http),
            page: Setting::or(said.page, default.page),
            scrape: scrape(said)?,
            clickhouse: clickhouse(said)?,
            statsd: Setting::or(said.statsd.map(Some), default.statsd),
            syslog: Setting::or(said.syslog.map(Some), default.syslog),
            dashboards: file(said.dashboards.as_ref(), DASHBOARDS_VARIABLE),
            metric_rules: MetricRules::new(said)?,
            alerts: file(said.alerts.as_ref(), ALERTS_VARIABLE),
            external_url: Setting::or(said.external_url.clone().map(Some), None),
            alerts_ca: Setting::or(said.alerts_ca.clone().map(Some), None),
            max_size: Setting::or(said.max_size, default.store.size_bytes_max),
            max_age: Setting::or(said.max_age, default.store.age_max),
            sample: Setting::or(said.sample.map(Some), None),
            sample_slow: Setting::or(said.sample_slow, rules.slow),
            sample_rare: Setting::or(said.sample_rare, rules.rare),
            sample_wait: Setting::or(said.sample_wait, rules.wait),
            entrance: Entrance::new(said)?,
            memory: Setting::or(said.memory.then_some(true), false),
            young: default.store.memory_bytes_max as u64,
            data,
        })
    }

    /// The folder with the data, or that in which there will be one in memory.
    pub fn folder(&self) -> &Path {
        &self.data.value
    }

    /// Whether nothing is to be left at the end.
    pub const fn is_in_memory(&self) -> bool {
        self.memory.value
    }

    /// What a server takes that keeps its data in `folder`.
    pub fn config(&self, folder: &Path) -> Config {
        let mut config = Config::new(folder);
        config.store.memory_bytes_max = self.young as usize;
        config.store.spills = !self.memory.value;
        config.otlp_grpc = self.otlp_grpc.value;
        config.otlp_http = self.otlp_http.value;
        config.page = self.page.value;
        config.store.size_bytes_max = self.max_size.value;
        config.store.age_max = self.max_age.value;
        config.store.clickhouse.clone_from(&self.clickhouse.value);
        config.store.sampling = self.sample.value.map(|share| Sampling {
            share,
            slow: self.sample_slow.value,
            rare: self.sample_rare.value,
            wait: self.sample_wait.value,
        });
        config.scrape.clone_from(&self.scrape.value);
        config.statsd = self.statsd.value;
        config.syslog = self.syslog.value;
        config.dashboards.clone_from(&self.dashboards.value);
        self.metric_rules.apply(&mut config);
        config.alerts = AlertConfig {
            file: self.alerts.value.clone(),
            external_url: self.external_url.value.clone(),
            ca_certificate: self.alerts_ca.value.clone(),
        };
        self.entrance.apply(&mut config);
        config
    }

    /// What an option of the command line stands at, by its name in the definition of the command line.
    pub fn shown(&self, name: &str) -> Option<Shown> {
        Some(match name {
            "data" => shown(&self.data, Some(DATA_VARIABLE), |folder| {
                Some(folder.display().to_string())
            }),
            "memory" => shown(&self.memory, None, |is_it| Some(is_it.to_string())),
            "clickhouse" => shown(&self.clickhouse, Some(CLICKHOUSE_VARIABLE), |place| {
                place.as_ref().map(ToString::to_string)
            }),
            "otlp_grpc" => address(&self.otlp_grpc),
            "otlp_http" => address(&self.otlp_http),
            "page" => address(&self.page),
            "scrape" => shown(&self.scrape, Some(SCRAPE_VARIABLE), |targets| {
                let targets: Vec<String> = targets.iter().map(target).collect();
                (!targets.is_empty()).then(|| targets.join(" "))
            }),
            "statsd" => shown(&self.statsd, None, |address| {
                address.map(|address| address.to_string())
            }),
            "syslog" => shown(&self.syslog, None, |address| {
                address.map(|address| address.to_string())
            }),
            "dashboards" => shown_file(&self.dashboards, DASHBOARDS_VARIABLE),
            "metric_rules" => self.metric_rules.shown(),
            "alerts" => shown_file(&self.alerts, ALERTS_VARIABLE),
            "external_url" => shown(&self.external_url, None, Clone::clone),
            "alerts_ca" => shown(&self.alerts_ca, None, |file| {
                file.as_ref().map(|file| file.display().to_string())
            }),
            "max_size" => shown(&self.max_size, None, |bytes| Some(bytes_text(*bytes))),
            "max_age" => shown(&self.max_age, None, |age| Some(duration_text(*age))),
            "sample" => shown(&self.sample, None, |share| {
                share.map(|share| share_text(share.ratio()))
            }),
            "sample_slow" => shown(&self.sample_slow, None, |slow| {
                Some(match slow {
                    Slow::AtLeast(least) => duration_text(*least),
                    Slow::Share(share) => share_text(*share),
                })
            }),
            "sample_rare" => shown(&self.sample_rare, None, |rare| Some(rare.to_string())),
            "sample_wait" => shown(&self.sample_wait, None, |wait| Some(duration_text(*wait))),
            name => return self.entrance.shown(name),
        })
    }

    /// Whether there is a token. It is not shown.
    pub fn token(&self) -> Shown {
        self.entrance.token()
    }
}

/// Makes the defaults such that there is room in memory for them, and for `max_size`.
fn bound_in_memory(default: &mut Config, max_size: Option<u64>) -> anyhow::Result<()> {
    let root = VolatileFolder::root().display();
    let free = VolatileFolder::bytes_free()
        .context("--memory needs memory as a file system; name a folder with --data instead")?;
    ensure!(
        free >= MEMORY_FREE_MIN,
        "{} are free in {root}, and --memory takes {}; give a container more (`docker run --shm-size 1g`), or name a folder with --data",
        Bytes(free as i64),
        Bytes(MEMORY_FREE_MIN as i64)
    );
    let young = MEMORY_YOUNG.min(free / 4);
    let left = free - young;
    ensure!(
        max_size.is_none_or(|size| size <= left),
        "--max-size is more than there is room for in {root}: {}",
        Bytes(left as i64)
    );
    default.store.size_bytes_max = MEMORY_SIZE.min(free / 4);
    default.store.memory_bytes_max = young as usize;
    Ok(())
}

fn shown<T>(
    setting: &Setting<T>,
    variable: Option<&'static str>,
    text: impl FnOnce(&T) -> Option<String>,
) -> Shown {
    Shown {
        value: text(&setting.value),
        source: setting.source,
        variable,
    }
}

fn shown_file(setting: &Setting<Option<PathBuf>>, variable: &'static str) -> Shown {
    shown(setting, Some(variable), |path| {
        path.as_ref().map(|path| path.display().to_string())
    })
}

fn address(setting: &Setting<SocketAddr>) -> Shown {
    shown(setting, None, |address| Some(address.to_string()))
}

/// A target as the command line takes it, but for values of its query, which may be secrets.
fn target(target: &ScrapeTarget) -> String {
    format!(
        "{},job={},interval={},timeout={}",
        target.shown(),
        target.job(),
        duration_text(target.interval()),
        duration_text(target.timeout())
    )
}

/// What is to be scraped: by the command line, or else by the environment.
fn scrape(said: &ServeArguments) -> anyhow::Result<Setting<Vec<ScrapeTarget>>> {
    if !said.scrape.is_empty() {
        // Read here and not by whoever reads the command line, who would show what is wrong with the password in it.
        let targets = said.scrape.iter().map(|target| target.parse());
        let targets = targets.collect::<Result<_, _>>();
        return Ok(Setting::or(
            Some(targets.context("--scrape is wrong")?),
            Vec::new(),
        ));
    }
    let Some(targets) = variable(SCRAPE_VARIABLE) else {
        return Ok(Setting::or(None, Vec::new()));
    };
    let targets = targets.split_ascii_whitespace().map(str::parse);
    let targets = targets.collect::<Result<_, _>>();
    Ok(Setting {
        value: targets.with_context(|| format!("{SCRAPE_VARIABLE} is wrong"))?,
        source: Source::Environment(SCRAPE_VARIABLE),
    })
}

/// The ClickHouse that has what is older: that of the command line, or else that of the environment.
fn clickhouse(said: &ServeArguments) -> anyhow::Result<Setting<Option<ClickHouse>>> {
    let (text, source) = match (&said.clickhouse, variable(CLICKHOUSE_VARIABLE)) {
        (Some(text), _) => (text.clone(), Source::CommandLine),
        (None, Some(text)) => (text, Source::Environment(CLICKHOUSE_VARIABLE)),
        (None, None) => return Ok(Setting::or(None, None)),
    };
    if said.memory {
        let (option, mend) = match source {
            Source::Environment(variable) => (variable, "unset it"),
            _ => ("--clickhouse", "leave it out"),
        };
        bail!(
            "{option} names where telemetry stays, and with --memory nothing of it does; {mend}, or leave --memory out"
        );
    }
    // Read here and not by whoever reads the command line, who would show what is wrong with the password in it.
    let place: ClickHouse = text.parse().with_context(|| match source {
        Source::Environment(variable) => format!("{variable} is wrong"),
        _ => "--clickhouse is wrong".to_owned(),
    })?;
    let [user, password] = CLICKHOUSE_USER_VARIABLES.map(variable);
    Ok(Setting {
        value: Some(place.or_user(user, password)),
        source,
    })
}

/// A file or folder: that of the command line, or else that of the environment.
fn file(said: Option<&PathBuf>, name: &'static str) -> Setting<Option<PathBuf>> {
    match (said, variable(name)) {
        (None, Some(path)) => Setting {
            value: Some(path.into()),
            source: Source::Environment(name),
        },
        (path, _) => Setting::or(path.cloned().map(Some), None),
    }
}

/// The folder from the root on: queries know no other.
fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(folder).with_context(|| {
        let folder = folder.display();
        format!("cannot use the folder {folder}; name one with --data")
    })
}

/// Where data of the user goes, on this system as its conventions have it (XDG Base Directory Specification; Apple's File
/// System Programming Guide; Windows' Known Folders) unless somebody says.
fn data(said: &ServeArguments) -> anyhow::Result<Setting<PathBuf>> {
    if said.memory {
        return Ok(Setting {
            value: VolatileFolder::root().to_owned(),
            source: Source::CommandLine,
        });
    }
    if let Some(folder) = &said.data {
        return Ok(Setting::or(Some(absolute(folder)?), PathBuf::new()));
    }
    if let Some(folder) = variable(DATA_VARIABLE) {
        return Ok(Setting {
            value: absolute(Path::new(&folder))?,
            source: Source::Environment(DATA_VARIABLE),
        });
    }
    let of =
        |name: &str, below: &str| variable(name).map(|folder| PathBuf::from(folder).join(below));
    let data = if cfg!(target_os = "macos") {
        of("HOME", "Library/Application Support")
    } else if cfg!(windows) {
        of("LOCALAPPDATA", "")
    } else {
        of("XDG_DATA_HOME", "").or_else(|| of("HOME", ".local/share"))
    };
    let data = data.with_context(|| {
        format!("there is no folder for this user's data; name one with --data or {DATA_VARIABLE}")
    })?;
    Ok(Setting::or(None, data.join("radiosonde")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(target: &str) -> ServeArguments {
        ServeArguments {
            data: Some("a".into()),
            scrape: vec![target.to_owned()],
            ..ServeArguments::default()
        }
    }

    #[test]
    fn nothing_stays_in_a_clickhouse_of_what_is_in_memory_alone() {
        let said = ServeArguments {
            memory: true,
            clickhouse: Some("http://a/b".to_owned()),
            ..ServeArguments::default()
        };
        let error = clickhouse(&said).err().unwrap().to_string();
        assert!(
            error.contains("--clickhouse") && error.contains("leave --memory out"),
            "{error}"
        );
    }

    #[test]
    fn secrets_of_a_clickhouse_are_not_shown() {
        let said = |place: &str| ServeArguments {
            data: Some("a".into()),
            clickhouse: Some(place.to_owned()),
            ..ServeArguments::default()
        };
        let settings = Settings::new(&said("https://me:secret@a/b")).unwrap();
        let shown = settings.shown("clickhouse").unwrap();
        assert_eq!(shown.value.as_deref(), Some("https://a:8443/b"));
        assert!(!format!("{settings:?}").contains("secret"));
        let error = Settings::new(&said("me:secret@a")).err();
        let error = format!("{:#}", error.unwrap());
        assert!(
            error.contains("--clickhouse") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn secrets_of_what_is_scraped_are_not_shown() {
        let error = Settings::new(&said("http://me:secret@a/metrics")).err();
        let error = format!("{:#}", error.unwrap());
        assert!(
            error.contains("--scrape") && error.contains("[redacted]@a/metrics"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
        let settings = Settings::new(&said("http://a/?token=secret,job=b")).unwrap();
        let shown = settings.shown("scrape").unwrap().value.unwrap();
        assert!(
            shown.starts_with("http://a/metrics?token=[redacted],job=b,"),
            "{shown}"
        );
        assert_eq!(
            settings.scrape.value[0].url(),
            "http://a/metrics?token=secret"
        );
    }
}
