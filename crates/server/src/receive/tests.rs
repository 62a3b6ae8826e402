use std::{net::Ipv4Addr, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use radiosonde_store::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;

const SPANS: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
    {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","startTimeUnixNano":"NOW",
     "events":[{"name":"a"},{"name":"b"}]},
    {"traceId":"5b8efff798038103d269b633813fc60c"},
    {"spanId":"eee19b7ec3c1b174"}
]}]}]}"#;

fn spans() -> Vec<u8> {
    SPANS
        .replace("NOW", &now_unix_ns().to_string())
        .into_bytes()
}

fn intake(limits: Limits) -> (Arc<Intake>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(Config::new(folder.path())).unwrap());
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let intake = Intake::with_limits(store, address(4318), address(4317), limits);
    (Arc::new(intake), folder)
}

fn sender() -> Sender {
    Sender {
        peer: "127.0.0.1".to_owned(),
        protocol: "http/json",
        signal: "traces",
        client: String::new(),
    }
}

fn payload(intake: &Intake, request: Vec<u8>) -> Payload {
    Payload {
        signal: Signal::Traces,
        encoding: Encoding::Json,
        compression: Compression::Identity,
        whole: Whole {
            bytes: request.into(),
            share: intake.share(),
        },
        told: Told::default(),
    }
}

