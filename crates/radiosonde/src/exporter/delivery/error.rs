//! What is wrong with a destination before anything is sent to it.

use std::path::PathBuf;

/// Why a destination cannot be sent to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The endpoint is not a URL that can be sent to.
    #[error("{destination} endpoint {endpoint}: {reason}")]
    Endpoint {
        /// The kind of destination, such as `OTLP`.
        destination: &'static str,
        /// The endpoint, without secrets.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting cannot be used.
    #[error("{destination} {setting}: {reason}")]
    Setting {
        /// The kind of destination, such as `Datadog`.
        destination: &'static str,
        /// The setting, such as `api_key`.
        setting: &'static str,
        /// What is wrong with it and what to write instead, without secrets.
        reason: String,
    },
    /// A header's name or value cannot be sent.
    #[error("header {name}: names and values are visible ASCII without line breaks")]
    Header {
        /// Its name.
        name: String,
    },
    /// A certificate or key file cannot be used.
    #[error("certificate {path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that sends could not be started.
    #[error("cannot start the thread that sends: {0}")]
    Thread(std::io::Error),
}
