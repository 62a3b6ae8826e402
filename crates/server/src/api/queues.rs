//! The truth about queues: from gauges, counters, histograms, events and spans of whoever reports any, by
//! `radiosonde-answers`.

mod items;
mod readings;

use std::{collections::BTreeMap, fmt::Write as _};

use radiosonde_answers::queue::{Interval, Observed, Queue, SCHEMA, assess};
use serde::Serialize;

use super::{
    Api,
    params::{Params, Range},
};
use crate::problem::Problem;

/// Most queues of an answer.
const QUEUES_MAX: usize = 100;

/// What there is to say about all queues, and the same in words.
#[derive(Debug, Serialize)]
pub(super) struct Queues {
    schema: u32,
    from_unix_ns: String,
    to_unix_ns: String,
    #[serde(rename = "queues")]
    list: Vec<Queue>,
    /// There are more queues.
    more: bool,
    text: String,
}

/// Which queue: of a service and its instance, by name, with the attributes that tell it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    service: String,
    queue: String,
    attributes: BTreeMap<String, String>,
}

impl Key {
    fn new(service: String, queue: String, instance: Option<String>) -> Self {
        let attributes = instance.map(|instance| ("service.instance.id".to_owned(), instance));
        Self {
            service,
            queue,
            attributes: attributes.into_iter().collect(),
        }
    }
}

/// What is known of each queue.
#[derive(Debug, Default)]
struct Known(BTreeMap<Key, Observed>);

impl Known {
    fn of(&mut self, key: &Key) -> &mut Observed {
        self.0.entry(key.clone()).or_insert_with(|| Observed {
            attributes: key.attributes.clone(),
            ..Observed::new(&key.service, &key.queue)
        })
    }
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Queues, Problem> {
    let range = params.range()?;
    let mut known = Known::default();
    readings::read(api, range, &params.of_service(), &mut known)?;
    items::read(api, range, &params.of_service(), &mut known)?;
    let interval = interval(range);
    let wanted = params.q.as_deref();
    let is_wanted = |key: &Key| wanted.is_none_or(|wanted| key.queue.contains(wanted));
    let mut queues: Vec<Queue> = known
        .0
        .iter()
        .filter(|(key, _)| is_wanted(key))
        .map(|(_, observed)| assess(observed, interval))
        .collect();
    // The one that most wait in is what people look for.
    queues.sort_by(|a, b| waiting(b).total_cmp(&waiting(a)));
    let more = queues.len() > QUEUES_MAX;
    queues.truncate(QUEUES_MAX);
    let text = queues.iter().fold(String::new(), |mut text, queue| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{queue}");
        text
    });
    Ok(Queues {
        schema: SCHEMA,
        from_unix_ns: range.from_ns.to_string(),
        to_unix_ns: interval.to_unix_ns.to_string(),
        list: queues,
        more,
        text,
    })
}

/// The time that is asked for, without what has not come yet: ages are as of now.
fn interval(range: Range) -> Interval {
    let now = super::params::now_ns();
    Interval {
        from_unix_ns: range.from_ns,
        // Where clocks differ, what is asked for may lie ahead as a whole.
        to_unix_ns: if now > range.from_ns {
            range.to_ns.min(now)
        } else {
            range.to_ns
        },
    }
}

fn waiting(queue: &Queue) -> f64 {
    queue.depth.as_ref().map_or(-1.0, |depth| depth.now)
}
