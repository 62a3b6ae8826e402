//! What kind of time a span is, told from OpenTelemetry's conventions, an explicit attribute, or its name.
//!
//! Precedence: the attribute [`PHASE_ATTRIBUTE`]; the words of `gpu.` names; semantic conventions (`db.*`, `http.*`, `rpc.*`,
//! `messaging.*`, span kind); a closed table of names. Names are matched whole, so that `process queue items` is work
//! and not waiting. What nothing recognises is a named phase. A `gpu.*` attribute says which device is meant, not that
//! it computes, so it says nothing about the time. A CPU reading has more weight than anything that is only recognised
//! ([`Classified::by_cpu`]), and more than a declared wait where both cannot be true (`cpu::doubt_declared_waits`).

use radiosonde_core::model::{Span, SpanKind, Value};
use serde::{Deserialize, Serialize};

/// The attribute that says what kind of time a span is: a word of [`Category::word`], or the name of a phase.
pub const PHASE_ATTRIBUTE: &str = "radiosonde.phase";

/// A kind of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Waiting to be taken up.
    Queue,
    /// Waiting for a lock.
    Lock,
    /// Loading, compiling or warming up before the first use.
    Startup,
    /// Turning values into bytes.
    Serialization,
    /// Turning bytes into values.
    Deserialization,
    /// Running in a Python worker.
    Python,
    /// Computing on a CPU, by the thread's own CPU clock.
    OnCpu,
    /// Not running although not known to wait for anything in particular: blocked, asleep or descheduled.
    OffCpu,
    /// Waiting for a disk, a network, a database or another service.
    Io,
    /// A GPU computing.
    GpuBusy,
    /// Waiting for a GPU.
    GpuWait,
    /// Moving data between host and device.
    Transfer,
    /// A named part of the work whose inside is not known further.
    Phase,
}

impl Category {
    /// Every category, in the order in which equal times are listed.
    pub const ALL: [Self; 13] = [
        Self::Queue,
        Self::Lock,
        Self::Startup,
        Self::Serialization,
        Self::Deserialization,
        Self::Python,
        Self::OnCpu,
        Self::OffCpu,
        Self::Io,
        Self::GpuBusy,
        Self::GpuWait,
        Self::Transfer,
        Self::Phase,
    ];

    /// The word in JSON and in [`PHASE_ATTRIBUTE`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Lock => "lock",
            Self::Startup => "startup",
            Self::Serialization => "serialization",
            Self::Deserialization => "deserialization",
            Self::Python => "python",
            Self::OnCpu => "on_cpu",
            Self::OffCpu => "off_cpu",
            Self::Io => "io",
            Self::GpuBusy => "gpu_busy",
            Self::GpuWait => "gpu_wait",
            Self::Transfer => "transfer",
            Self::Phase => "phase",
        }
    }

    /// Whether the thread that is in it does not compute, as far as its name goes.
    pub(super) const fn leaves_cpu(self) -> bool {
        matches!(
            self,
            Self::Queue
                | Self::Lock
                | Self::OffCpu
                | Self::Io
                | Self::GpuBusy
                | Self::GpuWait
                | Self::Transfer
        )
    }

    /// As people read it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Lock => "lock wait",
            Self::Startup => "start-up",
            Self::Serialization => "serialization",
            Self::Deserialization => "deserialization",
            Self::Python => "Python",
            Self::OnCpu => "on-CPU",
            Self::OffCpu => "off-CPU",
            Self::Io => "I/O",
            Self::GpuBusy => "GPU busy",
            Self::GpuWait => "GPU wait",
            Self::Transfer => "transfer",
            Self::Phase => "phase",
        }
    }
}

/// A category and whether the program said so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) category: Category,
    /// Said by [`PHASE_ATTRIBUTE`] or by an event's type, not recognised from a convention, a name or a parent.
    pub(super) declared: bool,
}

impl Classified {
    /// What the time is in which the thread computed, and what the rest is, where a CPU reading divides it; `None`
    /// where a reading of this thread says nothing about it.
    pub(super) const fn by_cpu(self) -> Option<(Category, Category)> {
        match self.category {
            Category::Phase | Category::OnCpu | Category::OffCpu => {
                Some((Category::OnCpu, Category::OffCpu))
            }
            _ if self.declared => None,
            kind @ (Category::Serialization | Category::Deserialization) => {
                Some((kind, Category::OffCpu))
            }
            // Loading both reads and computes, and a worker's time is spent on another thread.
            Category::Startup | Category::Python => None,
            waits => Some((Category::OnCpu, waits)),
        }
    }
}

