//! What others than OpenTelemetry send: the first byte says in which form. Nothing panics, every row is counted, and what is
//! rejected has a reason.

#[path = "../../crates/server/src/receive"]
mod receive {
    #[expect(
        dead_code,
        reason = "what only answers to senders need is not called here"
    )]
    pub mod decode;

    use decode::{
        Encoding, Signal, Told, datadog, jaeger, loki, remote_write,
        syslog::{Batch, frame},
    };

    const NOW_UNIX_NS: i64 = 1_800_000_000_000_000_000;
    const FORMS: [(Signal, Encoding); 11] = [
        (Signal::Traces, Encoding::Jaeger(jaeger::Form::Thrift)),
        (Signal::Traces, Encoding::Jaeger(jaeger::Form::Protobuf)),
        (Signal::Traces, Encoding::Datadog(datadog::Form::Traces)),
        (
            Signal::Traces,
            Encoding::Datadog(datadog::Form::TracesByTable),
        ),
        (Signal::Metrics, Encoding::Datadog(datadog::Form::Series)),
        (
            Signal::Metrics,
            Encoding::Datadog(datadog::Form::SeriesProtobuf),
        ),
        (Signal::Logs, Encoding::Datadog(datadog::Form::Logs)),
        (Signal::Logs, Encoding::Loki(loki::Form::Json)),
        (Signal::Logs, Encoding::Loki(loki::Form::Protobuf)),
        (
            Signal::Metrics,
            Encoding::RemoteWrite(remote_write::Form::One),
        ),
        (
            Signal::Metrics,
            Encoding::RemoteWrite(remote_write::Form::Two),
        ),
    ];

    pub fn run(data: &[u8]) {
        let Some((first, request)) = data.split_first() else {
            return;
        };
        let Some((signal, encoding)) = FORMS.get(usize::from(first % 12)) else {
            return syslog(request);
        };
        let told = Told::default();
        if let Ok((rows, counts, rejected)) = decode::decode(
            *signal,
            *encoding,
            &told,
            request,
            NOW_UNIX_NS,
            &std::sync::Arc::default(),
        ) {
            assert_eq!(
                rows.len() as u64,
                counts.spans + counts.logs + counts.points
            );
            assert_eq!(rejected.items == 0, rejected.first.is_none());
        }
    }

    /// A stream of messages, as TCP brings it.
    fn syslog(mut stream: &[u8]) {
        let mut batch = Batch::new(NOW_UNIX_NS);
        while let frame::Frame::Whole(message, taken) = frame::first(stream) {
            batch
                .take(message, NOW_UNIX_NS)
                .expect("a stream of a fuzzer is short");
            stream = &stream[taken..];
        }
        let messages = batch.messages() as u64;
        let (rows, counts, rejected) = batch.finish();
        assert_eq!(
            (rows.len() as u64, messages),
            (counts.logs, counts.logs + rejected.items)
        );
    }
}

pub use receive::run;
