//! Large traces and many of them: the account still adds up, and how long it took is printed.

use super::*;

/// A request of this many spans: steps of a generation, each with blocks of which half are queues, I/O and computation.
fn generation(spans: u64) -> Script {
    let mut script = Script::new(spans * 10);
    let (mut step, mut at) = (1, 0);
    for number in 1..spans {
        if number % 50 == 1 {
            step = script.span(1, &format!("step {}", number / 50), at, at + 450);
        } else {
            let name = ["queue", "block 3", "SELECT weights", "softmax", "decode"];
            let child = script.span(step, name[(number % 5) as usize], at, at + 8);
            script.with(child, "layer", number % 48);
            if number % 3 == 0 {
                script.cpu(child, 7);
            }
            at += 9;
        }
    }
    script
}

#[test]
fn a_trace_of_ten_thousand_spans_is_accounted_for() {
    let script = generation(10_000);
    let started = std::time::Instant::now();
    let account = trace(&script.telemetry(), trace_id()).unwrap();
    println!("10,000 spans took {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let text = account.to_string();
    println!("their text took {:?}", started.elapsed());
    assert_tiles(&account);
    assert_eq!(account.spans, 10_000);
    assert!(!text.is_empty());
}
