//! What a scrape target answers, in both forms. Nothing panics, every row is counted, and what is rejected has a reason.

#[path = "../../crates/server/src/receive"]
mod receive {
    #[expect(dead_code, reason = "what reads other encodings is not called here")]
    pub mod decode;

    use decode::exposition::{self, Form, Origin, Scraped};

    const NOW_UNIX_NS: i64 = 1_800_000_000_000_000_000;

    pub fn run(data: &[u8]) {
        let origin = Origin {
            job: "job",
            instance: "instance",
        };
        let scraped = Scraped {
            is_up: true,
            duration_s: 0.1,
        };
        for form in [Form::Prometheus, Form::OpenMetrics] {
            if let Ok((rows, counts, rejected)) = exposition::read(&origin, form, data, scraped, NOW_UNIX_NS, &Default::default()) {
                assert_eq!(rows.len() as u64, counts.points);
                assert_eq!(rejected.items == 0, rejected.first.is_none());
            }
        }
    }
}

pub use receive::run;