/// What kind of time `span` is, by itself.
pub(super) fn classify(span: &Span) -> Classified {
    if let Some(word) = span.attribute(PHASE_ATTRIBUTE).and_then(Value::as_str) {
        let category = Category::ALL
            .into_iter()
            .find(|category| category.word() == word);
        return Classified {
            category: category.unwrap_or_else(|| by_name(word)),
            declared: true,
        };
    }
    let category = gpu(&span.name)
        .or_else(|| convention(span))
        .unwrap_or_else(|| by_name(&span.name));
    Classified {
        category,
        declared: false,
    }
}

/// Words of a name that begins with `gpu`, by what they say of the time. Whole words: `async` is not `sync`.
const GPU_WORDS: &[(Category, &[&str])] = &[
    (
        Category::GpuWait,
        &["wait", "waiting", "sync", "synchronize", "synchronise"],
    ),
    (
        Category::Transfer,
        &[
            "copy", "memcpy", "transfer", "upload", "download", "h2d", "d2h",
        ],
    ),
    (
        Category::GpuBusy,
        &[
            "op",
            "kernel",
            "kernels",
            "compute",
            "busy",
            "execute",
            "execution",
            "forward",
            "backward",
            "matmul",
            "gemm",
            "sgemm",
            "hgemm",
            "attention",
            "sdpa",
            "softmax",
            "prefill",
            "decode",
            "inference",
        ],
    ),
];

/// What a name that begins with `gpu` says; `None` where it says nothing that is known.
fn gpu(name: &str) -> Option<Category> {
    let name = normalized(name);
    let rest = name.strip_prefix("gpu_")?;
    // A queue before a GPU is a queue, and compiling kernels is done by a CPU.
    let known = named(rest).filter(|category| {
        matches!(
            category,
            Category::Queue
                | Category::Lock
                | Category::Startup
                | Category::Serialization
                | Category::Deserialization
        )
    });
    let has = |words: &[&str]| rest.split('_').any(|word| words.contains(&word));
    known.or_else(|| {
        let found = GPU_WORDS.iter().find(|(_, words)| has(words));
        found.map(|(category, _)| *category)
    })
}

/// OpenTelemetry's semantic conventions, 1.44: attributes that name what is waited for, then the span's kind.
fn convention(span: &Span) -> Option<Category> {
    let has = |prefix: &str| {
        span.attributes
            .iter()
            .any(|(key, _)| key.starts_with(prefix))
    };
    let outgoing = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
    if has("messaging.") {
        let operation = span
            .attribute("messaging.operation.type")
            .or_else(|| span.attribute("messaging.operation"))
            .and_then(Value::as_str);
        return match operation {
            Some("receive") => Some(Category::Queue),
            _ => outgoing.then_some(Category::Io),
        };
    }
    // A database span is the client's view of the database unless it says that it is the database.
    if has("db.") && span.kind != SpanKind::Server {
        return Some(Category::Io);
    }
    outgoing.then_some(Category::Io)
}

/// The table of names. A name is looked up whole and by its last part: `vllm.queue` is `queue`.
pub(super) fn by_name(name: &str) -> Category {
    let whole = normalized(name);
    let last = name.rsplit(['.', ':', '/']).next().unwrap_or_default();
    let last = normalized(last);
    named(&whole)
        .or_else(|| named(&last))
        .unwrap_or(Category::Phase)
}

