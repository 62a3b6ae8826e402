//! What a browser says of a request that it sends for a page, which may be anybody's page.
//!
//! A page cannot read answers of another origin, but through a name of its own that leads to this machine it could (DNS
//! rebinding), so a server without a key answers only where it is called by an address or by `localhost`. And it could have
//! things done whose answers it does not see: so what a browser says comes from another site is refused, but for somebody who
//! follows a link to the page.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName, Method, Uri,
    header::{HOST, ORIGIN},
};

/// What a browser says of where a request comes from, and of how it came about.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether a browser says that a page of another site asks: by `Sec-Fetch-Site` (W3C, Fetch Metadata), which pages cannot
/// set, or where a browser sends none, by `Origin`. Whatever else asks sends neither.
pub(super) fn is_of_another_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
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
pub(super) fn is_called_by_address(uri: &Uri, headers: &HeaderMap) -> bool {
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
