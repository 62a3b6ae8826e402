//! StatsD over a real socket.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use radiosonde_server::{Server, StartError};

use super::server::Running;

#[test]
fn datagrams_are_kept_and_those_that_are_none_are_said() {
    let running = Running::start_with(|config| {
        config.statsd = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    });
    let address = running.server.addresses().statsd.unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .send_to(
            b"jobs:2|c|#service:shop\njobs:3|c|#service:shop\nnonsense",
            address,
        )
        .unwrap();
    // Rows are made every ten seconds.
    let began = Instant::now();
    let jobs = "SELECT service, kind, value FROM points WHERE name = 'jobs'";
    while running.ask(jobs).is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "no rows were made"
        );
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(running.ask(jobs), "shop | counter | 5.0");
    let doctor = format!("http://{}/api/v1/doctor", running.server.addresses().page);
    let text = ureq::get(&doctor)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let doctor: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sender = &doctor["senders"][0];
    assert_eq!(
        (&sender["protocol"], &sender["accepted"], &sender["refused"]),
        (&"statsd".into(), &2.into(), &1.into())
    );
    assert_eq!(
        doctor["refusals"][0]["reason"],
        "a line is no metric of StatsD"
    );
}

/// Datagrams show no token, so no token opens the port to others.
#[test]
fn datagrams_are_received_on_this_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = radiosonde_server::Config::new(folder.path());
    config.statsd = Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    config.token =
        Some(radiosonde_server::access::Token::new("0123456789abcdef0123456789abcdef").unwrap());
    assert!(matches!(
        Server::start(config),
        Err(StartError::OpenDatagrams(_))
    ));
}
