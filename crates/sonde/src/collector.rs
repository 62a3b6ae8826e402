//! A running collector, asked over HTTP, plain or encrypted.

mod certificates;

use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use ureq::{
    Agent,
    http::{Uri, header::AUTHORIZATION},
    tls::TlsConfig,
};

use self::certificates::Certificates;
use crate::cli::{CollectorArguments, RangeArguments};

/// The page's address of a collector that was told nothing.
const ADDRESS_DEFAULT: &str = "http://127.0.0.1:4319";
/// How long an answer may take: longer than the collector gives a statement.
const TIMEOUT: Duration = Duration::from_secs(45);
/// How long a collector may take to answer that it is there.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The environment's variable with the token.
pub const TOKEN_VARIABLE: &str = "RADIOSONDE_TOKEN";
/// The environment's variable with the collector's address.
pub const ADDRESS_VARIABLE: &str = "RADIOSONDE_COLLECTOR";

/// A collector that may be there.
#[derive(Clone, Debug)]
pub struct Collector {
    address: String,
    token: Option<String>,
    certificates: Certificates,
    agent: Agent,
}

/// Names and values of a question.
pub type Parameters<'a> = Vec<(&'static str, &'a str)>;

impl Collector {
    /// The collector that the command line or the environment names, else this machine's.
    pub fn new(arguments: &CollectorArguments) -> anyhow::Result<Self> {
        let named = arguments.collector.clone();
        let address = named.or_else(|| variable(ADDRESS_VARIABLE));
        let certificates = Certificates::new(arguments)?;
        let address = address.as_deref().unwrap_or(ADDRESS_DEFAULT);
        let collector = Self::with(address, certificates)?;
        ensure!(
            collector.is_encrypted() || arguments.tls_ca.is_none(),
            "--tls-ca says whom to trust, and {} is not encrypted; call it https://",
            collector.address
        );
        Ok(collector)
    }

    /// The collector whose page is at `address`, which asks for no certificate and has none of an authority of somebody's own.
    pub fn at(address: &str) -> Self {
        Self::made(address, Certificates::default(), TlsConfig::default())
    }

    fn with(address: &str, certificates: Certificates) -> anyhow::Result<Self> {
        let tls = certificates.tls()?;
        Ok(Self::made(address, certificates, tls))
    }

    fn made(address: &str, certificates: Certificates, tls: TlsConfig) -> Self {
        let address = address.trim_end_matches('/');
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .tls_config(tls)
            .build();
        Self {
            address,
            token: variable(TOKEN_VARIABLE),
            certificates,
            agent: config.into(),
        }
    }

