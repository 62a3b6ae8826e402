//! The configuration that each guide in docs/exporters shows, as it stands there: it is right, and what a program records
//! reaches a strict receiver by it. Only host and port are those of the receiver.
//!
//! The guides are tried in one process of their own, so that the variables which they name can be set for it.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;
use radiosonde::{
    config::{Config, Format, RawConfig},
    core::metrics,
};
use tracing::{info, info_span};

use crate::{
    application_insights::StrictApplicationInsights,
    datadog::StrictDatadog,
    elasticsearch::StrictElasticsearch,
    loki::StrictLoki,
    receiver::{Receiver, Request, Strict},
    splunk::StrictSplunk,
    zipkin::StrictZipkin,
};

const GUIDES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exporters");
/// What every program of this test has beside its guide's configuration.
const PROGRAM: &str = "
[service]
name = \"tester\"
[logging]
console = false
level = \"guides\"
[otlp]
discover = false
";
const SPAN: &str = "guide-span";
const LOG: &str = "guide-log";
const METRIC: &str = "guide.load";

/// A block of TOML in a guide.
struct Block {
    guide: String,
    text: String,
}

impl Block {
    /// The value of a key that stands once.
    fn value(&self, key: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        value.split('"').next()
    }

    fn kind(&self) -> &str {
        self.value("type").unwrap()
    }

    /// The same text, with the receiver's host and port.
    fn at(&self, url: &str) -> String {
        let Some(endpoint) = self.value("endpoint") else {
            let line = format!("type = \"{}\"", self.kind());
            let own = match self.value("region") {
                Some(_) => format!("{url}/api/prom/push"),
                None => url.to_owned(),
            };
            return self
                .text
                .replace(&line, &format!("{line}\nendpoint = \"{own}\""));
        };
        let host = endpoint.split('/').take(3).collect::<Vec<_>>().join("/");
        self.text.replace(&host, url)
    }

    /// What its kind is spoken to as, and what of a program's telemetry arrives there.
    fn subject(&self) -> Option<(Box<dyn Strict>, &'static [&'static str])> {
        let subject: (Box<dyn Strict>, &'static [&'static str]) = match self.kind() {
            "application_insights" => (
                Box::<StrictApplicationInsights>::default(),
                &[SPAN, LOG, METRIC],
            ),
            "custom" => (Box::new(Told(lines)), &[SPAN, LOG, METRIC]),
            "datadog" => (Box::<StrictDatadog>::default(), &[LOG, METRIC]),
            "elasticsearch" => (Box::<StrictElasticsearch>::default(), &[SPAN, LOG, METRIC]),
            "grafana_cloud" if self.value("region").is_some() => {
                (Box::new(Told(grafana_metrics)), &["guide_load"])
            }
            "grafana_cloud" => (Box::new(Told(grafana)), &[SPAN, LOG, METRIC]),
            "jaeger" => (Box::new(Told(spans)), &[SPAN]),
            "loki" => (Box::<StrictLoki>::default(), &[LOG]),
            "otlp" => (Box::new(Told(collector)), &[SPAN, LOG, METRIC]),
            "pushgateway" => (Box::new(Told(pushed)), &["guide_load"]),
            "remote_write" => (Box::new(Told(written)), &["guide_load"]),
            "splunk" => (Box::<StrictSplunk>::default(), &[SPAN, LOG, METRIC]),
            "zipkin" => (Box::<StrictZipkin>::default(), &[SPAN]),
            _ => return None,
        };
        Some(subject)
    }
}

/// Every block of TOML in every guide, in the order of their names, and in the page that leads to them.
fn blocks() -> Vec<Block> {
    let files = fs::read_dir(GUIDES).unwrap();
    let mut paths: BTreeSet<_> = files.map(|file| file.unwrap().path()).collect();
    paths.insert(Path::new(GUIDES).with_extension("md"));
    let mut all = Vec::new();
    for path in paths {
        let guide = path.file_name().unwrap().to_str().unwrap().to_owned();
        let page = fs::read_to_string(&path).unwrap();
        let blocks: Vec<_> = page.split("```toml\n").skip(1).collect();
        assert!(!blocks.is_empty(), "{guide} shows no configuration");
        all.extend(blocks.into_iter().map(|block| Block {
            guide: guide.clone(),
            text: block.split("```").next().unwrap().to_owned(),
        }));
    }
    all
}

/// A receiver that is a function of what it is asked.
struct Told(fn(&Request) -> Result<String, String>);

impl Strict for Told {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        (self.0)(request).map(|answer| (200, answer))
    }

    fn ids(&self) -> Vec<u64> {
        Vec::new()
    }
}

fn otlp(request: &Request, path: &str) -> Result<String, String> {
    request.expect("content-type", "application/x-protobuf")?;
    let plain = request.plain()?;
    let decoded = match path {
        "/v1/traces" => ExportTraceServiceRequest::decode(&*plain).map(drop),
        "/v1/logs" => ExportLogsServiceRequest::decode(&*plain).map(drop),
        "/v1/metrics" => ExportMetricsServiceRequest::decode(&*plain).map(drop),
        _ => return Err(format!("there is no {path}")),
    };
    decoded.map_err(|error| error.to_string())?;
    Ok(String::new())
}

fn collector(request: &Request) -> Result<String, String> {
    request.expect("authorization", "Bearer of COLLECTOR_TOKEN")?;
    otlp(request, &request.path)
}

