//! A request to a receiver: the first byte says of which signal. Nothing panics, every row is counted, and what is rejected
//! has a reason.

#[path = "../../crates/server/src/receive"]
mod receive {
    #[expect(
        dead_code,
        reason = "what only answers to senders need is not called here"
    )]
    pub mod decode;

    use decode::{Encoding, Signal};

    const NOW_UNIX_NS: i64 = 1_800_000_000_000_000_000;

    pub fn check(is_json: bool, data: &[u8]) {
        let Some((first, request)) = data.split_first() else {
            return;
        };
        let encoding = match (is_json, first % 4) {
            (false, _) => Encoding::Protobuf,
            (true, 3) => Encoding::Zipkin,
            (true, _) => Encoding::Json,
        };
        let signal = match first % 4 {
            1 => Signal::Logs,
            2 => Signal::Metrics,
            _ => Signal::Traces,
        };
        if let Ok((rows, counts, rejected)) = decode::decode(signal, encoding, request, NOW_UNIX_NS)
        {
            assert_eq!(
                rows.len() as u64,
                counts.spans + counts.logs + counts.points
            );
            assert_eq!(rejected.items == 0, rejected.first.is_none());
        }
    }
}

pub use receive::check;
