//! A request to a receiver: the first byte says of which signal, or in which form a profile. Nothing panics, every row is counted, and what is rejected
//! has a reason.

#[path = "../../crates/server/src/receive"]
mod receive {
    #[expect(
        dead_code,
        reason = "what only answers to senders need is not called here"
    )]
    pub mod decode;

    use decode::{Encoding, Signal, Told};

    const NOW_UNIX_NS: i64 = 1_800_000_000_000_000_000;

    pub fn check(is_json: bool, data: &[u8]) {
        let Some((first, request)) = data.split_first() else {
            return;
        };
        let encoding = match (is_json, first % 8) {
            (false, 5) => Encoding::Pprof,
            (false, 6) => Encoding::Folded,
            (false, _) => Encoding::Protobuf,
            (true, 3) => Encoding::Zipkin,
            (true, _) => Encoding::Json,
        };
        let signal = match first % 8 {
            1 => Signal::Logs,
            2 => Signal::Metrics,
            4..=6 => Signal::Profiles,
            _ => Signal::Traces,
        };
        let told = Told::default();
        if let Ok((rows, counts, rejected)) = decode::decode(signal, encoding, &told, request, NOW_UNIX_NS, &Default::default()) {
            let all = counts.spans + counts.logs + counts.points + counts.samples;
            assert_eq!(rows.len() as u64, all);
            assert_eq!(rejected.items == 0, rejected.first.is_none());
        }
    }
}

pub use receive::check;
