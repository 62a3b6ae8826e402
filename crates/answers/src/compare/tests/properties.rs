//! What holds for every set of spans, however broken.

use proptest::prelude::*;

use super::*;

/// Spans of a few traces with parents that may be missing, rings, repeated identifiers and times out of order.
fn any_side() -> impl Strategy<Value = Vec<(usize, Span)>> {
    let any_span = (
        1_u64..4,
        1_u64..12,
        prop::option::of(1_u64..14),
        0_usize..5,
        (0_u64..1_000_000, 0_u64..1_000_000),
        (0_usize..2, 0_u8..6, any::<bool>(), 0_u32..2),
    );
    let any_span = any_span.prop_map(|(trace, number, parent, name, times, more)| {
        let name = ["request", "step 1", "step 2", "query", "step 31"][name];
        let times = (times.0, times.0 + times.1);
        let mut span = span(trace, number, parent, name, times);
        let (resource, kind, failed, thread) = more;
        if kind == 0 {
            span.kind = SpanKind::Server;
        }
        if failed {
            span.status = Status::Error(Cow::Borrowed(""));
        }
        span.thread = thread;
        span.attributes
            .push((Cow::Borrowed("n"), Value::from(times.1 % 7)));
        (resource, span)
    });
    prop::collection::vec(any_span, 0..40)
}

