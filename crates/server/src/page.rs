//! The page: files that are part of the program, the same document for every address outside of the API. And all of them as
//! one document, for whoever has the answers and no server.
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

const SCRIPT: &str = include_str!("../page/app.js");
const STYLE: &str = include_str!("../page/app.css");
const ICON: &str = include_str!("../page/icon.svg");
const DOCUMENT: &str = include_str!("../page/index.html");

/// Path, type and content.
const FILES: [(&str, &str, &str); 4] = [
    ("/app.js", "text/javascript; charset=utf-8", SCRIPT),
    ("/app.css", "text/css; charset=utf-8", STYLE),
    ("/icon.svg", "image/svg+xml", ICON),
    ("/index.html", "text/html; charset=utf-8", DOCUMENT),
];

/// Of a document that is a file: nothing is asked of anybody.
const FILE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

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

/// The page as one document that is opened from a disk, without a server and without a network. `data` is HTML that stands
/// before the page's script: elements with what it would ask a server for (`web/src/bundle.ts` says which).
pub fn standalone(data: &str) -> String {
    let policy = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{FILE_POLICY}\">");
    let parts = [
        (
            "<meta charset=\"utf-8\">",
            format!("<meta charset=\"utf-8\">\n{policy}"),
        ),
        ("/icon.svg", icon()),
        (
            "<link rel=\"stylesheet\" href=\"/app.css\">",
            format!("<style>\n{STYLE}</style>"),
        ),
        ("<script src=\"/app.js\" defer></script>\n", String::new()),
        (
            "The same answers are at /api/v1/status and its neighbours.",
            "What it shows is in this file too, as JSON.".to_owned(),
        ),
        // Last, because what is put in is not looked at again.
        (
            "</body>",
            format!("{data}<script>\n{SCRIPT}</script>\n</body>"),
        ),
    ];
    parts.iter().fold(DOCUMENT.to_owned(), |text, (old, new)| {
        text.replacen(old, new, 1)
    })
}

/// The icon as an address of itself.
fn icon() -> String {
    let mut address = "data:image/svg+xml,".to_owned();
    for letter in ICON.trim_end().chars() {
        match letter {
            '<' => address.push_str("%3C"),
            '>' => address.push_str("%3E"),
            '#' => address.push_str("%23"),
            '%' => address.push_str("%25"),
            '"' => address.push('\''),
            other => address.push(other),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_as_one_file_names_no_other_file() {
        let document = standalone("<script type=\"application/json\">{}</script>\n");
        let around = document.replace(SCRIPT, "").replace(STYLE, "");
        for other in ["/app.", "/icon", "/api/", "src=", "href=\"/"] {
            assert!(!around.contains(other), "{other}: {around}");
        }
        assert_eq!(
            document.matches("href=\"data:image/svg+xml,%3Csvg").count(),
            1
        );
        assert!(document.contains("Content-Security-Policy"));
        let (data, script) = (document.find("{}</script>"), document.find(SCRIPT));
        assert!(data.is_some() && data < script);
    }

    #[test]
    fn what_is_built_can_stand_inside_of_a_document() {
        let script = SCRIPT.to_ascii_lowercase();
        for end in ["</script", "<!--", "<script"] {
            assert!(!script.contains(end), "{end}");
        }
        let style = STYLE.to_ascii_lowercase();
        for other in ["</style", "url(", "@import"] {
            assert!(!style.contains(other), "{other}");
        }
    }
}
