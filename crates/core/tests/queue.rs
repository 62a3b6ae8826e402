//! The three lines by which any pool reports its queue.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use radiosonde_core::{
    batch::Batch,
    metrics::{
        self,
        snapshot::{Data, Number},
    },
    model::{EventRecord, Record, Resource},
    pump::{self, Consumer},
    queue::Queue,
    subscriber::Subscriber,
};

struct Keep(Arc<Mutex<Vec<EventRecord>>>);

impl Consumer for Keep {
    fn consume(&mut self, batch: &Arc<Batch>) {
        let events = batch
            .records()
            .filter_map(|record| match record.to_record() {
                Record::Event(event) => Some(event),
                _ => None,
            });
        self.0.lock().unwrap().extend(events);
    }
}

/// The series of a metric with this queue, as it is now.
fn now(metric: &str, queue: &str) -> Option<f64> {
    let snapshot = metrics::snapshot(&Arc::new(Resource::default()));
    let metric = snapshot.metrics.iter().find(|known| known.name == metric)?;
    let number = |number: Number| match number {
        Number::U64(value) => value as f64,
        Number::I64(value) => value as f64,
        Number::F64(value) => value,
    };
    let (Data::Gauge(series) | Data::UpDownCounter(series) | Data::Counter(series)) = &metric.data
    else {
        return None;
    };
    let found = series.iter().find(|series| {
        series
            .labels
            .iter()
            .any(|(_, value)| value.to_string() == queue)
    });
    found.map(|series| number(series.value))
}

#[test]
fn an_item_is_reported_from_its_arrival_to_its_end() {
    tracing::subscriber::set_global_default(Subscriber::new()).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let pump = pump::start(pump::Config {
        resource: Arc::new(Resource::default()),
        consumers: vec![Box::new(Keep(Arc::clone(&events)))],
    })
    .unwrap();
    let orders = Queue::new("orders").capacity(100).workers(4);
    assert_eq!(
        (
            now("queue.capacity", "orders"),
            now("queue.workers", "orders")
        ),
        (Some(100.0), Some(4.0))
    );
    let (first, second, dropped) = (
        orders.enqueued(),
        orders.clone().enqueued(),
        orders.enqueued(),
    );
    assert_ne!(first.item(), second.item());
    assert_eq!(
        (now("queue.depth", "orders"), now("queue.running", "orders")),
        (Some(3.0), Some(0.0))
    );
    let item = first.item().to_owned();
    let working = first.started("worker-1");
    assert_eq!(working.item(), item);
    drop(dropped);
    assert_eq!(
        (now("queue.depth", "orders"), now("queue.running", "orders")),
        (Some(1.0), Some(1.0))
    );
    working.finished();
    second.started("worker-2").failed();
    drop(orders.enqueued().started("worker-3"));
    assert_eq!(
        (now("queue.depth", "orders"), now("queue.running", "orders")),
        (Some(0.0), Some(0.0))
    );
    assert!(pump.flush(Duration::from_secs(10)));
    let events = events.lock().unwrap().clone();
    let names = |wanted: &str| events.iter().filter(|event| event.name == wanted).count();
    assert_eq!(
        (
            names("queue.enqueued"),
            names("queue.started"),
            names("queue.finished")
        ),
        (4, 3, 4)
    );
    let text = |event: &EventRecord, key: &str| event.field(key).map(ToString::to_string);
    let results: Vec<_> = events
        .iter()
        .filter(|event| event.name == "queue.finished")
        .filter_map(|event| text(event, "result"))
        .collect();
    assert_eq!(results, ["abandoned", "ok", "error", "abandoned"]);
    let of_first = events
        .iter()
        .filter(|event| text(event, "item").as_ref() == Some(&item));
    let of_first: Vec<_> = of_first.map(|event| event.name.to_string()).collect();
    assert_eq!(
        of_first,
        ["queue.enqueued", "queue.started", "queue.finished"]
    );
}
