//! The report as people read it, from a real run of the tiny model with its timings made even.

use std::io::Cursor;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;

use super::*;
use crate::generate::Finish;
use crate::model::{Config, tiny_gguf};
use crate::observe::Keep;

fn report() -> Report {
    let mut file = Cursor::new(tiny_gguf(&Config::tiny(), 3, GgmlDType::Q8_0).unwrap());
    let header = Content::read(&mut file).unwrap();
    let model = Model::load(&header, &mut file).unwrap();
    let identity = Identity {
        label: "tiny (random weights)".to_owned(),
        random_weights: true,
        source: "seed 3".to_owned(),
    };
    let load = Load {
        requests: 2,
        workers: 2,
        tokens_max: 32,
        seed: 3,
        alternate: false,
    };
    let done = Outcome {
        request: 1,
        prompt: "Who?",
        text: "Me".to_owned(),
        error: None,
        worker: 1,
        prompt_tokens: 12,
        output_tokens: 30,
        finish: Some(Finish::Stop),
        queue_seconds: 0.001,
        first_token_seconds: Some(0.25),
        total_seconds: 1.25,
        tokens_per_second: Some(30.0),
        cpu_seconds: Some(1.2),
        cpu_ms_per_token: Some(25.04),
        kv_used_bytes: 42 * 512,
        kv_reserved_bytes: 64 * 512,
    };
    let failed = Outcome {
        request: 2,
        error: Some("no".to_owned()),
        finish: None,
        first_token_seconds: None,
        tokens_per_second: None,
        cpu_ms_per_token: None,
        output_tokens: 0,
        kv_used_bytes: 0,
        ..done.clone()
    };
    Report::new(&identity, &model, load, vec![done, failed], 1.5, None)
}

#[test]
fn people_read_this() {
    insta::assert_snapshot!(report(), @r"

    ── Requests ────────────────────────────────────────────────────────────────────────────
     #  waited    first token  total     tokens/s  CPU/token  in   out  ended
     1  0.00 s    0.25 s       1.25 s    30.0      25.0 ms    12   30   stop
     2  0.00 s    -            1.25 s    -         -          12   0    failed

    ── Run ─────────────────────────────────────────────────────────────────────────────────
    2 requests, 2 workers: 30 tokens in 1.50 s, 20.0 tokens/s together
    CPU per decoded token: 25.0 ms (median of the requests)
    1 of them failed

    ── Model and memory ────────────────────────────────────────────────────────────────────
    tiny (random weights): 4 blocks, width 64, 4 heads over 2, vocabulary 259
    weights           223.4 KiB from seed 3
      ├─ mlp          153.0 KiB  Q8_0  tensors: 12
      ├─ attention    51.0 KiB   Q8_0  tensors: 16
      ├─ embedding    17.2 KiB   Q8_0  tensors: 1
      └─ norms        2.2 KiB    F32   tensors: 9
    KV cache          1.0 KiB a token
    longest sequence  21.0 KiB of keys and values

    ── Recorded ────────────────────────────────────────────────────────────────────────────
    nothing: recording was off
    ");
}

#[test]
fn a_sample_is_called_one() {
    let account = |ratio| {
        let mut observed = Keep::default().observed(true, &[]);
        observed.sample_ratio = ratio;
        Report {
            observed: Some(observed),
            ..report()
        }
    };
    let (all, some) = (account(1.0).to_string(), account(0.3).to_string());
    assert!(!all.contains("a sample"), "{all}");
    assert!(
        some.contains("a sample of the requests, with the ratio 0.3"),
        "{some}"
    );
    let json = serde_json::to_value(account(0.3)).unwrap();
    assert_eq!(json["observed"]["sample_ratio"], 0.3);
}

#[test]
fn the_parts_of_the_weights_sum_to_the_whole() {
    let report = report();
    let parts: u64 = report.model.weights.iter().map(|part| part.bytes).sum();
    assert_eq!(parts, report.model.weights_bytes);
    let tensors: usize = report.model.weights.iter().map(|part| part.tensors).sum();
    assert_eq!(tensors, 2 + 4 * 9);
}

#[test]
fn what_was_not_measured_is_null() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(
        json["requests"][1]["first_token_seconds"],
        serde_json::Value::Null
    );
    assert_eq!(json["requests"][0]["finish"], "stop");
    assert_eq!(json["schema"], "radiosonde.demo.report/1");
    assert_eq!(json["totals"]["failed"], 1);
}

#[test]
fn the_median_of_an_even_count_is_between_the_middle_two() {
    for (values, middle) in [
        (vec![], None),
        (vec![3.0], Some(3.0)),
        (vec![4.0, 1.0], Some(2.5)),
        (vec![9.0, 1.0, 2.0], Some(2.0)),
        (vec![8.0, 1.0, 2.0, 4.0], Some(3.0)),
    ] {
        assert_eq!(median(values), middle);
    }
}

#[test]
fn names_of_tensors_tell_their_part() {
    let parts = [
        "token_embd.weight",
        "blk.3.attn_q.weight",
        "blk.3.attn_norm.weight",
        "blk.3.ffn_up.weight",
        "output_norm.weight",
        "output.weight",
    ];
    assert_eq!(
        parts.map(part_of),
        ["embedding", "attention", "norms", "mlp", "norms", "output"]
    );
}