    /// Its page's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn is_encrypted(&self) -> bool {
        self.address.starts_with("https://")
    }

    /// One of its receivers, whose address is what the collector says. It may not know by which name it is called from here:
    /// where it says that it listens everywhere, or on its own machine, the host is the one that it was called by.
    pub fn receiver(&self, said: &str) -> String {
        let parts = |address: &str| {
            let uri: Uri = address.parse().ok()?;
            Some((uri.host()?.to_owned(), uri.port_u16()))
        };
        let (Some((host, Some(port))), Some((own, _))) = (parts(said), parts(&self.address)) else {
            return said.to_owned();
        };
        let ip = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_vague = match (ip(&host), ip(&own)) {
            (Some(said), own) => said.is_unspecified() || (said.is_loopback() && own.is_none()),
            (None, _) => false,
        };
        let scheme = said.split("://").next().unwrap_or("http");
        if is_vague {
            format!("{scheme}://{own}:{port}")
        } else {
            said.to_owned()
        }
    }

    /// The variables by which an exporter of OTLP trusts it and is trusted; none where it is not encrypted.
    pub fn otlp_variables(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        if self.is_encrypted() {
            self.certificates.otlp_variables()
        } else {
            Ok(Vec::new())
        }
    }

    /// Its status; `None` where nothing answers that is a collector. One that answers and does not let us in is an error: nothing else
    /// is to take its place.
    pub fn greet(&self) -> anyhow::Result<Option<Value>> {
        let request = self.agent.get(format!("{}/api/v1/status", self.address));
        let request = self.with_token(request);
        let request = request
            .config()
            .timeout_global(Some(GREETING_TIMEOUT))
            .build();
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error)
                if self.is_encrypted() && certificates::mend(&error.to_string()).is_some() =>
            {
                return Err(self.unanswered(error));
            }
            Err(_) => return Ok(None),
        };
        let body = response.body_mut().read_to_string().unwrap_or_default();
        let status: Value = serde_json::from_str(&body).unwrap_or_default();
        if response.status().is_success() {
            return Ok(status.get("listening").is_some().then_some(status));
        }
        let error = &status["error"];
        match (error["message"].as_str(), error["mend"].as_str()) {
            (Some(message), Some(mend)) => {
                bail!(
                    "the collector at {} refuses: {message}; {mend}",
                    self.address
                )
            }
            _ => Ok(None),
        }
    }

    /// The answer to `GET /api/v1/` and `path`.
    pub fn get(&self, path: &str, parameters: &Parameters<'_>) -> anyhow::Result<Value> {
        let mut request = self.agent.get(format!("{}/api/v1/{path}", self.address));
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        self.answer(self.with_token(request).call())
    }

    /// What the API says to a body of JSON.
    pub fn post(
        &self,
        path: &str,
        parameters: &Parameters<'_>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut request = self.agent.post(format!("{}/api/v1/{path}", self.address));
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        let request = self.with_token(request).content_type("application/json");
        self.answer(request.send(body.to_string()))
    }

    /// What the API says where something is to go.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.agent.delete(format!("{}/api/v1/{path}", self.address));
        self.answer(self.with_token(request).call())
    }

    /// The answer to a statement in SQL.
    pub fn sql(&self, statement: &str) -> anyhow::Result<Value> {
        let request = self.agent.post(format!("{}/api/v1/sql", self.address));
        let body = serde_json::json!({ "statement": statement }).to_string();
        let request = self.with_token(request).content_type("application/json");
        self.answer(request.send(body))
    }

    /// What a statement in SQL answers to what arrives, a line each, for as long as the collector is there.
    pub fn follow(&self, statement: &str) -> anyhow::Result<impl BufRead + use<>> {
        let request = self
            .agent
            .post(format!("{}/api/v1/sql/stream", self.address));
        let body = serde_json::json!({ "statement": statement }).to_string();
        let request = self.with_token(request).content_type("application/json");
        let request = request.config().timeout_global(None).build();
        let response = request.send(body);
        match response {
            Ok(response) if response.status().is_success() => {
                Ok(BufReader::new(response.into_body().into_reader()))
            }
            refused => {
                self.answer(refused)?;
                bail!(
                    "{} is no collector: it refuses and does not say why",
                    self.address
                )
            }
        }
    }

    /// What Prometheus' API answers to `path` there.
    pub fn promql(&self, path: &str, parameters: &Parameters<'_>) -> anyhow::Result<Value> {
        let address = format!("{}/prometheus/api/v1/{path}", self.address);
        let mut request = self.agent.get(address);
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        let mut answer = self.answer(self.with_token(request).call())?;
        Ok(answer["data"].take())
    }

    /// Sends OTLP's JSON to one of its receivers.
    pub fn send(&self, address: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self
            .with_token(self.agent.post(address))
            .content_type("application/json");
        self.answer(request.send(body.to_string()))
    }

    /// Sends a file to one of its receivers.
    pub fn send_bytes(&self, address: &str, body: &[u8]) -> anyhow::Result<Value> {
        let request = self
            .with_token(self.agent.post(address))
            .content_type("application/octet-stream");
        self.answer(request.send(body))
    }

    fn with_token<Any>(&self, request: ureq::RequestBuilder<Any>) -> ureq::RequestBuilder<Any> {
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// Why there is no answer, and what to do about it.
    fn unanswered(&self, error: ureq::Error) -> anyhow::Error {
        let words = match certificates::mend(&error.to_string()) {
            Some(mend) if self.is_encrypted() => {
                format!("no encrypted connection to {}; {mend}", self.address)
            }
            _ => format!(
                "no collector answers at {}; start one with `sonde serve`, or name another with --collector",
                self.address
            ),
        };
        anyhow::Error::new(error).context(words)
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Value> {
        let mut response = response.map_err(|error| self.unanswered(error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string();
        let body =
            body.with_context(|| format!("the answer of {} could not be read", self.address))?;
        let answer = serde_json::from_str::<Value>(&body);
        if response.status().is_success() {
            return answer.with_context(|| {
                format!("{} is no collector: its answer is no JSON", self.address)
            });
        }
        let error = answer
            .ok()
            .and_then(|answer| answer.get("error").cloned())
            .unwrap_or_default();
        match (error["message"].as_str(), error["mend"].as_str()) {
            (Some(message), Some(mend)) => bail!("{message}; {mend}"),
            // Prometheus' API says it in one text.
            _ if error.is_string() => bail!("{}", error.as_str().unwrap_or_default()),
            // A receiver of OTLP says it in a `google.rpc.Status`.
            _ => match serde_json::from_str::<Value>(&body).unwrap_or_default()["message"].as_str()
            {
                Some(message) => bail!("{message}"),
                None => bail!(
                    "{} answers with {}; is it a collector?",
                    self.address,
                    response.status()
                ),
            },
        }
    }
}

impl RangeArguments {
    /// As the API takes it.
    pub fn parameters(&self) -> Parameters<'_> {
        vec![("from", &self.from), ("to", &self.to)]
    }
}

/// A variable of the environment that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

/// A path's part with what addresses cannot have in it (RFC 3986, section 2.3) written as `%` and hexadecimal digits.
pub fn encoded(part: &str) -> String {
    part.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{Ipv4Addr, TcpListener},
        thread,
    };

    use super::*;

    #[test]
    fn a_name_with_anything_in_it_is_one_part_of_a_path() {
        assert_eq!(encoded("a.b/c d?ü"), "a.b%2Fc%20d%3F%C3%BC");
    }

    #[test]
    fn a_receiver_has_the_host_that_the_collector_was_called_by() {
        for (page, said, receiver) in [
            (
                "http://127.0.0.1:4319",
                "http://127.0.0.1:4318",
                "http://127.0.0.1:4318",
            ),
            (
                "http://[::1]:4319",
                "http://127.0.0.1:4318",
                "http://127.0.0.1:4318",
            ),
            (
                "https://localhost:4319",
                "https://127.0.0.1:4318",
                "https://localhost:4318",
            ),
            (
                "https://a.example",
                "https://0.0.0.0:4318",
                "https://a.example:4318",
            ),
            (
                "http://10.0.0.7:4319",
                "http://[::]:4318",
                "http://10.0.0.7:4318",
            ),
            (
                "http://a.example:4319",
                "http://10.0.0.7:4318",
                "http://10.0.0.7:4318",
            ),
        ] {
            assert_eq!(
                Collector::at(page).receiver(said),
                receiver,
                "{page} {said}"
            );
        }
    }

    /// A collector whose status is this answer to one request.
    fn answering(status: &str, body: &str) -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(answer.as_bytes()).unwrap();
        });
        Collector::at(&format!("http://{address}"))
    }

    #[test]
    fn a_collector_that_lets_nobody_in_is_there_all_the_same() {
        let body = r#"{"error":{"message":"the token is missing","mend":"send one"}}"#;
        let error = answering("401 Unauthorized", body).greet().unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("refuses: the token is missing; send one"),
            "{error}"
        );
        for (status, body, is_there) in [
            ("200 OK", r#"{"listening":{}}"#, true),
            ("200 OK", "a page of something else", false),
            ("403 Forbidden", "{}", false),
        ] {
            let found = answering(status, body).greet().unwrap();
            assert_eq!(found.is_some(), is_there, "{status} {body}");
        }
        assert!(
            Collector::at("http://127.0.0.1:1")
                .greet()
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn an_address_may_lack_its_scheme() {
        assert_eq!(
            Collector::at("10.0.0.7:4319/").address(),
            "http://10.0.0.7:4319"
        );
    }
}
