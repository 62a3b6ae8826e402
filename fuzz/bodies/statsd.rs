//! A datagram of StatsD's. Nothing panics, and every series that was taken becomes a row.

#[path = "../../crates/server/src/receive"]
mod receive {
    #[expect(dead_code, reason = "what reads other encodings is not called here")]
    pub mod decode;

    use decode::statsd::Aggregate;

    const FROM_UNIX_NS: i64 = 1_800_000_000_000_000_000;

    pub fn run(data: &[u8]) {
        let mut aggregate = Aggregate::default();
        aggregate.take(data);
        if let Ok((rows, counts, rejected)) = aggregate.finish(FROM_UNIX_NS, FROM_UNIX_NS + 1, &Default::default()) {
            assert_eq!(rows.len() as u64, counts.points);
            assert_eq!(rejected.items, 0);
        }
    }
}

pub use receive::run;
