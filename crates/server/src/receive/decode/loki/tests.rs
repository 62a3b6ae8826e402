use prost::Message as _;

use super::{
    super::{
        Encoding, Signal, Told, decode,
        sink::Reason,
        tests::{Kept, NOW, check_damaged},
    },
    Form,
};

/// grafana/loki, `pkg/push/push.proto`, encoded by prost.
mod push {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PushRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) streams: Vec<Stream>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Stream {
        #[prost(string, tag = "1")]
        pub(super) labels: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) entries: Vec<Entry>,
        #[prost(uint64, tag = "3")]
        pub(super) hash: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Entry {
        #[prost(message, optional, tag = "1")]
        pub(super) timestamp: Option<Time>,
        #[prost(string, tag = "2")]
        pub(super) line: String,
        #[prost(message, repeated, tag = "3")]
        pub(super) structured_metadata: Vec<LabelPair>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Time {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelPair {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }
}

/// grafana.com, "Loki HTTP API", "Ingest logs".
const JSON: &[u8] = br#"{"streams": [
    {"stream": {"app": "shop", "level": "error"}, "values": [
        ["1800000000000000007", "no money", {"trace_id": "0242ac120002abababababababababab", "span_id": "cdcdcdcdcdcdcdcd", "user": "7"}],
        ["1800000000000000008", "again"]]},
    {"stream": {"job": "nightly"}, "values": [["1700000000", "long past"], ["1800000000000000009", "done"]]}]}"#;

fn request() -> Vec<u8> {
    let entry = |nanos, line: &str, metadata: &[(&str, &str)]| push::Entry {
        timestamp: Some(push::Time {
            seconds: if nanos == 0 { 1 } else { NOW / 1_000_000_000 },
            nanos,
        }),
        line: line.to_owned(),
        structured_metadata: metadata
            .iter()
            .map(|(name, value)| push::LabelPair {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
    };
    let metadata = [
        ("trace_id", "0242ac120002abababababababababab"),
        ("span_id", "cdcdcdcdcdcdcdcd"),
        ("user", "7"),
    ];
    let streams = vec![
        push::Stream {
            labels: "{app=\"shop\", level=\"error\"}".to_owned(),
            entries: vec![entry(7, "no money", &metadata), entry(8, "again", &[])],
            hash: 1,
        },
        push::Stream {
            labels: "{job=\"nightly\"}".to_owned(),
            entries: vec![entry(0, "long past", &[]), entry(9, "done", &[])],
            hash: 2,
        },
    ];
    push::PushRequest { streams }.encode_to_vec()
}

#[test]
fn pushed_lines_are_logs_in_either_form() {
    for (form, request) in [(Form::Json, JSON.to_vec()), (Form::Protobuf, request())] {
        let kept = Kept::new(Signal::Logs, Encoding::Loki(form), &request);
        let statement = "SELECT time, service, trace_id, span_id, severity, body, attributes FROM logs ORDER BY time";
        assert_eq!(
            kept.ask(statement),
            "2027-01-15T08:00:00.000000007Z | shop | 0242ac120002abababababababababab | cdcdcdcdcdcdcdcd | 17 | no money | \
             {\"app\":\"shop\",\"level\":\"error\",\"user\":\"7\"}\n\
             2027-01-15T08:00:00.000000008Z | shop | - | - | 17 | again | {\"app\":\"shop\",\"level\":\"error\"}\n\
             2027-01-15T08:00:00.000000009Z | nightly | - | - | 0 | done | {\"job\":\"nightly\"}"
        );
        let place = "streams[1].values[0]".to_owned();
        assert_eq!(kept.rejected.first, Some((Reason::Time, place)));
        check_damaged(Encoding::Loki(form), &request);
    }
}

#[test]
fn what_is_no_push_request_is_malformed() {
    let read = |form, request: &[u8]| {
        let told = Told::default();
        decode(Signal::Logs, Encoding::Loki(form), &told, request, NOW).map(drop)
    };
    for json in [
        "{}",
        r#"{"streams": [{"values": [["1"]]}]}"#,
        r#"{"streams": [{"values": [["x", "line"]]}]}"#,
        r#"{"streams": [{"values": ["line"]}]}"#,
    ] {
        assert!(read(Form::Json, json.as_bytes()).is_err(), "{json}");
    }
    let many: Vec<String> = (0..5000).map(|at| format!("\"l{at}\": \"\"")).collect();
    let many = format!(
        "{{\"streams\": [{{\"stream\": {{{}}}, \"values\": [[\"1\", \"a\"]]}}]}}",
        many.join(",")
    );
    assert!(read(Form::Json, many.as_bytes()).is_err());
    let stream = push::Stream {
        labels: "app=shop".to_owned(),
        ..push::Stream::default()
    };
    let request = push::PushRequest {
        streams: vec![stream],
    };
    assert!(read(Form::Protobuf, &request.encode_to_vec()).is_err());
}
