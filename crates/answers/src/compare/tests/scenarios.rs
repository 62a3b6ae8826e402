//! Pages as people read them.

use super::*;

#[test]
fn two_traces() {
    let (mut fast, mut slow) = (World::new(0x100), World::new(0x200));
    for (world, calls) in [(&mut fast, 1), (&mut slow, 40)] {
        let queries = calls * 4 * MS;
        let root = world.request("GET /users/7", queries + 30 * MS);
        world.child(root, "parse", 2 * MS);
        let load = world.inside(root, "load", queries + 10 * MS);
        for _ in 0..calls {
            world.child(load, "SELECT address", 4 * MS);
        }
        world.at += 10 * MS;
        if calls == 1 {
            world.child(root, "cache.put", MS);
        }
        world.child(root, "render", 15 * MS);
    }
    insta::assert_snapshot!(compared(["fast", "slow"], &fast, &slow), @r"
    `slow` (1 request, 44 spans) against `fast` (1 request, 6 spans)

                         mean       median         95 %   errors
      fast            34.0 ms      34.0 ms      34.0 ms    0.0 %
      slow           190.0 ms     190.0 ms     190.0 ms    0.0 %
      difference    +156.0 ms    +156.0 ms    +156.0 ms

        self time              per request        calls  where
          +1.0 ms          2.0 ms → 3.0 ms        1 → 1  GET /users/*
          -1.0 ms            1.0 ms → 0 ns        1 → 0  ├─ cache.put  removed
             0 ns        10.0 ms → 10.0 ms        1 → 1  └─ load
        +156.0 ms        4.0 ms → 160.0 ms       1 → 40     └─ SELECT address

    Why: `SELECT address` is called 40 times per request on `slow` and 1 on `fast`, and has 160.0 ms
      instead of 4.0 ms: 100.0 % of the difference. Evidence: span 0000000000000204 (`SELECT address`,
      4.0 ms), 0000000000000205 (`SELECT address`, 4.0 ms), 0000000000000206 (`SELECT address`, 4.0 ms)
      of trace 00000000000000000000000000000201.
    Confidence: medium.
    Seen: `cache.put` below `GET /users/*` is on `fast` only: 1 call a request, 1.0 ms of its time.
      Evidence: span 0000000000000105 (`cache.put`, 1.0 ms) of trace 00000000000000000000000000000101.
    Not assessed: whether this is usual: `fast` has 1 request; with 8 on each side a difference can be
      told from chance.
    Not assessed: attributes: with 1 request on `fast` none can tell the sides apart by more than
      chance.
    ");
}

#[test]
fn a_deploy_with_a_planted_attribute() {
    let mut random = Random(7);
    let (mut before, mut after) = (World::new(0), World::new(1 << 32));
    for (world, version, percent) in [(&mut before, "1.2", 2), (&mut after, "1.3", 60)] {
        world.resources = vec![resource(&[
            ("service.name", "api"),
            ("service.version", version),
        ])];
        for _ in 0..80 {
            let is_second = random.percent(percent);
            let parse = random.about(4 * MS);
            let generate = random.about(if is_second { 300 * MS } else { 60 * MS });
            let root = world.request("POST /generate", parse + generate + random.about(3 * MS));
            world.child(root, "parse", parse);
            let child = world.child(root, "generate", generate);
            let device = if is_second { "cuda:1" } else { "cuda:0" };
            world.with(child, "device", device);
            world.with(root, "prompt_tokens", random.below(2000));
            world.with(root, "enduser.session", format!("{:x}", random.next()));
            if is_second && random.percent(25) {
                world.fail(root);
            }
        }
    }
    insta::assert_snapshot!(compared(["before", "after"], &before, &after), @r"
    `after` (80 requests, 240 spans) against `before` (80 requests, 240 spans)

                         mean       median         95 %   errors
      before          66.8 ms      67.4 ms      80.3 ms    0.0 %
      after          214.1 ms     257.6 ms     366.3 ms   18.8 %
      difference    +147.4 ms    +190.2 ms    +286.1 ms  +18.8 %

             from  before                    after
          50.3 ms  ██████                    ██
          58.7 ms  ██████                    ███
          67.1 ms  █████████████             █████
          83.9 ms
         100.7 ms
         117.4 ms
         134.2 ms
         167.8 ms
         201.3 ms
         234.9 ms                            ████
         268.4 ms                            ████████
         335.5 ms                            ████

        self time              per request        calls  where
         -30.7 µs          3.0 ms → 3.0 ms        1 → 1  POST /generate
        +147.4 ms       59.6 ms → 207.0 ms        1 → 1  ├─ generate
          -5.7 µs          4.1 ms → 4.1 ms        1 → 1  └─ parse

    Why: `generate` has 207.0 ms per request on `after` and 59.6 ms on `before`: 100.0 % of the
      difference. Evidence: span 00000001000000db of trace 000000000000000000000001000000d9 (`generate`,
      373.7 ms), 00000001000000c9 of trace 000000000000000000000001000000c7 (`generate`, 369.0 ms),
      0000000100000045 of trace 00000000000000000000000100000043 (`generate`, 368.0 ms).
    Confidence: high.
    Attribute: 62.5 % of `after` have device=cuda:1, none of `before` has.
    Attribute: 100.0 % of `before` have device=cuda:0, 37.5 % of `after` do.
    Attribute: 100.0 % of `after` have service.version=1.3, none of `before` has; by that the sides were
      chosen, as likely as not.
    Attribute: 100.0 % of `before` have service.version=1.2, none of `after` has; by that the sides were
      chosen, as likely as not.
    Seen: 15 of 80 requests of `after` failed, and none of 80 requests of `before`. Evidence: span
      0000000100000043 of trace 00000000000000000000000100000043 (`POST /generate`, 375.3 ms),
      0000000100000067 of trace 00000000000000000000000100000067 (`POST /generate`, 367.5 ms),
      00000001000000af of trace 000000000000000000000001000000af (`POST /generate`, 366.3 ms).
    Not assessed: attributes with a value for nearly every request: identifiers tell requests apart and
      not sides: `enduser.session`.
    ");
}

#[test]
fn alike() {
    let mut random = Random(8);
    let mut worlds = [World::new(0), World::new(1 << 32)];
    for world in &mut worlds {
        for _ in 0..30 {
            let work = random.about(40 * MS);
            let root = world.request("request", work + random.about(5 * MS));
            let child = world.child(root, "work", work);
            world.with(child, "device", format!("cuda:{}", random.below(2)));
        }
    }
    insta::assert_snapshot!(compared(["monday", "tuesday"], &worlds[0], &worlds[1]), @r"
    `tuesday` (30 requests, 60 spans) against `monday` (30 requests, 60 spans)

                         mean       median         95 %   errors
      monday          47.2 ms      47.7 ms      54.1 ms    0.0 %
      tuesday         44.3 ms      43.7 ms      53.1 ms    0.0 %
      difference      -2.9 ms      -4.0 ms      -1.0 ms

             from  monday                    tuesday
          33.6 ms  █████                     ███████████
          41.9 ms  ██████████                ███████████
          50.3 ms  ██████████                ████

        self time              per request        calls  where
        -250.1 µs          5.2 ms → 4.9 ms        1 → 1  request
          -2.6 ms        42.0 ms → 39.4 ms        1 → 1  └─ work

    Why: cannot tell, because the durations do not differ by more than chance: sides that are alike
      differ as much in 8 of 100 comparisons.
    ");
}
