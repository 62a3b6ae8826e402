//! Receivers that are busy, wrong or gone: what may be sent again is, and what may not is counted.

use std::time::Duration;

use radiosonde::{
    core::loss::Lost,
    exporter::{
        ExportError, Exporter as _,
        backend::{Backend, Connection},
        grafana_cloud,
        remote_write::{RemoteWriteConfig, Version, open},
    },
};

use crate::{
    receiver::{Answer, Receiver, Taken},
    records::{SECOND_NS, counter, gauge, now_ns, snapshot},
};

fn config(receiver: &Receiver, version: Version) -> RemoteWriteConfig {
    let mut config = RemoteWriteConfig::new(receiver.url());
    config.version = version;
    config.connection.retry_delay = (Duration::from_millis(1), Duration::from_millis(5));
    config
}

/// Sends two snapshots with three samples each.
fn send(backend: &mut Backend) {
    let now = now_ns();
    for time in [now - SECOND_NS, now] {
        let metrics = vec![counter(1, vec![]), gauge(0.5)];
        // What went wrong with the one before may be told here.
        let _ = backend.export_metrics(&snapshot(time, metrics));
    }
}

/// What was lost, as the exporter tells it once everything is settled.
fn lost(backend: &mut Backend) -> (u64, String) {
    let mut told = (0, String::new());
    for _ in 0..2000 {
        if let Err(error) = backend.flush() {
            add(&mut told, &error);
        }
        if backend.waiting().records == 0 {
            break;
        }
    }
    assert_eq!(backend.waiting().records, 0);
    if let Err(error) = backend.close() {
        add(&mut told, &error);
    }
    told
}

fn add((lost, text): &mut (u64, String), error: &ExportError) {
    let ExportError::Noticed {
        counted, reason, ..
    } = error
    else {
        panic!("{error}")
    };
    for (why, records) in counted {
        assert_eq!(*why, Lost::Rejected);
        *lost += records;
    }
    *text = format!("{text} {reason}");
}

#[test]
fn what_may_be_sent_again_arrives_once_and_whole() {
    for bytes in [
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
        "\u{7}\u{0}garbage that is no HTTP\r\n\r\n",
        "",
        "HTTP/1.1 50",
    ] {
        for version in [Version::Auto, Version::V1, Version::V2] {
            let receiver = Receiver::start([Answer::Raw(bytes), Answer::Raw(bytes)]);
            let mut backend = open(&config(&receiver, version)).unwrap();
            send(&mut backend);
            let (lost, told) = lost_and_sent(&mut backend, &receiver);
            assert_eq!(lost, 0, "{bytes} {version:?}: {told}");
        }
    }
}

/// Waits for both requests without a flush, so that waits that were asked for are kept.
fn lost_and_sent(backend: &mut Backend, receiver: &Receiver) -> (u64, String) {
    let taken = receiver.wait_taken(2);
    for taken in taken {
        let series = match taken {
            Taken::First(request) => request.timeseries.len(),
            Taken::Second(request) => request.timeseries.len(),
        };
        assert_eq!(series, 3);
    }
    lost(backend)
}

#[test]
fn what_is_refused_is_not_sent_again_and_counted() {
    for (bytes, words) in [
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nwrong",
            "HTTP 400 Bad Request: wrong",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "HTTP 401",
        ),
        (
            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
            "HTTP 408",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n",
            "HTTP 302",
        ),
    ] {
        for version in [Version::V1, Version::V2] {
            let receiver = Receiver::start([Answer::Raw(bytes)]);
            let mut backend = open(&config(&receiver, version)).unwrap();
            send(&mut backend);
            receiver.wait_taken(1);
            let (lost, told) = lost(&mut backend);
            assert!(
                lost == 3 && told.contains(words),
                "{bytes} {version:?}: {lost} {told}"
            );
            assert_eq!(receiver.heads().len(), 2);
        }
    }
}

