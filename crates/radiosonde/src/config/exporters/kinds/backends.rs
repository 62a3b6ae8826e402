//! The tables of backends that are spoken to over HTTP.

use std::time::Duration;

use super::{Plan, Table, connection};
use crate::{
    config::{
        choice::choose,
        duration::Unit,
        value::{Problem, Setting, quoted},
        written::Written,
    },
    exporter::{
        application_insights::{self, ApplicationInsightsConfig},
        backend::Connection,
        custom::{self, CustomConfig, Layout, Template},
        datadog::{self, DatadogConfig},
        elasticsearch::{self, Credentials, ElasticsearchConfig},
        grafana_cloud,
        loki::{self, LokiConfig},
        pushgateway::{self, Push, PushgatewayConfig},
        remote_write::{self, RemoteWriteConfig, Version},
        splunk::{self, SplunkConfig},
        zipkin::{self, ZipkinConfig},
    },
};

/// The keys of a token.
pub(super) const TOKEN: [&str; 3] = ["token", "token_env", "token_file"];

/// A secret that has to be there.
fn token(table: &mut Table) -> Option<String> {
    let token = table.secret(TOKEN);
    if token.is_none() {
        let mend = "write token_env = \"VARIABLE\", token_file = \"FILE\" or token = \"...\"";
        table.refuse("", "has no token", mend);
    }
    token
}

/// Makes `own` the connection of a configuration whose endpoint is its kind's where the table has none.
fn over(connection: Option<Connection>, own: &mut Connection) {
    let Some(connection) = connection else { return };
    let mut headers = std::mem::take(&mut own.headers);
    *own = connection;
    headers.append(&mut own.headers);
    own.headers = headers;
}

pub(super) fn remote_write(table: &mut Table) -> Option<Plan> {
    let version = table.take("version", || Version::Auto);
    let aliases = table.take("aliases", || false);
    let bearer = table.secret(TOKEN);
    let mut connection = connection(table, None)?;
    connection.endpoint = write_endpoint(connection.endpoint);
    connection
        .headers
        .extend(bearer.as_deref().map(bearer_header));
    let mut config = RemoteWriteConfig::new(connection.endpoint.clone());
    over(Some(connection), &mut config.connection);
    config.version = version;
    config.aliases = aliases;
    Some(Plan::new(move || remote_write::open(&config)))
}

/// A Prometheus that is named by its root, or by the page on which it shows its own metrics, as the design notes do, takes
/// metrics where it always does.
fn write_endpoint(endpoint: String) -> String {
    let rest = endpoint.split_once("://").map_or("", |(_, rest)| rest);
    match rest.split_once('/').map_or("", |(_, path)| path) {
        "" | "metrics" => {
            let root = endpoint.trim_end_matches("/metrics").trim_end_matches('/');
            format!("{root}/api/v1/write")
        }
        _ => endpoint,
    }
}

