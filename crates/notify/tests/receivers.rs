//! Messages to a mail server and a webhook that are written here by their standards: no real one runs on a test machine.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use radiosonde_answers::alerts::{
    Alert, Phase, Severity, payload,
    routing::{Notification, Notified, Outcome, Reason, Receiver},
};
use radiosonde_notify::{Messenger, file::AlertFile};

/// RFC 5321: takes one mail, and gives what it was told.
fn strict_mail_server(last: &'static str) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut out: TcpStream = stream.try_clone().unwrap();
        let mut say = move |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut told = Vec::new();
        let mut in_data = false;
        say("220 here");
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let answer = match line.split([' ', ':']).next().unwrap() {
                _ if in_data && line == "." => {
                    in_data = false;
                    last
                }
                _ if in_data => "",
                "EHLO" => "250 here",
                "MAIL" | "RCPT" => "250 ok",
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "500 what?",
            };
            told.push(line);
            if !answer.is_empty() {
                say(answer);
            }
            if answer.starts_with("221") {
                break;
            }
        }
        told
    });
    (address, thread)
}

fn receiver(text: &str) -> Receiver {
    let text = format!("defaults = false\n[route]\nreceiver = \"r\"\n[receivers.r]\n{text}");
    let file = AlertFile::parse(&text).unwrap();
    file.plan.receiver("r").unwrap().clone()
}

fn notification() -> Notification {
    let labels = [("alertname", "queue_is_long"), ("severity", "error")];
    let texts = [
        ("summary", "25 wait in \u{201c}orders\u{201d}"),
        ("action", "Add a worker."),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let alert = Alert {
        labels: labels.map(own).into(),
        annotations: texts.map(own).into(),
        severity: Severity::Error,
        phase: Phase::Firing,
        value: Some(25.0),
        started_unix_ns: 1,
        fired_unix_ns: Some(1),
        resolved_unix_ns: None,
    };
    Notification {
        id: 1,
        time_unix_ns: 1_795_824_000_000_000_000,
        receiver: "r".to_owned(),
        group_key: "{}:{}".to_owned(),
        group_labels: alert.labels.clone(),
        reason: Reason::New,
        status: Phase::Firing,
        alerts: vec![Notified {
            alert,
            is_news: true,
            firings: 1,
            firings_over_ns: 0,
        }],
        left_out: 0,
        firing: 1,
        resolved: 0,
        hidden: 0,
        repeat_unix_ns: 0,
    }
}

fn send(receiver: &Receiver) -> Outcome {
    let message = payload::message(receiver, &notification(), "");
    Messenger::new(None).unwrap().send(receiver, &message)
}

fn mail_receiver(address: &str) -> Receiver {
    receiver(&format!(
        "kind = \"email\"\nto = [\"team@example.com\"]\nfrom = \"sonde@example.com\"\nserver = \"{address}\"\nencryption = \"none\""
    ))
}

#[test]
fn a_mail_is_taken_by_a_server() {
    let (address, server) = strict_mail_server("250 taken");
    assert_eq!(send(&mail_receiver(&address)), Outcome::Delivered);
    let told = server.join().unwrap().join("\n");
    assert!(told.contains("MAIL FROM:<sonde@example.com>"), "{told}");
    assert!(told.contains("RCPT TO:<team@example.com>"), "{told}");
    assert!(told.contains("multipart/alternative"), "{told}");
    assert!(told.contains("Add a worker."), "{told}");
    assert!(told.contains("Auto-Submitted: auto-generated"), "{told}");
}

#[test]
fn what_a_mail_server_says_decides_whether_it_is_asked_again() {
    let (address, _server) = strict_mail_server("550 no such mailbox");
    let outcome = send(&mail_receiver(&address));
    assert!(
        matches!(&outcome, Outcome::Refused { because } if because.contains("550")),
        "{outcome:?}"
    );
    let (address, _server) = strict_mail_server("451 later");
    assert!(matches!(
        send(&mail_receiver(&address)),
        Outcome::Failed { .. }
    ));
}

#[test]
fn a_receiver_that_is_away_is_tried_again_and_its_address_is_not_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let hook = receiver(&format!(
        "kind = \"slack\"\nurl = \"http://{address}/services/hunter2\""
    ));
    let Outcome::Failed { because, .. } = send(&hook) else {
        panic!("it is away");
    };
    assert!(!because.contains("hunter2"), "{because}");
}
