//! Items of queues one by one: from the events of a queue that reports itself, from checkouts of a pool's workers, and from
//! spans of producers and consumers of messages.

use std::collections::{BTreeMap, BTreeSet};

use radiosonde_answers::queue::Item;
use serde::Deserialize;

use super::{Key, Known};
use crate::{
    api::{Api, params::Range, rows::Row},
    problem::Problem,
};

/// Most events, and most spans, that an answer is made of: the newest.
const ROWS_MAX: usize = 40_000;
/// How far before the time asked for items are sought that still wait in it.
const LOOK_BACK_NS: i64 = 3_600 * 1_000_000_000;

pub(super) fn read(
    api: &Api,
    range: Range,
    of_service: &str,
    known: &mut Known,
) -> Result<(), Problem> {
    let range = Range {
        from_ns: range.from_ns.saturating_sub(LOOK_BACK_NS),
        ..range
    };
    events(api, range, of_service, known)?;
    messages(api, range, of_service, known)
}

/// An event of a queue or a pool.
struct Event {
    time_unix_ns: i64,
    name: String,
    key: Key,
    /// The item, or the worker that was checked out.
    id: String,
    trace_id: Option<String>,
    worker: Option<String>,
    /// How long it waited, or was worked on, until then.
    took_ns: Option<i64>,
    capacity: Option<f64>,
}

fn events(api: &Api, range: Range, of_service: &str, known: &mut Known) -> Result<(), Problem> {
    let statement = format!(
        "SELECT CAST(time AS BIGINT) AS at, event_name, service, resource['service.instance.id'], \
         coalesce(attributes['queue'], attributes['pool']), attributes['item'], \
         coalesce(attributes['worker'], attributes['worker_id']), \
         TRY_CAST(coalesce(attributes['waited_ns'], attributes['worked_ns'], attributes['busy_ns']) AS BIGINT), \
         TRY_CAST(attributes['queue_ns'] AS BIGINT), TRY_CAST(attributes['capacity'] AS DOUBLE), trace_id FROM logs \
         WHERE event_name IN ('queue.enqueued', 'queue.started', 'queue.finished', 'worker.pool.checkout', 'worker.pool.checkin') \
         AND {}{of_service} ORDER BY time DESC LIMIT {ROWS_MAX}",
        range.contains("time")
    );
    let rows = api.rows(&statement, ROWS_MAX)?;
    let mut events: Vec<Event> = rows.map(event).collect();
    let left_out = u64::from(events.len() >= ROWS_MAX);
    events.reverse();
    let mut items: BTreeMap<Key, BTreeMap<String, Item>> = BTreeMap::new();
    let mut checkouts: BTreeMap<(Key, String), String> = BTreeMap::new();
    for event in events {
        if let Some(capacity) = event.capacity {
            known.of(&event.key).capacity = Some(capacity);
        }
        take(event, &mut items, &mut checkouts);
    }
    for (key, items) in items {
        let observed = known.of(&key);
        observed.items.extend(items.into_values());
        observed.items_left_out += left_out;
    }
    Ok(())
}

fn event(mut row: Row) -> Event {
    let (time_unix_ns, name, service, instance) =
        (row.int(), row.text(), row.text(), row.text_or_none());
    let (queue, item, worker) = (row.text(), row.text_or_none(), row.text_or_none());
    let (took, waited, capacity) = (row.number(), row.number(), row.number());
    Event {
        time_unix_ns,
        name,
        key: Key::new(service, queue, instance),
        id: item.or_else(|| worker.clone()).unwrap_or_default(),
        worker,
        took_ns: took.or(waited).map(|ns| ns as i64),
        capacity,
        trace_id: row.text_or_none(),
    }
}