/// Names of spans that say what their time is.
const NAMES: &[(Category, &[&str])] = &[
    (
        Category::Queue,
        &[
            "queue",
            "queued",
            "queueing",
            "queuing",
            "in_queue",
            "queue_wait",
            "wait_in_queue",
            "queue_time",
            "waiting",
            "scheduler_wait",
            "wait_for_worker",
            "pool_checkout",
            "worker_checkout",
        ],
    ),
    (
        Category::Lock,
        &[
            "lock",
            "lock_wait",
            "wait_for_lock",
            "acquire_lock",
            "lock_acquire",
            "await_lock",
            "mutex",
            "mutex_lock",
            "mutex_wait",
            "rwlock_read",
            "rwlock_write",
            "semaphore_wait",
            "semaphore_acquire",
        ],
    ),
    (
        Category::Startup,
        &[
            "cold_start",
            "coldstart",
            "startup",
            "start_up",
            "init",
            "initialize",
            "initialise",
            "load_model",
            "model_load",
            "load_weights",
            "weights_load",
            "warmup",
            "warm_up",
            "compile_model",
            "model_compile",
            "compile_graph",
            "graph_compile",
            "jit_compile",
            "compile_kernels",
            "kernel_compile",
        ],
    ),
    (
        Category::Serialization,
        &[
            "serialize",
            "serialise",
            "serialization",
            "marshal",
            "to_json",
            "json_encode",
            "encode_json",
        ],
    ),
    (
        Category::Deserialization,
        &[
            "deserialize",
            "deserialise",
            "deserialization",
            "unmarshal",
            "from_json",
            "json_decode",
            "decode_json",
            "parse_json",
        ],
    ),
    (Category::Python, &["python", "python_call", "python_time"]),
    (
        Category::OffCpu,
        &["sleep", "wait", "backoff", "retry_backoff"],
    ),
    (
        Category::Io,
        &[
            "io",
            "read_file",
            "write_file",
            "file_read",
            "file_write",
            "disk_read",
            "disk_write",
            "fsync",
            "connect",
            "dns",
            "tls_handshake",
            "download",
            "fetch",
        ],
    ),
    (
        Category::GpuWait,
        &[
            "gpu_wait",
            "gpu_sync",
            "wait_for_gpu",
            "device_synchronize",
            "cuda_synchronize",
        ],
    ),
    (
        Category::Transfer,
        &[
            "transfer",
            "memcpy",
            "h2d",
            "d2h",
            "host_to_device",
            "device_to_host",
            "copy_to_device",
            "copy_to_host",
        ],
    ),
];

fn named(name: &str) -> Option<Category> {
    let found = NAMES.iter().find(|(_, names)| names.contains(&name));
    found.map(|(category, _)| *category).or_else(|| {
        // "serialize request" and "serialize_response" are what they say.
        let first = name.split('_').next()?;
        match first {
            "serialize" | "serialise" | "marshal" => Some(Category::Serialization),
            "deserialize" | "deserialise" | "unmarshal" => Some(Category::Deserialization),
            _ => None,
        }
    })
}

/// Lower case, with `_` between words.
fn normalized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.trim().chars() {
        match character {
            c if c.is_alphanumeric() => out.extend(c.to_lowercase()),
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    out.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_whole_or_by_their_last_part() {
        for (name, category) in [
            ("queue", Category::Queue),
            ("vllm.queue", Category::Queue),
            ("pool.checkout", Category::Queue),
            ("Lock Wait", Category::Lock),
            ("model.load", Category::Startup),
            ("serialize response", Category::Serialization),
            ("worker::deserialize", Category::Deserialization),
            ("process queue items", Category::Phase),
            ("queue.process", Category::Phase),
            ("block 3", Category::Phase),
            ("", Category::Phase),
        ] {
            assert_eq!(by_name(name), category, "{name}");
        }
    }

    #[test]
    fn a_name_of_the_gpu_says_what_its_words_say_and_no_more() {
        for (name, category) in [
            ("gpu.op", Category::GpuBusy),
            ("gpu attention", Category::GpuBusy),
            ("gpu.kernel.softmax", Category::GpuBusy),
            ("gpu.wait_for_fence", Category::GpuWait),
            ("gpu/memcpy_h2d", Category::Transfer),
            ("gpu.download", Category::Transfer),
            ("gpu.queue", Category::Queue),
            ("gpu.queue_wait", Category::Queue),
            ("gpu.lock", Category::Lock),
            ("gpu.compile_kernels", Category::Startup),
            ("gpu.async_submit", Category::Phase),
            ("gpu.prepare", Category::Phase),
            ("gpubench", Category::Phase),
            ("regex.compile", Category::Phase),
            ("model.compile", Category::Startup),
        ] {
            let said = gpu(name).unwrap_or_else(|| by_name(name));
            assert_eq!(said, category, "{name}");
        }
    }
}
