//! Messages as they are on the wire, before receivers of our own that go away.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    time::Duration,
};

use radiosonde::{
    core::{ValueRef, batch::Batch},
    exporter::{
        Exporter as _,
        spool::SpoolConfig,
        syslog::{self, Facility, SyslogConfig},
    },
};

use crate::records::{Evicted, deliver, export, logs, parts, resource, span};

pub fn config(endpoint: impl Into<String>) -> SyslogConfig {
    SyslogConfig {
        spool: SpoolConfig::in_memory(),
        retry_delay: (Duration::from_millis(5), Duration::from_millis(20)),
        timeout: Duration::from_secs(5),
        ..SyslogConfig::new(endpoint)
    }
}

/// One message of a stream, as RFC 6587 counts it; none at its end.
fn message(stream: &mut TcpStream) -> Option<String> {
    let mut length = String::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            assert_eq!(length, "", "ends within a length");
            return None;
        }
        if byte == *b" " {
            break;
        }
        length.push(char::from(byte[0]));
    }
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).unwrap();
    Some(String::from_utf8(message).unwrap())
}

/// The text of a message, behind the byte order mark.
fn text(message: &str) -> String {
    message.split_once('\u{feff}').unwrap().1.to_owned()
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream
}

#[test]
fn each_record_is_a_datagram_of_rfc_5424() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut config = config(format!("udp://{}", receiver.local_addr().unwrap()));
    config.facility = Facility::named("local3").unwrap();
    config.spans = true;
    let mut exporter = syslog::start(&config).unwrap();
    let mut batch = logs(&["Füße\nfrieren", ""]);
    let event = Evicted {
        bytes: 5,
        why: "room",
    };
    batch.push_event(&event, None, &radiosonde::core::batch::Parts::default());
    let failed = [
        ("otel.status_code", ValueRef::Str("ERROR")),
        ("otel.status_message", ValueRef::Str("out of memory")),
    ];
    batch.push_span(span(), &parts(&failed), 1_767_225_599_124_956_789);
    export(&mut exporter, &batch);
    deliver(&mut exporter);
    let mut all: Vec<String> = (0..4)
        .map(|_| {
            let mut bytes = [0; 4096];
            let length = receiver.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        })
        .collect();
    all.sort();
    let header = "box my_engine 42";
    let trace =
        "[otel@32473 trace_id=\"00000000000000010000000000000002\" span_id=\"0000000000000003\"]";
    let attributes = r#"[attributes@32473 quoted="a \"b\" \\c\]" token="[redacted\]"]"#;
    let log =
        format!("<155>1 2025-12-31T23:59:59.123456Z {header} engine::decode {trace}{attributes}");
    let expected = [
        log.clone(),
        format!("{log} \u{feff}Füße\nfrieren"),
        format!(
            "<155>1 2025-12-31T23:59:59.124956Z {header} span {trace} \u{feff}decode took 1.5 ms failed: out of memory"
        ),
        format!(
            "<156>1 1970-01-01T00:00:00.000000Z {header} test.evicted [attributes@32473 bytes=\"5\" why=\"room\"] \u{feff}Evicted"
        ),
    ];
    assert_eq!(all, expected);
}

#[test]
fn a_long_message_is_cut_between_letters_and_attributes_without_room_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let mut config = config(format!("unix://{}", path.display()));
    config.message_bytes_max = Some(1024);
    let mut exporter = syslog::start(&config).unwrap();
    let long = "ü".repeat(2000);
    let mut batch = Batch::new(resource());
    let attributes = [
        ("message", ValueRef::Str(&long)),
        ("small", ValueRef::U64(1)),
        ("large", ValueRef::Str(&long)),
    ];
    batch.push_log(crate::records::log(), None, &parts(&attributes));
    export(&mut exporter, &batch);
    deliver(&mut exporter);
    let mut bytes = [0; 4096];
    let length = receiver.recv(&mut bytes).unwrap();
    assert!((1023..=1024).contains(&length), "{length}");
    let read = std::str::from_utf8(&bytes[..length]).unwrap();
    assert!(
        read.contains(r#"[attributes@32473 small="1" attributes_left_out="1"] "#),
        "{read}"
    );
    assert!(read.ends_with("üüü"), "{read}");
}

#[test]
fn a_receiver_that_comes_late_and_goes_away_for_a_while_gets_everything_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut exporter = syslog::start(&config(format!("tcp://{address}"))).unwrap();
    let condition = exporter.condition().unwrap();
    export(&mut exporter, &logs(&["one", "two"]));
    let error = exporter.flush().unwrap_err().to_string();
    assert!(error.contains("2 records wait"), "{error}");
    assert!(condition().is_some());
    let listener = TcpListener::bind(address).unwrap();
    deliver(&mut exporter);
    assert_eq!(condition(), None);
    let mut stream = accept(&listener);
    assert_eq!(text(&message(&mut stream).unwrap()), "one");
    assert_eq!(text(&message(&mut stream).unwrap()), "two");
    // It ends in order, having read everything, and is away for a while.
    drop((stream, listener));
    export(&mut exporter, &logs(&["three"]));
    assert!(exporter.flush().is_err());
    let listener = TcpListener::bind(address).unwrap();
    deliver(&mut exporter);
    let mut stream = accept(&listener);
    assert_eq!(text(&message(&mut stream).unwrap()), "three");
    drop(exporter);
    assert_eq!(message(&mut stream), None);
}

#[test]
fn what_a_receiver_had_not_read_when_it_broke_off_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let mut exporter = syslog::start(&config(endpoint)).unwrap();
    export(&mut exporter, &logs(&["one", "two"]));
    deliver(&mut exporter);
    let mut stream = accept(&listener);
    assert_eq!(text(&message(&mut stream).unwrap()), "one");
    // In the middle of a message: the system resets a connection that closes with bytes unread.
    let mut half = [0; 20];
    stream.read_exact(&mut half).unwrap();
    drop(stream);
    export(&mut exporter, &logs(&["three"]));
    deliver(&mut exporter);
    let mut stream = accept(&listener);
    let read: Vec<String> = (0..3)
        .map(|_| text(&message(&mut stream).unwrap()))
        .collect();
    assert_eq!(read, ["one", "two", "three"]);
}

#[test]
fn a_place_that_is_none_is_told_at_the_start() {
    let told = |endpoint: &str| match syslog::start(&config(endpoint)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{endpoint} is none"),
    };
    assert!(told("localhost").contains("udp://, tcp://, tls://"));
    assert!(told("http://localhost").contains("only udp://"));
    assert!(told("tcp://").contains("names no host"));
    assert!(told("udp://host:99999").contains("port"));
    assert!(told("unix://dev/log").contains("absolute path"));
    assert!(told("tls://host").contains("certificate"));
}
