//! What is scraped, as it is written: `http://127.0.0.1:8000/metrics,job=vllm,interval=5s`.

use std::{str::FromStr, time::Duration};

use http::Uri;

/// How often a target is asked unless it says otherwise.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// The shortest and the longest time between two scrapes.
const INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];
/// How long a target may take to answer unless it says otherwise, or is asked more often.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest name of a job, in bytes.
const JOB_BYTES_MAX: usize = 200;
/// What is shown in place of what may be a secret.
const HIDDEN: &str = "[redacted]";

/// An address that shows metrics, whose they are, and how often it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: String,
    instance: String,
    job: String,
    interval: Duration,
    timeout: Duration,
}

/// A target is not written as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no scrape target: {why}; write http://HOST:PORT/metrics,job=NAME,interval=15s,timeout=10s"
)]
pub struct TargetError {
    text: String,
    why: String,
}

impl Target {
    /// What is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is asked as it is shown to people: values of the query may be secrets.
    pub fn shown(&self) -> String {
        let Some((address, query)) = self.url.split_once('?') else {
            return self.url.clone();
        };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        });
        format!("{address}?{}", pairs.collect::<Vec<_>>().join("&"))
    }

    /// Host and port, which become `service.instance.id`.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Whose metrics they are: what becomes `service.name`. Host and port unless it was named.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// How often it is asked.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.min(self.interval)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        read(text).map_err(|why| match hidden(text) {
            None => TargetError {
                text: text.to_owned(),
                why,
            },
            // What is wrong may be a part of a password with a comma in it.
            Some(text) => TargetError {
                text,
                why: "it needs a host, without a user, and behind a comma only what is known"
                    .to_owned(),
            },
        })
    }
}

/// A text that may have a password or a token in it, without them; `None` where it has neither.
fn hidden(text: &str) -> Option<String> {
    let after = text.rsplit_once('@').map(|(_, after)| after);
    let shown = after.unwrap_or(text);
    let before = shown.split_once('?').map(|(before, _)| before);
    if after.is_none() && before.is_none() {
        return None;
    }
    let user = after.map_or(String::new(), |_| format!("{HIDDEN}@"));
    let query = before.map_or(String::new(), |_| format!("?{HIDDEN}"));
    Some(format!("{user}{}{query}", before.unwrap_or(shown)))
}

fn read(text: &str) -> Result<Target, String> {
    let mut parts = text.trim().split(',');
    let url = parts.next().unwrap_or_default().trim();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("it does not begin with http:// or https://".to_owned());
    }
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let authority = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err("it needs a host, without a user".to_owned());
    }
    let mut target = Target {
        url: address(&uri, authority),
        instance: authority.to_owned(),
        job: authority.to_owned(),
        interval: INTERVAL_DEFAULT,
        timeout: TIMEOUT_DEFAULT,
    };
    for part in parts {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is no `key=value`"))?;
        match (key.trim(), value.trim()) {
            ("job", job) if !job.is_empty() && job.len() <= JOB_BYTES_MAX => {
                job.clone_into(&mut target.job);
            }
            ("interval", value) => {
                target.interval = duration(value)?.clamp(INTERVAL[0], INTERVAL[1]);
            }
            ("timeout", value) => target.timeout = duration(value)?.max(Duration::from_millis(1)),
            (key, value) => return Err(format!("`{key}={value}` is not known")),
        }
    }
    Ok(target)
}

/// What is asked: where no path is named, the usual one, before the query.
fn address(uri: &Uri, authority: &str) -> String {
    let path = match uri.path() {
        "" | "/" => "/metrics",
        path => path,
    };
    let query = uri.query().map(|query| format!("?{query}"));
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

/// `500ms`, `15s`, `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as 15s, 500ms or 1m");
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[end..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_job_an_interval_and_a_timeout() {
        let target: Target = "http://127.0.0.1:8000/metrics,job=vllm,interval=5s,timeout=900ms"
            .parse()
            .unwrap();
        assert_eq!(
            (target.url(), target.instance(), target.job()),
            ("http://127.0.0.1:8000/metrics", "127.0.0.1:8000", "vllm")
        );
        assert_eq!(
            (target.interval(), target.timeout()),
            (Duration::from_secs(5), Duration::from_millis(900))
        );
        let target: Target = "http://gpu-1:9400".parse().unwrap();
        assert_eq!(
            (target.url(), target.job()),
            ("http://gpu-1:9400/metrics", "gpu-1:9400")
        );
        assert_eq!(
            (target.interval(), target.timeout()),
            (INTERVAL_DEFAULT, TIMEOUT_DEFAULT)
        );
        // It is never asked again before it has answered or has not.
        let target: Target = "http://a/m,interval=0s".parse().unwrap();
        assert_eq!(
            (target.interval(), target.timeout()),
            (INTERVAL[0], INTERVAL[0])
        );
    }

    #[test]
    fn the_usual_path_stands_before_a_query() {
        for (text, url) in [
            ("http://a", "http://a/metrics"),
            ("http://a/", "http://a/metrics"),
            ("https://a:1/?token=abc", "https://a:1/metrics?token=abc"),
            ("http://a?token=abc", "http://a/metrics?token=abc"),
            ("http://a/m?x=1&y=2,job=j", "http://a/m?x=1&y=2"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().url(), url, "{text}");
        }
    }

    #[test]
    fn values_of_a_query_are_not_shown() {
        for (text, shown) in [
            ("http://a/m", "http://a/m"),
            (
                "http://a/m?token=TOPSECRET&x",
                "http://a/m?token=[redacted]&[redacted]",
            ),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().shown(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_password() {
        for (text, words) in [
            ("127.0.0.1:8000/metrics", "begin with http://"),
            ("ftp://a/metrics", "begin with http://"),
            ("http://", "no scrape target"),
            ("http://a/metrics,jobs=b", "`jobs=b` is not known"),
            ("http://a/metrics,job=", "`job=` is not known"),
            ("http://a/metrics,15s", "no `key=value`"),
            ("http://a/metrics,interval=15", "no duration"),
            ("http://me:secret@a/metrics", "without a user"),
            ("http://me:s@secret@a/metrics", "`[redacted]@a/metrics`"),
            ("http://me:x,secret@a/metrics", "without a user"),
            ("http://me:x,secret=1@a/metrics", "without a user"),
            (
                "http://a/metrics?token=secret,job=",
                "`http://a/metrics?[redacted]`",
            ),
            ("http://a/metrics?token=x,secret", "only what is known"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