/// The header of a bearer token (RFC 6750).
pub(super) fn bearer_header(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

pub(super) fn pushgateway(table: &mut Table) -> Option<Plan> {
    let job: Option<String> = table.need("job", "\"my_program\"");
    let grouping = table.take("grouping", Vec::new);
    let replaces = table.take("replace", || true);
    let forget_at_end = table.take("forget_at_end", || false);
    let aliases = table.take("aliases", || false);
    let connection = connection(table, Some("http://localhost:9091"))?;
    let mut config = PushgatewayConfig::new(connection.endpoint.clone(), job?);
    over(Some(connection), &mut config.connection);
    config.grouping = grouping;
    let is_trial = table.is_trial();
    config.push = if replaces && !is_trial {
        Push::Replace
    } else {
        Push::Merge
    };
    config.forget_at_end = forget_at_end && !is_trial;
    config.aliases = aliases;
    Some(Plan::new(move || pushgateway::open(&config)))
}

/// Metrics by remote write, or everything by OTLP where a zone of the gateway is named.
pub(super) fn grafana_cloud(table: &mut Table) -> Option<Plan> {
    let instance: Option<String> = table.need("instance", "\"123456\"");
    let token = token(table);
    let region = table.take_some::<String>("region");
    let zone = table.take_some::<String>("zone");
    let may_be_plain = table.says("require_tls");
    let mut connection = connection(table, Some(""))?;
    // The token goes there: plaintext only where the table asks for it.
    connection.require_tls |= !may_be_plain;
    let (instance, token) = (instance?, token?);
    match (region, zone) {
        (Some(region), None) => {
            let mut config = grafana_cloud::remote_write(&region, &instance, &token);
            if connection.endpoint.is_empty() {
                connection.endpoint.clone_from(&config.connection.endpoint);
            }
            over(Some(connection), &mut config.connection);
            Some(Plan::new(move || remote_write::open(&config)))
        }
        (None, Some(zone)) => {
            let mut config = grafana_cloud::otlp(&zone, &instance, &token);
            super::otlp::over(connection, &mut config);
            Some(Plan::new(move || {
                crate::exporter::otlp::Otlp::http(&config)
            }))
        }
        _ => {
            let mend = "write region = \"prod-eu-west-2\" for remote write of metrics, or zone = \"prod-eu-west-2\" for OTLP of everything";
            table.refuse("", "has not one of region and zone", mend);
            None
        }
    }
}

pub(super) fn datadog(table: &mut Table) -> Option<Plan> {
    let token = token(table);
    let site = table.take("site", || "datadoghq.com".to_owned());
    let tags = table.take("tags", Vec::new);
    let host = table.take_some("host");
    let connection = connection(table, Some(""));
    let mut config = DatadogConfig::new(site, token?);
    let endpoint = config.connection.endpoint.clone();
    over(connection, &mut config.connection);
    if config.connection.endpoint.is_empty() {
        config.connection.endpoint = endpoint;
    }
    config.tags = tags;
    config.host = host;
    Some(Plan::new(move || datadog::open(&config)))
}

pub(super) fn application_insights(table: &mut Table) -> Option<Plan> {
    let text = table.secret([
        "connection_string",
        "connection_string_env",
        "connection_string_file",
    ]);
    let sample_percent = table.take("sample_percent", || 100.0_f64);
    let connection = connection(table, Some(""));
    let Some(text) = text else {
        let mend = "write connection_string_env = \"APPLICATIONINSIGHTS_CONNECTION_STRING\"";
        table.refuse("", "has no connection_string", mend);
        return None;
    };
    let mut config = match ApplicationInsightsConfig::from_connection_string(&text) {
        Ok(config) => config,
        Err(error) => {
            table.refuse(
                "connection_string",
                error.to_string(),
                "copy it whole from the portal",
            );
            return None;
        }
    };
    let endpoint = config.connection.endpoint.clone();
    over(connection, &mut config.connection);
    if config.connection.endpoint.is_empty() {
        config.connection.endpoint = endpoint;
    }
    if !(sample_percent > 0.0 && sample_percent <= 100.0) {
        table.refuse(
            "sample_percent",
            "is no percentage",
            "write a number above 0 up to 100",
        );
    }
    config.sample_percent = if table.is_trial() {
        100.0
    } else {
        sample_percent
    };
    Some(Plan::new(move || application_insights::open(&config)))
}

pub(super) fn splunk(table: &mut Table) -> Option<Plan> {
    let token = token(table);
    let index = table.take_some("index");
    let metrics_index = table.take_some("metrics_index");
    let source = table.take_some("source");
    let acknowledgement = table.take_some::<Duration>("acknowledgement");
    let connection = connection(table, None);
    let (connection, token) = (connection?, token?);
    let mut config = SplunkConfig::new(connection.endpoint.clone(), token);
    over(Some(connection), &mut config.connection);
    config.index = index;
    config.metrics_index = metrics_index;
    config.source = source.or(config.source);
    config.acknowledgement = acknowledgement;
    Some(Plan::new(move || splunk::open(&config)))
}

pub(super) fn elasticsearch(table: &mut Table) -> Option<Plan> {
    let key = table.secret(["api_key", "api_key_env", "api_key_file"]);
    let dataset = table.take_some::<String>("dataset");
    let namespace = table.take_some::<String>("namespace");
    let connection = connection(table, Some("http://localhost:9200"))?;
    let mut config = ElasticsearchConfig::new(connection.endpoint.clone());
    over(Some(connection), &mut config.connection);
    config.dataset = dataset.unwrap_or(config.dataset);
    config.namespace = namespace.unwrap_or(config.namespace);
    if let Some(key) = key {
        config.credentials = Credentials::ApiKey(key);
    }
    Some(Plan::new(move || elasticsearch::open(&config)))
}

pub(super) fn loki(table: &mut Table) -> Option<Plan> {
    let tenant = table.take_some("tenant");
    let labels = table.take("labels", Vec::new);
    let connection = connection(table, Some("http://localhost:3100"))?;
    let mut config = LokiConfig::new(connection.endpoint.clone());
    over(Some(connection), &mut config.connection);
    config.tenant = tenant;
    config.labels = labels;
    Some(Plan::new(move || loki::open(&config)))
}

pub(super) fn zipkin(table: &mut Table) -> Option<Plan> {
    let connection = connection(table, Some("http://localhost:9411"))?;
    let mut config = ZipkinConfig::new(connection.endpoint.clone());
    over(Some(connection), &mut config.connection);
    Some(Plan::new(move || zipkin::open(&config)))
}

pub(super) fn custom(table: &mut Table) -> Option<Plan> {
    let mut template = |key| table.take_some::<Template>(key);
    let (spans, logs) = (template("spans"), template("logs"));
    let (events, metrics) = (template("events"), template("metric_points"));
    let layout = table.take("layout", Layout::default);
    let gzip = table.take_some::<bool>("gzip");
    let content_type = table.take_some("content_type");
    let bearer = table.secret(TOKEN);
    let mut connection = connection(table, None)?;
    connection
        .headers
        .extend(bearer.as_deref().map(bearer_header));
    let mut config = CustomConfig::new(connection.endpoint.clone());
    over(Some(connection), &mut config.connection);
    if [&spans, &logs, &events, &metrics]
        .into_iter()
        .any(Option::is_some)
    {
        (config.spans, config.logs) = (spans, logs);
        (config.events, config.metrics) = (events, metrics);
    }
    config.layout = layout;
    config.gzip = gzip.unwrap_or(config.gzip);
    config.content_type = content_type;
    Some(Plan::new(move || custom::open(&config)))
}

impl Setting for Version {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        choose(
            written,
            &[("auto", Self::Auto), ("1.0", Self::V1), ("2.0", Self::V2)],
        )
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Auto => "auto",
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        };
        Some(quoted(name))
    }
}

