//! OTLP over HTTP against a receiver on a real socket that refuses, hangs, answers garbage, goes away and comes back.

use super::structs;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::receiver::{self, Answer, Received, Receiver};
use super::records::{batch, mixed_batch, snapshot};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use radiosonde::{
    core::{
        loss::{self, Lost},
        pump::Consumer as _,
    },
    encode::otlp::Signal,
    exporter::{
        DestinationError, ExportError, Exporter,
        otlp::{Compression, Otlp, OtlpConfig},
        runner::{FanOut, Limits},
        spool::SpoolConfig,
    },
    repeat::Thinning,
};

/// Loss counters belong to the process, so the tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn config(url: String, folder: &tempfile::TempDir) -> OtlpConfig {
    OtlpConfig {
        timeout: Duration::from_secs(5),
        spool: SpoolConfig {
            folder: Some(folder.path().to_owned()),
            ..SpoolConfig::default()
        },
        retry_delay: (Duration::from_millis(20), Duration::from_millis(100)),
        ..OtlpConfig::new(url)
    }
}

/// What is told of `batch`: by the export itself where the answer was quick.
fn told(otlp: &mut Otlp, batch: &radiosonde_core::batch::Batch) -> String {
    match otlp.export(batch) {
        Ok(()) => noticed(otlp),
        Err(error) => error.to_string(),
    }
}

/// What the exporter noticed, while waiting for it.
fn noticed(otlp: &mut Otlp) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Err(ExportError::Noticed {
            destination,
            reason,
            ..
        }) = otlp.export(&batch(0..0))
        {
            return format!("{destination}: {reason}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nothing was noticed")
}

#[test]
fn spans_logs_events_and_metrics_arrive_as_they_are_plain_and_compressed() {
    let _turn = turn();
    for compression in [Compression::None, Compression::Gzip] {
        let (receiver, folder) = (Receiver::start(), folder());
        let mut config = OtlpConfig {
            compression,
            ..config(format!("{}/otlp/", receiver.url()), &folder)
        };
        config.headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
        let mut otlp = Otlp::http(&config).unwrap();
        let batch = mixed_batch();
        let snapshot = snapshot();
        otlp.export(&batch).unwrap();
        otlp.export_metrics(&snapshot).unwrap();
        otlp.flush().unwrap();
        let requests = receiver.wait_requests(3);
        assert_eq!(receiver.faults(), [""; 0]);
        for head in receiver.heads() {
            assert!(
                head.contains("x-scope-orgid: tenant") && head.contains("user-agent: radiosonde/"),
                "{head}"
            );
            assert_eq!(
                head.contains("content-encoding: gzip"),
                compression == Compression::Gzip
            );
        }
        let resource = structs::resource(batch.resource());
        let [
            Received::Traces(traces),
            Received::Logs(logs),
            Received::Metrics(metrics),
        ] = &requests[..]
        else {
            panic!("{requests:?}")
        };
        let spans: Vec<_> = batch
            .spans()
            .map(|span| structs::located_span(&resource, &span))
            .collect();
        assert_eq!(structs::flatten_spans(traces.clone()), spans);
        let records: Vec<_> = batch
            .records()
            .filter_map(|record| structs::located_log(&resource, &record))
            .collect();
        assert_eq!(structs::flatten_logs(logs.clone()), records);
        assert_eq!(records.len(), 2);
        assert_eq!(
            structs::flatten_metrics(metrics.clone()),
            structs::metrics(&resource, &snapshot)
        );
    }
}

#[test]
fn each_signal_may_have_its_own_url() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let config = OtlpConfig {
        traces_endpoint: Some(format!("{}/elsewhere/traces", receiver.url())),
        ..config(receiver.url(), &folder)
    };
    let mut otlp = Otlp::http(&config).unwrap();
    otlp.export(&mixed_batch()).unwrap();
    otlp.flush().unwrap();
    let mut paths: Vec<_> = receiver
        .heads()
        .iter()
        .map(|head| head.split(' ').nth(1).unwrap().to_owned())
        .collect();
    // Neither waits for the other.
    paths.sort();
    assert_eq!(paths, ["/elsewhere/traces", "/v1/logs"]);
}