/// Serves the receiver of OTLP over HTTP.
async fn serve(intake: &Arc<Intake>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = otlp_http(Arc::clone(intake)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_who_sent_what_and_what_was_refused() {
    let (intake, _folder) = intake(Limits::default());
    let address = serve(&intake).await;
    let sent = move || {
        let post = |content_type: &str, body: &[u8]| {
            let request = ureq::post(format!("http://{address}/v1/traces"))
                .header("content-type", content_type)
                .header("user-agent", "a-test/1.0");
            request.send(body).map(drop)
        };
        post("application/json", &spans()).unwrap();
        post("application/json", &spans()).unwrap();
        post("application/json", b"{").unwrap_err();
        post("text/plain", b"").unwrap_err();
    };
    spawn_blocking(sent).await.unwrap();
    let doctor = intake.doctor();
    let senders = doctor.senders.iter().map(|entry| {
        let sender = &entry.sender;
        (
            &*sender.peer,
            sender.protocol,
            sender.signal,
            &*sender.client,
            entry.accepted,
            entry.refused,
        )
    });
    let mut senders: Vec<_> = senders.collect();
    senders.sort_unstable();
    assert_eq!(
        senders,
        [
            ("127.0.0.1", "http", "traces", "a-test/1.0", 0, 1),
            ("127.0.0.1", "http/json", "traces", "a-test/1.0", 2, 5),
        ]
    );
    let refusals: Vec<_> = doctor
        .refusals
        .iter()
        .map(|entry| (&*entry.reason, entry.count))
        .collect();
    assert_eq!(
        refusals,
        [
            (
                "the content type is missing or is not one that is taken here",
                1
            ),
            ("the request cannot be read", 1),
            ("its span id is missing, all zero, or not 8 bytes", 4),
        ]
    );
    let expected = Received {
        spans: 2,
        logs: 4,
        points: 0,
        samples: 0,
        refused: 6,
    };
    assert_eq!(intake.received(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_learns_what_came() {
    let (intake, _folder) = intake(Limits::default());
    let mut watch = intake.subscribe();
    watch.mark_unchanged();
    // What holds nothing is no news.
    intake
        .take(&sender(), payload(&intake, b"{}".to_vec()))
        .await
        .unwrap();
    assert!(!watch.has_changed().unwrap());
    intake
        .take(&sender(), payload(&intake, spans()))
        .await
        .unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(watch.borrow_and_update().spans, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_their_turn_but_not_for_ever() {
    let (intake, _folder) = intake(Limits {
        requests_max: 1,
        patience: Duration::from_millis(20),
        ..Limits::default()
    });
    let place = Arc::clone(&intake.places).acquire_owned().await.unwrap();
    let refused = intake
        .take(&sender(), payload(&intake, spans()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.http_status().as_u16(), refused.grpc_code()),
        (503, 14)
    );
    drop(place);
    assert!(
        intake
            .take(&sender(), payload(&intake, spans()))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_share_one_memory_and_give_it_back() {
    let (intake, _folder) = intake(Limits {
        bytes_max: 1000,
        body_bytes_max: 800,
        patience: Duration::from_millis(20),
        ..Limits::default()
    });
    let read = |pieces: usize| {
        let pieces = (0..pieces).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 100])));
        let mut body = Body::from_stream(stream::iter(pieces));
        let intake = Arc::clone(&intake);
        async move { body::read(&mut body, intake.share(), &intake.limits).await }
    };
    let first = read(6).await.unwrap();
    assert_eq!(first.bytes.len(), 600);
    assert_eq!(read(6).await.unwrap_err().http_status().as_u16(), 503);
    drop(first);
    assert_eq!(read(8).await.unwrap().bytes.len(), 800);
    assert_eq!(read(9).await.unwrap_err().http_status().as_u16(), 413);
    assert_eq!(intake.memory.available_permits(), 1000);
}

/// A target that answers whoever asks with these samples.
fn target(samples: usize) -> Arc<scrape::Target> {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let lines = (0..samples).map(|number| format!("a_sample{{number=\"{number}\"}} 1\n"));
    let body: String = lines.collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            // Who asked may have heard enough.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    Arc::new(format!("http://{address}/?token=abc").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_targets_are_of_the_same_memory_and_give_it_back() {
    let (intake, _folder) = intake(Limits {
        bytes_max: 100_000,
        patience: Duration::from_millis(20),
        ..Limits::default()
    });
    scrape::once(&intake, &target(1000)).await;
    scrape::once(&intake, &target(10_000)).await;
    let scrapes = intake.doctor().scrapes;
    let mut said: Vec<_> = scrapes
        .iter()
        .map(|scrape| (scrape.is_up, scrape.error.as_str()))
        .collect();
    said.sort_unstable();
    assert!(
        said[0].1.contains("more requests come than can be read"),
        "{said:?}"
    );
    assert_eq!(said[1], (true, ""));
    assert_eq!(intake.memory.available_permits(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_too_many_samples_is_refused_whole() {
    let (intake, _folder) = intake(Limits::default());
    scrape::once(&intake, &target(50_000)).await;
    scrape::once(&intake, &target(50_001)).await;
    let scrapes = intake.doctor().scrapes;
    assert_eq!(scrapes.iter().filter(|scrape| scrape.is_up).count(), 1);
    let down = scrapes.iter().find(|scrape| !scrape.is_up).unwrap();
    assert_eq!(
        down.error,
        "the answer has more than 50000 samples; let the target show fewer series"
    );
    assert!(down.url.ends_with("/metrics?token=[redacted]"));
    // The samples of the first, and three readings of how it went.
    assert_eq!(intake.received().points, 50_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn decompressed_bytes_are_of_the_same_memory() {
    let (intake, _folder) = intake(Limits {
        bytes_max: 300_000,
        patience: Duration::from_millis(20),
        ..Limits::default()
    });
    let zeros = |bytes: usize| zstd::encode_all(&*vec![0; bytes], 1).unwrap();
    let take = |bytes| {
        let payload = Payload {
            compression: Compression::Zstd,
            ..payload(&intake, zeros(bytes))
        };
        let intake = Arc::clone(&intake);
        async move {
            intake
                .take(&sender(), payload)
                .await
                .unwrap_err()
                .http_status()
                .as_u16()
        }
    };
    // Zeros are not JSON; what is too much for the memory is not even read.
    assert_eq!(take(100_000).await, 400);
    assert_eq!(take(1_000_000).await, 503);
    assert_eq!(intake.memory.available_permits(), 300_000);
}
