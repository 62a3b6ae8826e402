//! Grafana Cloud: a stack is written to by remote write, or by OTLP at its gateway, both as the stack's instance with a token
//! (grafana.com/docs/grafana-cloud, "Send data").

use super::{
    backend::Connection, delivery::base64::basic, otlp::OtlpConfig, remote_write::RemoteWriteConfig,
};

/// Metrics by remote write to the Prometheus of `region`, such as `prod-01-eu-west-0`. `instance` is the number of that
/// Prometheus, and `token` a token of the stack that may write metrics; both are on the stack's page under Prometheus.
pub fn remote_write(region: &str, instance: &str, token: &str) -> RemoteWriteConfig {
    let endpoint = format!("https://prometheus-{region}.grafana.net/api/prom/push");
    let mut connection = Connection::new(endpoint);
    connection.require_tls = true;
    connection.headers = authorization(instance, token);
    RemoteWriteConfig::over(connection)
}

/// Everything by OTLP over HTTP to the gateway of `zone`, such as `prod-eu-west-0`. `instance` is the number of the stack, and
/// `token` a token of it that may write; both are on the stack's page under OpenTelemetry.
pub fn otlp(zone: &str, instance: &str, token: &str) -> OtlpConfig {
    let mut config = OtlpConfig::new(format!("https://otlp-gateway-{zone}.grafana.net/otlp"));
    config.require_tls = true;
    config.headers = authorization(instance, token);
    config
}

fn authorization(instance: &str, token: &str) -> Vec<(String, String)> {
    vec![("authorization".to_owned(), basic(instance, token))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_lead_to_the_stack_with_its_credentials() {
        let authorization = [(
            "authorization".to_owned(),
            "Basic NDcxMTp0b2tlbg==".to_owned(),
        )];
        let metrics = remote_write("prod-01-eu-west-0", "4711", "token").connection;
        assert_eq!(
            metrics.endpoint,
            "https://prometheus-prod-01-eu-west-0.grafana.net/api/prom/push"
        );
        assert_eq!(metrics.headers, authorization);
        let everything = otlp("prod-eu-west-0", "4711", "token");
        assert_eq!(
            everything.endpoint,
            "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp"
        );
        assert_eq!(everything.headers, authorization);
        assert!(metrics.require_tls && everything.require_tls);
        assert!(!format!("{metrics:?}").contains("token"));
        assert!(!format!("{metrics:?}").contains("NDcxMTp0b2tlbg=="));
    }
}