#[test]
fn the_query_of_a_common_endpoint_is_sent_and_is_no_part_of_the_path() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let url = format!("{}/otlp/?key=a/b#part", receiver.url());
    let mut otlp = Otlp::http(&config(url, &folder)).unwrap();
    otlp.export(&batch(0..1)).unwrap();
    otlp.flush().unwrap();
    let heads = receiver.heads();
    assert!(
        heads[0].starts_with("POST /otlp/v1/traces?key=a/b HTTP/1.1"),
        "{}",
        heads[0]
    );
}

#[test]
fn a_collector_that_is_down_then_up_gets_everything_in_order_even_after_a_restart() {
    let _turn = turn();
    let folder = folder();
    let receiver = Receiver::start();
    let address = receiver.address;
    let config = config(receiver.url(), &folder);
    let mut otlp = Otlp::http(&config).unwrap();
    otlp.export(&batch(0..10)).unwrap();
    otlp.flush().unwrap();
    assert_eq!(receiver.span_ids(10), (0..10).collect::<Vec<_>>());
    drop(receiver);
    for id in 1..20 {
        let _ = otlp.export(&batch(10 * id..10 * id + 10));
    }
    let reason = noticed(&mut otlp);
    assert!(
        reason.starts_with(&config.endpoint) && reason.ends_with("will be tried again"),
        "{reason}"
    );
    let failed = otlp.flush().unwrap_err().to_string();
    assert!(failed.ends_with("; 190 records wait"), "{failed}");
    assert_eq!(otlp.waiting().records, 190);
    drop(otlp);
    let mut otlp = Otlp::http(&config).unwrap();
    assert_eq!(otlp.waiting().records, 190);
    let _ = otlp.export(&batch(200..210));
    let receiver = Receiver::start_at(address, None);
    assert_eq!(receiver.span_ids(200), (10..210).collect::<Vec<_>>());
    let _ = otlp.flush();
    assert_eq!((otlp.waiting().records, otlp.waiting().disk_bytes), (0, 0));
    assert_eq!(receiver.taken_ids().len(), 200, "something came twice");
}

#[test]
fn answers_that_ask_for_another_try_get_one_and_retry_after_is_kept() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer([
        Answer::Status(429, "Retry-After: 1\r\n", b"slow down".to_vec()),
        Answer::Status(502, "", vec![]),
        Answer::Status(503, "", vec![0xff; 200_000]),
        Answer::Status(504, "", vec![]),
        Answer::Close,
        Answer::Raw(b"\x00\x01\x02 this is not HTTP\r\n\r\n".to_vec()),
    ]);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    otlp.export(&batch(0..5)).unwrap();
    let _ = otlp.export(&batch(5..10));
    assert_eq!(receiver.span_ids(10), (0..10).collect::<Vec<_>>());
    let attempts = receiver.wait_attempts(8);
    assert_eq!(attempts.len(), 8);
    assert!(attempts[1] - attempts[0] >= Duration::from_secs(1));
}

#[test]
fn a_partial_success_counts_what_was_refused_and_is_not_sent_again() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let partial = ExportTracePartialSuccess {
        rejected_spans: 3,
        error_message: "too old".to_owned(),
    };
    receiver.answer([Answer::Body(
        ExportTraceServiceResponse {
            partial_success: Some(partial),
        }
        .encode_to_vec(),
    )]);
    let before = loss::total(Lost::Rejected);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    let reason = told(&mut otlp, &batch(0..10));
    assert!(
        reason.ends_with("refused 3 of 10 records: too old"),
        "{reason}"
    );
    otlp.export(&batch(10..11)).unwrap();
    otlp.flush().unwrap();
    assert_eq!(receiver.wait_attempts(2).len(), 2);
    assert_eq!(loss::total(Lost::Rejected) - before, 3);
}

