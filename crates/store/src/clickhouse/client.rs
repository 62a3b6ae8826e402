//! Requests to ClickHouse's HTTP interface: statements go there, answers come back, and what is wrong is said in words.

use std::{
    fmt::Write as _,
    io::{self, Read as _},
    time::Duration,
};

use ureq::{
    Agent, Body,
    http::{HeaderValue, Response},
};

use super::ClickHouse;

/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long ClickHouse may say nothing before it is taken for gone. Less than a statement may take, which would otherwise end
/// without a word of who did not answer.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(20);
/// How long an insertion may take; what took longer is tried again, and is there once all the same.
const INSERT_TIME_MAX: Duration = Duration::from_mins(2);
/// How long ClickHouse is to work at a statement at most. Those of users end earlier, by their own bound.
const WORK_TIME_MAX_S: &str = "60";
/// Longest text that an answer is read into.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest message of what is wrong.
const MESSAGE_CHARS_MAX: usize = 400;

/// ClickHouse did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClickHouseError {
    /// Nobody answers, or not in time.
    #[error(
        "ClickHouse at {place} cannot be reached ({reason}); what is newer waits in the data folder, and what is older can be read when ClickHouse is there again: start it, or name where it is"
    )]
    Away {
        /// Address and database.
        place: String,
        /// Why.
        reason: String,
    },
    /// It says that something is wrong.
    #[error("ClickHouse at {place} says: {message}; {mend}")]
    Refused {
        /// Address and database.
        place: String,
        /// ClickHouse's own words.
        message: String,
        /// What may help.
        mend: &'static str,
    },
    /// A table has other columns than this program writes and reads.
    #[error("ClickHouse at {place}: the table `{table}` {difference}; {mend}")]
    Columns {
        /// Address and database.
        place: String,
        /// The table.
        table: String,
        /// What is different.
        difference: String,
        /// What helps.
        mend: String,
    },
    /// Rows could not be made what ClickHouse takes.
    #[error("ClickHouse at {place}: rows of `{table}` could not be encoded: {reason}")]
    Rows {
        /// Address and database.
        place: String,
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// What came back is not what was asked for, or not all of it.
    #[error(
        "ClickHouse at {place} gave an answer that is not whole or not one of ClickHouse ({reason}); look what listens there, and in its log"
    )]
    Answer {
        /// Address and database.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Asks one place.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    place: ClickHouse,
    shown: String,
}

impl Client {
    pub(crate) fn new(place: &ClickHouse) -> Self {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("radiosonde/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            // One that was kept open may be closed at the other end while a statement is on its way, which nobody may send twice.
            .max_idle_connections(0)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_per_read(Some(SILENCE_TIME_MAX))
            .timeout_per_write(Some(SILENCE_TIME_MAX));
        let host = place.address.split_once("://").map_or("", |(_, host)| host);
        if ["127.0.0.1:", "localhost:", "[::1]:"]
            .iter()
            .any(|here| host.starts_with(here))
        {
            builder = builder.proxy(None);
        }
        Self {
            agent: builder.build().new_agent(),
            place: place.clone(),
            shown: place.to_string(),
        }
    }

    /// Address and database, without user and password.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn database(&self) -> &str {
        &self.place.database
    }

    /// The answer to a statement, which is read as it comes.
    pub(crate) fn ask(&self, statement: &str) -> Result<Body, ClickHouseError> {
        let settings = [
            ("max_execution_time", WORK_TIME_MAX_S),
            // As many rows at once as the engine has elsewhere.
            ("max_block_size", "8192"),
            ("max_query_size", "67108864"),
            // Text comes as the bytes it is, as sketches do.
            ("output_format_arrow_string_as_string", "0"),
            ("output_format_arrow_low_cardinality_as_dictionary", "0"),
            ("output_format_arrow_fixed_string_as_fixed_byte_array", "1"),
        ];
        let url = self.url(&settings);
        let request = self.headed(self.agent.post(url)).content_type("text/plain");
        self.outcome(request.send(statement))
    }

    /// The answer to a statement as text.
    pub(crate) fn text(&self, statement: &str) -> Result<String, ClickHouseError> {
        self.read_text(self.ask(statement)?)
    }

    /// An answer as text.
    pub(super) fn read_text(&self, answer: Body) -> Result<String, ClickHouseError> {
        let mut text = String::new();
        answer
            .into_reader()
            .take(TEXT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| self.broken(&error))?;
        Ok(text)
    }

    /// Inserts `body` by a statement that ends in the format of it: all of it or nothing, and once for each token.
    pub(crate) fn insert(
        &self,
        statement: &str,
        token: &str,
        body: &[u8],
    ) -> Result<(), ClickHouseError> {
        let settings = [
            ("query", statement),
            ("insert_deduplication_token", token),
            // One block, of which one part is made: the whole of it or nothing.
            ("max_insert_block_size", "1073741824"),
            ("min_insert_block_size_rows", "1073741824"),
            ("min_insert_block_size_bytes", "1099511627776"),
            ("async_insert", "0"),
        ];
        let url = self.url(&settings);
        let request = self.headed(self.agent.post(url));
        let request = request
            .config()
            .timeout_global(Some(INSERT_TIME_MAX))
            .timeout_per_read(Some(INSERT_TIME_MAX))
            .build();
        let answer = self.outcome(request.content_type("application/octet-stream").send(body))?;
        // Its end says that nothing went wrong after it had begun to answer.
        let mut said = String::new();
        answer
            .into_reader()
            .take(TEXT_BYTES_MAX)
            .read_to_string(&mut said)
            .map_err(|error| self.broken(&error))?;
        if said.contains("DB::Exception") {
            return Err(self.refusal(&said, None));
        }
        Ok(())
    }

