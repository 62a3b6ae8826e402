//! Settings that are one of a few names.

use super::{
    duration::Unit,
    nearest::nearest,
    value::{Problem, Setting, quoted},
    written::Written,
};
use crate::health::Status;

/// Chooses one of `names`, in either case.
pub(super) fn choose<T: Copy>(
    written: &Written,
    names: &[(&'static str, T)],
) -> Result<T, Problem> {
    let list = || {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("write one of {}", names.join(", "))
    };
    let (Written::Text(text) | Written::Raw(text)) = written else {
        return Err(Problem::new("is not text", list()));
    };
    let text = text.trim();
    if let Some((_, choice)) = names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
    {
        return Ok(*choice);
    }
    Err(match nearest(text, names.iter().map(|(name, _)| *name)) {
        Some(near) => Problem::new(format!("is not known; did you mean {near:?}?"), list()),
        None => Problem::new("is not known", list()),
    })
}

/// Declares settings that are one of a few names.
macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $type:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $name:literal $(| $other:literal)*,)+ })+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[doc = $variant_doc])+ $variant,)+ }

        impl $type {
            /// The name as written in a configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl Setting for $type {
            fn read(written: &Written, _: Unit) -> Result<Self, Problem> {
                choose(written, &[$(($name, Self::$variant), $(($other, Self::$variant),)*)+])
            }

            fn show(&self) -> Option<String> {
                Some(quoted(self.name()))
            }
        }
    )+ };
}

choices! {
    /// How a line on the console looks.
    LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For people.
        Human = "human" | "text" | "pretty",
    }

    /// What the console shows.
    ConsoleShow {
        /// Logs, and of the typed events those that warn of something. Spans and measurements are for other exporters.
        Logs = "logs",
        /// Every span, log and event that is recorded.
        All = "all",
    }

    /// Whether the console uses colour.
    Color {
        /// Where the output is a terminal and `NO_COLOR` is not set.
        Auto = "auto",
        /// In any case.
        Always = "always",
        /// Never.
        Never = "never",
    }

    /// How OTLP is sent.
    OtlpProtocol {
        /// Protobuf over HTTP, port 4318.
        Http = "http/protobuf" | "http",
        /// gRPC, port 4317.
        Grpc = "grpc",
    }

    /// How OTLP bodies are compressed.
    OtlpCompression {
        /// By gzip, unless the endpoint is on this machine.
        Auto = "auto",
        /// By gzip.
        Gzip = "gzip",
        /// Not at all.
        Plain = "none",
    }

    /// Which traces are recorded, as OpenTelemetry names samplers.
    Sampler {
        /// As the caller decided; where a trace starts here, all of them.
        ParentBasedAlwaysOn = "parentbased_always_on",
        /// As the caller decided; where a trace starts here, none of them.
        ParentBasedAlwaysOff = "parentbased_always_off",
        /// As the caller decided; where a trace starts here, by ratio.
        ParentBasedRatio = "parentbased_traceidratio",
        /// All.
        AlwaysOn = "always_on",
        /// None.
        AlwaysOff = "always_off",
        /// By ratio.
        Ratio = "traceidratio",
    }

    /// What happens to a record for which there is no room.
    WhenFull {
        /// It is refused and counted; the program never waits.
        Refuse = "refuse",
        /// The program waits: for a lane a second at most, for an exporter at most as long as `export.timeout`. What
        /// finds no room even then is refused and counted.
        Wait = "wait",
    }

    /// From which status on `/health` is answered with 503.
    HealthFailsFrom {
        /// Something does not work.
        Critical = "critical",
        /// Something works worse than it should.
        Degraded = "degraded",
        /// Something cannot be told.
        Unknown = "unknown",
    }

    /// Which measurements may become exemplars.
    ExemplarFilter {
        /// Those made inside a recorded trace.
        TraceBased = "trace_based",
        /// All.
        AlwaysOn = "always_on",
        /// None.
        AlwaysOff = "always_off",
    }
}

impl From<WhenFull> for radiosonde_core::WhenFull {
    fn from(choice: WhenFull) -> Self {
        match choice {
            WhenFull::Refuse => Self::Refuse,
            WhenFull::Wait => Self::Wait,
        }
    }
}

impl From<HealthFailsFrom> for Status {
    fn from(choice: HealthFailsFrom) -> Self {
        match choice {
            HealthFailsFrom::Critical => Self::Critical,
            HealthFailsFrom::Degraded => Self::Degraded,
            HealthFailsFrom::Unknown => Self::Unknown,
        }
    }
}
