//! Context across processes; see [`radiosonde_core::propagation`] for what is read and written. Added here: headers of
//! HTTP requests, and through them gRPC metadata.
//!
//! ```
//! use radiosonde::propagation::{Headers, HeadersMut, FullContext};
//!
//! fn serve(request: &http::Request<()>) {
//!     let _scope = FullContext::extract(&Headers(request.headers())).attach();
//!     // spans opened here belong to the caller's trace
//! }
//!
//! fn call(request: &mut http::Request<()>) {
//!     radiosonde::propagation::inject(&mut HeadersMut(request.headers_mut()));
//! }
//! # serve(&http::Request::new(()));
//! # call(&mut http::Request::new(()));
//! ```
//!
//! tonic's `MetadataMap` lends its headers: `Headers(request.metadata().as_ref())` and
//! `HeadersMut(request.metadata_mut().as_mut())`, so gRPC needs no feature and no version of tonic.

use http::{HeaderMap, HeaderName, HeaderValue};
pub use radiosonde_core::propagation::*;

/// Headers to read a context from.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(pub &'a HeaderMap);

/// Headers to write a context to.
#[derive(Debug)]
pub struct HeadersMut<'a>(pub &'a mut HeaderMap);

/// The value's text. One that is not UTF-8 becomes a character that no header of ours allows, so that it counts as
/// malformed instead of absent.
fn text(value: &HeaderValue) -> &str {
    std::str::from_utf8(value.as_bytes()).unwrap_or("\u{fffd}")
}

impl Extract for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(text)
    }

    fn get_all(&self, name: &str) -> Vec<&str> {
        self.0.get_all(name).iter().map(text).collect()
    }
}

impl Inject for HeadersMut<'_> {
    fn set(&mut self, name: &str, value: &str) {
        // A correlation ID may hold what HTTP does not allow; then the header is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}
