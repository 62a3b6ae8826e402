//! Log lines as inference services write them: much the same text, with numbers and identifiers in it.

use super::{MODELS, Words, random::Random};

const DEBUG: i8 = 5;
const INFO: i8 = 9;
const WARN: i8 = 13;
const ERROR: i8 = 17;

/// The severity and the text of a line. One in a hundred or so has the word "timeout".
pub fn line(random: &mut Random, words: &Words) -> (i8, String) {
    let kind = random.below(100);
    match kind {
        0..20 => (INFO, access(random, words)),
        20..45 => (INFO, engine(random)),
        45..70 => (DEBUG, detail(random, words)),
        70..90 => (INFO, accounting(random, words)),
        90..96 => (WARN, warning(random)),
        _ => (ERROR, failure(random, kind)),
    }
}

fn address(random: &mut Random) -> String {
    format!(
        "10.{}.{}.{}",
        random.below(4),
        random.below(64),
        random.below(256)
    )
}

fn user<'a>(random: &mut Random, words: &'a Words) -> &'a str {
    &words.users[random.skewed(50_000) as usize]
}

fn access(random: &mut Random, words: &Words) -> String {
    format!(
        "{} POST /v1/chat/completions 200 in {:.3} s, request {:016x}, {}, {} tokens",
        address(random),
        random.log_normal(0.8, 1.0),
        random.next(),
        user(random, words),
        random.below(4_096)
    )
}

fn engine(random: &mut Random) -> String {
    format!(
        "running {} waiting {}, prompt {:.1} tokens/s, generation {:.1} tokens/s, KV cache {:.1} % used, prefix hits {:.1} %",
        random.below(256),
        random.below(64),
        random.unit() * 9_000.0,
        random.unit() * 4_000.0,
        random.unit() * 100.0,
        random.unit() * 100.0
    )
}

fn detail(random: &mut Random, words: &Words) -> String {
    if random.below(2) == 0 {
        format!(
            "cache lookup {:016x}{:016x} hit={} after {} us in shard {} of the prefix table",
            random.next(),
            random.next(),
            random.below(2) == 1,
            random.below(9_000),
            random.below(128)
        )
    } else {
        format!(
            "scheduled {:016x} on {} with {} prefill and {} decode tokens in {} blocks",
            random.next(),
            words.pods[random.below(500) as usize],
            random.below(8_192),
            random.below(2_048),
            random.below(4_096)
        )
    }
}

fn accounting(random: &mut Random, words: &Words) -> String {
    format!(
        r#"{{"event":"usage","user":"{}","model":"{}","input_tokens":{},"output_tokens":{},"cost":{:.6}}}"#,
        user(random, words),
        MODELS[random.skewed(12) as usize],
        random.below(8_000),
        random.below(2_000),
        random.unit() * 0.2
    )
}

fn warning(random: &mut Random) -> String {
    format!(
        "rank {} was {:.1} ms behind the median of bucket {} with {} bytes; retry {} of request {:016x}",
        random.below(512),
        random.log_normal(30.0, 1.0),
        random.below(64),
        random.below(200_000_000),
        random.below(5),
        random.next()
    )
}

fn failure(random: &mut Random, kind: u64) -> String {
    match kind {
        96 => format!(
            "timeout after {} ms while connecting to {} for request {:016x}",
            random.below(60_000),
            address(random),
            random.next()
        ),
        97 => format!(
            "out of memory on cuda:{}: {:.2} GiB asked for, {:.2} MiB free of 79.1 GiB",
            random.below(8),
            random.unit() * 8.0,
            random.unit() * 900.0
        ),
        98 => format!(
            "XID {} on PCI 0000:{:02x}:00, pid {}",
            random.below(120),
            random.below(256),
            random.below(99_999)
        ),
        _ => format!(
            "worker {0} died\n  at engine/step.py:{1} in step\n  at engine/core.py:{2} in run\nRuntimeError: worker {0} ended with signal 9",
            random.below(64),
            random.below(900),
            random.below(900)
        ),
    }
}
