//! Observability for programs that run models: one init, one trace ID over logs, traces, metrics and profiles.