fn take(
    event: Event,
    items: &mut BTreeMap<Key, BTreeMap<String, Item>>,
    checkouts: &mut BTreeMap<(Key, String), String>,
) {
    let at = event.time_unix_ns;
    let before = event.took_ns.map(|ns| at.saturating_sub(ns));
    // A worker of a pool has one item after the other, which have no names of their own.
    let place = (event.key.clone(), event.id.clone());
    let id = match event.name.as_str() {
        "worker.pool.checkout" => {
            let id = format!("{} {at}", event.id);
            checkouts.insert(place, id.clone());
            id
        }
        "worker.pool.checkin" => checkouts
            .remove(&place)
            .unwrap_or_else(|| format!("{} {}", event.id, before.unwrap_or(at))),
        _ => event.id,
    };
    let items = items.entry(event.key).or_default();
    let item = items.entry(id).or_insert_with_key(|id| Item {
        id: id.clone(),
        ..Item::default()
    });
    match event.name.as_str() {
        "queue.enqueued" => {
            item.enqueued_unix_ns = Some(at);
            // Where it arrived is the trace of whoever waits.
            item.trace_id = event.trace_id;
            return;
        }
        "queue.started" | "worker.pool.checkout" => {
            item.started_unix_ns = Some(at);
            item.enqueued_unix_ns = item.enqueued_unix_ns.or(before);
        }
        _ => {
            item.finished_unix_ns = Some(at);
            // One that left the queue without work has no worker, and did not start.
            let started = before.filter(|_| event.worker.is_some());
            item.started_unix_ns = item.started_unix_ns.or(started);
        }
    }
    item.worker = item.worker.take().or(event.worker);
    item.trace_id = item.trace_id.take().or(event.trace_id);
}

/// A span of a producer or of a consumer.
struct Message {
    is_consumer: bool,
    service: String,
    queue: String,
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    start_unix_ns: i64,
    end_unix_ns: i64,
    links: Vec<Link>,
    instance: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    span_id: String,
}

/// A message waits from the end of its producer's span to the start of a consumer's that is its child or has a link to it.
/// Spans arrive when they end, so a message that is being consumed seems to wait until then.
fn messages(api: &Api, range: Range, of_service: &str, known: &mut Known) -> Result<(), Problem> {
    let statement = format!(
        "SELECT kind, service, coalesce(attributes['messaging.destination.name'], ''), trace_id, span_id, parent_span_id, \
         CAST(start_time AS BIGINT) AS at, duration, links, resource['service.instance.id'] FROM spans \
         WHERE kind IN ('producer', 'consumer') AND {}{of_service} ORDER BY start_time DESC LIMIT {ROWS_MAX}",
        range.contains("start_time")
    );
    let mut messages: Vec<Message> = api.rows(&statement, ROWS_MAX)?.map(message).collect();
    messages.retain(|message| !message.queue.is_empty());
    let left_out = u64::from(messages.len() >= ROWS_MAX);
    // What nobody was seen to consume is not known to wait: perhaps its consumers are not observed.
    let mut consumers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut consumed: BTreeMap<(&str, &str), &Message> = BTreeMap::new();
    for message in messages.iter().filter(|message| message.is_consumer) {
        consumers.insert(&message.queue, &message.service);
        consumed.insert((&message.queue, &message.parent_span_id), message);
        for link in &message.links {
            consumed.insert((&message.queue, &link.span_id), message);
        }
    }
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for message in messages.iter().filter(|message| !message.is_consumer) {
        let Some(service) = consumers.get(message.queue.as_str()) else {
            continue;
        };
        let taken_by = consumed.get(&(message.queue.as_str(), message.span_id.as_str()));
        let key = Key::new((*service).to_owned(), message.queue.clone(), None);
        known.of(&key).items.push(Item {
            enqueued_unix_ns: Some(message.end_unix_ns),
            // Clocks of two machines differ: nothing is taken before it was sent.
            started_unix_ns: taken_by.map(|it| it.start_unix_ns.max(message.end_unix_ns)),
            finished_unix_ns: taken_by.map(|it| it.end_unix_ns.max(message.end_unix_ns)),
            id: message.span_id.clone(),
            worker: taken_by.and_then(|it| it.instance.clone()),
            trace_id: Some(message.trace_id.clone()),
        });
        keys.insert(key);
    }
    for key in keys {
        known.of(&key).items_left_out += left_out;
    }
    Ok(())
}

fn message(mut row: Row) -> Message {
    let (kind, service, queue) = (row.text(), row.text(), row.text());
    let (trace_id, span_id, parent_span_id) = (row.text(), row.text(), row.text());
    let (start_unix_ns, duration_ns) = (row.int(), row.int());
    Message {
        is_consumer: kind == "consumer",
        service,
        queue,
        trace_id,
        span_id,
        parent_span_id,
        start_unix_ns,
        end_unix_ns: start_unix_ns.saturating_add(duration_ns),
        links: serde_json::from_str(&row.text()).unwrap_or_default(),
        instance: row.text_or_none(),
    }
}
