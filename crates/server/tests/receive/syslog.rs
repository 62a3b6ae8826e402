//! Syslog over real sockets.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use radiosonde_server::{Server, StartError};

use super::server::Running;

/// Longest wait for what is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn listening() -> (Running, SocketAddr) {
    let running = Running::start_with(|config| {
        config.syslog = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    });
    let address = running.server.addresses().syslog.unwrap();
    (running, address)
}

/// Asks until there are so many logs.
pub fn wait_for(running: &Running, logs: usize) {
    let began = Instant::now();
    while running.ask("SELECT count(*) FROM logs") != logs.to_string() {
        assert!(
            began.elapsed() < PATIENCE,
            "only these came: {}",
            running.ask("SELECT service, body FROM logs")
        );
        thread::sleep(Duration::from_millis(50));
    }
}

fn refusals(running: &Running) -> serde_json::Value {
    let doctor = format!("http://{}/api/v1/doctor", running.server.addresses().page);
    let mut answer = ureq::get(&doctor).call().unwrap();
    let doctor: serde_json::Value =
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    doctor["refusals"].clone()
}

#[test]
fn datagrams_lines_and_counted_messages_are_logs() {
    let (running, address) = listening();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .send_to(
            b"<11>1 - box udp - - [o trace_id=\"0242ac120002abababababababababab\"] one",
            address,
        )
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    // In pieces, and without an end of the last line.
    for piece in [
        "<14>1 - - lines - ",
        "- - two\n34 <14>1 - - counted - -",
        " - three\nfour5 <1>a\n<14>1 - - last - - - five",
    ] {
        stream.write_all(piece.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    drop(stream);
    wait_for(&running, 5);
    assert_eq!(
        running.ask("SELECT service, severity, body, trace_id FROM logs ORDER BY service, body"),
        "counted | 9 | three\nfour | -\nlast | 9 | five | -\nlines | 9 | two | -\nsyslog | 19 | a | -\n\
         udp | 17 | one | 0242ac120002abababababababababab"
    );
}

#[test]
fn what_is_no_message_is_said_and_the_others_are_kept() {
    let (running, address) = listening();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"nonsense\n<14>1 - - app - - - kept\n99999999 x")
        .unwrap();
    wait_for(&running, 1);
    let began = Instant::now();
    while refusals(&running).as_array().unwrap().len() < 2 {
        assert!(began.elapsed() < PATIENCE, "{}", refusals(&running));
        thread::sleep(Duration::from_millis(50));
    }
    let text = refusals(&running).to_string();
    assert!(
        text.contains("a message does not begin as syslog's do"),
        "{text}"
    );
    assert!(
        text.contains("where a message of syslog ends cannot be told"),
        "{text}"
    );
    assert!(text.contains("\"protocol\":\"syslog/tcp\""), "{text}");
}

/// Messages show no token, so no token opens the port to others.
#[test]
fn syslog_is_received_on_this_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = radiosonde_server::Config::new(folder.path());
    config.syslog = Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    assert!(matches!(
        Server::start(config),
        Err(StartError::OpenSyslog(_))
    ));
}
