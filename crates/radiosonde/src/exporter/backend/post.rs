//! The plainest wire: every payload is posted to one URL, and the status of the answer says what became of it.

use ureq::http::{HeaderName, HeaderValue, Uri, header};

use super::{Call, Wire};
use crate::exporter::{
    delivery::{DestinationError, GZIP, http},
    spool::Payload,
};

/// Posts to one URL.
#[derive(Debug)]
pub(in crate::exporter) struct Post {
    url: Uri,
    content_type: HeaderValue,
}

impl Post {
    /// Posts bodies of `content_type` to `url`, which belongs to `destination`.
    pub(in crate::exporter) fn new(
        destination: &'static str,
        url: &str,
        content_type: &str,
    ) -> Result<Self, DestinationError> {
        let content_type =
            HeaderValue::from_str(content_type).map_err(|_| DestinationError::Header {
                name: header::CONTENT_TYPE.to_string(),
            })?;
        Ok(Self {
            url: http::uri(destination, url)?,
            content_type,
        })
    }

    /// How `payload` is posted, `headers` beside its own.
    pub(in crate::exporter) fn with(
        &self,
        payload: &Payload,
        mut headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Call<'_> {
        headers.push((header::CONTENT_TYPE, self.content_type.clone()));
        if payload.tag & GZIP != 0 {
            headers.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        Call {
            url: &self.url,
            headers,
        }
    }
}

impl Wire for Post {
    fn call(&mut self, payload: &Payload) -> Result<Call<'_>, String> {
        Ok(self.with(payload, Vec::new()))
    }
}
