//! Base64 (RFC 4648): credentials in the standard alphabet, parts of URLs in the one that is safe there.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};

/// `bytes` in the alphabet for URLs (section 5), without padding.
pub(in crate::exporter) fn url_safe(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The value of an `Authorization` header for `user` and `password` (RFC 7617).
pub(in crate::exporter) fn basic(user: &str, password: &str) -> String {
    let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {both}")
}
