//! What goes wrong on the way, with every backend: what may be taken later is sent again, once where the backend did not take it, and
//! what is refused is counted.

use std::time::Duration;

use radiosonde::{
    core::batch::Batch,
    exporter::{Exporter, backend::Backend, spool::SpoolConfig},
};

use crate::{
    application_insights, custom, datadog, elasticsearch, loki,
    receiver::{Answer, Receiver, Request, Strict},
    records, splunk, zipkin,
};

type Subject = (&'static str, fn(String) -> Backend, fn() -> Box<dyn Strict>);

/// Every backend, how it is opened, and its strict receiver.
pub fn all() -> [Subject; 7] {
    [
        ("datadog", datadog::open, || {
            Box::<datadog::StrictDatadog>::default()
        }),
        ("elasticsearch", elasticsearch::open, || {
            Box::<elasticsearch::StrictElasticsearch>::default()
        }),
        ("loki", loki::open, || Box::<loki::StrictLoki>::default()),
        ("zipkin", zipkin::open, || {
            Box::<zipkin::StrictZipkin>::default()
        }),
        ("splunk", splunk::open, || {
            Box::<splunk::StrictSplunk>::default()
        }),
        ("application_insights", application_insights::open, || {
            Box::<application_insights::StrictApplicationInsights>::default()
        }),
        ("custom", custom::open, || {
            Box::<custom::StrictCustom>::default()
        }),
    ]
}

impl Strict for Box<dyn Strict> {
    fn take(&mut self, request: &Request) -> Result<(u16, String), String> {
        self.as_mut().take(request)
    }

    fn ids(&self) -> Vec<u64> {
        self.as_ref().ids()
    }
}

/// Records of the one signal that the backend takes in these tests.
fn batch(name: &str, ids: std::ops::Range<u64>) -> Batch {
    let mut batch = records::empty();
    for id in ids {
        if name == "zipkin" {
            records::push_span(&mut batch, id, &[]);
        } else {
            records::push_log(&mut batch, id, "said", &[]);
        }
    }
    batch
}

fn status(status: u16) -> Answer {
    Answer::Status(status, "", "no".to_owned())
}

#[test]
fn what_may_be_taken_later_is_sent_again_and_what_is_refused_is_counted() {
    let busy = Answer::Status(429, "Retry-After: 0\r\n", String::new());
    // What the receiver does first, and how many of four records are lost by it.
    let table: [(Answer, u64); 9] = [
        (Answer::Take, 0),
        (busy, 0),
        (status(500), 0),
        (status(503), 0),
        (Answer::Garbage, 0),
        (Answer::Close, 0),
        (Answer::TakeSlowly, 0),
        (Answer::TakeAndCut, 0),
        (status(400), 4),
    ];
    for (name, open, strict) in all() {
        for (answer, lost) in &table {
            let receiver = Receiver::start(strict());
            receiver.will([answer.clone()]);
            let mut backend = open(receiver.url());
            backend.export(&batch(name, 0..4)).unwrap();
            assert_eq!(records::deliver(&mut backend), *lost, "{name}: {answer:?}");
            backend.export(&batch(name, 4..6)).unwrap();
            assert_eq!(records::deliver(&mut backend), 0, "{name}: {answer:?}");
            receiver.assert_no_faults();
            let expected: Vec<u64> = if *lost == 0 {
                (0..6).collect()
            } else {
                (4..6).collect()
            };
            assert_eq!(receiver.ids(), expected, "{name}: {answer:?}");
        }
    }
}

#[test]
fn what_waits_in_the_spool_is_sent_by_the_next_start() {
    for (name, _, strict) in all() {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(strict());
        receiver.will(std::iter::repeat_n(status(503), 1000));
        let spool = SpoolConfig {
            folder: Some(folder.path().to_owned()),
            ..SpoolConfig::default()
        };
        let mut first = open_with(name, &receiver.url(), &spool, Duration::from_millis(20));
        first.export(&batch(name, 0..5)).unwrap();
        let _ = first.flush();
        assert_eq!(first.waiting().records, 5, "{name}");
        drop(first);
        receiver.calm();
        assert!(receiver.ids().is_empty(), "{name}");
        let mut second = open_with(name, &receiver.url(), &spool, Duration::from_millis(1));
        second.export(&batch(name, 5..7)).unwrap();
        assert_eq!(records::deliver(&mut second), 0, "{name}");
        receiver.assert_no_faults();
        assert_eq!(receiver.ids(), [0, 1, 2, 3, 4, 5, 6], "{name}");
    }
}

/// The backend `name` with a spool of its own.
fn open_with(name: &str, url: &str, spool: &SpoolConfig, delay: Duration) -> Backend {
    use radiosonde::exporter as to;

    let connection = |url: &str| {
        let mut connection = records::connection(url.to_owned());
        connection.spool = spool.clone();
        connection.retry_delay = (delay, delay);
        connection
    };
    match name {
        "datadog" => {
            let mut config = to::datadog::DatadogConfig::new("datadoghq.eu", "K3Y");
            config.connection = connection(url);
            to::datadog::open(&config)
        }
        "elasticsearch" => {
            let mut config = to::elasticsearch::ElasticsearchConfig::new("");
            config.connection = connection(url);
            to::elasticsearch::open(&config)
        }
        "loki" => {
            let mut config = to::loki::LokiConfig::new("");
            config.connection = connection(url);
            to::loki::open(&config)
        }
        "zipkin" => {
            let mut config = to::zipkin::ZipkinConfig::new("");
            config.connection = connection(url);
            to::zipkin::open(&config)
        }
        "splunk" => {
            let mut config = to::splunk::SplunkConfig::new("", "T0KEN");
            config.connection = connection(url);
            to::splunk::open(&config)
        }
        "application_insights" => {
            let read = to::application_insights::ApplicationInsightsConfig::from_connection_string;
            let mut config = read("InstrumentationKey=1KEY").unwrap();
            config.connection = connection(url);
            to::application_insights::open(&config)
        }
        _ => {
            let mut config = to::custom::CustomConfig::new("");
            config.connection = connection(&format!("{url}/in?to=here"));
            config.connection.headers = vec![("X-Key".to_owned(), "K3Y".to_owned())];
            to::custom::open(&config)
        }
    }
    .unwrap()
}
