//! Events as Datadog's agent takes them.

use std::{net::UdpSocket, time::Duration};

use radiosonde::{
    core::batch::Batch,
    exporter::{
        Exporter as _,
        statsd::{Dialect, Statsd, StatsdConfig},
    },
};

use crate::records::{Evicted, parts, resource};

#[test]
fn events_are_datadogs_where_they_are_asked_for() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let config = StatsdConfig {
        endpoint: format!("udp://{}", receiver.local_addr().unwrap()),
        tags: vec!["team:search".to_owned(), "canary".to_owned()],
        events: true,
        ..StatsdConfig::new(Dialect::Dogstatsd)
    };
    let mut statsd = Statsd::new(&config).unwrap();
    let mut batch = Batch::new(resource());
    let event = Evicted {
        bytes: 5,
        why: "no | room\n",
    };
    batch.push_event(&event, None, &parts(&[]));
    statsd.export(&batch).unwrap();
    let mut bytes = [0; 2000];
    let length = receiver.recv(&mut bytes).unwrap();
    let expected = "_e{7,23}:Evicted|bytes=5 why=no | room\\n|d:1767225599|t:warning\
                    |#service:my engine,version:1.2,team:search,canary";
    assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), expected);
}