#[test]
fn what_is_refused_for_good_is_counted_and_the_next_goes_on() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let status = |message: &str| {
        // google.rpc.Status { code: 3, message }
        [
            &[0x08, 3, 0x12, message.len() as u8][..],
            message.as_bytes(),
        ]
        .concat()
    };
    receiver.answer([
        Answer::Status(400, "", status("bad span")),
        Answer::Status(401, "", b"who are you?".to_vec()),
        Answer::Status(307, "Location: http://127.0.0.1:1/\r\n", vec![]),
        Answer::Status(500, "", vec![0xff; 1_000_000]),
        Answer::Body(b"<html>Please log in</html>".to_vec()),
        // A page longer than what is read of an answer is no collector's either.
        Answer::Body(b"<html>Please log in</html>".repeat(4096)),
    ]);
    let before = loss::total(Lost::Rejected);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    for (index, expected) in [
        "bad span",
        "who are you?",
        "HTTP 307",
        "HTTP 500",
        "is this a collector?",
        "is this a collector?",
    ]
    .iter()
    .enumerate()
    {
        let first = 10 * index as u64;
        let reason = told(&mut otlp, &batch(first..first + 10));
        assert!(
            reason.contains("refused 10 of 10 records") && reason.contains(expected),
            "{reason}"
        );
    }
    otlp.export(&batch(60..61)).unwrap();
    otlp.flush().unwrap();
    assert_eq!(loss::total(Lost::Rejected) - before, 60);
    assert_eq!(receiver.wait_attempts(7).len(), 7);
}

#[test]
fn a_collector_that_hangs_delays_no_export_and_gets_everything_later() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer([Answer::Hang, Answer::Hang]);
    let config = OtlpConfig {
        timeout: Duration::from_millis(400),
        ..config(receiver.url(), &folder)
    };
    let mut otlp = Otlp::http(&config).unwrap();
    otlp.export(&batch(0..1)).unwrap();
    receiver.wait_attempts(1);
    // The request hangs now; a hundred exports pass while it does.
    for id in 1..100 {
        otlp.export(&batch(id..id + 1)).unwrap();
    }
    assert_eq!(receiver.wait_attempts(1).len(), 1);
    assert_eq!(receiver.span_ids(100), (0..100).collect::<Vec<_>>());
}

#[test]
fn an_endpoint_that_is_away_keeps_no_other_waiting_and_is_named() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let down = Receiver::start().url();
    let config = OtlpConfig {
        traces_endpoint: Some(format!("{}/v1/traces", receiver.url())),
        ..config(down.clone(), &folder)
    };
    let mut otlp = Otlp::http(&config).unwrap();
    let condition = otlp.condition().unwrap();
    assert_eq!(condition(), None);
    let mut told = String::new();
    for id in 0..50 {
        let _ = otlp.export_metrics(&snapshot());
        let _ = otlp.export(&batch(id..id + 1));
        if let Err(error) = otlp.flush() {
            told = error.to_string();
        }
    }
    assert_eq!(receiver.span_ids(50), (0..50).collect::<Vec<_>>());
    assert!(
        told.starts_with(&format!("{down}: ")) && !told.contains(&receiver.url()),
        "{told}"
    );
    let condition = condition().unwrap();
    assert!(
        condition.starts_with(&format!("{down} is away for "))
            && condition.contains(" s, 50 records wait: "),
        "{condition}"
    );
}

#[test]
fn a_signal_that_is_refused_for_now_keeps_no_other_waiting_and_is_named() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer([Answer::Status(503, "Retry-After: 60\r\n", b"full".to_vec())]);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    let condition = otlp.condition().unwrap();
    otlp.export_metrics(&snapshot()).unwrap();
    receiver.wait_attempts(1);
    for id in 0..10 {
        // Any of them may be told of the refusal.
        let _ = otlp.export(&batch(id..id + 1));
    }
    assert_eq!(receiver.span_ids(10), (0..10).collect::<Vec<_>>());
    let told = otlp.flush().unwrap_err().to_string();
    assert!(told.ends_with(" records wait"), "{told}");
    let condition = condition().unwrap();
    let named = format!("{} takes no metrics for ", receiver.url());
    assert!(
        condition.starts_with(&named)
            && condition.ends_with(": HTTP 503 Service Unavailable: full"),
        "{condition}"
    );
    assert_eq!(receiver.wait_attempts(11).len(), 11);
}

#[test]
fn what_is_not_chosen_is_not_sent() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let config = OtlpConfig {
        signals: vec![Signal::Logs],
        ..config(receiver.url(), &folder)
    };
    let mut otlp = Otlp::http(&config).unwrap();
    otlp.export(&mixed_batch()).unwrap();
    otlp.export_metrics(&snapshot()).unwrap();
    otlp.flush().unwrap();
    let requests = receiver.wait_requests(1);
    assert!(matches!(requests[..], [Received::Logs(_)]), "{requests:?}");
}

