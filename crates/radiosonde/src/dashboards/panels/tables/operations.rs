//! What runs, how fast, and how much of it fails.

use super::{Ask, Form, Plan, Table, line, panel, panel_about, unit};

pub(super) const PLAN: Plan = Plan {
    name: "operations",
    title: "Operations",
    about: "What runs, how fast, and how much of it fails: operations of GPUs, functions with #[instrument], and queues.",
    panels: PANELS,
};

static PANELS: &[Table] = &[
    panel(
        "Operations a second",
        Form::Number,
        unit::A_SECOND,
        6,
        &[line(Ask::Rate("gpu.operation.count"), &[], "")],
    ),
    panel(
        "Share that fails",
        Form::Number,
        unit::SHARE,
        6,
        &[line(
            Ask::Failed("gpu.operation.errors", "gpu.operation.count"),
            &[],
            "",
        )],
    ),
    panel(
        "Operations, 95 % within",
        Form::Number,
        unit::SECONDS,
        6,
        &[line(Ask::Within(0.95, "gpu.operation.duration"), &[], "")],
    ),
    panel(
        "Calls of functions a second",
        Form::Number,
        unit::A_SECOND,
        6,
        &[line(Ask::Rate("function.calls"), &[], "")],
    ),
    panel(
        "Operation throughput",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(
            Ask::Rate("gpu.operation.count"),
            &["op_name", "backend"],
            "",
        )],
    ),
    panel_about(
        "Error rate",
        "The share of operations that fail, 0 where none does.",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::Failed("gpu.operation.errors", "gpu.operation.count"),
            &["op_name", "backend"],
            "",
        )],
    ),
    panel(
        "Duration distribution",
        Form::Heatmap,
        unit::SECONDS,
        12,
        &[line(Ask::Buckets("gpu.operation.duration"), &[], "")],
    ),
    panel(
        "Durations of operations",
        Form::Lines,
        unit::SECONDS,
        12,
        &[
            line(Ask::Within(0.5, "gpu.operation.duration"), &[], "50 %"),
            line(Ask::Within(0.95, "gpu.operation.duration"), &[], "95 %"),
            line(Ask::Within(0.99, "gpu.operation.duration"), &[], "99 %"),
        ],
    ),
    panel(
        "Errors by kind",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(Ask::Rate("gpu.operation.errors"), &["error.type"], "")],
    ),
    panel(
        "Slowest operations, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "gpu.operation.duration"),
            &["op_name"],
            "",
        )],
    ),
    panel(
        "Functions: throughput",
        Form::Areas,
        unit::A_SECOND,
        12,
        &[line(Ask::Rate("function.calls"), &["function"], "")],
    ),
    panel(
        "Functions: error rate",
        Form::Lines,
        unit::SHARE,
        12,
        &[line(
            Ask::Part("function.errors", "function.calls"),
            &["function"],
            "",
        )],
    ),
    panel(
        "Functions: duration distribution",
        Form::Heatmap,
        unit::SECONDS,
        12,
        &[line(Ask::Buckets("function.duration"), &[], "")],
    ),
    panel(
        "Functions: 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "function.duration"),
            &["function"],
            "",
        )],
    ),
    panel(
        "Queues: arrivals and completions",
        Form::Lines,
        unit::A_SECOND,
        12,
        &[
            line(Ask::Rate("queue.arrivals"), &["queue"], "arrive"),
            line(Ask::Rate("queue.completions"), &["queue"], "are done"),
        ],
    ),
    panel(
        "Queues: waiting, 95 % within",
        Form::Lines,
        unit::SECONDS,
        12,
        &[line(
            Ask::Within(0.95, "queue.wait.duration"),
            &["queue"],
            "",
        )],
    ),
];
