//! The page: files that are part of the program, the same document for every address outside of the API.
//!
//! They are built from `web/` and kept beside this crate, so that building the program takes no other tool.

use axum::{
    Router,
    http::{
        StatusCode, Uri,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};

/// Nothing but what this server sends is run, shown or asked.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Path, type and content.
const FILES: [(&str, &str, &[u8]); 4] = [
    (
        "/app.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../page/app.js"),
    ),
    (
        "/app.css",
        "text/css; charset=utf-8",
        include_bytes!("../page/app.css"),
    ),
    (
        "/icon.svg",
        "image/svg+xml",
        include_bytes!("../page/icon.svg"),
    ),
    (
        "/index.html",
        "text/html; charset=utf-8",
        include_bytes!("../page/index.html"),
    ),
];

/// Answers every path with the page, and its files with themselves.
pub(crate) fn router() -> Router {
    Router::new().fallback(get(file))
}

async fn file(uri: Uri) -> Response {
    let known = FILES.iter().find(|(path, ..)| *path == uri.path());
    let has_extension = uri
        .path()
        .rsplit('/')
        .next()
        .is_some_and(|name| name.contains('.'));
    let (_, media_type, content) = match known {
        Some(file) => file,
        // What looks like a file and is none, such as favicon.ico, is not the page; identifiers have no dot.
        None if has_extension && !uri.path().starts_with("/metrics/") => {
            return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
        }
        None => &FILES[FILES.len() - 1],
    };
    let headers = [
        (CONTENT_TYPE, *media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The next version of the program has another page at the same address.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, *content).into_response()
}