    fn url(&self, settings: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(settings);
        format!("{}/?{}", self.place.address, query.finish())
    }

    fn headed<Any>(&self, request: ureq::RequestBuilder<Any>) -> ureq::RequestBuilder<Any> {
        let sensitive = |value: &str| {
            // Only control characters cannot be said, and are then refused there as a wrong password is.
            let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let user = self.place.user.as_deref().and_then(sensitive);
        let password = self.place.password.as_deref().and_then(sensitive);
        let headers = [("X-ClickHouse-User", user), ("X-ClickHouse-Key", password)];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    fn outcome(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Body, ClickHouseError> {
        let answer = answer.map_err(|error| self.away(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let code = answer.headers().get("x-clickhouse-exception-code");
        let code = code.and_then(|code| code.to_str().ok()?.parse().ok());
        let mut message = Vec::new();
        // One that breaks off says as much as it says.
        let _ = answer
            .into_body()
            .into_reader()
            .take(64 * 1024)
            .read_to_end(&mut message);
        let message = String::from_utf8_lossy(&message);
        if message.trim().is_empty() || !message.contains("Exception") {
            let reason = format!("HTTP {status}");
            return Err(match status.as_u16() {
                401 | 403 => self.refusal(&reason, Some(516)),
                502..=504 => ClickHouseError::Away {
                    place: self.shown.clone(),
                    reason,
                },
                _ => ClickHouseError::Answer {
                    place: self.shown.clone(),
                    reason,
                },
            });
        }
        Err(self.refusal(&message, code))
    }

    fn refusal(&self, message: &str, code: Option<u32>) -> ClickHouseError {
        let words = message.trim();
        let code = code.or_else(|| code_of(words));
        let line = words.lines().next().unwrap_or_default();
        let mut message: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
        if message.len() < line.len() {
            message.push('…');
        }
        ClickHouseError::Refused {
            place: self.shown.clone(),
            message,
            mend: mend(code),
        }
    }

    fn away(&self, error: &ureq::Error) -> ClickHouseError {
        let reason = match error {
            ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nothing listens there".to_owned()
            }
            other => other.to_string(),
        };
        ClickHouseError::Away {
            place: self.shown.clone(),
            reason,
        }
    }

    /// What it means that an answer broke off.
    pub(super) fn broken(&self, error: &dyn std::error::Error) -> ClickHouseError {
        ClickHouseError::Answer {
            place: self.shown.clone(),
            reason: error.to_string(),
        }
    }
}

/// The number of what is wrong, as ClickHouse's message begins with it.
fn code_of(message: &str) -> Option<u32> {
    let (_, after) = message.split_once("Code: ")?;
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    after[..end].parse().ok()
}

/// What may help, by the number of what is wrong (ClickHouse, `ErrorCodes.cpp`).
const fn mend(code: Option<u32>) -> &'static str {
    match code {
        Some(192..=194 | 516) => {
            "name a user and the password that it has: RADIOSONDE_CLICKHOUSE_USER and RADIOSONDE_CLICKHOUSE_PASSWORD"
        }
        Some(164 | 497) => {
            "grant the user SELECT, INSERT and CREATE TABLE on the database, or make its tables for it"
        }
        Some(81) => "make the database, or name another one",
        Some(115) => "a ClickHouse of 2023 or newer is needed",
        Some(159 | 160) => "ask for a shorter time, or give the user of ClickHouse more",
        Some(241) => "ask for a shorter time, or give ClickHouse more memory",
        Some(243) => "make room on ClickHouse's disk",
        Some(252) => "let ClickHouse merge, or let fewer collectors write to it",
        _ => "ClickHouse's log says more",
    }
}

/// A name as ClickHouse takes any.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// Text as ClickHouse takes any; what is no letter in the way in which bytes are written.
pub(crate) fn text_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(letter);
            }
            '\0'..' ' => {
                // Writing to a string does not fail.
                let _ = write!(literal, "\\x{:02X}", letter as u32);
            }
            _ => literal.push(letter),
        }
    }
    literal.push('\'');
    literal
}

/// Bytes as text that is them: a list of such is one step for ClickHouse however long it is.
pub(crate) fn bytes_literal(bytes: &[u8]) -> String {
    let mut literal = String::with_capacity(bytes.len() * 4 + 2);
    literal.push('\'');
    for byte in bytes {
        let _ = write!(literal, "\\x{byte:02X}");
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_waits_longer_than_clickhouse_may_be_silent() {
        let silence = CONNECT_TIME_MAX + SILENCE_TIME_MAX;
        assert!(silence < crate::query::Limits::default().timeout);
    }

    #[test]
    fn text_and_names_are_what_they_say() {
        assert_eq!(text_literal("it's a \\ \n é"), r"'it\'s a \\ \x0A é'");
        assert_eq!(quoted("a`b"), r"`a\`b`");
        assert_eq!(bytes_literal(&[0, 0xf7]), r"'\x00\xF7'");
    }

    #[test]
    fn what_is_wrong_comes_with_what_helps() {
        let client = Client::new(&"http://a".parse().unwrap());
        let told = |message: &str| client.refusal(message, None).to_string();
        let old = told(
            "Code: 193, e.displayText() = DB::Exception: Wrong password for user default\nmore",
        );
        assert!(
            old.contains("a:8123/radiosonde") && old.contains("RADIOSONDE_CLICKHOUSE_PASSWORD"),
            "{old}"
        );
        assert!(!old.contains("more"), "{old}");
        let new = told("Code: 241. DB::Exception: Memory limit (total) exceeded");
        assert!(new.contains("shorter time"), "{new}");
        let unknown = told("anything");
        assert!(unknown.contains("log says more"), "{unknown}");
    }
}