#[test]
fn an_endpoint_that_was_away_and_is_back_is_in_order() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer([Answer::Status(503, "", vec![])]);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    let condition = otlp.condition().unwrap();
    assert!(told(&mut otlp, &batch(0..3)).contains("503"));
    receiver.span_ids(3);
    let _ = otlp.flush();
    assert_eq!(condition(), None);
}

#[test]
fn small_batches_leave_in_few_requests_and_a_flush_sends_the_rest() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    let mut config = config(receiver.url(), &folder);
    config.batching.records = 100;
    config.batching.delay = Duration::from_hours(1);
    let otlp: Box<dyn Exporter> = Box::new(Otlp::http(&config).unwrap());
    let mut fan_out = FanOut::start(vec![(otlp, Limits::default())], Thinning::default()).unwrap();
    for id in 0..100 {
        fan_out.consume(&Arc::new(batch(id..id + 1)));
    }
    receiver.span_ids(100);
    for id in 100..150 {
        fan_out.consume(&Arc::new(batch(id..id + 1)));
    }
    assert!(fan_out.flush(Instant::now() + Duration::from_secs(20)));
    assert_eq!(receiver.span_ids(150), (0..150).collect::<Vec<_>>());
    assert_eq!(receiver.wait_attempts(2).len(), 2);
}

#[test]
fn everything_that_was_refused_is_told() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer(std::iter::repeat_n(Answer::Status(500, "", vec![]), 20));
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    let mut refused = 0;
    let mut heard = |told: Result<(), ExportError>| {
        if let Err(ExportError::Noticed { counted, .. }) = told {
            assert!(counted.iter().all(|(lost, _)| *lost == Lost::Rejected));
            refused += counted.iter().map(|(_, records)| records).sum::<u64>();
        }
    };
    for id in 0..20 {
        heard(otlp.export(&batch(10 * id..10 * id + 10)));
    }
    receiver.wait_attempts(20);
    otlp.flush().unwrap();
    heard(otlp.export(&batch(0..0)));
    assert_eq!(refused, 200);
}