fn spans(request: &Request) -> Result<String, String> {
    request.expect_path("/v1/traces")?;
    otlp(request, &request.path)
}

/// `67890:of GRAFANA_CLOUD_TOKEN`.
fn grafana(request: &Request) -> Result<String, String> {
    request.expect(
        "authorization",
        "Basic Njc4OTA6b2YgR1JBRkFOQV9DTE9VRF9UT0tFTg==",
    )?;
    otlp(request, &request.path)
}

/// `12345:of GRAFANA_CLOUD_TOKEN`.
fn grafana_metrics(request: &Request) -> Result<String, String> {
    request.expect(
        "authorization",
        "Basic MTIzNDU6b2YgR1JBRkFOQV9DTE9VRF9UT0tFTg==",
    )?;
    request.expect_path("/api/prom/push")?;
    remote_write(request)
}

fn written(request: &Request) -> Result<String, String> {
    request.expect_path("/api/v1/write")?;
    remote_write(request)
}

/// What is in it is for tests/prometheus, which decodes every field.
fn remote_write(request: &Request) -> Result<String, String> {
    request.expect("content-encoding", "snappy")?;
    request.plain().map(|_| String::new())
}

fn pushed(request: &Request) -> Result<String, String> {
    request.expect_path("/metrics/job/nightly-training/instance/node-7")?;
    Ok(String::new())
}

fn lines(request: &Request) -> Result<String, String> {
    request.expect_path("/in")?;
    request.expect("authorization", "Bearer of EXAMPLE_TOKEN")?;
    request.expect("content-type", "application/x-ndjson")?;
    let plain = String::from_utf8(request.plain()?).map_err(|error| error.to_string())?;
    for line in plain.lines() {
        serde_json::from_str::<serde_json::Value>(line).map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

#[test]
fn the_configuration_of_each_guide_works_as_it_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "guides::child", "--ignored", "--nocapture"])
        .env("XDG_STATE_HOME", folder.path())
        .stderr(Stdio::inherit());
    for block in blocks() {
        for line in block.text.lines() {
            let Some((_, variable)) = line.split_once("_env = \"") else {
                continue;
            };
            let variable = variable.split('"').next().unwrap();
            let value = match variable {
                "DD_API_KEY" => "K3Y".to_owned(),
                "SPLUNK_HEC_TOKEN" => "T0KEN".to_owned(),
                "APPLICATIONINSIGHTS_CONNECTION_STRING" => {
                    "InstrumentationKey=1KEY;IngestionEndpoint=https://a.invalid/".to_owned()
                }
                other => format!("of {other}"),
            };
            command.env(variable, value);
        }
    }
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    for kind in [
        "application_insights",
        "custom",
        "datadog",
        "elasticsearch",
        "grafana_cloud",
        "jaeger",
        "loki",
        "otlp",
        "pushgateway",
        "remote_write",
        "splunk",
        "zipkin",
    ] {
        assert!(said.contains(&format!("{kind} works\n")), "{kind}: {said}");
    }
}

/// Not a test by itself: what the process of its own runs.
#[test]
#[ignore = "run by the other test as a process of its own"]
fn child() {
    metrics::gauge(METRIC).handle().set(0.5);
    for block in blocks() {
        let guide = Path::new(&block.guide);
        let raw = RawConfig::parse(Format::Toml, &block.text, guide).unwrap();
        match Config::check(raw).map_err(|errors| errors.to_string()) {
            // The page shows two, for what they have in common.
            Ok(config) if block.guide == "exporters.md" => {
                assert_eq!(config.exporters().len(), 2);
                continue;
            }
            Ok(config) => assert_eq!(config.exporters().len(), 1, "{}", block.guide),
            Err(errors) => {
                assert!(errors.contains("is not in this program"), "{errors}");
                continue;
            }
        }
        if let Some((strict, arrives)) = block.subject() {
            works(&block, strict, arrives);
            println!("{} works", block.kind());
        }
    }
    std::io::stdout().flush().unwrap();
}

/// Runs a program with the block's configuration.
fn works(block: &Block, strict: Box<dyn Strict>, arrives: &[&str]) {
    let receiver = Receiver::start(strict);
    let mut text = block.at(&receiver.url());
    if block.kind() == "grafana_cloud" {
        text += "require_tls = false\n";
    }
    let text = text + PROGRAM;
    let raw = RawConfig::parse(Format::Toml, &text, Path::new(&block.guide)).unwrap();
    let config = Config::check(raw).unwrap();
    let builder = radiosonde::builder().config(config);
    let guard = builder
        .resource_attribute("host.name", "host-1")
        .init()
        .unwrap();
    {
        let _span = info_span!(target: "guides", SPAN, id = 1).entered();
        info!(target: "guides", id = 2, "{LOG}");
    }
    let timeout = Duration::from_secs(60);
    assert!(guard.export_now(timeout), "{text}");
    assert!(guard.shutdown(timeout), "{text}");
    receiver.assert_no_faults();
    let requests = receiver.requests();
    let bodies: Vec<_> = requests.iter().map(|one| one.plain().unwrap()).collect();
    let body = bodies.concat();
    let body = String::from_utf8_lossy(&body);
    for wanted in arrives {
        assert!(body.contains(wanted), "no {wanted} by {text}: {body}");
    }
    for absent in [SPAN, LOG, METRIC] {
        let is_there = body.contains(absent);
        assert!(
            !is_there || arrives.contains(&absent),
            "{absent} by {text}: {body}"
        );
    }
}
