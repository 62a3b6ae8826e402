//! Receives telemetry, keeps it, and answers questions about it over HTTP.

mod receive;
