//! Many requests together: the time adds up, the slow ones are told from the typical ones, and what was picked is what
//! is accounted for.

use std::{collections::HashSet, sync::Arc};

use radiosonde_core::model::Resource;

use super::*;
use crate::requests::Records;

const START: u64 = 1_000_000_000 * MS;

/// Requests one after the other, each a trace of its own.
#[derive(Default)]
struct Requests {
    records: Records,
}

impl Requests {
    /// A span from `start` to `end` in milliseconds from the start of its trace.
    fn span(
        &mut self,
        (trace, number): (u64, u64),
        parent: Option<u64>,
        name: &str,
        (start, end): (u64, u64),
    ) -> &mut Span {
        let mut span = Script::new(0).spans.remove(0);
        span.trace_id = TraceId::new(trace.into()).unwrap();
        span.span_id = id(number);
        span.parent_id = parent.map(id);
        span.name = Cow::Owned(name.to_owned());
        let second = START + trace * 1000 * MS;
        (span.start_unix_ns, span.end_unix_ns) = (second + start * MS, second + end * MS);
        let resource = Resource {
            attributes: vec![("service.name".into(), "engine".into())],
        };
        self.records.spans.push((Arc::new(resource), span));
        &mut self.records.spans.last_mut().unwrap().1
    }

    fn selection(&self, of: Option<&str>) -> Option<Selection> {
        let spans = self.records.spans();
        let selection = selection(&self.records.side("", &spans), of);
        if let Some(selection) = &selection {
            assert_tiles(&selection.account);
        }
        selection
    }
}

/// 60 requests of about 100 ms; every twelfth waits 400 ms in a queue before, on `cuda:1`.
fn some_wait() -> Requests {
    let mut requests = Requests::default();
    for trace in 1..=60 {
        let queued = if trace % 12 == 0 { 400 } else { 10 };
        let work = 90 + trace % 7;
        let device = if trace % 12 == 0 { "cuda:1" } else { "cuda:0" };
        let end = queued + work;
        requests.span((trace, 1), None, "generate", (0, end));
        requests.span((trace, 2), Some(1), "queue", (0, queued));
        let forward = requests.span((trace, 3), Some(1), "forward", (queued, end));
        forward.attributes = vec![("device".into(), device.into())];
    }
    requests
}

#[test]
fn the_slow_ones_are_told_from_the_typical_ones() {
    let selection = some_wait()
        .selection(Some("`generate` of `engine`"))
        .unwrap();
    assert_eq!(selection.durations.requests, 60);
    let Slow::Compared { comparison, .. } = &selection.slow else {
        panic!("{selection}");
    };
    assert_eq!(comparison.lifts[0].value, "cuda:1");
    let crate::compare::Verdict::Contributor { path, .. } = &comparison.verdict else {
        panic!("{selection}");
    };
    assert_eq!(path.last().map(String::as_str), Some("queue"));
    insta::assert_snapshot!(selection);
}

#[test]
fn without_slow_ones_nothing_is_compared() {
    let mut requests = Requests::default();
    for trace in 1..=30 {
        requests.span((trace, 1), None, "generate", (0, 100));
        if trace < 20 {
            continue;
        }
        let because = |requests: &Requests| match requests.selection(None).unwrap().slow {
            Slow::NotCompared { because } => because,
            Slow::Compared { .. } => panic!("compared"),
        };
        assert!(because(&requests).contains("there are no slow ones"));
    }
    requests.records.spans.truncate(19);
    let text = requests.selection(None).unwrap().to_string();
    assert!(
        text.contains("19 requests have no slowest twentieth; 20 are needed"),
        "{text}"
    );
    requests.records.spans.clear();
    assert_eq!(requests.selection(None), None);
}