impl Setting for Layout {
    fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
        choose(written, &[("array", Self::Array), ("lines", Self::Lines)])
    }

    fn show(&self) -> Option<String> {
        let name = match self {
            Self::Array => "array",
            Self::Lines => "lines",
        };
        Some(quoted(name))
    }
}

/// A text is JSON with `{{field}}` in it, a list names the fields.
impl Setting for Template {
    fn read(written: &Written, unit: Unit) -> Result<Self, Problem> {
        match written {
            Written::List(_) => Vec::<String>::read(written, unit).map(Self::Fields),
            Written::Text(text) => Ok(Self::Json(text.clone())),
            _ => Err(Problem::new(
                "is no template",
                "write a text of JSON with {{field}} in it, or a list of fields",
            )),
        }
    }

    fn show(&self) -> Option<String> {
        match self {
            Self::Fields(names) => names.show(),
            Self::Json(text) => Some(quoted(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prometheus_that_is_named_by_its_root_is_written_to_where_it_takes_metrics() {
        for (named, meant) in [
            ("http://p:9090", "http://p:9090/api/v1/write"),
            ("http://p:9090/", "http://p:9090/api/v1/write"),
            ("http://p:9090/metrics", "http://p:9090/api/v1/write"),
            ("https://p/api/prom/push", "https://p/api/prom/push"),
        ] {
            assert_eq!(write_endpoint(named.to_owned()), meant);
        }
    }
}
