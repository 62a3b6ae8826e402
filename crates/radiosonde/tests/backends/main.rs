//! The exporters to backends over HTTP, each against a strict receiver of its own on a real socket. No real backend runs here:
//! what the receivers check is what the backends' makers write of their protocols.

#![cfg(feature = "backends")]

mod application_insights;
mod custom;
mod datadog;
mod elasticsearch;
mod faults;
mod guides;
mod loki;
mod otlp_json;
mod rates;
mod receiver;
mod records;
mod secrets;
mod splunk;
mod zipkin;
