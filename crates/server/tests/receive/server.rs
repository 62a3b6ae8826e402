//! A server on ports of its own, and requests for it.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point::Value,
    },
    profiles::v1development::{
        Function, Line, Location, Profile, ProfilesDictionary, ResourceProfiles, Sample,
        ScopeProfiles, Stack, ValueType,
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use radiosonde_server::{Config, Server};
use radiosonde_store::query::{Cell, Limits};
use tempfile::TempDir;

/// A server and its folder, which goes with it.
pub struct Running {
    pub server: Server,
    _folder: TempDir,
}

impl Running {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.otlp_grpc, config.otlp_http, config.page) = (any, any, any);
        change(&mut config);
        Self {
            server: Server::start(config).unwrap(),
            _folder: folder,
        }
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().otlp_http)
    }

    pub fn grpc(&self) -> String {
        format!("http://{}", self.server.addresses().otlp_grpc)
    }

    /// The answer to a statement, a line for each row.
    pub fn ask(&self, statement: &str) -> String {
        let answer = self
            .server
            .store()
            .sql(statement, Limits::default())
            .unwrap();
        let cell = |cell: &Cell| match cell {
            Cell::Null => "-".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => format!("{value:?}"),
        };
        let line = |row: &Vec<Cell>| row.iter().map(cell).collect::<Vec<_>>().join(" | ");
        answer.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub fn now_unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

/// A request of `count` spans of a trace of its own, with this name; every one whose number is in `broken` has no identifier.
pub fn traces(name: &str, count: u64, broken: &[u64]) -> ExportTraceServiceRequest {
    static TRACES: AtomicU64 = AtomicU64::new(1);
    let trace = u128::from(TRACES.fetch_add(1, Relaxed)).to_be_bytes();
    let span = |number: u64| Span {
        trace_id: trace.to_vec(),
        span_id: if broken.contains(&number) {
            Vec::new()
        } else {
            (number + 1).to_be_bytes().to_vec()
        },
        name: name.to_owned(),
        start_time_unix_nano: now_unix_ns(),
        end_time_unix_nano: now_unix_ns() + 5,
        ..Span::default()
    };
    let group = ScopeSpans {
        spans: (0..count).map(span).collect(),
        ..ScopeSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![group],
            ..ResourceSpans::default()
        }],
    }
}

pub fn logs(event_name: &str) -> ExportLogsServiceRequest {
    let group = ScopeLogs {
        log_records: vec![LogRecord {
            event_name: event_name.to_owned(),
            ..LogRecord::default()
        }],
        ..ScopeLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![group],
            ..ResourceLogs::default()
        }],
    }
}

pub fn metrics(name: &str) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint {
        time_unix_nano: now_unix_ns(),
        value: Some(Value::AsInt(3)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: name.to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![point],
        })),
        ..Metric::default()
    };
    let group = ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![group],
            ..ResourceMetrics::default()
        }],
    }
}

/// A profile of two samples of one function, which has this name; with `is_broken`, and one whose samples lead nowhere.
pub fn profiles(name: &str, is_broken: bool) -> ExportProfilesServiceRequest {
    let strings = ["", "cpu", "nanoseconds", name];
    let profile = |stack_index| Profile {
        sample_type: Some(ValueType {
            type_strindex: 1,
            unit_strindex: 2,
        }),
        samples: vec![
            Sample {
                stack_index,
                values: vec![5],
                ..Sample::default()
            };
            2
        ],
        time_unix_nano: now_unix_ns(),
        ..Profile::default()
    };
    let location = Location {
        lines: vec![Line {
            function_index: 1,
            ..Line::default()
        }],
        ..Location::default()
    };
    let function = Function {
        name_strindex: 3,
        ..Function::default()
    };
    let stack = Stack {
        location_indices: vec![1],
    };
    let group = ScopeProfiles {
        profiles: (1..=1 + i32::from(is_broken)).map(profile).collect(),
        ..ScopeProfiles::default()
    };
    ExportProfilesServiceRequest {
        resource_profiles: vec![ResourceProfiles {
            scope_profiles: vec![group],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(ProfilesDictionary {
            string_table: strings.map(str::to_owned).to_vec(),
            location_table: vec![Location::default(), location],
            function_table: vec![Function::default(), function],
            stack_table: vec![Stack::default(), stack],
            ..ProfilesDictionary::default()
        }),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