#[test]
fn what_was_picked_is_accounted_for_alone_and_once() {
    let mut requests = Requests::default();
    requests.span((1, 1), None, "request", (0, 100));
    requests.span((1, 2), Some(1), "step", (10, 50));
    requests.span((1, 3), Some(2), "forward", (20, 50));
    // A step inside of a step: its time is the outer one's already.
    requests.span((1, 4), Some(3), "step", (30, 40));
    requests.span((1, 5), Some(1), "step", (60, 90));
    requests.span((2, 1), None, "other", (0, 500));
    // A ring of parents, picked as well.
    requests.span((3, 7), Some(8), "step", (0, 5));
    requests.span((3, 8), Some(7), "inside", (0, 5));
    let mut outside = Script::new(0);
    outside.warn(1, 0, "the request is late");
    outside.logs[0].place.as_mut().unwrap().trace_id = TraceId::new(1).unwrap();
    requests.records.logs = outside.logs;
    let picked: HashSet<_> = [(1, 2), (1, 4), (1, 5), (3, 7), (9, 9)]
        .map(|(trace, span)| (TraceId::new(trace).unwrap(), id(span)))
        .into();
    let inside = requests.records.keep_below(&picked);
    assert_eq!(
        inside,
        1 + 1,
        "the step in a step, and the one that is below itself"
    );
    assert_eq!(requests.records.logs, []);
    let selection = requests.selection(Some("`step`")).unwrap();
    assert_eq!(selection.durations.requests, 3);
    assert_eq!(selection.account.interval.duration_ns, (40 + 30 + 5) * MS);
    assert_eq!(selection.account.spans, 6);
}

#[test]
fn what_ended_late_in_one_request_is_not_looked_for_in_another() {
    let mut late = Script::new(10);
    late.span(1, "first", 1, 2);
    late.span(1, "late", 5, 2000);
    let mut records = Records::default();
    for (trace, script) in [(1, Script::new(1000)), (2, late)] {
        for mut span in script.spans {
            span.trace_id = TraceId::new(trace).unwrap();
            records.spans.push((Arc::default(), span));
        }
    }
    let spans = records.spans();
    let text = selection(&records.side("", &spans), Some("all"))
        .unwrap()
        .to_string();
    assert!(text.contains("with nothing inside"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Segments and residual add up to the requests' durations whatever is selected, and the words are the same in
    /// every order.
    #[test]
    fn every_selection_tiles_and_reads_the_same_in_any_order(
        spans in broken::spans(),
        events in broken::events(),
        traces in prop::collection::vec(1_u128..5, 1..9),
        picked in prop::option::of(prop::collection::hash_set((1_u128..5, 1_u64..12), 0..6)),
    ) {
        let mut records = Records { events, ..Records::default() };
        for (number, mut span) in spans.into_iter().enumerate() {
            span.trace_id = TraceId::new(traces[number % traces.len()]).unwrap();
            // Sums of what no clock shows would not fit.
            span.start_unix_ns >>= 14;
            span.end_unix_ns >>= 14;
            records.spans.push((Arc::default(), span));
        }
        if let Some(picked) = picked {
            let picked: HashSet<_> = picked
                .into_iter()
                .map(|(trace, span)| (TraceId::new(trace).unwrap(), id(span)))
                .collect();
            records.keep_below(&picked);
            for (_, span) in &records.spans {
                let is_picked = picked.contains(&(span.trace_id, span.span_id));
                prop_assert!(is_picked || span.parent_id.is_some(), "{span:?}");
            }
        }
        let mut other = records.clone();
        other.spans.reverse();
        other.events.reverse();
        let all = |records: &Records| {
            let spans = records.spans();
            selection(&records.side("", &spans), Some("all"))
        };
        let (first, second) = (all(&records), all(&other));
        prop_assert_eq!(first.is_none(), records.spans.is_empty());
        if let (Some(first), Some(second)) = (first, second) {
            assert_tiles(&first.account);
            prop_assert_eq!(first.to_string(), second.to_string());
            prop_assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
        }
    }
}
