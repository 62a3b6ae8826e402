//! Where ClickHouse is, as it is written: `http://user:password@host:8123/database`.

use std::{fmt, str::FromStr};

use ureq::http::Uri;

/// The database unless another is named.
const DATABASE: &str = "radiosonde";

/// Where ClickHouse's HTTP interface is, which of its databases has the tables, and who asks. Its text and its debugging text show
/// neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct ClickHouse {
    /// Scheme, host and port.
    pub(super) address: String,
    pub(super) database: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// An address is not written as one. What was written is not shown, because it may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no address of ClickHouse's HTTP interface: {0}; write http://HOST:8123/DATABASE")]
pub struct ClickHouseUrlError(String);

impl ClickHouse {
    /// The same place for another user; one that the address names already stays.
    #[must_use]
    pub fn or_user(mut self, user: Option<String>, password: Option<String>) -> Self {
        self.user = self.user.or(user);
        self.password = self.password.or(password);
        self
    }

    /// The database that has the tables.
    pub fn database(&self) -> &str {
        &self.database
    }
}

impl fmt::Display for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.database)
    }
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClickHouse({self})")
    }
}

impl FromStr for ClickHouse {
    type Err = ClickHouseUrlError;

    fn from_str(text: &str) -> Result<Self, ClickHouseUrlError> {
        read(text.trim()).map_err(ClickHouseUrlError)
    }
}

fn read(text: &str) -> Result<ClickHouse, String> {
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .ok_or("it does not begin with http:// or https://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let uri: Uri = format!("{scheme}://{host}/")
        .parse()
        .map_err(|_| "its host is none")?;
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    let port = match (uri.port(), scheme) {
        (Some(_), _) => "",
        (None, "https") => ":8443",
        (None, _) => ":8123",
    };
    let mut place = ClickHouse {
        address: format!("{scheme}://{host}{port}"),
        database: decoded(path.trim_end_matches('/')),
        user: None,
        password: None,
    };
    if place.database.contains('/') {
        return Err("its path has several parts, and is to be the name of the database".to_owned());
    }
    if let Some(user) = user {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        place.user = Some(decoded(name));
        place.password = (!password.is_empty()).then(|| decoded(password));
    }
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "database" => place.database = value.into_owned(),
            "user" => place.user = Some(value.into_owned()),
            "password" => place.password = Some(value.into_owned()),
            _ => return Err("of its query only database, user and password are known".to_owned()),
        }
    }
    if place.database.is_empty() {
        DATABASE.clone_into(&mut place.database);
    }
    Ok(place)
}

/// A part of an address without its percent signs. A plus sign is one here.
fn decoded(text: &str) -> String {
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let place: ClickHouse = text.parse().unwrap();
        (place.to_string(), place.user, place.password)
    }

    #[test]
    fn an_address_has_a_database_a_user_and_a_password() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            parts("http://127.0.0.1"),
            ("http://127.0.0.1:8123/radiosonde".to_owned(), None, None)
        );
        assert_eq!(
            parts("https://me:p%40s+s@ch.example/tele"),
            (
                "https://ch.example:8443/tele".to_owned(),
                some("me"),
                some("p@s+s")
            )
        );
        assert_eq!(
            parts("http://[::1]:9/?database=a&user=b&password=c%26d"),
            ("http://[::1]:9/a".to_owned(), some("b"), some("c&d"))
        );
    }

    #[test]
    fn what_the_address_says_holds_before_what_else_is_said() {
        let place: ClickHouse = "http://me:mine@a".parse().unwrap();
        let place = place.or_user(Some("you".to_owned()), Some("yours".to_owned()));
        assert_eq!(
            (place.user.as_deref(), place.password.as_deref()),
            (Some("me"), Some("mine"))
        );
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let place: ClickHouse = "http://me:secret@a/b".parse().unwrap();
        assert_eq!(
            format!("{place:?} {place}"),
            "ClickHouse(http://a:8123/b) http://a:8123/b"
        );
        for wrong in [
            "me:secret@a",
            "http://me:secret@/b",
            "http://me:secret@a/b/c",
            "http://a/?password=secret&x=secret",
            "http://me:secret@a b/",
        ] {
            let error = wrong.parse::<ClickHouse>().unwrap_err().to_string();
            assert!(
                !error.contains("secret") && error.contains("http://HOST:8123/"),
                "{error}"
            );
        }
    }
}
