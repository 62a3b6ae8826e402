//! Who may talk to the server: this machine without more ado, others with a key or a certificate.
//!
//! ```text
//! connection (listen) ─▶ Link: encrypted? whose certificate? ─┐
//! request: a secret in a header, a cookie or the address ─────┴▶ who? ─▶ may its role do this? ─▶ the router
//!                                                                  └───────────┴─▶ audit (who, what, the answer)
//! ```
//!
//! Invariants: what a listener has behind it sees no request that [`Gate`] did not let through; a secret is neither kept nor
//! printed; whether a guess is nearly right cannot be told from how long the answer takes.

mod audit;
mod browser;
mod keys;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use self::keys::{Fingerprint, Right};
pub use self::keys::{Key, KeysError, Role, TOKEN_BYTES_MIN, Token, WeakToken};
pub(crate) use self::{audit::Audit, keys::fingerprint};
use crate::{
    problem::Problem,
    receive::{Intake, turned_away},
};

/// The cookie in which the page has the secret of a key.
const COOKIE_NAME: &str = "radiosonde_token";
/// The parameter with which a browser brings it the first time.
const PARAMETER: &str = "token=";
/// The status in the audit of an answer that nobody waited for, as many servers note it.
const NOT_WAITED_FOR: u16 = 499;

/// What is known of a connection before anything is said on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) is_encrypted: bool,
    /// The SHA-256 of the certificate that the other end showed, which an authority of clients signed.
    pub(crate) certificate: Option<Fingerprint>,
}

/// What is behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    OtlpGrpc,
    OtlpHttp,
    Page,
}

impl Port {
    const fn name(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
            Self::Page => "page",
        }
    }

    /// What a request is for. A question on the page's port is what only reads by HTTP's own rules, and SQL, PromQL and
    /// rehearsals of alerts, which may be posted; whatever else there will be changes something, until it is said here that it does not.
    fn right(self, method: &Method, path: &str) -> Right {
        let asks = method.is_safe()
            || path.starts_with("/prometheus/")
            || [
                "/api/v1/sql",
                "/api/v1/sql/stream",
                "/api/v1/alerts/rehearsal",
            ]
            .contains(&path);
        match self {
            Self::OtlpGrpc | Self::OtlpHttp => Right::Send,
            Self::Page if asks => Right::Read,
            Self::Page => Right::Change,
        }
    }
}

/// Somebody who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// A key's name, `certificate` with its SHA-256, or `loopback`.
    name: String,
    role: Role,
}

impl Identity {
    fn of(key: &Key) -> Self {
        Self {
            name: key.name().to_owned(),
            role: key.role(),
        }
    }
}

/// What becomes of a request.
enum Verdict {
    Pass(Identity),
    /// A browser brought a secret, which is in the answer for it to keep.
    Welcome(Identity, Response),
    Refuse(Option<Identity>, Problem),
}

impl Verdict {
    /// Who it is, where that is known.
    const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Pass(identity) | Self::Welcome(identity, _) => Some(identity),
            Self::Refuse(identity, _) => identity.as_ref(),
        }
    }
}

/// What every request of a listener goes through.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) port: Port,
    /// Whether only this machine reaches the listener.
    pub(crate) is_local: bool,
    /// All that open it.
    pub(crate) keys: Arc<[Key]>,
    /// Where refused telemetry is noted.
    pub(crate) intake: Arc<Intake>,
    /// Where accesses are noted; nowhere where only this machine asks, and without a key.
    pub(crate) audit: Option<Arc<Audit>>,
}

/// Lets a request through, or says why not.
pub(crate) async fn check(gate: Arc<Gate>, request: Request, next: Next) -> Response {
    let verdict = gate.verdict(&request);
    let access = gate.audit.as_ref().map(|audit| Access {
        audit: Arc::clone(audit),
        port: gate.port,
        noted: Noted::of(&request),
        by: verdict.identity().cloned(),
        is_allowed: !matches!(verdict, Verdict::Refuse(..)),
        status: NOT_WAITED_FOR,
    });
    let response = match verdict {
        Verdict::Pass(_) => next.run(request).await,
        Verdict::Welcome(_, response) => response,
        Verdict::Refuse(_, problem) => {
            let is_telemetry = gate.port != Port::Page;
            turned_away(&gate.intake, request, is_telemetry, &problem).await
        }
    };
    if let Some(mut access) = access {
        access.status = response.status().as_u16();
    }
    response
}

/// An access that is noted when it ends: also where whoever asked goes away before the answer, because what was asked for is done
/// all the same.
struct Access {
    audit: Arc<Audit>,
    port: Port,
    noted: Noted,
    by: Option<Identity>,
    is_allowed: bool,
    /// HTTP's status of the answer.
    status: u16,
}

impl Drop for Access {
    fn drop(&mut self) {
        let (by, role) = self.by.take().map_or_else(
            || ("nobody".to_owned(), ""),
            |identity| (identity.name, identity.role.name()),
        );
        let caller = audit::Caller {
            by,
            role,
            client: std::mem::take(&mut self.noted.client),
            port: self.port.name(),
            is_allowed: self.is_allowed,
        };
        let Noted {
            method, path, asks, ..
        } = &self.noted;
        match self.port {
            Port::OtlpGrpc | Port::OtlpHttp => self.audit.sent(caller),
            // The page's own files are of the program, and tell nobody anything.
            Port::Page if self.is_allowed && !asks && (200..300).contains(&self.status) => {}
            Port::Page => self.audit.asked(caller, method.as_str(), path, self.status),
        }
    }
}