#[test]
fn a_web_page_is_no_receiver_whatever_its_status() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n<html>Log in</html";
    let receiver = Receiver::start([Answer::Raw(page), Answer::Raw(page)]);
    let mut backend = open(&config(&receiver, Version::Auto)).unwrap();
    send(&mut backend);
    receiver.wait_taken(1);
    let (lost, told) = lost(&mut backend);
    assert!(
        lost == 3 && told.contains("this is a web page"),
        "{lost} {told}"
    );
}

#[test]
fn of_what_is_written_in_part_the_rest_is_counted() {
    for (bytes, wanted) in [
        (
            "HTTP/1.1 400 Bad Request\r\nX-Prometheus-Remote-Write-Samples-Written: 2\r\nX-Prometheus-Remote-Write-Histograms-Written: 0\r\nContent-Length: 12\r\n\r\nout of order",
            (1, "out of order"),
        ),
        (
            "HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 1\r\n\r\n",
            (2, "it has written 1 of 3 samples"),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", (3, "say version 1")),
        // More than there were is no less than all.
        (
            "HTTP/1.1 204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 99\r\n\r\n",
            (0, ""),
        ),
        // A status that came is an answer, though its body breaks off.
        (
            "HTTP/1.1 200 OK\r\nX-Prometheus-Remote-Write-Samples-Written: 3\r\nContent-Length: 900\r\n\r\ncut",
            (0, ""),
        ),
    ] {
        let receiver = Receiver::start([Answer::Raw(bytes)]);
        let mut backend = open(&config(&receiver, Version::V2)).unwrap();
        send(&mut backend);
        receiver.wait_taken(1);
        let (lost, told) = lost(&mut backend);
        assert!(
            lost == wanted.0 && told.contains(wanted.1),
            "{bytes}: {lost} {told}"
        );
        assert_eq!(receiver.heads().len(), 2);
    }
}

#[test]
fn what_waits_on_disk_is_sent_by_a_program_that_speaks_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([const { Answer::Raw("") }; 4]);
    let mut first = config(&receiver, Version::V2);
    first.connection.spool.folder = Some(folder.path().to_owned());
    first.connection.retry_delay = (Duration::from_hours(1), Duration::from_hours(1));
    let mut backend = open(&first).unwrap();
    send(&mut backend);
    let _ = backend.flush();
    drop(backend);
    let next = RemoteWriteConfig {
        version: Version::V1,
        ..first
    };
    let mut next = open(&RemoteWriteConfig {
        connection: Connection {
            retry_delay: (Duration::from_millis(1), Duration::from_millis(5)),
            ..next.connection
        },
        ..next
    })
    .unwrap();
    let _ = next.flush();
    let taken = receiver.wait_taken(2);
    assert!(
        taken.iter().all(|taken| matches!(taken, Taken::First(_))),
        "{taken:?}"
    );
}

#[test]
fn grafana_cloud_is_asked_as_the_instance_with_its_token() {
    let receiver = Receiver::start([]);
    let mut config = grafana_cloud::remote_write("prod-01-eu-west-0", "4711", "token");
    // Its path and headers, at a receiver made for tests.
    let path = config
        .connection
        .endpoint
        .split_once(".net")
        .unwrap()
        .1
        .to_owned();
    config.connection.endpoint = receiver.url() + &path;
    config.connection.require_tls = false;
    for version in [Version::V1, Version::V2] {
        config.version = version;
        let mut backend = open(&config).unwrap();
        backend
            .export_metrics(&snapshot(
                now_ns() + SECOND_NS * version as u64,
                vec![gauge(0.5)],
            ))
            .unwrap();
        backend.flush().unwrap();
    }
    receiver.wait_taken(2);
    for head in receiver.heads() {
        assert!(head.starts_with("POST /api/prom/push HTTP/1.1\n"), "{head}");
        assert!(
            head.to_ascii_lowercase()
                .contains("authorization: basic ndcxmtp0b2tlbg==\n"),
            "{head}"
        );
    }
}
