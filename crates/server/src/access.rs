//! Who may talk to the server: this machine without more ado, others with the token.
//!
//! A page that a browser shows may be anybody's. It cannot read answers of another origin, but through a name of its own
//! that leads to this machine it could (DNS rebinding), so a server without a token answers only where it is called by an
//! address or by `localhost`. And it could have things done whose answers it does not see: so what a browser says comes from
//! another site is refused, but for somebody who follows a link to the page.

use std::{fmt, net::IpAddr};

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, Method, StatusCode, Uri,
        header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::problem::Problem;

/// The cookie in which the page has the token.
const COOKIE_NAME: &str = "radiosonde_token";
/// The parameter with which a browser brings the token the first time.
const PARAMETER: &str = "token=";
/// What a browser says of where a request comes from, and of how it came about.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Fewest bytes of a token: what 96 random bits take in hexadecimal.
pub const TOKEN_BYTES_MIN: usize = 24;

/// What everybody has to show who is not let in otherwise. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has at least {TOKEN_BYTES_MIN} letters, digits and `-._~` and nothing else; make one with `openssl rand -hex 32`"
)]
pub struct WeakToken;

impl Token {
    /// Takes a token, without the white space around it.
    pub fn new(text: &str) -> Result<Self, WeakToken> {
        let text = text.trim();
        // What is left as it is in headers, cookies and addresses (RFC 3986, section 2.3).
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(plain) {
            return Err(WeakToken);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `shown` is this token, in a time that does not tell how much of it is right.
    fn is(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.as_bytes());
        let differences = own.iter().zip(shown).map(|(a, b)| a ^ b);
        own.len() == shown.len()
            && std::hint::black_box(differences.fold(0, |all, one| all | one)) == 0
    }

    /// Whether it is shown in a header that no browser adds by itself.
    fn is_borne_by(&self, headers: &HeaderMap) -> bool {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        bearer.is_some_and(|shown| self.is(shown))
    }

    fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).into_iter();
        let cookies = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
        self.is_borne_by(headers) || cookies.into_iter().any(|shown| self.is(shown))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Lets a request through, or says why not.
pub(crate) async fn check(token: Option<Token>, request: Request, next: Next) -> Response {
    let is_borne = token
        .as_ref()
        .is_some_and(|token| token.is_borne_by(request.headers()));
    if !is_borne && is_of_another_site(request.method(), request.uri(), request.headers()) {
        return foreign();
    }
    let Some(token) = token else {
        return if is_called_by_address(request.uri(), request.headers()) {
            next.run(request).await
        } else {
            forbidden()
        };
    };
    if token.is_shown_by(request.headers()) {
        return next.run(request).await;
    }
    match brought(request.uri()) {
        Some((shown, address)) if token.is(shown) => welcome(&token, &address),
        _ => unauthorized(),
    }
}

/// The token in an address, and that address without it.
fn brought(uri: &Uri) -> Option<(&str, String)> {
    let mut token = None;
    let others = uri.query()?.split('&').filter(|pair| {
        let found = pair.strip_prefix(PARAMETER);
        token = token.or(found);
        found.is_none()
    });
    let others: Vec<&str> = others.collect();
    let mut address = uri.path().to_owned();
    if !others.is_empty() {
        address.push('?');
        address.push_str(&others.join("&"));
    }
    // An address that begins with two slashes is one of another host.
    Some((token?, format!("/{}", address.trim_start_matches('/'))))
}

/// Gives a browser the token to keep, and leads it on to where it was going.
fn welcome(token: &Token, address: &str) -> Response {
    let cookie = format!(
        "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict",
        token.0
    );
    let headers = [(SET_COOKIE, cookie.as_str()), (LOCATION, address)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn unauthorized() -> Response {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "the token is missing or another one",
        "send `Authorization: Bearer TOKEN`, or open the page with `?token=TOKEN` once",
    )
    .into_response()
}

fn forbidden() -> Response {
    Problem::new(
        StatusCode::FORBIDDEN,
        "without a token this server answers only to an address or `localhost`",
        "call it by its address, such as http://127.0.0.1:4319, or start it with a token",
    )
    .into_response()
}

fn foreign() -> Response {
    Problem::new(
        StatusCode::FORBIDDEN,
        "a page of another site asks this, by its `Origin` or `Sec-Fetch-Site`",
        "send `Authorization: Bearer TOKEN` with it, or ask from a program and not from a page; behind a proxy, let it pass on \
         the header `Host` as it came",
    )
    .into_response()
}

/// Whether a browser says that a page of another site asks: by `Sec-Fetch-Site` (W3C, Fetch Metadata), which pages cannot
/// set, or where a browser sends none, by `Origin`. Whatever else asks sends neither.
fn is_of_another_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    match words(headers, &SEC_FETCH_SITE).next() {
        Some("same-origin" | "none") => false,
        Some(_) => !is_visit(method, uri, headers),
        None => words(headers, &ORIGIN).any(|origin| !is_own(origin, uri, headers)),
    }
}

/// Whether somebody follows a link to the page, which shows nothing to the site that the link is on.
fn is_visit(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let is_below = |folder: &str| {
        uri.path()
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    method == Method::GET
        && words(headers, &SEC_FETCH_MODE).eq(["navigate"])
        && !is_below("/api")
        && !is_below("/prometheus")
}

/// Whether an origin is what the server was called by.
fn is_own(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let host = words(headers, &HOST).next();
    let called = uri.authority().map(http::uri::Authority::as_str).or(host);
    // The usual port may be said or not.
    let (port, authority) = match origin.split_once("://") {
        Some(("https", authority)) => (":443", authority),
        Some((_, authority)) => (":80", authority),
        None => return false,
    };
    let bare = |authority: &str| authority.trim_end_matches(port).to_ascii_lowercase();
    called.is_some_and(|called| bare(called) == bare(authority))
}

/// What headers of a name say; one that is no text says nothing that is known.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| value.to_str().unwrap_or_default())
}

/// Whether whoever asks has called the server by an address or by a name that is always this machine.
fn is_called_by_address(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = uri.authority().map(http::uri::Authority::as_str).or(host) else {
        return true;
    };
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef0123456789abcdef";

    fn token() -> Token {
        Token::new(TEXT).unwrap()
    }

    #[test]
    fn tokens_are_long_plain_and_never_printed() {
        assert!(Token::new("short").is_err());
        assert!(Token::new(&format!("{TEXT};")).is_err());
        assert_eq!(Token::new(&format!(" {TEXT}\n")), Ok(token()));
        assert_eq!(format!("{:?}", token()), "Token(..)");
    }

    #[test]
    fn a_token_is_shown_in_a_header_or_a_cookie() {
        let shown = |name, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            token().is_shown_by(&headers)
        };
        assert!(shown(AUTHORIZATION, &format!("Bearer {TEXT}")));
        assert!(shown(
            COOKIE,
            &format!("theme=dark; radiosonde_token={TEXT}")
        ));
        assert!(!shown(AUTHORIZATION, TEXT));
        assert!(!shown(
            AUTHORIZATION,
            "Bearer 0123456789abcdef0123456789abcdee"
        ));
        assert!(!shown(COOKIE, &format!("radiosonde_token={TEXT}0")));
    }