fn worlds(first: Vec<(usize, Span)>, second: Vec<(usize, Span)>) -> [World; 2] {
    [first, second].map(|spans| {
        let mut world = World::new(0);
        world.resources.push(resource(&[("service.name", "db")]));
        world.spans = spans;
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn differences_add_up_and_every_span_counts_once(first in any_side(), second in any_side()) {
        let [first, second] = worlds(first, second);
        let comparison = compared(["a", "b"], &first, &second);
        if comparison.difference.is_some() {
            prop_assert_eq!(comparison.tree.unlisted, 0);
            for (side, calls) in [
                (&comparison.first, (|node| node.first.calls) as fn(&Node) -> u64),
                (&comparison.second, |node| node.second.calls),
            ] {
                let calls: u64 = comparison.tree.nodes.iter().map(calls).sum();
                let unrecorded = comparison.tree.nodes.iter().filter(|node| node.label == "(not recorded)");
                prop_assert!(calls >= side.spans);
                if unrecorded.count() == 0 {
                    prop_assert_eq!(calls, side.spans);
                }
            }
        }
    }

    #[test]
    fn one_trace_a_side_tiles_without_rounding(first in any_side(), second in any_side()) {
        let one = |mut spans: Vec<(usize, Span)>| {
            for (_, span) in &mut spans {
                span.trace_id = trace_id(1);
                // One root, so one request.
                span.kind = SpanKind::Internal;
                if span.span_id == span_id(1) {
                    span.parent_id = None;
                } else {
                    span.parent_id = span.parent_id.or(Some(span_id(1)));
                }
            }
            spans
        };
        let [first, second] = worlds(one(first), one(second));
        let comparison = compared(["a", "b"], &first, &second);
        let requests = |side: &Summary| side.durations.map_or(0, |durations| durations.requests);
        if requests(&comparison.first) == 1 && requests(&comparison.second) == 1 {
            prop_assert_eq!(comparison.tree.rounding_ns, 0);
        }
    }

    #[test]
    fn the_order_of_the_records_has_no_influence(
        (first, shuffled) in any_side().prop_flat_map(|side| (Just(side.clone()), Just(side).prop_shuffle())),
        second in any_side(),
    ) {
        let [world, other] = worlds(first, second);
        let [again, _] = worlds(shuffled, Vec::new());
        let comparison = compared(["a", "b"], &world, &other);
        prop_assert_eq!(&comparison, &compared(["a", "b"], &again, &other));
        prop_assert_eq!(
            serde_json::to_string(&comparison).unwrap(),
            serde_json::to_string(&compared(["a", "b"], &again, &other)).unwrap()
        );
    }

    #[test]
    fn a_side_does_not_differ_from_itself(side in any_side()) {
        let [world, again] = worlds(side.clone(), side);
        let comparison = compared(["a", "b"], &world, &again);
        prop_assert!(named(&comparison).is_none());
        prop_assert!(comparison.lifts.is_empty() && comparison.findings.is_empty());
        prop_assert!(comparison.tree.nodes.iter().all(|node| node.self_difference_ns == 0));
    }

    #[test]
    fn swapping_the_sides_turns_every_sign(first in any_side(), second in any_side()) {
        let [first, second] = worlds(first, second);
        let there = compared(["a", "b"], &first, &second);
        let back = compared(["b", "a"], &second, &first);
        prop_assert_eq!(named(&there), named(&back));
        prop_assert_eq!(
            there.difference.map(|difference| difference.mean_ns),
            back.difference.map(|difference| -difference.mean_ns)
        );
        prop_assert_eq!(there.tree.nodes.len(), back.tree.nodes.len());
    }
}

#[test]
fn the_json_form_is_stable() {
    let mut worlds = [World::new(0), World::new(1 << 32)];
    for (world, ms) in worlds.iter_mut().zip([60, 90]) {
        let root = world.request("request", ms * MS);
        world.child(root, "work", (ms - 1) * MS);
    }
    let comparison = compared(["fast", "slow"], &worlds[0], &worlds[1]);
    let json = serde_json::to_string_pretty(&comparison).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "schema": 1,
      "first": {
        "name": "fast",
        "spans": 2,
        "durations": {
          "requests": 1,
          "errors": 0,
          "mean_ns": 60000000,
          "min_ns": 60000000,
          "p50_ns": 60000000,
          "p95_ns": 60000000,
          "max_ns": 60000000
        }
      },
      "second": {
        "name": "slow",
        "spans": 2,
        "durations": {
          "requests": 1,
          "errors": 0,
          "mean_ns": 90000000,
          "min_ns": 90000000,
          "p50_ns": 90000000,
          "p95_ns": 90000000,
          "max_ns": 90000000
        }
      },
      "difference": {
        "mean_ns": 30000000,
        "p50_ns": 30000000,
        "p95_ns": 30000000,
        "error_share": 0.0,
        "chance": null,
        "chance_of_errors": 1.0
      },
      "histogram": [
        {
          "from_ns": 58720256,
          "below_ns": 67108864,
          "first": 1,
          "second": 0
        },
        {
          "from_ns": 67108864,
          "below_ns": 83886080,
          "first": 0,
          "second": 0
        },
        {
          "from_ns": 83886080,
          "below_ns": 100663296,
          "first": 0,
          "second": 1
        }
      ],
      "tree": {
        "nodes": [
          {
            "id": 2,
            "parent": 1,
            "depth": 1,
            "service": "api",
            "label": "work",
            "presence": "both",
            "first": {
              "requests": 1,
              "calls": 1,
              "failed": 0,
              "calls_per_request": 1.0,
              "total_ns": 59000000,
              "self_ns": 59000000,
              "path_ns": 59000000,
              "evidence": [
                {
                  "trace_id": "00000000000000000000000000000001",
                  "span_id": "0000000000000002",
                  "name": "work",
                  "duration_ns": 59000000
                }
              ]
            },
            "second": {
              "requests": 1,
              "calls": 1,
              "failed": 0,
              "calls_per_request": 1.0,
              "total_ns": 89000000,
              "self_ns": 89000000,
              "path_ns": 89000000,
              "evidence": [
                {
                  "trace_id": "00000000000000000000000100000001",
                  "span_id": "0000000100000002",
                  "name": "work",
                  "duration_ns": 89000000
                }
              ]
            },
            "calls_difference": 0.0,
            "total_difference_ns": 30000000,
            "self_difference_ns": 30000000,
            "path_difference_ns": 30000000
          },
          {
            "id": 1,
            "parent": null,
            "depth": 0,
            "service": "api",
            "label": "request",
            "presence": "both",
            "first": {
              "requests": 1,
              "calls": 1,
              "failed": 0,
              "calls_per_request": 1.0,
              "total_ns": 60000000,
              "self_ns": 1000000,
              "path_ns": 60000000,
              "evidence": [
                {
                  "trace_id": "00000000000000000000000000000001",
                  "span_id": "0000000000000001",
                  "name": "request",
                  "duration_ns": 60000000
                }
              ]
            },
            "second": {
              "requests": 1,
              "calls": 1,
              "failed": 0,
              "calls_per_request": 1.0,
              "total_ns": 90000000,
              "self_ns": 1000000,
              "path_ns": 90000000,
              "evidence": [
                {
                  "trace_id": "00000000000000000000000100000001",
                  "span_id": "0000000100000001",
                  "name": "request",
                  "duration_ns": 90000000
                }
              ]
            },
            "calls_difference": 0.0,
            "total_difference_ns": 30000000,
            "self_difference_ns": 0,
            "path_difference_ns": 30000000
          }
        ],
        "unlisted": 0,
        "unlisted_self_difference_ns": 0,
        "rounding_ns": 0,
        "mix_difference_ns": 0
      },
      "lifts": [],
      "attributes_looked_at": 1,
      "verdict": {
        "kind": "contributor",
        "change": "slower",
        "node": 2,
        "path": [
          "request",
          "work"
        ],
        "longer": "slow",
        "difference_ns": 30000000,
        "share": 1.0,
        "confidence": "medium",
        "words": "`work` has 89.0 ms per request on `slow` and 59.0 ms on `fast`: 100.0 % of the difference",
        "evidence": [
          {
            "trace_id": "00000000000000000000000100000001",
            "span_id": "0000000100000002",
            "name": "work",
            "duration_ns": 89000000
          }
        ]
      },
      "findings": [],
      "not_assessed": [
        {
          "what": "whether this is usual",
          "because": "`fast` has 1 request; with 8 on each side a difference can be told from chance"
        },
        {
          "what": "attributes",
          "because": "with 1 request on `fast` none can tell the sides apart by more than chance"
        }
      ]
    }
    "#);
}