/// Everything in a folder, as another process would find it if this one ended now.
fn copied(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Records ten spans for a destination that hangs, and ends as a pump does.
fn end_while_it_hangs(config: &OtlpConfig, receiver: &Receiver) {
    receiver.answer([Answer::Hang]);
    let otlp: Box<dyn Exporter> = Box::new(Otlp::http(config).unwrap());
    let mut fan_out = FanOut::start(vec![(otlp, Limits::default())], Thinning::default()).unwrap();
    fan_out.consume(&Arc::new(batch(0..5)));
    receiver.wait_attempts(1);
    fan_out.consume(&Arc::new(batch(5..10)));
    let started = Instant::now();
    assert!(!fan_out.flush(started + Duration::from_secs(1)));
    drop(fan_out);
    assert!(
        started.elapsed() < config.timeout,
        "the request was waited for"
    );
}

#[test]
fn what_a_collector_hangs_on_is_in_the_spool_when_recording_has_ended() {
    let _turn = turn();
    let (receiver, folder, next) = (Receiver::start(), folder(), folder());
    let mut config = OtlpConfig {
        timeout: Duration::from_secs(60),
        ..config(receiver.url(), &folder)
    };
    let before = loss::total(Lost::ShutdownDeadline);
    end_while_it_hangs(&config, &receiver);
    copied(folder.path(), next.path());
    assert_eq!(loss::total(Lost::ShutdownDeadline) - before, 0);
    config.spool.folder = Some(next.path().to_owned());
    let _otlp = Otlp::http(&config).unwrap();
    assert_eq!(receiver.span_ids(10), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_a_collector_hangs_on_and_no_spool_takes_is_counted_when_recording_has_ended() {
    let _turn = turn();
    let receiver = Receiver::start();
    let config = OtlpConfig {
        timeout: Duration::from_secs(60),
        spool: SpoolConfig::in_memory(),
        ..OtlpConfig::new(receiver.url())
    };
    let before = loss::total(Lost::ShutdownDeadline);
    end_while_it_hangs(&config, &receiver);
    assert_eq!(loss::total(Lost::ShutdownDeadline) - before, 10);
}

#[test]
fn a_flush_does_not_shorten_a_wait_that_the_collector_asked_for() {
    let _turn = turn();
    let (receiver, folder) = (Receiver::start(), folder());
    receiver.answer([Answer::Status(429, "Retry-After: 2\r\n", vec![])]);
    let mut otlp = Otlp::http(&config(receiver.url(), &folder)).unwrap();
    let reason = told(&mut otlp, &batch(0..5));
    assert!(reason.contains("429"), "{reason}");
    // Returns at once: nothing can be delivered by then.
    let early = otlp.flush_by(Instant::now() + Duration::from_millis(200));
    assert!(early.unwrap_err().to_string().ends_with("; 5 records wait"));
    // And this one waits for as long as was asked.
    otlp.flush().unwrap();
    let attempts = receiver.wait_attempts(2);
    assert!(attempts[1] - attempts[0] >= Duration::from_secs(2));
}

#[test]
fn a_spool_that_is_full_drops_the_oldest_and_counts_it() {
    let _turn = turn();
    let folder = folder();
    let receiver = Receiver::start();
    let address = receiver.address;
    let mut config = config(receiver.url(), &folder);
    drop(receiver);
    config.spool.bytes_max = 16 * 1024;
    let before = loss::total(Lost::SpoolFull);
    let mut otlp = Otlp::http(&config).unwrap();
    for id in 0..200 {
        // Which of the two faults is told first, the refused connection or the full spool, is a matter of time.
        let _ = otlp.export(&batch(id..id + 1));
    }
    let _ = otlp.flush();
    let dropped = loss::total(Lost::SpoolFull) - before;
    assert!(
        otlp.waiting().disk_bytes <= 16 * 1024,
        "{:?}",
        otlp.waiting()
    );
    assert_eq!(otlp.waiting().records, 200 - dropped);
    assert!(dropped > 0);
    let receiver = Receiver::start_at(address, None);
    let ids = receiver.span_ids(200 - dropped as usize);
    assert_eq!(ids, (dropped as i64..200).collect::<Vec<_>>());
}

#[test]
fn without_a_spool_the_end_counts_what_could_not_be_sent() {
    let _turn = turn();
    let receiver = Receiver::start();
    let config = OtlpConfig {
        spool: SpoolConfig::in_memory(),
        retry_delay: (Duration::from_millis(20), Duration::from_millis(100)),
        ..OtlpConfig::new(receiver.url())
    };
    drop(receiver);
    let before = loss::total(Lost::ShutdownDeadline);
    let mut otlp = Otlp::http(&config).unwrap();
    let _ = otlp.export(&batch(0..7));
    assert!(otlp.flush().is_err());
    drop(otlp);
    assert_eq!(loss::total(Lost::ShutdownDeadline) - before, 7);
}

/// A certificate authority and a server certificate for 127.0.0.1.
struct Authority {
    ca_pem: String,
    server: rustls::ServerConfig,
}

fn authority() -> Authority {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Authority { ca_pem, server }
}

#[test]
fn tls_trusts_the_named_authority_and_no_other() {
    let _turn = turn();
    let folder = folder();
    let Authority { ca_pem, server } = authority();
    let server = Arc::new(server);
    let wrap: receiver::Wrap = Arc::new(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    });
    let receiver = Receiver::start_at("127.0.0.1:0".parse().unwrap(), Some(wrap));
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca_pem).unwrap();
    let stranger = OtlpConfig {
        require_tls: true,
        ..config(format!("https://{}", receiver.address), &folder)
    };
    let mut otlp = Otlp::http(&stranger).unwrap();
    let reason = told(&mut otlp, &batch(0..3));
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    assert_eq!(receiver.taken_ids().len(), 0);
    drop(otlp);
    let mut otlp = Otlp::http(&OtlpConfig {
        ca_certificate: Some(ca_file),
        ..stranger.clone()
    })
    .unwrap();
    otlp.flush().unwrap();
    assert_eq!(receiver.span_ids(3), [0, 1, 2]);
    let missing = OtlpConfig {
        ca_certificate: Some("/nowhere/ca.pem".into()),
        ..stranger.clone()
    };
    let error = Otlp::http(&missing).unwrap_err();
    assert!(
        matches!(error, DestinationError::Certificate { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with("certificate /nowhere/ca.pem: No such file"),
        "{error}"
    );
}