    #[test]
    fn an_address_loses_the_token_it_brought() {
        let uri: Uri = "/traces?from=-1h&token=abc&q=x".parse().unwrap();
        assert_eq!(
            brought(&uri),
            Some(("abc", "/traces?from=-1h&q=x".to_owned()))
        );
        let uri: Uri = "//elsewhere.example/?token=abc".parse().unwrap();
        assert_eq!(brought(&uri).unwrap().1, "/elsewhere.example/");
        assert_eq!(brought(&"/traces?q=token".parse().unwrap()), None);
    }

    /// Whether a request with these headers, called at `127.0.0.1:4319`, is of another site.
    fn is_foreign(method: &Method, path: &str, given: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1:4319".parse().unwrap());
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        is_of_another_site(method, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn pages_of_other_sites_are_told_from_all_others() {
        let (get, post) = (Method::GET, Method::POST);
        let (site, mode) = ("sec-fetch-site", "sec-fetch-mode");
        let visit = [(site, "cross-site"), (mode, "navigate")];
        for (method, path, given) in [
            (&get, "/api/v1/status", vec![]),
            (&post, "/v1/traces", vec![]),
            (&get, "/api/v1/status", vec![(site, "none")]),
            (&post, "/api/v1/sql", vec![(site, "same-origin")]),
            (
                &post,
                "/api/v1/sql",
                vec![("origin", "http://127.0.0.1:4319")],
            ),
            (
                &post,
                "/api/v1/sql",
                vec![
                    (site, "same-origin"),
                    ("origin", "https://by-a-proxy.example"),
                ],
            ),
            (&get, "/", visit.to_vec()),
            (&get, "/traces/abc?q=x", visit.to_vec()),
            (&get, "/apish", visit.to_vec()),
        ] {
            assert!(!is_foreign(method, path, &given), "{path} {given:?}");
        }
        for (method, path, given) in [
            (&get, "/api/v1/status", vec![(site, "cross-site")]),
            (&get, "/api/v1/status", vec![(site, "same-site")]),
            (&get, "/api/v1/status", vec![(site, "é")]),
            (&get, "/icon.svg", vec![(site, "cross-site")]),
            (&get, "/api", visit.to_vec()),
            (&get, "/api/v1/status", visit.to_vec()),
            (&get, "/prometheus/api/v1/query", visit.to_vec()),
            (&post, "/", visit.to_vec()),
            (&post, "/v1/traces", vec![("origin", "http://evil.example")]),
            (
                &post,
                "/v1/traces",
                vec![("origin", "http://127.0.0.1:4318")],
            ),
            (&post, "/v1/traces", vec![("origin", "null")]),
        ] {
            assert!(is_foreign(method, path, &given), "{path} {given:?}");
        }
    }

    #[test]
    fn the_usual_port_need_not_be_said() {
        let is_own = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            is_own(origin, &Uri::from_static("/"), &headers)
        };
        assert!(is_own("localhost:80", "http://LOCALHOST"));
        assert!(is_own("[::1]", "http://[::1]:80"));
        assert!(is_own("a.example", "https://a.example:443"));
        assert!(!is_own("localhost:4319", "http://localhost"));
        assert!(!is_own("", "http://localhost"));
    }

    #[test]
    fn without_a_token_only_addresses_and_localhost_are_answered() {
        let called = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            is_called_by_address(&Uri::from_static("/"), &headers)
        };
        for host in [
            "127.0.0.1:4319",
            "localhost:4319",
            "LOCALHOST",
            "[::1]:4319",
            "10.0.0.7",
        ] {
            assert!(called(host), "{host}");
        }
        for host in [
            "rebound.example",
            "rebound.example:4319",
            "localhost.example",
        ] {
            assert!(!called(host), "{host}");
        }
    }
}