/// What is noted of a request. Not its query: a secret may be in it.
struct Noted {
    client: String,
    method: Method,
    path: String,
    /// Whether it is a question, and no file of the page.
    asks: bool,
}

impl Noted {
    fn of(request: &Request) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let path = request.uri().path();
        Self {
            client: peer.map_or_else(String::new, |ConnectInfo(peer)| {
                peer.ip().to_canonical().to_string()
            }),
            method: request.method().clone(),
            asks: path.starts_with("/api/") || path.starts_with("/prometheus/"),
            path: path.to_owned(),
        }
    }
}

impl Gate {
    fn verdict(&self, request: &Request) -> Verdict {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let link = request.extensions().get::<Link>().copied();
        let link = link.unwrap_or_default();
        // A header that no browser adds by itself.
        let borne = bearer(headers).and_then(|shown| Key::of_secret(&self.keys, shown));
        if borne.is_none() && browser::is_of_another_site(method, uri, headers) {
            return Verdict::Refuse(None, foreign());
        }
        let of_cookie = || cookies(headers).find_map(|shown| Key::of_secret(&self.keys, shown));
        let identity = if let Some(key) = borne.or_else(of_cookie) {
            Identity::of(key)
        } else if self.port == Port::Page
            && method.is_safe()
            && let Some((secret, address)) = brought(uri)
            && let Some(key) = Key::of_secret(&self.keys, secret)
        {
            return Verdict::Welcome(Identity::of(key), welcome(secret, &address, link));
        } else {
            match self.without_secret(link, uri, headers) {
                Ok(identity) => identity,
                Err(problem) => return Verdict::Refuse(None, problem),
            }
        };
        let right = self.port.right(method, uri.path());
        if identity.role.may(right) {
            return Verdict::Pass(identity);
        }
        let problem = not_for(&identity, right);
        Verdict::Refuse(Some(identity), problem)
    }

    /// Whoever shows no secret: by a certificate, or because it is this machine.
    fn without_secret(
        &self,
        link: Link,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Identity, Problem> {
        if let Some(certificate) = link.certificate {
            return match Key::of_certificate(&self.keys, &certificate) {
                Some(key) => Ok(Identity::of(key)),
                None if self.keys.iter().any(Key::is_certificate) => Err(unnamed(&certificate)),
                None => Ok(Identity {
                    name: format!("certificate {}", hexadecimal(&certificate)),
                    role: Role::Admin,
                }),
            };
        }
        let asks_for_secrets = self.keys.iter().any(|key| !key.is_certificate());
        if asks_for_secrets || !self.is_local {
            return Err(unauthorized());
        }
        if !browser::is_called_by_address(uri, headers) {
            return Err(called_by_name());
        }
        Ok(Identity {
            name: "loopback".to_owned(),
            role: Role::Admin,
        })
    }
}

/// The secret in the header. The scheme's name may be in either case (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = shown.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("Bearer")
        .then(|| secret.trim_start())
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(COOKIE).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// The secret in an address, and that address without it.
fn brought(uri: &Uri) -> Option<(&str, String)> {
    let mut secret = None;
    let others = uri.query()?.split('&').filter(|pair| {
        let found = pair.strip_prefix(PARAMETER);
        secret = secret.or(found);
        found.is_none()
    });
    let others: Vec<&str> = others.collect();
    let mut address = uri.path().to_owned();
    if !others.is_empty() {
        address.push('?');
        address.push_str(&others.join("&"));
    }
    // An address that begins with two slashes is one of another host, and to a browser a backslash is one of them.
    let address = address.trim_start_matches(['/', '\\']);
    Some((secret?, format!("/{address}")))
}

/// Gives a browser the secret to keep, and leads it on to where it was going. It is the secret of a key, so it is made of
/// letters that a cookie may have.
fn welcome(secret: &str, address: &str, link: Link) -> Response {
    let secure = if link.is_encrypted { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let headers = [(SET_COOKIE, cookie.as_str()), (LOCATION, address)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn unauthorized() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "the token is missing or another one",
        "send `Authorization: Bearer TOKEN` with the token or the secret of a key, or open the page with `?token=TOKEN` once; \
         sonde's own commands take it from RADIOSONDE_TOKEN",
    )
}

fn not_for(identity: &Identity, right: Right) -> Problem {
    let (wants, roles) = right.words();
    Problem::new(
        StatusCode::FORBIDDEN,
        format!(
            "`{}` is there as {}, which may not {wants}",
            identity.name,
            identity.role.name()
        ),
        format!("use a key of role {roles}"),
    )
}

fn unnamed(certificate: &Fingerprint) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "the certificate is not among those that the file of keys names",
        format!(
            "add it there: [[key]] with certificate_sha256 = \"{}\"",
            hexadecimal(certificate)
        ),
    )
}

fn called_by_name() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "without a token this server answers only to an address or `localhost`",
        "call it by its address, such as http://127.0.0.1:4319, or start it with a token",
    )
}

fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "a page of another site asks this, by its `Origin` or `Sec-Fetch-Site`",
        "send `Authorization: Bearer TOKEN` with it, or ask from a program and not from a page; behind a proxy, let it pass on \
         the header `Host` as it came",
    )
}

fn hexadecimal(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

#[cfg(test)]
mod tests;
